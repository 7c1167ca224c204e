//! One supervised child: its streams, its time limit, and the signals that end both it and us.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use progress::Screen;
use rustix::process::{Pid, Signal};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::bar::{self, Bar};
use crate::{input, uhyve};

/// How a child is run.
pub struct Job {
    /// The program with its arguments; made by [`crate::guard::command`] so that it ends with us.
    pub command: Command,
    /// Who handles its streams.
    pub streams: Streams,
    /// When it is ended at the latest.
    pub limit: Option<Duration>,
}

/// Who handles the child's standard streams.
pub enum Streams {
    /// The child itself has ours.
    Inherited,
    /// Pipes, copied to and from ours: QEMU would make ours non-blocking and leave a terminal without echo.
    /// The input is copied once the gate opens, and a bar drawn where there is to be one.
    Piped(input::Gate, Option<Bar>),
    /// The payload and the input are files that the child opens, and all that it says is messages.
    Files(uhyve::Files),
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself; the end of its standard error, if that went through us.
    Exited(ExitStatus, String),
    /// With success, as it says, but the program in its machine has not come to its end.
    Broken,
    /// At the limit.
    Limit,
    /// By this signal to us.
    Signal(i32),
    /// Nobody reads our standard output any more.
    OutputClosed,
    /// Our standard output takes no more.
    OutputFailed(io::Error),
}

enum Event {
    Exited(io::Result<ExitStatus>),
    Signal(i32),
    Output(io::Result<()>),
    Errors(String),
    /// All of the bar is drawn.
    Drawn,
}

impl Job {
    /// Runs the child to its end; none of it is left when this returns.
    pub fn run(mut self) -> Result<Ended> {
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        let (sender, events) = mpsc::channel();
        watch_signals(&sender)?;
        let piped = !matches!(self.streams, Streams::Inherited);
        if piped {
            // its own group: a terminal's Ctrl-C is for us, who then end it
            self.command.process_group(0);
        }
        let mut said = None;
        match self.streams {
            Streams::Inherited => {}
            Streams::Piped(..) => {
                self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            }
            Streams::Files(_) => {
                let (reader, writer) = io::pipe()?;
                self.command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
                said = Some(reader);
            }
        }
        let name = format!("{:?}", self.command.get_args().nth(2).unwrap_or_default());
        let mut child = self.command.spawn().with_context(|| format!("cannot start {name}"))?;
        // its ends of the pipes are the child's alone
        drop(self.command);
        let pid = Pid::from_child(&child);
        // what lives as long as the child, and as long as we look after it
        let (mut kept, mut directory) = (None, None);
        let mut has_bar = false;
        match self.streams {
            Streams::Inherited => {}
            Streams::Piped(gate, bar) => {
                has_bar = bar.is_some();
                copy_streams(&mut child, gate, bar, &sender)?;
            }
            Streams::Files(files) => {
                let (payload, writer) = files.payload()?;
                let answers = files.input()?;
                let mut input = own(rustix::stdio::stdin())?;
                // a machine that asks no more leaves this waiting, to our own end
                thread::spawn(move || answers.serve(&mut input));
                copy_output(payload, None, &sender)?;
                copy_errors(said.context("no pipe from the child")?, None, &sender)?;
                (kept, directory) = (Some(writer), Some(files.into_directory()));
            }
        }
        // the parent's death signal counts threads as parents, so the child is spawned here and only waited
        // for there
        thread::spawn(move || {
            let ended = child.wait();
            drop(kept);
            drop(sender.send(Event::Exited(ended)));
        });
        let ended = follow(&events, pid, deadline, piped, has_bar)?;
        let is_broken = directory.as_ref().is_some_and(uhyve::is_broken);
        Ok(match ended {
            Ended::Exited(status, _) if status.success() && is_broken => Ended::Broken,
            ended => ended,
        })
    }
}

fn follow(
    events: &Receiver<Event>,
    pid: Pid,
    deadline: Option<Instant>,
    piped: bool,
    mut is_drawing: bool,
) -> Result<Ended> {
    let (mut status, mut errors) = (None, None);
    let mut output_open = piped;
    let mut reason = None;
    // when waiting for what the child has left in its pipes ends
    let mut patience = None;
    loop {
        let drained = !output_open && !is_drawing && (errors.is_some() || !piped);
        let impatient = patience.is_some_and(|until| Instant::now() >= until);
        if let Some(status) = status
            && (drained || impatient)
        {
            return Ok(reason.unwrap_or(Ended::Exited(status, errors.unwrap_or_default())));
        }
        let event = match if reason.is_none() { deadline } else { patience } {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => events.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        let end = match event {
            Ok(Event::Exited(result)) => {
                status = Some(result.context("cannot wait for the child")?);
                None
            }
            Ok(Event::Errors(tail)) => {
                errors = Some(tail);
                None
            }
            Ok(Event::Drawn) => {
                is_drawing = false;
                None
            }
            Ok(Event::Output(result)) => {
                output_open = false;
                match result {
                    Ok(()) => None,
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        Some(Ended::OutputClosed)
                    }
                    Err(error) => Some(Ended::OutputFailed(error)),
                }
            }
            Ok(Event::Signal(signal)) => Some(Ended::Signal(signal)),
            Err(RecvTimeoutError::Timeout) => reason.is_none().then_some(Ended::Limit),
            Err(RecvTimeoutError::Disconnected) => {
                anyhow::bail!("the child's streams ended before the child")
            }
        };
        if end.is_some() && reason.is_none() {
            reason = end;
            patience = Some(Instant::now() + PATIENCE);
            if status.is_none() {
                ask_to_end(pid, piped);
            }
        } else if status.is_none() && patience.is_some_and(|until| Instant::now() >= until) {
            // not reaped yet, since its status has not arrived: the number is still its own
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            patience = Some(Instant::now() + PATIENCE);
        }
    }
}

/// Asks a program to end. A machine has nothing to put in order, and QEMU would talk about it.
fn ask_to_end(pid: Pid, is_machine: bool) {
    let signal = if is_machine { Signal::KILL } else { Signal::TERM };
    // not reaped yet, since its status has not arrived: the number is still its own, or about to be reaped
    // by the waiting thread, in which case the signal finds nobody
    let _ = rustix::process::kill_process(pid, signal);
}

fn watch_signals(events: &Sender<Event>) -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for signals")?;
    let events = events.clone();
    thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn copy_streams(
    child: &mut Child,
    gate: input::Gate,
    bar: Option<Bar>,
    events: &Sender<Event>,
) -> Result<()> {
    let stdin = child.stdin.take().context("no pipe to the child")?;
    let stdout = child.stdout.take().context("no pipe from the child")?;
    let stderr = child.stderr.take().context("no pipe from the child")?;
    let mut input = own(rustix::stdio::stdin())?;
    thread::spawn(move || copy_input(&gate, &mut input, stdin));
    let screen = bar.map(|bar| {
        let (progress, screen) = bar.split();
        let (of_thread, events) = (screen.clone(), events.clone());
        thread::spawn(move || {
            bar::draw(progress, &of_thread);
            drop(events.send(Event::Drawn));
        });
        screen
    });
    copy_output(File::from(OwnedFd::from(stdout)), screen.as_ref(), events)?;
    copy_errors(stderr, screen.as_ref(), events)
}

/// Copies the payload to our standard output.
fn copy_output(mut payload: File, screen: Option<&Screen>, events: &Sender<Event>) -> Result<()> {
    // fewer switches between it and us; a smaller pipe is only slower
    let _ = rustix::pipe::fcntl_setpipe_size(&payload, PIPE);
    let mut output = own(rustix::stdio::stdout())?;
    let shared = screen.filter(|_| output.is_terminal()).cloned();
    let sender = events.clone();
    thread::spawn(move || {
        let copied = match shared {
            Some(screen) => io::copy(&mut payload, &mut screen.above(output)),
            // `io::copy` between files splices: no octet comes into our memory
            None => io::copy(&mut payload, &mut output),
        };
        drop(sender.send(Event::Output(copied.map(drop))));
    });
    Ok(())
}

/// Copies messages to our standard error, above the bar if there is one.
fn copy_errors(
    mut messages: impl Read + Send + 'static,
    screen: Option<&Screen>,
    events: &Sender<Event>,
) -> Result<()> {
    let errors = own(rustix::stdio::stderr())?;
    let mut errors: Box<dyn Write + Send> = match screen {
        Some(screen) => Box::new(screen.above(errors)),
        None => Box::new(errors),
    };
    let sender = events.clone();
    thread::spawn(move || {
        drop(sender.send(Event::Errors(copy_keeping_tail(&mut messages, &mut errors))));
    });
    Ok(())
}

/// A file of our own for one of our standard streams.
fn own(stream: impl AsFd) -> Result<File> {
    let file = stream.as_fd().try_clone_to_owned().context("cannot duplicate a standard stream")?;
    Ok(File::from(file))
}

fn copy_input(gate: &input::Gate, input: &mut File, mut pipe: ChildStdin) {
    if gate.wait() {
        // a child that reads no more is no error; the end of the input is told by closing the pipe
        let _ = io::copy(input, &mut pipe);
    } else {
        // nobody will read, and nobody shall take it for the end
        std::mem::forget(pipe);
    }
}

/// Copies until the end and returns the last octets as text. A terminal that is gone stops the copy, not the
/// reading: the child must never block on its messages.
fn copy_keeping_tail(from: &mut impl Read, to: &mut impl Write) -> String {
    let mut tail = Vec::new();
    let mut buf = [0; 8192];
    loop {
        match from.read(&mut buf) {
            Ok(0) => break,
            Ok(len) => {
                let _ = to.write_all(&buf[..len]);
                tail.extend_from_slice(&buf[..len]);
                if tail.len() > 2 * TAIL {
                    tail.drain(..tail.len() - TAIL);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&tail).into_owned()
}

/// How long a child may take to end when asked to, and we to pass on what it has left.
const PATIENCE: Duration = Duration::from_secs(1);
/// Octets in the pipe of the payload.
const PIPE: usize = 1 << 20;
/// Octets of standard error that are kept.
const TAIL: usize = 4096;
