//! Router advertisements (RFC 4861 §4.2), with the options for name servers (RFC 8106) and router
//! preference (RFC 4191): octets in, a checked value out.

use core::net::Ipv6Addr;

use super::message::options;
use crate::smol::search;

/// What a router says. Only valid ones are made: see [`Advertisement::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::smol) struct Advertisement {
    /// The router's link-local address.
    pub(super) router: Ipv6Addr,
    /// Seconds for which it is a default router; 0 = it is none.
    pub(super) lifetime: u16,
    pub(super) preference: Preference,
    pub(super) mtu: Option<u32>,
    pub(super) prefixes: Vec<Prefix>,
    /// Name servers, each with its lifetime in seconds.
    pub(super) servers: Vec<(Ipv6Addr, u32)>,
    /// Search domains, each with its lifetime in seconds.
    pub(super) domains: Vec<(String, u32)>,
}

/// RFC 4191 §2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Preference {
    Low,
    #[default]
    Medium,
    High,
}

/// RFC 4861 §4.6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) prefix: Ipv6Addr,
    /// Bits, at most 128.
    pub(super) len: u8,
    pub(super) on_link: bool,
    pub(super) autonomous: bool,
    /// Seconds; [`FOREVER`] has no end. So has `preferred`.
    pub(super) valid: u32,
    pub(super) preferred: u32,
}

/// A lifetime without end (RFC 4861 §4.6.2).
pub(super) const FOREVER: u32 = u32::MAX;

impl Advertisement {
    /// `message` is an ICMPv6 message of type 134 with a valid checksum, from `router` with hop
    /// limit 255. What else RFC 4861 §6.1.2 asks for is checked here; options that make no sense
    /// are ignored, but not those without an end.
    pub(super) fn parse(router: Ipv6Addr, message: &[u8]) -> Option<Self> {
        if !router.is_unicast_link_local() || message.len() < FIXED || message[1] != 0 {
            return None;
        }
        let lifetime = u16::from_be_bytes([message[6], message[7]]);
        let preference = match message[5] >> 3 & 3 {
            0b01 => Preference::High,
            0b11 => Preference::Low,
            // 0b10 is to be taken as 0b00.
            _ => Preference::Medium,
        };
        let mut advertisement = Self {
            router,
            lifetime,
            preference,
            mtu: None,
            prefixes: Vec::new(),
            servers: Vec::new(),
            domains: Vec::new(),
        };
        for (kind, option) in options(&message[FIXED..])? {
            match kind {
                OPTION_PREFIX if option.len() == 32 => advertisement.add_prefix(option),
                OPTION_MTU if option.len() == 8 => advertisement.mtu = Some(number(option, 4)),
                OPTION_RDNSS => advertisement.add_servers(option),
                OPTION_DNSSL if option.len() >= 16 => advertisement.add_domains(option),
                _ => {}
            }
        }
        Some(advertisement)
    }

    fn add_prefix(&mut self, option: &[u8]) {
        let len = option[2];
        if len > 128 || self.prefixes.len() == MAX_OPTIONS {
            return;
        }
        let octets = <[u8; 16]>::try_from(&option[16..32]).expect("sixteen octets");
        // Bits behind the prefix are to be ignored.
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        self.prefixes.push(Prefix {
            prefix: Ipv6Addr::from_bits(u128::from_be_bytes(octets) & mask),
            len,
            on_link: option[3] & 0x80 != 0,
            autonomous: option[3] & 0x40 != 0,
            valid: number(option, 4),
            preferred: number(option, 8),
        });
    }

    /// RFC 8106 §5.1: an odd length of at least three, in units of eight octets.
    fn add_servers(&mut self, option: &[u8]) {
        if option.len() < 24 || option.len() % 16 != 8 {
            return;
        }
        let lifetime = number(option, 4);
        for octets in option[8..].chunks_exact(16) {
            let octets = <[u8; 16]>::try_from(octets).expect("sixteen octets");
            let addr = Ipv6Addr::from(octets);
            let sensible = !(addr.is_unspecified() || addr.is_multicast() || addr.is_loopback());
            if sensible && self.servers.len() < MAX_OPTIONS {
                self.servers.push((addr, lifetime));
            }
        }
    }

    fn add_domains(&mut self, option: &[u8]) {
        let lifetime = number(option, 4);
        let left = MAX_OPTIONS - self.domains.len();
        let names = search::names(&option[8..], false).into_iter().take(left);
        self.domains.extend(names.map(|name| (name, lifetime)));
    }
}

/// The 32 bits at `at`, which the caller knows to be there.
fn number(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

/// Octets before the options.
const FIXED: usize = 16;
const OPTION_PREFIX: u8 = 3;
const OPTION_MTU: u8 = 5;
const OPTION_RDNSS: u8 = 25;
const OPTION_DNSSL: u8 = 31;
/// Prefixes, servers and domains taken from one advertisement, of each.
const MAX_OPTIONS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Ipv6Addr {
        "fe80::1".parse().expect("an address")
    }

    fn message(flags: u8, options: &[&[u8]]) -> Vec<u8> {
        let mut message = vec![134, 0, 0, 0, 64, flags, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        options.iter().for_each(|option| message.extend_from_slice(option));
        message
    }

    #[test]
    fn everything_that_a_router_says() {
        let mut prefix = vec![3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08, 0, 0, 0, 0];
        let addr: Ipv6Addr = "2001:db8:1:2:ffff::".parse().expect("an address");
        prefix.extend_from_slice(&addr.octets());
        let mut servers = vec![25, 5, 0, 0, 0, 0, 0, 60];
        servers.extend_from_slice(&router().octets());
        servers.extend_from_slice(&Ipv6Addr::UNSPECIFIED.octets());
        let mut domains = vec![31, 4, 0, 0, 0, 0, 0, 61];
        domains.extend_from_slice(b"\x07Example\x04test\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x00");
        let mtu = [5, 1, 0, 0, 0, 0, 0x05, 0x78];
        let unknown = [200, 1, 1, 2, 3, 4, 5, 6];
        let message = message(0x08, &[&prefix, &servers, &unknown, &domains, &mtu]);
        let expected = Advertisement {
            router: router(),
            lifetime: 1800,
            preference: Preference::High,
            mtu: Some(1400),
            prefixes: vec![Prefix {
                prefix: "2001:db8:1:2::".parse().expect("an address"),
                len: 64,
                on_link: true,
                autonomous: true,
                valid: 3600,
                preferred: 1800,
            }],
            servers: vec![(router(), 60)],
            domains: vec![("example.test".into(), 61), ("a".into(), 61)],
        };
        assert_eq!(Advertisement::parse(router(), &message), Some(expected));
        for len in 0..message.len() {
            // A cut at the end of an option leaves a valid message.
            let whole = [16, 48, 88, 96, 128].contains(&len);
            assert_eq!(Advertisement::parse(router(), &message[..len]).is_some(), whole, "{len}");
        }
    }

    #[test]
    fn what_is_not_valid_is_dropped() {
        let good = message(0, &[]);
        assert!(Advertisement::parse(router(), &good).is_some());
        let global = "2001:db8::1".parse().expect("an address");
        assert_eq!(Advertisement::parse(global, &good), None);
        let mut code = good.clone();
        code[1] = 1;
        assert_eq!(Advertisement::parse(router(), &code), None);
        let endless = message(0, &[&[1, 0, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(Advertisement::parse(router(), &endless), None);
    }

    #[test]
    fn options_that_make_no_sense_are_ignored() {
        let mut long = vec![3, 4, 129, 0xc0];
        long.resize(32, 1);
        let mut even = vec![25, 4, 0, 0, 0, 0, 0, 60];
        even.resize(32, 1);
        let short = [25, 1, 0, 0, 0, 0, 0, 60];
        let label = *b"\x1f\x02\x00\x00\x00\x00\x00\x3c\x40aaaaaaa";
        let text = *b"\x1f\x02\x00\x00\x00\x00\x00\x3c\x03a b\x00\x00\x00\x00";
        let message = message(0, &[&long, &even, &short, &label, &text]);
        let parsed = Advertisement::parse(router(), &message).expect("a valid message");
        assert_eq!((parsed.prefixes, parsed.servers, parsed.domains), (vec![], vec![], vec![]));
    }
}
