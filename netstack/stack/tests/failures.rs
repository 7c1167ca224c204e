//! What goes wrong on the simulated wire, and how it is told.
#![allow(clippy::unwrap_used)] // tests

mod hosts;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use hosts::{echo, pair, pattern, remote};
use stack::sim::{Link, Network, Router, Verdict};
use stack::smol::{Config, Ipv4, Stack, SystemClock};
use stack::{Error, Instant, IpVersion, Net, Unreachable};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Connects and returns the error.
fn failure(network: &mut Network, net: &impl Net, remote: SocketAddr) -> Error {
    network.run(net.tcp_connect(remote)).unwrap().map(|_| ()).unwrap_err()
}

#[test]
fn refused() {
    let (mut network, _server, client) = pair(1, Link::default());
    assert_eq!(failure(&mut network, &client.net, remote(81)), Error::Refused);
    assert_eq!(failure(&mut network, &client.net, remote(0)), Error::Refused);
    assert!(network.now() < Instant::from_millis(10));
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn what_has_no_route_fails_at_once() {
    let (mut network, _server, client) = pair(1, Link::default());
    for (addr, expected) in [
        ("192.0.2.1:80", Error::Unreachable(Unreachable::NoRoute)),
        ("127.0.0.1:80", Error::Unreachable(Unreachable::NoRoute)),
        ("0.0.0.0:80", Error::Unreachable(Unreachable::NoRoute)),
        ("10.0.0.2:80", Error::Unreachable(Unreachable::NoRoute)),
        ("10.0.0.255:80", Error::Unreachable(Unreachable::NoRoute)),
        ("255.255.255.255:80", Error::Unreachable(Unreachable::NoRoute)),
        ("224.0.0.1:80", Error::Unreachable(Unreachable::NoRoute)),
        ("[2001:db8::1]:80", Error::AddressFamily(IpVersion::V6)),
    ] {
        assert_eq!(failure(&mut network, &client.net, addr.parse().unwrap()), expected, "{addr}");
    }
    assert_eq!(network.now(), Instant::ZERO);
    assert_eq!((network.traffic().sent, client.net.sockets()), (0, 0));
}

#[test]
fn without_a_device() {
    let config = Config::new([2, 0, 0, 0, 0, 1], Box::new(|octets| octets.fill(1)));
    let net: Stack<stack::sim::Port> = Stack::new(config, None, SystemClock::new()).unwrap();
    let mut network = Network::new(1);
    assert_eq!(network.run(net.ready()).unwrap(), Err(Error::NoDevice));
    assert_eq!(failure(&mut network, &net, remote(80)), Error::NoDevice);
    let udp = network.run(net.udp_bind(None, IpVersion::V4)).unwrap();
    assert_eq!(udp.map(|_| ()).unwrap_err(), Error::NoDevice);
    let raw = network.run(net.raw_open(1, IpVersion::V4)).unwrap();
    assert_eq!(raw.map(|_| ()).unwrap_err(), Error::NoDevice);
    assert_eq!(net.tcp_listen(80, 1).map(|_| ()).unwrap_err(), Error::NoDevice);
}

#[test]
fn icmp_errors_have_their_names() {
    for (code, expected) in [
        (0, Unreachable::Network),
        (1, Unreachable::Host),
        (2, Unreachable::Protocol),
        (3, Unreachable::Port),
        (10, Unreachable::Prohibited),
        (13, Unreachable::Prohibited),
    ] {
        let mut network = Network::new(1);
        let client = network.host("10.0.0.2/24 via 10.0.0.254", Link::default());
        let router = Router::new(Ipv4Addr::new(10, 0, 0, 254), move |_| Verdict::Unreachable(code));
        network.peer(router, Link::default());
        let far = "192.0.2.1:80".parse().unwrap();
        let error = failure(&mut network, &client.net, far);
        assert_eq!(error, Error::Unreachable(expected), "code {code}");
        assert!(network.now() < Instant::from_millis(10));
        assert_eq!(client.net.sockets(), 0);
    }
}

#[test]
fn an_icmp_error_does_not_end_an_open_connection() {
    let (mut network, server, client) = pair(1, Link::default());
    network.serve(&server, 7, echo);
    // Answers every segment of the client with "host unreachable".
    network.peer(
        |_, frame: &[u8]| {
            if frame[12..14] != [8, 0] || frame[23] != 6 || frame[29] != 2 {
                return vec![];
            }
            let mut error = vec![0u8; 14 + 20 + 8];
            error[..6].copy_from_slice(&frame[6..12]);
            error[12..14].copy_from_slice(&[8, 0]);
            error[14..26].copy_from_slice(&[0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0]);
            error[26..34].copy_from_slice(&[10, 0, 0, 9, 10, 0, 0, 2]);
            error[34] = 3;
            error[35] = 1;
            error.extend_from_slice(&frame[14..42]);
            checksum(&mut error[14..34], 10);
            checksum(&mut error[34..], 2);
            vec![error]
        },
        Link::new(Duration::from_millis(1), 0.0),
    );
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(7)).await.unwrap();
            for _ in 0..10 {
                stream.write_all(b"ping").await.unwrap();
                stream.read_exact(&mut [0; 4]).await.unwrap();
                client.net.sleep(Duration::from_millis(10)).await;
            }
        })
        .unwrap();
}

/// Fills the Internet checksum at `at` (RFC 1071).
fn checksum(octets: &mut [u8], at: usize) {
    let sum: u32 = octets.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    octets[at..at + 2].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

#[test]
fn a_neighbour_that_does_not_answer() {
    let (mut network, _server, client) = pair(1, Link::default());
    let absent: SocketAddr = "10.0.0.77:80".parse().unwrap();
    let error = failure(&mut network, &client.net, absent);
    assert_eq!(error, Error::Unreachable(Unreachable::NoNeighbor(absent.ip())));
    assert!(network.now() <= Instant::from_millis(3100), "{}", network.now());
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn a_router_that_does_not_answer() {
    let mut network = Network::new(1);
    let client = network.host("10.0.0.2/24 via 10.0.0.254", Link::default());
    let router = "10.0.0.254".parse().unwrap();
    let error = failure(&mut network, &client.net, "192.0.2.1:80".parse().unwrap());
    assert_eq!(error, Error::Unreachable(Unreachable::NoNeighbor(router)));
    // It is found as soon as it is there.
    network.peer(
        Router::new(Ipv4Addr::new(10, 0, 0, 254), |_| Verdict::Unreachable(1)),
        Link::default(),
    );
    let error = failure(&mut network, &client.net, "192.0.2.1:80".parse().unwrap());
    assert_eq!(error, Error::Unreachable(Unreachable::Host));
}

#[test]
fn a_silent_peer_times_out() {
    let mut network = Network::new(1);
    let client = network.host("10.0.0.2/24 via 10.0.0.254", Link::default());
    network.peer(Router::new(Ipv4Addr::new(10, 0, 0, 254), |_| Verdict::Drop), Link::default());
    let error = failure(&mut network, &client.net, "192.0.2.1:80".parse().unwrap());
    assert_eq!(error, Error::TimedOut);
    assert_eq!(network.now(), Instant::from_millis(180_000));
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn a_dropped_attempt_sends_nothing_more() {
    let mut network = Network::new(1);
    let client = network.host("10.0.0.2/24 via 10.0.0.254", Link::default());
    let syns = Arc::new(Mutex::new(0));
    let counted = syns.clone();
    network.peer(
        Router::new(Ipv4Addr::new(10, 0, 0, 254), move |_| {
            *counted.lock().unwrap() += 1;
            Verdict::Drop
        }),
        Link::default(),
    );
    let attempt = client.net.tcp_connect("192.0.2.1:80".parse().unwrap());
    let given_up = network.run(future::or(async { attempt.await.map(|_| ()) }, async {
        client.net.sleep(secs(2)).await;
        Err(Error::TimedOut)
    }));
    assert_eq!(given_up.unwrap(), Err(Error::TimedOut));
    assert_eq!(*syns.lock().unwrap(), 2, "the first and one a second later");
    assert_eq!(client.net.sockets(), 0);
    network.run_for(secs(300)).unwrap();
    assert_eq!(*syns.lock().unwrap(), 2);
}

#[test]
fn an_attempt_dropped_when_answered_resets() {
    let (mut network, server, client) = pair(1, Link::default());
    let seen = Arc::new(Mutex::new(None));
    let place = seen.clone();
    network.serve(&server, 7, move |mut stream| {
        let place = place.clone();
        async move {
            let error = stream.read(&mut [0; 1]).await.unwrap_err();
            *place.lock().unwrap() = Some(Error::from_io(error));
        }
    });
    // Learn the neighbour first, so that 500 µs end between SYN-ACK's departure and arrival.
    let mut stream = network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
    network.run_for(secs(1)).unwrap();
    stream.abort();
    drop(stream);
    network.run_for(secs(1)).unwrap();
    assert_eq!(seen.lock().unwrap().take(), Some(Error::Reset));
    for micros in [50, 150, 250, 350, 399, 400] {
        network
            .run(async {
                let mut attempt = client.net.tcp_connect(remote(7));
                let _ = future::poll_once(&mut attempt).await;
                client.net.sleep(Duration::from_micros(micros)).await;
            })
            .unwrap();
        network.run_for(secs(1)).unwrap();
        assert_eq!(client.net.sockets(), 0, "{micros}");
        assert_eq!(server.net.sockets(), 0, "{micros}");
    }
}

#[test]
fn reset_by_the_peer() {
    let (mut network, server, client) = pair(1, Link::default());
    // Leaves octets unread, which resets (RFC 2525 §2.17).
    network.serve(&server, 1, |mut stream| async move {
        stream.read_exact(&mut [0; 1]).await.unwrap();
    });
    network.serve(&server, 2, |mut stream| async move {
        stream.write_all(b"half an ans").await.unwrap();
        stream.read_exact(&mut [0; 1]).await.unwrap();
        stack::TcpStream::abort(&mut stream);
    });
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            stream.write_all(b"two octets, and more").await.unwrap();
            let error = stream.read(&mut [0; 9]).await.unwrap_err();
            assert_eq!(Error::from_io(error), Error::Reset);
            let error = stream.write(b"more").await.unwrap_err();
            assert_eq!(Error::from_io(error), Error::Reset);

            let mut stream = client.net.tcp_connect(remote(2)).await.unwrap();
            client.net.sleep(secs(1)).await;
            stream.write_all(b"!").await.unwrap();
            client.net.sleep(secs(1)).await;
            let mut answer = [0; 64];
            let len = stream.read(&mut answer).await.unwrap();
            assert_eq!(&answer[..len], b"half an ans", "what came before is not lost");
            let error = stream.read(&mut answer).await.unwrap_err();
            assert_eq!(Error::from_io(error), Error::Reset);
        })
        .unwrap();
    network.run_for(secs(100)).unwrap();
    assert_eq!((client.net.sockets(), server.net.sockets()), (0, 0));
}

#[test]
fn a_connection_whose_peer_vanishes_times_out() {
    let (mut network, server, client) = pair(1, Link::default());
    network.serve(&server, 7, echo);
    let mut stream = network.run(client.net.tcp_connect(remote(7))).unwrap().unwrap();
    network.set_link(server.port, Link::cut());
    let start = network.now();
    let error = network
        .run(async {
            stream.write_all(b"anybody?").await.unwrap();
            stream.read(&mut [0; 9]).await.unwrap_err()
        })
        .unwrap();
    assert_eq!(Error::from_io(error), Error::TimedOut);
    assert!((secs(119)..secs(125)).contains(&(network.now() - start)));
    drop(stream);
    network.run_for(secs(10)).unwrap();
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn dropped_octets_are_still_delivered() {
    let (mut network, server, client) = pair(1, Link::new(Duration::from_millis(20), 0.05));
    let received = Arc::new(Mutex::new(Vec::new()));
    let place = received.clone();
    network.serve(&server, 1, move |mut stream| {
        let place = place.clone();
        async move {
            let mut data = Vec::new();
            stream.read_to_end(&mut data).await.unwrap();
            *place.lock().unwrap() = data;
        }
    });
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            stream.write_all(&pattern(100_000, 1)).await.unwrap();
            drop(stream);
            assert_eq!(client.net.sockets(), 1);
            client.net.settle().await;
        })
        .unwrap();
    network.run_for(secs(1)).unwrap();
    assert!(*received.lock().unwrap() == pattern(100_000, 1));
    network.run_for(secs(200)).unwrap();
    assert_eq!((client.net.sockets(), server.net.sockets()), (0, 0));
}

#[test]
fn lingering_is_bounded() {
    // The peer neither reads nor closes, and then is gone.
    let (mut network, server, client) = pair(1, Link::default());
    network.serve(&server, 1, |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let mut stream = network.run(client.net.tcp_connect(remote(1))).unwrap().unwrap();
    network.run(stream.write_all(b"data")).unwrap().unwrap();
    drop(stream);
    let start = network.now();
    network.run(client.net.settle()).unwrap();
    assert!(network.now() - start < secs(1), "what was to be delivered is");
    network.run_for(secs(50)).unwrap();
    assert_eq!(client.net.sockets(), 1);
    network.run_for(secs(30)).unwrap();
    assert_eq!(client.net.sockets(), 0);

    let mut stream = network.run(client.net.tcp_connect(remote(1))).unwrap().unwrap();
    network.set_link(server.port, Link::cut());
    network.run(stream.write_all(b"data")).unwrap().unwrap();
    drop(stream);
    network.run_for(secs(100)).unwrap();
    assert_eq!(client.net.sockets(), 0);
}

#[test]
fn a_listener_resets_what_nobody_accepted() {
    let (mut network, server, client) = pair(1, Link::default());
    let listener = server.net.tcp_listen(1, 2).unwrap();
    assert_eq!(server.net.tcp_listen(1, 2).map(|_| ()).unwrap_err(), Error::AddressInUse(1));
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(network.run(client.net.tcp_connect(remote(1))).unwrap().unwrap());
    }
    network.run_for(secs(1)).unwrap();
    // The backlog is full.
    assert_eq!(failure(&mut network, &client.net, remote(1)), Error::Refused);
    let accepted = network.run(listener.accept()).unwrap().unwrap();
    drop(listener);
    network.run_for(secs(1)).unwrap();
    let errors: Vec<Error> = streams[1..]
        .iter_mut()
        .map(|s| Error::from_io(network.run(s.read(&mut [0; 1])).unwrap().unwrap_err()))
        .collect();
    assert_eq!(errors, [Error::Reset]);
    assert_eq!(failure(&mut network, &client.net, remote(1)), Error::Refused);
    drop(accepted);
    assert_eq!(network.run(streams[0].read(&mut [0; 1])).unwrap().unwrap(), 0);
    drop(streams);
    network.run_for(secs(100)).unwrap();
    assert_eq!((client.net.sockets(), server.net.sockets()), (0, 0));
}

#[test]
fn shutdown_read_and_abort() {
    let (mut network, server, client) = pair(1, Link::default());
    network.serve(&server, 1, |mut stream| async move {
        // More than the client's window, so that throwing away is what lets it end.
        let _ = stream.write_all(&vec![0; 2 << 20]).await;
    });
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            stream.shutdown_read();
            assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
            client.net.sleep(secs(60)).await;
            drop(stream);
            client.net.settle().await;

            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            stream.abort();
            let error = stream.read(&mut [0; 9]).await.unwrap_err();
            assert_eq!(Error::from_io(error), Error::Closed);
            let error = stream.write(&[0; 9]).await.unwrap_err();
            assert_eq!(Error::from_io(error), Error::Closed);
        })
        .unwrap();
    network.run_for(secs(200)).unwrap();
    assert_eq!((client.net.sockets(), server.net.sockets()), (0, 0));
}

#[test]
fn static_addresses_need_no_waiting() {
    let mut network = Network::new(1);
    let client = network.host("10.0.0.2/24 via 10.0.0.1", Link::default());
    let configuration = network.run(client.net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses[0].to_string(), "10.0.0.2/24");
    assert_eq!(configuration.gateways, [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!((configuration.mtu, configuration.mac), (Some(1500), Some([2, 0, 0, 0, 0, 1])));
    let mut config = network.config("10.0.0.2/24");
    config.ipv4 = Ipv4::Off;
    let off = network.host_with(config, Link::default()).unwrap();
    let error = failure(&mut network, &off.net, remote(1));
    assert_eq!(error, Error::AddressFamily(IpVersion::V4));
}
