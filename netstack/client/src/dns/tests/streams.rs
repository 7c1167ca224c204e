//! TCP: many questions on one connection, servers that close it, servers that only accept.

use super::thousand::Patient;
use super::world::*;
use core::time::Duration;
use proto::dns::{Data, Kind};
use simple_dns::Packet;

#[test]
fn a_thousand_names_share_one_connection() {
    let mut world = World::new();
    let server = Patient::new(&world);
    let (host, serving) = (world.hosts[0].clone(), server.clone());
    world.network.serve(&host, 53, move |stream| serving.clone().answer(stream));
    let resolver = world.resolver("tcp:10.0.0.53");
    server.is_asked_a_thousand(&mut world, &resolver);
}

#[test]
fn a_connection_is_used_again_until_it_was_idle() {
    let mut world = World::new();
    let connections = Count::default();
    let (counted, host) = (connections.clone(), world.hosts[0].clone());
    world.network.serve(&host, 53, move |stream| {
        counted.next();
        async { drop(answer(stream, &zone, &Count::default()).await) }
    });
    let resolver = world.resolver("tcp:10.0.0.53");
    for (pause, expected) in [(0, 1), (0, 1), (9, 1), (11, 2), (0, 2)] {
        world.pass(Duration::from_secs(pause));
        let name = format!("n{}.test", world.now().as_millis());
        assert!(world.a(&resolver, &name).0.starts_with("10.1."));
        assert_eq!(connections.get(), expected, "{pause}");
    }
}

#[test]
fn a_connection_that_the_server_closed_is_opened_again() {
    let mut world = World::new();
    let connections = Count::default();
    let (counted, host) = (connections.clone(), world.hosts[0].clone());
    // one answer for each connection; the first one ends without any
    world.network.serve(&host, 53, move |mut stream| {
        let nth = counted.next();
        async move {
            if let Ok(Some(message)) = read(&mut stream).await
                && nth > 0
            {
                let reply = zone(&Packet::parse(&message).unwrap(), 0).remove(0);
                let _ = write(&mut stream, &reply).await;
            }
        }
    });
    let resolver = world.resolver("tcp:10.0.0.53");
    for name in ["n1.test", "n2.test", "n3.test"] {
        let (answer, took) = world.a(&resolver, name);
        assert!(answer.starts_with("10.1."), "{answer}");
        assert!(took < Duration::from_millis(50), "{took:?}");
        world.pass(Duration::from_secs(1));
    }
    assert!((4..=5).contains(&connections.get()), "{}", connections.get());
}

#[test]
fn a_server_that_always_closes_is_left() {
    let mut world = World::new();
    let host = world.hosts[0].clone();
    world.network.serve(&host, 53, |stream| async { drop(stream) });
    world.tcp(1, zone);
    let resolver = world.resolver("tcp:10.0.0.53 tcp:10.0.0.54");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!(answer, "10.0.0.80");
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert!(
        world.told().contains("tcp:10.0.0.53:53: it closed the connection"),
        "{}",
        world.told()
    );
}

#[test]
fn a_server_that_accepts_and_never_answers_is_left() {
    let mut world = World::new();
    let count = world.tcp(0, silence);
    world.tcp(1, zone);
    let resolver = world.resolver("tcp:10.0.0.53 tcp:10.0.0.54");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!(answer, "10.0.0.80");
    assert!(took < Duration::from_millis(600), "{took:?}");
    assert!(world.a(&resolver, "n1.test").1 < Duration::from_millis(10));
    assert_eq!(count.get(), 1);
    // later it is asked again, on a new connection
    world.pass(Duration::from_secs(31));
    assert_eq!(world.a(&resolver, "n2.test").0, "10.1.0.2");
    assert_eq!(count.get(), 2);
}

#[test]
fn the_longest_answer_is_read() {
    let mut world = World::new();
    world.tcp(0, |query, _| {
        let mut packet = query.clone().into_reply();
        *packet.opt_mut() = None;
        let mut octets = packet.build_bytes_vec().unwrap();
        let count = (65535 - octets.len()) / 16;
        octets[6..8].copy_from_slice(&(count as u16).to_be_bytes());
        for index in 0..count as u32 {
            octets.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            octets.extend((0x0a00_0000 + index).to_be_bytes());
        }
        octets.resize(65535, 0);
        vec![octets]
    });
    let resolver = world.resolver("tcp:10.0.0.53");
    let Data::Addresses(addresses) = world.ask(&resolver, "web.test", Kind::A).unwrap() else {
        panic!("no addresses");
    };
    assert_eq!(addresses.len(), proto::dns::MAX_ADDRESSES);
}

#[test]
fn garbage_on_a_connection_is_the_servers_fault() {
    let mut world = World::new();
    world.tcp(0, |query, _| {
        let mut wrong = zone(query, 0).remove(0);
        wrong[13] ^= 3;
        vec![vec![], vec![1], wrong]
    });
    world.tcp(1, zone);
    let resolver = world.resolver("tcp:10.0.0.53 tcp:10.0.0.54");
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!(answer, "10.0.0.80");
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert!(world.told().contains("the answer makes no sense"), "{}", world.told());
}
