//! `--report=json`: the whole of one run as one JSON object; its form is docs/report.schema.json.

use client::Exit;
use client::trace::{Step, Trace};
use core::time::Duration;
use mimic::Report;
use mimic::report::{AttemptResult, InputKind, Lack, Origin, Outcome, Span};
use serde_json::{Value, json};
use stack::Instant;

/// What the report is made from.
pub struct Run<'a> {
    /// The target, without its password.
    pub target: &'a str,
    /// What the registry did.
    pub resolution: &'a Report,
    /// What happened below and above it.
    pub trace: &'a Trace,
    /// From the machine's start to the program's, where the machine knows it.
    pub boot: Option<Duration>,
    /// The program's end.
    pub end: Instant,
    /// How it ended.
    pub exit: Exit,
    /// Why, if not well.
    pub error: Option<String>,
}

/// The object, on one line.
pub fn text(run: &Run<'_>) -> String {
    let report = run.resolution;
    let steps = run.trace.steps();
    let traffic = run.trace.traffic();
    json!({
        "target": run.target,
        "values": report.values.iter().map(|given| json!({
            "key": given.key.as_str(),
            "value": given.value.to_string(),
        })).collect::<Vec<_>>(),
        "derivations": report.derivations.iter().map(derivation).collect::<Vec<_>>(),
        "plan": report.plan.iter().map(|candidate| json!({
            "protocol": candidate.protocol,
            "priority": candidate.priority,
            "endpoint": candidate.endpoint.to_string(),
            "origin": match candidate.origin {
                Origin::Value(rank) => json!({ "value": rank }),
                Origin::Derivation(index) => json!({ "derivation": index }),
            },
        })).collect::<Vec<_>>(),
        "missing": report.missing.iter().map(|missing| json!({
            "protocol": missing.protocol,
            "priority": missing.priority,
            "chain": names(&missing.chain),
            "cause": lack(&missing.cause),
        })).collect::<Vec<_>>(),
        "cycles": report.cycles.iter().map(|cycle| names(&cycle.keys)).collect::<Vec<_>>(),
        "attempts": report.attempts.iter().map(|attempt| json!({
            "protocol": attempt.protocol,
            "endpoint": attempt.endpoint.to_string(),
            "start_ms": milliseconds(attempt.span.start),
            "end_ms": milliseconds(attempt.span.end),
            "result": attempt_result(&attempt.result),
            "error": attempt.result.error().map(ToString::to_string),
        })).collect::<Vec<_>>(),
        "winner": report.winner.and_then(|index| report.attempts.get(index)).map(|attempt| attempt.protocol),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "boot_ms": run.boot.map(milliseconds),
        "network_ms": spent(&steps, "network"),
        "dns_ms": spent(&steps, "dns"),
        "connect_ms": spent(&steps, "tcp"),
        "handshake_ms": spent(&steps, "tls").or_else(|| spent(&steps, "ssh")),
        "first_byte_ms": traffic.first_byte.map(|at| milliseconds(at - Instant::ZERO)),
        "total_ms": milliseconds(run.end - Instant::ZERO),
        "bytes_in": traffic.received,
        "bytes_out": traffic.sent,
        "error": run.error,
        "exit": run.exit.code(),
    })
    .to_string()
}

fn derivation(derived: &mimic::report::Derived) -> Value {
    let (result, detail) = match &derived.outcome {
        Outcome::Produced(value) => ("produced", value.to_string()),
        Outcome::Nothing => ("nothing", String::new()),
        Outcome::Failed(error) => ("failed", error.to_string()),
        Outcome::Lacked(key) => ("lacked", key.to_string()),
        Outcome::Cyclic(_) => ("cyclic", String::new()),
        _ => ("unfinished", String::new()),
    };
    let inputs = derived.inputs.iter().map(|input| {
        json!({
            "key": input.key.as_str(),
            "kind": match input.kind {
                InputKind::Required => "required",
                InputKind::Optional => "optional",
                InputKind::Default => "default",
                InputKind::Defaulted => "defaulted",
            },
            "value": input.value.as_ref().map(ToString::to_string),
        })
    });
    let Span { start, end } = derived.span;
    json!({
        "key": derived.key.as_str(),
        "inputs": inputs.collect::<Vec<_>>(),
        "start_ms": milliseconds(start),
        "end_ms": milliseconds(end),
        "result": result,
        "detail": (!detail.is_empty()).then_some(detail),
    })
}

fn lack(cause: &Lack) -> String {
    match cause {
        Lack::NotGiven => "not given".into(),
        Lack::Nothing => "its derivation gave nothing".into(),
        Lack::Failed(error) => error.to_string(),
        Lack::Cyclic(cycle) => format!("cycle: {}", names(&cycle.keys).join(" → ")),
        _ => "unfinished".into(),
    }
}

fn attempt_result(result: &AttemptResult) -> &'static str {
    match result {
        AttemptResult::Connected => "connected",
        AttemptResult::Failed(_) => "failed",
        AttemptResult::Cancelled => "cancelled",
        AttemptResult::TimedOut => "timed out",
        _ => "unregistered",
    }
}

fn step(step: &Step) -> Value {
    let (ok, text) = match &step.outcome {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    json!({
        "kind": step.kind,
        "subject": step.subject,
        "start_ms": milliseconds(step.start - Instant::ZERO),
        "end_ms": milliseconds(step.end - Instant::ZERO),
        "ok": ok,
        "text": text,
    })
}

/// What all steps of one kind took, times at which several ran counted once; `null` where there were none.
fn spent(steps: &[Step], kind: &str) -> Option<f64> {
    let mut of_kind: Vec<_> = steps.iter().filter(|step| step.kind == kind).collect();
    of_kind.sort_by_key(|step| step.start);
    let mut until = of_kind.first()?.start;
    let mut sum = Duration::ZERO;
    for step in of_kind {
        sum += step.end - step.start.max(until);
        until = until.max(step.end);
    }
    Some(milliseconds(sum))
}

fn names(keys: &[mimic::Name]) -> Vec<&str> {
    keys.iter().map(mimic::Name::as_str).collect()
}

/// With microseconds behind the point.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_once() {
        let step = |kind, start, end| Step {
            kind,
            subject: String::new(),
            start: Instant::from_millis(start),
            end: Instant::from_millis(end),
            outcome: Ok(String::new()),
        };
        let steps =
            [step("dns", 0, 10), step("dns", 2, 12), step("tcp", 12, 99), step("dns", 20, 25)];
        assert_eq!(spent(&steps, "dns"), Some(17.0));
        assert_eq!(spent(&steps, "tcp"), Some(87.0));
        assert_eq!(spent(&steps, "tls"), None);
    }
}
