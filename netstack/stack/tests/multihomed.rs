//! A host in two networks, over the simulated wire: what goes where, and what is waited for.
#![allow(clippy::unwrap_used)] // tests

mod hosts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use hosts::echo;
use stack::sim::{Dhcp, DhcpOffer, Host, Link, Network};
use stack::smol::{Config, Stack, SystemClock};
use stack::{Error, Instant, IpVersion, Multihomed, Net};

/// The client in 10.0.2.0/24 and 10.9.0.0/24, where there is a server each, at 2.
struct World {
    network: Network,
    net: Arc<dyn Net>,
    servers: [Host; 2],
}

fn world(first: Option<&str>, second: Option<&str>) -> World {
    let mut network = Network::new(1);
    let servers = ["10.0.2.2/24", "10.9.0.2/24"].map(|address| {
        let server = network.host(address, Link::default());
        network.serve(&server, 7, echo);
        server
    });
    let mut client = |address: Option<&str>| {
        let config = match address {
            Some(address) => network.config(address),
            None => network.dhcp_config(),
        };
        Arc::new(network.host_with(config, Link::default()).unwrap().net) as Arc<dyn Net>
    };
    let (first, second) = (client(first), client(second));
    World { network, net: Arc::new(Multihomed::new(first, [second])), servers }
}

#[test]
fn each_network_serves_its_destinations() {
    let World { mut network, net, .. } =
        world(Some("10.0.2.15/24 via 10.0.2.254"), Some("10.9.0.15/24"));
    let configuration = network.run(net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses.len(), 2);
    for (remote, own) in [("10.0.2.2:7", "10.0.2.15"), ("10.9.0.2:7", "10.9.0.15")] {
        let mut stream = network.run(net.tcp_connect(remote.parse().unwrap())).unwrap().unwrap();
        assert_eq!(stream.local_addr().ip().to_string(), own);
        let octets = async {
            stream.write_all(b"ping").await.unwrap();
            let mut octets = [0; 4];
            stream.read_exact(&mut octets).await.unwrap();
            octets
        };
        assert_eq!(&network.run(octets).unwrap(), b"ping");
    }
    // by way of the first one's router, which is not there
    let attempt = network.run(net.tcp_connect("192.0.2.1:7".parse().unwrap())).unwrap();
    assert!(attempt.err().unwrap().to_string().contains("10.0.2.254"));
    network.run(net.settle()).unwrap();
}

#[test]
fn one_socket_sends_datagrams_into_both() {
    let World { mut network, net, servers } = world(Some("10.0.2.15/24"), Some("10.9.0.15/24"));
    for server in servers {
        network.spawn(async move {
            let socket = server.net.udp_bind(Some(9), IpVersion::V4).await.unwrap();
            while let Ok((len, from)) = socket.recv_from(&mut [0; 64]).await {
                socket.send_to(&vec![b'.'; len], from).await.unwrap();
            }
        });
    }
    network
        .run(async {
            let socket = net.udp_bind(None, IpVersion::V4).await.unwrap();
            for (remote, len) in [("10.0.2.2:9", 3), ("10.9.0.2:9", 5), ("10.0.2.2:9", 7)] {
                let remote: SocketAddr = remote.parse().unwrap();
                socket.send_to(&vec![0; len], remote).await.unwrap();
                assert_eq!(socket.recv_from(&mut [0; 64]).await, Ok((len, remote)));
            }
            let error = net.udp_bind(None, IpVersion::V6).await.err();
            assert_eq!(error, Some(Error::AddressFamily(IpVersion::V6)));
        })
        .unwrap();
}

fn dhcp(network: &mut Network) {
    let offer =
        DhcpOffer { dns_servers: vec![[10, 0, 2, 2].into()], ..DhcpOffer::new([10, 0, 2, 15]) };
    network.peer(Dhcp::new("10.0.2.3".parse().unwrap(), offer), Link::default());
}

#[test]
fn the_first_network_is_waited_for_while_it_may_come() {
    // the second is there at once; the first's server answers
    let World { mut network, net, .. } = world(None, Some("10.9.0.15/24"));
    dhcp(&mut network);
    let configuration = network.run(net.ready()).unwrap().unwrap();
    let addresses: Vec<_> = configuration.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.2.15/24", "10.9.0.15/24"]);
    assert_eq!(configuration.dns_servers.len(), 1);
    assert!(network.now() < Instant::from_millis(100), "{}", network.now());

    // it does not; the change that comes later is told
    let World { mut network, net, .. } = world(None, Some("10.9.0.15/24"));
    let configuration = network.run(net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses.len(), 1);
    let at = (network.now() - Instant::ZERO).as_secs();
    assert_eq!(at, 6);
    dhcp(&mut network);
    let changed = network.run(net.changed(configuration)).unwrap();
    assert_eq!(changed.addresses.len(), 2);
    assert_eq!(net.configuration(), changed);
}

#[test]
fn the_second_network_is_waited_for_too() {
    let World { mut network, net, .. } = world(Some("10.0.2.15/24 via 10.0.2.254"), None);
    let offer = DhcpOffer::new([10, 9, 0, 15]);
    let late = Link::new(Duration::from_millis(100), 0.0);
    network.peer(Dhcp::new("10.9.0.3".parse().unwrap(), offer), late);
    let configuration = network.run(net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses.len(), 2);
    // not by the first one's router
    let stream = network.run(net.tcp_connect("10.9.0.2:7".parse().unwrap())).unwrap().unwrap();
    assert_eq!(stream.local_addr().ip().to_string(), "10.9.0.15");

    // where no server answers, for as long as silence means nothing
    let World { mut network, net, .. } = world(Some("10.0.2.15/24"), None);
    let configuration = network.run(net.ready()).unwrap().unwrap();
    assert_eq!(configuration.addresses.len(), 1);
    assert_eq!((network.now() - Instant::ZERO).as_secs(), 6);
}

#[test]
fn without_any_device_it_fails_at_once() {
    let none = || {
        let config = Config::new([2, 0, 0, 0, 0, 1], Box::new(|_| {}));
        Arc::new(Stack::<stack::sim::Port>::new(config, None, SystemClock::new()).unwrap())
    };
    let both = Multihomed::new(none(), [none() as Arc<dyn Net>]);
    let ready = future::block_on(future::poll_once(both.ready()));
    assert_eq!(ready, Some(Err(Error::NoDevice)));
}
