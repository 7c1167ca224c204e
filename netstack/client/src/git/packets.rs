//! Packets on a flow, within the limit of time between two octets.

use crate::deadline::within_some;
use crate::error::{Cause, Error, Stage};
use crate::trace::{Payload, Trace};
use core::pin::Pin;
use core::time::Duration;
use futures_lite::future;
use mimic::BoxFlow;
use proto::git::pack::Limits;
use proto::git::pkt::{self, Packet};
use stack::Net;
use std::sync::Arc;

/// What an exchange with a repository needs beside its flow.
#[derive(Clone)]
pub struct Context {
    /// The clock.
    pub net: Arc<dyn Net>,
    /// Between two octets from the peer.
    pub idle: Option<Duration>,
    /// Where octets are counted.
    pub trace: Trace,
    /// What errors name.
    pub target: String,
    /// What answers may cost.
    pub limits: Limits,
}

impl Context {
    /// An error of the exchange.
    pub fn fail(&self, cause: Cause) -> Error {
        Error { stage: Stage::Exchange, target: self.target.clone(), cause }
    }

    /// What the protocol found wrong.
    pub(super) fn wrong(&self, error: &proto::git::Error) -> Error {
        use proto::git::Error as Git;
        let text = error.to_string();
        self.fail(match error {
            Git::Refused(_) | Git::Unsupported(_) => Cause::Protocol(text),
            Git::Memory { .. } => {
                Cause::Memory(format!("{text} (--memory gives the machine more)"))
            }
            _ => Cause::Malformed(text),
        })
    }

    async fn limited<T>(&self, step: Step<'_, T>) -> Result<T, Error> {
        match within_some(&*self.net, self.idle, step).await {
            Some(done) => done.map_err(|cause| self.fail(cause)),
            None => Err(self.fail(Cause::Limit {
                limit: "idle-timeout",
                after: self.idle.unwrap_or_default(),
            })),
        }
    }
}

/// A step of a [`Transport`].
pub type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, Cause>> + 'a>>;

/// How messages go to a repository's server, and its answers come. A flow is one; what asks anew for each message is
/// another.
pub trait Transport {
    /// Sends a whole message.
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Step<'a, ()>;

    /// Reads some octets of an answer into `buf` (not empty): how many there were, or 0 at the end.
    fn receive<'a>(&'a mut self, buf: &'a mut [u8]) -> Step<'a, usize>;

    /// Ends both directions, without waiting for the peer to agree.
    fn close(&mut self) -> Step<'_, ()>;

    /// Whether octets are counted in the trace on their way to it.
    fn counts(&self) -> bool {
        false
    }
}

impl Transport for BoxFlow {
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Step<'a, ()> {
        Box::pin(async move {
            self.write_all(octets).await.map_err(|error| Cause::of(&error))?;
            self.flush().await.map_err(|error| Cause::of(&error))
        })
    }

    fn receive<'a>(&'a mut self, buf: &'a mut [u8]) -> Step<'a, usize> {
        Box::pin(async move { self.read(buf).await.map_err(|error| Cause::of(&error)) })
    }

    fn close(&mut self) -> Step<'_, ()> {
        Box::pin(async move { BoxFlow::close(self).await.map_err(|error| Cause::of(&error)) })
    }
}

/// Both directions of an exchange.
pub struct Packets<'t> {
    pub context: Context,
    transport: Box<dyn Transport + 't>,
    buf: Box<[u8]>,
    /// What was read and not yet taken stands in `buf[start..end]`.
    start: usize,
    end: usize,
    /// How often was read.
    reads: u32,
}

/// Two packets of the longest.
const BUFFER: usize = 128 * 1024;
/// Reads of a peer who always has more to say before others may run: limits of time among them.
const READS_AT_ONCE: u32 = 8;
/// What is read at once while less than a packet is there.
const ROOM: usize = pkt::LONGEST + 4;

impl<'t> Packets<'t> {
    pub fn new(transport: impl Transport + 't, context: Context) -> Self {
        let transport = Box::new(transport);
        Self { context, transport, buf: vec![0; BUFFER].into(), start: 0, end: 0, reads: 0 }
    }

    /// Sends all of it.
    pub async fn send(&mut self, octets: &[u8]) -> Result<(), Error> {
        let Self { context, transport, .. } = self;
        context.limited(transport.send(octets)).await?;
        if !transport.counts() {
            context.trace.sent(octets.len());
        }
        Ok(())
    }

    /// The next packet; `while_at` says in which part of the exchange, should it end there.
    pub async fn next(&mut self, while_at: &str) -> Result<Packet<'_>, Error> {
        loop {
            let parsed = pkt::parse(&self.buf[self.start..self.end]);
            if parsed.map_err(|error| self.context.wrong(&error))?.is_some() {
                break;
            }
            if !self.fill().await? {
                return Err(self.cut(while_at));
            }
        }
        let parsed = pkt::parse(&self.buf[self.start..self.end]);
        let (packet, len) = parsed.ok().flatten().expect("a packet was found above");
        self.start += len;
        Ok(packet)
    }

    /// The next octets, outside packets; none at the end.
    pub async fn octets(&mut self) -> Result<&[u8], Error> {
        if self.start == self.end {
            self.fill().await?;
        }
        let start = core::mem::replace(&mut self.start, self.end);
        Ok(&self.buf[start..self.end])
    }

    /// Says that all that follows is the payload, and what is here of it already.
    pub fn expect(&self) {
        let begun = Payload { octets: (self.end - self.start) as u64, total: None };
        self.context.trace.expect(self.context.net.now(), begun);
    }

    /// The error of an exchange that ends too early.
    pub fn cut(&self, while_at: &str) -> Error {
        self.context.fail(Cause::CutShort(format!("the server ended the exchange {while_at}")))
    }

    /// Ends both directions, without waiting for the peer to agree.
    pub async fn close(mut self) {
        if let Err(cause) = self.transport.close().await {
            log::debug!("git: {cause}");
        }
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> Result<bool, Error> {
        self.reads = self.reads.wrapping_add(1);
        if self.reads.is_multiple_of(READS_AT_ONCE) {
            future::yield_now().await;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buf.len() - self.end < ROOM {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let Self { context, transport, buf, end, .. } = self;
        let len = context.limited(transport.receive(&mut buf[*end..])).await?;
        if !transport.counts() {
            context.trace.received(context.net.now(), len);
        }
        *end += len;
        Ok(len > 0)
    }
}
