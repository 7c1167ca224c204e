//! The group `kvm`: machines on real KVM, under QEMU and under uhyve, behind a tap interface with real peers.
//!
//! ```text
//!   cargo image test kvm ── where KVM works ──▶ unshare --net --mount ─────────┐
//!                        └─ elsewhere ──▶ QEMU's emulation of a processor with ├─▶ cargo image test kvm --here
//!                           SVM, Linux in it with this very program (`rig`) ───┘
//! ```
//!
//! The tests themselves (`tests`) know nothing of that: they run as root in a network that nobody else uses.

mod lab;
mod rig;
mod tests;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Selection, Tally};
use crate::manifest::Manifest;
use crate::options::Accel;
use crate::workspace::Workspace;
use crate::{accel, compile, guard, uhyve};

/// What `--only` and the count call it.
pub const GROUP: &str = "kvm";

/// What is booted.
const IMAGES: [&str; 2] = ["default", "selftest"];

/// The longest that all of them may take, wherever they run.
const LIMIT: Duration = Duration::from_secs(240);

/// Runs the tests, in a place made for them or here.
pub fn run(workspace: &Workspace, selection: &Selection, tally: &mut Tally) -> Result<()> {
    if selection.here {
        return tests::run(workspace, selection, tally);
    }
    if !tests::any(selection) {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        tally.skipped(GROUP, "all", "it needs root");
        return Ok(());
    }
    let start = Instant::now();
    let place = build(workspace, selection).and_then(|()| place(workspace, selection));
    let outcome = place.and_then(|(command, _kept)| relay(command, tally));
    match outcome {
        Ok(true) => tally.passed(GROUP, "all of them ran", start),
        Ok(false) => tally.failed(GROUP, "all of them ran", "they were ended before their own end"),
        Err(error) => tally.failed(GROUP, "a place to run", &format!("{error:#}")),
    }
    Ok(())
}

fn build(workspace: &Workspace, selection: &Selection) -> Result<()> {
    uhyve::find_or_install(workspace, false)?;
    if !selection.no_build {
        for name in IMAGES {
            let manifest = Manifest::read(workspace, name)?;
            compile::image(workspace, name, &manifest, false)?;
        }
    }
    Ok(())
}

/// The command that runs this group `--here` in another place, and what has to be kept until it has ended.
fn place(workspace: &Workspace, selection: &Selection) -> Result<(Command, Option<rig::Rig>)> {
    if accel::uses_kvm(Accel::Auto)? {
        let mut command = guard::command("unshare");
        command
            // sysfs shows the network of whoever mounted it
            .args(["--net", "--mount", "--", "sh", "-c"])
            .args(["mount -t sysfs sysfs /sys && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().context("where this program is")?);
        command.args(["test", GROUP, "--here"]);
        command.args(selection.only.iter().flat_map(|only| ["--only", only]));
        return Ok((command, None));
    }
    let rig = rig::Rig::new(workspace, selection)?;
    Ok((rig.command(), Some(rig)))
}

/// Runs the command and takes its results for ours, one by one; whether it came to its end.
fn relay(mut command: Command, tally: &mut Tally) -> Result<bool> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().context("cannot start the tests")?;
    let stdout = child.stdout.take().context("no pipe from the tests")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let limit = Instant::now() + LIMIT;
    let (mut complete, mut rest, failed) = (false, Vec::new(), tally.failed.len());
    // ends with the pipe, which the child holds
    while let Ok(line) = lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
        // a serial line's end
        let line = line.trim_end_matches('\r');
        if !tally.relay(line) {
            complete |= is_count(line);
            rest.push(line.to_owned());
        }
    }
    // it has ended, or must
    let _ = child.kill();
    child.wait()?;
    if !complete || tally.failed.len() > failed {
        rest.iter().for_each(|line| println!("    | {line}"));
    }
    Ok(complete)
}

/// Whether a line is the last one of a run of tests.
fn is_count(line: &str) -> bool {
    let mut words = line.split(' ');
    let number = |word: Option<&str>| word.is_some_and(|word| word.parse::<usize>().is_ok());
    number(words.next()) && words.next() == Some("passed,") && number(words.next())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_last_line_is_known() {
        assert!(is_count("12 passed, 0 failed"));
        assert!(is_count("0 passed, 3 failed, 1 skipped"));
        assert!(!is_count("[    4.2] reboot: Power down"));
    }

    #[test]
    fn results_are_taken_over_and_an_early_end_is_noticed() {
        let run = |script: &str| {
            let mut tally = Tally::default();
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            let complete = relay(command, &mut tally).unwrap();
            (complete, tally.passed, tally.failed.len(), tally.skipped)
        };
        let lines =
            "echo 'noise'; printf 'ok    kvm: a (0.1 s)\\r\\n'; echo 'FAIL  kvm: b: cause';";
        assert_eq!(run(&format!("{lines} echo '1 passed, 1 failed'; exit 1")), (true, 1, 1, 0));
        assert_eq!(run(&format!("{lines} echo 'skip  kvm: c: why'")), (false, 1, 1, 1));
    }
}
