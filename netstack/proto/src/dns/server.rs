//! How a DNS server is named, as one word: MirageOS's strings.
//!
//! | word | server |
//! |---|---|
//! | `udp:IP[:PORT]` | UDP, TCP for what does not fit; port 53 |
//! | `tcp:IP[:PORT]` | TCP alone; port 53 |
//! | `tls:IP[:PORT][!NAME][!AUTHENTICATOR]` | DNS over TLS (RFC 7858); port 853 |
//!
//! An IPv6 address with a port stands in brackets. NAME is what the certificate must be for (without it: the address);
//! AUTHENTICATOR says how the server is known, in the words of [`crate::authenticator`], and may be given more than once.

use crate::authenticator::{self, Authenticator};
use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, SocketAddr};

/// A server, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address and port.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub transport: Transport,
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams; TCP for answers that do not fit.
    Udp,
    /// TCP alone (RFC 7766).
    Tcp,
    /// TLS (RFC 7858).
    Tls {
        /// The name in the certificate; `None`: the address, or nothing where a fingerprint is pinned (RFC 7858 §4.2).
        name: Option<String>,
        /// How the server is known, any one of them; empty: by the bundled roots.
        authenticators: Vec<Authenticator>,
    },
}

impl Transport {
    /// The word in front of the address.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls { .. } => "tls",
        }
    }
}

impl Server {
    /// A server that the network names: UDP to port 53.
    pub fn udp(address: IpAddr) -> Self {
        Self { address: SocketAddr::new(address, DNS), transport: Transport::Udp }
    }
}

/// Ports of DNS and of DNS over TLS.
const DNS: u16 = 53;
const DNS_OVER_TLS: u16 = 853;

impl FromStr for Server {
    type Err = InvalidServer;

    fn from_str(word: &str) -> Result<Self, InvalidServer> {
        let kind = || InvalidServer::Kind { word: word.into() };
        let (transport, rest) = word.split_once(':').ok_or_else(kind)?;
        let mut parts = rest.split('!');
        let address = parts.next().unwrap_or_default();
        let (transport, port) = match transport {
            "udp" => (Transport::Udp, DNS),
            "tcp" => (Transport::Tcp, DNS),
            "tls" => (known_by(&mut parts)?, DNS_OVER_TLS),
            _ => return Err(kind()),
        };
        if let Some(part) = parts.next() {
            return Err(InvalidServer::Excess { part: part.into() });
        }
        Ok(Self { address: socket_address(address, port)?, transport })
    }
}

/// `[!NAME][!AUTHENTICATOR…]`: a host name has no colon, an authenticator has one unless it is `none`.
fn known_by<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<Transport, InvalidServer> {
    let mut name = None;
    let mut authenticators = Vec::new();
    for (index, part) in parts.enumerate() {
        if index == 0 && part != "none" && !part.contains(':') {
            let question = super::Question::new(part, super::Kind::A);
            let valid = question.map_err(|_| InvalidServer::Name { name: part.into() })?;
            name = Some(valid.name().into());
            continue;
        }
        authenticators.push(part.parse().map_err(InvalidServer::Authenticator)?);
    }
    Ok(Transport::Tls { name, authenticators })
}

fn socket_address(text: &str, port: u16) -> Result<SocketAddr, InvalidServer> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port),
        Err(_) => text.parse().map_err(|_| InvalidServer::Address { text: text.into() })?,
    };
    match address.port() {
        0 => Err(InvalidServer::Address { text: text.into() }),
        _ => Ok(address),
    }
}

/// Transport, address and port; what a server is known by is left out.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.name(), self.address)
    }
}

/// What is wrong with a server's word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidServer {
    /// Neither an address nor an address with a port.
    Address {
        /// What stands there.
        text: String,
    },
    /// How the server is known cannot be read.
    Authenticator(authenticator::Error),
    /// `!` behind a server that is not spoken to over TLS.
    Excess {
        /// What stands behind it.
        part: String,
    },
    /// No transport that is known.
    Kind {
        /// The whole word.
        word: String,
    },
    /// Not a name that a certificate can be for.
    Name {
        /// What stands there.
        name: String,
    },
}

impl fmt::Display for InvalidServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text } => {
                write!(f, "`{text}` is neither an address nor an address with a port")
            }
            Self::Authenticator(error) => error.fmt(f),
            Self::Excess { part } => write!(f, "`!{part}` means nothing without tls:"),
            Self::Kind { word } => write!(f, "`{word}` names no kind (udp:, tcp: or tls:)"),
            Self::Name { name } => write!(f, "`{name}` is neither a name nor an authenticator"),
        }
    }
}

impl core::error::Error for InvalidServer {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin() -> String {
        format!("key-fp:{}", "A".repeat(43))
    }

    #[test]
    fn words_name_servers() {
        for (word, text) in [
            ("udp:10.0.2.3", "udp:10.0.2.3:53"),
            ("udp:[::1]:5353", "udp:[::1]:5353"),
            ("udp:::1", "udp:[::1]:53"),
            ("tcp:[::1]", "tcp:[::1]:53"),
            ("tcp:127.0.0.1:54", "tcp:127.0.0.1:54"),
            ("tls:9.9.9.9", "tls:9.9.9.9:853"),
            ("tls:9.9.9.9!dns.quad9.net", "tls:9.9.9.9:853"),
            ("tls:[2620:fe::fe]:8853!dns.quad9.net!none", "tls:[2620:fe::fe]:8853"),
        ] {
            assert_eq!(word.parse::<Server>().unwrap().to_string(), text, "{word}");
        }
    }

    #[test]
    fn a_server_over_tls_says_how_it_is_known() {
        let of = |word: &str| match word.parse::<Server>().unwrap().transport {
            Transport::Tls { name, authenticators } => (name, authenticators.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(of("tls:9.9.9.9"), (None, 0));
        assert_eq!(of("tls:9.9.9.9!Dns.Quad9.Net."), (Some("dns.quad9.net".into()), 0));
        assert_eq!(of("tls:9.9.9.9!none"), (None, 1));
        assert_eq!(of(&format!("tls:9.9.9.9!{}", pin())), (None, 1));
        assert_eq!(of(&format!("tls:9.9.9.9!a.test!{0}!{0}", pin())), (Some("a.test".into()), 2));
    }

    #[test]
    fn wrong_words_are_refused() {
        for (word, says) in [
            ("", "names no kind"),
            ("10.0.0.1", "names no kind"),
            ("quic:10.0.0.1", "names no kind"),
            ("udp:10.0.0", "neither an address nor"),
            ("udp:10.0.0.1:99999", "neither an address nor"),
            ("udp:10.0.0.1:0", "neither an address nor"),
            ("udp:[::1", "neither an address nor"),
            ("tcp:dns.test", "neither an address nor"),
            ("udp:10.0.0.1!a.test", "means nothing without tls:"),
            ("tls:10.0.0.1!", "neither a name nor"),
            ("tls:10.0.0.1!a b", "neither a name nor"),
            ("tls:10.0.0.1!a.test!sha1:x", "no such kind `sha1`"),
        ] {
            let error = word.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains(says), "{word}: {error}");
        }
    }
}
