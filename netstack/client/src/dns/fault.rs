//! Why a server gave no answer.

use crate::error::{self, Cause};
use core::fmt;
use proto::dns;

/// Why a server gave no answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// What it says is no answer to go by.
    Answer(dns::Error),
    /// It ended the connection.
    Closed,
    /// Too many datagrams that were not asked for: somebody guesses.
    Forged,
    /// The stack below failed.
    Net(stack::Error),
    /// No random octets for an unpredictable question.
    NoEntropy,
    /// It says nothing.
    Silent,
    /// TLS failed, or cannot start here.
    Tls(Cause),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(error) => error.fmt(f),
            Self::Closed => f.write_str("it closed the connection"),
            Self::Forged => f.write_str("too many forged answers"),
            Self::Net(error) => error.fmt(f),
            Self::NoEntropy => f.write_str(&error::no_entropy()),
            Self::Silent => f.write_str("no answer"),
            Self::Tls(cause) => cause.fmt(f),
        }
    }
}
