//! `--explain`: how the flow was found, for a reader.

use client::trace::Trace;
use core::fmt::Write as _;
use mimic::Report;

/// The registry's report, then the steps below it.
pub fn text(report: &Report, trace: &Trace) -> String {
    let mut out = report.to_string();
    if !out.ends_with('\n') {
        out.push('\n');
    }
    let steps = trace.steps();
    if !steps.is_empty() {
        out.push_str("steps\n");
    }
    for step in steps {
        let _ = writeln!(out, "  {step}");
    }
    out
}
