//! Connecting the candidates of a plan, one after the other or in a race.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;

use crate::ctx::Ctx;
use crate::error::{ConnectError, ConnectFailure, PlanError, PlanFailure, ResolveError};
use crate::flow::BoxFlow;
use crate::join::Set;
use crate::key::{Id, Value};
use crate::plan::Plan;
use crate::policy::{Alarm, Clock, Policy};
use crate::registry::{Dialed, Registry};
use crate::report::{Attempt, AttemptResult, Report, Span};

/// A connected flow, and how it came about.
#[derive(Debug)]
pub struct Connected {
    /// The flow.
    pub flow: BoxFlow,
    /// The name under which its protocol was registered.
    pub protocol: &'static str,
    /// What happened.
    pub report: Report,
}

impl Registry {
    /// Connects the candidates of `plan` in order until one succeeds; those of equal priority in
    /// a race, where the policy has a stagger.
    ///
    /// The attempts' times count from this call. Dropping the future drops every attempt.
    ///
    /// # Errors
    /// [`ConnectFailure`] says which; the report has each attempt with its cause.
    pub async fn connect(&self, plan: &Plan, policy: &Policy) -> Result<Connected, ConnectError> {
        let report = plan.report.clone();
        if policy.lacks_timer() {
            return Err(ConnectError { kind: ConnectFailure::NoTimer, report: Box::new(report) });
        }
        let clock = policy.clock();
        let mut alarm = Alarm::new(clock, policy.deadline);
        self.connect_until(&plan.endpoints, report, clock, &mut alarm, policy.stagger).await
    }

    /// Finds the candidates and connects them: [`plan`](Self::plan), then
    /// [`connect`](Self::connect), under one deadline and in one report.
    ///
    /// Dropping the future drops all that is under way.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn resolve(&self, ctx: &Ctx, policy: &Policy) -> Result<Connected, ResolveError> {
        if policy.lacks_timer() {
            let (kind, report) = (PlanFailure::NoTimer, Box::default());
            return Err(PlanError { kind, report }.into());
        }
        let clock = policy.clock();
        let mut alarm = Alarm::new(clock, policy.deadline);
        let Plan { endpoints, report, .. } = self.plan_until(ctx, clock, &mut alarm).await?;
        let connected =
            self.connect_until(&endpoints, report, clock, &mut alarm, policy.stagger).await?;
        Ok(connected)
    }

    async fn connect_until(
        &self,
        endpoints: &[(Id, Value)],
        report: Report,
        clock: Clock<'_>,
        alarm: &mut Alarm<'_>,
        stagger: Option<Duration>,
    ) -> Result<Connected, ConnectError> {
        let mut race = Race {
            registry: self,
            endpoints,
            report,
            clock,
            stagger,
            next: 0,
            gap: Alarm::new(clock, None),
            running: Set::new(),
            attempts: Vec::new(),
        };
        let end = poll_fn(|cx| match race.poll(cx) {
            Poll::Pending if alarm.poll(cx) => Poll::Ready(Err(ConnectFailure::TimedOut)),
            polled => polled,
        });
        let end = end.await;
        race.end(end)
    }
}

/// The attempts of one connect.
struct Race<'a> {
    registry: &'a Registry,
    endpoints: &'a [(Id, Value)],
    report: Report,
    clock: Clock<'a>,
    stagger: Option<Duration>,
    /// The candidate to start next.
    next: usize,
    /// When it starts beside the ones that run.
    gap: Alarm<'a>,
    running: Set<'a, Dialed>,
    /// The attempt of each task in `running`.
    attempts: Vec<usize>,
}

impl Race<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<BoxFlow, ConnectFailure>> {
        loop {
            match self.running.poll_next(cx) {
                Poll::Ready(Some((task, Ok(flow)))) => {
                    self.finish(task, AttemptResult::Connected);
                    self.report.winner = Some(self.attempts[task]);
                    return Poll::Ready(Ok(flow));
                }
                Poll::Ready(Some((task, Err(error)))) => {
                    self.finish(task, AttemptResult::Failed(error));
                    if !self.running.is_empty() && self.next_races() {
                        self.start();
                    }
                }
                Poll::Ready(None) if self.next == self.endpoints.len() => {
                    return Poll::Ready(Err(ConnectFailure::AllFailed));
                }
                Poll::Ready(None) => self.start(),
                Poll::Pending if self.next_races() && self.gap.poll(cx) => self.start(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether the next candidate may run beside those that were started last.
    fn next_races(&self) -> bool {
        let plan = &self.report.plan;
        let last = self.next.checked_sub(1).and_then(|last| plan.get(last));
        let pair = last.zip(plan.get(self.next));
        self.stagger.is_some() && pair.is_some_and(|(last, next)| last.priority == next.priority)
    }

    /// Starts the next candidate.
    fn start(&mut self) {
        let (id, endpoint) = &self.endpoints[self.next];
        let candidate = &self.report.plan[self.next];
        let now = self.clock.now();
        self.report.attempts.push(Attempt {
            candidate: self.next,
            protocol: candidate.protocol,
            endpoint: candidate.endpoint.clone(),
            span: Span { start: now, end: now },
            result: AttemptResult::Unregistered,
        });
        self.next += 1;
        let Some(dialing) = self.registry.entry(*id).and_then(|entry| entry.connect(endpoint))
        else {
            self.gap = Alarm::new(self.clock, Some(now));
            return;
        };
        let task = self.running.insert(dialing);
        let attempt = self.report.attempts.len() - 1;
        self.report.attempts[attempt].result = AttemptResult::Cancelled;
        self.attempts.resize(self.attempts.len().max(task + 1), attempt);
        self.attempts[task] = attempt;
        self.gap = Alarm::new(self.clock, self.stagger.map(|stagger| now.saturating_add(stagger)));
    }

    fn finish(&mut self, task: usize, result: AttemptResult) {
        let attempt = &mut self.report.attempts[self.attempts[task]];
        attempt.span.end = self.clock.now();
        attempt.result = result;
    }

    /// Drops what still runs and closes the report.
    fn end(self, end: Result<BoxFlow, ConnectFailure>) -> Result<Connected, ConnectError> {
        let Self { mut report, clock, running, .. } = self;
        drop(running);
        let now = clock.now();
        for attempt in &mut report.attempts {
            // those still under way are marked as cancelled from their start on
            if let AttemptResult::Cancelled = attempt.result {
                attempt.span.end = now;
                if let Err(ConnectFailure::TimedOut) = end {
                    attempt.result = AttemptResult::TimedOut;
                }
            }
        }
        report.span.end = now;
        match end {
            Ok(flow) => Ok(Connected { protocol: flow.protocol(), flow, report }),
            Err(kind) => Err(ConnectError { kind, report: Box::new(report) }),
        }
    }
}
