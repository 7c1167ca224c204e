//! What comes back: a head, and a content that comes as it is read.

use super::pool::Lease;
use super::stream::Watch;
use super::upload::Keeper;
use crate::error::{Cause, Error, Stage};
use crate::trace::{Payload, Trace};
use async_executor::Executor;
use bytes::Bytes;
use core::time::Duration;
use http::{HeaderMap, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use stack::Net;
use std::sync::Arc;

/// An answer whose head is there.
pub struct Response {
    /// What came of the request.
    pub status: StatusCode,
    /// What the server spoke.
    pub version: Version,
    /// The fields.
    pub headers: HeaderMap,
    /// The head as it came, and interim ones before it, where the request asked to keep that.
    pub head: Vec<u8>,
    /// The content.
    pub body: Body,
}

/// The content of an answer: comes as it is read, and no faster.
///
/// Read to its end it leaves the connection for the next request; dropped before, it ends a
/// connection of HTTP/1.1 and resets a stream of HTTP/2.
pub struct Body {
    context: Context,
    incoming: Incoming,
    lease: Option<Lease>,
    keeper: Option<Keeper>,
    trailers: HeaderMap,
    coding: Coding,
    /// Octets given out so far.
    given: u64,
    most: Option<u64>,
}

/// What a content needs while it is read.
pub(super) struct Context {
    pub net: Arc<dyn Net>,
    pub executor: Arc<Executor<'static>>,
    pub watch: Watch,
    pub idle: Option<Duration>,
    pub trace: Trace,
    pub target: String,
}

/// Octets behind a decoded content that are read.
#[cfg(feature = "compression")]
const BEHIND: usize = 64 * 1024;

/// How a content comes.
enum Coding {
    /// As it is.
    Identity,
    #[cfg(feature = "compression")]
    Decoded(super::decode::Chain),
}

impl Context {
    fn fail(&self, cause: Cause) -> Error {
        Error { stage: Stage::Exchange, target: self.target.clone(), cause }
    }
}

impl Body {
    pub(super) fn new(
        context: Context,
        incoming: Incoming,
        lease: Lease,
        keeper: Option<Keeper>,
    ) -> Self {
        let (trailers, coding) = (HeaderMap::new(), Coding::Identity);
        let lease = Some(lease);
        let mut body =
            Self { context, incoming, lease, keeper, trailers, coding, given: 0, most: None };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    /// Fails beyond `most` octets, as they are given out.
    ///
    /// # Errors
    /// The answer says already that it has more.
    pub fn limit(&mut self, most: u64) -> Result<(), Error> {
        self.most = Some(most);
        match self.length() {
            Some(length) if length > most => {
                let text = format!("the answer has {length} octets, more than --max-size={most}");
                Err(self.context.fail(Cause::Malformed(text)))
            }
            _ => Ok(()),
        }
    }

    /// Octets that are still to be given out, where the answer says it.
    fn length(&self) -> Option<u64> {
        match self.coding {
            Coding::Identity => self.incoming.size_hint().exact(),
            #[cfg(feature = "compression")]
            Coding::Decoded(_) => None,
        }
    }

    /// Says that the rest of the content is what will be printed.
    pub(super) fn expect(&self) {
        let begun = Payload { octets: 0, total: self.length() };
        self.context.trace.expect(self.context.net.now(), begun);
    }

    /// Gives the content out as it was before the server encoded it, by the answer's
    /// `Content-Encoding`.
    ///
    /// # Errors
    /// A coding that is not known.
    #[cfg(feature = "compression")]
    pub fn decode(&mut self, headers: &HeaderMap) -> Result<(), Error> {
        let values = headers.get_all(http::header::CONTENT_ENCODING);
        let codings = proto::coding::codings(values.iter().map(|value| value.as_bytes()));
        let codings = codings.map_err(|e| self.context.fail(Cause::Malformed(e.to_string())))?;
        // RFC 9110 §8.4: there may be a coding, and no content in it, in the answer to HEAD, say
        if !codings.is_empty() && !self.incoming.is_end_stream() {
            self.coding = Coding::Decoded(super::decode::Chain::new(&codings));
        }
        Ok(())
    }

    /// The next octets; `None` at the end.
    ///
    /// # Errors
    /// The content ends early, makes no sense, is too large, or does not go on.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let octets = match self.next().await? {
            Some(octets) => octets,
            None => return Ok(None),
        };
        self.given += octets.len() as u64;
        if let Some(most) = self.most.filter(|most| self.given > *most) {
            let text = format!("the answer has more than --max-size={most} octets");
            return Err(self.context.fail(Cause::Malformed(text)));
        }
        self.context.trace.received(self.context.net.now(), octets.len());
        Ok(Some(octets))
    }

    /// All that is left, if it is at most `most` octets.
    ///
    /// # Errors
    /// Those of [`Self::chunk`].
    pub async fn collect(&mut self, most: u64) -> Result<Vec<u8>, Error> {
        self.limit(most)?;
        let mut all = Vec::new();
        while let Some(octets) = self.chunk().await? {
            all.extend_from_slice(&octets);
        }
        Ok(all)
    }

    /// The fields behind the content (RFC 9110 §6.5); known at its end.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    #[cfg(not(feature = "compression"))]
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.encoded().await
    }

    #[cfg(feature = "compression")]
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Coding::Decoded(chain) = &mut self.coding else { return self.encoded().await };
            let pulled = chain.pull(self.most.is_none());
            match pulled.map_err(|text| self.context.fail(Cause::Malformed(text)))? {
                super::decode::Pull::Octets(octets) => return Ok(Some(octets)),
                super::decode::Pull::End => return self.drained().await,
                super::decode::Pull::Hungry => {}
            }
            let more = self.encoded().await?;
            let Coding::Decoded(chain) = &mut self.coding else { return Ok(more) };
            chain.push(more);
        }
    }

    /// The decoded content has ended. What follows in the encoded one counts for nothing: it is read so that the connection
    /// serves again, as far as that is worth it.
    #[cfg(feature = "compression")]
    async fn drained(&mut self) -> Result<Option<Bytes>, Error> {
        let mut left = BEHIND;
        while let Some(octets) = self.encoded().await? {
            left = left.saturating_sub(octets.len());
            if left == 0 {
                self.lease = None;
            }
        }
        Ok(None)
    }

    /// The next octets as they come.
    async fn encoded(&mut self) -> Result<Option<Bytes>, Error> {
        while self.lease.is_some() {
            let Self { context, incoming, .. } = self;
            let frame = context.watch.wait(context.idle, incoming.frame());
            let frame = super::run(&context.executor, frame).await.ok_or_else(|| {
                let after = context.idle.unwrap_or_default();
                context.fail(Cause::Limit { limit: "idle-timeout", after })
            })?;
            let Some(frame) = frame else {
                self.end();
                break;
            };
            let frame =
                frame.map_err(|error| context.fail(context.watch.blame(super::cause(&error))))?;
            context.watch.touch();
            match frame.into_data() {
                Ok(octets) if octets.is_empty() => {}
                Ok(octets) => return Ok(Some(octets)),
                Err(frame) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Ok(None)
    }

    /// The answer is whole: its connection may serve again, unless a content is still held back there.
    fn end(&mut self) {
        let refused = self.keeper.take().is_some_and(|keeper| keeper.refuse());
        if let Some(lease) = self.lease.take()
            && !refused
        {
            lease.give_back(self.context.net.now());
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.refuse();
        }
    }
}
