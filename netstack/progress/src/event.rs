//! What is told, and its form as a line.

use core::fmt;
use core::str;

/// Octets of a line, its end among them; no event has more.
pub const LONGEST: usize = "end  of \n".len() + 2 * DIGITS;
/// Of the largest number.
const DIGITS: usize = 20;

/// How far a payload is.
///
/// As a line, without its end: `at 4096`, `at 4096 of 65536` where the whole is known, `end 65536 of 65536` for the last one.
/// Numbers are decimal, without a sign and without leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Octets so far.
    pub octets: u64,
    /// Octets of the whole, as far as somebody said.
    pub total: Option<u64>,
    /// No more will come, whatever lacks.
    pub is_last: bool,
}

impl Event {
    /// Reads a line without its end; `None` for whatever is no event.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let (word, rest) = line.split_once(' ')?;
        let is_last = match word {
            "at" => false,
            "end" => true,
            _ => return None,
        };
        let (octets, total) = match rest.split_once(" of ") {
            Some((octets, total)) => (octets, Some(number(total)?)),
            None => (rest, None),
        };
        Some(Self { octets: number(octets)?, total, is_last })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { octets, total, is_last } = self;
        let word = if *is_last { "end" } else { "at" };
        write!(f, "{word} {octets}")?;
        total.map_or(Ok(()), |total| write!(f, " of {total}"))
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    (is_plain && is_short).then(|| text.parse().ok()).flatten()
}

/// Finds the events in octets that come in pieces. What is no event is passed over, and never more than
/// [`LONGEST`] octets are kept.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// The line is longer than any event: the rest of it counts for nothing.
    is_too_long: bool,
}

impl Lines {
    /// Takes the next octets; `each` gets the events that end in them.
    pub fn push(&mut self, octets: &[u8], mut each: impl FnMut(Event)) {
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            let (piece, is_whole) = match piece.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (piece, false),
            };
            self.is_too_long |= self.line.len() + piece.len() >= LONGEST;
            if !self.is_too_long {
                self.line.extend_from_slice(piece);
            }
            if is_whole {
                if !self.is_too_long
                    && let Some(event) = Event::parse(&self.line)
                {
                    each(event);
                }
                self.line.clear();
                self.is_too_long = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(octets: u64, total: Option<u64>, is_last: bool) -> Event {
        Event { octets, total, is_last }
    }

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        pieces.iter().for_each(|piece| lines.push(piece, |event| found.push(event)));
        assert!(lines.line.len() < LONGEST);
        found
    }

    #[test]
    fn the_form_is_exact() {
        let most = u64::MAX;
        for (line, expected) in [
            ("at 4096", event(4096, None, false)),
            ("at 0 of 0", event(0, Some(0), false)),
            ("end 6 of 7", event(6, Some(7), true)),
            ("end 18446744073709551615 of 18446744073709551615", event(most, Some(most), true)),
        ] {
            assert_eq!(Event::parse(line.as_bytes()), Some(expected), "{line}");
            assert_eq!(expected.to_string(), line);
            assert!(line.len() < LONGEST);
        }
    }

    #[test]
    fn what_is_no_event_is_none() {
        for line in [
            "",
            "at",
            "at ",
            "at 01",
            "at +1",
            "at -1",
            "at 1 ",
            "at  1",
            "at 1 of",
            "at 1 of ",
            "at 1 of 2 of 3",
            "at 18446744073709551616",
            "At 1",
            "end",
            "at 1\r",
            "at \u{661}",
            "1 of 2",
        ] {
            assert_eq!(Event::parse(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(Event::parse(b"at 1\x1b[2J"), None);
        assert_eq!(Event::parse(b"at \xff"), None);
    }

    #[test]
    fn lines_come_in_pieces() {
        let expected = [event(1, None, false), event(23, Some(45), true)];
        assert_eq!(read(&[b"at 1\nend 23 of 45\n"]), expected);
        assert_eq!(read(&[b"a", b"t 1", b"\ne", b"nd 2", b"3 of 45", b"\n", b"at 9"]), expected);
    }

    #[test]
    fn what_is_too_long_or_no_event_is_passed_over() {
        let long = [b'0'; 10_000];
        let expected = [event(1, None, false)];
        assert_eq!(read(&[&long, b"\nat 1\n"]), expected);
        assert_eq!(read(&[b"at 5", &long[..100], &long, b"at 7\nat 1\n", &long]), expected);
        assert_eq!(read(&[b"\n\n\x1b]0;title\x07\nnonsense\nat 1\n"]), expected);
        // the longest is not too long
        let longest = event(u64::MAX, Some(u64::MAX), true);
        assert_eq!(read(&[format!("{longest}\n").as_bytes()]), [longest]);
        assert_eq!(format!("{longest}\n").len(), LONGEST);
    }
}
