//! The group `kvm`: machines on real KVM, under QEMU and under uhyve, behind a tap interface with real peers.
//!
//! ```text
//!   cargo image test kvm ── where KVM works ──▶ unshare --net --mount ─────────┐
//!                        └─ elsewhere ──▶ QEMU's emulation of a processor with ├─▶ cargo image test kvm --here
//!                           SVM, Linux in it with this very program (`rig`) ───┘
//! ```
//!
//! The tests themselves (`tests`) know nothing of that: they run as root in a network that nobody else uses.

mod breakdowns;
mod lab;
mod refusals;
mod rig;
mod tests;
mod user;
mod vsock;

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
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
/// The image whose program is also run as a process.
const UNIX: &str = "default";

/// The longest without a result. A test's machine is ended after 60 s: what is silent for longer is the host.
const SILENCE: Duration = Duration::from_secs(150);

/// How many emulated hosts are taken before a standstill counts as a failure.
const HOSTS: usize = 2;

/// Runs the tests, in a place made for them or here.
pub fn run(workspace: &Workspace, selection: &Selection, tally: &mut Tally) -> Result<()> {
    if selection.here {
        return tests::run(workspace, selection, tally);
    }
    let mut left = tests::names(selection).collect::<Vec<_>>();
    if left.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        tally.skipped(GROUP, "all", "it needs root");
        return Ok(());
    }
    let start = Instant::now();
    if let Err(error) = build(workspace, selection) {
        tally.failed(GROUP, "build", &format!("{error:#}"));
        return Ok(());
    }
    for host in 1..=HOSTS {
        let only = left.iter().map(|name| (*name).to_owned()).collect();
        let place = place(workspace, Selection { only, ..Selection::default() });
        let outcome = place.and_then(|(command, kept)| {
            Ok((
                relay(command, SILENCE, tally, |line| left.retain(|name| !is_of(line, name)))?,
                kept,
            ))
        });
        match outcome {
            Ok((End::Complete, _)) => tally.passed(GROUP, "all of them ran", start),
            Ok((End::Standstill, Some(_))) if host < HOSTS => {
                let seconds = SILENCE.as_secs();
                println!("the emulated host said nothing for {seconds} s: the rest in another");
                continue;
            }
            Ok((end, _)) => {
                tally.failed(GROUP, "all of them ran", &format!("{end} before {left:?}"))
            }
            Err(error) => tally.failed(GROUP, "a place to run", &format!("{error:#}")),
        }
        break;
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
        compile::unix_program(workspace, UNIX, &Manifest::read(workspace, UNIX)?, false)?;
    }
    Ok(())
}

/// The command that runs this group `--here` in another place, and what has to be kept until it has ended.
fn place(workspace: &Workspace, selection: Selection) -> Result<(Command, Option<rig::Rig>)> {
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
    let rig = rig::Rig::new(workspace, &selection)?;
    Ok((rig.command(), Some(rig)))
}

/// How a run of the tests in another place ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With its count.
    Complete,
    /// Without.
    Early,
    /// It had to be ended: it said nothing any more.
    Standstill,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "they ended",
            Self::Early => "they ended early,",
            Self::Standstill => "they said nothing any more",
        })
    }
}

/// Runs the command and takes its results for ours, one by one, each shown to `seen`.
fn relay(
    mut command: Command,
    silence: Duration,
    tally: &mut Tally,
    mut seen: impl FnMut(&str),
) -> Result<End> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().context("cannot start the tests")?;
    let stdout = child.stdout.take().context("no pipe from the tests")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        // a serial line may carry anything, and must be read until the end
        while stdout.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    let (mut complete, mut rest, failed) = (false, Vec::new(), tally.failed.len());
    // ends with the pipe, which the child holds
    let silent = loop {
        match lines.recv_timeout(silence) {
            Ok(line) => {
                if tally.relay(&line) {
                    seen(&line);
                } else {
                    complete |= is_count(&line);
                    rest.push(line);
                }
            }
            Err(error) => break error == RecvTimeoutError::Timeout,
        }
    };
    // it has ended, or must
    let _ = child.kill();
    child.wait()?;
    if !complete || tally.failed.len() > failed {
        rest.iter().for_each(|line| println!("    | {line}"));
    }
    Ok(match (complete, silent) {
        (true, _) => End::Complete,
        (false, true) => End::Standstill,
        (false, false) => End::Early,
    })
}

/// Whether a result is that of the test `name`.
fn is_of(line: &str, name: &str) -> bool {
    line.get(6..)
        .and_then(|rest| rest.strip_prefix(GROUP)?.strip_prefix(": ")?.strip_prefix(name))
        .is_some_and(|rest| rest.starts_with([' ', ':']))
}

/// Whether a line is the last one of a run of tests.
pub fn is_count(line: &str) -> bool {
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
    fn results_are_taken_over_and_an_early_end_or_none_is_noticed() {
        let run = |script: &str| {
            let (mut tally, mut left) = (Tally::default(), vec!["a", "b", "c: d"]);
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            let silence = Duration::from_millis(500);
            let end =
                relay(command, silence, &mut tally, |line| left.retain(|name| !is_of(line, name)));
            (end.unwrap(), tally.passed, tally.failed.len(), tally.skipped, left)
        };
        let lines = "printf 'noise \\377\\n'; printf 'ok    kvm: a (0.1 s)\\r\\n'; echo 'FAIL  kvm: b: cause';";
        let whole = format!("{lines} echo '1 passed, 1 failed'; exit 1");
        assert_eq!(run(&whole), (End::Complete, 1, 1, 0, vec!["c: d"]));
        let early = format!("{lines} echo 'skip  kvm: c: d: why'");
        assert_eq!(run(&early), (End::Early, 1, 1, 1, vec![]));
        assert_eq!(run("exec sleep 60"), (End::Standstill, 0, 0, 0, vec!["a", "b", "c: d"]));
    }
}
