//! The policy table of RFC 6724 §2.1: which addresses are preferred, and which belong together.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The prefix; IPv4 addresses are looked up as `::ffff:a.b.c.d`.
    pub prefix: Ipv6Addr,
    /// Its length in bits, 0 to 128; more counts as 128.
    pub len: u8,
    /// Destinations of a higher one come first (rule 6).
    pub precedence: u8,
    /// Source and destination should have the same (rule 5).
    pub label: u8,
}

/// Looks addresses up by longest prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    rows: Vec<Row>,
}

/// What an address gets that no row matches: below every row, with a label of its own.
const UNMATCHED: Row = Row { prefix: Ipv6Addr::UNSPECIFIED, len: 0, precedence: 0, label: u8::MAX };

/// `::ffff:0:0/96`, all of IPv4.
const IPV4: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

impl Policy {
    /// A table of these rows. Of two rows with the same prefix the first counts.
    pub fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        Self { rows: rows.into_iter().collect() }
    }

    /// The default table with IPv4 before IPv6 (RFC 6724 §10.3).
    pub fn prefer_ipv4() -> Self {
        let mut policy = Self::default();
        for row in &mut policy.rows {
            if row.prefix == IPV4 {
                row.precedence = 100;
            }
        }
        policy
    }

    pub(crate) fn row(&self, address: IpAddr) -> Row {
        let bits = mapped(address).to_bits();
        let mut best: Option<Row> = None;
        for &row in &self.rows {
            let longer = best.is_none_or(|best| row.len > best.len);
            if longer && common_bits(bits, row.prefix.to_bits()) >= u32::from(row.len.min(128)) {
                best = Some(row);
            }
        }
        best.unwrap_or(UNMATCHED)
    }
}

/// The default table of RFC 6724 §2.1.
impl Default for Policy {
    fn default() -> Self {
        let row = |prefix: [u16; 2], len, precedence, label| Row {
            prefix: Ipv6Addr::new(prefix[0], prefix[1], 0, 0, 0, 0, 0, 0),
            len,
            precedence,
            label,
        };
        Self::new([
            Row { prefix: Ipv6Addr::LOCALHOST, len: 128, precedence: 50, label: 0 },
            row([0, 0], 0, 40, 1),
            Row { prefix: IPV4, len: 96, precedence: 35, label: 4 },
            row([0x2002, 0], 16, 30, 2),
            row([0x2001, 0], 32, 5, 5),
            row([0xfc00, 0], 7, 3, 13),
            row([0, 0], 96, 1, 3),
            row([0xfec0, 0], 10, 1, 11),
            row([0x3ffe, 0], 16, 1, 12),
        ])
    }
}

/// How many leading bits two addresses share.
pub(crate) fn common_bits(a: u128, b: u128) -> u32 {
    (a ^ b).leading_zeros()
}

pub(crate) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(policy: &Policy, address: &str) -> (u8, u8) {
        let row = policy.row(address.parse().unwrap());
        (row.precedence, row.label)
    }

    #[test]
    fn the_default_table() {
        let rows = [
            ("::1", (50, 0)),
            ("2600::1", (40, 1)),
            ("192.0.2.1", (35, 4)),
            ("::ffff:192.0.2.1", (35, 4)),
            ("2002::1", (30, 2)),
            ("2001::1", (5, 5)),
            ("2001:db8::1", (40, 1)),
            ("fd00::1", (3, 13)),
            ("fc00::1", (3, 13)),
            ("::192.0.2.1", (1, 3)),
            ("fec0::1", (1, 11)),
            ("3ffe::1", (1, 12)),
            ("fe80::1", (40, 1)),
        ];
        for (address, expected) in rows {
            assert_eq!(look_up(&Policy::default(), address), expected, "{address}");
        }
    }

    #[test]
    fn ipv4_can_be_preferred() {
        assert_eq!(look_up(&Policy::prefer_ipv4(), "192.0.2.1"), (100, 4));
        assert_eq!(look_up(&Policy::prefer_ipv4(), "2600::1"), (40, 1));
    }

    #[test]
    fn no_row_is_below_every_row() {
        assert_eq!(look_up(&Policy::new([]), "::1"), (0, u8::MAX));
        let long = Row { prefix: Ipv6Addr::LOCALHOST, len: 255, precedence: 7, label: 9 };
        assert_eq!(look_up(&Policy::new([long]), "::1"), (7, 9));
        assert_eq!(look_up(&Policy::new([long]), "::2"), (0, u8::MAX));
    }
}
