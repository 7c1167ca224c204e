//! The bridge to the traits of `futures-io`, in both directions.

mod sim;

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use mimic::flow::{Error, FromIo};
use mimic::{BoxFlow, Flow, Protocol, Registry, Shutdown};
use sim::{Live, Pipe, Refused, Scripted, Sim, now};

fn scripted(script: impl IntoIterator<Item = Result<usize, Error>>) -> BoxFlow {
    let tcp = Registry::new().register("tcp", None, Scripted::new(&Sim::new()));
    tcp.inject(Pipe { script: script.into_iter().collect(), ..Pipe::new("x") })
}

#[test]
fn an_opaque_flow_is_an_async_stream() {
    let mut flow = scripted([]);
    now(async {
        AsyncWriteExt::write_all(&mut flow, b"hello").await.unwrap();
        AsyncWriteExt::flush(&mut flow).await.unwrap();
        AsyncWriteExt::close(&mut flow).await.unwrap();
        let mut text = String::new();
        flow.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello", "closing ends the writing side only");
        let error = AsyncWriteExt::write(&mut flow, b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn vectored_writes_reach_the_flow() {
    let mut flow = scripted([]);
    now(async {
        let bufs = [io::IoSlice::new(b""), io::IoSlice::new(b"ab")];
        assert_eq!(AsyncWriteExt::write_vectored(&mut flow, &bufs).await.unwrap(), 2);
        let bufs = [io::IoSlice::new(b"")];
        assert_eq!(AsyncWriteExt::write_vectored(&mut flow, &bufs).await.unwrap(), 0);
    });
}

#[test]
fn closed_is_broken_pipe_and_back() {
    let error = io::Error::from(Error::Closed);
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(Error::from(error).is_closed());
    assert!(Error::from(io::Error::from_raw_os_error(32)).is_closed(), "EPIPE");
}

#[test]
fn a_cause_goes_through_io_and_comes_back_the_same() {
    let cause: Arc<dyn std::error::Error + Send + Sync> = Arc::new(Refused("peer".into()));
    let error = io::Error::from(Error::Failed(Arc::clone(&cause)));
    assert_eq!(error.kind(), io::ErrorKind::Other);
    assert_eq!(error.to_string(), "peer refused");
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&Refused("peer".into())));
    let Error::Failed(back) = Error::from(error) else { panic!() };
    assert!(Arc::ptr_eq(&cause, &back));
}

#[test]
fn an_io_error_comes_back_as_it_was() {
    let reset = Error::from(io::Error::from_raw_os_error(104));
    let back = io::Error::from(reset);
    assert_eq!(back.raw_os_error(), Some(104));
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, Refused("x".into()));
    let back = io::Error::from(Error::from(refused));
    assert_eq!(back.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(back.to_string(), "x refused");
    let mut source: &dyn std::error::Error = &back;
    while let Some(next) = source.source() {
        source = next;
    }
    // the inner error can be reached whichever way one looks
    let inner = source.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
    assert_eq!(inner.and_then(|inner| inner.downcast_ref()), Some(&Refused("x".into())));
}

/// A stream that echoes, and counts itself while it lives.
struct Echo {
    octets: Vec<u8>,
    closes: Arc<AtomicUsize>,
    _live: Live,
}

impl AsyncRead for Echo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = buf.len().min(self.octets.len());
        buf[..count].copy_from_slice(&self.octets[..count]);
        self.octets.drain(..count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Echo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.octets.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closes.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

struct Echoing;

impl Protocol for Echoing {
    type Endpoint = ();
    type Flow = FromIo<Echo>;
    type Error = Refused;

    async fn connect(&self, _: Arc<()>) -> Result<FromIo<Echo>, Refused> {
        Err(Refused("nobody".into()))
    }
}

fn echo() -> (BoxFlow, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (closes, live) = (Arc::default(), Arc::default());
    let echo = Echo { octets: Vec::new(), closes: Arc::clone(&closes), _live: Live::new(&live) };
    let echoing = Registry::new().register("echo", None, Echoing);
    (echoing.inject(FromIo::new(echo, "echo 1")), closes, live)
}

#[test]
fn an_async_stream_is_a_flow() {
    let (mut flow, closes, live) = echo();
    assert_eq!(flow.to_string(), "echo 1");
    now(async {
        let mut buf = [0; 8];
        flow.write_all_vectored(&[b"ab", b"", b"cd"]).await.unwrap();
        flow.flush().await.unwrap();
        flow.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(closes.load(Ordering::SeqCst), 1);
        assert_eq!(flow.read(&mut buf).await.unwrap(), 4);
        flow.close().await.unwrap();
        assert_eq!(live.load(Ordering::SeqCst), 0, "closing frees the stream");
        assert!(flow.read(&mut buf).await.unwrap_err().is_closed());
    });
}

#[test]
fn a_bare_bridge_keeps_the_contract_too() {
    let (closes, live) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let echo = Echo { octets: vec![1], closes, _live: Live::new(&live) };
    let mut flow = FromIo::new(echo, String::from("echo"));
    assert_eq!(flow.get_mut().map(|echo| echo.octets.len()), Some(1));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(flow.poll_shutdown(&mut cx, Shutdown::Read), Poll::Ready(Ok(()))));
    assert!(matches!(flow.poll_read(&mut cx, &mut [0]), Poll::Ready(Ok(0))));
    for _ in 0..2 {
        assert!(matches!(flow.poll_close(&mut cx), Poll::Ready(Ok(()))));
    }
    assert!(matches!(flow.poll_read(&mut cx, &mut [0]), Poll::Ready(Err(Error::Closed))));
    assert!(matches!(flow.poll_write(&mut cx, b"x"), Poll::Ready(Err(Error::Closed))));
    assert!(matches!(flow.poll_flush(&mut cx), Poll::Ready(Err(Error::Closed))));
    assert!(flow.get_ref().is_none() && flow.into_inner().is_none());
}
