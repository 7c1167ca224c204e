//! Addresses, routes and DHCP: what the interface is told, and what [`Configuration`] reports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Duration;
use smoltcp::wire::{DhcpOption, EthernetAddress, IpCidr, Ipv4Cidr, Ipv6Cidr};

use super::config::{Config, Ipv4, Ipv6, is_host_v4};
use crate::{Cidr, Configuration, Error, IpVersion, Unreachable};

/// What we are called on the network, now.
pub(super) struct Addressing {
    ipv4: Ipv4,
    ipv6: Ipv6,
    dns_servers: Vec<IpAddr>,
    hardware_addr: [u8; 6],
    mtu: usize,
    dhcp: Option<SocketHandle>,
    lease: Option<Lease>,
}

/// What a DHCP server gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    address: Ipv4Cidr,
    router: Option<Ipv4Addr>,
    dns_servers: Vec<IpAddr>,
    domain: Option<String>,
    server: Ipv4Addr,
}

impl Addressing {
    /// Adds the DHCP client, if there is to be one, and sets the fixed addresses. `config` has been
    /// validated.
    pub(super) fn new(
        config: &mut Config,
        mtu: usize,
        iface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Self {
        let mut addressing = Self {
            ipv4: core::mem::replace(&mut config.ipv4, Ipv4::Off),
            ipv6: core::mem::replace(&mut config.ipv6, Ipv6::Off),
            dns_servers: core::mem::take(&mut config.dns_servers),
            hardware_addr: config.hardware_addr,
            mtu,
            dhcp: None,
            lease: None,
        };
        if let Ipv4::Dhcp { hostname } = &addressing.ipv4 {
            addressing.dhcp = Some(sockets.add(client(hostname.as_deref())));
        }
        addressing.apply(iface);
        addressing
    }

    /// Follows the DHCP client. Returns whether the configuration changed.
    pub(super) fn poll(&mut self, iface: &mut Interface, sockets: &mut SocketSet<'static>) -> bool {
        let Some(handle) = self.dhcp else { return false };
        let lease = match sockets.get_mut::<dhcpv4::Socket>(handle).poll() {
            None => return false,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => Some(Lease {
                address: config.address,
                router: config.router.filter(|r| is_host_v4(*r)),
                dns_servers: config.dns_servers.iter().map(|s| IpAddr::from(*s)).collect(),
                domain: config.packet.and_then(|packet| {
                    let option = packet.options().find(|o| o.kind == OPTION_DOMAIN)?;
                    domain(option.data)
                }),
                server: config.server.identifier,
            }),
        };
        // A renewal that changes nothing must leave the neighbour cache alone.
        if lease == self.lease {
            return false;
        }
        match &lease {
            Some(lease) => log::info!(
                "DHCP: address {}, router {}, by {}",
                lease.address,
                lease.router.map_or_else(|| "none".into(), |r| r.to_string()),
                lease.server
            ),
            None => log::warn!("DHCP: the lease has ended"),
        }
        self.lease = lease;
        self.apply(iface);
        true
    }

    fn apply(&self, iface: &mut Interface) {
        let (v4, v6) = (self.cidr_v4(), self.cidrs_v6());
        iface.update_ip_addrs(|addrs| {
            addrs.clear();
            for cidr in v4.map(IpCidr::Ipv4).into_iter().chain(v6.into_iter().map(IpCidr::Ipv6)) {
                addrs.push(cidr).expect("three addresses fit into eight");
            }
        });
        let routes = iface.routes_mut();
        routes.remove_default_ipv4_route();
        routes.remove_default_ipv6_route();
        if let Some(gateway) = self.gateway_v4() {
            routes.add_default_ipv4_route(gateway).expect("two routes fit into eight");
        }
        if let Some(gateway) = self.gateway_v6() {
            routes.add_default_ipv6_route(gateway).expect("two routes fit into eight");
        }
    }

    /// Whether there is an address that reaches beyond the local link, or none is to be expected.
    pub(super) fn is_ready(&self) -> bool {
        self.cidr_v4().is_some()
            || matches!(self.ipv6, Ipv6::Static { .. })
            || self.ipv4 == Ipv4::Off
    }

    /// What there is now.
    pub(super) fn configuration(&self) -> Configuration {
        let lease = self.lease.as_ref();
        let v4 = self.cidr_v4().map(|c| (IpAddr::V4(c.address()), c.prefix_len()));
        let v6 = self.cidrs_v6().into_iter().map(|c| (IpAddr::V6(c.address()), c.prefix_len()));
        let mut dns_servers = self.dns_servers.clone();
        for server in lease.into_iter().flat_map(|l| &l.dns_servers) {
            if !dns_servers.contains(server) {
                dns_servers.push(*server);
            }
        }
        Configuration {
            addresses: v4
                .into_iter()
                .chain(v6)
                .filter_map(|(addr, prefix_len)| Cidr::new(addr, prefix_len))
                .collect(),
            gateways: self
                .gateway_v4()
                .map(IpAddr::V4)
                .into_iter()
                .chain(self.gateway_v6().map(IpAddr::V6))
                .collect(),
            dns_servers,
            domain: lease.and_then(|l| l.domain.clone()),
            mtu: Some(self.mtu),
            mac: Some(self.hardware_addr),
            dhcp_server: lease.map(|l| l.server),
        }
    }

    /// Whether there is a DHCP client, which is a socket, too.
    pub(super) fn has_client(&self) -> bool {
        self.dhcp.is_some()
    }

    /// The largest IP packet in octets.
    pub(super) fn mtu(&self) -> usize {
        self.mtu
    }

    /// Which neighbour a packet to `dst` goes to: `dst` itself or a router.
    pub(super) fn next_hop(&self, dst: IpAddr) -> Result<IpAddr, Error> {
        const NO_ROUTE: Error = Error::Unreachable(Unreachable::NoRoute);
        match dst {
            IpAddr::V4(addr) => {
                self.check_family(IpVersion::V4)?;
                let own = self.cidr_v4().ok_or(Error::NoAddress)?;
                if addr.is_unspecified() || addr.is_loopback() || addr == own.address() {
                    return Err(NO_ROUTE);
                }
                if addr.is_broadcast() || addr.is_multicast() || own.contains_addr(&addr) {
                    return Ok(dst);
                }
                self.gateway_v4().map(IpAddr::V4).ok_or(NO_ROUTE)
            }
            IpAddr::V6(addr) => {
                self.check_family(IpVersion::V6)?;
                let own = self.cidrs_v6();
                if addr.is_unspecified()
                    || addr.is_loopback()
                    || own.iter().any(|c| c.address() == addr)
                {
                    return Err(NO_ROUTE);
                }
                if addr.is_multicast() || own.iter().any(|c| c.contains_addr(&addr)) {
                    return Ok(dst);
                }
                self.gateway_v6().map(IpAddr::V6).ok_or(NO_ROUTE)
            }
        }
    }

    /// Whether a family is switched on at all.
    pub(super) fn check_family(&self, version: IpVersion) -> Result<(), Error> {
        let off = match version {
            IpVersion::V4 => self.ipv4 == Ipv4::Off,
            IpVersion::V6 => self.ipv6 == Ipv6::Off,
        };
        if off { Err(Error::AddressFamily(version)) } else { Ok(()) }
    }

    /// Whether a packet to `dst` is for us, our link's broadcast included.
    pub(super) fn is_ours(&self, dst: IpAddr) -> bool {
        match dst {
            IpAddr::V4(addr) => {
                addr.is_broadcast()
                    || addr.is_multicast()
                    || self
                        .cidr_v4()
                        .is_some_and(|c| c.address() == addr || c.broadcast() == Some(addr))
            }
            IpAddr::V6(addr) => {
                addr.is_multicast() || self.cidrs_v6().iter().any(|c| c.address() == addr)
            }
        }
    }

    fn cidr_v4(&self) -> Option<Ipv4Cidr> {
        match &self.ipv4 {
            Ipv4::Off => None,
            Ipv4::Dhcp { .. } => self.lease.as_ref().map(|l| l.address),
            Ipv4::Static { address, .. } => match address.addr() {
                IpAddr::V4(addr) => Some(Ipv4Cidr::new(addr, address.prefix_len())),
                IpAddr::V6(_) => None,
            },
        }
    }

    fn cidrs_v6(&self) -> Vec<Ipv6Cidr> {
        let link_local = Ipv6Cidr::new(link_local(self.hardware_addr), 64);
        match &self.ipv6 {
            Ipv6::Off => vec![],
            Ipv6::LinkLocal => vec![link_local],
            Ipv6::Static { address, .. } => match address.addr() {
                IpAddr::V6(addr) => vec![Ipv6Cidr::new(addr, address.prefix_len()), link_local],
                IpAddr::V4(_) => vec![link_local],
            },
        }
    }

    fn gateway_v4(&self) -> Option<Ipv4Addr> {
        match &self.ipv4 {
            Ipv4::Off => None,
            Ipv4::Dhcp { .. } => self.lease.as_ref()?.router,
            Ipv4::Static { gateway, .. } => *gateway,
        }
    }

    fn gateway_v6(&self) -> Option<Ipv6Addr> {
        match &self.ipv6 {
            Ipv6::Static { gateway, .. } => *gateway,
            Ipv6::Off | Ipv6::LinkLocal => None,
        }
    }
}

/// A DHCP client. The text and the buffer that it borrows live as long as the program, as the
/// client itself does.
fn client(hostname: Option<&str>) -> dhcpv4::Socket<'static> {
    let mut socket = dhcpv4::Socket::new();
    // RFC 2131 §4.1 suggests 4 s and up; a link that comes up late is noticed sooner this way.
    let mut retry = socket.get_retry_config();
    retry.discover_timeout = Duration::from_secs(2);
    retry.initial_request_timeout = Duration::from_secs(2);
    socket.set_retry_config(retry);
    socket.set_parameter_request_list(&[
        OPTION_SUBNET_MASK,
        OPTION_ROUTER,
        OPTION_DNS_SERVERS,
        OPTION_DOMAIN,
    ]);
    socket.set_receive_packet_buffer(Box::leak(Box::new([0; MAX_DHCP_MESSAGE])));
    if let Some(name) = hostname {
        let data: &'static [u8] = Box::leak(name.as_bytes().into());
        let options = [DhcpOption { kind: OPTION_HOSTNAME, data }];
        socket.set_outgoing_options(Box::leak(Box::new(options)));
    }
    socket
}

/// A domain name as servers send it, some with a closing NUL or dot.
fn domain(data: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(data).ok()?.trim_end_matches(['\0', '.']);
    let valid = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    valid.then(|| text.to_ascii_lowercase())
}

/// RFC 4291 appendix A: the modified EUI-64 identifier behind fe80::/64.
fn link_local(hardware_addr: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = EthernetAddress(hardware_addr).0;
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    octets[2] = 0;
    Ipv6Addr::from(octets)
}

// RFC 2132.
const OPTION_SUBNET_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_DNS_SERVERS: u8 = 6;
const OPTION_HOSTNAME: u8 = 12;
const OPTION_DOMAIN: u8 = 15;
const MAX_DHCP_MESSAGE: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    fn addressing(ipv4: Ipv4, ipv6: Ipv6) -> Addressing {
        Addressing {
            ipv4,
            ipv6,
            dns_servers: vec![],
            hardware_addr: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
            mtu: 1500,
            dhcp: None,
            lease: None,
        }
    }

    fn cidr(text: &str, len: u8) -> Cidr {
        Cidr::new(text.parse().expect("an address"), len).expect("a prefix")
    }

    #[test]
    fn next_hops() {
        let no_route = Err(Error::Unreachable(Unreachable::NoRoute));
        let gateway: IpAddr = "10.0.2.2".parse().expect("an address");
        let addressing = addressing(
            Ipv4::Static {
                address: cidr("10.0.2.15", 24),
                gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
            },
            Ipv6::Off,
        );
        for (dst, expected) in [
            ("10.0.2.3", Ok("10.0.2.3".parse().expect("an address"))),
            ("192.0.2.1", Ok(gateway)),
            ("255.255.255.255", Ok(Ipv4Addr::BROADCAST.into())),
            ("127.0.0.1", no_route.clone()),
            ("0.0.0.0", no_route.clone()),
            ("10.0.2.15", no_route),
            ("2001:db8::1", Err(Error::AddressFamily(IpVersion::V6))),
        ] {
            assert_eq!(addressing.next_hop(dst.parse().expect("an address")), expected, "{dst}");
        }
    }

    #[test]
    fn without_a_lease_there_is_no_address() {
        let addressing = addressing(Ipv4::Dhcp { hostname: None }, Ipv6::LinkLocal);
        assert!(!addressing.is_ready());
        assert_eq!(addressing.next_hop(Ipv4Addr::new(1, 1, 1, 1).into()), Err(Error::NoAddress));
    }

    #[test]
    fn link_local_addresses() {
        let addressing = addressing(Ipv4::Off, Ipv6::LinkLocal);
        let addresses = addressing.configuration().addresses;
        assert_eq!(addresses, [cidr("fe80::5054:ff:fe12:3456", 64)]);
        let peer: IpAddr = "fe80::1".parse().expect("an address");
        assert_eq!(addressing.next_hop(peer), Ok(peer));
        let far = "2001:db8::1".parse().expect("an address");
        assert_eq!(addressing.next_hop(far), Err(Error::Unreachable(Unreachable::NoRoute)));
    }

    #[test]
    fn domains_from_servers() {
        for (data, expected) in [
            (&b"Example.NET"[..], Some("example.net")),
            (b"example.net\0", Some("example.net")),
            (b"example.net.", Some("example.net")),
            (b"", None),
            (b"a b", None),
            (b"\xff", None),
            (&[b'a'; 254], None),
        ] {
            assert_eq!(domain(data).as_deref(), expected);
        }
    }
}
