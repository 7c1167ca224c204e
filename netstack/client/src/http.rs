//! One HTTP/1.1 request over any flow, by hyper; the body streams out as it comes.
//!
//! Implemented: any method, fields and body; user information as Basic credentials (RFC 7617); content-length, chunked and read-until-close bodies; a body that ends
//! early is an error. **Not** yet: HTTP/2, redirects, compression, several requests on one connection.

use crate::deadline::within_some;
use crate::error::{Cause, Error, Stage};
pub use crate::options::Http as Options;
use crate::sink::{self, Output};
use crate::trace::Trace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use http::HeaderValue;
use http_body_util::{BodyExt as _, Full};
use hyper::rt::{Read, ReadBufCursor, Write};
use mimic::{BoxFlow, Flow as _, Shutdown};
use proto::target::Target;
use stack::Net;
use std::io;
use std::sync::Arc;

/// What is asked, and of whom.
pub struct Request {
    /// Names path, query and the `Host` field.
    pub target: Target,
    /// What is asked.
    pub options: Options,
    /// Between two octets from the peer.
    pub idle: Option<Duration>,
}

const USER_AGENT: &str = concat!("mimic/", env!("CARGO_PKG_VERSION"));
/// hyper's buffer grows up to it; a response's head must fit.
const READ_BUFFER: usize = 256 * 1024;
const READ_AT_ONCE: usize = 64 * 1024;

impl Request {
    /// The request as the wire wants it. An error names the word that cannot stand in a request.
    pub fn build(&self) -> Result<http::Request<Full<Bytes>>, String> {
        let method = self.options.method.as_deref().unwrap_or(if self.options.data.is_some() {
            "POST"
        } else {
            "GET"
        });
        let mut builder = http::Request::builder().method(method).uri(self.target.origin_form());
        let given = |name: &str| {
            self.options.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        for (name, value) in [
            ("host", self.target.authority().as_str()),
            ("user-agent", USER_AGENT),
            ("accept", "*/*"),
        ] {
            if !given(name) {
                builder = builder.header(name, value);
            }
        }
        if self.options.data.is_some() && !given("content-type") {
            builder = builder.header("content-type", "application/x-www-form-urlencoded");
        }
        if let (Some(user), false) = (&self.target.user, given("authorization")) {
            let pair = format!("{user}:{}", self.target.password.as_deref().unwrap_or_default());
            let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
                .map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            builder = builder.header("authorization", value);
        }
        for (name, value) in &self.options.headers {
            builder = builder.header(name, value);
        }
        let body = Full::new(Bytes::from(self.options.data.clone().unwrap_or_default()));
        builder.body(body).map_err(|error| error.to_string())
    }
}

/// Sends the request and writes the response's body out.
pub async fn exchange(
    net: &Arc<dyn Net>,
    flow: BoxFlow,
    request: &Request,
    output: &mut Output,
    trace: &Trace,
) -> Result<(), Error> {
    let fail = |cause| Error { stage: Stage::Exchange, target: request.target.to_string(), cause };
    let idle = request.idle;
    let late = || fail(Cause::Limit { limit: "idle-timeout", after: idle.unwrap_or_default() });
    let message =
        request.build().map_err(|text| fail(Cause::Malformed(format!("the request: {text}"))))?;
    trace.sent(request.options.data.as_ref().map_or(0, String::len));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .handshake(Io::new(flow))
        .await
        .map_err(|error| fail(cause(&error)))?;
    let exchange = async {
        let sent =
            within_some(&**net, idle, sender.send_request(message)).await.ok_or_else(late)?;
        let response = sent.map_err(|error| fail(cause(&error)))?;
        let status = response.status();
        trace.received(net.now(), 0);
        if request.options.fail && status.as_u16() >= 400 {
            return Err(fail(Cause::Status(status.as_u16())));
        }
        if request.options.include {
            sink::write(output, &head(&response)).await?;
        }
        let mut body = response.into_body();
        while let Some(frame) = within_some(&**net, idle, body.frame()).await.ok_or_else(late)? {
            let frame = frame.map_err(|error| fail(cause(&error)))?;
            if let Some(octets) = frame.data_ref() {
                sink::write(output, octets).await?;
                trace.received(net.now(), octets.len());
            }
        }
        sink::flush(output).await
    };
    beside(connection, exchange).await
}

/// Polls the connection's machinery for as long as the exchange over it lasts.
async fn beside<T>(machinery: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut machinery = pin!(machinery);
    let mut exchange = pin!(exchange);
    let mut running = true;
    poll_fn(|cx| {
        // its own error reaches the exchange too, in the request's or the body's place
        running = running && machinery.as_mut().poll(cx).is_pending();
        exchange.as_mut().poll(cx)
    })
    .await
}

fn head(response: &http::Response<hyper::body::Incoming>) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or("");
    let mut out = format!("{:?} {} {reason}\r\n", response.version(), status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        out.extend(name.as_str().as_bytes());
        out.extend(b": ");
        out.extend(value.as_bytes());
        out.extend(b"\r\n");
    }
    out.extend(b"\r\n");
    out
}

fn cause(error: &hyper::Error) -> Cause {
    if error.is_parse() {
        return Cause::Malformed(format!("not an HTTP answer: {error}"));
    }
    match Cause::of(error) {
        Cause::Protocol(_) if error.is_incomplete_message() => {
            Cause::CutShort("the connection ended in the middle of the answer".into())
        }
        Cause::Protocol(text) => Cause::Protocol(format!("HTTP: {text}")),
        cause => cause,
    }
}

/// A flow as hyper wants it. Reads pass through `scratch`: hyper's own buffer takes octets only by copy where no
/// `unsafe` may stand.
struct Io {
    flow: BoxFlow,
    scratch: Box<[u8]>,
}

impl Io {
    fn new(flow: BoxFlow) -> Self {
        Self { flow, scratch: vec![0; READ_AT_ONCE].into() }
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { flow, scratch } = &mut *self;
        let space = buf.remaining().min(scratch.len());
        let len = ready!(flow.poll_read(cx, &mut scratch[..space])).map_err(io::Error::from)?;
        buf.put_slice(&scratch[..len]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flow.poll_write(cx, buf).map_err(io::Error::from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flow.poll_flush(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flow.poll_shutdown(cx, Shutdown::Write).map_err(io::Error::from)
    }
}
