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
    payload: Option<Payload>,
    watch: Option<Watch>,
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

/// What is being printed, as far as it came from the peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Payload {
    /// Octets so far.
    pub octets: u64,
    /// Octets of the whole, where the peer said.
    pub total: Option<u64>,
}

/// Told of a payload with the moment, often; must not use the trace.
pub type Watch = Box<dyn FnMut(Instant, Payload) + Send>;

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
        let Inner { traffic, payload, watch, .. } = &mut *self.0.lock();
        traffic.received += octets as u64;
        traffic.first_byte.get_or_insert(now);
        if let (Some(payload), Some(watch)) = (payload, watch) {
            payload.octets += octets as u64;
            watch(now, *payload);
        }
    }

    /// What is received from `now` on is to be printed, and what `begun` counts already.
    pub fn expect(&self, now: Instant, begun: Payload) {
        let Inner { payload, watch, .. } = &mut *self.0.lock();
        *payload = Some(begun);
        if let Some(watch) = watch {
            watch(now, begun);
        }
    }

    /// Has `watch` told of every payload. What comes before one (negotiations, redirects) it does not see.
    pub fn watch(&self, watch: Watch) {
        self.0.lock().watch = Some(watch);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_told_of_and_nothing_before_it() {
        let trace = Trace::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = told.clone();
        let at = Instant::from_millis;
        let payload = |octets, total| Payload { octets, total };
        trace.watch(Box::new(move |now, payload| seen.lock().push((now, payload))));
        trace.received(at(1), 5);
        trace.expect(at(2), payload(0, Some(9)));
        trace.received(at(3), 4);
        trace.received(at(4), 5);
        trace.expect(at(5), payload(3, None));
        trace.received(at(6), 1);
        let expected = [
            (at(2), payload(0, Some(9))),
            (at(3), payload(4, Some(9))),
            (at(4), payload(9, Some(9))),
            (at(5), payload(3, None)),
            (at(6), payload(4, None)),
        ];
        assert_eq!(*told.lock(), expected);
        assert_eq!(trace.traffic().received, 15);
    }
}
