//! What can go wrong on a network, in the kinds that a user can act on.

use core::fmt;
use core::net::IpAddr;
use std::io;
use std::sync::Arc;

use crate::IpVersion;

/// Why a network operation failed. Both backends report the same kind for the same event on the
/// wire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The socket was closed or aborted on our side.
    Closed,
    /// The local port asked for is in use.
    AddressInUse(u16),
    /// No address of that family is configured, so that family's destinations cannot be reached.
    AddressFamily(IpVersion),
    /// A datagram or payload is larger than what can be sent at once.
    MessageTooLarge {
        /// Octets given.
        len: usize,
        /// Octets that fit.
        max: usize,
    },
    /// No address has been assigned (yet): DHCP has not answered, see [`crate::Net::ready`].
    NoAddress,
    /// The machine has no network device.
    NoDevice,
    /// The system forbids it; the text says how to have it allowed.
    NotPermitted(&'static str),
    /// The peer answered the connection attempt with a reset: nothing listens on that port.
    Refused,
    /// The peer reset the connection, or no longer knows it. Data may be lost.
    Reset,
    /// No answer within the time allowed.
    TimedOut,
    /// Something on the way says that the destination cannot be reached.
    Unreachable(Unreachable),
    /// Any other failure of the host system.
    Io(Arc<io::Error>),
}

/// Who says that a destination is unreachable, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreachable {
    /// We have no route: neither on the local network nor a gateway.
    NoRoute,
    /// The next hop (destination or gateway) does not answer ARP or neighbour discovery.
    NoNeighbor(IpAddr),
    /// A router reports the network unreachable (ICMP type 3 code 0 and codes not named
    /// below; ICMPv6 code 0).
    Network,
    /// A router reports the host unreachable (ICMP type 3 code 1, 7, 12; ICMPv6 codes 2, 3).
    Host,
    /// The host does not speak the protocol (ICMP type 3 code 2).
    Protocol,
    /// Nothing listens on the port (ICMP type 3 code 3; ICMPv6 code 4).
    Port,
    /// A filter refuses it (ICMP type 3 code 9, 10, 13; ICMPv6 codes 1, 5, 6).
    Prohibited,
}

impl Error {
    /// The error inside an [`io::Error`] made by this crate, else that error itself.
    #[must_use]
    pub fn from_io(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::Io(Arc::new(error)),
        }
    }

    fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind;
        match self {
            Self::Closed => ErrorKind::NotConnected,
            Self::AddressInUse(_) => ErrorKind::AddrInUse,
            Self::AddressFamily(_) | Self::NoAddress => ErrorKind::AddrNotAvailable,
            Self::MessageTooLarge { .. } => ErrorKind::InvalidInput,
            Self::NoDevice => ErrorKind::NetworkDown,
            Self::NotPermitted(_) => ErrorKind::PermissionDenied,
            Self::Refused | Self::Unreachable(Unreachable::Port | Unreachable::Protocol) => {
                ErrorKind::ConnectionRefused
            }
            Self::Reset => ErrorKind::ConnectionReset,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Unreachable(Unreachable::NoRoute | Unreachable::Network) => {
                ErrorKind::NetworkUnreachable
            }
            Self::Unreachable(
                Unreachable::NoNeighbor(_) | Unreachable::Host | Unreachable::Prohibited,
            ) => ErrorKind::HostUnreachable,
            Self::Io(error) => error.kind(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the socket is closed"),
            Self::AddressInUse(port) => write!(f, "local port {port} is in use"),
            Self::AddressFamily(version) => write!(f, "no {version} address is configured"),
            Self::MessageTooLarge { len, max } => {
                write!(f, "message of {len} octets is larger than {max}")
            }
            Self::NoAddress => f.write_str("no address is configured"),
            Self::NoDevice => f.write_str("no network device"),
            Self::NotPermitted(mend) => write!(f, "not permitted: {mend}"),
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset by peer"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unreachable(why) => why.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => f.write_str("no route to the destination"),
            Self::NoNeighbor(addr) => write!(f, "{addr} does not answer on the local network"),
            Self::Network => f.write_str("network unreachable"),
            Self::Host => f.write_str("host unreachable"),
            Self::Protocol => f.write_str("protocol unreachable"),
            Self::Port => f.write_str("port unreachable"),
            Self::Prohibited => f.write_str("communication prohibited by a filter"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl PartialEq for Error {
    /// Equal kinds; two [`Error::Io`] are equal when their [`io::ErrorKind`] is.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AddressInUse(a), Self::AddressInUse(b)) => a == b,
            (Self::AddressFamily(a), Self::AddressFamily(b)) => a == b,
            (
                Self::MessageTooLarge { len: a, max: b },
                Self::MessageTooLarge { len: c, max: d },
            ) => (a, b) == (c, d),
            (Self::NotPermitted(a), Self::NotPermitted(b)) => a == b,
            (Self::Unreachable(a), Self::Unreachable(b)) => a == b,
            (Self::Io(a), Self::Io(b)) => a.kind() == b.kind(),
            _ => core::mem::discriminant(self) == core::mem::discriminant(other),
        }
    }
}

/// Keeps the error inside, see [`Error::from_io`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::from_io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_io() {
        for error in [
            Error::Refused,
            Error::Unreachable(Unreachable::Host),
            Error::NotPermitted("ask"),
            Error::MessageTooLarge { len: 2, max: 1 },
        ] {
            assert_eq!(Error::from_io(io::Error::from(error.clone())), error);
        }
    }

    #[test]
    fn foreign_io_errors_stay() {
        let error = Error::from_io(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(&error, Error::Io(e) if e.kind() == io::ErrorKind::BrokenPipe));
        assert_ne!(error, Error::Reset);
    }
}
