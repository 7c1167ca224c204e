//! Machines that break down or do not end by themselves.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::lab::Lab;
use crate::check::host_tool::{inner_of, is_alive};
use crate::check::runner::{Feed, Output, run_command};
use crate::manifest::Target;

/// Each ends the machine with the exit code of a breakdown, and says why.
pub fn faults(_: &mut Lab, target: Target) -> Result<String> {
    for (test, said) in [("panic", "as asked"), ("null", "fault")] {
        let mut command = selftest(target, "60s");
        command.arg(test);
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(70), "{test}: exit {:?}: {}", output.exit, output.stderr);
        ensure!(output.stderr.contains(said), "{test}: it said: {}", output.stderr);
    }
    Ok(String::new())
}

/// At the limit nothing of it is left.
pub fn limit(_: &mut Lab) -> Result<String> {
    let mut command = selftest(Target::Uhyve, "2s");
    command.args(["idle", "100"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let until = Instant::now() + Duration::from_secs(20);
    let mut inner = None;
    while inner.is_none() && Instant::now() < until {
        inner = inner_of(child.id());
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(124), "{}: {said}", output.status);
    ensure!(said.contains("--kill-after"), "it said: {said}");
    ensure!(inner.is_some_and(|pid| !is_alive(pid)), "process {inner:?} is left");
    Ok(String::new())
}

/// The program of the machine's tests, to be given a test's name.
fn selftest(target: Target, limit: &str) -> Command {
    let mut command = run_command();
    command.args([format!("--target={target}"), "--accel=kvm".into(), "--image=selftest".into()]);
    command.args(["--net=none", &format!("--kill-after={limit}"), "--"]).stdin(Stdio::null());
    command
}
