//! What a smoltcp stack needs to know before it starts.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::Cidr;

/// Fills a buffer with octets that nobody can predict.
///
/// Local ports and initial sequence numbers come from it (RFC 6056, RFC 6528), so it must be a
/// cryptographic generator with a strong seed.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// Settings of one interface.
#[non_exhaustive]
pub struct Config {
    /// Our Ethernet address; must be unicast and not zero.
    pub hardware_addr: [u8; 6],
    /// Source of ports and sequence numbers.
    pub random: Random,
    /// Where the IPv4 address comes from.
    pub ipv4: Ipv4,
    /// Where the IPv6 address comes from.
    pub ipv6: Ipv6,
    /// Whether [`Ipv6::Auto`] and [`Ipv6::Static`] ask for routers and follow what those advertise
    /// (RFC 4861 §6.3): default router, prefixes, MTU, name servers, search domains.
    pub accept_router_advertisements: bool,
    /// Questions, a second apart, whether an IPv6 address is free before it is used
    /// (DupAddrDetectTransmits of RFC 4862 §5.1); 0 = it is used at once.
    pub dad_transmits: u8,
    /// Name servers to report before those that DHCP and routers name.
    pub dns_servers: Vec<IpAddr>,
    /// Largest IP packet in octets, 576 (1280 with IPv6) to what the device can do; `None` = that.
    pub mtu: Option<usize>,
    /// How TCP connections behave.
    pub tcp: TcpOptions,
}

impl Config {
    /// DHCPv4, no IPv6 (with [`Ipv6::Auto`] put in its place, routers are believed and addresses
    /// checked once), the device's MTU.
    #[must_use]
    pub fn new(hardware_addr: [u8; 6], random: Random) -> Self {
        Self {
            hardware_addr,
            random,
            ipv4: Ipv4::Dhcp { hostname: None },
            ipv6: Ipv6::Off,
            accept_router_advertisements: true,
            dad_transmits: 1,
            dns_servers: Vec::new(),
            mtu: None,
            tcp: TcpOptions::default(),
        }
    }

    /// Checks everything that can be wrong, against a device whose largest IP packet is
    /// `device_mtu` octets.
    pub(super) fn validate(&self, device_mtu: usize) -> Result<(), ConfigError> {
        let mac = self.hardware_addr;
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(ConfigError::HardwareAddr(mac));
        }
        let min = if self.ipv6 == Ipv6::Off { MIN_MTU_V4 } else { MIN_MTU_V6 };
        if device_mtu < min {
            return Err(ConfigError::Mtu { mtu: device_mtu, min, max: usize::MAX });
        }
        if let Some(mtu) = self.mtu
            && !(min..=device_mtu).contains(&mtu)
        {
            return Err(ConfigError::Mtu { mtu, min, max: device_mtu });
        }
        match &self.ipv4 {
            Ipv4::Static { address, gateway } => {
                let IpAddr::V4(addr) = address.addr() else {
                    return Err(ConfigError::Address(*address));
                };
                if !is_host_v4(addr) {
                    return Err(ConfigError::Address(*address));
                }
                if let Some(gateway) = gateway
                    && (!is_host_v4(*gateway) || *gateway == addr)
                {
                    return Err(ConfigError::Gateway((*gateway).into()));
                }
            }
            Ipv4::Dhcp { hostname: Some(name) } if !is_hostname(name) => {
                return Err(ConfigError::Hostname(name.clone()));
            }
            Ipv4::Off | Ipv4::Dhcp { .. } => {}
        }
        if let Ipv6::Static { address, gateway } = &self.ipv6 {
            let IpAddr::V6(addr) = address.addr() else {
                return Err(ConfigError::Address(*address));
            };
            if !is_host_v6(addr) {
                return Err(ConfigError::Address(*address));
            }
            if let Some(gateway) = gateway
                && (!is_host_v6(*gateway) || *gateway == addr)
            {
                return Err(ConfigError::Gateway((*gateway).into()));
            }
        }
        self.tcp.validate()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hardware_addr", &self.hardware_addr)
            .field("ipv4", &self.ipv4)
            .field("ipv6", &self.ipv6)
            .field("accept_router_advertisements", &self.accept_router_advertisements)
            .field("dad_transmits", &self.dad_transmits)
            .field("dns_servers", &self.dns_servers)
            .field("mtu", &self.mtu)
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

/// Where the IPv4 address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ipv4 {
    /// No IPv4.
    Off,
    /// DHCP (RFC 2131): address, router, name servers, domain and MTU, renewed as the lease says.
    Dhcp {
        /// Name to tell the server (option 12): letters, digits, hyphens and dots, at most 63
        /// octets.
        hostname: Option<String>,
    },
    /// A fixed address.
    Static {
        /// Our address and the local network's prefix.
        address: Cidr,
        /// The default router; `None` = only the local network is reachable.
        gateway: Option<Ipv4Addr>,
    },
}

/// Where the IPv6 address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// No IPv6.
    Off,
    /// Only the link-local address made of the Ethernet address (RFC 4291 §2.5.6).
    LinkLocal,
    /// The link-local address and those made of the prefixes that routers advertise (SLAAC, RFC
    /// 4862), with the routers and name servers that they name; while
    /// [`Config::accept_router_advertisements`] is off, the same as `LinkLocal`.
    Auto,
    /// The link-local address and a fixed one, and what routers advertise unless
    /// [`Config::accept_router_advertisements`] is off.
    Static {
        /// Our address and the local network's prefix.
        address: Cidr,
        /// The default router, to be preferred to those that advertise themselves.
        gateway: Option<Ipv6Addr>,
    },
}

/// How TCP connections behave. Every connection holds both its buffers while it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// Receive buffer and thereby the largest window offered, in octets, 4 KiB to 16 MiB. 512 KiB
    /// keep 40 Mbit/s busy over 100 ms, and a local peer at full speed; the window scale option
    /// (RFC 7323) follows from it.
    pub receive_buffer: usize,
    /// Send buffer in octets, 4 KiB to 16 MiB: what a peer has not yet acknowledged at most.
    pub send_buffer: usize,
    /// Longest time for a connection attempt (RFC 9293 §3.8.3 wants at least three minutes);
    /// callers put their own, shorter, limit around it.
    pub connect_timeout: Duration,
    /// A connection with unacknowledged octets ends when its peer has been silent for so long (R2
    /// of RFC 9293 §3.8.3, at least 100 s).
    pub user_timeout: Duration,
    /// A closed connection that nobody owns any more ends when its peer has made no progress for
    /// so long.
    pub linger: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            receive_buffer: 512 * 1024,
            send_buffer: 128 * 1024,
            connect_timeout: Duration::from_secs(180),
            user_timeout: Duration::from_secs(120),
            linger: Duration::from_secs(60),
        }
    }
}

impl TcpOptions {
    fn validate(&self) -> Result<(), ConfigError> {
        for size in [self.receive_buffer, self.send_buffer] {
            if !BUFFER_SIZES.contains(&size) {
                return Err(ConfigError::Buffer(size));
            }
        }
        Ok(())
    }
}

/// Why a configuration cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not an address that a host can have.
    Address(Cidr),
    /// A TCP buffer of that many octets.
    Buffer(usize),
    /// Not an address that a router can have, or our own.
    Gateway(IpAddr),
    /// Not a unicast Ethernet address.
    HardwareAddr([u8; 6]),
    /// Not a host name.
    Hostname(String),
    /// The MTU is not between the protocol's minimum and the device's maximum.
    Mtu {
        /// Octets asked for, or the device's.
        mtu: usize,
        /// Least that works.
        min: usize,
        /// Most that the device can do.
        max: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(cidr) => write!(f, "{cidr} is not an address for a host"),
            Self::Buffer(size) => {
                write!(f, "TCP buffer of {size} octets is not between 4 KiB and 16 MiB")
            }
            Self::Gateway(addr) => write!(f, "{addr} is not an address for a gateway"),
            Self::HardwareAddr(mac) => {
                f.write_str("Ethernet address ")?;
                for (i, octet) in mac.iter().enumerate() {
                    write!(f, "{}{octet:02x}", if i == 0 { "" } else { ":" })?;
                }
                f.write_str(" is not a unicast address")
            }
            Self::Hostname(name) => write!(f, "'{name}' is not a host name"),
            Self::Mtu { mtu, min, max: usize::MAX } => {
                write!(f, "the device's MTU {mtu} is below {min}")
            }
            Self::Mtu { mtu, min, max } => write!(f, "MTU {mtu} is not between {min} and {max}"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Whether a host can have that address (RFC 1122 §3.2.1.3).
pub(super) fn is_host_v4(addr: Ipv4Addr) -> bool {
    !(addr.is_unspecified() || addr.is_broadcast() || addr.is_multicast() || addr.is_loopback())
}

fn is_host_v6(addr: Ipv6Addr) -> bool {
    !(addr.is_unspecified() || addr.is_multicast() || addr.is_loopback())
}

/// RFC 1123 §2.1, with dots between labels.
pub(super) fn is_hostname(name: &str) -> bool {
    name.len() <= 63
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// Least MTU of a link that carries IPv4 datagrams of the size that every host accepts (RFC 791).
const MIN_MTU_V4: usize = 576;
/// RFC 8200 §5.
const MIN_MTU_V6: usize = 1280;
const BUFFER_SIZES: core::ops::RangeInclusive<usize> = 4 * 1024..=16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new([2, 0, 0, 0, 0, 1], Box::new(|buf| buf.fill(7)))
    }

    fn cidr(text: &str, prefix_len: u8) -> Cidr {
        Cidr::new(text.parse().expect("an address"), prefix_len).expect("a prefix")
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(config().validate(1500), Ok(()));
    }

    #[test]
    fn hardware_addresses() {
        for mac in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
            let mut config = config();
            config.hardware_addr = mac;
            assert_eq!(config.validate(1500), Err(ConfigError::HardwareAddr(mac)));
        }
    }

    #[test]
    fn addresses_and_gateways() {
        for (address, gateway, ok) in [
            (cidr("10.0.2.15", 24), Some(Ipv4Addr::new(10, 0, 2, 2)), true),
            (cidr("10.0.2.15", 24), None, true),
            (cidr("0.0.0.0", 24), None, false),
            (cidr("224.0.0.1", 24), None, false),
            (cidr("127.0.0.1", 8), None, false),
            (cidr("::1", 128), None, false),
            (cidr("10.0.2.15", 24), Some(Ipv4Addr::new(10, 0, 2, 15)), false),
            (cidr("10.0.2.15", 24), Some(Ipv4Addr::BROADCAST), false),
        ] {
            let mut config = config();
            config.ipv4 = Ipv4::Static { address, gateway };
            assert_eq!(config.validate(1500).is_ok(), ok, "{address} {gateway:?}");
        }
    }

    #[test]
    fn mtus() {
        for (mtu, device, ok) in [
            (None, 1500, true),
            (None, 500, false),
            (Some(576), 1500, true),
            (Some(575), 1500, false),
            (Some(1501), 1500, false),
        ] {
            let mut config = config();
            config.mtu = mtu;
            assert_eq!(config.validate(device).is_ok(), ok, "{mtu:?} of {device}");
        }
        let mut config = config();
        config.ipv6 = Ipv6::LinkLocal;
        config.mtu = Some(1279);
        assert!(config.validate(1500).is_err());
    }

    #[test]
    fn hostnames() {
        for (name, ok) in [
            ("unikernel", true),
            ("a-1.example", true),
            ("", false),
            ("-a", false),
            ("a..b", false),
            ("a b", false),
            ("naïve", false),
        ] {
            let mut config = config();
            config.ipv4 = Ipv4::Dhcp { hostname: Some(name.into()) };
            assert_eq!(config.validate(1500).is_ok(), ok, "{name}");
        }
    }

    #[test]
    fn buffers() {
        let mut config = config();
        config.tcp.send_buffer = 100;
        let error = config.validate(1500).expect_err("too small");
        assert_eq!(error.to_string(), "TCP buffer of 100 octets is not between 4 KiB and 16 MiB");
    }
}
