//! UDP, raw IP, echo and DHCP over the simulated wire.
#![allow(clippy::unwrap_used)] // tests

mod hosts;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use hosts::{echo, pair, remote};
use stack::sim::{Dhcp, DhcpOffer, Host, Link, Network, serve_dns};
use stack::smol::{Ipv4, Ipv6};
use stack::{Cidr, Error, Instant, IpVersion, Net, Unreachable};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Sends back every datagram.
async fn udp_echo(host: Host, port: u16, family: IpVersion) {
    let socket = host.net.udp_bind(Some(port), family).await.unwrap();
    let mut buf = [0; 2000];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await.unwrap();
        socket.send_to(&buf[..len], from).await.unwrap();
    }
}

#[test]
fn datagrams() {
    let (mut network, server, client) = pair(1, Link::default());
    network.spawn(udp_echo(server.clone(), 7, IpVersion::V4));
    network
        .run(async {
            let socket = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
            assert!(socket.local_addr().port() >= 49152);
            let mut buf = [0; 2000];
            for len in [0, 1, 1472] {
                socket.send_to(&vec![7; len], remote(7)).await.unwrap();
                assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (len, remote(7)));
            }
            socket.send_to(b"cut off", remote(7)).await.unwrap();
            assert_eq!(socket.recv_from(&mut buf[..3]).await.unwrap().0, 3);

            let error = socket.send_to(&[0; 1473], remote(7)).await.unwrap_err();
            assert_eq!(error, Error::MessageTooLarge { len: 1473, max: 1472 });
            let v6 = SocketAddr::from(([0u16; 8], 9));
            let error = socket.send_to(b"", v6).await.unwrap_err();
            assert_eq!(error, Error::AddressFamily(IpVersion::V6));

            let port = socket.local_addr().port();
            let second = client.net.udp_bind(Some(port), IpVersion::V4).await;
            assert_eq!(second.map(|_| ()).unwrap_err(), Error::AddressInUse(port));
            drop(socket);
            client.net.udp_bind(Some(port), IpVersion::V4).await.unwrap();
        })
        .unwrap();
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn datagrams_that_cannot_arrive() {
    let (mut network, server, client) = pair(1, Link::default());
    network.spawn(udp_echo(server.clone(), 7, IpVersion::V4));
    network
        .run(async {
            let socket = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
            let mut buf = [0; 9];
            socket.send_to(b"?", remote(9)).await.unwrap();
            let error = socket.recv_from(&mut buf).await.unwrap_err();
            assert_eq!(error, Error::Unreachable(Unreachable::Port));

            let absent: SocketAddr = "10.0.0.77:7".parse().unwrap();
            socket.send_to(b"?", absent).await.unwrap();
            // Waits for the queue that the silent neighbour holds up, not for ever.
            socket.send_to(b"!", remote(7)).await.unwrap();
            let error = socket.recv_from(&mut buf).await.unwrap_err();
            assert_eq!(error, Error::Unreachable(Unreachable::NoNeighbor(absent.ip())));
            assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (1, remote(7)));
            // smoltcp asks for one neighbour a second, whoever it is.
            assert!(client.net.now() < Instant::from_millis(4100));
        })
        .unwrap();
}

#[test]
fn a_queue_of_datagrams_drains() {
    let (mut network, server, client) = pair(1, Link::default());
    network.spawn(udp_echo(server.clone(), 7, IpVersion::V4));
    network
        .run(async {
            let socket = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
            let send = async {
                for i in 0..50u8 {
                    socket.send_to(&[i; 1000], remote(7)).await.unwrap();
                }
            };
            let receive = async {
                let mut buf = [0; 1000];
                for i in 0..50u8 {
                    socket.recv_from(&mut buf).await.unwrap();
                    assert_eq!(buf[0], i);
                }
            };
            future::zip(send, receive).await;
        })
        .unwrap();
}

/// RFC 792 echo request with a checksum.
fn echo_request(identifier: u16, sequence: u16, len: usize) -> Vec<u8> {
    let mut request = vec![0u8; 8 + len];
    request[0] = 8;
    request[4..6].copy_from_slice(&identifier.to_be_bytes());
    request[6..8].copy_from_slice(&sequence.to_be_bytes());
    request[8..].fill(0x55);
    let sum: u32 = request.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    request[2..4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    request
}

#[test]
fn echo_requests_are_answered_and_the_answers_seen() {
    let (mut network, _server, client) = pair(1, Link::default());
    let server = IpAddr::from([10, 0, 0, 1]);
    network
        .run(async {
            let socket = client.net.raw_open(1, IpVersion::V4).await.unwrap();
            assert_eq!(socket.echo_identifier(), None);
            let mut buf = [0; 2000];
            for (sequence, len) in [(1, 0), (2, 56), (3, 1472)] {
                let request = echo_request(0x1234, sequence, len);
                socket.send(&request, server).await.unwrap();
                let received = socket.recv(&mut buf).await.unwrap();
                assert_eq!(
                    (received.len, received.src, received.hop_limit),
                    (8 + len, server, Some(64))
                );
                assert_eq!((buf[0], &buf[4..8 + len]), (0, &request[4..]));
            }
            let error = socket.send(&[0; 1481], server).await.unwrap_err();
            assert_eq!(error, Error::MessageTooLarge { len: 1481, max: 1480 });
            let absent = IpAddr::from([10, 0, 0, 77]);
            socket.send(&echo_request(1, 4, 0), absent).await.unwrap();
            let error = socket.recv(&mut buf).await.unwrap_err();
            assert_eq!(error, Error::Unreachable(Unreachable::NoNeighbor(absent)));
            socket.send(&echo_request(1, 5, 0), server).await.unwrap();
            assert_eq!(socket.recv(&mut buf).await.unwrap().len, 8);
        })
        .unwrap();
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn any_protocol_between_two_hosts() {
    let (mut network, server, client) = pair(1, Link::default());
    let other = network.host("10.0.0.3/24", Link::default());
    network
        .run(async {
            let here = client.net.raw_open(253, IpVersion::V4).await.unwrap();
            let there = server.net.raw_open(253, IpVersion::V4).await.unwrap();
            let elsewhere = other.net.raw_open(253, IpVersion::V4).await.unwrap();
            let mut buf = [0; 100];
            here.send(b"over IP", [10, 0, 0, 1].into()).await.unwrap();
            let received = there.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..received.len], b"over IP");
            there.send(b"back", received.src).await.unwrap();
            let received = here.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..received.len], b"back");
            assert!(future::poll_once(elsewhere.recv(&mut buf)).await.is_none());
        })
        .unwrap();
}

#[test]
fn ipv6_with_link_local_and_static_addresses() {
    let mut network = Network::new(1);
    let server = network.host("2001:db8::1/64", Link::default());
    let client = network.host("2001:db8::2/64", Link::default());
    network.serve(&server, 7, echo);
    network.spawn(udp_echo(server.clone(), 7, IpVersion::V6));
    let configuration = network.run(client.net.ready()).unwrap().unwrap();
    let addresses: Vec<String> = configuration.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["2001:db8::2/64", "fe80::ff:fe00:2/64"]);
    network
        .run(async {
            for addr in ["[2001:db8::1]:7", "[fe80::ff:fe00:1]:7"] {
                let remote: SocketAddr = addr.parse().unwrap();
                let mut stream = client.net.tcp_connect(remote).await.unwrap();
                stream.write_all(b"six").await.unwrap();
                let mut answer = [0; 3];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"six");
            }
            let remote: SocketAddr = "[2001:db8::1]:7".parse().unwrap();
            let socket = client.net.udp_bind(None, IpVersion::V6).await.unwrap();
            let mut buf = [0; 9];
            socket.send_to(b"six", remote).await.unwrap();
            assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (3, remote));
            socket.send_to(b"six", "[2001:db8::1]:9".parse().unwrap()).await.unwrap();
            let error = socket.recv_from(&mut buf).await.unwrap_err();
            assert_eq!(error, Error::Unreachable(Unreachable::Port));

            // RFC 4443 §4.1, the checksum left to the stack.
            let raw = client.net.raw_open(58, IpVersion::V6).await.unwrap();
            raw.send(&[128, 0, 0, 0, 1, 2, 3, 4], remote.ip()).await.unwrap();
            loop {
                let received = raw.recv(&mut buf).await.unwrap();
                if buf[0] == 129 {
                    assert_eq!((received.len, &buf[4..8]), (8, &[1, 2, 3, 4][..]));
                    break;
                }
            }

            let absent: SocketAddr = "[2001:db8::77]:7".parse().unwrap();
            let error = client.net.tcp_connect(absent).await.map(|_| ()).unwrap_err();
            assert_eq!(error, Error::Unreachable(Unreachable::NoNeighbor(absent.ip())));
        })
        .unwrap();
}

fn offer(addr: [u8; 4], lease: u64) -> DhcpOffer {
    DhcpOffer {
        router: Some(Ipv4Addr::new(10, 0, 0, 254)),
        dns_servers: vec![Ipv4Addr::new(10, 0, 0, 1)],
        domain: Some("Example.test".into()),
        lease: secs(lease),
        ..DhcpOffer::new(addr)
    }
}

/// A network with a DHCP server at 10.0.0.3 and a client of it.
fn dhcp_network(offer: DhcpOffer) -> (Network, Dhcp, Host) {
    let mut network = Network::new(1);
    let dhcp = Dhcp::new(Ipv4Addr::new(10, 0, 0, 3), offer);
    network.peer(dhcp.clone(), Link::default());
    let mut config = network.dhcp_config();
    config.ipv4 = Ipv4::Dhcp { hostname: Some("unikernel".into()) };
    config.dns_servers = vec![[192, 0, 2, 53].into()];
    let client = network.host_with(config, Link::default()).unwrap();
    (network, dhcp, client)
}

#[test]
fn dhcp_configures_everything() {
    let (mut network, dhcp, client) = dhcp_network(offer([10, 0, 0, 2], 3600));
    let error = network.run(client.net.tcp_connect(remote(7))).unwrap();
    assert_eq!(error.map(|_| ()).unwrap_err(), Error::NoAddress);
    let configuration = network.run(client.net.ready()).unwrap().unwrap();
    assert!(network.now() < Instant::from_millis(10));
    assert_eq!(configuration.addresses, [Cidr::new([10, 0, 0, 2].into(), 24).unwrap()]);
    assert_eq!(configuration.gateways, [IpAddr::from([10, 0, 0, 254])]);
    let servers = [[192, 0, 2, 53], [10, 0, 0, 1]].map(IpAddr::from);
    assert_eq!(configuration.dns_servers, servers);
    assert_eq!(configuration.domain.as_deref(), Some("example.test"));
    assert_eq!(configuration.dhcp_server, Some(Ipv4Addr::new(10, 0, 0, 3)));
    assert_eq!((dhcp.requests(), dhcp.hostname().as_deref()), (1, Some("unikernel")));

    let server = network.host("10.0.0.1/24", Link::default());
    network.serve(&server, 7, echo);
    network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
}

#[test]
fn dhcp_waits_for_a_server_and_survives_loss() {
    let (mut network, dhcp, client) = dhcp_network(offer([10, 0, 0, 2], 3600));
    dhcp.set_silent(true);
    let waited = network.run(future::or(async { client.net.ready().await.map(|_| true) }, async {
        client.net.sleep(secs(30)).await;
        Ok(false)
    }));
    assert_eq!(waited.unwrap(), Ok(false));
    dhcp.set_silent(false);
    network.set_link(client.port, Link::new(Duration::from_millis(1), 0.5));
    network.run(client.net.ready()).unwrap().unwrap();
}

#[test]
fn a_lease_is_renewed_and_connections_live() {
    let (mut network, dhcp, client) = dhcp_network(offer([10, 0, 0, 2], 600));
    network.run(client.net.ready()).unwrap().unwrap();
    let server = network.host("10.0.0.1/24", Link::default());
    network.serve(&server, 7, echo);
    let mut stream = network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
    network.run_for(secs(3000)).unwrap();
    assert!((9..=12).contains(&dhcp.requests()), "{}", dhcp.requests());
    dhcp.set_offer(DhcpOffer {
        dns_servers: vec![Ipv4Addr::new(10, 0, 0, 9)],
        ..offer([10, 0, 0, 2], 600)
    });
    network.run_for(secs(400)).unwrap();
    assert_eq!(client.net.configuration().dns_servers[1], IpAddr::from([10, 0, 0, 9]));
    network
        .run(async {
            stream.write_all(b"still").await.unwrap();
            stream.read_exact(&mut [0; 5]).await.unwrap();
        })
        .unwrap();
}

#[test]
fn a_changed_address_ends_connections_and_a_lost_lease_all() {
    let (mut network, dhcp, client) = dhcp_network(offer([10, 0, 0, 2], 600));
    network.run(client.net.ready()).unwrap().unwrap();
    let server = network.host("10.0.0.1/24", Link::default());
    network.serve(&server, 7, echo);
    let mut stream = network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
    // The renewal of the old address is refused; a new one is given.
    dhcp.set_offer(offer([10, 0, 0, 5], 600));
    let error = network.run(stream.read(&mut [0; 1])).unwrap().unwrap_err();
    assert_eq!(Error::from_io(error), Error::NoAddress);
    drop(stream);
    let configuration = network.run(client.net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses[0].to_string(), "10.0.0.5/24");
    network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();

    dhcp.set_silent(true);
    network.run_for(secs(700)).unwrap();
    assert_eq!(client.net.configuration().addresses, []);
    let error = network.run(client.net.tcp_connect(remote(7))).unwrap();
    assert_eq!(error.map(|_| ()).unwrap_err(), Error::NoAddress);
    dhcp.set_silent(false);
    network.run(client.net.ready()).unwrap().unwrap();
}

#[test]
fn a_link_that_returns_has_the_server_asked_again_and_connections_live() {
    let (mut network, dhcp, client) = dhcp_network(offer([10, 0, 0, 2], 3600));
    network.run(client.net.ready()).unwrap().unwrap();
    let server = network.host("10.0.0.1/24", Link::default());
    network.serve(&server, 7, echo);
    let mut stream = network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
    network.set_link(client.port, Link::cut());
    network.run_for(secs(5)).unwrap();
    network.set_link(client.port, Link::default());
    dhcp.set_offer(DhcpOffer {
        dns_servers: vec![Ipv4Addr::new(10, 0, 0, 9)],
        ..offer([10, 0, 0, 2], 3600)
    });
    client.net.link_returned(secs(5));
    assert_eq!(client.net.configuration().addresses.len(), 1, "it is not given up meanwhile");
    network
        .run(async {
            stream.write_all(b"still").await.unwrap();
            stream.read_exact(&mut [0; 5]).await.unwrap();
        })
        .unwrap();
    network.run_for(secs(1)).unwrap();
    assert_eq!(dhcp.requests(), 2);
    assert_eq!(client.net.configuration().dns_servers[1], IpAddr::from([10, 0, 0, 9]));

    // At another network's end there is another address.
    dhcp.set_offer(offer([10, 0, 0, 5], 3600));
    client.net.link_returned(secs(1));
    let error = network.run(stream.read(&mut [0; 1])).unwrap().unwrap_err();
    assert_eq!(Error::from_io(error), Error::NoAddress);
    let configuration = network.run(client.net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses[0].to_string(), "10.0.0.5/24");
}

#[test]
fn a_link_that_returns_without_a_server_keeps_the_address_while_the_lease_is_sure() {
    for (absence, kept) in [(0, 300), (100, 200), (299, 1)] {
        let (mut network, dhcp, client) = dhcp_network(offer([10, 0, 0, 2], 600));
        network.run(client.net.ready()).unwrap().unwrap();
        dhcp.set_silent(true);
        client.net.link_returned(secs(absence));
        network.run_for(secs(kept) - Duration::from_millis(1)).unwrap();
        assert_eq!(client.net.configuration().addresses.len(), 1);
        network.run_for(Duration::from_millis(2)).unwrap();
        assert_eq!(client.net.configuration().addresses, []);
        dhcp.set_silent(false);
        network.run(client.net.ready()).unwrap().unwrap();
    }
}

#[test]
fn another_server_takes_the_lease_over() {
    let (mut network, first, client) = dhcp_network(offer([10, 0, 0, 2], 800));
    network.run(client.net.ready()).unwrap().unwrap();
    let second = Dhcp::new(Ipv4Addr::new(10, 0, 0, 4), offer([10, 0, 0, 2], 800));
    network.peer(second.clone(), Link::default());
    first.set_silent(true);
    // Renewing asks the first one alone, until seven eighths of the lease (RFC 2131 §4.4.5).
    network.run_for(secs(690)).unwrap();
    assert_eq!(second.requests(), 0);
    network.run_for(secs(20)).unwrap();
    assert_eq!(second.requests(), 1);
    let server = client.net.configuration().dhcp_server;
    assert_eq!(server, Some(Ipv4Addr::new(10, 0, 0, 4)));
    network.run_for(secs(5000)).unwrap();
    assert_eq!(client.net.configuration().addresses[0].to_string(), "10.0.0.2/24");
}

#[test]
fn the_mtu_that_a_server_names() {
    for (mtu, expected) in [(576, 576), (575, 1500), (1400, 1400), (1501, 1500), (0, 1500)] {
        let offer = DhcpOffer { mtu: Some(mtu), ..offer([10, 0, 0, 2], 600) };
        let (mut network, dhcp, client) = dhcp_network(offer.clone());
        let configuration = network.run(client.net.ready()).unwrap().unwrap();
        assert_eq!(configuration.mtu, Some(expected), "{mtu}");
        let server = network.host("10.0.0.1/24", Link::default());
        network.serve(&server, 7, echo);
        let mut stream = network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
        // The connection survives the change.
        dhcp.set_offer(DhcpOffer { mtu: Some(1300), ..offer });
        network.run_for(secs(400)).unwrap();
        assert_eq!(client.net.configuration().mtu, Some(1300));
        network
            .run(async {
                stream.write_all(&[7; 20_000]).await.unwrap();
                stream.read_exact(&mut [0; 20_000]).await.unwrap();
                let udp = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
                let error = udp.send_to(&[0; 1273], remote(7)).await.unwrap_err();
                assert_eq!(error, Error::MessageTooLarge { len: 1273, max: 1272 });
            })
            .unwrap();
    }
}

#[test]
fn a_dns_server_for_tests() {
    let (mut network, server, client) = pair(1, Link::default());
    let names = BTreeMap::from([("a.test".to_owned(), Ipv4Addr::new(192, 0, 2, 7))]);
    network.spawn(serve_dns(server, names));
    let query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01";
    network
        .run(async {
            let socket = client.net.udp_bind(None, IpVersion::V4).await.unwrap();
            socket.send_to(query, remote(53)).await.unwrap();
            let mut buf = [0; 512];
            let (len, _) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!(buf[..2], query[..2]);
            assert_eq!(buf[len - 4..len], [192, 0, 2, 7]);
        })
        .unwrap();
}

#[test]
fn link_local_only() {
    let mut network = Network::new(1);
    let mut config = network.config("10.0.0.1/24");
    config.ipv4 = Ipv4::Off;
    config.ipv6 = Ipv6::LinkLocal;
    let host = network.host_with(config, Link::default()).unwrap();
    let configuration = network.run(host.net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses.len(), 1);
    let error = network.run(host.net.tcp_connect(remote(1))).unwrap().map(|_| ()).unwrap_err();
    assert_eq!(error, Error::AddressFamily(IpVersion::V4));
}
