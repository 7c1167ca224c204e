//! What an HTTP server may say, which is anything: what must hold of each part for all octets. Checked with random ones
//! here, and by the fuzz targets.
#![allow(dead_code, reason = "each fuzz target checks one of them")]

use client::http::decode::{ANY_SIZE, Chain, MOST_EXPANSION, Pull};
use client::http::{self, Client, Connected, Connector, Opening, Options, head};
use client::options::{Data, HttpVersion};
use client::sink::Output;
use client::trace::Trace;
use client::{Error, Exit};
use core::convert::Infallible;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use futures_io::{AsyncRead, AsyncWrite};
use mimic::flow::FromIo;
use mimic::{Ctx, Policy, Protocol, Registry};
use proto::coding::Coding;
use proto::target::Target;
use stack::Net;
use stack::sim::{Link, Network};
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

/// A clock that stands still.
static NET: LazyLock<Arc<dyn Net>> = LazyLock::new(|| {
    let host = Network::new(1).host("10.0.0.1/24", Link::default());
    Arc::new(host.net)
});

/// The head of a message with which HTTP/2 begins: a server's settings, all as they are by default.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Octets of a head that the client takes.
const LARGEST_HEAD: u64 = 256 << 10;
/// Octets that an exchange may print.
const MOST_PRINTED: u64 = 1 << 20;

/// A server that says the same to every connection, in pieces, and then ends it.
struct Said {
    octets: Vec<u8>,
    piece: usize,
}

struct Stream {
    said: Arc<Said>,
    at: usize,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let left = &self.said.octets[self.at..];
        let len = left.len().min(buf.len()).min(self.said.piece);
        buf[..len].copy_from_slice(&left[..len]);
        self.at += len;
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Server;

impl Protocol for Server {
    type Endpoint = Arc<Said>;
    type Flow = FromIo<Stream>;
    type Error = Infallible;

    async fn connect(&self, said: Arc<Arc<Said>>) -> Result<FromIo<Stream>, Infallible> {
        Ok(FromIo::new(Stream { said: Arc::clone(&said), at: 0 }, "memory"))
    }
}

/// Every target leads to the server.
struct Everywhere {
    registry: Registry,
    ctx: Ctx,
    version: HttpVersion,
}

impl Connector for Everywhere {
    fn connect<'a>(&'a self, _: &'a Target, _: &'a [&'a str]) -> Opening<'a> {
        Box::pin(async {
            let connected = self.registry.resolve(&self.ctx, &Policy::default()).await;
            let flow = connected.expect("the one protocol connects").flow;
            let alpn = (self.version == HttpVersion::Http2).then(|| b"h2".to_vec());
            Ok(Connected { flow, alpn })
        })
    }
}

/// Counts what is printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<u64>>);

impl AsyncWrite for Printed {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        *self.0.lock().expect("one thread") += buf.len() as u64;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The octets behind the first two are a server's answer, to whatever is asked: printed, or refused in one line; no
/// more than is allowed, never for ever, and never our fault. The first two say what is asked, and in which pieces the
/// answer comes.
pub fn exchange(octets: &[u8]) {
    let Some(([asks, piece], answer)) = octets.split_first_chunk::<2>() else { return };
    let is = |bit: u8| asks >> bit & 1 == 1;
    let version = if is(0) { HttpVersion::Http2 } else { HttpVersion::Http1 };
    let mut said = answer.to_vec();
    if version == HttpVersion::Http2 {
        said.splice(0..0, SETTINGS.iter().copied());
    }
    let options = Options {
        method: is(1).then(|| "HEAD".into()),
        data: is(2).then(|| Data::Text("content".into())),
        fail: is(3),
        include: is(4),
        compressed: is(5),
        version: Some(version),
        max_size: is(6).then_some(MOST_PRINTED),
        ..Options::default()
    };
    let mut registry = Registry::new();
    let server = registry.register("memory", None, Server);
    let said = Arc::new(Said { octets: said, piece: usize::from(*piece) + 1 });
    let ctx = Ctx::new().add(server.endpoint(), said);
    let everywhere = Everywhere { registry, ctx, version };
    let scheme = if version == HttpVersion::Http2 { "https" } else { "http" };
    let target: Target = format!("{scheme}://me:hush@web.test/").parse().expect("a URI");
    let trace = Trace::default();
    let client = Client::new(&NET, &everywhere, &trace).with_version(Some(version));
    let stdin = Box::new(futures_lite::io::empty());
    let request = http::prepare(&target, &options, stdin).expect("options of ours");
    let printed = Printed::default();
    let mut output: Output = Box::new(printed.clone());
    let done = finish(http::exchange(&NET, client, request, &options, &mut output, &trace));
    if let Err(error) = done {
        check(&error);
    }
    // six requests; what HTTP/2 says of a head in an octet may be a whole field
    let heads = 7 * LARGEST_HEAD;
    let most = options.max_size.unwrap_or((octets.len() as u64 * MOST_EXPANSION).max(ANY_SIZE));
    let printed = *printed.0.lock().expect("one thread");
    assert!(printed <= most + heads + 65_536, "{printed} octets");
}

/// A future that waits for nobody but itself.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("the connection has ended, the exchange has not");
}

fn check(error: &Error) {
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(!text.contains("hush"), "{text:?}");
    assert!(text.len() < 4096, "{} octets: {text}", text.len());
    assert!(!matches!(error.exit(), Exit::Software | Exit::Usage), "{text}");
}

/// The head is where the octets begin, and what follows changes nothing of it.
pub fn heads(octets: &[u8]) {
    let head = head::received(octets);
    assert!(octets.starts_with(head));
    assert_eq!(head::received(head), head);
    if head.len() < octets.len() {
        let more = [octets, b"\r\n\r\nmore"].concat();
        assert_eq!(head::received(&more), head);
    }
}

const CODINGS: [Coding; 4] = [Coding::Brotli, Coding::Deflate, Coding::Gzip, Coding::Zstd];

/// Contents of any coding in any pieces: decoded or refused, a bounded piece at a time, never without an end. The first
/// octet says the codings, the second the size of the pieces.
pub fn decode(octets: &[u8]) {
    let Some(([kind, piece], content)) = octets.split_first_chunk::<2>() else { return };
    let mut codings = vec![CODINGS[usize::from(kind & 3)]];
    if kind & 4 != 0 {
        codings.push(CODINGS[usize::from(kind >> 3 & 3)]);
    }
    let mut chain = Chain::new(&codings);
    let mut pieces = content.chunks(usize::from(*piece) + 1);
    let mut ended = false;
    loop {
        match chain.pull(true) {
            Ok(Pull::Octets(octets)) => assert!(!octets.is_empty() && octets.len() <= 1 << 16),
            Ok(Pull::Hungry) => {
                assert!(!ended, "hungry behind the end");
                let next = pieces.next();
                ended = next.is_none();
                chain.push(next.map(|piece| piece.to_vec().into()));
            }
            Ok(Pull::End) => break,
            Err(text) => {
                assert!(!text.contains(char::is_control), "{text:?}");
                break;
            }
        }
    }
}
