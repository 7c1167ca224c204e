//! What the machine says: what is to be done, and where it stands.

use crate::report::{Connected, Error};
use crate::request::Kind;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

/// Names a query of one machine; asked again, it keeps its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(crate) u32);

/// Names an attempt of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(crate) u32);

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<E> {
    /// Ask DNS. A query that is asked again has the id it had; answers to any of its tries count.
    Query {
        /// The id to answer with.
        query: QueryId,
        /// The name.
        name: Arc<str>,
        /// What to ask for.
        kind: Kind,
        /// How often it has been asked, this time included.
        count: u8,
    },
    /// Begin to connect; never the same address and port twice.
    Connect {
        /// The id to answer with.
        attempt: AttemptId,
        /// Where to.
        remote: SocketAddr,
        /// What its service record says is spoken there; empty where none says so.
        alpn: Vec<Vec<u8>>,
    },
    /// Stop this attempt: no packet of it may be sent from here on, and what it still reports is
    /// ignored.
    Cancel {
        /// Which one.
        attempt: AttemptId,
    },
    /// The end, after the cancels; nothing follows. Queries still open may be dropped, or left to
    /// fill a cache (RFC 8305 §5).
    Done(Result<Connected<E>, Error<E>>),
}

/// Where the machine stands: the nodes of `states.dot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No address to try; queries are open.
    Resolving,
    /// There are addresses, but not of the preferred family, or service records are missing: the
    /// resolution delay runs (RFC 8305 §3).
    Delaying,
    /// Attempts run, or the next one waits for its time (RFC 8305 §5).
    Connecting,
    /// The end: an attempt connected.
    Connected,
    /// The end: nothing connected.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
