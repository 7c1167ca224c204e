use super::*;
use simple_dns::rdata::{A, CNAME, HTTPS, RData, SOA, SVCB, SVCParam};
use simple_dns::{CLASS, CharacterString, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use std::net::IpAddr;

fn query(name: &str, kind: Kind) -> Query {
    Query { edns: false, ..Query::new(Question::new(name, kind).unwrap(), 7) }
}

type Record = (&'static str, u32, RData<'static>);

fn reply(query: &Query, answers: &[Record], authority: &[Record]) -> Vec<u8> {
    let octets = query.octets();
    let mut packet = Packet::parse(&octets).unwrap().into_reply();
    let record = |(name, ttl, data): &Record| {
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, *ttl, data.clone())
    };
    packet.answers = answers.iter().map(record).collect();
    packet.name_servers = authority.iter().map(record).collect();
    *packet.opt_mut() = None;
    packet.build_bytes_vec_compressed().unwrap()
}

fn cname(name: &'static str) -> RData<'static> {
    RData::CNAME(CNAME(Name::new_unchecked(name)))
}

fn a(last: u8) -> RData<'static> {
    RData::A(A { address: u32::from_be_bytes([10, 0, 0, last]) })
}

fn soa(minimum: u32) -> RData<'static> {
    let name = Name::new_unchecked("ns.test");
    let (mname, rname) = (name.clone(), name);
    RData::SOA(SOA { mname, rname, serial: 1, refresh: 1, retry: 1, expire: 1, minimum })
}

fn ips(last: &[u8]) -> Data {
    Data::Addresses(last.iter().map(|&last| IpAddr::from([10, 0, 0, last])).collect())
}

fn with_code(mut octets: Vec<u8>, code: u8) -> Vec<u8> {
    octets[3] = octets[3] & 0xf0 | code;
    octets
}

#[test]
fn a_question_has_the_octets_of_rfc_1035() {
    let expected =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
    let query = Query { id: 0x1234, ..query("Example.com.", Kind::A) };
    assert_eq!(query.octets(), expected);
    let mut with_edns = expected.to_vec();
    with_edns[11] = 1;
    with_edns.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
    assert_eq!(Query { edns: true, ..query }.octets(), with_edns);
}

#[test]
fn padded_questions_tell_nothing_by_their_length() {
    for name in ["a.test", "a.rather.long.name.test", &"a.".repeat(100)] {
        let query = Query { edns: true, padded: true, ..query(name, Kind::A) };
        assert_eq!(query.octets().len() % 128, 0, "{name}");
        assert!(Packet::parse(&query.octets()).unwrap().opt().is_some());
    }
}

#[test]
fn names_that_cannot_be_asked_for_are_refused() {
    let long = "a.".repeat(127) + "a";
    for name in ["", ".", "a..b", ".a", "a b", "b\u{fc}cher.test", &"a".repeat(64), &long, "a\\.b"]
    {
        assert_eq!(Question::new(name, Kind::A), Err(InvalidName), "{name}");
    }
    assert!(Question::new(&long[..253], Kind::A).is_ok());
}

#[test]
fn addresses_are_found_through_aliases() {
    let query = query("www.example.com", Kind::A);
    let octets = reply(
        &query,
        &[
            ("www.example.com", 300, cname("A.example.com")),
            ("a.example.com", 60, a(1)),
            ("a.example.com", 90, a(2)),
            ("a.example.com", 90, a(2)),
            ("other.example.com", 1, a(3)),
        ],
        &[],
    );
    assert_eq!(query.read(&octets), Ok(Answer { data: ips(&[1, 2]), ttl: Some(60) }));
}

#[test]
fn an_alias_that_leads_out_of_the_answer_is_named() {
    let query = query("www.example.com", Kind::A);
    let alias = [("www.example.com", 300, cname("a.example.net"))];
    let answer = query.read(&reply(&query, &alias, &[])).unwrap();
    assert_eq!(answer, Answer { data: Data::Alias("a.example.net".into()), ttl: Some(300) });
    // the server knows that there is nothing behind it
    let octets = reply(&query, &alias, &[("example.net", 100, soa(50))]);
    assert_eq!(query.read(&octets), Ok(Answer { data: Data::NoData, ttl: Some(50) }));
}

#[test]
fn loops_and_long_chains_of_aliases_end() {
    let query = query("www.example.com", Kind::A);
    let octets = reply(
        &query,
        &[("www.example.com", 1, cname("a.test")), ("a.test", 1, cname("www.example.com"))],
        &[],
    );
    assert_eq!(query.read(&octets), Err(Error::AliasLoop));
    let names: Vec<&'static str> =
        (0..20).map(|index| &*Box::leak(format!("n{index}.test").into_boxed_str())).collect();
    let mut chain = vec![("www.example.com", 1, cname(names[0]))];
    chain.extend(names.windows(2).map(|pair| (pair[0], 1, cname(pair[1]))));
    for (length, found) in [(MAX_ALIASES, true), (MAX_ALIASES + 1, false)] {
        let mut records = chain[..length].to_vec();
        records.push((names[length - 1], 1, a(1)));
        let answer = query.read(&reply(&query, &records, &[]));
        assert_eq!(answer.is_ok(), found, "{length}: {answer:?}");
    }
}

#[test]
fn answers_to_others_are_passed_over() {
    let asked = query("www.example.com", Kind::A);
    let octets = reply(&asked, &[("www.example.com", 60, a(1))], &[]);
    let foreign = |mismatch| Err(Error::Foreign(mismatch));
    for (other, mismatch) in [
        (Query { id: 8, ..asked.clone() }, Mismatch::Id),
        (query("www.example.org", Kind::A), Mismatch::Question),
        (query("www.example.com.www", Kind::A), Mismatch::Question),
        (query("example.com", Kind::A), Mismatch::Question),
        (query("www.example.com", Kind::Aaaa), Mismatch::Question),
        (asked.clone().spelled(&[1]), Mismatch::Spelling),
    ] {
        assert_eq!(other.read(&octets), foreign(mismatch), "{}", other.question);
    }
    assert_eq!(asked.read(&asked.octets()), foreign(Mismatch::Header));
    let mut notify = octets.clone();
    notify[2] |= 4 << 3;
    assert_eq!(asked.read(&notify), foreign(Mismatch::Header));
    assert_eq!(asked.read(&octets[..20]), foreign(Mismatch::Garbage));
    assert_eq!(asked.read(&octets[..octets.len() - 1]), Err(Error::Malformed));
}

#[test]
fn the_spelling_must_come_back() {
    let asked = query("ab-1.test", Kind::A).spelled(&[0b0101_0101, 0b1]);
    let octets = asked.octets();
    assert_eq!(&octets[12..23], b"\x04Ab-1\x04tEsT\x00");
    let answer = reply(&asked, &[("ab-1.test", 60, a(1))], &[]);
    assert_eq!(asked.read(&answer).unwrap().data, ips(&[1]));
    let lower = String::from_utf8_lossy(&answer[12..23]).to_ascii_lowercase();
    let mut folded = answer.clone();
    folded[12..23].copy_from_slice(lower.as_bytes());
    assert_eq!(asked.read(&folded), Err(Error::Foreign(Mismatch::Spelling)));
}

#[test]
fn the_servers_word_is_passed_on() {
    let query = query("www.example.com", Kind::A);
    let empty = reply(&query, &[], &[]);
    let answer = |octets: &[u8]| query.read(octets).unwrap();
    assert_eq!(answer(&empty), Answer { data: Data::NoData, ttl: None });
    assert_eq!(answer(&with_code(empty.clone(), 3)), Answer { data: Data::NoName, ttl: None });
    for (code, name) in [(2, "SERVFAIL"), (5, "REFUSED"), (1, "FORMERR"), (9, "with an error")] {
        let answer = query.read(&with_code(empty.clone(), code));
        assert_eq!(answer, Err(Error::Server { code: name }));
    }
    let edns = Query { edns: true, ..query.clone() };
    for code in [1, 4] {
        let mut header_only = with_code(empty.clone(), code);
        assert_eq!(edns.read(&header_only), Err(Error::NoEdns));
        header_only.truncate(12);
        header_only[5] = 0;
        assert_eq!(edns.read(&header_only), Err(Error::NoEdns), "without its question");
    }
    // RFC 2308: only with the zone's record, and only of a zone above the name
    for (zone, ttl) in [
        ("example.com", Some(20)),
        ("", Some(20)),
        ("example.org", None),
        ("a.www.example.com", None),
    ] {
        let octets = with_code(reply(&query, &[], &[(zone, 20, soa(900))]), 3);
        assert_eq!(query.read(&octets), Ok(Answer { data: Data::NoName, ttl }), "{zone}");
    }
}

#[test]
fn a_truncated_answer_is_one_wherever_it_ends() {
    let query = query("www.example.com", Kind::A);
    let mut octets =
        reply(&query, &[("www.example.com", 60, a(1)), ("www.example.com", 60, a(2))], &[]);
    octets[2] |= 2;
    for end in [octets.len(), octets.len() - 1, octets.len() - 20] {
        assert_eq!(query.read(&octets[..end]), Err(Error::Truncated), "{end}");
    }
}

#[test]
fn service_bindings_are_read_and_judged() {
    let query = query("web.test", Kind::Https);
    let alpn = |names: &[&'static str]| {
        let names = names.iter().map(|name| CharacterString::new(name.as_bytes()).unwrap());
        SVCParam::Alpn(names.collect())
    };
    let read = |priority: u16, target: &'static str, parameters: Vec<SVCParam<'static>>| {
        let mut binding = SVCB::new(priority, Name::new_unchecked(target));
        parameters.into_iter().for_each(|parameter| binding.set_param(parameter));
        let octets = reply(&query, &[("web.test", 60, RData::HTTPS(HTTPS(binding)))], &[]);
        match query.read(&octets).unwrap().data {
            Data::Services(services) => services,
            other => panic!("{other:?}"),
        }
    };
    let keys = |keys: &[u16]| SVCParam::Mandatory(keys.iter().copied().collect());
    let full = read(
        1,
        "svc.test",
        vec![
            keys(&[1, 3]),
            alpn(&["h2", "h3"]),
            SVCParam::Port(8443),
            SVCParam::Ipv4Hint(vec![0x0a00_0001]),
            SVCParam::Ipv6Hint(vec![1]),
        ],
    );
    let expected = Service {
        priority: 1,
        target: Some("svc.test".into()),
        port: Some(8443),
        alpn: vec![b"h2".to_vec(), b"h3".to_vec(), b"http/1.1".to_vec()],
        ipv4_hints: vec!["10.0.0.1".parse().unwrap()],
        ipv6_hints: vec!["::1".parse().unwrap()],
    };
    assert_eq!(full, [expected]);
    assert_eq!(read(1, "", vec![])[0].target, None);
    assert_eq!(read(1, "", vec![])[0].alpn, [b"http/1.1"]);
    assert_eq!(read(1, "", vec![alpn(&["h2"]), SVCParam::NoDefaultAlpn])[0].alpn, [b"h2"]);
    assert_eq!(read(0, "alias.test", vec![])[0].priority, 0);
    for (why, priority, parameters) in [
        ("an alias to nowhere", 0, vec![]),
        (
            "a mandatory key that is not understood",
            1,
            vec![keys(&[5]), SVCParam::Ech(vec![1].into())],
        ),
        ("a mandatory key that is absent", 1, vec![keys(&[3])]),
        ("no protocol at all", 1, vec![SVCParam::NoDefaultAlpn]),
        ("port 0", 1, vec![SVCParam::Port(0)]),
    ] {
        assert_eq!(read(priority, "", parameters), [], "{why}");
    }
}

/// A record of 14 octets with two names of 127 labels, as often as it fits 64 KiB.
#[test]
fn compressed_names_do_not_fill_the_memory() {
    let query = query("web.test", Kind::A);
    let mut octets = reply(&query, &[], &[]);
    let bomb = octets.len() as u16;
    octets.extend([1, b'a'].repeat(126));
    octets.extend([0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 9]);
    let mut count = 1_u16;
    while octets.len() + 14 <= 65535 {
        octets.extend((bomb | 0xc000).to_be_bytes());
        octets.extend([0, 5, 0, 1, 0, 0, 0, 60, 0, 2]);
        octets.extend((bomb | 0xc000).to_be_bytes());
        count += 1;
    }
    octets[6..8].copy_from_slice(&count.to_be_bytes());
    assert_eq!(query.read(&octets), Ok(Answer { data: Data::NoData, ttl: None }));
    // counts that cannot be true cost nothing
    for at in [4, 6, 8, 10] {
        let mut octets = reply(&query, &[], &[]);
        octets[at..at + 2].fill(0xff);
        assert_eq!(query.read(&octets), Err(Error::Foreign(Mismatch::Garbage)));
    }
}

#[test]
fn names_that_point_at_themselves_end() {
    let query = query("web.test", Kind::A);
    for pointer in [[0xc0, 26], [0xc0, 27], [0xff, 0xff], [0xc0, 12]] {
        let mut octets = reply(&query, &[], &[]);
        octets[7] = 1;
        octets.extend(pointer);
        octets.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
        let answer = query.read(&octets);
        assert_eq!(answer.is_ok(), pointer == [0xc0, 12], "{pointer:?}: {answer:?}");
    }
}

#[test]
fn an_answer_of_64_kib_is_read_within_bounds() {
    let query = query("web.test", Kind::A);
    let mut octets = reply(&query, &[], &[]);
    let count = (65535 - octets.len()) / 16;
    for index in 0..count as u32 {
        octets.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        octets.extend((0x0a00_0000 + index).to_be_bytes());
    }
    octets[6..8].copy_from_slice(&(count as u16).to_be_bytes());
    let Ok(Answer { data: Data::Addresses(addresses), .. }) = query.read(&octets) else {
        panic!("no addresses");
    };
    assert_eq!(addresses.len(), MAX_ADDRESSES);
}

#[test]
fn codes_beyond_the_header_are_known() {
    let query = Query { edns: true, ..query("web.test", Kind::A) };
    let octets = query.octets();
    let mut packet = Packet::parse(&octets).unwrap();
    packet.set_flags(PacketFlag::RESPONSE);
    *packet.rcode_mut() = RCODE::BADVERS;
    assert_eq!(query.read(&packet.build_bytes_vec().unwrap()), Err(Error::NoEdns));
}
