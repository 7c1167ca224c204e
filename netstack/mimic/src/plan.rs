//! The plan: which candidates there are, in which order.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;

use crate::ctx::Ctx;
use crate::error::{PlanError, PlanFailure};
use crate::key::{Id, Key, Shown, Value};
use crate::policy::Policy;
use crate::registry::Registry;
use crate::report::{self, Candidate, Given, Origin, Report};

/// The candidates of one resolution in the order in which they are connected.
#[derive(Clone)]
pub struct Plan {
    pub(crate) endpoints: Vec<(Id, Value)>,
    pub(crate) report: Report,
    ctx: Ctx,
}

impl Plan {
    /// The candidates in order.
    pub fn candidates(&self) -> &[Candidate] {
        &self.report.plan
    }

    /// What happened until the plan was made.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The value that the resolution found for `key`, given or derived.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Option<Arc<T>> {
        self.ctx.get(key)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.report.plan).finish()
    }
}

impl Registry {
    /// Finds the candidates for a connection.
    pub async fn plan(&self, ctx: &Ctx, policy: &Policy) -> Result<Plan, PlanError> {
        let mut report = Report::default();
        if policy.lacks_timer() {
            return Err(PlanError { kind: PlanFailure::NoTimer, report: Box::new(report) });
        }
        for slot in ctx.in_order() {
            for value in slot.values.iter() {
                let value = Shown { meta: Arc::clone(&slot.meta), value: value.clone() };
                report.values.push(Given { key: slot.meta.name.clone(), value });
            }
        }
        let mut found = Vec::new();
        for entry in self.entries() {
            let Some(slot) = ctx.slot(entry.endpoint.id) else { continue };
            for (rank, value) in slot.values.iter().enumerate() {
                found.push((entry, (0, slot.place), Origin::Value(rank), value.clone()));
            }
            for (rank, derivation) in slot.derivations.iter().enumerate() {
                if let Some(value) = run(ctx, derivation, &mut Vec::new()).await {
                    found.push((entry, (1, slot.place), Origin::Derivation(rank), value));
                }
            }
        }
        found.sort_by_key(|(entry, place, ..)| (entry.priority.is_none(), entry.priority, *place));
        let mut endpoints = Vec::new();
        for (entry, _, origin, value) in found {
            report.plan.push(Candidate {
                protocol: entry.name,
                priority: entry.priority,
                endpoint: Shown { meta: Arc::clone(&entry.endpoint), value: value.clone() },
                origin,
            });
            endpoints.push((entry.endpoint.id, value));
        }
        if endpoints.is_empty() {
            for entry in self.entries() {
                report.missing.push(report::Missing {
                    protocol: entry.name,
                    priority: entry.priority,
                    derivation: None,
                    chain: alloc::vec![entry.endpoint.name.clone()],
                    elided: 0,
                    cause: report::Lack::NotGiven,
                });
            }
            return Err(PlanError { kind: PlanFailure::NoCandidate, report: Box::new(report) });
        }
        Ok(Plan { endpoints, report, ctx: ctx.clone() })
    }
}

fn run<'a>(
    ctx: &'a Ctx,
    derivation: &'a crate::arg::Derivation,
    above: &'a mut Vec<Id>,
) -> Pin<Box<dyn Future<Output = Option<Value>> + Send + 'a>> {
    Box::pin(async move {
        let mut found = Vec::new();
        for need in &derivation.needs {
            let mut value = None;
            if let Some(slot) = ctx.slot(need.meta.id) {
                value = slot.values.newest().cloned();
                for derivation in slot.derivations.iter() {
                    if value.is_some() || above.contains(&need.meta.id) {
                        break;
                    }
                    above.push(need.meta.id);
                    value = run(ctx, derivation, above).await;
                    above.pop();
                }
            }
            found.push(value);
        }
        derivation.start(&found)?.await.ok()
    })
}
