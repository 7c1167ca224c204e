//! Asking for neighbours, some of which are gone, and for their groups, over the simulated wire.
#![allow(clippy::unwrap_used)] // tests

mod router;

use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future;
use router::{Ra, Router};
use stack::sim::{Host, Link, Network};
use stack::smol::{Ipv4, Ipv6};
use stack::{Error, Instant, IpVersion, Net, Unreachable};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A client and a server in one network: 2 and 12 of it.
fn pair(network: &mut Network, prefix: &str, len: u8) -> (Host, Host) {
    let client = network.host(&format!("{prefix}2/{len}"), Link::default());
    let server = network.host(&format!("{prefix}12/{len}"), Link::default());
    network.serve(&server, 7, |stream| async move {
        drop(stream);
    });
    (client, server)
}

fn remote(prefix: &str, host: u8) -> SocketAddr {
    SocketAddr::new(format!("{prefix}{host}").parse().unwrap(), 7)
}

#[test]
fn dead_neighbours_do_not_hold_up_live_ones() {
    for (prefix, len) in [("10.0.0.", 24), ("2001:db8::", 64)] {
        let mut network = Network::new(1);
        let (client, _server) = pair(&mut network, prefix, len);
        let net = &client.net;
        let dead = [10, 11].map(|host| net.tcp_connect(remote(prefix, host)));
        let [first, second] = dead;
        let staggered = async {
            let second = async {
                net.sleep(ms(250)).await;
                second.await
            };
            let third = async {
                net.sleep(ms(500)).await;
                net.tcp_connect(remote(prefix, 12)).await
            };
            future::or(future::or(first, second), third).await
        };
        network.run(staggered).unwrap().unwrap();
        let now = network.now();
        assert!((ms(500)..ms(510)).contains(&(now - Instant::ZERO)), "{prefix}: {now}");
    }
}

#[test]
fn several_dead_neighbours_are_found_out_at_the_same_time() {
    for (prefix, len) in [("10.0.0.", 24), ("2001:db8::", 64)] {
        let mut network = Network::new(1);
        let (client, _server) = pair(&mut network, prefix, len);
        let attempts = [10, 11, 13].map(|host| client.net.tcp_connect(remote(prefix, host)));
        let [a, b, c] = attempts;
        let both = future::zip(a, future::zip(b, c));
        let (a, (b, c)) = network.run(both).unwrap();
        for (host, result) in [(10, a), (11, b), (13, c)] {
            let gone = Unreachable::NoNeighbor(remote(prefix, host).ip());
            assert_eq!(result.err(), Some(Error::Unreachable(gone)));
        }
        let now = network.now();
        assert!((ms(3000)..ms(3100)).contains(&(now - Instant::ZERO)), "{prefix}: {now}");
    }
}

#[test]
fn a_dead_neighbour_does_not_hold_up_a_datagram_to_another() {
    let mut network = Network::new(1);
    let (client, server) = pair(&mut network, "10.0.0.", 24);
    let took = network
        .run(async {
            let inbox = server.net.udp_bind(Some(53), IpVersion::V4).await.unwrap();
            let dead = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
            let live = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
            dead.send_to(b"?", "10.0.0.10:53".parse().unwrap()).await.unwrap();
            client.net.sleep(ms(300)).await;
            let start = client.net.now();
            live.send_to(b"?", "10.0.0.12:53".parse().unwrap()).await.unwrap();
            inbox.recv_from(&mut [0; 8]).await.unwrap();
            client.net.now() - start
        })
        .unwrap();
    assert!(took < ms(10), "{took:?}");
}

/// The records of an MLDv2 report (RFC 3810 §5.2): type, group.
fn records(frame: &[u8]) -> Vec<(u8, [u8; 16])> {
    let is_report = frame.len() > 70 && frame[20] == 0 && frame[54] == 58 && frame[62] == 143;
    if !is_report {
        return vec![];
    }
    frame[70..].chunks(20).map(|r| (r[0], r[4..20].try_into().unwrap())).collect()
}

#[test]
fn groups_are_joined_as_switches_understand_it() {
    let mut network = Network::new(1);
    let router = Router::new(&mut network, 1);
    router.answer(&Ra::new(1800).prefix("2001:db8:1::", 2, 1));
    let mut config = network.dhcp_config();
    (config.ipv4, config.ipv6) = (Ipv4::Off, Ipv6::Auto);
    let host = network.host_with(config, Link::default()).unwrap();
    network.run(host.net.ready()).unwrap().unwrap();
    network.run_for(ms(10)).unwrap();
    let heard = router.take_heard();
    let records: Vec<_> = heard.iter().flat_map(|(_, frame)| records(frame)).collect();
    // CHANGE_TO_EXCLUDE_MODE without sources: everything that is sent to the group
    assert!(!records.is_empty() && records.iter().all(|(kind, _)| *kind == 4), "{records:?}");
    let group: std::net::Ipv6Addr = "ff02::1:ff00:2".parse().unwrap();
    assert!(records.iter().any(|(_, to)| *to == group.octets()), "{records:?}");
}
