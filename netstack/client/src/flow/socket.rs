//! A connection of the stack as a flow.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_io::{AsyncRead, AsyncWrite};
use mimic::Shutdown;
use mimic::flow::Error as FlowError;

/// What the stack's connections have in common.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    /// Reads nothing any more.
    fn shutdown_read(&mut self);

    /// What is connected to what.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A connection until it is closed.
pub struct Socket<C: ?Sized>(Option<Box<C>>);

impl<C: Connection + ?Sized> Socket<C> {
    /// An open connection.
    pub fn new(connection: Box<C>) -> Self {
        Self(Some(connection))
    }

    fn get(&mut self) -> Result<&mut C, FlowError> {
        self.0.as_deref_mut().ok_or(FlowError::Closed)
    }
}

impl<C: Connection + ?Sized + 'static> mimic::Flow for Socket<C> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, FlowError>> {
        Pin::new(self.get()?).poll_read(cx, buf).map_err(FlowError::from)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, FlowError>> {
        Pin::new(self.get()?).poll_write(cx, buf).map_err(FlowError::from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        Pin::new(self.get()?).poll_flush(cx).map_err(FlowError::from)
    }

    fn poll_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), FlowError>> {
        let connection = self.get()?;
        if how != Shutdown::Read {
            ready!(Pin::new(&mut *connection).poll_close(cx)).map_err(FlowError::from)?;
        }
        if how != Shutdown::Write {
            connection.shutdown_read();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        let Some(connection) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let closed = ready!(Pin::new(connection).poll_close(cx)).map_err(FlowError::from);
        self.0 = None;
        Poll::Ready(closed)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(connection) => connection.describe(f),
            None => f.write_str("closed"),
        }
    }
}
