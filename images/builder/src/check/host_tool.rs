//! Tests of the host's side itself: limits, signals, streams that close, what is left behind.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::Skip;
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// A test of the tool on one target.
pub type Test = fn(&Workspace, &mut Peers, Target) -> Result<()>;

/// All of them.
pub const TESTS: [(&str, Test); 12] = [
    ("run: --kill-after ends a silent run with 124", limit),
    ("run: SIGTERM ends it and leaves no process", term),
    ("run: SIGKILL leaves no process", kill),
    ("run: what dies under it is told in one line", broken),
    ("run: a closed standard output ends it quietly", closed_output),
    ("run: an output that nobody reads has the run's limit", unread_output),
    ("run: the input stays with who did not ask for it", input_is_kept),
    ("run: an input that was asked for before anybody looked is read", late_input),
    ("run: the demo prints its page", demo),
    ("run: nothing changed, nothing is built", fresh),
    ("run: wrong run options exit with 64", wrong_options),
    ("run: --pcap captures the frames", capture),
];

fn limit(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let mut command = run(target);
    command
        .args(["--kill-after=2s", "--"])
        .arg(format!("tcp://{}", peers.value("silent", target)?));
    let output = Output::of(with_silent_input(command), Feed::Silence)?;
    ensure!(output.exit == Some(124), "exit {:?}: {}", output.exit, output.stderr);
    ensure!(output.stderr.contains("--kill-after"), "it said: {}", output.stderr);
    Ok(())
}

fn term(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let mut silent = Silent::start(peers, target)?;
    // the guard has become `run`, so the child is the program that was asked to end
    kill_process(Pid::from_child(&silent.child), Signal::TERM)?;
    let status = silent.child.wait()?;
    ensure!(status.code() == Some(143), "ended with {status}");
    ensure!(!is_alive(silent.inner), "process {} is left", silent.inner);
    Ok(())
}

fn kill(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let mut silent = Silent::start(peers, target)?;
    silent.child.kill()?;
    silent.child.wait()?;
    let limit = Instant::now() + Duration::from_secs(20);
    while is_alive(silent.inner) {
        ensure!(Instant::now() < limit, "process {} is left", silent.inner);
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn broken(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let silent = Silent::start(peers, target)?;
    let inner = Pid::from_raw(silent.inner).context("no process number")?;
    kill_process(inner, Signal::KILL)?;
    let (code, stderr) = silent.end()?;
    ensure!(code == Some(70), "exit {code:?}: {stderr}");
    ensure!(stderr.lines().count() == 1 && stderr.contains("signal 9"), "it said: {stderr}");

    if target != Target::Unix {
        let mut command = run(target);
        command.args(["--qemu-arg=-device", "--qemu-arg=nosuch", "--", "http://10.0.2.2/"]);
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(70), "exit {:?}: {}", output.exit, output.stderr);
        ensure!(output.stderr.lines().count() == 1, "it said: {}", output.stderr);
    }
    Ok(())
}

fn closed_output(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    peers.files().make("256M")?;
    let mut command = run(target);
    command.args(["--kill-after=60s", "--"]);
    command.arg(format!("http://{}/256M", peers.value("nginx", target)?));
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut start = [0; 1];
    child.stdout.take().context("no pipe")?.read_exact(&mut start)?;
    let output = child.wait_with_output()?;
    let code = output.status.code();
    ensure!(code == Some(141), "ended with {code:?}");
    ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A pipe that nobody reads, with a limit for the whole run.
fn unread_output(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    if target != Target::Unix {
        return Err(Skip("what a machine has said is this host's to write out".into()).into());
    }
    peers.files().make("10M")?;
    let mut command = run(target);
    command.args(["--kill-after=60s", "--"]);
    command.arg(format!("http://{}/10M", peers.value("nginx", target)?)).arg("--timeout=1s");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let unread = child.stdout.take().context("no pipe")?;
    let output = child.wait_with_output()?;
    drop(unread);
    let (code, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
    ensure!(code == Some(75) && stderr.contains("--timeout"), "ended with {code:?}: {stderr}");
    Ok(())
}

fn input_is_kept(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let (path, _) = peers.files().make("65K")?;
    peers.files().make("6")?;
    let mut list = File::open(path)?;
    let mut command = run(target);
    command.arg("--").arg(format!("http://{}/6", peers.value("nginx", target)?));
    command.stdin(list.try_clone()?);
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    let position = list.stream_position()?;
    ensure!(position == 0, "{position} octets of standard input are gone");
    Ok(())
}

/// As on a host that is too busy to look at its machine until the program has long opened its input.
fn late_input(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    if target == Target::Unix {
        return Err(Skip("there is no machine between input and program".into()).into());
    }
    let mut command = run(target);
    command.args(["--kill-after=60s", "--"]);
    command.arg(format!("tcp://{}", peers.value("echo", target)?));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("no pipe")?.write_all(b"late\n")?;
    let limit = Instant::now() + Duration::from_secs(20);
    while inner_of(child.id()).is_none() {
        ensure!(Instant::now() < limit, "it starts no machine");
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::STOP)?;
    // ten times what a machine needs; on a slower host this shows less, and never fails for it
    thread::sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&child), Signal::CONT)?;
    let output = child.wait_with_output()?;
    let (code, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
    ensure!(code == Some(0) && output.stdout == b"late\n", "ended with {code:?}: {stderr}");
    Ok(())
}

fn demo(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    let mut command = run(target);
    command.arg("--kill-after=60s").stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    let page = String::from_utf8_lossy(&output.stdout);
    ensure!(page.starts_with("Hello") && page.contains("TLS"), "the page is {page:?}");
    ensure!(output.stderr.lines().count() > 1, "no report: {}", output.stderr);
    Ok(())
}

fn fresh(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    peers.files().make("6")?;
    let run = || {
        let mut command = crate::guard::command("/proc/self/exe");
        command.args(["run", "--target", &target.to_string(), "--kill-after=60s"]);
        command.stdin(Stdio::null());
        command
    };
    let mut command = run();
    command.arg("--build-only");
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);

    let mut command = run();
    command.arg("--");
    command.arg(format!("http://{}/6", peers.value("nginx", target)?));
    // whoever starts cargo now fails
    command.env("CARGO", "/bin/false").env("RUSTUP_HOME", "/nowhere").env("PATH", "/usr/bin:/bin");
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    ensure!(output.stderr.is_empty(), "it said: {}", output.stderr);
    Ok(())
}

fn wrong_options(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    for options in [
        &["--target=xen"][..],
        &["--memroy=32M"],
        &["--image=nosuch"],
        &["--accel=warp"],
        &["--net=bridge"],
        &["--rng=dice"],
        &["--kill-after=5"],
    ] {
        let mut command = run(target);
        command.args(options).args(["--", "http://127.0.0.1/"]).stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(64), "{options:?}: exit {:?}", output.exit);
        ensure!(output.stderr.lines().count() == 1, "{options:?}: {}", output.stderr);
    }
    Ok(())
}

fn capture(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    if target == Target::Unix {
        return Ok(());
    }
    peers.files().make("6")?;
    let scratch = Scratch::new("pcap")?;
    let file = scratch.path().join("a,b.pcap");
    let mut command = run(target);
    command.arg("--pcap").arg(&file).arg("--");
    command.arg(format!("http://{}/6", peers.value("nginx", target)?)).stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    let frames = fs::read(&file)?;
    ensure!(frames.starts_with(&0xa1b2_c3d4_u32.to_le_bytes()), "no capture file");
    ensure!(frames.windows(9).any(|part| part == b"GET /6 HT"), "the request is not in it");
    Ok(())
}

fn run(target: Target) -> Command {
    let mut command = run_command();
    command.arg(format!("--target={target}"));
    command
}

fn with_silent_input(mut command: Command) -> Command {
    command.stdin(Stdio::piped());
    command
}

/// A run that waits for a silent server, and its machine's or program's process.
#[derive(Debug)]
pub struct Silent {
    child: Child,
    /// The process that is supervised.
    pub inner: i32,
}

impl Silent {
    /// Starts one.
    pub fn start(peers: &mut Peers, target: Target) -> Result<Self> {
        let mut command = run(target);
        command.arg("--").arg(format!("tcp://{}", peers.value("silent", target)?));
        let mut command = with_silent_input(command);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(inner) = inner_of(child.id()) {
                return Ok(Self { child, inner });
            }
            if Instant::now() > limit {
                child.kill()?;
                child.wait()?;
                bail!("it starts no machine and no program");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Silent {
    /// Waits for its end; the exit code and what it said.
    fn end(mut self) -> Result<(Option<i32>, String)> {
        let mut said = String::new();
        self.child.stderr.take().context("no pipe")?.read_to_string(&mut said)?;
        Ok((self.child.wait()?.code(), said))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // the tests that end it themselves have reaped it
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child of the process `pid` that is no longer the guard.
pub fn inner_of(pid: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let inner = children.split_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{inner}/comm")).ok()?;
    (!matches!(name.trim(), "exe" | "builder")).then_some(inner)
}

/// Whether the process runs.
pub fn is_alive(pid: i32) -> bool {
    // a zombie waits only for its parent to look
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
}
