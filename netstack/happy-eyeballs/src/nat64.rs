//! IPv6 addresses for IPv4 hosts behind a NAT64: RFC 6052 §2.2.

use crate::config::Invalid;
use core::net::{Ipv4Addr, Ipv6Addr};

/// The prefix of a network's NAT64, as learnt by RFC 7050 or from a router advertisement (RFC
/// 8781).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat64 {
    prefix: u128,
    len: u8,
}

/// Bits 64 to 71 stay zero whatever the prefix (RFC 6052 §2.2, the "u" octet).
const RESERVED: u128 = 0xff << 56;

impl Nat64 {
    /// The well-known prefix `64:ff9b::/96` (RFC 6052 §2.1).
    pub const WELL_KNOWN: Self = Self { prefix: 0x64_ff9b << 96, len: 96 };

    /// A prefix of 32, 40, 48, 56, 64 or 96 bits, the others zero; anything else is
    /// [`Invalid::Nat64Prefix`].
    pub fn new(prefix: Ipv6Addr, len: u8) -> Result<Self, Invalid> {
        let bits = prefix.to_bits();
        let beyond = u128::MAX.checked_shr(len.into()).unwrap_or(0);
        if ![32, 40, 48, 56, 64, 96].contains(&len) || bits & (beyond | RESERVED) != 0 {
            return Err(Invalid::Nat64Prefix);
        }
        Ok(Self { prefix: bits, len })
    }

    /// The address that reaches `address` through the NAT64. `None` where the well-known prefix
    /// would name an address that is not global (RFC 6052 §3.1).
    pub fn synthesize(self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let local = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_unspecified();
        if self == Self::WELL_KNOWN && local {
            return None;
        }
        let bits = u128::from(address.to_bits());
        let placed = match self.len {
            96 => bits,
            len => {
                // written as if the reserved octet were not there, then the part from bit 64 on
                // moves by that octet
                let plain = bits << (96 - len);
                let (high, low) = (plain >> 64 << 64, plain & u128::from(u64::MAX));
                high | low >> 8
            }
        };
        Some(Ipv6Addr::from_bits(self.prefix | placed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6052_section_2_4() {
        let rows = [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::", 96, "64:ff9b::192.0.2.33"),
        ];
        for (prefix, len, expected) in rows {
            let nat64 = Nat64::new(prefix.parse().unwrap(), len).unwrap();
            let got = nat64.synthesize("192.0.2.33".parse().unwrap());
            assert_eq!(got, Some(expected.parse().unwrap()), "{prefix}/{len}");
        }
    }

    #[test]
    fn other_prefixes_are_refused() {
        for (prefix, len) in
            [("2001:db8::", 33), ("2001:db8::1", 96), ("2001:db8:0:0:100::", 96), ("::", 129)]
        {
            assert_eq!(Nat64::new(prefix.parse().unwrap(), len), Err(Invalid::Nat64Prefix));
        }
    }

    #[test]
    fn the_well_known_prefix_names_no_private_address() {
        let private = "10.0.0.1".parse().unwrap();
        assert_eq!(Nat64::WELL_KNOWN.synthesize(private), None);
        let own = Nat64::new("2001:db8::".parse().unwrap(), 96).unwrap();
        assert_eq!(own.synthesize(private), Some("2001:db8::10.0.0.1".parse().unwrap()));
    }
}
