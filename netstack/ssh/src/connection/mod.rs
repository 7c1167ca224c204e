//! The connection: what its owner calls, and the packets' way to the layer that they are for.
//!
//! ```text
//!            handle_input ─► version ─► packet::Opener ─┬─► key exchange ─► keys of both directions
//!                                                       ├─► authentication
//!   poll_event ◄── events ◄─────────────────────────────┼─► requests
//!         read ◄── streams ◄────────────────────────────┴─► channels
//!        write ─► packet::Sealer ─► out ─► poll_output
//! ```

mod channels;
mod exchange;

use crate::algorithm::{Agreement, Algorithms};
use crate::auth::{Authentication, Credential, Step};
use crate::channel::{Channel, ChannelId, Exec, MAX_CHANNELS, Phase, Stream};
use crate::error::Error;
use crate::event::Event;
use crate::message::{self, reason};
use crate::packet::{Opened, Opener, Sealer};
use crate::wire::{Fields, Message, one_line, printable};
use crate::{Random, Source, version};
use core::time::Duration;
use exchange::Exchange;
use std::collections::{BTreeMap, VecDeque};

/// How a connection behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who to be at the server.
    pub user: String,
    /// By what to be known there, tried in this order.
    pub credentials: Vec<Credential>,
    /// What to offer.
    pub algorithms: Algorithms,
    /// Octets in one direction after which keys are exchanged anew (RFC 4253 §9: a gibibyte).
    pub rekey_octets: u64,
    /// The same in time (RFC 4253 §9: an hour).
    pub rekey_after: Duration,
    /// How long the server may be silent before it is asked whether it is still there, and between such questions;
    /// `None`: for ever.
    pub keepalive: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user: String::new(),
            credentials: Vec::new(),
            algorithms: Algorithms::default(),
            rekey_octets: 1 << 30,
            rekey_after: Duration::from_secs(60 * 60),
            keepalive: Some(Duration::from_secs(30)),
        }
    }
}

/// Questions without an answer after which a server counts as gone.
const MAX_UNANSWERED: u32 = 3;
/// How long the server may be silent in a key exchange after the first.
const REKEY_LIMIT: Duration = Duration::from_secs(60);
/// Packets in one direction after which keys are exchanged anew: RFC 4344 §3.1 allows 2^32, and numbers repeat after.
const REKEY_PACKETS: u32 = 1 << 30;
/// Octets on their way out with which nothing more is taken from writers.
const OUT_FULL: usize = 256 * 1024;
/// Octets on their way out with which nothing more is taken from the server, whose packets want answers.
const OUT_HELD: usize = 1024 * 1024;
/// What the lengths of packets are multiples of while there are secrets in them.
const HIDING: usize = 128;
/// Octets and packets that wait for the end of a key exchange.
const MAX_DEFERRED: usize = 512;
/// Events that wait to be taken before nothing more is taken from the server.
const MAX_EVENTS: usize = 64;
/// Octets taken at once, where a packet needs no more.
const CHUNK: usize = 64 * 1024;
/// Messages without a use (ignore, debug, banners, extensions) before the user is known.
const MAX_IDLE_TALK: u32 = 1024;

/// A client's side of one SSH 2 connection. It has no socket, no clock and no randomness of its own.
///
/// The owner calls, in any order: `handle_*` with what comes from outside, and the commands (`exec`, `write`, …). After
/// each it takes all that there is of [`poll_output`](Self::poll_output) (then says
/// [`handle_sent`](Self::handle_sent)), [`poll_event`](Self::poll_event), [`read`](Self::read), and sets its timer to
/// [`poll_timeout`](Self::poll_timeout).
///
/// Times are since any fixed point; each call's `now` is not before the last one's.
///
/// The first [`Error`] is final: it is returned once more by each later `handle_*`.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub struct Connection {
    config: Config,
    random: Source,
    now: Duration,
    stage: Stage,
    failed: Option<Error>,

    input: Vec<u8>,
    /// Where in `input` the next packet begins.
    start: usize,
    out: Vec<u8>,
    /// Octets at the start of `out` that are gone.
    sent: usize,
    sealer: Sealer,
    opener: Opener,

    exchange: Exchange,
    /// Strict key exchange: agreed on in the first, in force ever after.
    is_strict: bool,
    server_version: Vec<u8>,
    /// The first exchange's hash; empty before.
    session: Vec<u8>,
    /// The host key that was accepted.
    host_key: Option<crate::hostkey::HostKey>,
    /// The kinds of keys that it has.
    host_key_kinds: Vec<&'static str>,
    agreement: Option<Agreement>,
    /// Octets and packets since the keys are in use, both ways.
    traffic: [Traffic; 2],
    keys_since: Duration,

    /// Messages that wait for the end of a key exchange.
    deferred: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    auth: Authentication,
    idle_talk: u32,
    channels: BTreeMap<ChannelId, Channel>,
    next_channel: u32,
    heard: Duration,
    /// Questions whether the server is there, not answered yet.
    unanswered: u32,
}

#[derive(Clone, Copy, Default)]
struct Traffic {
    octets: u64,
    packets: u32,
}

const OUTGOING: usize = 0;
const INCOMING: usize = 1;

#[cfg_attr(any(test, fuzzing), derive(Clone))]
enum Stage {
    /// The server's identification is awaited.
    Version(version::Awaiting),
    /// The first key exchange.
    Keys,
    /// The service for authentication was asked for.
    Service,
    Authentication,
    Open,
}

impl Connection {
    /// Starts a connection: our identification and offer are there to be sent. `random` fills what it is given with octets
    /// that nobody can foretell.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn new(config: Config, random: Random, now: Duration) -> Result<Self, Error> {
        let mut config = config;
        let credentials = core::mem::take(&mut config.credentials);
        let auth = Authentication::new(config.user.clone(), credentials);
        let mut connection = Self {
            config,
            random: Source(random),
            now,
            stage: Stage::Version(version::Awaiting::default()),
            failed: None,
            input: Vec::new(),
            start: 0,
            out: format!("{}\r\n", version::OURS).into_bytes(),
            sent: 0,
            sealer: Sealer::clear(),
            opener: Opener::clear(),
            exchange: Exchange::Idle,
            is_strict: false,
            server_version: Vec::new(),
            session: Vec::new(),
            host_key: None,
            host_key_kinds: Vec::new(),
            agreement: None,
            traffic: [Traffic::default(); 2],
            keys_since: now,
            deferred: VecDeque::new(),
            events: VecDeque::new(),
            auth,
            idle_talk: 0,
            channels: BTreeMap::new(),
            next_channel: 0,
            heard: now,
            unanswered: 0,
        };
        connection.offer()?;
        Ok(connection)
    }

    /// Takes octets from the server; gives how many. Fewer than all, where outputs or events have to be taken first or the
    /// host key is to be judged: the rest is to be given again then, also where that rest is empty.
    ///
    /// # Errors
    /// The connection is over. What is left to output tells the server why.
    pub fn handle_input(&mut self, now: Duration, input: &[u8]) -> Result<usize, Error> {
        self.at(now)?;
        let mut rest = input;
        let outcome = self.take(&mut rest);
        self.finish_call(outcome)?;
        Ok(input.len() - rest.len())
    }

    /// The server's octets are at their end.
    ///
    /// # Errors
    /// Always: [`Error::CutShort`], where nothing ended the connection before.
    pub fn handle_end(&mut self, now: Duration) -> Result<(), Error> {
        self.at(now)?;
        self.finish_call(Err(Error::CutShort))
    }

    /// Time has passed: to be called when [`poll_timeout`](Self::poll_timeout) is reached; earlier calls do no harm.
    ///
    /// # Errors
    /// [`Error::Silent`].
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), Error> {
        self.at(now)?;
        let outcome = self.act_on_time();
        self.finish_call(outcome)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.failed.is_some() || !matches!(self.stage, Stage::Open) {
            return None;
        }
        if !matches!(self.exchange, Exchange::Idle) {
            // nothing can be asked before its end
            return Some(self.rekey_limit());
        }
        let keys = self.keys_since.saturating_add(self.config.rekey_after);
        Some(self.next_question().map_or(keys, |question| question.min(keys)))
    }

    /// What is to be sent, all of it so far.
    pub fn poll_output(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// The first `len` octets of [`poll_output`](Self::poll_output) have been sent.
    pub fn handle_sent(&mut self, len: usize) {
        self.sent = (self.sent + len).min(self.out.len());
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > OUT_FULL {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Whether something happened that [`poll_event`](Self::poll_event) would tell.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What ended the connection.
    pub fn error(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// The host key of [`Event::HostKey`] is the right one: the connection goes on.
    ///
    /// # Errors
    /// The connection is over.
    pub fn accept_host_key(&mut self, now: Duration) -> Result<(), Error> {
        self.at(now)?;
        let outcome = self.accept_key();
        self.finish_call(outcome)
    }

    /// The kinds of host keys that the server has, of those that we know: one of them is that of [`Event::HostKey`].
    pub fn host_key_kinds(&self) -> &[&'static str] {
        &self.host_key_kinds
    }

    /// It is not: the connection ends with [`Error::HostKeyRefused`].
    pub fn refuse_host_key(&mut self) {
        self.fail(Error::HostKeyRefused);
    }

    /// Runs a command over a channel of its own; [`Event::Started`] or [`Event::Refused`] follows. `None`: the user is not
    /// known yet, or there are [`MAX_CHANNELS`] already.
    pub fn exec(&mut self, exec: Exec) -> Option<ChannelId> {
        if !matches!(self.stage, Stage::Open)
            || self.failed.is_some()
            || self.channels.len() >= MAX_CHANNELS
        {
            return None;
        }
        let id = ChannelId(self.next_channel);
        self.next_channel = self.next_channel.wrapping_add(1);
        let outcome = self.open_channel(id, exec);
        self.finish_call(outcome).ok()?;
        Some(id)
    }

    /// Writes to a command's standard input; gives how many octets were taken. 0: its window or our output is full, the command
    /// does not run yet, or its input is closed.
    pub fn write(&mut self, id: ChannelId, data: &[u8]) -> usize {
        let written = self.write_data(id, data);
        // new keys may be due after so much
        let outcome = self.rekey_if_due();
        match self.finish_call(outcome) {
            Ok(()) => written,
            Err(_) => 0,
        }
    }

    /// Whether a [`write`](Self::write) could still take something, now or later.
    pub fn is_writable(&self, id: ChannelId) -> bool {
        let is_open = |it: &Channel| {
            !it.wants_eof && !it.wants_close && !it.close_received && it.phase != Phase::Refused
        };
        self.failed.is_none() && self.channels.get(&id).is_some_and(is_open)
    }

    /// Nothing more is written to the command's standard input: its end of file.
    pub fn finish(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.wants_eof = true;
        }
        self.flush();
    }

    /// Reads what a command wrote: `None`, nothing yet; 0, the stream's end.
    pub fn read(&mut self, id: ChannelId, stream: Stream, buf: &mut [u8]) -> Option<usize> {
        let Some(channel) = self.channels.get_mut(&id) else { return Some(0) };
        if !channel.has(stream) {
            return channel.has_ended().then_some(0);
        }
        let len = channel.read(stream, buf);
        self.flush();
        Some(len)
    }

    /// Ends a channel: what the command still writes is thrown away.
    pub fn close(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.wants_close = true;
            channel.discard();
        }
        self.flush();
        self.forget_closed();
    }

    /// Exchanges keys anew, if the connection is open and no exchange is under way.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn rekey(&mut self, now: Duration) -> Result<(), Error> {
        self.at(now)?;
        let outcome = match (&self.stage, &self.exchange) {
            (Stage::Open, Exchange::Idle) => self.offer(),
            _ => Ok(()),
        };
        self.finish_call(outcome)
    }

    /// Says goodbye: once the output is sent, the connection may be closed.
    pub fn disconnect(&mut self) {
        if self.failed.is_none() {
            self.goodbye(reason::BY_APPLICATION, "");
            self.failed = Some(Error::CutShort);
        }
    }

    fn at(&mut self, now: Duration) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Makes an error final; else sends what may be sent now.
    fn finish_call(&mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {
                self.flush();
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        if let Some(failed) = &self.failed {
            return failed.clone();
        }
        if let Some(reason) = error.reason() {
            self.goodbye(reason, &error.to_string());
        }
        self.failed = Some(error.clone());
        error
    }

    fn goodbye(&mut self, reason: u32, text: &str) {
        // the other side knows the keys in use, even in the middle of an exchange
        let message =
            Message::new(message::DISCONNECT).uint32(reason).string(text).string("").done();
        self.sealer.seal(&mut self.out, &[&message]);
    }

    fn is_held(&self) -> bool {
        self.poll_output().len() >= OUT_HELD
            || self.events.len() >= MAX_EVENTS
            || matches!(self.exchange, Exchange::Judging { .. })
    }

    fn take(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        if let Stage::Version(awaiting) = &mut self.stage {
            let Some(version) = awaiting.handle(rest)? else { return Ok(()) };
            self.server_version = version;
            self.stage = Stage::Keys;
        }
        while !self.is_held() {
            match self.opener.open(&mut self.input[self.start..])? {
                Opened::Packet { sequence, payload, total } => {
                    let start = self.start;
                    self.start += total;
                    self.heard = self.now;
                    self.unanswered = 0;
                    self.count(INCOMING, total);
                    // nothing that a packet leads to touches the input
                    let input = core::mem::take(&mut self.input);
                    let payload = &input[start + payload.start..start + payload.end];
                    let outcome = self.handle_packet(sequence, payload);
                    self.input = input;
                    outcome?;
                    self.rekey_if_due()?;
                }
                Opened::Short(_) if rest.is_empty() => break,
                Opened::Short(needed) => {
                    self.input.drain(..self.start);
                    self.start = 0;
                    let room = needed.max(CHUNK) - self.input.len();
                    let (taken, left) = rest.split_at(room.min(rest.len()));
                    self.input.extend_from_slice(taken);
                    *rest = left;
                }
            }
        }
        Ok(())
    }

    fn handle_packet(&mut self, sequence: u32, payload: &[u8]) -> Result<(), Error> {
        let mut fields = Fields::of(payload)?;
        let message = fields.message();
        if self.handle_exchange(payload)? {
            return Ok(());
        }
        match message {
            message::DISCONNECT => {
                let reason = fields.uint32()?;
                let text = one_line(fields.string()?);
                Err(match self.stage {
                    Stage::Authentication => Error::Dismissed { reason, text },
                    _ => Error::Disconnected { reason, text },
                })
            }
            message::IGNORE | message::DEBUG | message::UNIMPLEMENTED => self.count_idle_talk(),
            message::EXT_INFO if !self.session.is_empty() => self.extensions(fields),
            message::SERVICE_ACCEPT if matches!(self.stage, Stage::Service) => {
                self.stage = Stage::Authentication;
                let request = self.auth.start();
                self.send(request)
            }
            message::USERAUTH_BANNER if matches!(self.stage, Stage::Authentication) => {
                self.count_idle_talk()?;
                self.events.push_back(Event::Banner(printable(fields.string()?)));
                Ok(())
            }
            50..80 if matches!(self.stage, Stage::Authentication) => {
                match self.auth.handle(payload, &self.session)? {
                    Step::Send(request) => self.send(request),
                    Step::Done(method) => {
                        self.stage = Stage::Open;
                        self.keys_since = self.now;
                        self.events.push_back(Event::Authenticated(method));
                        Ok(())
                    }
                }
            }
            // RFC 4252 §5.1: what the server still says to a request of before is to be passed over
            50..80 if matches!(self.stage, Stage::Open) => self.count_idle_talk(),
            80..128 if matches!(self.stage, Stage::Open) => self.handle_open(fields, sequence),
            message::SERVICE_REQUEST | message::SERVICE_ACCEPT | message::EXT_INFO | 20..128 => {
                Err(Error::Unexpected { message })
            }
            _ => self.unimplemented(sequence),
        }
    }

    fn unimplemented(&mut self, sequence: u32) -> Result<(), Error> {
        self.send(Message::new(message::UNIMPLEMENTED).uint32(sequence).done())
    }

    /// RFC 8308 §2.3.
    fn extensions(&mut self, mut fields: Fields<'_>) -> Result<(), Error> {
        const MAX_EXTENSIONS: u32 = 64;
        self.count_idle_talk()?;
        let count = fields.uint32()?;
        if count > MAX_EXTENSIONS {
            return Err(Error::Flood("extensions"));
        }
        for _ in 0..count {
            let (name, value) = (fields.string()?, fields.string()?);
            if name == b"server-sig-algs" {
                self.auth.server_algorithms = Some(value.to_vec());
            }
        }
        Ok(())
    }

    fn count_idle_talk(&mut self) -> Result<(), Error> {
        self.idle_talk += u32::from(!matches!(self.stage, Stage::Open));
        match self.idle_talk > MAX_IDLE_TALK {
            true => Err(Error::Flood("messages that mean nothing")),
            false => Ok(()),
        }
    }

    fn act_on_time(&mut self) -> Result<(), Error> {
        if !matches!(self.stage, Stage::Open) {
            return Ok(());
        }
        if !matches!(self.exchange, Exchange::Idle) {
            return match self.now >= self.rekey_limit() {
                true => Err(Error::Silent { after: REKEY_LIMIT }),
                false => Ok(()),
            };
        }
        if self.next_question().is_some_and(|question| self.now >= question) {
            if self.unanswered >= MAX_UNANSWERED {
                return Err(Error::Silent { after: self.now - self.heard });
            }
            self.unanswered += 1;
            let question = Message::new(message::GLOBAL_REQUEST).string("keepalive@openssh.com");
            self.send(question.boolean(true).done())?;
        }
        self.rekey_if_due()
    }

    /// When a server that says nothing in a key exchange is given up. What it still sends of before may take its time over a slow
    /// link.
    fn rekey_limit(&self) -> Duration {
        self.keys_since.max(self.heard).saturating_add(REKEY_LIMIT)
    }

    /// When the server is to be asked whether it is there.
    fn next_question(&self) -> Option<Duration> {
        let interval = self.config.keepalive?;
        Some(self.heard.saturating_add(interval.saturating_mul(self.unanswered + 1)))
    }

    /// Whether anything but a key exchange may be sent.
    fn may_send(&self) -> bool {
        self.failed.is_none()
            && matches!(self.exchange, Exchange::Idle | Exchange::Switching { .. })
    }

    /// Sends a message, after the key exchange where one is under way.
    fn send(&mut self, message: Vec<u8>) -> Result<(), Error> {
        if self.may_send() {
            self.send_deferred();
            self.seal(&[&message]);
        } else if self.deferred.len() < MAX_DEFERRED {
            self.deferred.push_back(message);
        } else {
            return Err(Error::Flood("requests during a key exchange"));
        }
        Ok(())
    }

    fn seal(&mut self, parts: &[&[u8]]) {
        let before = self.out.len();
        match self.stage {
            // how long a password is, is nobody's business
            Stage::Authentication => self.sealer.seal_to(HIDING, &mut self.out, parts),
            _ => self.sealer.seal(&mut self.out, parts),
        }
        self.count(OUTGOING, self.out.len() - before);
    }

    fn count(&mut self, direction: usize, octets: usize) {
        let traffic = &mut self.traffic[direction];
        traffic.octets += octets as u64;
        traffic.packets = traffic.packets.saturating_add(1);
    }

    /// Sends what waited for a key exchange, and what the channels owe.
    fn flush(&mut self) {
        if !self.may_send() {
            return;
        }
        self.send_deferred();
        self.flush_channels();
    }

    fn send_deferred(&mut self) {
        while let Some(message) = self.deferred.pop_front() {
            self.seal(&[&message]);
        }
    }
}

#[cfg(test)]
mod tests;
