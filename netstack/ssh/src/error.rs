//! What ends a connection, and whose fault it is.

use crate::message::reason;
use core::fmt;
use core::time::Duration;

/// Why a connection ended other than by our wish. Every one is final.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The octets ended in the middle of a packet, or without a disconnection.
    CutShort,
    /// The peer said goodbye in the middle of authentication, as after too many tries.
    Dismissed {
        /// Its reason's number.
        reason: u32,
        /// Its words, without control characters.
        text: String,
    },
    /// The peer said goodbye (RFC 4253 §11.1).
    Disconnected {
        /// Its reason's number.
        reason: u32,
        /// Its words, without control characters.
        text: String,
    },
    /// More of something than any honest peer sends; the text says of what.
    Flood(&'static str),
    /// In a later key exchange the server showed another host key than in the first.
    HostKeyChanged,
    /// The caller refused the host key.
    HostKeyRefused,
    /// The host key is of a kind or size that is not accepted, or no key at all.
    HostKeyUnusable,
    /// A packet was changed on the way: its authentication code is wrong.
    Integrity,
    /// The server's half of the key exchange is no valid key.
    KeyExchange,
    /// A message of this number does not parse.
    Malformed {
        /// The message's number.
        message: u8,
    },
    /// The two sides share no algorithm.
    NoCommonAlgorithm {
        /// For what.
        kind: &'static str,
        /// What the server offers, for a person.
        offered: String,
    },
    /// The source of randomness failed.
    NoRandomness,
    /// The server lets none of our credentials pass.
    NotAuthenticated {
        /// The methods tried, in order.
        tried: Vec<&'static str>,
        /// The methods by which the server says it could go on.
        accepted: String,
        /// What else was learnt: a password too old, a key that the server's algorithms do not fit.
        notes: Vec<&'static str>,
    },
    /// The server speaks no SSH 2; what it said instead.
    NotSsh {
        /// Its first octets, for a person.
        said: String,
    },
    /// A packet's length is impossible or beyond the limit.
    PacketLength {
        /// As read from the packet.
        length: u32,
    },
    /// A bad signature over the key exchange: whoever answers does not hold the host key.
    Signature,
    /// Nothing came for that long, keep-alive requests or not.
    Silent {
        /// How long.
        after: Duration,
    },
    /// A message of this number in the strict initial key exchange, where none may be (the Terrapin attack).
    StrictKeyExchange {
        /// The message's number.
        message: u8,
    },
    /// A message that has no place here.
    Unexpected {
        /// The message's number.
        message: u8,
    },
    /// `chacha20-poly1305@openssh.com` or an `-etm` code without strict key exchange: open to the Terrapin attack.
    Unsafe {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// More data than the window allowed.
    Window,
}

impl Error {
    /// The reason that the peer is told; `None` where it is told nothing.
    pub(crate) fn reason(&self) -> Option<u32> {
        Some(match self {
            Self::CutShort
            | Self::Disconnected { .. }
            | Self::Dismissed { .. }
            | Self::NotSsh { .. } => return None,
            Self::HostKeyChanged | Self::HostKeyRefused | Self::HostKeyUnusable => {
                reason::HOST_KEY_NOT_VERIFIABLE
            }
            Self::Signature
            | Self::KeyExchange
            | Self::NoCommonAlgorithm { .. }
            | Self::NoRandomness
            | Self::Unsafe { .. } => reason::KEY_EXCHANGE_FAILED,
            Self::Integrity => reason::MAC_ERROR,
            Self::NotAuthenticated { .. } => reason::NO_MORE_AUTH_METHODS,
            Self::Silent { .. } => reason::BY_APPLICATION,
            Self::Flood(_)
            | Self::Malformed { .. }
            | Self::PacketLength { .. }
            | Self::StrictKeyExchange { .. }
            | Self::Unexpected { .. }
            | Self::Window => reason::PROTOCOL_ERROR,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str("the connection was cut"),
            Self::Disconnected { reason, text } => {
                write!(f, "the server ended the connection (reason {reason}): {text}")
            }
            Self::Dismissed { reason, text } => {
                write!(
                    f,
                    "permission denied: the server ended the connection (reason {reason}): {text}"
                )
            }
            Self::Flood(what) => write!(f, "too many {what}"),
            Self::HostKeyChanged => {
                f.write_str("the host key changed in the middle of the connection")
            }
            Self::HostKeyRefused => f.write_str("the host key is refused"),
            Self::HostKeyUnusable => {
                f.write_str("the host key is damaged or too short (RSA: 2048 to 8192 bits)")
            }
            Self::Integrity => f.write_str("a packet was changed on the way"),
            Self::KeyExchange => f.write_str("the server's half of the key exchange is invalid"),
            Self::Malformed { message } => write!(f, "message {message} is malformed"),
            Self::NoCommonAlgorithm { kind, offered } => {
                write!(f, "no common {kind}: the server offers {offered}")
            }
            Self::NoRandomness => f.write_str("the source of randomness failed"),
            Self::NotAuthenticated { tried, accepted, notes } => {
                write!(
                    f,
                    "permission denied (tried {}; the server takes {accepted})",
                    tried.join(", ")
                )?;
                notes.iter().try_for_each(|note| write!(f, "; {note}"))
            }
            Self::NotSsh { said } => write!(f, "this is no SSH 2 server: {said:?}"),
            Self::PacketLength { length } => write!(f, "a packet of {length} octets"),
            Self::Signature => {
                f.write_str("the server does not hold its host key: the signature is wrong")
            }
            Self::Silent { after } => write!(f, "the server is silent since {after:?}"),
            Self::StrictKeyExchange { message } => {
                write!(f, "message {message} inside the strict key exchange")
            }
            Self::Unexpected { message } => write!(f, "message {message} out of place"),
            Self::Unsafe { algorithm } => {
                write!(
                    f,
                    "the server would use {algorithm} without strict key exchange, which is unsafe"
                )
            }
            Self::Window => f.write_str("more data than the window allows"),
        }
    }
}

impl core::error::Error for Error {}
