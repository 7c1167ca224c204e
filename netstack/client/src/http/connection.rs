//! A connection that speaks HTTP: its version agreed on, its machinery running on the client's executor.

use super::cause;
use super::stream::{Io, Watch};
use super::upload::{Keeper, Upload};
use crate::error::Cause;
use crate::options::HttpVersion;
use async_executor::Executor;
use core::sync::atomic::{AtomicU32, Ordering};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::on_informational;
use mimic::BoxFlow;
use stack::Net;
use std::sync::Arc;

#[cfg(feature = "http2")]
use {crate::error::find_as, hyper::client::conn::http2};

/// A flow over which HTTP is to be spoken.
pub struct Connected {
    /// Connected.
    pub flow: BoxFlow,
    /// The application protocol that its handshake agreed on (RFC 7301).
    pub alpn: Option<Vec<u8>>,
}

/// The protocols to offer in a handshake, in order of preference (RFC 9113 §3.2).
pub fn offer(version: Option<HttpVersion>) -> &'static [&'static str] {
    let both: &[_] = if cfg!(feature = "http2") { &["h2", "http/1.1"] } else { &["http/1.1"] };
    match version {
        None => both,
        Some(HttpVersion::Http1) => &["http/1.1"],
        Some(HttpVersion::Http2) => &["h2"],
    }
}

/// One connection's way in.
pub(super) enum Sender {
    One(http1::SendRequest<Upload>, Watch),
    #[cfg(feature = "http2")]
    Two(http2::SendRequest<Upload>, Watch),
}

/// Fields of an answer of HTTP/1.1: as many as the buffer holds of an ordinary length.
const MOST_FIELDS: usize = super::READ_BUFFER / 64;

/// What hyper answers, or why not.
pub(super) type Sent = Result<http::Response<Incoming>, Unanswered>;

/// Why there is no answer.
pub(super) struct Unanswered {
    pub cause: Cause,
    /// The request, where it never left.
    pub message: Option<http::Request<Upload>>,
    /// The server says that it has done nothing about the request (RFC 9113 §8.7).
    pub is_untouched: bool,
}

impl Sender {
    /// Agrees on the version, and begins.
    pub(super) async fn open(
        net: &Arc<dyn Net>,
        executor: &Arc<Executor<'static>>,
        connected: Connected,
        wanted: Option<HttpVersion>,
        is_encrypted: bool,
    ) -> Result<Self, Cause> {
        let Connected { flow, alpn } = connected;
        let agreed = alpn.as_deref() == Some(b"h2");
        let is_two = match wanted {
            // RFC 9113 §3.3: in clear text by prior knowledge
            Some(HttpVersion::Http2) if is_encrypted && !agreed => {
                let text = "the server does not agree to HTTP/2 (--http=1.1 does without)";
                return Err(Cause::Protocol(text.into()));
            }
            Some(HttpVersion::Http2) => true,
            _ => agreed,
        };
        let watch = Watch::new(net.clone(), !is_two);
        let io = Io::new(flow, watch.clone());
        if is_two {
            return Self::two(executor, io, watch).await;
        }
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(super::READ_BUFFER)
            .max_headers(MOST_FIELDS)
            // RFC 9112 §5.2: a client takes fields that go on in another line
            .allow_obsolete_multiline_headers_in_responses(true)
            .title_case_headers(true)
            .handshake(io)
            .await
            .map_err(|error| cause(&error))?;
        // its error reaches the exchange too, in the request's or the content's place
        executor.spawn(async { drop(connection.await) }).detach();
        Ok(Self::One(sender, watch))
    }

    #[cfg(feature = "http2")]
    async fn two(executor: &Arc<Executor<'static>>, io: Io, watch: Watch) -> Result<Self, Cause> {
        let handshake = http2::Builder::new(two::Spawner::new(executor))
            .initial_stream_window_size(two::STREAM_WINDOW)
            .initial_connection_window_size(super::CONNECTION_WINDOW)
            .max_header_list_size(super::READ_BUFFER as u32)
            .handshake(io)
            .await;
        let (sender, connection) = handshake.map_err(|error| cause(&error))?;
        executor.spawn(async { drop(connection.await) }).detach();
        Ok(Self::Two(sender, watch))
    }

    #[cfg(not(feature = "http2"))]
    async fn two(_: &Arc<Executor<'static>>, _: Io, _: Watch) -> Result<Self, Cause> {
        Err(Cause::Unable(
            "this image has no HTTP/2: it was built without the feature http2".into(),
        ))
    }

    /// Another way into the same connection, where several requests can share it.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::One(..) => None,
            #[cfg(feature = "http2")]
            Self::Two(sender, watch) => Some(Self::Two(sender.clone(), watch.clone())),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::One(sender, _) => sender.is_closed(),
            #[cfg(feature = "http2")]
            Self::Two(sender, _) => sender.is_closed(),
        }
    }

    /// Until the next request can be sent; `false`: never.
    pub(super) async fn is_ready(&mut self) -> bool {
        match self {
            Self::One(sender, _) => sender.ready().await.is_ok(),
            #[cfg(feature = "http2")]
            Self::Two(sender, _) => sender.ready().await.is_ok(),
        }
    }

    pub(super) fn watch(&self) -> &Watch {
        match self {
            Self::One(_, watch) => watch,
            #[cfg(feature = "http2")]
            Self::Two(_, watch) => watch,
        }
    }

    pub(super) fn version(&self) -> HttpVersion {
        match self {
            Self::One(..) => HttpVersion::Http1,
            #[cfg(feature = "http2")]
            Self::Two(..) => HttpVersion::Http2,
        }
    }

    /// Sends a request; gives its answer's head.
    pub(super) async fn send(&mut self, request: http::Request<Upload>) -> Sent {
        let sent = match self {
            Self::One(sender, _) => sender.try_send_request(request).await,
            #[cfg(feature = "http2")]
            Self::Two(sender, _) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| Unanswered {
            cause: self.watch().blame(cause(error.error())),
            is_untouched: is_untouched(error.error()),
            message: error.take_message(),
        })
    }
}

/// A stream refused, or beyond the last one of a connection that ends in good order.
#[cfg(feature = "http2")]
fn is_untouched(error: &hyper::Error) -> bool {
    find_as::<h2::Error>(error).is_some_and(|error| match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => error.is_reset() && error.is_remote(),
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    })
}

#[cfg(not(feature = "http2"))]
fn is_untouched(_: &hyper::Error) -> bool {
    false
}

/// How many interim answers a server may give to one request (RFC 9110 §15.2).
pub(super) const MOST_INTERIM: u32 = 32;

/// Listens to interim answers: opens the gate at the first of 100, counts them all.
pub(super) fn listen(request: &mut http::Request<Upload>, keeper: Option<Keeper>) -> Arc<Interim> {
    let interim = Arc::<Interim>::default();
    let count = interim.clone();
    on_informational(request, move |answer| {
        if answer.status() == http::StatusCode::CONTINUE
            && let Some(keeper) = &keeper
        {
            keeper.grant();
        }
        if count.seen.fetch_add(1, Ordering::Relaxed) >= MOST_INTERIM {
            count.too_many.notify();
        }
    });
    interim
}

/// The interim answers so far.
#[derive(Default)]
pub(super) struct Interim {
    seen: AtomicU32,
    too_many: super::pool::Signal,
}

impl Interim {
    /// Completes when there were more than [`MOST_INTERIM`].
    pub(super) async fn too_many(&self) {
        self.too_many.wait().await;
    }
}

#[cfg(feature = "http2")]
mod two {
    use async_executor::Executor;
    use std::sync::{Arc, Weak};

    /// What one stream may have on the way that nobody has read: 2 MiB fill a link of 1 Gbit/s and 16 ms.
    pub const STREAM_WINDOW: u32 = 2 << 20;

    /// Where hyper puts a connection's own tasks. These hold it: it must not hold the executor in turn.
    #[derive(Clone)]
    pub struct Spawner(Weak<Executor<'static>>);

    impl Spawner {
        pub fn new(executor: &Arc<Executor<'static>>) -> Self {
            Self(Arc::downgrade(executor))
        }
    }

    impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Spawner {
        fn execute(&self, task: F) {
            if let Some(executor) = self.0.upgrade() {
                executor.spawn(task).detach();
            }
        }
    }
}
