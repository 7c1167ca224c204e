//! Why a resolution gave no flow.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

use crate::report::Report;

/// Why [`Registry::plan`](crate::Registry::plan) gave no plan.
#[derive(Clone, Debug)]
pub struct PlanError {
    /// What was the matter.
    pub kind: PlanFailure,
    /// What happened until then: what is missing, and why.
    pub report: Box<Report>,
}

/// What kept a plan from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanFailure {
    /// No protocol has an endpoint; the report's `missing` says what each lacks.
    NoCandidate,
    /// No protocol has an endpoint, and for one at least since its keys lead in a circle.
    Cycle,
    /// The deadline was over.
    TimedOut,
    /// The policy has a deadline or a stagger, and no timer to keep it with.
    NoTimer,
}

/// Why [`Registry::connect`](crate::Registry::connect) gave no flow.
#[derive(Clone, Debug)]
pub struct ConnectError {
    /// What was the matter.
    pub kind: ConnectFailure,
    /// What happened until then: each attempt with its cause.
    pub report: Box<Report>,
}

/// What kept a flow from being connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// Every candidate failed.
    AllFailed,
    /// The deadline was over.
    TimedOut,
    /// The policy has a deadline or a stagger, and no timer to keep it with.
    NoTimer,
}

/// Why [`Registry::resolve`](crate::Registry::resolve) gave no flow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ResolveError {
    /// There was no plan.
    Plan(PlanError),
    /// There was a plan, and nothing connected.
    Connect(ConnectError),
}

impl ResolveError {
    /// What happened.
    pub fn report(&self) -> &Report {
        match self {
            Self::Plan(error) => &error.report,
            Self::Connect(error) => &error.report,
        }
    }

    /// Whether the deadline was over.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Plan(error) => error.kind == PlanFailure::TimedOut,
            Self::Connect(error) => error.kind == ConnectFailure::TimedOut,
        }
    }
}

impl From<PlanError> for ResolveError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<ConnectError> for ResolveError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PlanFailure::NoCandidate | PlanFailure::Cycle => {
                f.write_str("no protocol has an endpoint")?;
                if self.report.missing.is_empty() {
                    f.write_str(": none is registered")?;
                }
                for (index, missing) in self.report.missing.iter().enumerate() {
                    f.write_str(if index == 0 { ": " } else { "; " })?;
                    missing.fmt(f)?;
                }
                Ok(())
            }
            PlanFailure::TimedOut => f.write_str("the deadline was over before a plan was made"),
            PlanFailure::NoTimer => f.write_str(NO_TIMER),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ConnectFailure::AllFailed => f.write_str("no candidate connected")?,
            ConnectFailure::TimedOut => {
                f.write_str("the deadline was over before a candidate connected")?;
            }
            ConnectFailure::NoTimer => return f.write_str(NO_TIMER),
        }
        for (index, attempt) in self.report.attempts.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            attempt.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
        }
    }
}

impl Error for PlanError {}

impl Error for ConnectError {}

impl Error for ResolveError {}

const NO_TIMER: &str = "the policy has a deadline or a stagger, and no timer to keep it with";
