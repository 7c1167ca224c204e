//! The bar: there on a terminal, whole and alone on its line, and nowhere else.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::files::Content;
use super::host_tool::Test;
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use super::terminal::Terminal;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 7] = [
    ("progress: a bar on a terminal, the payload as it is", bar),
    ("progress: a bar stays where its payload was cut, beside the error", cut),
    ("progress: no octet of a bar where it is not wanted", none),
    ("progress: a bar of what is discarded, beside its one line", discarded),
    ("progress: without a length a count, and log lines above it", count),
    ("progress: what a repository's server says stands above the bar", repository),
    ("progress: a command's errors have their lines, ended or not", errors),
];

/// Octets of the payload, and how the bar shows all and half of them.
const SIZE: usize = 64 << 10;
const WHOLE: &str = "[==============================] 100%  64.00 KiB of 64.00 KiB";
const HALF: &str = "[===============>              ]  50%  32.00 KiB of 64.00 KiB";

/// A web server that sends half of its one answer, then waits to be told.
struct Halves {
    port: u16,
    more: Sender<()>,
}

/// What it does when told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Cut,
    Send,
}

impl Halves {
    /// `fields`: those of the answer.
    fn start(fields: &str, then: Then) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let (more, told) = mpsc::channel();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{fields}\r\n");
        // what goes wrong there, the client tells
        thread::spawn(move || serve(listener.accept()?.0, &head, &told, then));
        Ok(Self { port, more })
    }

    fn uri(&self, target: Target) -> String {
        let host = if target == Target::Unix { "127.0.0.1" } else { "10.0.2.2" };
        format!("http://{host}:{}/", self.port)
    }

    /// Tells it to go on, now or when it comes to that.
    fn go_on(&self) -> Result<()> {
        self.more.send(()).context("the server is gone")
    }
}

fn serve(mut stream: TcpStream, head: &str, more: &Receiver<()>, then: Then) -> Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > "\r\n".len() {
        line.clear();
    }
    let payload = payload();
    let (first, second) = payload.split_at(SIZE / 2);
    stream.write_all(head.as_bytes())?;
    stream.write_all(first)?;
    more.recv().context("nobody wants the second half")?;
    if then == Then::Send {
        stream.write_all(second)?;
    }
    Ok(())
}

fn payload() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

fn length() -> String {
    format!("Content-Length: {SIZE}\r\n")
}

/// The targets that a group's one target stands for.
fn targets(target: Target) -> Vec<Target> {
    match target {
        Target::Qemu => vec![Target::Qemu, Target::Microvm],
        target => vec![target],
    }
}

fn run(target: Target, words: &[&str]) -> Command {
    run_with(target, &[], words)
}

fn run_with(target: Target, options: &[String], words: &[&str]) -> Command {
    let mut command = run_command();
    command.arg(format!("--target={target}")).arg("--kill-after=120s").args(options);
    command.arg("--").args(words);
    // what the terminal can do
    command.env("TERM", "xterm").stdin(Stdio::null());
    command
}

/// What a run left.
struct Left {
    exit: Option<i32>,
    stdout: Vec<u8>,
    rows: Vec<String>,
    octets: Vec<u8>,
}

/// Runs with standard error on a terminal, which `meanwhile` gets.
fn on_terminal(
    mut command: Command,
    meanwhile: impl FnOnce(&Terminal) -> Result<()>,
) -> Result<Left> {
    let terminal = Terminal::new()?;
    let child = command.stdout(Stdio::piped()).stderr(terminal.stream()?).spawn()?;
    drop(command);
    let reader = thread::spawn(move || child.wait_with_output());
    meanwhile(&terminal)?;
    let output = reader.join().expect("it only reads")?;
    let (rows, octets) = terminal.end();
    Ok(Left { exit: output.status.code(), stdout: output.stdout, rows, octets })
}

/// Runs with both standard streams on one terminal.
fn all_on_terminal(mut command: Command) -> Result<Left> {
    let terminal = Terminal::new()?;
    let status = command.stdout(terminal.stream()?).stderr(terminal.stream()?).status()?;
    drop(command);
    let (rows, octets) = terminal.end();
    Ok(Left { exit: status.code(), stdout: Vec::new(), rows, octets })
}

impl Left {
    fn check(&self, exit: i32, stdout: &[u8]) -> Result<()> {
        ensure!(self.exit == Some(exit), "exit {:?}: {:#?}", self.exit, self.rows);
        ensure!(self.stdout == stdout, "{} octets of output are wrong", self.stdout.len());
        Ok(())
    }

    /// The rows besides the one that starts with `bar`.
    fn others(&self, bar: &str) -> Result<Vec<&str>> {
        let rows = self.rows.iter().map(String::as_str);
        let (bars, others): (Vec<_>, Vec<_>) = rows.partition(|row| row.starts_with(bar));
        ensure!(bars.len() == 1, "{} rows are the bar: {:#?}", bars.len(), self.rows);
        ensure!(!others.iter().any(|row| row.contains("iB")), "a bar is torn: {:#?}", self.rows);
        Ok(others)
    }
}

fn bar(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    for target in targets(target) {
        let server = Halves::start(&length(), Then::Send)?;
        let command = run(target, &[&server.uri(target), "--explain"]);
        let left = on_terminal(command, |terminal| {
            terminal.wait_for(HALF)?;
            server.go_on()
        })?;
        left.check(0, &payload())?;
        let others = left.others(WHOLE)?;
        // the report, too; a machine's bar and its text come by two ways, either of which may be faster
        let is_below = left.rows[0].starts_with(WHOLE) || target != Target::Unix;
        ensure!(others.len() > 5 && others.contains(&"steps") && is_below, "{:#?}", left.rows);
    }
    Ok(())
}

fn cut(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    for target in targets(target) {
        let server = Halves::start(&length(), Then::Cut)?;
        server.go_on()?;
        let left = on_terminal(run(target, &[&server.uri(target)]), |_| Ok(()))?;
        left.check(76, &payload()[..SIZE / 2])?;
        let others = left.others(HALF)?;
        let is_error = others.len() == 1 && others[0].starts_with("error: exchange http://");
        let is_below = left.rows[0].starts_with(HALF) || target != Target::Unix;
        ensure!(is_error && is_below, "{:#?}", left.rows);
    }
    Ok(())
}

fn none(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let start = || -> Result<Halves> {
        let server = Halves::start(&length(), Then::Send)?;
        server.go_on().map(|()| server)
    };
    for target in targets(target) {
        // standard error is no terminal
        let output = Output::of(run(target, &[&start()?.uri(target)]), Feed::Nothing)?;
        ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
        ensure!(output.content == Content::of(&payload()), "the output is wrong");
        ensure!(output.stderr.is_empty(), "it said: {:?}", output.stderr);
        // the user wants none
        let command = run(target, &[&start()?.uri(target), "--progress=false"]);
        let left = on_terminal(command, |_| Ok(()))?;
        left.check(0, &payload())?;
        ensure!(left.octets.is_empty(), "it said: {:#?}", left.rows);
    }
    // the terminal cannot move its cursor
    let mut command = run(target, &[&start()?.uri(target)]);
    command.env("TERM", "dumb");
    let left = on_terminal(command, |_| Ok(()))?;
    left.check(0, &payload())?;
    ensure!(left.octets.is_empty(), "it said: {:#?}", left.rows);
    // the payload goes there
    let uri = format!("http://{}/hello", peers.value("web", target)?);
    let left = all_on_terminal(run(target, &[&uri]))?;
    left.check(0, b"")?;
    ensure!(left.octets == b"hello\r\n", "it said: {:#?}", left.rows);
    Ok(())
}

fn discarded(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    let server = Halves::start(&length(), Then::Send)?;
    server.go_on()?;
    let left = all_on_terminal(run(target, &[&server.uri(target), "--output=discard"]))?;
    left.check(0, b"")?;
    let others = left.others(WHOLE)?;
    let is_alone = others.len() == 1 && others[0].starts_with("65536 octets, SHA-256 ");
    ensure!(is_alone && others[0].len() == 22 + 64, "{:#?}", left.rows);
    Ok(())
}

fn count(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    let server = Halves::start("", Then::Send)?;
    let left = on_terminal(run(target, &[&server.uri(target), "--logs=trace"]), |terminal| {
        terminal.wait_for(" 32.00 KiB")?;
        server.go_on()
    })?;
    left.check(0, &payload())?;
    let others = left.others("  64.00 KiB")?;
    // nothing of a process logs while the payload comes
    let are_logged = others.iter().any(|row| row.starts_with("trace "));
    ensure!(are_logged || target == Target::Unix, "no logs: {:#?}", left.rows);
    Ok(())
}

fn repository(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let uri = format!("git://{}/one", peers.value("git", target)?);
    let left = on_terminal(run(target, &[&uri, "--git=clone"]), |_| Ok(()))?;
    let printed = String::from_utf8_lossy(&left.stdout).into_owned();
    left.check(0, printed.as_bytes())?;
    ensure!(printed.contains("\nobjects "), "no summary: {printed}");
    // a count, with its spinner gone
    let others = left.others("  ")?;
    let are_said = others.iter().all(|row| row.starts_with("remote: "));
    ensure!(are_said && !others.is_empty(), "{:#?}", left.rows);
    Ok(())
}

fn errors(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("progress")?;
    let key = scratch.path().join("key");
    fs::write(&key, peers.value("ssh-key:ed25519", target)?)?;
    let options = [format!("--secret=ssh-key={}", key.display())];
    let (user, server) = (peers.value("user", target)?, peers.value("sshd", target)?);
    let pin = format!("--ssh-authenticator={}", peers.value("sshd.pin", target)?);
    let exec =
        "--exec=echo out; printf 'an ' >&2; echo more; sleep 0.3; echo error >&2; printf open >&2";
    let uri = format!("ssh://{user}@{server}/");
    let left = on_terminal(run_with(target, &options, &[&uri, &pin, exec]), |_| Ok(()))?;
    left.check(0, b"out\nmore\n")?;
    ensure!(left.others("  9 B")? == ["an error", "open"], "{:#?}", left.rows);
    Ok(())
}
