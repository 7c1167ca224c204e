//! What happened on the way to a flow, step by step: the part of a report that the registry cannot know.

use core::fmt;
use core::time::Duration;
use spin::Mutex;
use stack::Instant;
use std::sync::Arc;

/// Collects steps. Cheap to clone; all clones collect into one list.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<Step>>>);

/// One step, ended.
#[derive(Debug, Clone)]
pub struct Step {
    /// `network`, `dns`, `tcp`, `tls`, …
    pub kind: &'static str,
    /// What was tried: a name, an address.
    pub subject: String,
    /// When it began.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
    /// What came of it, in words.
    pub outcome: Result<String, String>,
}

impl Step {
    /// How long it took.
    pub fn took(&self) -> Duration {
        self.end - self.start
    }
}

impl Trace {
    /// Adds an ended step.
    pub fn push(&self, step: Step) {
        self.0.lock().push(step);
    }

    /// All steps so far, in the order of their ends.
    pub fn steps(&self) -> Vec<Step> {
        self.0.lock().clone()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.took().as_secs_f64() * 1000.0;
        let (mark, text) = match &self.outcome {
            Ok(text) => ("ok", text),
            Err(text) => ("failed", text),
        };
        write!(f, "{:<8} {:<28} {mark:<6} {milliseconds:>9.3} ms  {text}", self.kind, self.subject)
    }
}
