//! The client: requests in, answers out, over connections that it opens and keeps.

use super::connection::{Connected, Interim, MOST_INTERIM, Sender, Unanswered, listen};
use super::head;
use super::pool::{Lease, Lent, Origin, Pool};
use super::request::Request;
use super::response::{Body, Context, Response};
use super::upload::{Gate, Keeper, Payload, Upload};
use crate::deadline::within;
use crate::error::{Cause, Error, Stage};
use crate::options::HttpVersion;
use crate::trace::Trace;
use async_executor::Executor;
use core::pin::Pin;
use core::time::Duration;
use futures_lite::future;
use http::header::{EXPECT, HeaderValue};
use http::{StatusCode, Version};
use proto::target::{Scheme, Target};
use spin::Mutex;
use stack::Net;
use std::sync::Arc;

/// A connection on its way; it need not move between threads.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Connected, Error>> + 'a>>;

/// Opens the flow for a target: by the registry, so that the target's values decide which.
pub trait Connector {
    /// A new flow to `target`, offering `protocols` in its handshake where it has one.
    fn connect<'a>(&'a self, target: &'a Target, protocols: &'a [&'a str]) -> Opening<'a>;
}

/// Requests over connections that are kept, one pool an origin.
///
/// Several requests may be under way at once: over HTTP/2 they share one connection, over HTTP/1.1
/// each has one of at most [`super::MOST_CONNECTIONS`]. All machinery runs while any request or
/// content is awaited, and only then.
pub struct Client<'c> {
    net: Arc<dyn Net>,
    connector: &'c dyn Connector,
    executor: Arc<Executor<'static>>,
    pool: Pool,
    /// A flow that is there already, and where it leads.
    first: Mutex<Option<(Origin, Connected)>>,
    idle: Option<Duration>,
    version: Option<HttpVersion>,
    trace: Trace,
}

/// How long the last words may take when a client is closed.
const CLOSING: Duration = Duration::from_millis(200);

impl<'c> Client<'c> {
    /// A client without connections. Its requests are counted in `trace`.
    pub fn new(net: &Arc<dyn Net>, connector: &'c dyn Connector, trace: &Trace) -> Self {
        Self {
            net: net.clone(),
            connector,
            executor: Arc::default(),
            pool: Pool::default(),
            first: Mutex::new(None),
            idle: None,
            version: None,
            trace: trace.clone(),
        }
    }

    /// Fails when nothing comes from or goes to a peer for `limit`.
    #[must_use]
    pub fn with_idle_limit(mut self, limit: Option<Duration>) -> Self {
        self.idle = limit;
        self
    }

    /// Speaks this version alone; by default what the server prefers, and 1.1 in clear text.
    #[must_use]
    pub fn with_version(mut self, version: Option<HttpVersion>) -> Self {
        self.version = version;
        self
    }

    /// Uses `connected` for the first request to `target`'s origin, in place of a new flow.
    #[must_use]
    pub fn with_flow(self, target: &Target, connected: Connected) -> Self {
        *self.first.lock() = Some((Origin::of(target), connected));
        self
    }

    /// What `target` holds, whatever the status. Redirects are answers here.
    ///
    /// # Errors
    /// Those of [`Self::request`].
    pub async fn get(&self, target: &Target) -> Result<Response, Error> {
        self.request(&mut Request::get(target.clone())).await
    }

    /// Sends a request; gives its answer when the head is there. A content that is a stream is taken
    /// from the request.
    ///
    /// A request that met the end of a connection which had served before is sent again, if that
    /// cannot do anything twice; and once more over another connection where the server says that it
    /// has not touched it.
    ///
    /// # Errors
    /// No connection, no answer in time, no HTTP: all but a status.
    pub async fn request(&self, request: &mut Request) -> Result<Response, Error> {
        super::run(&self.executor, self.exchange(request)).await
    }

    /// Ends all connections that rest, in good order.
    pub async fn close(self) {
        self.pool.clear();
        let ended = async {
            while !self.executor.is_empty() {
                self.executor.tick().await;
                // a peer that goes on must not keep the limit from its turn
                future::yield_now().await;
            }
        };
        within(&*self.net, CLOSING, ended).await;
    }

    async fn exchange(&self, request: &mut Request) -> Result<Response, Error> {
        let fail =
            |cause| Error { stage: Stage::Exchange, target: request.target.to_string(), cause };
        let mut asks_first = request.asks_first();
        let mut is_second = false;
        loop {
            let (mut lease, used) = self.lease(&request.target).await?;
            let sender = lease.sender();
            let watch = sender.watch().clone();
            let version = match sender.version() {
                HttpVersion::Http1 => Version::HTTP_11,
                HttpVersion::Http2 => Version::HTTP_2,
            };
            let mut parts =
                request.head(version).map_err(|error| fail(Cause::Argument(error.to_string())))?;
            parts.headers.remove(EXPECT);
            let (gate, keeper) = match asks_first && version == Version::HTTP_11 {
                true => {
                    parts.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
                    let (gate, keeper) = Gate::new(&self.net);
                    (Some(gate), Some(keeper))
                }
                false => (None, None),
            };
            let again = matches!(request.payload, Payload::Empty | Payload::Memory(_));
            let payload = request.payload.take().ok_or_else(|| {
                fail(Cause::Protocol("the content was a stream: it cannot be sent again".into()))
            })?;
            let upload = Upload::new(payload, gate, watch.clone(), self.trace.clone());
            let mut message = http::Request::from_parts(parts, upload);
            let interim = listen(&mut message, keeper.clone());
            watch.touch();
            if request.keeps_head {
                watch.keep();
            }
            let sent = watch.wait(self.idle, self.answer(&interim, lease.sender(), message)).await;
            let late =
                || Cause::Limit { limit: "idle-timeout", after: self.idle.unwrap_or_default() };
            let answer = match sent.ok_or_else(|| fail(late()))? {
                Ok(answer) => answer,
                Err(Unanswered { message: Some(message), .. }) if used => {
                    request.payload = message.into_body().into_payload();
                    continue;
                }
                Err(Unanswered { cause: Cause::CutShort(_) | Cause::Net(_), .. })
                    if used && again && request.method.is_idempotent() =>
                {
                    continue;
                }
                Err(Unanswered { is_untouched: true, .. }) if again && !is_second => {
                    is_second = true;
                    lease.retire();
                    continue;
                }
                Err(Unanswered { cause, .. }) => return Err(fail(cause)),
            };
            // RFC 9110 §10.1.1: it does not know expectations
            if answer.status() == StatusCode::EXPECTATION_FAILED && asks_first && again {
                asks_first = false;
                continue;
            }
            if answer.status().is_informational() {
                let text = format!("the server switches protocols ({})", answer.status().as_u16());
                return Err(fail(Cause::Protocol(text)));
            }
            let head = match request.keeps_head {
                true if version == Version::HTTP_11 => head::received(&watch.kept()).to_vec(),
                true => head::written(&answer),
                false => Vec::new(),
            };
            self.trace.received(self.net.now(), 0);
            return Ok(self.response(request, answer, head, lease, keeper));
        }
    }

    /// The answer's head, unless there are too many that are none.
    async fn answer(
        &self,
        interim: &Interim,
        sender: &mut Sender,
        message: http::Request<Upload>,
    ) -> super::connection::Sent {
        let flood = async {
            interim.too_many().await;
            let text = format!("more than {MOST_INTERIM} interim answers (1xx) and no final one");
            let cause = Cause::Protocol(text);
            Err(Unanswered { cause, message: None, is_untouched: false })
        };
        future::or(flood, sender.send(message)).await
    }

    fn response(
        &self,
        request: &Request,
        answer: http::Response<hyper::body::Incoming>,
        head: Vec<u8>,
        mut lease: Lease,
        keeper: Option<Keeper>,
    ) -> Response {
        if let Some(keeper) = &keeper {
            keeper.hold();
        }
        let context = Context {
            net: self.net.clone(),
            executor: self.executor.clone(),
            watch: lease.sender().watch().clone(),
            idle: self.idle,
            trace: self.trace.clone(),
            target: request.target.to_string(),
        };
        let (parts, incoming) = answer.into_parts();
        Response {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            head,
            body: Body::new(context, incoming, lease, keeper),
        }
    }

    /// A connection that is ready, and whether it has served before.
    async fn lease(&self, target: &Target) -> Result<(Lease, bool), Error> {
        let origin = Origin::of(target);
        loop {
            let permit = match self.pool.lend(&origin, || self.net.now()).await {
                Lent::Used(mut lease) => match lease.sender().is_ready().await {
                    true => return Ok((lease, true)),
                    false => continue,
                },
                Lent::Fresh(permit) => permit,
            };
            let first = self.first.lock().take_if(|(known, _)| *known == origin);
            let connected = match first {
                Some((_, connected)) => connected,
                None => self.connector.connect(target, super::offer(self.version)).await?,
            };
            let is_encrypted = target.scheme == Scheme::Https;
            let open =
                Sender::open(&self.net, &self.executor, connected, self.version, is_encrypted);
            let sender = open.await.map_err(|cause| Error {
                stage: Stage::Exchange,
                target: target.to_string(),
                cause,
            })?;
            return Ok((permit.opened(sender), false));
        }
    }
}
