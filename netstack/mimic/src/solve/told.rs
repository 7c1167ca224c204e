//! What the report tells of jobs: their inputs, and the chains of keys that lacked.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{JobState, Solver};
use crate::arg::NeedKind;
use crate::key::{Name, Shown};
use crate::report::{Input, InputKind, Lack, Outcome};

impl Solver<'_> {
    /// Why a job of a root key produced nothing: the chain of keys, how many of them were left
    /// out before the last one, and what is the matter with that one.
    pub(crate) fn lack(&self, job: usize) -> (Vec<Name>, usize, Lack) {
        let end = self.jobs[job].end;
        let mut chain = Vec::new();
        let mut at = Some(job);
        while let Some(job) = at.filter(|_| chain.len() + 1 < end.length.min(CHAIN)) {
            chain.push(self.name(job));
            at = self.jobs[job].lacked.and_then(|key| self.keys[key].jobs.first().copied());
        }
        chain.push(self.keys[end.key].meta.name.clone());
        let elided = end.length.saturating_sub(chain.len());
        let cause = end.job.map_or(Lack::NotGiven, |job| match &self.derived[job].outcome {
            Outcome::Failed(error) => Lack::Failed(Arc::clone(error)),
            Outcome::Cyclic(cycle) => Lack::Cyclic(self.cycles[*cycle].clone()),
            Outcome::Unfinished => Lack::Unfinished,
            _ => Lack::Nothing,
        });
        (chain, elided, cause)
    }

    /// Notes the inputs of jobs that still waited when the resolution ended.
    pub(crate) fn finish(&mut self) {
        for job in 0..self.jobs.len() {
            if matches!(self.jobs[job].state, JobState::Waiting) {
                self.note_inputs(job);
            }
        }
    }

    pub(super) fn note_inputs(&mut self, job: usize) {
        let at = &self.jobs[job];
        let needs = at.derivation.needs.iter().enumerate();
        let inputs = needs.map(|(input, need)| {
            let found = at.inputs.get(input).and_then(|input| self.input(*input));
            let (kind, value) = match &need.kind {
                NeedKind::Required => (InputKind::Required, found),
                NeedKind::Optional => (InputKind::Optional, found),
                NeedKind::Default(value) if found.is_none() => (InputKind::Defaulted, Some(value)),
                NeedKind::Default(_) => (InputKind::Default, found),
            };
            let value =
                value.map(|value| Shown { meta: Arc::clone(&need.meta), value: value.clone() });
            Input { key: need.meta.name.clone(), kind, value }
        });
        self.derived[job].inputs = inputs.collect();
    }

    pub(super) fn name(&self, job: usize) -> Name {
        self.keys[self.jobs[job].key].meta.name.clone()
    }
}

/// How many keys a chain of lacking keys names before its middle is left out.
const CHAIN: usize = 32;
