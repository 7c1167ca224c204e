//! The connection driven over the flow below, and one command's streams as a flow.

use super::cause;
use crate::error::{Cause, Error, Stage};
use crate::trace::{Step, Trace};
use ::ssh::{ChannelId, Connection, Event, Exec, Exit, HostKey, Stream};
use core::fmt;
use core::future::poll_fn;
use core::ops::Range;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use mimic::flow::Error as FlowError;
use mimic::{BoxFlow, Flow as _, Shutdown};
use spin::Mutex;
use stack::{BoxFuture, Instant, Net};
use std::sync::Arc;
use std::task::Wake;

/// Octets read from the flow below at once.
const CHUNK: usize = 64 * 1024;
/// Steps in a row, each of at most [`CHUNK`], after which others have their turn: a peer that is never silent must not keep the
/// limits of time from being seen.
const STEPS: usize = 64;
/// Octets of standard error that are kept where nobody reads it.
const TAIL: usize = 1024;

/// Goes from the first octet to a running command.
pub(super) async fn start(
    net: Arc<dyn Net>,
    lower: BoxFlow,
    connection: Connection,
    name: &str,
    exec: Exec,
    judge: impl Fn(&HostKey, &[&str]) -> Result<(), Cause>,
    trace: Trace,
) -> Result<Flow, Cause> {
    let mut session = Session::new(net, lower, connection);
    let mut exec = Some(exec);
    let (mut agreed, mut banners) = (String::new(), String::new());
    let channel = poll_fn(|cx| {
        for _ in 0..STEPS {
            while let Some(event) = session.connection.poll_event() {
                match event {
                    Event::HostKey(key) => {
                        let judged = judge(&key, session.connection.host_key_kinds());
                        let now = session.now();
                        match &judged {
                            Ok(()) => session.connection.accept_host_key(now).map_err(cause)?,
                            Err(_) => session.connection.refuse_host_key(),
                        }
                        if let Err(refused) = judged {
                            // the server may know why, if it can be told at once
                            let _ = session.send(cx);
                            return Poll::Ready(Err(refused));
                        }
                    }
                    Event::Agreed(agreement) => agreed = agreement.to_string(),
                    Event::Banner(text) => banners.push_str(&text),
                    Event::Authenticated(method) => {
                        agreed = format!("{agreed} {method}");
                        let exec = exec.take().unwrap_or_default();
                        if session.connection.exec(exec).is_none() {
                            return Poll::Ready(Err(Cause::Protocol("no channel is left".into())));
                        }
                    }
                    Event::Started(channel) => return Poll::Ready(Ok(channel)),
                    Event::Refused { reason, .. } => {
                        return Poll::Ready(Err(Cause::Refused(reason)));
                    }
                    _ => {}
                }
            }
            match session.step(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(cause) => return Poll::Ready(Err(cause)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    let channel = channel.await?;
    let started = session.net.now();
    Ok(Flow {
        name: name.into(),
        session: Some(session),
        channel,
        agreed,
        banners,
        wakers: Arc::default(),
        tail: Vec::new(),
        exit: None,
        is_closed: false,
        exchanges: 0,
        started,
        trace,
    })
}

/// A connection and the flow below it.
struct Session {
    net: Arc<dyn Net>,
    lower: BoxFlow,
    connection: Connection,
    /// Octets from below; those of `rest` the connection has not taken yet.
    buf: Vec<u8>,
    rest: Range<usize>,
    needs_flush: bool,
    timer: Option<(Duration, BoxFuture<'static, ()>)>,
}

impl Session {
    fn new(net: Arc<dyn Net>, lower: BoxFlow, connection: Connection) -> Self {
        let buf = vec![0; CHUNK];
        Self { net, lower, connection, buf, rest: 0..0, needs_flush: false, timer: None }
    }

    /// The clock as the connection has it.
    fn now(&self) -> Duration {
        self.net.now() - Instant::ZERO
    }

    /// Moves what can be moved; false: nothing, and the task is woken when something can be.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<bool, Cause> {
        let sent = self.send(cx)?;
        let outcome = self.take(cx);
        // with an error there may be a goodbye to send, if that can be done at once
        match outcome {
            Ok(taken) => Ok(sent | taken | self.send(cx)?),
            Err(cause) => {
                let _ = self.send(cx);
                Err(cause)
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, Cause> {
        let mut moved = false;
        while !self.connection.poll_output().is_empty() {
            match self.lower.poll_write(cx, self.connection.poll_output()) {
                Poll::Ready(Ok(len)) => {
                    self.connection.handle_sent(len);
                    (moved, self.needs_flush) = (true, true);
                }
                Poll::Ready(Err(error)) => return Err(Cause::of(&error)),
                Poll::Pending => break,
            }
        }
        if self.needs_flush
            && let Poll::Ready(flushed) = self.lower.poll_flush(cx)
        {
            self.needs_flush = false;
            flushed.map_err(|error| Cause::of(&error))?;
        }
        Ok(moved)
    }

    /// From below into the connection; and the time.
    fn take(&mut self, cx: &mut Context<'_>) -> Result<bool, Cause> {
        let now = self.now();
        let mut moved = self.tick(cx, now)?;
        if self.rest.is_empty() {
            match self.lower.poll_read(cx, &mut self.buf) {
                Poll::Ready(Ok(0)) => self.connection.handle_end(now).map_err(cause)?,
                Poll::Ready(Ok(len)) => {
                    self.rest = 0..len;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(Cause::of(&error)),
                Poll::Pending => {}
            }
        }
        // also without octets: what was held for lack of room goes on
        let used =
            self.connection.handle_input(now, &self.buf[self.rest.clone()]).map_err(cause)?;
        self.rest.start += used;
        // as many events as are held keep the rest of what the connection has from being looked at
        Ok(moved | (used > 0) | self.connection.has_event())
    }

    fn tick(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<bool, Cause> {
        let Some(due) = self.connection.poll_timeout() else {
            self.timer = None;
            return Ok(false);
        };
        // one that rings too early does no harm: it need not be set anew with each packet
        if self.timer.as_ref().is_none_or(|(set, _)| *set > due) {
            self.timer = Some((due, self.net.sleep(due.saturating_sub(now))));
        }
        let Some((_, timer)) = &mut self.timer else { return Ok(false) };
        if timer.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        self.timer = None;
        self.connection.handle_timeout(now).map_err(cause)?;
        Ok(true)
    }
}

/// What a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// So many octets of a stream.
    Data(Stream, usize),
    /// No more: the command is over, and so is its channel.
    Closed(Option<Exit>),
}

/// A command that runs: its standard input and output. Standard error comes by [`Flow::poll_receive`]; to those who only read, its
/// end by [`Flow::tail`], and in the error that a command which fails ends with.
pub struct Flow {
    name: String,
    /// `None` once closed.
    session: Option<Session>,
    channel: ChannelId,
    agreed: String,
    banners: String,
    wakers: Arc<Wakers>,
    tail: Vec<u8>,
    exit: Option<Exit>,
    is_closed: bool,
    /// Keys exchanged anew since the command runs.
    exchanges: u32,
    started: Instant,
    trace: Trace,
}

/// The two that may wait for the flow below, which knows only one.
#[derive(Default)]
struct Wakers([Mutex<Option<Waker>>; 2]);

const READER: usize = 0;
const WRITER: usize = 1;

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.0.iter().filter_map(|slot| slot.lock().take()).for_each(Waker::wake);
    }
}

impl Flow {
    /// The algorithms, and how the user was known.
    pub fn agreed(&self) -> &str {
        &self.agreed
    }

    /// Who is where, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the server wants its users to read.
    pub fn banners(&self) -> &str {
        &self.banners
    }

    /// How the command ended, once that is known.
    pub fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// The end of standard error, as far as nobody read it.
    pub fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }

    /// The next octets of either stream, or the end of the command.
    ///
    /// # Errors
    /// [`FlowError::Closed`] when this side was closed, [`FlowError::Failed`] when the connection broke.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<Received, FlowError>> {
        self.poll(READER, cx, |flow| {
            let Some(session) = &mut flow.session else { return Some(Err(FlowError::Closed)) };
            let mut ended = 0;
            for stream in [Stream::Stdout, Stream::Stderr] {
                match session.connection.read(flow.channel, stream, buf) {
                    Some(0) => ended += 1,
                    Some(len) => return Some(Ok(Received::Data(stream, len))),
                    None => {}
                }
            }
            (ended == 2 && flow.is_closed).then(|| Ok(Received::Closed(flow.exit.clone())))
        })
    }

    /// Tries `attempt` until it gives something or nothing moves any more.
    fn poll<T>(
        &mut self,
        who: usize,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Self) -> Option<Result<T, FlowError>>,
    ) -> Poll<Result<T, FlowError>> {
        *self.wakers.0[who].lock() = Some(cx.waker().clone());
        let waker = Waker::from(self.wakers.clone());
        let both = &mut Context::from_waker(&waker);
        for _ in 0..STEPS {
            if let Some(outcome) = attempt(self) {
                // what the attempt put out: data, a wider window
                let sent = self.session.as_mut().map_or(Ok(false), |session| session.send(both));
                return Poll::Ready(match sent {
                    Err(cause) if outcome.is_ok() && who == WRITER => Err(self.failed(cause)),
                    _ => outcome,
                });
            }
            let Some(session) = &mut self.session else {
                return Poll::Ready(Err(FlowError::Closed));
            };
            let moved = session.step(both);
            while let Some(event) = session.connection.poll_event() {
                match event {
                    Event::Exited(_, exit) => self.exit = Some(exit),
                    Event::Closed(_) => self.is_closed = true,
                    Event::Agreed(_) => self.exchanges += 1,
                    event => log::debug!("{}: {event:?}", self.name),
                }
            }
            match moved {
                Ok(true) => {
                    // the other one may have waited for just that
                    let other = self.wakers.0[1 - who].lock().take();
                    if let Some(other) = other.filter(|other| !other.will_wake(cx.waker())) {
                        other.wake();
                    }
                }
                Ok(false) => return Poll::Pending,
                Err(cause) => {
                    // what came before the error is given first, and a command that is over needs no connection
                    let last = attempt(self);
                    return Poll::Ready(last.unwrap_or_else(|| Err(self.failed(cause))));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The end of standard output to those who only read: an error where the command failed, once that is known.
    fn end(&self) -> Option<Result<usize, FlowError>> {
        let is_over = |session: &Session| session.connection.error().is_some();
        if !self.is_closed && !self.session.as_ref().is_none_or(is_over) {
            return None;
        }
        let exit = match &self.exit {
            None | Some(Exit::Status(0)) => return Some(Ok(0)),
            Some(exit) => exit,
        };
        let tail = self.tail().replace(|c: char| c.is_control() && c != '\n', " ");
        let lines = tail.lines().map(str::trim).filter(|line| !line.is_empty());
        let said =
            lines.fold(format!("the command ended with {exit}"), |all, line| all + ": " + line);
        Some(Err(self.failed(Cause::Protocol(said))))
    }

    fn failed(&self, cause: Cause) -> FlowError {
        FlowError::failed(Error { stage: Stage::Exchange, target: self.name.clone(), cause })
    }
}

impl mimic::Flow for Flow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, FlowError>> {
        self.poll(READER, cx, |flow| {
            let Some(session) = &mut flow.session else { return Some(Err(FlowError::Closed)) };
            // nobody reads it, and its window would fill up
            let mut scratch = [0; TAIL];
            while let Some(len @ 1..) =
                session.connection.read(flow.channel, Stream::Stderr, &mut scratch)
            {
                flow.tail.extend_from_slice(&scratch[..len]);
                let surplus = flow.tail.len().saturating_sub(TAIL);
                flow.tail.drain(..surplus);
            }
            match session.connection.read(flow.channel, Stream::Stdout, buf) {
                Some(0) => flow.end(),
                read => read.map(Ok),
            }
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, FlowError>> {
        self.poll(WRITER, cx, |flow| {
            let Some(session) = &mut flow.session else { return Some(Err(FlowError::Closed)) };
            match session.connection.write(flow.channel, buf) {
                0 if session.connection.is_writable(flow.channel) => None,
                0 if session.connection.error().is_none() => Some(Err(FlowError::Closed)),
                0 => None,
                len => Some(Ok(len)),
            }
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        self.poll(WRITER, cx, |flow| {
            let Some(session) = &flow.session else { return Some(Ok(())) };
            let is_sent = session.connection.poll_output().is_empty() && !session.needs_flush;
            is_sent.then_some(Ok(()))
        })
    }

    fn poll_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), FlowError>> {
        match &mut self.session {
            // the other direction ends with the command
            Some(session) if how != Shutdown::Read => session.connection.finish(self.channel),
            _ => {}
        }
        self.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        let Some(session) = &mut self.session else { return Poll::Ready(Ok(())) };
        if session.connection.error().is_none() {
            session.connection.close(self.channel);
            session.connection.disconnect();
        }
        // what cannot be sent any more is lost with the connection
        let sent = session.send(cx);
        if sent.is_ok() && !session.connection.poll_output().is_empty() {
            return Poll::Pending;
        }
        let closed = ready!(session.lower.poll_close(cx));
        let now = session.net.now();
        self.session = None;
        if self.exchanges > 0 {
            self.trace.push(Step {
                kind: "ssh",
                subject: self.name.clone(),
                start: self.started,
                end: now,
                outcome: Ok(format!("keys exchanged anew: {}", self.exchanges)),
            });
        }
        Poll::Ready(closed)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssh {}", self.name)
    }
}
