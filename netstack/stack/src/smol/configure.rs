//! Addresses, routes, DHCP and what routers advertise: what the interface is told, and what [`Configuration`] reports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::dhcpv4;
use smoltcp::wire::{DhcpOption, IpCidr, Ipv4Cidr, Ipv6Cidr};

use super::config::{Config, Ipv4, Ipv6, is_host_v4};
use super::discovery::{Assigned, Discovery, Options, PATIENCE};
use super::search;
use super::state::earliest;
use super::watch::Watch;
use crate::{Cidr, Configuration, Error, Instant, IpVersion, Unreachable};

/// What we are called on the network, now.
pub(super) struct Addressing {
    ipv4: Ipv4,
    ipv6: Ipv6,
    /// Routers are asked for.
    advertisements: bool,
    dns_servers: Vec<IpAddr>,
    hardware_addr: [u8; 6],
    /// The device's, or what it was set to.
    mtu: usize,
    dhcp: Option<SocketHandle>,
    lease: Option<Lease>,
    /// From the link's return until a DHCP server has answered: how long the lease from before is still ours.
    reassured: Option<Instant>,
    /// While no DHCP server has answered: until when silence says nothing.
    patience: Option<Instant>,
    discovery: Discovery,
    applied: Applied,
}

/// What the interface has been told.
#[derive(Default, PartialEq, Eq)]
struct Applied {
    addresses: Vec<IpCidr>,
    gateway_v4: Option<Ipv4Addr>,
    gateway_v6: Option<Ipv6Addr>,
}

/// What a DHCP server gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    address: Ipv4Cidr,
    router: Option<Ipv4Addr>,
    dns_servers: Vec<IpAddr>,
    /// What completes short names.
    domains: Vec<String>,
    mtu: Option<usize>,
    server: Ipv4Addr,
    /// From a renewal that went well until the lease's end, when it is renewed on time.
    grace: Duration,
}

impl Addressing {
    /// Adds the DHCP client, if there is to be one, starts what IPv6 needs and sets the addresses
    /// that can be used at once. `config` has been validated.
    pub(super) fn new(
        config: &mut Config,
        mtu: usize,
        seed: u64,
        now: Instant,
        iface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Self {
        let ipv6 = core::mem::replace(&mut config.ipv6, Ipv6::Off);
        let advertisements =
            config.accept_router_advertisements && matches!(ipv6, Ipv6::Auto | Ipv6::Static { .. });
        let options = Options {
            hardware_addr: config.hardware_addr,
            enabled: ipv6 != Ipv6::Off,
            fixed: match &ipv6 {
                Ipv6::Static { address, .. } => match address.addr() {
                    IpAddr::V6(addr) => Some((addr, address.prefix_len())),
                    IpAddr::V4(_) => None,
                },
                Ipv6::Off | Ipv6::LinkLocal | Ipv6::Auto => None,
            },
            advertisements,
            probes: config.dad_transmits,
            max_mtu: mtu,
            seed: !seed,
        };
        let mut addressing = Self {
            ipv4: core::mem::replace(&mut config.ipv4, Ipv4::Off),
            ipv6,
            advertisements,
            dns_servers: core::mem::take(&mut config.dns_servers),
            hardware_addr: config.hardware_addr,
            mtu,
            dhcp: None,
            lease: None,
            reassured: None,
            patience: None,
            discovery: Discovery::new(options, now),
            applied: Applied::default(),
        };
        if let Ipv4::Dhcp { hostname } = &addressing.ipv4 {
            addressing.dhcp = Some(sockets.add(client(hostname.as_deref())));
            addressing.patience = Some(now + PATIENCE);
        }
        addressing.apply(iface);
        addressing
    }

    /// Follows the DHCP client and the routers. Returns whether the configuration changed:
    /// [`Self::apply`] is due then.
    pub(super) fn poll<D: Device>(
        &mut self,
        now: Instant,
        device: &mut Watch<D>,
        sockets: &mut SocketSet<'static>,
    ) -> bool {
        let discovery = &mut self.discovery;
        if discovery.poll_timeout().is_some_and(|due| due <= now) {
            discovery.handle_time(now);
        }
        for heard in core::mem::take(&mut device.seen().heard) {
            discovery.handle_heard(heard, now);
        }
        while let Some(frame) = discovery.poll_transmit() {
            // A full queue loses it, as a wire might.
            device.send(&frame);
        }
        // All, always.
        let changed = discovery.take_changed();
        let waited = self.patience.take_if(|end| *end <= now).is_some();
        self.poll_lease(now, sockets) || changed || waited
    }

    fn poll_lease(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let Some(handle) = self.dhcp else { return false };
        let lease = match sockets.get_mut::<dhcpv4::Socket>(handle).poll() {
            // the client began anew, which says nothing of the lease
            Some(dhcpv4::Event::Deconfigured) | None
                if self.reassured.is_some_and(|end| now < end) =>
            {
                return false;
            }
            None if self.reassured.is_none() => return false,
            Some(dhcpv4::Event::Deconfigured) | None => None,
            Some(dhcpv4::Event::Configured(config)) => Some(Lease::new(&config)),
        };
        self.reassured = None;
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
        self.patience = lease.is_none().then(|| now + PATIENCE);
        self.lease = lease;
        true
    }

    /// The link is back after so long: whatever is at its other end is asked again, as it may be another network
    /// (RFC 2131 §3.7, RFC 4861 §6.3.7). What we have stays ours until it answers or the lease may have ended.
    pub(super) fn link_returned(
        &mut self,
        absence: Duration,
        now: Instant,
        sockets: &mut SocketSet<'static>,
    ) {
        self.discovery.solicit(now);
        if let Some(handle) = self.dhcp {
            sockets.get_mut::<dhcpv4::Socket>(handle).reset();
            // Until the link went it was renewed on time, of which smoltcp tells nothing.
            let grace = self.lease.as_ref().map(|lease| lease.grace.saturating_sub(absence));
            self.reassured = grace.map(|grace| now + grace);
        }
    }

    /// When [`Self::poll`] has something to do, but for what the DHCP client does as a socket.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        earliest(earliest(self.patience, self.reassured), self.discovery.poll_timeout())
    }

    /// Tells the interface about addresses and routes, where they are not what it knows. `true`: it has forgotten its
    /// neighbours over that.
    pub(super) fn apply(&mut self, iface: &mut Interface) -> bool {
        let v4 = self.cidr_v4().map(IpCidr::Ipv4);
        let v6 = self.cidrs_v6().into_iter().map(IpCidr::Ipv6);
        let wanted = Applied {
            addresses: v4.into_iter().chain(v6).collect(),
            gateway_v4: self.gateway_v4(),
            gateway_v6: self.gateway_v6(),
        };
        // Setting addresses empties the neighbour cache.
        let forgets = wanted.addresses != self.applied.addresses;
        if forgets {
            iface.update_ip_addrs(|addrs| {
                addrs.clear();
                for cidr in &wanted.addresses {
                    addrs.push(*cidr).expect("one, two and five addresses fit into eight");
                }
            });
        }
        let routes = iface.routes_mut();
        routes.remove_default_ipv4_route();
        routes.remove_default_ipv6_route();
        if let Some(gateway) = wanted.gateway_v4 {
            routes.add_default_ipv4_route(gateway).expect("two routes fit into eight");
        }
        if let Some(gateway) = wanted.gateway_v6 {
            routes.add_default_ipv6_route(gateway).expect("two routes fit into eight");
        }
        self.applied = wanted;
        forgets
    }

    /// The interface is a new one, which knows nothing.
    pub(super) fn forget_interface(&mut self) {
        self.applied = Applied::default();
    }

    /// Whether there is an address that reaches beyond the local link, or none is to be expected.
    pub(super) fn is_ready(&self) -> bool {
        let assigned = self.discovery.assigned();
        let expected = matches!(self.ipv4, Ipv4::Dhcp { .. })
            || self.advertisements
            || match &self.ipv6 {
                // nobody gives us another one in its place
                Ipv6::Static { address, .. } => {
                    !self.discovery.duplicates().any(|other| IpAddr::V6(other) == address.addr())
                }
                Ipv6::Off | Ipv6::LinkLocal | Ipv6::Auto => false,
            };
        self.cidr_v4().is_some()
            || assigned.iter().any(|a| !a.addr.is_unicast_link_local())
            || !expected && (self.ipv6 == Ipv6::Off || !assigned.is_empty())
    }

    /// What there is now.
    pub(super) fn configuration(&self) -> Configuration {
        let lease = self.lease.as_ref();
        let v4 = self.cidr_v4().map(|c| (IpAddr::V4(c.address()), c.prefix_len()));
        let v6 = self.cidrs_v6().into_iter().map(|c| (IpAddr::V6(c.address()), c.prefix_len()));
        let fixed_router = match &self.ipv6 {
            Ipv6::Static { gateway, .. } => *gateway,
            Ipv6::Off | Ipv6::LinkLocal | Ipv6::Auto => None,
        };
        let routers = fixed_router.into_iter().chain(self.discovery.routers()).map(IpAddr::V6);
        let leased_servers = lease.into_iter().flat_map(|l| l.dns_servers.iter().copied());
        let servers = self.dns_servers.iter().copied().chain(leased_servers);
        let servers = servers.chain(self.discovery.servers().into_iter().map(IpAddr::V6));
        let domains = lease.into_iter().flat_map(|l| l.domains.iter().cloned());
        let search_domains = distinct(domains.chain(self.discovery.domains()));
        Configuration {
            addresses: v4
                .into_iter()
                .chain(v6)
                .filter_map(|(addr, prefix_len)| Cidr::new(addr, prefix_len))
                .collect(),
            duplicates: self.discovery.duplicates().map(IpAddr::V6).collect(),
            gateways: distinct(self.gateway_v4().map(IpAddr::V4).into_iter().chain(routers)),
            dns_servers: distinct(servers),
            domain: search_domains.first().cloned(),
            search_domains,
            mtu: Some(self.mtu()),
            mac: Some(self.hardware_addr),
            dhcp_server: lease.map(|l| l.server),
            pending: [
                (self.patience.is_some(), IpVersion::V4),
                (self.discovery.is_pending(), IpVersion::V6),
            ]
            .into_iter()
            .filter_map(|(pending, family)| pending.then_some(family))
            .collect(),
        }
    }

    /// Whether there is a DHCP client, which is a socket, too.
    pub(super) fn has_client(&self) -> bool {
        self.dhcp.is_some()
    }

    pub(super) fn hardware_addr(&self) -> [u8; 6] {
        self.hardware_addr
    }

    /// The largest IP packet in octets: the least of what the device can do, a DHCP server says and
    /// a router says.
    pub(super) fn mtu(&self) -> usize {
        let min = if self.ipv6 == Ipv6::Off { MIN_MTU_V4 } else { MIN_MTU_V6 };
        let leased = self.lease.as_ref().and_then(|l| l.mtu).map(|mtu| mtu.max(min));
        [leased, self.discovery.mtu()].into_iter().flatten().fold(self.mtu, usize::min)
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
                if own.is_empty() {
                    return Err(Error::NoAddress);
                }
                if addr.is_unspecified()
                    || addr.is_loopback()
                    || own.iter().any(|c| c.address() == addr)
                {
                    return Err(NO_ROUTE);
                }
                if addr.is_multicast() || own.iter().any(|c| c.contains_addr(&addr)) {
                    return Ok(dst);
                }
                // An address that means something there may still come.
                if self.source_v6(addr).is_none() && self.ipv6 != Ipv6::LinkLocal {
                    return Err(Error::NoAddress);
                }
                self.gateway_v6().map(IpAddr::V6).ok_or(NO_ROUTE)
            }
        }
    }

    /// Our address for packets to `dst`, by the rules 1, 2, 3, 6 and 8 of RFC 6724 §5. A link-local
    /// one does not reach beyond the link.
    pub(super) fn source_v6(&self, dst: Ipv6Addr) -> Option<Ipv6Addr> {
        let near = is_link_scope(dst);
        let rank = |a: &Assigned| {
            (
                a.addr == dst,
                a.addr.is_unicast_link_local() == near,
                !a.deprecated,
                a.addr.is_unique_local() == dst.is_unique_local(),
                (a.addr.to_bits() ^ dst.to_bits()).leading_zeros().min(64),
            )
        };
        let assigned = self.discovery.assigned();
        let usable = assigned.iter().filter(|a| near || !a.addr.is_unicast_link_local());
        // Of equals the first.
        usable.rev().max_by_key(|a| rank(a)).map(|a| a.addr)
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

    /// Our default router for IPv6.
    pub(super) fn gateway_v6(&self) -> Option<Ipv6Addr> {
        match &self.ipv6 {
            Ipv6::Static { gateway: Some(gateway), .. } => Some(*gateway),
            _ => self.discovery.routers().first().copied(),
        }
    }

    /// A router did not answer: another one is to be preferred, if there is one.
    pub(super) fn router_is_silent(&mut self, router: Ipv6Addr, now: Instant) {
        self.discovery.router_is_silent(router, now);
    }

    /// Routers that do not answer, while another may.
    pub(super) fn shunned_routers(&self) -> Vec<IpAddr> {
        self.discovery.shunned().map(IpAddr::V6).collect()
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
        let assigned = self.discovery.assigned();
        assigned.into_iter().map(|a| Ipv6Cidr::new(a.addr, a.prefix_len)).collect()
    }

    fn gateway_v4(&self) -> Option<Ipv4Addr> {
        match &self.ipv4 {
            Ipv4::Off => None,
            Ipv4::Dhcp { .. } => self.lease.as_ref()?.router,
            Ipv4::Static { gateway, .. } => *gateway,
        }
    }
}

impl Lease {
    fn new(config: &dhcpv4::Config<'_>) -> Self {
        let option = |kind| {
            let packet = config.packet.as_ref()?;
            packet.options().find(|o| o.kind == kind).map(|o| o.data)
        };
        // RFC 3396 §7: an option that comes in parts is one.
        let options = config.packet.as_ref().into_iter().flat_map(|packet| packet.options());
        let parts = options.filter(|o| o.kind == OPTION_SEARCH).map(|o| o.data);
        let mut domains = search::names(&parts.collect::<Vec<_>>().concat(), true);
        // RFC 3397 §4: the list is used in place of the domain.
        if domains.is_empty() {
            domains.extend(option(OPTION_DOMAIN).and_then(domain));
        }
        // After rebinding (RFC 2131 §4.4.5) smoltcp still names the server that was asked first.
        let server = option(OPTION_SERVER).and_then(|data| <[u8; 4]>::try_from(data).ok());
        let seconds = |kind| {
            let octets = option(kind).and_then(|data| <[u8; 4]>::try_from(data).ok())?;
            Some(Duration::from_secs(u32::from_be_bytes(octets).into()))
        };
        // RFC 2131 §4.4.5: renewed after half of it, if the server does not say otherwise.
        let whole = seconds(OPTION_LEASE).unwrap_or(DEFAULT_LEASE);
        let renewal = seconds(OPTION_RENEWAL).unwrap_or(whole / 2);
        Self {
            address: config.address,
            router: config.router.filter(|r| is_host_v4(*r)),
            dns_servers: config.dns_servers.iter().map(|s| IpAddr::from(*s)).collect(),
            domains,
            mtu: option(OPTION_MTU)
                .and_then(|data| <[u8; 2]>::try_from(data).ok())
                .map(|octets| usize::from(u16::from_be_bytes(octets)))
                .filter(|mtu| *mtu >= MIN_MTU_V4),
            server: server.map_or(config.server.identifier, Ipv4Addr::from),
            grace: whole.saturating_sub(renewal),
        }
    }
}

/// Without what came before.
fn distinct<T: PartialEq>(things: impl Iterator<Item = T>) -> Vec<T> {
    things.fold(Vec::new(), |mut distinct, thing| {
        if !distinct.contains(&thing) {
            distinct.push(thing);
        }
        distinct
    })
}

/// Whether an address means something on our link only (RFC 4291 §2.5.6, §2.7).
fn is_link_scope(addr: Ipv6Addr) -> bool {
    addr.is_unicast_link_local() || addr.is_multicast() && addr.segments()[0] & 0xf <= 2
}

/// A DHCP client. The text and the buffer that it borrows live as long as the program, as the
/// client itself does.
fn client(hostname: Option<&str>) -> dhcpv4::Socket<'static> {
    let mut socket = dhcpv4::Socket::new();
    // RFC 2131 §4.1 suggests 4 s and up; a link that comes up late is noticed sooner this way.
    let mut retry = socket.get_retry_config();
    let retry_after = smoltcp::time::Duration::from_secs(2);
    retry.discover_timeout = retry_after;
    retry.initial_request_timeout = retry_after;
    socket.set_retry_config(retry);
    socket.set_parameter_request_list(&[
        OPTION_SUBNET_MASK,
        OPTION_ROUTER,
        OPTION_DNS_SERVERS,
        OPTION_DOMAIN,
        OPTION_MTU,
        OPTION_SEARCH,
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

// RFC 2132.
const OPTION_SUBNET_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_DNS_SERVERS: u8 = 6;
const OPTION_HOSTNAME: u8 = 12;
const OPTION_DOMAIN: u8 = 15;
const OPTION_MTU: u8 = 26;
const OPTION_LEASE: u8 = 51;
const OPTION_SERVER: u8 = 54;
const OPTION_RENEWAL: u8 = 58;
// RFC 3397.
const OPTION_SEARCH: u8 = 119;
const MAX_DHCP_MESSAGE: usize = 1500;
/// Less is a mistake: every host accepts packets of that size (RFC 791 §3.1).
const MIN_MTU_V4: usize = 576;
/// What smoltcp takes for a lease of unsaid length.
const DEFAULT_LEASE: Duration = Duration::from_secs(120);

/// RFC 8200 §5.
const MIN_MTU_V6: usize = 1280;

#[cfg(test)]
mod tests {
    use super::super::state::{Nothing, interface};
    use super::*;

    fn addressing(ipv4: Ipv4, ipv6: Ipv6) -> Addressing {
        let mut config = Config::new([0x52, 0x54, 0, 0x12, 0x34, 0x56], Box::new(|_| {}));
        (config.ipv4, config.ipv6, config.dad_transmits) = (ipv4, ipv6, 0);
        let mut iface = interface(config.hardware_addr, 1, &mut Nothing, Instant::ZERO);
        let mut sockets = SocketSet::new(vec![]);
        Addressing::new(&mut config, 1500, 1, Instant::ZERO, &mut iface, &mut sockets)
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
