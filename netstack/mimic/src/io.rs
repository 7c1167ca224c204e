//! Feature `futures-io`: the opaque flow as `AsyncRead` and `AsyncWrite`, and such streams as flows.

extern crate std;

use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use futures_io::{AsyncRead, AsyncWrite};

use crate::flow::{Error, Flow, Shutdown};
use crate::opaque::BoxFlow;

/// `Closed` becomes `BrokenPipe`. Of `Failed` an `io::Error` comes back with its kind, text and
/// source, anything else becomes `Other` with the cause inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed => io::ErrorKind::BrokenPipe.into(),
            Error::Failed(cause) => {
                let Some(inner) = cause.downcast_ref::<io::Error>() else {
                    return io::Error::other(Shared(cause));
                };
                match inner.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(inner.kind(), Shared(cause)),
                }
            }
        }
    }
}

/// `BrokenPipe` becomes `Closed`; an error that came from a flow becomes what it was there.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if let Some(shared) = error.get_ref().and_then(|inner| inner.downcast_ref::<Shared>()) {
            return Self::Failed(Arc::clone(&shared.0));
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

/// The cause of a flow's error inside an `io::Error`.
struct Shared(Arc<dyn core::error::Error + Send + Sync>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Shared {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl AsyncRead for BoxFlow {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Flow::poll_read(self.get_mut(), cx, buf).map_err(io::Error::from)
    }
}

/// `poll_close` ends the writing side, as it does on a socket: what the peer still sends can be
/// read. [`BoxFlow::close`] ends both.
impl AsyncWrite for BoxFlow {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Flow::poll_write(self.get_mut(), cx, buf).map_err(io::Error::from)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs: alloc::vec::Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        Flow::poll_write_vectored(self.get_mut(), cx, &bufs).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Flow::poll_flush(self.get_mut(), cx).map_err(io::Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Flow::poll_shutdown(self.get_mut(), cx, Shutdown::Write).map_err(io::Error::from)
    }
}

/// A stream of the `futures-io` traits as a [`Flow`].
///
/// Shutting down the writing side is the stream's `poll_close`; shutting down the reading side
/// only stops reading, since the traits have no word for it. Closing also drops the stream.
pub struct FromIo<T> {
    /// `None` once closed.
    stream: Option<T>,
    text: Cow<'static, str>,
    /// The reading side was shut down.
    deaf: bool,
}

impl<T> FromIo<T> {
    /// `stream` as a flow that is described as `text`, such as `tcp 10.0.2.2:80`.
    pub fn new(stream: T, text: impl Into<Cow<'static, str>>) -> Self {
        Self { stream: Some(stream), text: text.into(), deaf: false }
    }

    /// The stream; `None` once the flow was closed.
    pub fn get_ref(&self) -> Option<&T> {
        self.stream.as_ref()
    }

    /// The stream; `None` once the flow was closed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.stream.as_mut()
    }

    /// The stream; `None` once the flow was closed.
    pub fn into_inner(self) -> Option<T> {
        self.stream
    }
}

impl<T: Unpin> FromIo<T> {
    fn pinned(&mut self) -> Result<Pin<&mut T>, Error> {
        self.stream.as_mut().map(Pin::new).ok_or(Error::Closed)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Flow for FromIo<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Error>> {
        let deaf = self.deaf;
        let stream = self.pinned()?;
        if deaf {
            return Poll::Ready(Ok(0));
        }
        stream.poll_read(cx, buf).map_err(Error::from)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.pinned()?.poll_write(cx, buf).map_err(Error::from)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[&[u8]],
    ) -> Poll<Result<usize, Error>> {
        let bufs: alloc::vec::Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        self.pinned()?.poll_write_vectored(cx, &bufs).map_err(Error::from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.pinned()?.poll_flush(cx).map_err(Error::from)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>, how: Shutdown) -> Poll<Result<(), Error>> {
        if how.writes() {
            ready!(self.pinned()?.poll_close(cx)).map_err(Error::from)?;
        }
        self.deaf |= how.reads();
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        let result = ready!(Pin::new(stream).poll_close(cx));
        self.stream = None;
        Poll::Ready(result.map_err(Error::from))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
