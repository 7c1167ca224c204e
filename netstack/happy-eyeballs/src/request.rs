//! What to connect to, and what DNS may say about it.

use crate::config::{Invalid, MAX_PORTS};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host by its name.
    Name(Arc<str>),
    /// Addresses: literals, or what a table says. Nothing is asked, but they are ordered like
    /// answers.
    Addresses(Vec<IpAddr>),
}

/// One call: whom to connect to, on which ports, and whether service records count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whom to connect to.
    pub target: Target,
    /// 1 to [`MAX_PORTS`] ports in order of preference; each address is tried on all of them.
    pub ports: Vec<u16>,
    /// Ask for HTTPS or SVCB records too (names only).
    pub services: bool,
    /// The application protocols that the caller speaks, as in TLS's ALPN. Services that share none
    /// with them are left out (RFC 9460 §7.1.2). Empty: any will do.
    pub alpn: Vec<Vec<u8>>,
}

impl Request {
    /// A host by its name and one port, without service records.
    pub fn name(name: impl Into<Arc<str>>, port: u16) -> Self {
        Self::new(Target::Name(name.into()), port)
    }

    /// Addresses and one port.
    pub fn addresses(addresses: impl IntoIterator<Item = IpAddr>, port: u16) -> Self {
        Self::new(Target::Addresses(addresses.into_iter().collect()), port)
    }

    fn new(target: Target, port: u16) -> Self {
        Self { target, ports: [port].into(), services: false, alpn: Vec::new() }
    }

    /// Refuses what cannot be connected to, and drops ports named twice.
    pub(crate) fn checked(mut self) -> Result<Self, Invalid> {
        match &self.target {
            Target::Name(name) if name.is_empty() => return Err(Invalid::EmptyName),
            Target::Addresses(addresses) if addresses.is_empty() => return Err(Invalid::NoAddress),
            _ => {}
        }
        let mut ports = Vec::new();
        for port in self.ports {
            if port == 0 {
                return Err(Invalid::PortZero);
            }
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        match ports.len() {
            0 => return Err(Invalid::NoPort),
            1..=MAX_PORTS => {}
            more => return Err(Invalid::TooManyPorts(more)),
        }
        self.ports = ports;
        Ok(self)
    }
}

/// What a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// HTTPS or SVCB records, whichever the caller's protocol uses (RFC 9460). AliasMode chains are
    /// the caller's to follow.
    Service,
    /// IPv6 addresses.
    Aaaa,
    /// IPv4 addresses.
    A,
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Service => "HTTPS",
            Self::Aaaa => "AAAA",
            Self::A => "A",
        })
    }
}

/// One HTTPS or SVCB record (RFC 9460), already parsed.
///
/// A record with a mandatory key that the caller does not know must be left out by the caller (§8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// The SvcPriority: lower first. Records of the same one keep the order given (shuffle them,
    /// §2.4.1). 0 is AliasMode: its target's addresses with the request's ports.
    pub priority: u16,
    /// The TargetName; `None` is ".", the name asked for itself.
    pub target: Option<Arc<str>>,
    /// The port, instead of the request's.
    pub port: Option<u16>,
    /// The protocols spoken, the scheme's default one included unless `no-default-alpn` is set
    /// (§7.1.2). Empty: not said.
    pub alpn: Vec<Vec<u8>>,
    /// `ipv4hint`: used until the target's A records are there (§7.3).
    pub ipv4_hints: Vec<Ipv4Addr>,
    /// `ipv6hint`: used until the target's AAAA records are there (§7.3).
    pub ipv6_hints: Vec<Ipv6Addr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_checked() {
        let ports =
            |ports: &[u16]| Request { ports: ports.into(), ..Request::name("a", 1) }.checked();
        assert_eq!(Request::name("", 1).checked(), Err(Invalid::EmptyName));
        assert_eq!(Request::addresses([], 1).checked(), Err(Invalid::NoAddress));
        assert_eq!(ports(&[]), Err(Invalid::NoPort));
        assert_eq!(ports(&[443, 0]), Err(Invalid::PortZero));
        assert_eq!(ports(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), Err(Invalid::TooManyPorts(9)));
        assert_eq!(ports(&[1, 2, 3, 4, 5, 6, 7, 8, 8]).unwrap().ports.len(), 8);
        assert_eq!(ports(&[443, 80, 443]).unwrap().ports, [443, 80]);
    }
}
