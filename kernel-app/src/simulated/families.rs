//! Addresses of both families that come early, late or never, over the simulated wire.

use super::{Captured, Left};
use crate::backend::Machine;
use crate::{app, args};
use core::time::Duration;
use futures_lite::AsyncWriteExt as _;
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use stack::sim::{Dhcp, DhcpOffer, Host, Link, Network};
use stack::smol::{Ipv4, Stack};
use stack::{Cidr, Instant, IpVersion, Net as _};
use std::net::Ipv6Addr;
use std::sync::Arc;

/// What is on the wire beside the server, which is at 10.0.2.2 and 2001:db8:1::9, and those who know
/// the names `four.test`, `six.test` and `both.test`: 10.0.2.2 and 2001:db8:1::53.
#[derive(Clone, Copy, Default)]
struct Wire {
    /// A DHCP server, which names 10.0.2.2 for DNS.
    dhcp: bool,
    /// A router for 2001:db8:1::/64, and whether it names 2001:db8:1::53 for DNS.
    router: Option<bool>,
}

const DUAL: Wire = Wire { dhcp: true, router: Some(true) };
const IPV4: Wire = Wire { dhcp: true, router: None };
const IPV6: Wire = Wire { dhcp: false, router: Some(true) };
const NO_NAMES: Wire = Wire { dhcp: false, router: Some(false) };

/// What the program says at the end of `line`, and after which time.
fn boot(wire: Wire, line: &str) -> (Left, Duration) {
    let mut network = Network::new(1);
    let server = server(&mut network);
    if wire.dhcp {
        let offer =
            DhcpOffer { dns_servers: vec![[10, 0, 2, 2].into()], ..DhcpOffer::new([10, 0, 2, 15]) };
        network.peer(Dhcp::new("10.0.2.3".parse().unwrap(), offer), Link::default());
    }
    if let Some(names) = wire.router {
        let frame = advertisement(names);
        // whoever asks for routers is answered
        let script = move |_: Instant, heard: &[u8]| match heard.get(54) {
            Some(133) if heard[20] == 58 => vec![frame.clone()],
            _ => vec![],
        };
        network.peer(script, Link::default());
    }
    let names = network.host("2001:db8:1::53/64", Link::default());
    network.spawn(dns(server, IpVersion::V4));
    network.spawn(dns(names, IpVersion::V6));
    let words = line.split(' ').map(String::from).collect();
    let config = args::parse(words, Vec::new()).unwrap();
    let mut stack = network.dhcp_config();
    config.network.configure(&mut stack, 1500).unwrap();
    let client: Stack<_> = network.host_with(stack, Link::default()).unwrap().net;
    let (stdout, stderr) = (Captured::default(), Captured::default());
    let machine = Machine {
        net: Arc::new(client),
        vsock: Arc::new(stack::vsock::Absent),
        networks: Vec::new(),
        stdin: Box::new(futures_lite::io::empty()),
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
        progress: None,
        memory: None,
        boot: None,
    };
    let exit = network.run(app::run(&crate::Program, &config, machine)).unwrap();
    let stderr = String::from_utf8_lossy(&stderr.take()).into_owned();
    let left = Left { exit, stdout: stdout.take(), stderr, progress: String::new() };
    (left, network.now() - Instant::ZERO)
}

/// Greets on TCP port 7, and tells the family; answers on UDP port 7.
fn server(network: &mut Network) -> Host {
    let mut config = network.config("2001:db8:1::9/64");
    let address = Cidr::new("10.0.2.2".parse().unwrap(), 24).unwrap();
    config.ipv4 = Ipv4::Static { address, gateway: None };
    let server = network.host_with(config, Link::default()).unwrap();
    network.serve(&server, 7, |mut stream| async move {
        let family = IpVersion::of(stack::TcpStream::peer_addr(&stream).ip());
        let _ = stream.write_all(format!("over {family}").as_bytes()).await;
        let _ = stream.close().await;
    });
    let host = server.clone();
    network.spawn(async move {
        let socket = host.net.udp_bind(Some(7), IpVersion::V6).await.unwrap();
        while let Ok((len, from)) = socket.recv_from(&mut [0; 64]).await {
            let _ = socket.send_to(format!("{len} octets").as_bytes(), from).await;
        }
    });
    server
}

async fn dns(host: Host, version: IpVersion) {
    let socket = host.net.udp_bind(Some(53), version).await.unwrap();
    let mut buf = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut buf).await {
        let Ok(query) = Packet::parse(&buf[..len]) else { continue };
        let mut reply = query.clone().into_reply();
        for question in &query.questions {
            let address = u128::from("2001:db8:1::9".parse::<Ipv6Addr>().unwrap());
            let data = match (question.qname.to_string().to_lowercase().as_str(), question.qtype) {
                ("four.test" | "both.test", QTYPE::TYPE(TYPE::A)) => {
                    RData::A(A { address: u32::from_be_bytes([10, 0, 2, 2]) })
                }
                ("six.test" | "both.test", QTYPE::TYPE(TYPE::AAAA)) => {
                    RData::AAAA(AAAA { address })
                }
                ("four.test" | "six.test" | "both.test", _) => continue,
                _ => {
                    *reply.rcode_mut() = RCODE::NameError;
                    continue;
                }
            };
            reply.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
        }
        if let Ok(octets) = reply.build_bytes_vec() {
            let _ = socket.send_to(&octets, from).await;
        }
    }
}

/// A router's advertisement (RFC 4861 §4.2): itself, a prefix and, if it `names` one, a DNS server.
fn advertisement(names: bool) -> Vec<u8> {
    let octets = |address: &str| address.parse::<Ipv6Addr>().unwrap().octets();
    let hour = 3600_u32.to_be_bytes();
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x0e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0]);
    message.extend([hour, hour, [0; 4]].concat());
    message.extend(octets("2001:db8:1::"));
    if names {
        message.extend([25, 3, 0, 0]);
        message.extend(hour);
        message.extend(octets("2001:db8:1::53"));
    }
    let (src, dst) = (octets("fe80::1"), octets("ff02::1"));
    let pseudo = [&src[..], &dst, &[0, 0, 0, message.len() as u8, 0, 0, 0, 58], &message].concat();
    let sum: u32 =
        pseudo.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0xee, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend([0, message.len() as u8, 58, 255]);
    frame.extend([&src[..], &dst, &message].concat());
    frame
}

#[test]
fn every_family_is_used_as_it_comes() {
    // milliseconds: IPv6 is there after a second
    for (wire, line, says, least, most) in [
        (DUAL, "tcp://four.test:7", "over IPv4", 0, 100),
        (DUAL, "tcp://both.test:7", "over IPv4", 0, 200),
        (DUAL, "tcp://six.test:7", "over IPv6", 1000, 1100),
        (DUAL, "tcp://[2001:db8:1::9]:7", "over IPv6", 1000, 1100),
        (DUAL, "tcp://both.test:7 --ipv6-only", "over IPv6", 1000, 1200),
        (DUAL, "tcp://both.test:7 --ipv4-only", "over IPv4", 0, 200),
        (DUAL, "udp://six.test:7 --send=ping --wait=100ms", "4 octets", 1000, 1300),
        (IPV4, "tcp://both.test:7", "over IPv4", 0, 200),
        (IPV6, "tcp://[2001:db8:1::9]:7", "over IPv6", 1000, 1100),
        (IPV6, "tcp://both.test:7", "over IPv6", 1000, 1200),
        (IPV6, "tcp://six.test:7", "over IPv6", 1000, 1200),
        (IPV6, "udp://six.test:7 --send=ping --wait=100ms", "4 octets", 1000, 1300),
        (IPV6, "tcp://both.test:7 --ipv4=10.0.2.15/24", "over IPv6", 1000, 1200),
        (NO_NAMES, "tcp://six.test:7 --dns-servers=udp:[2001:db8:1::53]", "over IPv6", 1000, 1200),
        (
            Wire::default(),
            "tcp://six.test:7 --ipv6=2001:db8:1::5/64 --dns-servers=udp:[2001:db8:1::53]",
            "over IPv6",
            1000,
            1100,
        ),
        (IPV6, "tcp://10.0.2.2:7 --ipv4=10.0.2.15/24", "over IPv4", 0, 100),
    ] {
        let (left, took) = boot(wire, line);
        let text = String::from_utf8_lossy(&left.stdout).into_owned();
        assert_eq!((left.exit, text.as_str()), (0, says), "{line}: {}", left.stderr);
        let range = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(range.contains(&took), "{line}: {took:?}");
    }
}

#[test]
fn what_does_not_come_is_given_up() {
    for (wire, line, exit, says, least, most) in [
        (IPV4, "tcp://six.test:7", 69, "no address is configured", 6000, 6100),
        (IPV4, "tcp://[2001:db8:1::9]:7", 69, "no address is configured", 6000, 6100),
        (IPV4, "tcp://four.test:9", 69, "connection refused", 0, 100),
        (
            IPV4,
            "tcp://four.test:7 --ipv6-only --connect-timeout=7s",
            75,
            "router advertisements",
            7000,
            7100,
        ),
        (IPV4, "udp://six.test:7 --send=ping", 69, "no address is configured", 6000, 6100),
        (NO_NAMES, "tcp://six.test:7", 68, "no DNS server", 6000, 6100),
        (Wire::default(), "tcp://four.test:7 --ipv4=10.0.2.15/24", 68, "no DNS server", 6000, 6100),
        (
            Wire::default(),
            "tcp://four.test:7 --ipv4=10.0.2.15/24 --accept-router-advertisements=false",
            68,
            "no DNS server",
            1000,
            1100,
        ),
        (
            Wire::default(),
            "tcp://four.test:7 --ipv4=10.0.2.15/24 --ipv4-only",
            68,
            "no DNS server",
            0,
            10,
        ),
    ] {
        let (left, took) = boot(wire, line);
        assert_eq!(left.exit, exit, "{line}: {}", left.stderr);
        assert!(left.stderr.contains(says), "{line}: {}", left.stderr);
        let range = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(range.contains(&took), "{line}: {took:?}");
    }
}
