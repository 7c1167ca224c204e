//! How an interface comes by its IPv6 addresses, routers and name servers: duplicate address
//! detection and stateless address configuration (RFC 4862), router discovery (RFC 4861 §6.3, RFC
//! 7559), name servers (RFC 8106). A machine without I/O.
//!
//! [`Discovery::handle_heard`] and [`Discovery::handle_time`] take what happens;
//! [`Discovery::poll_transmit`] gives frames to send, to be drained after each; then
//! [`Discovery::take_changed`] tells whether the getters answer differently, and
//! [`Discovery::poll_timeout`] when to hand in the time again.
//!
//! ```text
//!   told of ──▶ Tentative ── asked so many times, and nobody answered ──▶ Assigned ──┐ end of
//!                   └── somebody uses it, or asks for it, too ──▶ Duplicate ─────────┴─ life ─▶
//! ```
//!
//! # Scope
//! Bounds: 5 advertised addresses, 4 routers, 8 name servers, 8 search domains, 16 frames to send.
//! **Not** implemented: prefixes on the link in which we have no address (their hosts are reached
//! by way of a router), identifiers other than EUI-64 and hence prefixes that are not 64 bits
//! long, temporary addresses, redirects, route information (RFC 4191 §2.3), the hop limit and the
//! timers that a router suggests, and DHCPv6, whatever the router's flags say. Against RFC 4861
//! §6.3.7 and RFC 4862 §5.4.2 the first messages are not delayed by chance, and the second
//! solicitation comes a second after the first, because one machine that starts quickly is worth
//! more here than a thousand that start together.

mod advertisement;
mod message;
mod routers;

use core::net::Ipv6Addr;
use core::time::Duration;
use std::collections::VecDeque;

pub(super) use advertisement::Advertisement;
use advertisement::Prefix;
pub(super) use message::{Heard, hear, neighbor_solicitation};
use message::{Nonce, defence, probe, router_solicitation};
use routers::{Lasting, Routers, end};

use crate::Instant;

/// The IPv6 side of one interface.
pub(super) struct Discovery {
    options: Options,
    addresses: Vec<Address>,
    routers: Routers,
    servers: Lasting<Ipv6Addr>,
    domains: Lasting<String>,
    mtu: Option<usize>,
    /// When the next router solicitation is due, and the time until the one after it.
    solicitation: Option<(Instant, Duration)>,
    /// While no router has been heard: until when silence says nothing.
    patience: Option<Instant>,
    outbox: VecDeque<Vec<u8>>,
    /// For jitter and nonces, which need not be secret.
    chance: u64,
    changed: bool,
    now: Instant,
}

/// What the machine is to do.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) hardware_addr: [u8; 6],
    /// Whether there is IPv6 at all.
    pub(super) enabled: bool,
    /// An address and its prefix length, beside the link-local one.
    pub(super) fixed: Option<(Ipv6Addr, u8)>,
    /// Whether to ask for routers and believe them.
    pub(super) advertisements: bool,
    /// Questions whether an address is free; 0 = it is used at once.
    pub(super) probes: u8,
    /// Largest IP packet of the device.
    pub(super) max_mtu: usize,
    pub(super) seed: u64,
}

struct Address {
    addr: Ipv6Addr,
    prefix_len: u8,
    /// Made from a router's prefix, so that it lasts as long as the router says.
    advertised: bool,
    /// The prefix is on the link until then.
    on_link_until: Instant,
    preferred_until: Instant,
    valid_until: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Tentative { sent: u8, next: Instant, nonce: Nonce },
    Assigned,
    Duplicate,
}

/// An address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) addr: Ipv6Addr,
    /// 128 where the rest of the prefix is not on the link.
    pub(super) prefix_len: u8,
    /// Only for connections that have it.
    pub(super) deprecated: bool,
}

impl Discovery {
    /// Starts at once: the first questions are ready to be sent.
    pub(super) fn new(options: Options, now: Instant) -> Self {
        let mut discovery = Self {
            addresses: Vec::new(),
            routers: Routers::default(),
            servers: Lasting::new(MAX_SERVERS),
            domains: Lasting::new(MAX_DOMAINS),
            mtu: None,
            solicitation: None,
            patience: None,
            outbox: VecDeque::new(),
            chance: options.seed,
            changed: false,
            now,
            options,
        };
        if discovery.options.enabled {
            if let Some((addr, prefix_len)) = discovery.options.fixed {
                discovery.add(addr, prefix_len, None);
            }
            let link_local =
                join(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), discovery.identifier());
            if discovery.options.fixed.is_none_or(|(addr, _)| addr != link_local) {
                discovery.add(link_local, 64, None);
            }
            if discovery.options.advertisements {
                discovery.solicitation = Some((now, FIRST_INTERVAL));
                discovery.patience = Some(now + PATIENCE);
            }
            discovery.handle_time(now);
        }
        discovery
    }

    /// A message that came in.
    pub(super) fn handle_heard(&mut self, heard: Heard, now: Instant) {
        self.now = now;
        match heard {
            _ if !self.options.enabled => {}
            Heard::Advertisement(advertisement) => {
                if self.options.advertisements {
                    self.advertised(advertisement);
                }
            }
            Heard::Probed { target, nonce } => {
                let Some(address) = self.addresses.iter_mut().find(|a| a.addr == target) else {
                    return;
                };
                match &address.phase {
                    // Our own question has come back (RFC 7527 §4.2).
                    Phase::Tentative { nonce: own, .. } if nonce == Some(*own) => {}
                    Phase::Tentative { .. } => self.collided(target),
                    Phase::Assigned => {
                        let frame = defence(self.options.hardware_addr, target);
                        self.send(frame);
                    }
                    Phase::Duplicate => {}
                }
            }
            Heard::Used { target } => {
                let tentative = |a: &Address| matches!(a.phase, Phase::Tentative { .. });
                if self.addresses.iter().any(|a| a.addr == target && tentative(a)) {
                    self.collided(target);
                }
            }
        }
    }

    /// Does what is due at `now`.
    pub(super) fn handle_time(&mut self, now: Instant) {
        let before = self.outline();
        self.now = now;
        for at in 0..self.addresses.len() {
            self.advance(at);
        }
        self.addresses.retain(|a| a.valid_until > now);
        self.servers.expire(now);
        self.domains.expire(now);
        self.patience = self.patience.filter(|end| *end > now);
        let had_router = !self.routers.is_empty();
        self.routers.expire(now);
        if had_router && self.routers.is_empty() {
            self.search();
        }
        if let Some((due, interval)) = self.solicitation
            && due <= now
        {
            let frame = router_solicitation(self.options.hardware_addr, self.link_local());
            self.send(frame);
            // RFC 7559 §2: doubled up to an hour, a tenth more or less.
            let tenth = interval / 10;
            let wait = interval - tenth + tenth.mul_f64(self.fraction() * 2.0);
            let next = (interval * 2).clamp(SOLICITATION_INTERVAL, MAX_SOLICITATION_INTERVAL);
            self.solicitation = Some((now + wait, next));
        }
        self.changed |= self.outline() != before;
    }

    /// The next frame to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// When [`Self::handle_time`] has something to do; may be in the past.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let now = self.now;
        let phases = self.addresses.iter().filter_map(|a| match &a.phase {
            Phase::Tentative { next, .. } => Some(*next),
            Phase::Assigned | Phase::Duplicate => None,
        });
        let lives = self
            .addresses
            .iter()
            .flat_map(|a| [a.on_link_until, a.preferred_until, a.valid_until])
            .filter(|at| *at > now && *at < Instant::FAR);
        phases
            .chain(lives)
            .chain(self.solicitation.map(|(due, _)| due))
            .chain(self.patience)
            .chain(self.routers.next_deadline(now))
            .chain(self.servers.next_deadline())
            .chain(self.domains.next_deadline())
            .min()
    }

    /// Whether any of the following is not what it was at the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// Addresses in use, those to be preferred first, the link-local one last.
    pub(super) fn assigned(&self) -> Vec<Assigned> {
        let mut assigned: Vec<Assigned> = self
            .addresses
            .iter()
            .filter(|a| matches!(a.phase, Phase::Assigned))
            .map(|a| Assigned {
                addr: a.addr,
                prefix_len: if a.on_link_until > self.now { a.prefix_len } else { 128 },
                deprecated: a.preferred_until <= self.now,
            })
            .collect();
        assigned.sort_by_key(|a| (a.addr.is_unicast_link_local(), a.deprecated));
        assigned
    }

    /// Addresses that would be ours if nobody else used them.
    pub(super) fn duplicates(&self) -> impl Iterator<Item = Ipv6Addr> {
        let duplicate = |a: &&Address| matches!(a.phase, Phase::Duplicate);
        self.addresses.iter().filter(duplicate).map(|a| a.addr)
    }

    /// Default routers, the best first.
    pub(super) fn routers(&self) -> Vec<Ipv6Addr> {
        self.routers.ranked(self.now)
    }

    /// Routers that do not answer, while another may.
    pub(super) fn shunned(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.routers.shunned(self.now)
    }

    /// Whether an address is being checked, or routers have not had the time to answer.
    pub(super) fn is_pending(&self) -> bool {
        let tentative = |a: &Address| matches!(a.phase, Phase::Tentative { .. });
        self.patience.is_some() || self.addresses.iter().any(tentative)
    }

    /// Name servers.
    pub(super) fn servers(&self) -> Vec<Ipv6Addr> {
        self.servers.list()
    }

    /// Search domains.
    pub(super) fn domains(&self) -> Vec<String> {
        self.domains.list()
    }

    /// The link's MTU, if a router said so: 1280 to the device's.
    pub(super) fn mtu(&self) -> Option<usize> {
        self.mtu
    }

    /// A router did not answer: others are preferred for a minute (RFC 4861 §6.3.6).
    pub(super) fn router_is_silent(&mut self, router: Ipv6Addr, now: Instant) {
        self.now = now;
        let before = self.routers();
        self.routers.shun(router, now);
        self.changed |= self.routers() != before;
    }

    /// RFC 4861 §6.3.4.
    fn advertised(&mut self, advertisement: Advertisement) {
        let before = self.outline();
        let now = self.now;
        let Advertisement { router, lifetime, preference, mtu, prefixes, servers, domains } =
            advertisement;
        self.patience = None;
        let had_router = !self.routers.is_empty();
        self.routers.advertised(router, lifetime, preference, now);
        if !self.routers.is_empty() {
            // RFC 7559 §2: only a default router ends the search.
            self.solicitation = None;
        } else if had_router {
            self.search();
        }
        let mtu = mtu.and_then(|mtu| usize::try_from(mtu).ok());
        if let Some(mtu) = mtu.filter(|mtu| (MIN_MTU..=self.options.max_mtu).contains(mtu)) {
            self.mtu = Some(mtu);
        }
        for prefix in &prefixes {
            self.advertised_prefix(prefix);
        }
        for (server, lifetime) in servers {
            self.servers.told(server, lifetime, now);
        }
        for (domain, lifetime) in domains {
            self.domains.told(domain, lifetime, now);
        }
        self.changed |= self.outline() != before;
    }

    /// RFC 4862 §5.5.3, RFC 4861 §6.3.4.
    fn advertised_prefix(&mut self, prefix: &Prefix) {
        let now = self.now;
        let (preferred, valid) = (end(prefix.preferred, now), end(prefix.valid, now));
        if prefix.prefix.is_unicast_link_local()
            || prefix.prefix.is_multicast()
            || prefix.prefix.is_unspecified()
            || prefix.prefix.is_loopback()
            || prefix.preferred > prefix.valid
            || prefix.len != 64
        {
            return;
        }
        let addr = join(prefix.prefix, self.identifier());
        let known = self.addresses.iter_mut().find(|a| a.addr == addr);
        match known {
            Some(address) if !address.advertised => return,
            Some(address) if prefix.autonomous => {
                address.preferred_until = preferred;
                // A lie can shorten a life to two hours only.
                let rest = now + TWO_HOURS;
                if valid > rest || valid > address.valid_until {
                    address.valid_until = valid;
                } else if address.valid_until > rest {
                    address.valid_until = rest;
                }
                address.preferred_until = address.preferred_until.min(address.valid_until);
            }
            Some(_) => {}
            None if prefix.autonomous && prefix.valid > 0 => {
                if !self.make_room() {
                    return;
                }
                self.add(addr, prefix.len, Some((preferred, valid)));
            }
            None => return,
        }
        if prefix.on_link
            && let Some(address) = self.addresses.iter_mut().find(|a| a.addr == addr)
        {
            address.on_link_until = valid;
        }
    }

    /// Whether one more advertised address fits, if need be in place of one that is of no use.
    fn make_room(&mut self) -> bool {
        if self.addresses.iter().filter(|a| a.advertised).count() < MAX_ADVERTISED {
            return true;
        }
        let useless = |a: &Address| {
            a.advertised && (a.preferred_until <= self.now || matches!(a.phase, Phase::Duplicate))
        };
        match self.addresses.iter().position(useless) {
            Some(at) => {
                self.addresses.remove(at);
                true
            }
            None => false,
        }
    }

    fn add(&mut self, addr: Ipv6Addr, prefix_len: u8, lives: Option<(Instant, Instant)>) {
        let nonce = self.chance().to_le_bytes();
        let nonce = [nonce[0], nonce[1], nonce[2], nonce[3], nonce[4], nonce[5]];
        let (preferred_until, valid_until) = lives.unwrap_or((Instant::FAR, Instant::FAR));
        self.addresses.push(Address {
            addr,
            prefix_len,
            advertised: lives.is_some(),
            on_link_until: if lives.is_some() { Instant::ZERO } else { Instant::FAR },
            preferred_until,
            valid_until,
            phase: Phase::Tentative { sent: 0, next: self.now, nonce },
        });
        self.advance(self.addresses.len() - 1);
    }

    /// RFC 4862 §5.4.2: asks, and takes silence for consent.
    fn advance(&mut self, at: usize) {
        let address = &mut self.addresses[at];
        let Phase::Tentative { sent, next, nonce } = &mut address.phase else { return };
        if *next > self.now {
            return;
        }
        if *sent < self.options.probes {
            *sent += 1;
            *next = self.now + PROBE_INTERVAL;
            let frame = probe(self.options.hardware_addr, address.addr, *nonce);
            self.send(frame);
        } else {
            log::info!("IPv6: address {}/{}", address.addr, address.prefix_len);
            address.phase = Phase::Assigned;
            self.changed = true;
        }
    }

    /// RFC 4862 §5.4.5.
    fn collided(&mut self, target: Ipv6Addr) {
        if let Some(address) = self.addresses.iter_mut().find(|a| a.addr == target) {
            log::error!("IPv6: address {target} is used by another machine");
            address.phase = Phase::Duplicate;
            self.changed = true;
        }
    }

    /// Asks for routers again, but not at once: the last one has just said farewell.
    /// Asks routers at once, and again as long as none answers.
    pub(super) fn solicit(&mut self, now: Instant) {
        if self.options.advertisements {
            self.solicitation = Some((now, SOLICITATION_INTERVAL));
        }
    }

    fn search(&mut self) {
        let due = self.now + SOLICITATION_INTERVAL;
        self.solicitation = Some((due, SOLICITATION_INTERVAL));
        self.patience = Some(self.now + PATIENCE);
    }

    fn send(&mut self, frame: Vec<u8>) {
        if self.outbox.len() < MAX_OUTBOX {
            self.outbox.push_back(frame);
        }
    }

    fn link_local(&self) -> Option<Ipv6Addr> {
        let assigned = |a: &&Address| matches!(a.phase, Phase::Assigned);
        let mut addrs = self.addresses.iter().filter(assigned).map(|a| a.addr);
        addrs.find(Ipv6Addr::is_unicast_link_local)
    }

    /// RFC 4291 appendix A: modified EUI-64.
    fn identifier(&self) -> u64 {
        let [a, b, c, d, e, f] = self.options.hardware_addr;
        u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }

    /// All that others can see, to notice changes.
    fn outline(&self) -> impl PartialEq + use<> {
        let (servers, domains) = (self.servers(), self.domains());
        (self.assigned(), self.routers(), servers, domains, self.mtu, self.is_pending())
    }

    /// 0 to 1.
    fn fraction(&mut self) -> f64 {
        (self.chance() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// SplitMix64.
    fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// An interface identifier behind a prefix of 64 bits.
fn join(prefix: Ipv6Addr, identifier: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() >> 64 << 64 | u128::from(identifier))
}

/// RETRANS_TIMER of RFC 4861 §10.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// From the first solicitation to the second. A router whose side of the link has only just come up
/// hears but the second one, which comes from an address and so may be answered to us alone.
const FIRST_INTERVAL: Duration = Duration::from_millis(1150);
/// RTR_SOLICITATION_INTERVAL of RFC 4861 §10.
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
/// SOL_MAX_RT of RFC 7559 §2.
const MAX_SOLICITATION_INTERVAL: Duration = Duration::from_secs(3600);
/// How long a router may take before silence means that there is none: two lost solicitations are
/// made good after 1 s and after 5 s, a tenth more or less, and the answer may take half a second
/// (MAX_RA_DELAY_TIME of RFC 4861 §10).
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
const TWO_HOURS: Duration = Duration::from_secs(7200);
/// RFC 8200 §5.
const MIN_MTU: usize = 1280;
const MAX_SERVERS: usize = 8;
const MAX_DOMAINS: usize = 8;
/// The interface has room for eight: these, the link-local, a fixed one and one of IPv4.
const MAX_ADVERTISED: usize = 5;
const MAX_OUTBOX: usize = 16;

#[cfg(test)]
mod tests;
