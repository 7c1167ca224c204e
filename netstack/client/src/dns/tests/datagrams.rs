//! UDP: repetition, the next server, old and odd servers, forgers.

use super::world::*;
use crate::dns::udp::MAX_STRANGE;
use core::time::Duration;
use proto::dns::{Data, Kind};
use simple_dns::{Packet, PacketFlag, RCODE};
use spin::Mutex;
use stack::{IpVersion, Net as _};
use std::collections::BTreeSet;
use std::sync::Arc;

const WEB: &str = "10.0.0.80";

#[test]
fn both_families_are_answered() {
    let mut world = World::new();
    let count = world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    let answer = world.ask(&resolver, "Web.Test.", Kind::A);
    assert_eq!(answer.unwrap(), Data::Addresses(vec![ip(WEB)]));
    let answer = world.ask(&resolver, "web.test", Kind::Aaaa);
    assert_eq!(answer.unwrap(), Data::Addresses(vec![ip("2001:db8::")]));
    assert_eq!(world.ask(&resolver, "web.test", Kind::Https).unwrap(), Data::NoData);
    assert_eq!(count.get(), 3);
    let told = world.told();
    assert!(told.contains("A 10.0.0.80 (udp:10.0.0.53:53)"), "{told}");
}

#[test]
fn a_thousand_lookups_of_a_known_name_cost_no_packet() {
    let mut world = World::new();
    let count = world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    for _ in 0..1000 {
        assert_eq!(world.a(&resolver, "web.test").0, WEB);
    }
    assert_eq!(count.get(), 1);
    assert!(world.told().contains("A 10.0.0.80 (cached)"));
    world.pass(Duration::from_secs(61));
    world.a(&resolver, "web.test");
    assert_eq!(count.get(), 2, "its time is over");
    // without a cache each one costs one
    let resolver = crate::dns::Resolver::new(crate::dns::Options {
        cache_size: 0,
        ..world.options("udp:10.0.0.53")
    });
    (0..3).for_each(|_| drop(world.a(&resolver, "web.test")));
    assert_eq!(count.get(), 5);
}

#[test]
fn the_same_question_at_the_same_time_costs_one_packet() {
    let mut world = World::new();
    let count = world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    let ask = || resolver.query(&world.client, "web.test", Kind::A, &world.trace);
    let three = futures_lite::future::zip(ask(), futures_lite::future::zip(ask(), ask()));
    let (a, (b, c)) = world.network.run(three).unwrap();
    for answer in [a, b, c] {
        assert_eq!(answer.unwrap(), Data::Addresses(vec![ip(WEB)]));
    }
    assert_eq!(count.get(), 1);
}

#[test]
fn a_lost_question_is_asked_again() {
    let mut world = World::new();
    let count = world.udp(0, |query, nth| if nth < 2 { vec![] } else { zone(query, nth) });
    let resolver = world.resolver("udp:10.0.0.53");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!((answer.as_str(), count.get()), (WEB, 3));
    assert!((3000..3100).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_dead_server_costs_half_a_second_once() {
    let mut world = World::new();
    let count = world.udp(0, silence);
    world.udp(1, zone);
    let resolver = world.resolver("udp:10.0.0.53 udp:10.0.0.54");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!(answer, WEB);
    assert!(took < Duration::from_millis(600), "{took:?}");
    assert!(world.told().contains("udp:10.0.0.53:53: no answer"), "{}", world.told());
    // the next question goes to the one that answered
    let (_, took) = world.a(&resolver, "n1.test");
    assert!(took < Duration::from_millis(10), "{took:?}");
    assert_eq!(count.get(), 1);
    world.pass(Duration::from_secs(30));
    world.a(&resolver, "n2.test");
    assert_eq!(count.get(), 2, "it is tried again after a while");
}

#[test]
fn a_slow_server_is_still_listened_to() {
    let mut world = World::new();
    world.udp(1, silence);
    let net = world.hosts[0].net.clone();
    world.network.spawn(async move {
        let socket = net.udp_bind(Some(53), IpVersion::V4).await.unwrap();
        let mut buf = [0; 512];
        let (len, from) = socket.recv_from(&mut buf).await.unwrap();
        net.sleep(Duration::from_millis(800)).await;
        let reply = zone(&Packet::parse(&buf[..len]).unwrap(), 0);
        socket.send_to(&reply[0], from).await.unwrap();
        core::future::pending::<()>().await;
    });
    let resolver = world.resolver("udp:10.0.0.53 udp:10.0.0.54");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!(answer, WEB);
    assert!((800..850).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn failures_lead_to_the_next_server_at_once() {
    for failed in [RCODE::ServerFailure, RCODE::Refused, RCODE::FormatError] {
        let mut world = World::new();
        world.udp(0, move |query, _| code(query, failed));
        world.udp(2, zone);
        // nobody listens on the second host
        let resolver = world.resolver("udp:10.0.0.53 udp:10.0.0.54 udp:10.0.0.55");
        let (answer, took) = world.a(&resolver, "web.test");
        assert_eq!(answer, WEB, "{failed:?}");
        assert!(took < Duration::from_millis(50), "{failed:?}: {took:?}");
    }
}

#[test]
fn without_any_server_left_every_cause_is_told() {
    let mut world = World::new();
    world.udp(0, |query, _| code(query, RCODE::ServerFailure));
    world.udp(2, silence);
    let resolver = world.resolver("udp:10.0.0.53 udp:10.0.0.54 udp:10.0.0.55");
    let (error, took) = world.a(&resolver, "web.test");
    for part in
        ["53:53: the server answered SERVFAIL", "54:53: port unreachable", "55:53: no answer"]
    {
        assert!(error.contains(part), "{error}");
    }
    assert!((5000..5010).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn what_does_not_fit_a_datagram_comes_over_tcp() {
    let mut world = World::new();
    world.udp(0, |query, _| {
        let mut packet = query.clone().into_reply();
        packet.set_flags(PacketFlag::TRUNCATION);
        vec![packet.build_bytes_vec().unwrap()]
    });
    let count = world.tcp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    assert_eq!(world.a(&resolver, "web.test").0, WEB);
    assert_eq!(count.get(), 1);
}

#[test]
fn old_servers_are_asked_in_the_old_way() {
    let mut world = World::new();
    let edns = Arc::new(Mutex::new(Vec::new()));
    let seen = edns.clone();
    world.udp(0, move |query, nth| {
        seen.lock().push(query.opt().is_some());
        if query.opt().is_some() { code(query, RCODE::FormatError) } else { zone(query, nth) }
    });
    let resolver = world.resolver("udp:10.0.0.53");
    assert_eq!(world.a(&resolver, "web.test").0, WEB);
    assert_eq!(world.a(&resolver, "n1.test").0, "10.1.0.1");
    assert_eq!(*edns.lock(), [true, false, false], "it is remembered");
}

#[test]
fn servers_that_fold_the_case_are_asked_in_lower_case() {
    let mut world = World::new();
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = names.clone();
    world.udp(0, move |query, nth| {
        let name = query.questions[0].qname.to_string();
        seen.lock().push(name.clone());
        let mut reply = zone(query, nth).remove(0);
        let end = 12 + name.len() + 2;
        reply[12..end].make_ascii_lowercase();
        vec![reply]
    });
    let resolver = world.resolver("udp:10.0.0.53");
    let name = "a-name-with-so-many-letters-that-chance-spells-some-large.test";
    world.a(&resolver, name);
    world.a(&resolver, "web.test");
    let names = names.lock();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_ne!(names[0], name);
    assert_eq!(names[1..], [name, "web.test"]);
}

#[test]
fn every_question_has_a_port_an_identifier_and_a_spelling_of_its_own() {
    let mut world = World::new();
    let net = world.hosts[0].net.clone();
    let seen = Arc::new(Mutex::new((BTreeSet::new(), BTreeSet::new(), BTreeSet::new())));
    let all = seen.clone();
    world.network.spawn(async move {
        let socket = net.udp_bind(Some(53), IpVersion::V4).await.unwrap();
        let mut buf = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buf).await {
            let query = Packet::parse(&buf[..len]).unwrap();
            let name = query.questions[0].qname.to_string();
            let large: Vec<bool> = name.bytes().map(|octet| octet.is_ascii_uppercase()).collect();
            let mut all = all.lock();
            all.0.insert(from.port());
            all.1.insert(query.id());
            all.2.insert(large);
            drop(all);
            socket.send_to(&zone(&query, 0)[0], from).await.unwrap();
        }
    });
    let resolver = world.resolver("udp:10.0.0.53");
    for index in 0..50 {
        world.a(&resolver, &format!("nameless{index:02}.test"));
    }
    let (ports, ids, spellings) = &*seen.lock();
    assert!(ports.len() > 45 && ids.len() > 45 && spellings.len() > 45, "{ports:?} {ids:?}");
}

/// Forged answers for `query`, each wrong in one way, all with an address that must not be believed.
fn forged(query: &Packet<'_>) -> Vec<Vec<u8>> {
    let right = {
        let mut packet = query.clone().into_reply();
        let name = query.questions[0].qname.clone().into_owned();
        let record =
            simple_dns::ResourceRecord::new(name, simple_dns::CLASS::IN, 60, a([6, 6, 6, 6]));
        packet.answers.push(record);
        packet.build_bytes_vec().unwrap()
    };
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = right.clone();
        change(&mut octets);
        octets
    };
    vec![
        with(&|octets| octets[1] ^= 1),
        with(&|octets| octets[2] &= 0x7f),
        with(&|octets| octets[13] ^= 3),
        with(&|octets| octets.truncate(11)),
        with(&|octets| octets[5] = 0),
        with(&|octets| octets[5] = 2),
    ]
}

#[test]
fn forged_answers_are_passed_over() {
    let mut world = World::new();
    world.udp(0, |query, nth| {
        let mut all = forged(query);
        all.extend(zone(query, nth));
        all
    });
    let resolver = world.resolver("udp:10.0.0.53");
    assert_eq!(world.a(&resolver, "web.test").0, WEB);
    assert!(world.told().contains("6 datagrams that answer other questions"), "{}", world.told());
}

#[test]
fn right_answers_from_the_wrong_place_are_passed_over() {
    let mut world = World::new();
    let (server, other) = (world.hosts[0].net.clone(), world.hosts[1].net.clone());
    world.network.spawn(async move {
        let socket = server.udp_bind(Some(53), IpVersion::V4).await.unwrap();
        let wrong_port = server.udp_bind(Some(54), IpVersion::V4).await.unwrap();
        let wrong_host = other.udp_bind(Some(53), IpVersion::V4).await.unwrap();
        let mut buf = [0; 512];
        let (len, from) = socket.recv_from(&mut buf).await.unwrap();
        let query = Packet::parse(&buf[..len]).unwrap();
        let right = zone(&query, 0).remove(0);
        let mut wrong = right.clone();
        let end = wrong.len();
        assert_eq!(wrong[end - 4..], [10, 0, 0, 80]);
        wrong[end - 4..].copy_from_slice(&[6, 6, 6, 6]);
        wrong_port.send_to(&wrong, from).await.unwrap();
        wrong_host.send_to(&wrong, from).await.unwrap();
        server.sleep(Duration::from_millis(20)).await;
        socket.send_to(&right, from).await.unwrap();
        core::future::pending::<()>().await;
    });
    let resolver = world.resolver("udp:10.0.0.53");
    assert_eq!(world.a(&resolver, "web.test").0, WEB);
    assert!(world.told().contains("2 datagrams that answer other questions"), "{}", world.told());
}

#[test]
fn who_guesses_too_often_drives_us_to_tcp() {
    let mut world = World::new();
    world.udp(0, |query, _| forged(query).into_iter().cycle().take(MAX_STRANGE as usize).collect());
    let count = world.tcp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!((answer.as_str(), count.get()), (WEB, 1));
    assert!(took < Duration::from_millis(50), "{took:?}");
}
