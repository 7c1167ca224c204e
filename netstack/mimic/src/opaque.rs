//! The opaque flow: any protocol's flow behind one type that keeps the contract.

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};

use crate::flow::{Error, Flow, NothingAccepted, Shutdown};
use crate::key::Id;

/// A flow of whichever protocol made it.
///
/// Made by [`Registry::connect`](crate::Registry::connect) for a winner and by
/// [`Handle::inject`](crate::Handle::inject) for an accepted connection; a [`Handle`] of the same
/// registration gives the concrete flow back. The rules of [`Flow`]'s contract hold here whatever
/// the concrete flow does: once a direction has ended, the concrete flow is not asked again.
///
/// [`Handle`]: crate::Handle
pub struct BoxFlow {
    flow: Box<dyn Flow>,
    protocol: &'static str,
    maker: Id,
    reading: Reading,
    writing: Writing,
    closed: bool,
}

/// What later reads give.
enum Reading {
    Open,
    Ended,
    Broken(Error),
}

/// What later writes give.
enum Writing {
    Open,
    Broken(Error),
}

impl BoxFlow {
    pub(crate) fn new(flow: impl Flow, protocol: &'static str, maker: Id) -> Self {
        Self {
            flow: Box::new(flow),
            protocol,
            maker,
            reading: Reading::Open,
            writing: Writing::Open,
            closed: false,
        }
    }

    /// The name under which the protocol that made the flow was registered.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Reads up to `buf.len()` octets: how many there were, or 0 at the end of file (and for an
    /// empty `buf`).
    ///
    /// # Errors
    /// Those of [`Flow::poll_read`].
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// Writes octets from the front of `buf`: how many were accepted.
    ///
    /// # Errors
    /// Those of [`Flow::poll_write`].
    pub async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        poll_fn(|cx| self.poll_write(cx, buf)).await
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// Those of [`Flow::poll_write`]; how much was accepted before is not told.
    pub async fn write_all(&mut self, mut buf: &[u8]) -> Result<(), Error> {
        while !buf.is_empty() {
            let accepted = self.write(buf).await?;
            buf = &buf[accepted..];
        }
        Ok(())
    }

    /// Writes all of several buffers, in order.
    ///
    /// # Errors
    /// Those of [`Flow::poll_write`]; how much was accepted before is not told.
    pub async fn write_all_vectored(&mut self, bufs: &[&[u8]]) -> Result<(), Error> {
        let mut left: alloc::vec::Vec<&[u8]> = bufs.to_vec();
        let mut first = 0;
        loop {
            while left.get(first).is_some_and(|buf| buf.is_empty()) {
                first += 1;
            }
            if first == left.len() {
                return Ok(());
            }
            let mut accepted = poll_fn(|cx| self.poll_write_vectored(cx, &left[first..])).await?;
            for buf in &mut left[first..] {
                let used = accepted.min(buf.len());
                *buf = &buf[used..];
                accepted -= used;
            }
        }
    }

    /// Waits until all accepted octets went to the layer below.
    ///
    /// # Errors
    /// Those of [`Flow::poll_flush`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    /// Those of [`Flow::poll_shutdown`].
    pub async fn shutdown(&mut self, how: Shutdown) -> Result<(), Error> {
        poll_fn(|cx| self.poll_shutdown(cx, how)).await
    }

    /// Ends both directions and frees what the flow holds. Closing again does nothing.
    ///
    /// # Errors
    /// Those of [`Flow::poll_close`].
    pub async fn close(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_close(cx)).await
    }

    pub(crate) fn made_by(&self, maker: Id) -> bool {
        self.maker == maker
    }

    pub(crate) fn concrete(self) -> Box<dyn Any> {
        self.flow
    }

    pub(crate) fn concrete_ref(&self) -> &dyn Any {
        &*self.flow
    }

    pub(crate) fn concrete_mut(&mut self) -> &mut dyn Any {
        &mut *self.flow
    }

    /// Notes what a write gave; `len` is what was offered.
    fn wrote(&mut self, result: Result<usize, Error>, len: usize) -> Result<usize, Error> {
        let result = match result {
            Ok(0) => Err(Error::failed(NothingAccepted)),
            // a careless count must not make the caller slice past its buffer
            Ok(accepted) => Ok(accepted.min(len)),
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            self.writing = Writing::Broken(error.clone());
        }
        result
    }
}

impl Flow for BoxFlow {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Error>> {
        match &self.reading {
            Reading::Open if buf.is_empty() => return Poll::Ready(Ok(0)),
            Reading::Open => {}
            Reading::Ended => return Poll::Ready(Ok(0)),
            Reading::Broken(error) => return Poll::Ready(Err(error.clone())),
        }
        let result = ready!(self.flow.poll_read(cx, buf));
        match &result {
            Ok(0) => self.reading = Reading::Ended,
            Ok(_) => {}
            Err(error) => self.reading = Reading::Broken(error.clone()),
        }
        Poll::Ready(result.map(|count| count.min(buf.len())))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        if let Writing::Broken(error) = &self.writing {
            return Poll::Ready(Err(error.clone()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let result = ready!(self.flow.poll_write(cx, buf));
        Poll::Ready(self.wrote(result, buf.len()))
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[&[u8]],
    ) -> Poll<Result<usize, Error>> {
        if let Writing::Broken(error) = &self.writing {
            return Poll::Ready(Err(error.clone()));
        }
        let len = bufs.iter().fold(0_usize, |len, buf| len.saturating_add(buf.len()));
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        let result = ready!(self.flow.poll_write_vectored(cx, bufs));
        Poll::Ready(self.wrote(result, len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Writing::Broken(error) = &self.writing {
            // shutting down has flushed; nothing is left that could fail
            let flushed = if error.is_closed() { Ok(()) } else { Err(error.clone()) };
            return Poll::Ready(flushed);
        }
        let result = ready!(self.flow.poll_flush(cx));
        if let Err(error) = &result {
            self.writing = Writing::Broken(error.clone());
        }
        Poll::Ready(result)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>, how: Shutdown) -> Poll<Result<(), Error>> {
        let unread = how.reads() && matches!(self.reading, Reading::Open);
        let unwritten = how.writes() && !matches!(self.writing, Writing::Broken(Error::Closed));
        if self.closed || !(unread || unwritten) {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.flow.poll_shutdown(cx, how));
        if how.reads() && !matches!(self.reading, Reading::Broken(_)) {
            self.reading = Reading::Ended;
        }
        if how.writes() && matches!(self.writing, Writing::Open) {
            self.writing = Writing::Broken(result.clone().err().unwrap_or(Error::Closed));
        }
        Poll::Ready(result)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.flow.poll_close(cx));
        self.closed = true;
        self.reading = Reading::Broken(Error::Closed);
        self.writing = Writing::Broken(Error::Closed);
        Poll::Ready(result)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flow.describe(f)
    }
}

impl fmt::Display for BoxFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flow.describe(f)
    }
}

impl fmt::Debug for BoxFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoxFlow({self})")
    }
}
