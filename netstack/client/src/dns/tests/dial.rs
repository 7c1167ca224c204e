//! From a name to a connection: what happy eyeballs makes of the answers.

use super::world::*;
use crate::dns::{Options, Resolver};
use core::time::Duration;
use proto::target::Host;
use simple_dns::rdata::{AAAA, RData};
use simple_dns::{CLASS, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use stack::sim::Link;
use stack::{Net as _, TcpStream};

fn name(name: &str) -> Host {
    Host::Name(name.into())
}

/// A host at the address of `web.test`, listening on these ports.
fn web(world: &mut World, ports: &[u16]) {
    let host = world.network.host("10.0.0.80/24", Link::default());
    for &port in ports {
        world.network.serve(&host, port, |stream| async move {
            let _ = stream;
            core::future::pending::<()>().await;
        });
    }
}

fn dial(
    world: &mut World,
    resolver: &Resolver,
    host: &str,
    ports: &[u16],
    https: bool,
) -> Result<Box<dyn TcpStream>, crate::Error> {
    let dialer = world.dialer(resolver);
    world.network.run(dialer.resolve(&name(host), ports, https)).unwrap()
}

#[test]
fn every_port_of_an_address_is_tried() {
    let mut world = World::new();
    web(&mut world, &[8080]);
    world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    let stream = dial(&mut world, &resolver, "web.test", &[80, 8080], false).unwrap();
    assert_eq!(stream.peer_addr().to_string(), "10.0.0.80:8080");
    let error = dial(&mut world, &resolver, "web.test", &[80, 81], false).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("web.test:80,81"), "{text}");
    assert!(text.contains("10.0.0.80:80: ") && text.contains("10.0.0.80:81: "), "{text}");
}

#[test]
fn https_records_lead_elsewhere() {
    let mut world = World::new();
    web(&mut world, &[443, 8443]);
    let count = world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    let stream = dial(&mut world, &resolver, "svc.test", &[443], true).unwrap();
    assert_eq!(stream.peer_addr().to_string(), "10.0.0.80:8443");
    let stream = dial(&mut world, &resolver, "web.test", &[443], true).unwrap();
    assert_eq!(stream.peer_addr().to_string(), "10.0.0.80:443");
    let asked = count.get();
    assert!(dial(&mut world, &resolver, "svc.test", &[443], false).is_err());
    assert_eq!(count.get(), asked, "its own addresses are known not to exist");
    let resolver =
        Resolver::new(Options { https_records: false, ..world.options("udp:10.0.0.53") });
    assert!(dial(&mut world, &resolver, "svc.test", &[443], true).is_err());
}

#[test]
fn a_family_that_fails_leaves_the_other() {
    let mut world = World::new();
    let config = world.network.config("fd00::1/64");
    let client = world.network.host_with(config, Link::default()).unwrap();
    let server = world.network.host("fd00::80/64", Link::default());
    world.network.serve(&server, 80, |stream| async move {
        let _ = stream;
        core::future::pending::<()>().await;
    });
    let dns = server.net.clone();
    world.network.spawn(async move {
        let socket = dns.udp_bind(Some(53), stack::IpVersion::V6).await.unwrap();
        let mut buf = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buf).await {
            let query = Packet::parse(&buf[..len]).unwrap();
            let question = &query.questions[0];
            let reply = if question.qtype == QTYPE::TYPE(TYPE::A) {
                code(&query, RCODE::ServerFailure).remove(0)
            } else {
                let address = u128::from("fd00::80".parse::<std::net::Ipv6Addr>().unwrap());
                let record = ResourceRecord::new(
                    question.qname.clone(),
                    CLASS::IN,
                    60,
                    RData::AAAA(AAAA { address }),
                );
                let mut packet = query.clone().into_reply();
                packet.answers.push(record);
                packet.build_bytes_vec().unwrap()
            };
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    world.client = std::sync::Arc::new(client.net);
    let resolver = world.resolver("udp:fd00::80");
    let stream = dial(&mut world, &resolver, "web.test", &[80], false).unwrap();
    assert_eq!(stream.peer_addr().to_string(), "[fd00::80]:80");
}

#[test]
fn a_dead_first_server_is_hardly_noticed() {
    let mut world = World::new();
    web(&mut world, &[80]);
    world.udp(0, silence);
    world.udp(1, zone);
    let resolver = world.resolver("udp:10.0.0.53 udp:10.0.0.54");
    let start = world.now();
    dial(&mut world, &resolver, "web.test", &[80], false).unwrap();
    assert!(world.now() - start < Duration::from_millis(700), "{:?}", world.now() - start);
}

#[test]
fn a_name_without_addresses_is_told() {
    let mut world = World::new();
    world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    let error = dial(&mut world, &resolver, "nosuch.test", &[80], false).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "resolve nosuch.test: no such name");
    assert_eq!(error.exit().code(), 68);
}

#[test]
fn silent_servers_are_named() {
    let mut world = World::new();
    world.udp(0, silence);
    let resolver = world.resolver("udp:10.0.0.53");
    let error = dial(&mut world, &resolver, "web.test", &[80], false).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no answer to A from udp:10.0.0.53:53"), "{text}");
    let told = world.told();
    assert!(told.contains("A no answer so far, given up"), "{told}");
}
