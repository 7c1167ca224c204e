//! Echo request and reply: RFC 792 for IPv4, RFC 4443 §4 for IPv6.
//!
//! The checksum of ICMPv6 covers a pseudo header with both addresses (RFC 4443 §2.3); the checksum of ICMP
//! does not, so [`Echo::emit`] fills it for IPv4 and leaves it to the stack below for IPv6.

/// One echo request or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Tells one run of `ping` from another.
    pub identifier: u16,
    /// Counts the requests.
    pub sequence: u16,
    /// What the peer gives back.
    pub data: &'a [u8],
}

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// ICMP: IP protocol 1.
    V4,
    /// ICMPv6: IP protocol 58.
    V6,
}

impl Version {
    /// The IP protocol number.
    pub fn protocol(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 58,
        }
    }

    fn types(self) -> (u8, u8) {
        match self {
            Self::V4 => (8, 0),
            Self::V6 => (128, 129),
        }
    }
}

const HEADER: usize = 8;

impl<'a> Echo<'a> {
    /// A request's octets: type, code, checksum, identifier, sequence number, data.
    pub fn emit(&self, version: Version) -> Vec<u8> {
        let mut octets = vec![version.types().0, 0, 0, 0];
        octets.extend(self.identifier.to_be_bytes());
        octets.extend(self.sequence.to_be_bytes());
        octets.extend(self.data);
        if version == Version::V4 {
            let sum = checksum(&octets);
            octets[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        octets
    }

    /// Reads a reply; `None` for anything else, a wrong ICMP checksum included.
    pub fn parse_reply(octets: &'a [u8], version: Version) -> Option<Self> {
        if octets.len() < HEADER || octets[..2] != [version.types().1, 0] {
            return None;
        }
        if version == Version::V4 && checksum(octets) != 0 {
            return None;
        }
        Some(Self {
            identifier: u16::from_be_bytes([octets[4], octets[5]]),
            sequence: u16::from_be_bytes([octets[6], octets[7]]),
            data: &octets[HEADER..],
        })
    }
}

/// The Internet checksum (RFC 1071): zero over octets that already hold a right one.
fn checksum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    // an IP payload is below 64 KiB, so the sum of its words fits
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_octets_of_rfc_792() {
        let echo = Echo { identifier: 0x1234, sequence: 1, data: b"abc" };
        assert_eq!(echo.emit(Version::V4), [8, 0, 0x21, 0x68, 0x12, 0x34, 0, 1, b'a', b'b', b'c']);
        assert_eq!(echo.emit(Version::V6)[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn a_reply_is_read_back() {
        let echo = Echo { identifier: 7, sequence: 9, data: b"data" };
        let mut reply = echo.emit(Version::V4);
        assert_eq!(Echo::parse_reply(&reply, Version::V4), None, "a request is no reply");
        // type 8 → 0: the checksum grows by as much
        reply[0] = 0;
        let sum = u16::from_be_bytes([reply[2], reply[3]]).wrapping_add(0x0800);
        reply[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Echo::parse_reply(&reply, Version::V4), Some(echo));
        reply[9] ^= 1;
        assert_eq!(Echo::parse_reply(&reply, Version::V4), None, "a wrong checksum is refused");
        assert_eq!(
            Echo::parse_reply(&[129, 0, 0, 0, 0, 7, 0, 9], Version::V6).unwrap().sequence,
            9
        );
        assert_eq!(Echo::parse_reply(&[0, 0, 0], Version::V4), None);
    }
}
