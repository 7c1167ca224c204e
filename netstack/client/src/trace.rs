//! What happened on the way to a flow and over it: the part of a report that the registry cannot know.

use core::fmt;
use core::time::Duration;
use spin::Mutex;
use stack::Instant;
use std::sync::Arc;

/// Collects steps and counts octets. Cheap to clone; all clones collect into one.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    steps: Vec<Step>,
    traffic: Traffic,
}

/// The payload that went over the flow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    /// Octets to the peer.
    pub sent: u64,
    /// Octets from the peer.
    pub received: u64,
    /// When the first of these, or the head of an answer, was there.
    pub first_byte: Option<Instant>,
}

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
        self.0.lock().steps.push(step);
    }

    /// All steps so far, in the order of their ends.
    pub fn steps(&self) -> Vec<Step> {
        self.0.lock().steps.clone()
    }

    /// Counts payload octets to the peer.
    pub fn sent(&self, octets: usize) {
        self.0.lock().traffic.sent += octets as u64;
    }

    /// Counts payload octets from the peer, there at `now`; 0 for the head of an answer.
    pub fn received(&self, now: Instant, octets: usize) {
        let traffic = &mut self.0.lock().traffic;
        traffic.received += octets as u64;
        traffic.first_byte.get_or_insert(now);
    }

    /// What was counted so far.
    pub fn traffic(&self) -> Traffic {
        self.0.lock().traffic
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
