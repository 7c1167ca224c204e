//! Connecting the candidates of a plan.

use alloc::boxed::Box;
use core::fmt;

use crate::ctx::Ctx;
use crate::error::{ConnectError, ConnectFailure, ResolveError};
use crate::flow::BoxFlow;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::registry::Registry;
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
    /// Connects the candidates of `plan` in order until one succeeds.
    pub async fn connect(&self, plan: &Plan, policy: &Policy) -> Result<Connected, ConnectError> {
        let mut report = plan.report.clone();
        if policy.lacks_timer() {
            return Err(ConnectError { kind: ConnectFailure::NoTimer, report: Box::new(report) });
        }
        for (index, (id, endpoint)) in plan.endpoints.iter().enumerate() {
            let candidate = &plan.report.plan[index];
            let mut attempt = Attempt {
                candidate: index,
                protocol: candidate.protocol,
                endpoint: candidate.endpoint.clone(),
                span: Span::default(),
                result: AttemptResult::Unregistered,
            };
            if let Some(dialing) = self.entry(*id).and_then(|entry| entry.connect(endpoint)) {
                match dialing.await {
                    Ok(flow) => {
                        attempt.result = AttemptResult::Connected;
                        report.winner = Some(report.attempts.len());
                        report.attempts.push(attempt);
                        let protocol = candidate.protocol;
                        return Ok(Connected { flow, protocol, report });
                    }
                    Err(error) => attempt.result = AttemptResult::Failed(error),
                }
            }
            report.attempts.push(attempt);
        }
        Err(ConnectError { kind: ConnectFailure::AllFailed, report: Box::new(report) })
    }

    /// Finds the candidates and connects them: [`plan`](Self::plan), then
    /// [`connect`](Self::connect).
    pub async fn resolve(&self, ctx: &Ctx, policy: &Policy) -> Result<Connected, ResolveError> {
        let plan = self.plan(ctx, policy).await?;
        Ok(self.connect(&plan, policy).await?)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}
