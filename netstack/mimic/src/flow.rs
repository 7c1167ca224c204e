//! The byte stream that an application holds: what every protocol makes and nobody names.

use alloc::sync::Arc;
use core::any::Any;
use core::fmt;
use core::task::{Context, Poll};

pub use crate::opaque::BoxFlow;

#[cfg(feature = "futures-io")]
pub use crate::io::FromIo;
#[cfg(feature = "futures-io")]
pub use crate::joined::Joined;

/// A connected, ordered stream of octets in both directions.
///
/// The contract, which [`BoxFlow`] upholds towards its user even where an implementation is
/// careless (marked ✓):
///
/// * A read gives at least one octet, or `0` for the end of file, or an error. ✓ After an end of
///   file every read gives the end of file, after an error the same error.
/// * A write is done when the flow has *accepted* octets, not when the peer has them. It accepts
///   at least one. ✓ After an error every write gives the same error.
/// * Shutting down the reading side makes later reads give the end of file ✓; shutting down the
///   writing side sends what was accepted, then the end of file to the peer, and makes later
///   writes give [`Error::Closed`] ✓. The other direction stays as it is.
/// * Closing is idempotent ✓, frees what the flow holds and closes the flow below it. Later reads
///   and writes give [`Error::Closed`] ✓.
/// * Dropping a flow frees everything at once; the peer may see that as an abort.
///
/// `Pending` means that the task of `cx` is woken when the call is worth repeating. A reader and a
/// writer may wait at the same time: an implementation keeps their wakers apart.
pub trait Flow: Any + Send {
    /// Reads up to `buf.len()` octets into `buf` (not empty): how many there were, or 0 at the
    /// end of file.
    ///
    /// # Errors
    /// [`Error::Closed`] when this side was closed, [`Error::Failed`] when the stream broke.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Error>>;

    /// Takes octets from the front of `buf` (not empty): how many were accepted, at least one.
    ///
    /// # Errors
    /// [`Error::Closed`] when this side was closed or shut down, or the peer reads no more;
    /// [`Error::Failed`] when the stream broke.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>>;

    /// Takes octets from the front of the first buffers that are not empty, as
    /// [`poll_write`](Self::poll_write) does. By default only from the first of these.
    ///
    /// # Errors
    /// Those of [`poll_write`](Self::poll_write).
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[&[u8]],
    ) -> Poll<Result<usize, Error>> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.poll_write(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }

    /// Waits until all accepted octets went to the layer below.
    ///
    /// # Errors
    /// Those of [`poll_write`](Self::poll_write).
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Ends one direction or both, and keeps the flow.
    ///
    /// # Errors
    /// [`Error::Failed`] when what was accepted could not be sent.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>, how: Shutdown) -> Poll<Result<(), Error>>;

    /// Ends both directions and frees what the flow holds; closes the flow below. Idempotent.
    ///
    /// # Errors
    /// [`Error::Failed`] when what was accepted could not be sent.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Writes what the flow is and where it leads, such as `tcp 10.0.2.2:80`.
    ///
    /// # Errors
    /// Those of the formatter.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Which direction [`Flow::poll_shutdown`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// No more octets are wanted from the peer.
    Read,
    /// No more octets go to the peer, which sees the end of file.
    Write,
    /// Both.
    Both,
}

impl Shutdown {
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }
}

/// Why a flow gives or takes no octets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The direction was closed in good order, by this side or by a peer that reads no more.
    Closed,
    /// The stream broke; what the protocol said about it.
    Failed(Arc<dyn core::error::Error + Send + Sync>),
}

impl Error {
    /// [`Error::Failed`] with `cause`.
    pub fn failed(cause: impl core::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed(Arc::new(cause))
    }

    /// Whether this is [`Error::Closed`].
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the flow is closed"),
            Self::Failed(cause) => cause.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Closed => None,
            // the cause is this error's text; what stands behind it is its source
            Self::Failed(cause) => cause.source(),
        }
    }
}

/// A flow accepted no octets of a buffer that had some, against the contract of [`Flow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingAccepted;

impl fmt::Display for NothingAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the flow accepted no octets")
    }
}

impl core::error::Error for NothingAccepted {}
