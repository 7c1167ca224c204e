//! Three streams in one: a pack, text for people, and the error that ends both (gitprotocol-common(5)).

use super::error::{Error, printable};

/// What a packet carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Band<'a> {
    /// Octets of a pack, or of a report.
    Data(&'a [u8]),
    /// Text for people.
    Progress(&'a [u8]),
}

/// Takes the band's number off a packet's payload.
///
/// # Errors
/// [`Error::Refused`]: the server's own error; [`Error::Malformed`]: no such band.
pub fn split(payload: &[u8]) -> Result<Band<'_>, Error> {
    match payload.split_first() {
        Some((1, data)) => Ok(Band::Data(data)),
        Some((2, text)) => Ok(Band::Progress(text)),
        Some((3, text)) => Err(Error::refused(text)),
        _ => Err(Error::malformed("a side band", payload)),
    }
}

/// Makes whole lines of the server's text. Of a line that was written over again and again the last state counts.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Vec<u8>,
    /// Whether what is kept is written over unless the line ends here.
    is_over: bool,
}

/// The longest line that is kept; what is beyond is lost.
const LONGEST: usize = 1000;

impl Lines {
    /// Takes text; gives each line that ends in it to `each`, made printable.
    pub fn push(&mut self, text: &[u8], mut each: impl FnMut(&str)) {
        for octet in text {
            match octet {
                b'\n' => self.end(&mut each),
                b'\r' => self.is_over = true,
                octet => {
                    if core::mem::take(&mut self.is_over) {
                        self.kept.clear();
                    }
                    if self.kept.len() < LONGEST {
                        self.kept.push(*octet);
                    }
                }
            }
        }
    }

    /// The line that nothing ended.
    pub fn finish(&mut self, mut each: impl FnMut(&str)) {
        self.end(&mut each);
    }

    fn end(&mut self, each: &mut impl FnMut(&str)) {
        let line = printable(&self.kept, LONGEST);
        let line = line.trim_end();
        if !line.is_empty() {
            each(line);
        }
        self.kept.clear();
        self.is_over = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_told_apart() {
        assert_eq!(split(b"\x01PACK").unwrap(), Band::Data(b"PACK"));
        assert_eq!(split(b"\x02text").unwrap(), Band::Progress(b"text"));
        assert_eq!(split(b"\x03no room\n"), Err(Error::Refused("no room".into())));
        for payload in [&b""[..], b"\x04", b"PACK"] {
            assert!(matches!(split(payload), Err(Error::Malformed { .. })));
        }
    }

    #[test]
    fn a_line_that_is_written_over_is_said_once() {
        let mut lines = Lines::default();
        let mut said = Vec::new();
        for part in [
            "Counting:  50% (1/2)\rCounting: 100",
            "% (2/2)\rCounting: done.\n\n",
            "To",
            "tal\x1b[1m 2\n",
            "x",
        ] {
            lines.push(part.as_bytes(), |line| said.push(line.to_owned()));
        }
        lines.finish(|line| said.push(line.to_owned()));
        assert_eq!(said, ["Counting: done.", "Total [1m 2", "x"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.push(&[b'a'; 1000], |_| panic!("no line has ended"));
            lines.push(b"\r\r\r", |_| panic!("no line has ended"));
        }
        lines.finish(|line| assert!(line.len() <= LONGEST));
    }
}
