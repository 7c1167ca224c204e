//! What is asked, and the octets that ask it.

use core::fmt;
use simple_dns::rdata::{OPT, OPTCode};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, TYPE};

/// The largest answer over UDP that we ask for, in octets: it crosses every link unfragmented.
pub const UDP_PAYLOAD: u16 = 1232;
/// Padded questions are a multiple of so many octets long (RFC 8467 §4.1).
const PADDING_BLOCK: usize = 128;
/// The EDNS option of padding (RFC 7830).
const PADDING: u16 = 12;
/// The longest name in text without its final dot: 255 octets on the wire.
const LONGEST_NAME: usize = 253;

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Service bindings of HTTPS (RFC 9460).
    Https,
}

impl Kind {
    pub(super) fn wire(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Https => TYPE::HTTPS,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Https => "HTTPS",
        })
    }
}

/// A name and what is asked of it; two equal questions have the same answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    name: String,
    kind: Kind,
}

impl Question {
    /// A question; `name` is taken as absolute, with or without its final dot, in any case.
    pub fn new(name: &str, kind: Kind) -> Result<Self, InvalidName> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
        };
        match name.len() <= LONGEST_NAME && name.split('.').all(label) {
            true => Ok(Self { name, kind }),
            false => Err(InvalidName),
        }
    }

    /// The name in lower case, without its final dot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which records are asked for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same of another name.
    pub fn of(&self, name: &str) -> Result<Self, InvalidName> {
        Self::new(name, self.kind)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Not a name that can be asked for: letters, digits, `-` and `_`, labels of at most 63 and 253 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a name that DNS can hold (labels of 1 to 63 letters, digits, - and _; xn--… for others)",
        )
    }
}

impl core::error::Error for InvalidName {}

/// A question as it goes out once: with its identifier and spelling, which its answer must repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is asked.
    pub question: Question,
    /// Unpredictable over UDP; unique on its connection over a stream.
    pub id: u16,
    /// The name as it goes out.
    pub(super) spelling: String,
    /// Offer EDNS, and with it [`UDP_PAYLOAD`] octets.
    pub edns: bool,
    /// Pad it, where something hides its content but not its length. Means nothing without `edns`.
    pub padded: bool,
}

impl Query {
    /// With the name in lower case and EDNS offered.
    pub fn new(question: Question, id: u16) -> Self {
        let spelling = question.name.clone();
        Self { question, id, spelling, edns: true, padded: false }
    }

    /// Spells each letter as the bits say, first octet's lowest bit first: as many further bits as the name has letters
    /// that a forger must guess (the "0x20" of draft-vixie-dnsext-dns0x20).
    #[must_use]
    pub fn spelled(mut self, bits: &[u8]) -> Self {
        let bit =
            |index: usize| bits.get(index / 8).is_some_and(|octet| octet >> (index % 8) & 1 == 1);
        let letters = self.question.name.chars().enumerate();
        self.spelling = letters
            .map(|(index, letter)| if bit(index) { letter.to_ascii_uppercase() } else { letter })
            .collect();
        self
    }

    /// The message.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = self.encode(0);
        if self.padded && self.edns {
            // the option's own head has 4 octets
            let bare = octets.len() + 4;
            octets = self.encode(bare.next_multiple_of(PADDING_BLOCK) - bare + 1);
        }
        octets
    }

    /// With an option of padding of `padding - 1` octets, if that is not zero.
    fn encode(&self, padding: usize) -> Vec<u8> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(&self.spelling).expect("a question's name was checked");
        packet.questions.push(simple_dns::Question::new(
            name,
            QTYPE::TYPE(self.question.kind.wire()),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        if self.edns {
            let mut opt_codes = Vec::new();
            if let Some(len) = padding.checked_sub(1) {
                opt_codes.push(OPTCode { code: PADDING, data: vec![0; len].into() });
            }
            *packet.opt_mut() = Some(OPT { opt_codes, udp_packet_size: UDP_PAYLOAD, version: 0 });
        }
        packet.build_bytes_vec().expect("writing to memory does not fail")
    }
}
