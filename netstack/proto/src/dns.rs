//! One question to a DNS server and its answer (RFC 1035): the addresses of a name.
//!
//! Implemented: A and AAAA questions, CNAME chains inside an answer, the checks of RFC 5452 §9.1 that need no
//! socket (identifier, question). **Not** here: caching, truncation's retry over TCP, EDNS, DNSSEC.

use core::fmt;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::net::IpAddr;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

/// A question's octets. `name` is a host name with or without its final dot, `id` unpredictable.
pub fn query(id: u16, name: &str, family: Family) -> Result<Vec<u8>, Error> {
    let name = parse_name(name)?;
    let kind = match family {
        Family::V4 => TYPE::A,
        Family::V6 => TYPE::AAAA,
    };
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|_| Error::Name)
}

/// The addresses in `answer`, if it answers the question `query(id, name, family)`.
///
/// [`Error::NotAnAnswer`] means that the datagram is to be passed over (it is somebody else's, or forged); the
/// other errors are the server's word.
pub fn addresses(answer: &[u8], id: u16, name: &str, family: Family) -> Result<Vec<IpAddr>, Error> {
    let asked = parse_name(name)?;
    let packet = Packet::parse(answer).map_err(|_| Error::NotAnAnswer)?;
    let [question] = packet.questions.as_slice() else { return Err(Error::NotAnAnswer) };
    let wanted = match family {
        Family::V4 => TYPE::A,
        Family::V6 => TYPE::AAAA,
    };
    let ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && same(&question.qname, &asked)
        && question.qtype == QTYPE::TYPE(wanted)
        && question.qclass == QCLASS::CLASS(CLASS::IN);
    if !ours {
        return Err(Error::NotAnAnswer);
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(Error::NoSuchName),
        code => return Err(Error::Server { code: format!("{code:?}") }),
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Err(Error::Truncated);
    }
    let mut owner = asked;
    // a chain of more than 16 aliases is a loop or a trap
    for _ in 0..16 {
        let records = packet.answers.iter().filter(|record| same(&record.name, &owner));
        let found: Vec<IpAddr> =
            records.clone().filter_map(|record| address(&record.rdata, family)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let alias = records.clone().find_map(|record| match &record.rdata {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        match alias {
            Some(alias) => owner = alias,
            None => return Err(Error::NoAddress),
        }
    }
    Err(Error::AliasLoop)
}

fn address(data: &RData<'_>, family: Family) -> Option<IpAddr> {
    match (data, family) {
        (RData::A(a), Family::V4) => Some(IpAddr::V4(a.address.into())),
        (RData::AAAA(aaaa), Family::V6) => Some(IpAddr::V6(aaaa.address.into())),
        _ => None,
    }
}

fn parse_name(name: &str) -> Result<Name<'_>, Error> {
    Name::new(name.strip_suffix('.').unwrap_or(name)).map_err(|_| Error::Name)
}

/// Names compare without regard to case (RFC 4343).
fn same(a: &Name<'_>, b: &Name<'_>) -> bool {
    a.to_string().eq_ignore_ascii_case(&b.to_string())
}

/// Why there are no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Aliases that lead nowhere.
    AliasLoop,
    /// Not a name that can be asked for.
    Name,
    /// The name exists and has no address of this family.
    NoAddress,
    /// The name does not exist.
    NoSuchName,
    /// Not an answer to this question.
    NotAnAnswer,
    /// The server refuses or fails.
    Server {
        /// Its response code.
        code: String,
    },
    /// The answer did not fit a datagram.
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AliasLoop => f.write_str("its aliases form a loop"),
            Self::Name => f.write_str("not a name that DNS can hold"),
            Self::NoAddress => f.write_str("the name exists but has no such address"),
            Self::NoSuchName => f.write_str("no such name"),
            Self::NotAnAnswer => f.write_str("not an answer to the question"),
            Self::Server { code } => write!(f, "the server answered {code}"),
            Self::Truncated => f.write_str("the answer was truncated"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    fn answer(id: u16, records: &[(&'static str, RData<'static>)]) -> Vec<u8> {
        let question = query(id, "www.example.com", Family::V4).unwrap();
        let mut packet = Packet::parse(&question).unwrap().into_reply();
        for (name, data) in records {
            let name = Name::new_unchecked(name);
            packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, data.clone()));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn cname(name: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new_unchecked(name)))
    }

    #[test]
    fn a_question_has_the_octets_of_rfc_1035() {
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
        assert_eq!(query(0x1234, "example.com.", Family::V4).unwrap(), expected);
    }

    #[test]
    fn addresses_are_found_through_aliases() {
        let octets = answer(
            7,
            &[
                ("www.example.com", cname("A.example.com")),
                ("a.example.com", RData::A(A { address: 0x0a000001 })),
                ("a.example.com", RData::A(A { address: 0x0a000002 })),
                ("other.example.com", RData::A(A { address: 0x0a000003 })),
            ],
        );
        let found = addresses(&octets, 7, "WWW.example.com", Family::V4).unwrap();
        assert_eq!(found, ["10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.0.2".parse().unwrap()]);
    }

    #[test]
    fn a_loop_of_aliases_ends() {
        let octets = answer(
            7,
            &[
                ("www.example.com", cname("a.example.com")),
                ("a.example.com", cname("www.example.com")),
            ],
        );
        assert_eq!(addresses(&octets, 7, "www.example.com", Family::V4), Err(Error::AliasLoop));
    }

    #[test]
    fn answers_to_others_are_passed_over() {
        let octets = answer(7, &[("www.example.com", RData::A(A { address: 1 }))]);
        for (id, name, family) in [
            (8, "www.example.com", Family::V4),
            (7, "www.example.org", Family::V4),
            (7, "www.example.com", Family::V6),
        ] {
            assert_eq!(
                addresses(&octets, id, name, family),
                Err(Error::NotAnAnswer),
                "{id} {name}"
            );
        }
        let question = query(7, "www.example.com", Family::V4).unwrap();
        assert_eq!(addresses(&question, 7, "www.example.com", Family::V4), Err(Error::NotAnAnswer));
    }

    #[test]
    fn the_servers_word_is_passed_on() {
        let mut octets = answer(7, &[]);
        assert_eq!(addresses(&octets, 7, "www.example.com", Family::V4), Err(Error::NoAddress));
        octets[3] |= 3;
        assert_eq!(addresses(&octets, 7, "www.example.com", Family::V4), Err(Error::NoSuchName));
        octets[3] = octets[3] & !3 | 2;
        assert!(matches!(
            addresses(&octets, 7, "www.example.com", Family::V4),
            Err(Error::Server { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = addresses(&octets, 7, "a.b", Family::V4);
            let mut framed = query(7, "a.b", Family::V4).unwrap();
            framed[2] |= 0x80;
            framed[7] = 2;
            framed.extend(octets);
            let _ = addresses(&framed, 7, "a.b", Family::V4);
        }
    }
}
