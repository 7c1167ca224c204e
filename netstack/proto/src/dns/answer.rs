//! Whether a message answers a question, and what it says.

use super::question::{Kind, Query};
use super::service::{self, MAX_SERVICES, Service};
use core::fmt;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord};
use std::borrow::Cow;
use std::net::IpAddr;

/// So many aliases are followed; a longer chain is a loop or a trap.
pub const MAX_ALIASES: usize = 16;
/// So many addresses of an answer are kept.
pub const MAX_ADDRESSES: usize = 64;
/// So many records of a message are read, and what stands behind them is not. Names that compress well make a message
/// grow up to 500-fold when it is read: this bounds the memory for one to some 5 MiB.
pub const MAX_RECORDS: u16 = 512;

/// A header, and the least that a question and a record take.
const HEADER: usize = 12;
const SMALLEST_QUESTION: usize = 5;
const SMALLEST_RECORD: usize = 11;

/// What a server says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The records, or why there are none.
    pub data: Data,
    /// For how many seconds it holds; `None`: it is not to be kept (RFC 2308 §5).
    pub ttl: Option<u32>,
}

/// The content of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// The addresses asked for, at least one and at most [`MAX_ADDRESSES`].
    Addresses(Vec<IpAddr>),
    /// The service bindings asked for that can be used, at most [`MAX_SERVICES`], by priority.
    Services(Vec<Service>),
    /// The aliases lead out of the answer: ask for this name.
    Alias(String),
    /// The name exists and has nothing of the kind.
    NoData,
    /// The name does not exist.
    NoName,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Its aliases form a loop, or a chain of more than [`MAX_ALIASES`].
    AliasLoop,
    /// Not an answer to this question: to be passed over on a datagram socket.
    Foreign(Mismatch),
    /// It answers the question, but makes no sense.
    Malformed,
    /// The server does not know EDNS: ask without.
    NoEdns,
    /// The server refuses or fails.
    Server {
        /// Its response code in the words of RFC 1035.
        code: &'static str,
    },
    /// It did not fit a datagram.
    Truncated,
}

/// What is wrong with a message that was not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// No message of DNS.
    Garbage,
    /// No response, or to another operation.
    Header,
    /// Another identifier.
    Id,
    /// Another question.
    Question,
    /// The question in another spelling: of a forger, or of a server that does not keep it.
    Spelling,
}

impl Query {
    /// What `message` says to this query.
    pub fn read(&self, message: &[u8]) -> Result<Answer, Error> {
        let foreign = Err(Error::Foreign(Mismatch::Garbage));
        let Some(guarded) = guard(message) else { return foreign };
        let Ok(packet) = Packet::parse(&guarded) else {
            // whose words were garbage cannot be told, unless its header and question are in order
            let mut head = guarded.into_owned();
            head[6..HEADER].fill(0);
            return match Packet::parse(&head) {
                Ok(packet) => self.belongs(&packet).and(Err(Error::Malformed)),
                Err(_) => foreign,
            };
        };
        self.belongs(&packet)?;
        match packet.rcode() {
            RCODE::NoError | RCODE::NameError => {}
            RCODE::FormatError | RCODE::NotImplemented | RCODE::BADVERS if self.edns => {
                return Err(Error::NoEdns);
            }
            code => return Err(Error::Server { code: name_of(code) }),
        }
        if packet.has_flags(PacketFlag::TRUNCATION) {
            return Err(Error::Truncated);
        }
        self.follow(&packet)
    }

    /// RFC 5452 §9.1, but for the addresses, which the socket knows.
    fn belongs(&self, packet: &Packet<'_>) -> Result<(), Error> {
        let foreign = |mismatch| Err(Error::Foreign(mismatch));
        if packet.id() != self.id {
            return foreign(Mismatch::Id);
        }
        if !packet.has_flags(PacketFlag::RESPONSE) || packet.opcode() != OPCODE::StandardQuery {
            return foreign(Mismatch::Header);
        }
        let question = match packet.questions.as_slice() {
            [question] => question,
            // a server older than EDNS may repeat nothing of what it does not understand
            [] if matches!(packet.rcode(), RCODE::FormatError | RCODE::NotImplemented) => {
                return Ok(());
            }
            _ => return foreign(Mismatch::Question),
        };
        if !is(&question.qname, &self.spelling)
            || question.qtype != QTYPE::TYPE(self.question.kind().wire())
            || question.qclass != QCLASS::CLASS(CLASS::IN)
        {
            return foreign(Mismatch::Question);
        }
        match question.qname.as_bytes().eq(self.spelling.split('.').map(str::as_bytes)) {
            true => Ok(()),
            false => foreign(Mismatch::Spelling),
        }
    }

    fn follow(&self, packet: &Packet<'_>) -> Result<Answer, Error> {
        let mut owner = Cow::Borrowed(self.question.name());
        let mut ttl = u32::MAX;
        for aliases in 0..=MAX_ALIASES {
            if packet.rcode() != RCODE::NameError
                && let Some((data, least)) = self.records(packet, &owner)
            {
                return Ok(Answer { data, ttl: Some(ttl.min(least)) });
            }
            let alias = of(packet, &owner).find_map(|record| match &record.rdata {
                RData::CNAME(alias) => Some((&alias.0, record.ttl)),
                _ => None,
            });
            let Some((alias, least)) = alias else {
                let negative = negative_ttl(packet, &owner);
                let data = match packet.rcode() {
                    RCODE::NameError => Data::NoName,
                    _ if aliases > 0 && negative.is_none() => Data::Alias(owner.into_owned()),
                    _ => Data::NoData,
                };
                let ttl = match data {
                    Data::Alias(_) => Some(ttl),
                    _ => negative.map(|negative| negative.min(ttl)),
                };
                return Ok(Answer { data, ttl });
            };
            owner = Cow::Owned(text(alias).ok_or(Error::Malformed)?);
            ttl = ttl.min(least);
        }
        Err(Error::AliasLoop)
    }

    /// The records of the kind asked for at `owner`, and the least time that one of them holds.
    fn records(&self, packet: &Packet<'_>, owner: &str) -> Option<(Data, u32)> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut services: Vec<Service> = Vec::new();
        let mut ttl = None;
        for record in of(packet, owner) {
            match (&record.rdata, self.question.kind()) {
                (RData::A(a), Kind::A) => keep(&mut addresses, IpAddr::V4(a.address.into())),
                (RData::AAAA(aaaa), Kind::Aaaa) => {
                    keep(&mut addresses, IpAddr::V6(aaaa.address.into()));
                }
                (RData::HTTPS(binding), Kind::Https) => {
                    if let Some(service) = service::read(binding) {
                        let better = |other: &Service| other.priority <= service.priority;
                        services.insert(services.partition_point(better), service);
                        services.truncate(MAX_SERVICES);
                    }
                }
                _ => continue,
            }
            ttl = Some(ttl.map_or(record.ttl, |ttl: u32| ttl.min(record.ttl)));
        }
        let data = match self.question.kind() {
            Kind::Https => Data::Services(services),
            _ => Data::Addresses(addresses),
        };
        Some((data, ttl?))
    }
}

fn keep(addresses: &mut Vec<IpAddr>, address: IpAddr) {
    if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
        addresses.push(address);
    }
}

/// `message` with counts that can be true, so that reading it takes memory in proportion; `None` where they cannot.
///
/// simple-dns makes room for as many records as the header promises, and a record of 14 octets can hold two names of
/// 127 labels.
fn guard(message: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut rest = message.len().checked_sub(HEADER)?;
    let count = |index: usize| u16::from_be_bytes([message[4 + 2 * index], message[5 + 2 * index]]);
    let mut counts = [0, 1, 2, 3].map(count);
    // a truncated message ends anywhere
    if message[2] & 2 != 0 {
        counts[1..].fill(0);
    }
    for (index, &count) in counts.iter().enumerate() {
        let smallest = if index == 0 { SMALLEST_QUESTION } else { SMALLEST_RECORD };
        rest = rest.checked_sub(usize::from(count) * smallest)?;
    }
    let mut left = MAX_RECORDS;
    for count in &mut counts {
        let all = *count;
        *count = all.min(left);
        // what follows a section that is cut could not be found
        left = left.saturating_sub(all);
    }
    let octets: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
    Some(match octets == message[4..HEADER] {
        true => Cow::Borrowed(message),
        false => Cow::Owned([&message[..4], &octets, &message[HEADER..]].concat()),
    })
}

/// The records of a name in the answer section.
fn of<'p, 'm>(
    packet: &'p Packet<'m>,
    owner: &'p str,
) -> impl Iterator<Item = &'p ResourceRecord<'m>> {
    packet.answers.iter().filter(move |record| record.class == CLASS::IN && is(&record.name, owner))
}

/// How long a negative answer for `name` holds (RFC 2308 §5): the zone's record must be there and be of a zone above
/// it.
fn negative_ttl(packet: &Packet<'_>, name: &str) -> Option<u32> {
    packet.name_servers.iter().find_map(|record| match &record.rdata {
        RData::SOA(soa) if record.class == CLASS::IN && is_under(name, &record.name) => {
            Some(record.ttl.min(soa.minimum))
        }
        _ => None,
    })
}

/// Names compare without regard to case (RFC 4343), label by label.
fn is(name: &Name<'_>, text: &str) -> bool {
    let mut labels = text.split('.');
    name.as_bytes().all(|label| {
        labels.next().is_some_and(|other| other.as_bytes().eq_ignore_ascii_case(label))
    }) && labels.next().is_none()
}

fn is_under(text: &str, zone: &Name<'_>) -> bool {
    let labels = zone.get_labels().len();
    let all = text.split('.').count();
    let mut below = text.split('.').skip(all.saturating_sub(labels));
    labels <= all
        && zone.as_bytes().all(|label| {
            below.next().is_some_and(|other| other.as_bytes().eq_ignore_ascii_case(label))
        })
}

/// A name in the form of a question's; `None` where it holds what none can ask for.
pub(super) fn text(name: &Name<'_>) -> Option<String> {
    let labels: Option<Vec<&str>> =
        name.as_bytes().map(|label| core::str::from_utf8(label).ok()).collect();
    let labels = labels?;
    // a dot inside a label would become one between labels
    if labels.iter().any(|label| label.contains('.')) {
        return None;
    }
    super::Question::new(&labels.join("."), Kind::A).ok().map(|question| question.name().into())
}

fn name_of(code: RCODE) -> &'static str {
    match code {
        RCODE::FormatError => "FORMERR",
        RCODE::NotImplemented => "NOTIMP",
        RCODE::Refused => "REFUSED",
        RCODE::ServerFailure => "SERVFAIL",
        RCODE::BADVERS => "BADVERS",
        _ => "with an error",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AliasLoop => f.write_str("its aliases form a loop"),
            Self::Foreign(mismatch) => write!(f, "not an answer to the question: {mismatch}"),
            Self::Malformed => f.write_str("the answer makes no sense"),
            Self::NoEdns => f.write_str("the server does not know EDNS"),
            Self::Server { code } => write!(f, "the server answered {code}"),
            Self::Truncated => f.write_str("the answer was truncated"),
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Garbage => "no message of DNS",
            Self::Header => "no response",
            Self::Id => "another identifier",
            Self::Question => "another question",
            Self::Spelling => "another spelling",
        })
    }
}
