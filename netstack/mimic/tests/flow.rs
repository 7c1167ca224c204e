//! The contract of flows, kept by the opaque flow whatever the concrete one does.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod sim;

use std::task::{Context, Poll, Waker};

use mimic::flow::{Error, NothingAccepted};
use mimic::{BoxFlow, Flow, Handle, Registry, Shutdown};
use sim::{Pipe, Refused, Scripted, Sim, now};

fn handle() -> Handle<Scripted> {
    Registry::new().register("tcp", None, Scripted::new(&Sim::new()))
}

/// An opaque flow whose calls give these results first.
fn scripted(script: impl IntoIterator<Item = Result<usize, Error>>) -> (BoxFlow, Handle<Scripted>) {
    let handle = handle();
    let pipe = Pipe { script: script.into_iter().collect(), ..Pipe::new("x") };
    (handle.inject(pipe), handle)
}

fn calls(flow: &BoxFlow, handle: &Handle<Scripted>) -> Vec<&'static str> {
    handle.downcast_ref(flow).unwrap().calls.clone()
}

fn broken() -> Error {
    Error::failed(Refused("peer".into()))
}

fn is_broken<T>(result: Result<T, Error>) -> bool {
    match result {
        Err(Error::Failed(cause)) => cause.downcast_ref() == Some(&Refused("peer".into())),
        _ => false,
    }
}

#[test]
fn octets_pass_through() {
    let mut flow = handle().inject(Pipe::new("x"));
    let mut buf = [0; 3];
    now(async {
        assert_eq!(flow.write(b"he").await.unwrap(), 2);
        flow.write_all(b"llo").await.unwrap();
        flow.flush().await.unwrap();
        assert_eq!(flow.read(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"hel");
        assert_eq!(flow.read(&mut buf).await.unwrap(), 2);
        assert_eq!(&buf[..2], b"lo");
        assert_eq!(flow.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn partial_writes_are_completed() {
    let (mut flow, handle) = scripted([Ok(1), Ok(2), Ok(1)]);
    now(flow.write_all(b"abcdefgh")).unwrap();
    let pipe = handle.downcast(flow).unwrap();
    assert_eq!(pipe.octets, b"abcdefgh");
    assert_eq!(pipe.calls, ["write"; 4]);
}

#[test]
fn vectored_writes_are_completed() {
    // a flow without vectored writes of its own takes from the first buffer that is not empty
    let (mut flow, handle) = scripted([Ok(2), Ok(1), Ok(1)]);
    let bufs: [&[u8]; 5] = [b"", b"abc", b"", b"de", b"f"];
    now(flow.write_all_vectored(&bufs)).unwrap();
    assert_eq!(handle.downcast(flow).unwrap().octets, b"abcdef");
}

/// OCaml's mimic 0.0.9 loses it in vectored writes.
#[test]
fn closed_keeps_its_identity() {
    let bufs: [&[u8]; 1] = [b"a"];
    let (mut flow, _) = scripted([Err(Error::Closed)]);
    assert!(now(flow.write(b"a")).unwrap_err().is_closed());
    let (mut flow, _) = scripted([Err(Error::Closed)]);
    assert!(now(flow.write_all(b"a")).unwrap_err().is_closed());
    let (mut flow, _) = scripted([Err(Error::Closed)]);
    assert!(now(flow.write_all_vectored(&bufs)).unwrap_err().is_closed());
    let (mut flow, _) = scripted([Err(Error::Closed)]);
    assert!(now(flow.flush()).unwrap_err().is_closed());
    let (mut flow, _) = scripted([Err(Error::Closed)]);
    assert!(now(flow.read(&mut [0])).unwrap_err().is_closed());
    let (mut flow, _) = scripted([Err(broken())]);
    assert!(is_broken(now(flow.write_all_vectored(&bufs))));
}

#[test]
fn nothing_is_read_after_the_end_or_an_error() {
    let (mut flow, handle) = scripted([Ok(0), Ok(1)]);
    assert_eq!(now(flow.read(&mut [0])).unwrap(), 0);
    assert_eq!(now(flow.read(&mut [0])).unwrap(), 0);
    assert_eq!(calls(&flow, &handle), ["read"]);
    assert_eq!(now(flow.write(b"a")).unwrap(), 1, "the other direction stays");

    let (mut flow, handle) = scripted([Err(broken()), Ok(1)]);
    assert!(is_broken(now(flow.read(&mut [0]))));
    assert!(is_broken(now(flow.read(&mut [0]))));
    assert_eq!(calls(&flow, &handle), ["read"]);
}

#[test]
fn nothing_is_written_after_an_error() {
    let (mut flow, handle) = scripted([Err(broken()), Ok(1)]);
    assert!(is_broken(now(flow.write(b"a"))));
    assert!(is_broken(now(flow.write(b"a"))));
    assert!(is_broken(now(flow.flush())));
    assert_eq!(calls(&flow, &handle), ["write"]);
    assert_eq!(now(flow.read(&mut [0])).unwrap(), 1, "the other direction stays");
}

#[test]
fn empty_buffers_are_not_passed_on() {
    let (mut flow, handle) = scripted([]);
    assert_eq!(now(flow.read(&mut [])).unwrap(), 0);
    assert_eq!(now(flow.write(b"")).unwrap(), 0);
    now(flow.write_all_vectored(&[b"", b""])).unwrap();
    now(flow.write_all_vectored(&[])).unwrap();
    assert!(calls(&flow, &handle).is_empty());
    // and do not look like the end of file
    now(flow.write_all(b"a")).unwrap();
    assert_eq!(now(flow.read(&mut [0])).unwrap(), 1);
}

#[test]
fn the_writing_side_is_shut_down_alone() {
    let (mut flow, handle) = scripted([]);
    now(async {
        flow.write_all(b"last").await.unwrap();
        flow.shutdown(Shutdown::Write).await.unwrap();
        assert!(flow.write(b"more").await.unwrap_err().is_closed());
        flow.flush().await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(flow.read(&mut buf).await.unwrap(), 4, "the peer's octets still come");
    });
    // once more is no news
    now(flow.shutdown(Shutdown::Write)).unwrap();
    assert_eq!(calls(&flow, &handle), ["write", "shutdown write", "read"]);
}

#[test]
fn the_reading_side_is_shut_down_alone() {
    let (mut flow, handle) = scripted([]);
    now(async {
        flow.write_all(b"a").await.unwrap();
        flow.shutdown(Shutdown::Read).await.unwrap();
        assert_eq!(flow.read(&mut [0]).await.unwrap(), 0);
        flow.write_all(b"b").await.unwrap();
        flow.shutdown(Shutdown::Both).await.unwrap();
        assert!(flow.write(b"c").await.unwrap_err().is_closed());
    });
    assert_eq!(calls(&flow, &handle), ["write", "shutdown read", "write", "shutdown both"]);
}

#[test]
fn a_failed_shutdown_breaks_the_writing_side() {
    let (mut flow, _) = scripted([Err(broken())]);
    assert!(is_broken(now(flow.shutdown(Shutdown::Write))));
    assert!(is_broken(now(flow.write(b"a"))));
}

#[test]
fn closing_is_idempotent_and_final() {
    for result in [Ok(0), Err(broken())] {
        let failed = result.is_err();
        let (mut flow, handle) = scripted([result]);
        now(async {
            assert_eq!(is_broken(flow.close().await), failed);
            flow.close().await.unwrap();
            flow.shutdown(Shutdown::Both).await.unwrap();
            flow.flush().await.unwrap();
            assert!(flow.read(&mut [0]).await.unwrap_err().is_closed());
            assert!(flow.write(b"a").await.unwrap_err().is_closed());
        });
        assert_eq!(calls(&flow, &handle), ["close"]);
    }
}

#[test]
fn an_opaque_flow_can_lie_under_another() {
    let (handle, upper) = (handle(), handle());
    struct Over(BoxFlow);
    impl Flow for Over {
        fn poll_read(
            &mut self,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<Result<usize, Error>> {
            self.0.poll_read(cx, buf)
        }
        fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
            self.0.poll_write(cx, buf)
        }
        fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.0.poll_flush(cx)
        }
        fn poll_shutdown(
            &mut self,
            cx: &mut Context<'_>,
            how: Shutdown,
        ) -> Poll<Result<(), Error>> {
            self.0.poll_shutdown(cx, how)
        }
        fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.0.poll_close(cx)
        }
        fn describe(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "over {}", self.0)
        }
    }
    let mut over = Over(handle.inject(Pipe::new("x")));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(over.poll_write(&mut cx, b"ab").is_ready());
    assert!(over.poll_close(&mut cx).is_ready(), "closing closes the flow below");
    assert_eq!(calls(&over.0, &handle), ["write", "close"]);
    assert!(upper.downcast_ref(&over.0).is_none());
}

#[test]
fn a_careless_flow_does_no_harm() {
    // it claims to have read or accepted more than there was room for
    let (mut flow, _) = scripted([Ok(1000)]);
    assert_eq!(now(flow.read(&mut [0; 4])).unwrap(), 4);
    let (mut flow, _) = scripted([Ok(1000)]);
    now(flow.write_all(b"abc")).unwrap();
    let (mut flow, _) = scripted([Ok(1000)]);
    now(flow.write_all_vectored(&[b"abc", b"d"])).unwrap();
    // it accepts nothing, for ever
    let (mut flow, _) = scripted([Ok(0), Ok(0)]);
    let Error::Failed(cause) = now(flow.write_all(b"abc")).unwrap_err() else { panic!() };
    assert_eq!(cause.downcast_ref(), Some(&NothingAccepted));
}

#[test]
fn errors_have_text_and_source() {
    assert_eq!(Error::Closed.to_string(), "the flow is closed");
    assert_eq!(broken().to_string(), "peer refused");
    assert!(std::error::Error::source(&Error::Closed).is_none());
    assert!(!broken().is_closed());
}
