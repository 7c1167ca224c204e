//! The data types of messages (RFC 4251 §5), over `ssh-encoding`.

use crate::error::Error;
use ssh_encoding::{Decode as _, Reader as _};

/// Reads a message's fields in order; what it gives borrows from the message.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    /// The message's number, for errors.
    message: u8,
}

impl<'a> Fields<'a> {
    /// Of a whole message: its number is read.
    pub(crate) fn of(payload: &'a [u8]) -> Result<Self, Error> {
        let (&message, rest) = payload.split_first().ok_or(Error::Malformed { message: 0 })?;
        Ok(Self { rest, message })
    }

    /// Of a structure inside message number `message`.
    pub(crate) fn inside(rest: &'a [u8], message: u8) -> Self {
        Self { rest, message }
    }

    pub(crate) fn message(&self) -> u8 {
        self.message
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        u8::decode(&mut self.rest).map_err(|_| self.malformed())
    }

    /// Any value but 0 is true (RFC 4251 §5).
    pub(crate) fn boolean(&mut self) -> Result<bool, Error> {
        Ok(self.byte()? != 0)
    }

    pub(crate) fn uint32(&mut self) -> Result<u32, Error> {
        u32::decode(&mut self.rest).map_err(|_| self.malformed())
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], Error> {
        self.rest
            .read_prefixed(|inner| Ok::<_, ssh_encoding::Error>(core::mem::take(inner)))
            .map_err(|_| self.malformed())
    }

    /// A name or text that must be UTF-8.
    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        core::str::from_utf8(self.string()?).map_err(|_| self.malformed())
    }

    /// A positive `mpint` without its leading zero.
    pub(crate) fn positive(&mut self) -> Result<&'a [u8], Error> {
        match self.string()? {
            [0, rest @ ..] => Ok(rest),
            [first, ..] if *first >= 0x80 => Err(self.malformed()),
            number => Ok(number),
        }
    }

    pub(crate) fn octets<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (octets, rest) = self.rest.split_first_chunk().ok_or(self.malformed())?;
        self.rest = rest;
        Ok(*octets)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn malformed(&self) -> Error {
        Error::Malformed { message: self.message }
    }
}

/// Writes fields in order.
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(number: u8) -> Self {
        Self(vec![number])
    }

    /// A structure that is no message.
    pub(crate) fn structure() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn octets(mut self, octets: &[u8]) -> Self {
        self.0.extend_from_slice(octets);
        self
    }

    pub(crate) fn boolean(self, value: bool) -> Self {
        self.encode(&value)
    }

    pub(crate) fn uint32(self, value: u32) -> Self {
        self.encode(&value)
    }

    pub(crate) fn string(self, octets: impl AsRef<[u8]>) -> Self {
        self.encode(&octets.as_ref())
    }

    /// A positive number given big-endian, with or without leading zeroes.
    pub(crate) fn positive(self, number: &[u8]) -> Self {
        self.encode(&ssh_encoding::Mpint::from_positive_bytes(number))
    }

    pub(crate) fn names<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let list: Vec<&str> = names.into_iter().collect();
        self.string(list.join(","))
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    fn encode(mut self, value: &impl ssh_encoding::Encode) -> Self {
        value.encode(&mut self.0).expect("a vector takes everything, and no field is 4 GiB long");
        self
    }
}

/// The same without an end of a line: for what is said inside one of ours.
pub(crate) fn one_line(octets: &[u8]) -> String {
    printable(octets).replace(['\n', '\t'], " ")
}

/// What the server says, for a person: at most `LIMIT` octets, control characters replaced (RFC 4251 §9.2).
pub(crate) fn printable(octets: &[u8]) -> String {
    const LIMIT: usize = 1024;
    let text = String::from_utf8_lossy(&octets[..octets.len().min(LIMIT)]);
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4251 §5.
    #[test]
    fn mpints_are_those_of_the_rfc() {
        for (number, encoded) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
        ] {
            let octets = Message::structure().positive(number).done();
            assert_eq!(octets, encoded);
            let back = Fields::inside(&octets, 0).positive().unwrap();
            assert_eq!(back, number.strip_prefix(&[0, 0]).unwrap_or(number));
        }
        assert!(Fields::inside(&[0, 0, 0, 1, 0x80], 0).positive().is_err());
    }

    #[test]
    fn fields_end_where_the_message_ends() {
        let octets = Message::new(9).string("ab").uint32(7).boolean(true).done();
        let mut fields = Fields::of(&octets).unwrap();
        assert_eq!(fields.message(), 9);
        assert_eq!(fields.string().unwrap(), b"ab");
        assert_eq!(fields.uint32().unwrap(), 7);
        assert!(fields.boolean().unwrap());
        assert!(fields.rest().is_empty());
        for result in [fields.string().err(), fields.uint32().err(), fields.byte().err()] {
            assert_eq!(result, Some(Error::Malformed { message: 9 }));
        }
        assert!(Fields::inside(&[0xff, 0xff, 0xff, 0xff, 0], 0).string().is_err());
        assert!(Fields::of(&[]).is_err());
    }
}
