//! Whatever arrives, nothing panics and sockets go on.
#![allow(clippy::unwrap_used)] // tests

mod hosts;
mod router;

use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use hosts::{echo, pair, pattern, remote};
use router::{Ra, Router};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol, Ipv4Packet,
    Ipv6Packet, TcpPacket, UdpPacket,
};
use stack::sim::{Dhcp, DhcpOffer, Host, Link, Network};
use stack::smol::{Ipv4, Ipv6};
use stack::{IpVersion, Net};

/// A small generator for choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// Changes some octets behind the Ethernet header, mostly in headers, and often makes all checksums
/// right again, so that the change gets past them.
fn mutate(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame.len() <= 14 {
        return frame;
    }
    for _ in 0..1 + dice.roll(3) {
        let reach = if dice.roll(4) == 0 { frame.len() - 14 } else { (frame.len() - 14).min(64) };
        let at = 14 + dice.roll(reach);
        frame[at] = match dice.roll(4) {
            0 => 0,
            1 => 0xff,
            2 => frame[at] ^ (1 << dice.roll(8)),
            _ => dice.roll(256) as u8,
        };
    }
    match dice.roll(8) {
        0 => frame.truncate(14 + dice.roll(frame.len() - 14)),
        1 => frame.extend_from_slice(&[0xaa; 40]),
        _ => {}
    }
    if dice.roll(8) > 0 {
        mend(&mut frame);
    }
    frame
}

/// Makes the checksums of a frame right, as far as its lengths make sense.
fn mend(frame: &mut [u8]) {
    let Ok(ethernet) = EthernetFrame::new_checked(&*frame) else { return };
    match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let Ok(mut ip) = Ipv4Packet::new_checked(&mut frame[14..]) else { return };
            ip.fill_checksum();
            let (src, dst, protocol) = (ip.src_addr(), ip.dst_addr(), ip.next_header());
            mend_payload(protocol, src.into(), dst.into(), ip.payload_mut());
        }
        EthernetProtocol::Ipv6 => {
            let Ok(mut ip) = Ipv6Packet::new_checked(&mut frame[14..]) else { return };
            let (src, dst, protocol) = (ip.src_addr(), ip.dst_addr(), ip.next_header());
            mend_payload(protocol, src.into(), dst.into(), ip.payload_mut());
        }
        _ => {}
    }
}

fn mend_payload(protocol: IpProtocol, src: IpAddress, dst: IpAddress, payload: &mut [u8]) {
    match (protocol, src, dst) {
        (IpProtocol::Tcp, _, _) => {
            if let Ok(mut tcp) = TcpPacket::new_checked(payload) {
                tcp.fill_checksum(&src, &dst);
            }
        }
        (IpProtocol::Udp, _, _) => {
            if let Ok(mut udp) = UdpPacket::new_checked(payload) {
                udp.fill_checksum(&src, &dst);
            }
        }
        (IpProtocol::Icmp, _, _) => {
            if let Ok(mut icmp) = Icmpv4Packet::new_checked(payload) {
                icmp.fill_checksum();
            }
        }
        (IpProtocol::Icmpv6, IpAddress::Ipv6(src), IpAddress::Ipv6(dst)) => {
            if let Ok(mut icmp) = Icmpv6Packet::new_checked(payload) {
                icmp.fill_checksum(&src, &dst);
            }
        }
        _ => {}
    }
}

/// Hears everything and repeats it, changed.
fn add_liar(network: &mut Network, seed: u64) {
    let mut dice = Dice(seed);
    network.peer(
        move |_, frame: &[u8]| {
            // It would feed on its own lies otherwise: those are marked in the Ethernet source.
            if frame[6..12] == [2, 0xbb, 0, 0, 0, 0] {
                return vec![];
            }
            (0..dice.roll(3))
                .map(|_| {
                    let mut lie = mutate(frame, &mut dice);
                    lie[6..12].copy_from_slice(&[2, 0xbb, 0, 0, 0, 0]);
                    lie
                })
                .collect()
        },
        Link::default(),
    );
}

async fn chatter(client: Host, seed: u64) {
    for round in 0..5 {
        let attempt = async {
            let mut stream = client.net.tcp_connect(remote(7)).await.ok()?;
            stream.write_all(&pattern(20_000, seed + round)).await.ok()?;
            stream.close().await.ok()?;
            stream.read_to_end(&mut Vec::new()).await.ok()
        };
        let limit = async {
            client.net.sleep(Duration::from_secs(30)).await;
            None
        };
        future::or(attempt, limit).await;
        if let (Ok(udp), Ok(raw)) = (
            client.net.udp_bind(None, IpVersion::V4).await,
            client.net.raw_open(1, IpVersion::V4).await,
        ) {
            let mut buf = [0; 2000];
            for n in 0..10 {
                future::poll_once(udp.send_to(&[n; 100], remote(7))).await;
                future::poll_once(raw.send(&[8, 0, 0xf7, 0xff - n, 0, n, 0, 0], remote(7).ip()))
                    .await;
                client.net.sleep(Duration::from_millis(10)).await;
                future::poll_once(udp.recv_from(&mut buf)).await;
                future::poll_once(raw.recv(&mut buf)).await;
            }
        }
    }
}

#[test]
fn lies_among_the_truth() {
    let mut sent = 0;
    for seed in 0..40 {
        let (mut network, server, client) = pair(seed, Link::new(Duration::from_millis(1), 0.01));
        network.set_limit(Duration::from_secs(36_000));
        network.serve(&server, 7, echo);
        add_liar(&mut network, seed);
        network.run(chatter(client.clone(), seed)).unwrap();
        sent += network.traffic().sent;
        network.run_for(Duration::from_secs(1000)).unwrap();
        assert_eq!(client.net.sockets(), 0, "seed {seed}");
    }
    assert!(sent > 20_000, "{sent}");
}

#[test]
fn lies_about_ipv6() {
    for seed in 0..20 {
        let mut network = Network::new(seed);
        network.set_limit(Duration::from_secs(36_000));
        let server = network.host("2001:db8::1/64", Link::default());
        let client = network.host("2001:db8::2/64", Link::default());
        network.serve(&server, 7, echo);
        add_liar(&mut network, seed);
        network
            .run(async {
                for _ in 0..10 {
                    let attempt = async {
                        let remote = "[2001:db8::1]:7".parse().unwrap();
                        let mut stream = client.net.tcp_connect(remote).await.ok()?;
                        stream.write_all(&[1; 5000]).await.ok()?;
                        stream.close().await.ok()?;
                        stream.read_to_end(&mut Vec::new()).await.ok()
                    };
                    let limit = async {
                        client.net.sleep(Duration::from_secs(30)).await;
                        None
                    };
                    future::or(attempt, limit).await;
                }
            })
            .unwrap();
    }
}

#[test]
fn lies_about_addresses() {
    for seed in 0..40 {
        let mut network = Network::new(seed);
        let offer = DhcpOffer {
            router: Some([10, 0, 0, 254].into()),
            dns_servers: vec![[10, 0, 0, 1].into()],
            domain: Some("example.test".into()),
            lease: Duration::from_secs(20),
            ..DhcpOffer::new([10, 0, 0, 2])
        };
        network.peer(Dhcp::new([10, 0, 0, 3].into(), offer), Link::default());
        let config = network.dhcp_config();
        let client = network.host_with(config, Link::default()).unwrap();
        add_liar(&mut network, seed);
        network.run_for(Duration::from_secs(2000)).unwrap();
        drop(client);
    }
}

#[test]
fn lies_about_routers() {
    let mut believed = 0;
    for seed in 0..20 {
        let mut network = Network::new(seed);
        let router = Router::new(&mut network, 1);
        let mut config = network.dhcp_config();
        (config.ipv4, config.ipv6) = (Ipv4::Off, Ipv6::Auto);
        let host = network.host_with(config, Link::default()).unwrap();
        let truth = Ra::new(1800)
            .prefix("2001:db8:1::", 3600, 1800)
            .mtu(1400)
            .servers(&["2001:db8:1::53", "fe80::1"], 600)
            .domain("example.test", 600)
            .frame(1);
        let mut dice = Dice(seed);
        for round in 0..500 {
            network.send(router.port, mutate(&truth, &mut dice));
            if round % 50 == 0 {
                network.run_for(Duration::from_secs(dice.roll(2000) as u64)).unwrap();
            }
            network.run_for(Duration::from_millis(10)).unwrap();
            let now = host.net.configuration();
            assert!(now.addresses.len() <= 6 && now.gateways.len() <= 4, "{now:?}");
            assert!(now.dns_servers.len() <= 8 && now.search_domains.len() <= 8, "{now:?}");
            assert!(now.mtu.is_some_and(|mtu| (1280..=1500).contains(&mtu)), "{now:?}");
            believed += now.addresses.len();
        }
        network.run_for(Duration::from_secs(100_000)).unwrap();
        drop(host);
    }
    assert!(believed > 10_000, "the lies get past the checksum: {believed}");
}

#[test]
fn noise() {
    let mut network = Network::new(1);
    let host = network.host("10.0.0.1/24", Link::default());
    let clock = network.host("10.0.0.9/24", Link::default());
    let mut dice = Dice(7);
    network.peer(
        move |_, _: &[u8]| {
            (0..20)
                .map(|_| {
                    let mut frame: Vec<u8> =
                        (0..dice.roll(200)).map(|_| dice.roll(256) as u8).collect();
                    if frame.len() > 40 {
                        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
                        let kinds: [&[u8]; 3] = [&[8, 0, 0x45], &[8, 6, 0], &[0x86, 0xdd, 0x60]];
                        frame[12..15].copy_from_slice(kinds[dice.roll(3)]);
                        frame[23] = [1, 2, 6, 17][dice.roll(4)];
                        frame[20] = [0, 6, 17, 58][dice.roll(4)];
                        frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
                        mend(&mut frame);
                    }
                    frame
                })
                .collect()
        },
        Link::default(),
    );
    network
        .run(async {
            let socket = clock.net.udp_bind(None, IpVersion::V4).await.unwrap();
            for _ in 0..2000 {
                let everyone = "255.255.255.255:9".parse().unwrap();
                socket.send_to(b"speak", everyone).await.unwrap();
                clock.net.sleep(Duration::from_millis(1)).await;
            }
        })
        .unwrap();
    assert!(network.traffic().arrived > 40_000);
    assert_eq!(host.net.sockets(), 0);
}
