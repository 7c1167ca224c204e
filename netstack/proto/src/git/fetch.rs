//! Asking for objects, and the answer up to the pack.
//!
//! One message, with everything in it: what is wanted, what is there already, how deep, and `done`. So nothing is
//! negotiated, and it is the same where the server keeps nothing between two requests (smart HTTP).

use super::advertisement::{Advertisement, Version};
use super::error::Error;
use super::memory;
use super::oid::{Format, ObjectId};
use super::pkt::{self, Packet};
use super::refs::id_of;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Objects, with everything that they lead to.
    pub wants: Vec<ObjectId>,
    /// Objects that are there, with everything that they lead to. The first [`MOST_HAVES`] are told.
    pub haves: Vec<ObjectId>,
    /// Commits that are there without their parents.
    pub shallow: Vec<ObjectId>,
    /// How many commits deep, if not all.
    pub depth: Option<u32>,
    /// Whether the server may tell how far it is.
    pub progress: bool,
}

/// The most objects that a server is told of. So many are enough to find what is common in practice, and fit one
/// request.
pub const MOST_HAVES: usize = 256;
/// The most commits at which history may be cut off.
pub const MOST_SHALLOW: usize = 1 << 17;
/// The most lines and sections before a pack, beside those: what is acknowledged, should a server say that.
const MOST_LINES: usize = MOST_HAVES + 64;

/// What is wanted of what protocol 0 offers.
const CAPABILITIES: [&str; 4] = ["side-band-64k", "ofs-delta", "include-tag", "shallow"];

impl Request {
    /// The message.
    ///
    /// # Errors
    /// [`Error::Unsupported`]: the server cannot cut history.
    pub fn message(&self, to: &Advertisement) -> Result<Vec<u8>, Error> {
        if !to.can_cut() && (self.depth.is_some() || !self.shallow.is_empty()) {
            return Err(Error::Unsupported("the server cannot send a part of the history".into()));
        }
        let mut out = Vec::new();
        match to.version {
            Version::Two => self.write_two(to, &mut out),
            Version::Zero | Version::One => self.write_zero(to, &mut out),
        }
        Ok(out)
    }

    /// gitprotocol-v2(5), "fetch".
    fn write_two(&self, to: &Advertisement, out: &mut Vec<u8>) {
        to.command(out, "fetch");
        out.extend(pkt::DELIMITER);
        pkt::write(out, b"ofs-delta");
        pkt::write(out, b"include-tag");
        if !self.progress {
            pkt::write(out, b"no-progress");
        }
        for id in &self.wants {
            pkt::write(out, format!("want {id}\n").as_bytes());
        }
        self.write_depth(out);
        self.write_haves(out);
        pkt::write(out, b"done\n");
        out.extend(pkt::FLUSH);
    }

    /// gitprotocol-pack(5), "Packfile Negotiation".
    fn write_zero(&self, to: &Advertisement, out: &mut Vec<u8>) {
        let mut chosen = to.chosen(&CAPABILITIES);
        if !self.progress && to.capability("no-progress").is_some() {
            chosen += " no-progress";
        }
        for id in &self.wants {
            pkt::write(out, format!("want {id}{chosen}\n").as_bytes());
            chosen.clear();
        }
        self.write_depth(out);
        out.extend(pkt::FLUSH);
        self.write_haves(out);
        pkt::write(out, b"done\n");
    }

    fn write_depth(&self, out: &mut Vec<u8>) {
        for id in &self.shallow {
            pkt::write(out, format!("shallow {id}\n").as_bytes());
        }
        if let Some(depth) = self.depth {
            pkt::write(out, format!("deepen {depth}\n").as_bytes());
        }
    }

    fn write_haves(&self, out: &mut Vec<u8>) {
        for id in self.haves.iter().take(MOST_HAVES) {
            pkt::write(out, format!("have {id}\n").as_bytes());
        }
    }
}

/// Reads an answer up to the pack.
pub struct Answer {
    format: Format,
    state: State,
    lines: usize,
    /// Where the server cut history off.
    pub shallow: Vec<ObjectId>,
    /// Where it is whole again.
    pub unshallow: Vec<ObjectId>,
}

enum State {
    /// Protocol 2: a section's head.
    Section,
    /// Protocol 2: inside a section; how it ends is in `shallow`.
    Inside { shallow: bool },
    /// Protocols 0 and 1: `shallow` lines up to a flush.
    Cut,
    /// Protocols 0 and 1: what is common, up to the last word.
    Common,
}

impl Answer {
    /// The answer to `request`.
    pub fn new(of: &Advertisement, request: &Request) -> Self {
        let state = match of.version {
            Version::Two => State::Section,
            _ if request.depth.is_some() => State::Cut,
            _ => State::Common,
        };
        Self { format: of.format, state, lines: 0, shallow: Vec::new(), unshallow: Vec::new() }
    }

    /// Takes the next packet; true when the pack follows.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Limit`], [`Error::Memory`].
    pub fn take(&mut self, packet: Packet<'_>) -> Result<bool, Error> {
        if !matches!(self.state, State::Inside { shallow: true } | State::Cut) {
            self.lines += 1;
            if self.lines > MOST_LINES {
                return Err(Error::Limit { what: "lines before a pack", most: MOST_LINES as u64 });
            }
        }
        match self.state {
            State::Section => self.section(packet),
            State::Inside { shallow } => {
                match packet {
                    Packet::Delimiter => self.state = State::Section,
                    packet if shallow => self.cut(packet)?,
                    packet => drop(packet.line("a line of a section")?),
                }
                Ok(false)
            }
            State::Cut => {
                match packet {
                    Packet::Flush => self.state = State::Common,
                    packet => self.cut(packet)?,
                }
                Ok(false)
            }
            State::Common => self.common(packet),
        }
    }

    fn section(&mut self, packet: Packet<'_>) -> Result<bool, Error> {
        const EXPECTED: &str = "a section of an answer";
        match packet.line(EXPECTED)? {
            b"packfile" => return Ok(true),
            b"shallow-info" => self.state = State::Inside { shallow: true },
            b"acknowledgments" | b"wanted-refs" => self.state = State::Inside { shallow: false },
            line => return Err(Error::malformed(EXPECTED, line)),
        }
        Ok(false)
    }

    fn cut(&mut self, packet: Packet<'_>) -> Result<(), Error> {
        const EXPECTED: &str = "`shallow` or `unshallow` and an object";
        let line = packet.line(EXPECTED)?;
        let (list, id) = match line.strip_prefix(b"shallow ") {
            Some(id) => (&mut self.shallow, id),
            None => match line.strip_prefix(b"unshallow ") {
                Some(id) => (&mut self.unshallow, id),
                None => return Err(Error::malformed(EXPECTED, line)),
            },
        };
        if list.len() == MOST_SHALLOW {
            return Err(Error::Limit { what: "shallow commits", most: MOST_SHALLOW as u64 });
        }
        let id = id_of(self.format, id).ok_or_else(|| Error::malformed(EXPECTED, line))?;
        memory::push(list, id)
    }

    /// The commits whose parents are left out behind this answer, in order; `before` are lists of those of before.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn boundary(&mut self, before: [&[ObjectId]; 2]) -> Result<Vec<ObjectId>, Error> {
        self.unshallow.sort_unstable();
        let mut all = Vec::new();
        for some in before.into_iter().chain([self.shallow.as_slice()]) {
            memory::reserve(&mut all, some.len())?;
            all.extend_from_slice(some);
        }
        all.retain(|id| self.unshallow.binary_search(id).is_err());
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Without `multi_ack` the server says one `ACK` or `NAK` after `done`.
    fn common(&self, packet: Packet<'_>) -> Result<bool, Error> {
        const EXPECTED: &str = "`ACK` or `NAK`";
        let line = packet.line(EXPECTED)?;
        let acknowledged = |rest: &[u8]| id_of(self.format, rest).is_some();
        match line {
            b"NAK" => Ok(true),
            _ if line.strip_prefix(b"ACK ").is_some_and(acknowledged) => Ok(true),
            _ => Err(Error::malformed(EXPECTED, line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::advertisement::Greeting;
    use super::*;

    const ID: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn greeted(lines: &[&str]) -> Advertisement {
        let mut greeting = Greeting::default();
        for line in lines {
            greeting.take(Packet::Data(line.as_bytes())).unwrap();
        }
        greeting.finish().unwrap()
    }

    fn two() -> Advertisement {
        greeted(&["version 2", "agent=git/2", "fetch=shallow", "object-format=sha1"])
    }

    fn zero() -> Advertisement {
        greeted(&[&format!("{ID} HEAD\0shallow side-band-64k no-progress ofs-delta\n")])
    }

    fn request() -> Request {
        let id = ObjectId::from_hex(ID.as_bytes()).unwrap();
        Request { wants: vec![id, id], haves: vec![id], depth: Some(3), ..Default::default() }
    }

    fn lines(mut octets: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some((packet, len)) = pkt::parse(octets).unwrap() {
            lines.push(match packet {
                Packet::Data(line) => String::from_utf8(line.trim_ascii_end().into()).unwrap(),
                mark => format!("{mark:?}"),
            });
            octets = &octets[len..];
        }
        lines
    }

    #[test]
    fn protocol_two_is_one_command() {
        let said = lines(&request().message(&two()).unwrap());
        assert_eq!((said[0].as_str(), said[3].as_str()), ("command=fetch", "Delimiter"));
        let want = format!("want {ID}");
        let have = format!("have {ID}");
        let tail = ["no-progress", &want, &want, "deepen 3", &have, "done", "Flush"];
        assert_eq!(&said[6..], tail);
    }

    #[test]
    fn protocol_zero_chooses_capabilities_once() {
        let said = lines(&request().message(&zero()).unwrap());
        let first = format!("want {ID} side-band-64k ofs-delta shallow no-progress");
        let tail = [&format!("want {ID}"), "deepen 3", "Flush", &format!("have {ID}"), "done"];
        assert_eq!((said[0].as_str(), &said[1..]), (first.as_str(), &tail.map(str::to_owned)[..]));
    }

    #[test]
    fn a_server_that_cannot_cut_is_not_asked_to() {
        let error = request().message(&greeted(&["version 2", "fetch"])).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)));
    }

    fn answered(of: &Advertisement, packets: &[Packet<'_>]) -> Result<(bool, usize), Error> {
        let mut answer = Answer::new(of, &request());
        let mut ends = false;
        for packet in packets {
            assert!(!ends, "more than the answer");
            ends = answer.take(*packet)?;
        }
        Ok((ends, answer.shallow.len() + answer.unshallow.len()))
    }

    #[test]
    fn answers_end_where_the_pack_begins() {
        let (shallow, ack) = (format!("shallow {ID}"), format!("ACK {ID}\n"));
        let data = |line: &'static str| Packet::Data(line.as_bytes());
        let shallow = Packet::Data(shallow.as_bytes());
        let sections = [
            data("shallow-info\n"),
            shallow,
            Packet::Delimiter,
            data("wanted-refs"),
            data("x"),
            Packet::Delimiter,
        ];
        let all = [&sections[..], &[data("packfile\n")]].concat();
        assert_eq!(answered(&two(), &all), Ok((true, 1)));
        assert_eq!(answered(&zero(), &[shallow, Packet::Flush, data("NAK\n")]), Ok((true, 1)));
        let acknowledged = [Packet::Flush, Packet::Data(ack.as_bytes())];
        assert_eq!(answered(&zero(), &acknowledged), Ok((true, 0)));
    }

    #[test]
    fn the_boundary_moves() {
        let id = |digit: char| ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap();
        let mut answer = Answer::new(&two(), &request());
        (answer.shallow, answer.unshallow) = (vec![id('3'), id('1')], vec![id('4'), id('2')]);
        let before = [id('1'), id('2'), id('5')];
        assert_eq!(answer.boundary([&before, &[]]), Ok(vec![id('1'), id('3'), id('5')]));
    }

    #[test]
    fn lines_before_a_pack_are_few() {
        let section = [Packet::Data(b"acknowledgments"), Packet::Data(b"NAK")];
        let lines = [&section[..], &[Packet::Data(b"x"); MOST_LINES]].concat();
        assert!(matches!(answered(&two(), &lines), Err(Error::Limit { .. })));
        let sections = [Packet::Data(b"shallow-info"), Packet::Delimiter].repeat(MOST_LINES + 1);
        assert!(matches!(answered(&two(), &sections), Err(Error::Limit { .. })));
    }

    #[test]
    fn answers_that_make_no_sense_are_refused() {
        let data = |line: &'static str| Packet::Data(line.as_bytes());
        for packets in [
            &[data("PACK")][..],
            &[Packet::Flush],
            &[data("packfile-uris")],
            &[data("shallow-info"), data("shallow 12")],
            &[data("shallow-info"), Packet::Flush],
        ] {
            assert!(matches!(answered(&two(), packets), Err(Error::Malformed { .. })));
        }
        for packets in [&[Packet::Flush, data("ACK x")][..], &[data("NAK")]] {
            assert!(matches!(answered(&zero(), packets), Err(Error::Malformed { .. })));
        }
    }
}
