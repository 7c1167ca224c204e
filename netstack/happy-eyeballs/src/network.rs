//! What is known of the machine's own addresses, and what follows for destinations: RFC 6724.

use crate::nat64::Nat64;
use crate::policy::{Policy, common_bits, mapped};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// One of the machine's own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// How many leading bits name its network: at most 32 or 128.
    pub prefix_len: u8,
    /// Its preferred lifetime is over (RFC 4862 §5.5.4).
    pub deprecated: bool,
    /// A temporary address (RFC 8981).
    pub temporary: bool,
    /// Only a care-of address of a mobile node away from home (RFC 6275).
    pub care_of: bool,
}

impl Source {
    /// A preferred, public address.
    pub fn new(address: IpAddr, prefix_len: u8) -> Self {
        Self { address, prefix_len, deprecated: false, temporary: false, care_of: false }
    }
}

/// The machine's side of every connection, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The machine's own addresses; `None` when they are not known: then both families are taken to
    /// work, and the rules that look at the source do not apply (RFC 6724 §6).
    pub sources: Option<Vec<Source>>,
    /// Families for which an address of the machine's own may still come: their records are asked
    /// for, and what they say is kept until the address is there or
    /// [`handle_network`](crate::HappyEyeballs::handle_network) says that none will come.
    pub pending: Vec<Family>,
    /// Use this family only, whatever addresses there are.
    pub only: Option<Family>,
    /// The network's NAT64; it is used where IPv4 itself cannot be.
    pub nat64: Option<Nat64>,
    /// The policy table.
    pub policy: Policy,
}

const LINK_LOCAL: u8 = 0x2;
const SITE_LOCAL: u8 = 0x5;
const GLOBAL: u8 = 0xe;

impl Network {
    /// A network with these own addresses, the default policy and no NAT64.
    pub fn of(sources: impl IntoIterator<Item = Source>) -> Self {
        Self { sources: Some(sources.into_iter().collect()), ..Self::default() }
    }

    /// Whether connections over `family` can have a source address.
    pub fn has(&self, family: Family) -> bool {
        self.only.is_none_or(|only| only == family)
            && self.sources.as_ref().is_none_or(|sources| {
                sources.iter().any(|source| Family::of(source.address) == family)
            })
    }

    /// Whether connections to `destination` may come to have a source address that reaches so far,
    /// but have none now.
    pub fn awaits(&self, destination: IpAddr) -> bool {
        let family = Family::of(destination);
        let reaches = |source: Source| scope(source.address) >= scope(destination);
        self.only.is_none_or(|only| only == family)
            && self.sources.is_some()
            && self.pending.contains(&family)
            && !self.source(destination).is_some_and(reaches)
    }

    /// Whether names are worth resolving for `family`: it [serves](Self::serves), or is still being
    /// configured.
    pub fn asks(&self, family: Family) -> bool {
        let allowed = self.only.is_none_or(|only| only == family);
        self.serves(family) || allowed && self.pending.contains(&family)
    }

    /// Whether `family` is one to reach the Internet over: it has an address for that, or no family
    /// has one and this has at least a local one. Link-local IPv6 alone, which every interface has,
    /// does not make a dual-stack network.
    pub fn serves(&self, family: Family) -> bool {
        let global = |family| {
            self.has(family)
                && self.sources.as_ref().is_none_or(|sources| {
                    sources.iter().any(|source| {
                        Family::of(source.address) == family && scope(source.address) == GLOBAL
                    })
                })
        };
        self.has(family) && (global(family) || !(global(Family::V4) || global(Family::V6)))
    }

    /// The NAT64, where there is one to use: no IPv4 of one's own, but IPv6.
    pub(crate) fn translator(&self) -> Option<Nat64> {
        self.nat64.filter(|_| !self.asks(Family::V4) && self.serves(Family::V6))
    }

    /// The family whose answer is worth waiting for: the one that the policy puts first among
    /// global addresses, or the only one that serves.
    pub(crate) fn preferred(&self) -> Family {
        match (self.serves(Family::V6), self.serves(Family::V4)) {
            (true, false) => Family::V6,
            (false, true) => Family::V4,
            _ => {
                let precedence = |bytes: [u8; 4]| self.policy.row(IpAddr::from(bytes)).precedence;
                let ipv6 = self.policy.row(IpAddr::from([0x2600, 0, 0, 0, 0, 0, 0, 1])).precedence;
                if ipv6 >= precedence([192, 0, 2, 1]) { Family::V6 } else { Family::V4 }
            }
        }
    }

    /// The source address that connections to `destination` will most likely have: RFC 6724 §5.
    /// Rules 5 and 5.5 (interfaces, next hops) do not apply, all addresses are taken to be on one
    /// interface.
    pub fn source(&self, destination: IpAddr) -> Option<Source> {
        let wanted = scope(destination);
        let label = self.policy.row(destination).label;
        let family = Family::of(destination);
        let sources = self.sources.iter().flatten();
        let candidates = sources.filter(|source| Family::of(source.address) == family);
        candidates
            .min_by_key(|source| {
                let scope = scope(source.address);
                (
                    // rule 1: prefer same address
                    source.address != destination,
                    // rule 2: appropriate scope, the smallest that is large enough, else the
                    // largest
                    if scope >= wanted { (false, scope) } else { (true, u8::MAX - scope) },
                    // rule 3: avoid deprecated addresses
                    source.deprecated,
                    // rule 4: prefer home addresses
                    source.care_of,
                    // rule 6: prefer matching label
                    self.policy.row(source.address).label != label,
                    // rule 7: prefer temporary addresses
                    !source.temporary,
                    // rule 8: use longest matching prefix
                    Reverse(common_prefix(source, destination)),
                )
            })
            .copied()
    }

    /// Puts destinations into the order of RFC 6724 §6. What none of its rules tells apart keeps
    /// its order.
    ///
    /// Rule 7 (native transport) does not apply. Rule 9 (longest matching prefix) is applied to
    /// IPv6 only, as §6 allows: behind IPv4's address translation the source says nothing of the
    /// distance, and the rule would undo the balancing of DNS servers that rotate their answers.
    pub fn sort(&self, destinations: &mut [IpAddr]) {
        self.sort_with(destinations, |_| false, |_| None);
    }

    /// As [`sort`](Self::sort), with what is remembered: `avoid` says which are known to be
    /// unreachable (rule 1), `round_trip` how far those are that were used (RFC 8305 §4, between
    /// rules 8 and 9).
    pub(crate) fn sort_with(
        &self,
        destinations: &mut [IpAddr],
        avoid: impl Fn(IpAddr) -> bool,
        round_trip: impl Fn(IpAddr) -> Option<Duration>,
    ) {
        let first_family = destinations.first().copied().map(Family::of);
        destinations.sort_by_cached_key(|&destination| {
            let row = self.policy.row(destination);
            let family = Family::of(destination);
            let source = self.source(destination);
            let mark = |test: &dyn Fn(Source) -> bool| source.is_some_and(test);
            (
                // rule 1: avoid unusable destinations
                (self.sources.is_some() && source.is_none(), avoid(destination)),
                // rule 2: prefer matching scope
                mark(&|source| scope(source.address) != scope(destination)),
                // rule 3: avoid deprecated addresses
                mark(&|source| source.deprecated),
                // rule 4: prefer home addresses
                mark(&|source| source.care_of),
                // rule 5: prefer matching label
                mark(&|source| self.policy.row(source.address).label != row.label),
                // rule 6: prefer higher precedence
                Reverse(row.precedence),
                // rule 8: prefer smaller scope
                scope(destination),
                // RFC 8305 §4: prefer lower round trip times, and used addresses over unused
                round_trip(destination).unwrap_or(Duration::MAX),
                // rule 9 compares within a family only: a pair-wise rule is no order unless the
                // families are kept apart before it
                Some(family) != first_family,
                // rule 9: use longest matching prefix
                Reverse(match (family, source) {
                    (Family::V6, Some(source)) => common_prefix(&source, destination),
                    _ => 0,
                }),
            )
        });
    }
}

/// RFC 6724 §3.1 and §3.2: the private IPv4 ranges and IPv6's unique local addresses are global.
fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) if address.is_link_local() || address.is_loopback() => LINK_LOCAL,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(address) => match address.segments()[0] {
            first if first & 0xff00 == 0xff00 => first.to_be_bytes()[1] & 0xf,
            first if first & 0xffc0 == 0xfe80 => LINK_LOCAL,
            first if first & 0xffc0 == 0xfec0 => SITE_LOCAL,
            _ if address.is_loopback() => LINK_LOCAL,
            _ => GLOBAL,
        },
    }
}

/// RFC 6724 §2.2: up to the length of the source's prefix.
fn common_prefix(source: &Source, destination: IpAddr) -> u32 {
    let unmapped = if destination.is_ipv4() { 96 } else { 0 };
    let common = common_bits(mapped(source.address).to_bits(), mapped(destination).to_bits());
    common.saturating_sub(unmapped).min(source.prefix_len.into())
}

#[cfg(test)]
mod tests;
