//! What happened in a resolution, as plain data.
//!
//! A report has public fields only and its `Display` writes it in readable form. All times count
//! from the start of the resolution and are zero when the [`Policy`](crate::Policy) has no timer.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::time::Duration;

use crate::key::{Name, Shown};

mod text;

/// What happened in a resolution.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whether there was a clock; without one all times are zero.
    pub timed: bool,
    /// From the start of the resolution to its result.
    pub span: Span,
    /// The values known at the start: keys in the order of their places in the context, the
    /// values of one key newest first.
    pub values: Vec<Given>,
    /// The derivations that were tried, in the order in which they were first looked at.
    pub derivations: Vec<Derived>,
    /// The candidates, in the order in which they are connected.
    pub plan: Vec<Candidate>,
    /// The candidates that could not be made, in the order that they would have.
    pub missing: Vec<Missing>,
    /// The circles of derivations that were met.
    pub cycles: Vec<Cycle>,
    /// The candidates that were connected, in the order in which they were started.
    pub attempts: Vec<Attempt>,
    /// Which of the attempts won.
    pub winner: Option<usize>,
}

/// From when to when something took place, since the start of the resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
}

impl Span {
    /// How long it took.
    pub fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// A value known at the start.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its key.
    pub key: Name,
    /// The value, written as its key says.
    pub value: Shown,
}

/// A derivation that was tried.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The key that it derives.
    pub key: Name,
    /// Which derivation of that key it is: 0 is the newest.
    pub rank: usize,
    /// Its arguments in order, with those of nested ones.
    pub inputs: Vec<Input>,
    /// When it was run; both ends are the same moment when it never was.
    pub span: Span,
    /// What came of it.
    pub outcome: Outcome,
}

/// An argument of a derivation.
#[derive(Clone, Debug)]
pub struct Input {
    /// The key asked for.
    pub key: Name,
    /// How it was asked for.
    pub kind: InputKind,
    /// What the derivation got, a default included; `None` when it got nothing.
    pub value: Option<Shown>,
}

/// How an argument asks for its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// By `req`.
    Required,
    /// By `opt`.
    Optional,
    /// By `default`, and the key was produced.
    Default,
    /// By `default`, and the default was taken.
    Defaulted,
}

/// What came of a derivation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// This value.
    Produced(Shown),
    /// It ran and gave `None`.
    Nothing,
    /// It ran and gave this error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It was not run since this required key could not be produced.
    Lacked(Name),
    /// It was not run since it leads back to its own key: this one of the report's cycles.
    Cyclic(usize),
    /// It was waiting or running when the resolution ended.
    Unfinished,
}

/// A protocol with an endpoint to connect to.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The name under which the protocol was registered.
    pub protocol: &'static str,
    /// Its priority; lower comes first, `None` last.
    pub priority: Option<u32>,
    /// Where to connect to.
    pub endpoint: Shown,
    /// Where the endpoint comes from.
    pub origin: Origin,
}

/// Where a candidate's endpoint comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A value of the context; 0 is the newest one of the key.
    Value(usize),
    /// This one of the report's derivations.
    Derivation(usize),
}

/// A protocol for which an endpoint could not be made.
#[derive(Clone, Debug)]
pub struct Missing {
    /// The name under which the protocol was registered.
    pub protocol: &'static str,
    /// Its priority.
    pub priority: Option<u32>,
    /// Which of the report's derivations came to nothing; `None` when the endpoint has no binding.
    pub derivation: Option<usize>,
    /// From the endpoint's key, each needing the next, to the one that `cause` speaks of. Of a
    /// very long chain the middle is left out.
    pub chain: Vec<Name>,
    /// How many keys were left out before the last one of `chain`.
    pub elided: usize,
    /// Why the last key of `chain` could not be produced.
    pub cause: Lack,
}

/// Why a key could not be produced.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lack {
    /// It has no binding.
    NotGiven,
    /// Its derivation gave `None`.
    Nothing,
    /// Its derivation gave this error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It can only be made from itself.
    Cyclic(Cycle),
    /// The resolution ended before it was known.
    Unfinished,
}

/// Keys that are derived from one another: each needs the next, and the last needs the first.
#[derive(Clone, Debug)]
pub struct Cycle {
    /// The keys in order, each once.
    pub keys: Arc<[Name]>,
}

/// A candidate that was connected, or tried to be.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which of the plan's candidates.
    pub candidate: usize,
    /// The name under which the protocol was registered.
    pub protocol: &'static str,
    /// Where it connected to.
    pub endpoint: Shown,
    /// When it was started, and when it ended.
    pub span: Span,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AttemptResult {
    /// It connected, and won.
    Connected,
    /// The protocol gave this error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It was dropped since another one won the race.
    Cancelled,
    /// It was dropped since the deadline was over.
    TimedOut,
    /// The protocol was unregistered since the plan was made.
    Unregistered,
}

impl AttemptResult {
    /// What the protocol said, when it failed.
    pub fn error(&self) -> Option<&Arc<dyn Error + Send + Sync>> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}
