//! Runs the derivations that a resolution needs: each at most once, independent ones at once.
//!
//! ```text
//!   root key ──▶ job ──needs──▶ key ──newest derivation──▶ job ──needs──▶ key ──▶ …
//!                 ▲              │ ▲                         │ all needs are settled
//!                 └── settled ───┘ └─ produced, or next one ─┴─ runs
//! ```
//!
//! A *key* is settled when it was found (it has a value, or a derivation produced one) or has
//! failed (nothing is left to try). A *job* is one derivation at work: it waits until all its
//! needs are settled, then it runs. A job that lacks a required key fails without being run.
//!
//! When nothing runs and jobs still wait, they wait for one another: [`knot`] finds such a circle
//! and opens it. What comes out does not depend on which derivation is the faster one, since
//! knots are looked for only when everything else is settled.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use crate::arg::{Derivation, NeedKind, Produced};
use crate::ctx::{Ctx, Slot};
use crate::join::Set;
use crate::key::{Id, Meta, Shown, Value};
use crate::list;
use crate::policy::Clock;
use crate::report::{Cycle, Derived, Outcome, Span};

mod knot;
mod told;

pub(crate) struct Solver<'a> {
    ctx: &'a Ctx,
    clock: Clock<'a>,
    keys: Vec<KeyNode<'a>>,
    index: BTreeMap<Id, usize>,
    jobs: Vec<Job<'a>>,
    /// What the report says of each job, at the same index.
    pub(crate) derived: Vec<Derived>,
    pub(crate) cycles: Vec<Cycle>,
    /// New jobs, whose needs were not asked for yet.
    fresh: VecDeque<usize>,
    /// Settled keys whose waiting jobs do not know it yet.
    settled: VecDeque<usize>,
    running: Set<'static, Produced<Value>>,
    /// The job of each task in `running`.
    tasks: Vec<usize>,
    /// How many jobs of root keys are not done.
    open: usize,
    search: knot::Search,
}

/// A key that the resolution asked for.
struct KeyNode<'a> {
    meta: &'a Arc<Meta>,
    state: KeyState,
    /// All derivations of a root key are run, each for a candidate of its own; of another key the
    /// next one is run when the one before came to nothing.
    root: bool,
    /// The derivations that have no job, newest first.
    rest: Option<list::Iter<'a, Arc<Derivation>>>,
    /// The jobs, newest derivation first.
    jobs: Vec<usize>,
    /// How many of `jobs`, from the front, came to nothing.
    failed: usize,
    /// Which jobs wait for it, and with which of their inputs.
    waiting: Vec<(usize, usize)>,
}

enum KeyState {
    Open,
    Found(Value),
    Failed,
}

/// A derivation at work.
struct Job<'a> {
    key: usize,
    derivation: &'a Derivation,
    inputs: Vec<Awaited>,
    /// How many inputs still wait.
    pending: usize,
    state: JobState,
    /// The required key that it lacked.
    lacked: Option<usize>,
    end: End,
}

/// An input of a job.
#[derive(Clone, Copy)]
enum Awaited {
    /// Waits for this key.
    Key(usize),
    /// Takes what this key came to.
    Settled(usize),
    /// Was not asked for, or leads back to the job: it is left empty.
    Empty,
}

enum JobState {
    Waiting,
    Running,
    Produced(Value),
    Failed,
}

/// Why a job came to nothing.
#[derive(Clone, Copy)]
enum Fault {
    /// It lacked this key.
    Lacked(usize),
    /// It belongs to this cycle.
    Cyclic(usize),
}

/// Where the chain of lacking keys that starts at a failed job ends.
#[derive(Clone, Copy)]
struct End {
    /// How many keys are in the chain.
    length: usize,
    key: usize,
    /// The job that failed for a reason of its own; `None` when the last key has no binding.
    job: Option<usize>,
}

impl<'a> Solver<'a> {
    /// A solver for `roots`, which are known to `ctx`; their order is the order of their jobs.
    pub(crate) fn new(
        ctx: &'a Ctx,
        clock: Clock<'a>,
        roots: impl Iterator<Item = &'a Slot>,
    ) -> Self {
        let mut solver = Self {
            ctx,
            clock,
            keys: Vec::new(),
            index: BTreeMap::new(),
            jobs: Vec::new(),
            derived: Vec::new(),
            cycles: Vec::new(),
            fresh: VecDeque::new(),
            settled: VecDeque::new(),
            running: Set::new(),
            tasks: Vec::new(),
            open: 0,
            search: knot::Search::new(),
        };
        for slot in roots {
            let key = solver.add_key(&slot.meta, Some(slot));
            solver.keys[key].root = true;
            solver.keys[key].rest = None;
            for derivation in slot.derivations.iter() {
                solver.add_job(key, derivation);
                solver.open += 1;
            }
        }
        solver
    }

    /// Works until every job of a root key is done.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.settle();
            if self.open == 0 {
                return Poll::Ready(());
            }
            match self.running.poll_next(cx) {
                Poll::Ready(Some((task, produced))) => self.complete(self.tasks[task], produced),
                Poll::Ready(None) => self.open_knot(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The job of the `rank`th newest derivation of a root key.
    pub(crate) fn root_job(&self, root: Id, rank: usize) -> Option<usize> {
        self.keys[*self.index.get(&root)?].jobs.get(rank).copied()
    }

    /// What a job produced.
    pub(crate) fn product(&self, job: usize) -> Option<&Value> {
        match &self.jobs[job].state {
            JobState::Produced(value) => Some(value),
            _ => None,
        }
    }

    /// What was found for the keys that were asked for, by ascending key.
    pub(crate) fn found(&self) -> Vec<(Id, Value)> {
        let found = self.index.iter().filter_map(|(id, key)| match &self.keys[*key].state {
            KeyState::Found(value) => Some((*id, value.clone())),
            _ => None,
        });
        found.collect()
    }

    /// Does all that follows without waiting: tells jobs of settled keys, asks for the needs of
    /// new jobs, starts those that wait for nothing.
    fn settle(&mut self) {
        loop {
            if let Some(key) = self.settled.pop_front() {
                self.tell(key);
            } else if let Some(job) = self.fresh.pop_front() {
                self.expand(job);
            } else {
                return;
            }
        }
    }

    /// The node of a key, which is settled at once when the key has a value or no binding.
    fn demand(&mut self, meta: &'a Arc<Meta>) -> usize {
        match self.index.get(&meta.id) {
            Some(key) => *key,
            None => {
                let key = self.add_key(meta, self.ctx.slot(meta.id));
                self.advance(key);
                key
            }
        }
    }

    fn add_key(&mut self, meta: &'a Arc<Meta>, slot: Option<&'a Slot>) -> usize {
        let value = slot.and_then(|slot| slot.values.newest());
        let key = self.keys.len();
        self.keys.push(KeyNode {
            meta,
            state: value.map_or(KeyState::Open, |value| KeyState::Found(value.clone())),
            root: false,
            rest: slot.map(|slot| slot.derivations.iter()),
            jobs: Vec::new(),
            failed: 0,
            waiting: Vec::new(),
        });
        self.index.insert(meta.id, key);
        key
    }

    fn add_job(&mut self, key: usize, derivation: &'a Derivation) {
        let job = self.jobs.len();
        let node = &mut self.keys[key];
        self.derived.push(Derived {
            key: node.meta.name.clone(),
            rank: node.jobs.len(),
            inputs: Vec::new(),
            span: Span::default(),
            outcome: Outcome::Unfinished,
        });
        node.jobs.push(job);
        self.jobs.push(Job {
            key,
            derivation,
            inputs: Vec::new(),
            pending: 0,
            state: JobState::Waiting,
            lacked: None,
            end: End { length: 1, key, job: Some(job) },
        });
        self.fresh.push_back(job);
    }

    /// Asks for the needs of a new job.
    fn expand(&mut self, job: usize) {
        let needs = &self.jobs[job].derivation.needs;
        // what has no binding cannot come: then nothing else is asked for in vain
        let unbound = needs.iter().find(|need| {
            matches!(need.kind, NeedKind::Required) && self.ctx.slot(need.meta.id).is_none()
        });
        if let Some(need) = unbound {
            let key = self.demand(&need.meta);
            return self.fail(job, Fault::Lacked(key));
        }
        for (input, need) in needs.iter().enumerate() {
            let key = self.demand(&need.meta);
            let awaited = match self.keys[key].state {
                KeyState::Open => {
                    self.keys[key].waiting.push((job, input));
                    self.jobs[job].pending += 1;
                    Awaited::Key(key)
                }
                KeyState::Failed if matches!(need.kind, NeedKind::Required) => {
                    return self.fail(job, Fault::Lacked(key));
                }
                KeyState::Failed | KeyState::Found(_) => Awaited::Settled(key),
            };
            self.jobs[job].inputs.push(awaited);
        }
        if self.jobs[job].pending == 0 {
            self.start(job);
        }
    }

    /// Tells the jobs that wait for `key` that it is settled.
    fn tell(&mut self, key: usize) {
        let failed = matches!(self.keys[key].state, KeyState::Failed);
        for (job, input) in core::mem::take(&mut self.keys[key].waiting) {
            let at = &mut self.jobs[job];
            let waits = matches!(at.inputs[input], Awaited::Key(_));
            if !waits || !matches!(at.state, JobState::Waiting) {
                continue;
            }
            let required = matches!(at.derivation.needs[input].kind, NeedKind::Required);
            if failed && required {
                self.fail(job, Fault::Lacked(key));
            } else {
                self.fill(job, input, Awaited::Settled(key));
            }
        }
    }

    /// Ends the waiting for one input, and starts the job when it was the last one.
    fn fill(&mut self, job: usize, input: usize, with: Awaited) {
        let at = &mut self.jobs[job];
        at.inputs[input] = with;
        at.pending -= 1;
        if at.pending == 0 {
            self.start(job);
        }
    }

    fn start(&mut self, job: usize) {
        self.note_inputs(job);
        let found: Vec<Option<Value>> =
            self.jobs[job].inputs.iter().map(|input| self.input(*input).cloned()).collect();
        let now = self.clock.now();
        self.derived[job].span = Span { start: now, end: now };
        self.jobs[job].state = JobState::Running;
        let Some(future) = self.jobs[job].derivation.start(&found) else {
            return self.complete(job, Err(None));
        };
        let task = self.running.insert(future);
        self.tasks.resize(self.tasks.len().max(task + 1), job);
        self.tasks[task] = job;
    }

    /// Takes what a job gave.
    fn complete(&mut self, job: usize, produced: Produced<Value>) {
        let key = self.jobs[job].key;
        self.derived[job].span.end = self.clock.now();
        (self.jobs[job].state, self.derived[job].outcome) = match produced {
            Ok(value) => {
                let meta = Arc::clone(self.keys[key].meta);
                let shown = Shown { meta, value: value.clone() };
                (JobState::Produced(value), Outcome::Produced(shown))
            }
            Err(None) => (JobState::Failed, Outcome::Nothing),
            Err(Some(error)) => (JobState::Failed, Outcome::Failed(error)),
        };
        self.done(key);
    }

    /// Fails a job that is not run.
    fn fail(&mut self, job: usize, fault: Fault) {
        let now = self.clock.now();
        self.note_inputs(job);
        self.derived[job].span = Span { start: now, end: now };
        self.derived[job].outcome = match fault {
            Fault::Lacked(key) => Outcome::Lacked(self.keys[key].meta.name.clone()),
            Fault::Cyclic(cycle) => Outcome::Cyclic(cycle),
        };
        if let Fault::Lacked(lacked) = fault {
            let below = self.keys[lacked].jobs.first().map(|job| self.jobs[*job].end);
            let below = below.unwrap_or(End { length: 1, key: lacked, job: None });
            self.jobs[job].lacked = Some(lacked);
            self.jobs[job].end = End { length: below.length + 1, ..below };
        }
        self.jobs[job].state = JobState::Failed;
        self.done(self.jobs[job].key);
    }

    /// A job of `key` is done.
    fn done(&mut self, key: usize) {
        if self.keys[key].root {
            self.open -= 1;
        }
        self.advance(key);
    }

    /// Settles `key` when its newest binding that did not fail has given a value, or when none is
    /// left; sets the next derivation to work when the ones before it failed.
    fn advance(&mut self, key: usize) {
        let node = &mut self.keys[key];
        if !matches!(node.state, KeyState::Open) {
            return;
        }
        while let Some(job) = node.jobs.get(node.failed) {
            match &self.jobs[*job].state {
                JobState::Failed => node.failed += 1,
                JobState::Produced(value) => {
                    node.state = KeyState::Found(value.clone());
                    return self.settled.push_back(key);
                }
                JobState::Waiting | JobState::Running => return,
            }
        }
        match node.rest.as_mut().and_then(Iterator::next) {
            Some(derivation) => self.add_job(key, derivation),
            None => {
                node.state = KeyState::Failed;
                self.settled.push_back(key);
            }
        }
    }

    /// What there is for an input now.
    fn input(&self, input: Awaited) -> Option<&Value> {
        match input {
            Awaited::Key(key) | Awaited::Settled(key) => match &self.keys[key].state {
                KeyState::Found(value) => Some(value),
                KeyState::Open | KeyState::Failed => None,
            },
            Awaited::Empty => None,
        }
    }
}
