//! From answers to the list of endpoints in the order of their attempts: RFC 8305 §4, RFC 9460 §3.

use crate::memory::Memory;
use crate::network::{Family, Network};
use crate::report::Skip;
use crate::request::{Kind, Request, Service, Target};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

/// So many addresses of one name and family are kept; an answer with more loses the rest.
pub(crate) const MAX_ADDRESSES: usize = 32;
/// So many service records are kept, the ones of the lowest priority number.
const MAX_SERVICES: usize = 8;
/// So many endpoints: at the 10 ms floor, a good two seconds of attempts.
const MAX_ENDPOINTS: usize = 256;
/// So many notes of addresses that were not used.
const MAX_SKIPPED: usize = 32;

/// A host's address and port, with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub remote: SocketAddr,
    /// All endpoints of a lower group come first: the place of its service record.
    pub group: usize,
    pub alpn: Vec<Vec<u8>>,
}

/// What is known of the target so far.
#[derive(Debug)]
pub(crate) struct Known {
    /// The target itself, then the targets of its services.
    names: Vec<Name>,
    services: Vec<Service>,
    /// Addresses that the caller gave instead of a name, in its order.
    literals: Vec<IpAddr>,
    /// All endpoints, those already tried included, as if everything had been known from the start.
    endpoints: Vec<Endpoint>,
    skipped: Vec<(IpAddr, Skip)>,
    /// There are addresses that only lack one of our own, which may come.
    awaits_network: bool,
}

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    /// `None`: not answered.
    v4: Option<Vec<IpAddr>>,
    v6: Option<Vec<IpAddr>>,
}

impl Known {
    pub fn new(target: &Target) -> Self {
        let (text, literals) = match target {
            Target::Name(name) => (Arc::clone(name), Vec::new()),
            Target::Addresses(addresses) => ("".into(), addresses.clone()),
        };
        let mut known = Self {
            names: [Name { text, v4: None, v6: None }].into(),
            services: Vec::new(),
            endpoints: Vec::new(),
            skipped: Vec::new(),
            awaits_network: false,
            literals: Vec::new(),
        };
        for literal in literals.iter().map(IpAddr::to_canonical) {
            if known.literals.len() < MAX_ADDRESSES {
                known.literals.push(literal);
            } else {
                known.skip(literal, Skip::TooMany);
            }
        }
        known
    }

    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub fn into_skipped(self) -> Vec<(IpAddr, Skip)> {
        self.skipped
    }

    /// The names whose addresses are of interest; none for addresses.
    pub fn names(&self) -> Vec<Arc<str>> {
        let named = |name: &&Name| !name.text.is_empty();
        self.names.iter().filter(named).map(|name| Arc::clone(&name.text)).collect()
    }

    /// Adds the addresses of an answer.
    pub fn add_addresses(&mut self, name: &str, kind: Kind, addresses: &[IpAddr]) {
        let family = if kind == Kind::A { Family::V4 } else { Family::V6 };
        let Some(index) = self.names.iter().position(|known| known.text.as_ref() == name) else {
            return;
        };
        let mut kept = match family {
            Family::V4 => self.names[index].v4.take(),
            Family::V6 => self.names[index].v6.take(),
        }
        .unwrap_or_default();
        for &address in addresses {
            let skip = if Family::of(address) != family {
                Skip::WrongFamily
            } else if !unicast(address) {
                Skip::NotUnicast
            } else if kept.len() >= MAX_ADDRESSES && !kept.contains(&address) {
                Skip::TooMany
            } else {
                if !kept.contains(&address) {
                    kept.push(address);
                }
                continue;
            };
            self.skip(address, skip);
        }
        match family {
            Family::V4 => self.names[index].v4 = Some(kept),
            Family::V6 => self.names[index].v6 = Some(kept),
        }
    }

    /// Adds service records that the caller can use; the names whose addresses are now of interest.
    pub fn add_services(&mut self, services: &[Service], alpn: &[Vec<u8>]) -> Vec<Arc<str>> {
        // RFC 9460 §7.1.2: no protocol in common, no connection
        let fits = |service: &&Service| {
            alpn.is_empty()
                || service.alpn.is_empty()
                || service.alpn.iter().any(|protocol| alpn.contains(protocol))
        };
        for service in services.iter().filter(fits) {
            if !self.services.contains(service) {
                self.services.push(service.clone());
            }
        }
        // RFC 9460 §2.4.1: the lowest first
        self.services.sort_by_key(|service| service.priority);
        self.services.truncate(MAX_SERVICES);
        let mut new = Vec::new();
        for service in &self.services {
            let Some(target) = &service.target else { continue };
            let known = self.names.iter().any(|known| same_name(&known.text, target));
            if !known && self.names.len() <= MAX_SERVICES {
                self.names.push(Name { text: Arc::clone(target), v4: None, v6: None });
                new.push(Arc::clone(target));
            }
        }
        new
    }

    /// Puts all endpoints in order again after something was added.
    pub fn arrange(
        &mut self,
        request: &Request,
        network: &Network,
        memory: &Memory,
        now: Duration,
    ) {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let mut group = 0;
        let mut add = |addresses: Vec<IpAddr>, ports: &[u16], alpn: &[Vec<u8>]| {
            let sorted = ordered(addresses, network, memory, now);
            for address in sorted {
                for &port in ports {
                    let remote = SocketAddr::new(address, port);
                    // an endpoint belongs to the best service that leads to it
                    let known = endpoints.iter().any(|known| known.remote == remote);
                    if !known && endpoints.len() < MAX_ENDPOINTS {
                        endpoints.push(Endpoint { remote, group, alpn: alpn.to_vec() });
                    }
                }
            }
            group += 1;
        };
        let mut skipped = Vec::new();
        let mut awaited = false;
        for service in &self.services {
            let target = service.target.as_deref().unwrap_or(&self.names[0].text);
            let Some(name) = self.names.iter().find(|known| same_name(&known.text, target)) else {
                continue;
            };
            // RFC 9460 §7.3: hints until there is an answer
            let hinted = |answer: &Option<Vec<IpAddr>>, hints: Vec<IpAddr>| {
                answer.clone().unwrap_or_else(|| {
                    hints.into_iter().filter(|&hint| unicast(hint)).take(MAX_ADDRESSES).collect()
                })
            };
            let v6 = service.ipv6_hints.iter().copied().map(IpAddr::V6).collect();
            let v4 = service.ipv4_hints.iter().copied().map(IpAddr::V4).collect();
            let mut addresses = hinted(&name.v6, v6);
            addresses.extend(hinted(&name.v4, v4));
            let addresses = usable(addresses, network, &mut skipped, &mut awaited);
            let ports = service.port.filter(|&port| port != 0);
            let ports = ports.as_ref().map_or(&request.ports[..], core::slice::from_ref);
            add(addresses, ports, &service.alpn);
        }
        // RFC 9460 §3: what the records say is tried first, the name's own addresses after it
        let origin = &self.names[0];
        let answers = origin.v6.iter().chain(&origin.v4).flatten();
        let addresses = answers.chain(&self.literals).copied().collect();
        add(usable(addresses, network, &mut skipped, &mut awaited), &request.ports, &[]);
        self.endpoints = endpoints;
        self.awaits_network = awaited;
        for address in skipped {
            self.skip(address, Skip::NoLocalAddress);
        }
    }

    /// The endpoint to try next, after attempts to `tried` in this order.
    ///
    /// Families take turns (RFC 8305 §4), beginning with `first_family_count` of the first one; an
    /// answer that comes late takes its turn at once. Within a family, the order is that of RFC
    /// 6724 and each address's ports follow one another.
    pub fn next(&self, tried: &[SocketAddr], first_family_count: u8) -> Option<&Endpoint> {
        let fresh = |endpoint: &&Endpoint| !tried.contains(&endpoint.remote);
        let head = self.endpoints.iter().find(fresh)?;
        let family = |remote: &SocketAddr| Family::of(remote.ip());
        let Some(last) = tried.last().map(family) else { return Some(head) };
        let mut group = self.endpoints.iter().filter(|endpoint| endpoint.group == head.group);
        // the run of the first family, unless the other one has begun before its answer came
        let first = group.clone().next().map_or(last, |endpoint| family(&endpoint.remote));
        let stays = tried.len() < usize::from(first_family_count)
            && tried.iter().all(|remote| family(remote) == first);
        let turn =
            group.find(|endpoint| fresh(endpoint) && (family(&endpoint.remote) == last) == stays);
        Some(turn.unwrap_or(head))
    }

    /// Whether the best group known so far has an endpoint of `family`.
    pub fn leads_with(&self, family: Family) -> bool {
        let first = |endpoint: &&Endpoint| endpoint.group == 0;
        self.endpoints.iter().filter(first).any(|e| Family::of(e.remote.ip()) == family)
    }

    /// Whether there are addresses that a pending family could reach.
    pub fn awaits_network(&self) -> bool {
        self.awaits_network
    }

    /// What the service records say of an endpoint.
    pub fn alpn(&self, remote: SocketAddr) -> Vec<Vec<u8>> {
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.remote == remote);
        endpoint.map(|endpoint| endpoint.alpn.clone()).unwrap_or_default()
    }

    fn skip(&mut self, address: IpAddr, skip: Skip) {
        if self.skipped.len() < MAX_SKIPPED && !self.skipped.contains(&(address, skip)) {
            self.skipped.push((address, skip));
        }
    }
}

/// Leaves out what no connection could start to, now or ever, or translates it.
fn usable(
    addresses: Vec<IpAddr>,
    network: &Network,
    skipped: &mut Vec<IpAddr>,
    awaited: &mut bool,
) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for address in addresses {
        if network.awaits(address) {
            *awaited = true;
            continue;
        }
        // RFC 8305 §7.1: an IPv4 address behind a NAT64 has an IPv6 one
        let near = |v4: Ipv4Addr| v4.is_loopback() || v4.is_link_local();
        let translated = match (network.translator(), address) {
            (Some(nat64), IpAddr::V4(v4)) if !(network.has(Family::V4) && near(v4)) => {
                nat64.synthesize(v4).map(IpAddr::V6)
            }
            _ => network.has(Family::of(address)).then_some(address),
        };
        match translated {
            Some(address) if !kept.contains(&address) => kept.push(address),
            Some(_) => {}
            None => skipped.push(address),
        }
    }
    kept
}

fn ordered(
    mut addresses: Vec<IpAddr>,
    network: &Network,
    memory: &Memory,
    now: Duration,
) -> Vec<IpAddr> {
    network.sort_with(
        &mut addresses,
        |address| memory.avoids(address, now),
        |address| memory.round_trip(address, now),
    );
    addresses
}

/// Whether an address in an answer can be a host's. `0.0.0.0` and `::` stand for the machine itself
/// on some systems and are what filtering DNS servers answer.
fn unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_unspecified() || address.is_multicast() || address.is_broadcast())
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified()
                || address.is_multicast()
                || address.to_ipv4_mapped().is_some())
        }
    }
}

/// Names are compared without case and without the root's dot.
fn same_name(a: &str, b: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).len();
    a[..bare(a)].eq_ignore_ascii_case(&b[..bare(b)])
}
