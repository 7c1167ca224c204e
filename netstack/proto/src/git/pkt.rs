//! pkt-line: four hexadecimal digits of length, themselves included, then the payload; or one of three marks
//! (gitprotocol-common(5), gitprotocol-v2(5)).

use super::error::Error;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A payload, as it is.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of an answer where the connection has none.
    ResponseEnd,
}

/// The longest payload that a packet carries, in octets.
pub const LONGEST: usize = 65_516;
const HEAD: usize = 4;

/// `0000`.
pub const FLUSH: &[u8; HEAD] = b"0000";
/// `0001`.
pub const DELIMITER: &[u8; HEAD] = b"0001";

/// The first packet of `octets` and its length with its head; `None` where more octets are needed.
///
/// # Errors
/// [`Error::Malformed`]: no length, or one that no packet has; [`Error::Refused`]: a payload that begins with `ERR `,
/// which ends every exchange.
pub fn parse(octets: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Error> {
    let Some(head) = octets.get(..HEAD) else { return Ok(None) };
    let wrong = || Error::malformed("a pkt-line", &octets[..octets.len().min(80)]);
    let mut len = 0;
    for digit in head {
        len = len << 4 | char::from(*digit).to_digit(16).ok_or_else(wrong)? as usize;
    }
    match len {
        0 => return Ok(Some((Packet::Flush, HEAD))),
        1 => return Ok(Some((Packet::Delimiter, HEAD))),
        2 => return Ok(Some((Packet::ResponseEnd, HEAD))),
        _ if !(HEAD..=HEAD + LONGEST).contains(&len) => return Err(wrong()),
        _ => {}
    }
    let Some(payload) = octets.get(HEAD..len) else { return Ok(None) };
    match payload.strip_prefix(b"ERR ") {
        Some(text) => Err(Error::refused(text)),
        None => Ok(Some((Packet::Data(payload), len))),
    }
}

/// Appends a packet.
///
/// # Panics
/// When the payload is longer than [`LONGEST`]; what is written here is ours.
pub fn write(out: &mut Vec<u8>, payload: &[u8]) {
    assert!(payload.len() <= LONGEST, "a packet of {} octets", payload.len());
    out.extend(format!("{:04x}", HEAD + payload.len()).bytes());
    out.extend(payload);
}

impl<'a> Packet<'a> {
    /// A line: the payload without the newline that may end it.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the marks.
    pub fn line(self, expected: &'static str) -> Result<&'a [u8], Error> {
        let payload = self.payload(expected)?;
        Ok(payload.strip_suffix(b"\n").unwrap_or(payload))
    }

    /// The payload as it is.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the marks.
    pub fn payload(self, expected: &'static str) -> Result<&'a [u8], Error> {
        match self {
            Self::Data(payload) => Ok(payload),
            Self::Flush => Err(Error::malformed(expected, FLUSH)),
            Self::Delimiter => Err(Error::malformed(expected, DELIMITER)),
            Self::ResponseEnd => Err(Error::malformed(expected, b"0002")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_back() {
        for payload in [&b""[..], b"a", b"want\n", &[0; LONGEST]] {
            let mut out = Vec::new();
            write(&mut out, payload);
            assert_eq!(parse(&out).unwrap(), Some((Packet::Data(payload), out.len())));
            out.truncate(out.len() - 1);
            assert_eq!(parse(&out).unwrap(), None, "cut");
        }
    }

    #[test]
    fn marks_are_told_apart() {
        assert_eq!(parse(b"0000").unwrap(), Some((Packet::Flush, 4)));
        assert_eq!(parse(b"0001more").unwrap(), Some((Packet::Delimiter, 4)));
        assert_eq!(parse(b"0002").unwrap(), Some((Packet::ResponseEnd, 4)));
        assert_eq!(parse(b"000").unwrap(), None);
    }

    #[test]
    fn lengths_that_no_packet_has_are_refused() {
        for octets in [&b"0003"[..], b"fff1", b"ffff", b"HTTP", b"00 4", b"+004"] {
            assert!(matches!(parse(octets), Err(Error::Malformed { .. })), "{octets:?}");
        }
    }

    #[test]
    fn an_error_of_the_server_is_one_wherever_it_stands() {
        let error = parse(b"0015ERR access\x1bdenied").unwrap_err();
        assert_eq!(error, Error::Refused("access denied".into()));
    }
}
