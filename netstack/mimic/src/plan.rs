//! The plan: which candidates there are, in which order.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use crate::ctx::{Ctx, Slot};
use crate::error::{PlanError, PlanFailure};
use crate::key::{Id, Key, Shown, Value};
use crate::policy::{Alarm, Clock, Policy};
use crate::registry::{Entry, Registry};
use crate::report::{Candidate, Given, Lack, Missing, Origin, Report};
use crate::solve::Solver;

/// The candidates of one resolution in the order in which they are connected.
///
/// A plan can be connected more than once; its derivations are not run again.
#[derive(Clone)]
pub struct Plan {
    /// The endpoints of the report's candidates, at the same index.
    pub(crate) endpoints: Vec<(Id, Value)>,
    pub(crate) report: Report,
    ctx: Ctx,
    /// What was found for the keys that were asked for, by ascending key.
    found: Vec<(Id, Value)>,
}

impl Plan {
    /// The candidates in order; at least one.
    pub fn candidates(&self) -> &[Candidate] {
        &self.report.plan
    }

    /// What happened until the plan was made.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The value of `key` in this resolution: the newest one given, else the one derived. `None`
    /// when there is neither, and when nothing asked for the key.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Option<Arc<T>> {
        match self.found.binary_search_by_key(&key.id(), |(id, _)| *id) {
            Ok(index) => self.found[index].1.typed(),
            Err(_) => self.ctx.get(key),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.report.plan).finish()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

impl Registry {
    /// Finds the candidates for a connection: runs the derivations that the protocols' endpoints
    /// need, independent ones at once and each at most once, and puts the endpoints in order.
    ///
    /// Dropping the future drops every derivation under way.
    ///
    /// # Errors
    /// [`PlanFailure`] says which. When it is that there is no candidate, the report says for
    /// each protocol what it lacks.
    pub async fn plan(&self, ctx: &Ctx, policy: &Policy) -> Result<Plan, PlanError> {
        if policy.lacks_timer() {
            return Err(PlanError { kind: PlanFailure::NoTimer, report: Box::default() });
        }
        let clock = policy.clock();
        self.plan_until(ctx, clock, &mut Alarm::new(clock, policy.deadline)).await
    }

    pub(crate) async fn plan_until(
        &self,
        ctx: &Ctx,
        clock: Clock<'_>,
        alarm: &mut Alarm<'_>,
    ) -> Result<Plan, PlanError> {
        let roots = self.roots(ctx);
        let mut solver = Solver::new(ctx, clock, roots.iter().filter_map(|root| root.slot));
        let in_time = poll_fn(|cx| match solver.poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if alarm.poll(cx) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        let in_time = in_time.await;
        solver.finish();

        let mut report =
            Report { timed: clock.is_timed(), values: given(ctx), ..Report::default() };
        let mut endpoints = Vec::new();
        for class in roots.chunk_by(|a, b| a.entry.priority == b.entry.priority) {
            list_class(class, &solver, &mut report, &mut endpoints);
        }
        let found = solver.found();
        report.derivations = solver.derived;
        report.cycles = solver.cycles;
        report.span.end = clock.now();

        let kind = if !in_time {
            PlanFailure::TimedOut
        } else if !endpoints.is_empty() {
            return Ok(Plan { endpoints, report, ctx: ctx.clone(), found });
        } else if report.missing.iter().any(|missing| matches!(missing.cause, Lack::Cyclic(_))) {
            PlanFailure::Cycle
        } else {
            PlanFailure::NoCandidate
        };
        Err(PlanError { kind, report: Box::new(report) })
    }

    /// The protocols in the order in which their endpoints are listed: by priority, those that
    /// have bindings first, these by the place of their key in the context.
    fn roots<'a>(&'a self, ctx: &'a Ctx) -> Vec<Root<'a>> {
        let entries = self.entries();
        let mut roots: Vec<Root<'_>> =
            entries.map(|entry| Root { entry, slot: ctx.slot(entry.endpoint.id) }).collect();
        roots.sort_unstable_by_key(|Root { entry, slot }| {
            let place = slot.map_or(entry.place, |slot| slot.place);
            (entry.priority.is_none(), entry.priority, slot.is_none(), place)
        });
        roots
    }
}

/// A protocol and the bindings of its endpoint.
struct Root<'a> {
    entry: &'a Arc<Entry>,
    slot: Option<&'a Slot>,
}

/// Lists what the protocols of one priority have: given endpoints first, then derived ones, and
/// what is missing.
fn list_class(
    class: &[Root<'_>],
    solver: &Solver<'_>,
    report: &mut Report,
    endpoints: &mut Vec<(Id, Value)>,
) {
    let bound = || class.iter().filter_map(|root| Some((root.entry, root.slot?)));
    let mut add = |entry: &Entry, value: &Value, origin| {
        endpoints.push((entry.endpoint.id, value.clone()));
        let endpoint = Shown { meta: Arc::clone(&entry.endpoint), value: value.clone() };
        let (protocol, priority) = (entry.name, entry.priority);
        report.plan.push(Candidate { protocol, priority, endpoint, origin });
    };
    for (entry, slot) in bound() {
        for (rank, value) in slot.values.iter().enumerate() {
            add(entry, value, Origin::Value(rank));
        }
    }
    for (entry, slot) in bound() {
        for rank in 0..slot.derivations.len() {
            let Some(job) = solver.root_job(entry.endpoint.id, rank) else { continue };
            if let Some(value) = solver.product(job) {
                add(entry, value, Origin::Derivation(job));
                continue;
            }
            let (chain, elided, cause) = solver.lack(job);
            let (protocol, priority) = (entry.name, entry.priority);
            let derivation = Some(job);
            report.missing.push(Missing { protocol, priority, derivation, chain, elided, cause });
        }
    }
    for Root { entry, .. } in class.iter().filter(|root| root.slot.is_none()) {
        report.missing.push(Missing {
            protocol: entry.name,
            priority: entry.priority,
            derivation: None,
            chain: Vec::from([entry.endpoint.name.clone()]),
            elided: 0,
            cause: Lack::NotGiven,
        });
    }
}

/// The values of a context.
fn given(ctx: &Ctx) -> Vec<Given> {
    let mut given = Vec::new();
    for slot in ctx.in_order() {
        given.extend(slot.values.iter().map(|value| Given {
            key: slot.meta.name.clone(),
            value: Shown { meta: Arc::clone(&slot.meta), value: value.clone() },
        }));
    }
    given
}
