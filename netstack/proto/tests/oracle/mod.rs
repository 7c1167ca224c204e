//! What an answer of DNS may say, found in another way than the product does: a closure over the aliases. Shared by the
//! property test and the fuzz target `dns_answer`.

use proto::dns::{Data, Kind, MAX_ADDRESSES, Query, Question};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One of a few questions about `a.b`.
pub fn query(selector: u8) -> Query {
    let kind = [Kind::A, Kind::Aaaa, Kind::Https][usize::from(selector % 3)];
    let question = Question::new("a.b", kind).expect("a valid name");
    let mut query = Query::new(question, 7).spelled(&[selector >> 2]);
    query.edns = selector & 0x80 != 0;
    query
}

/// Reads the octets as they are and behind a head that fits the question: octet 0 selects the question, octet 1 the
/// flags' lower half and the number of answers. Whether there was an answer with data.
///
/// # Panics
/// When an answer holds an address that no record at the end of its aliases has.
pub fn check(input: &[u8]) -> bool {
    let (selector, rest) = input.split_first().unwrap_or((&0, &[]));
    let query = query(*selector);
    judge(&query, input);
    let (answers, body) = rest.split_first().unwrap_or((&0, &[]));
    let mut bare = query.clone();
    bare.edns = false;
    let mut framed = bare.octets();
    framed[2] |= 0x80;
    framed[7] = answers & 0x3f;
    framed[9] = answers >> 6 & 1;
    framed[11] = answers >> 7;
    framed.extend(body);
    judge(&query, &framed)
}

fn judge(query: &Query, message: &[u8]) -> bool {
    let Ok(answer) = query.read(message) else { return false };
    match answer.data {
        Data::Addresses(addresses) => {
            assert!((1..=MAX_ADDRESSES).contains(&addresses.len()));
            let known = reachable(message);
            for address in addresses {
                assert!(known.contains(&address), "{address} is not in {known:?}");
                assert_eq!(address.is_ipv4(), query.question.kind() == Kind::A);
            }
            true
        }
        Data::Services(_) => query.question.kind() == Kind::Https,
        Data::Alias(name) => Question::new(&name, Kind::A).is_ok(),
        Data::NoData | Data::NoName => false,
    }
}

/// The addresses of every name that aliases lead to from `a.b`.
fn reachable(message: &[u8]) -> BTreeSet<IpAddr> {
    let packet = Packet::parse(message).expect("what was read can be read");
    let key = |name: &Name<'_>| -> Vec<Vec<u8>> {
        name.as_bytes().map(<[u8]>::to_ascii_lowercase).collect()
    };
    let mut names = BTreeSet::from([vec![b"a".to_vec(), b"b".to_vec()]]);
    let mut addresses = BTreeSet::new();
    loop {
        let before = (names.len(), addresses.len());
        for record in packet.answers.iter().filter(|record| record.class == CLASS::IN) {
            if !names.contains(&key(&record.name)) {
                continue;
            }
            match &record.rdata {
                RData::CNAME(alias) => {
                    names.insert(key(&alias.0));
                }
                RData::A(a) => {
                    addresses.insert(IpAddr::V4(a.address.into()));
                }
                RData::AAAA(aaaa) => {
                    addresses.insert(IpAddr::V6(aaaa.address.into()));
                }
                _ => {}
            }
        }
        if before == (names.len(), addresses.len()) {
            return addresses;
        }
    }
}
