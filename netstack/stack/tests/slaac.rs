//! IPv6 addresses, routers and name servers by router advertisements, over the simulated wire.
#![allow(clippy::unwrap_used)] // tests

mod hosts;
mod router;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use hosts::echo;
use router::{Ra, Router, addr, all_nodes, icmp_type, icmpv6_frame, mac};
use stack::sim::{Dhcp, DhcpOffer, Host, Link, Network};
use stack::smol::{Ipv4, Ipv6};
use stack::{Error, Instant, IpVersion, Net, Unreachable};

const HOUR: u32 = 3600;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A host for IPv6 alone that waits for a router.
fn auto(network: &mut Network) -> Host {
    let mut config = network.dhcp_config();
    (config.ipv4, config.ipv6) = (Ipv4::Off, Ipv6::Auto);
    network.host_with(config, Link::default()).unwrap()
}

/// A network with router 1 and a host, the second port: 02::2.
fn start(seed: u64) -> (Network, Router, Host) {
    let mut network = Network::new(seed);
    let router = Router::new(&mut network, 1);
    let host = auto(&mut network);
    (network, router, host)
}

fn addresses(host: &Host) -> Vec<String> {
    host.net.configuration().addresses.iter().map(ToString::to_string).collect()
}

fn servers(host: &Host) -> Vec<String> {
    host.net.configuration().dns_servers.iter().map(ToString::to_string).collect()
}

fn gateways(host: &Host) -> Vec<IpAddr> {
    host.net.configuration().gateways
}

fn connect(network: &mut Network, host: &Host, remote: &str) -> Result<(), Error> {
    let attempt = host.net.tcp_connect(remote.parse().unwrap());
    network.run(attempt).unwrap().map(|_| ())
}

fn full() -> Ra {
    Ra::new(1800)
        .prefix("2001:db8:1::", HOUR, HOUR / 2)
        .mtu(1400)
        .servers(&["2001:db8:1::53", "fe80::1"], 600)
        .domain("example.test", 600)
}

#[test]
fn a_router_configures_everything() {
    let (mut network, router, host) = start(1);
    router.answer(&full());
    assert_eq!(connect(&mut network, &host, "[2001:db8:1::9]:7"), Err(Error::NoAddress));
    let configuration = network.run(host.net.ready()).unwrap().unwrap();
    // One question, a second of silence.
    assert!((1_000_000..1_002_000).contains(&network.now().as_micros()), "{}", network.now());
    assert_eq!(addresses(&host), ["2001:db8:1::ff:fe00:2/64", "fe80::ff:fe00:2/64"]);
    assert_eq!(configuration.gateways, [IpAddr::from(addr(1))]);
    assert_eq!(servers(&host), ["2001:db8:1::53", "fe80::1"]);
    assert_eq!(configuration.domain.as_deref(), Some("example.test"));
    assert_eq!(configuration.search_domains, ["example.test"]);
    assert_eq!(configuration.mtu, Some(1400));

    let server = network.host("2001:db8:1::9/64", Link::default());
    network.serve(&server, 7, echo);
    network
        .run(async {
            let remote = "[2001:db8:1::9]:7".parse().unwrap();
            let mut stream = host.net.tcp_connect(remote).await.unwrap();
            assert_eq!(stream.local_addr().ip().to_string(), "2001:db8:1::ff:fe00:2");
            stream.write_all(&[7; 5000]).await.unwrap();
            stream.read_exact(&mut [0; 5000]).await.unwrap();
            let udp = host.net.udp_bind(None, IpVersion::V6).await.unwrap();
            let error = udp.send_to(&[0; 1353], remote).await.unwrap_err();
            assert_eq!(error, Error::MessageTooLarge { len: 1353, max: 1352 });
        })
        .unwrap();
    let longest = router.take_heard().iter().map(|(_, frame)| frame.len()).max();
    assert_eq!(longest, Some(1414), "segments fill the MTU and do not exceed it");
}

#[test]
fn an_address_is_not_used_before_it_is_known_to_be_free() {
    let (mut network, router, host) = start(1);
    router.answer(&full());
    network.run_for(Duration::from_millis(999)).unwrap();
    assert_eq!(addresses(&host), Vec::<String>::new());
    let heard = router.take_heard();
    let from_nowhere = |frame: &[u8]| frame[22..38] == [0; 16];
    assert!(heard.iter().all(|(_, frame)| from_nowhere(frame)));
    let types: Vec<_> = heard.iter().filter_map(|(_, frame)| icmp_type(frame)).collect();
    // Two addresses and a router.
    assert_eq!(types, [135, 133, 135]);
    network.run_for(Duration::from_millis(3)).unwrap();
    assert_eq!(addresses(&host).len(), 2);
}

#[test]
fn a_new_address_holds_up_no_connection() {
    let mut network = Network::new(1);
    let server = network.host("10.0.0.1/24", Link::default());
    network.serve(&server, 7, echo);
    let mut config = network.config("10.0.0.2/24");
    // asked about for a second, then ours
    (config.ipv6, config.dad_transmits) = (Ipv6::LinkLocal, 1);
    let client = network.host_with(config, Link::default()).unwrap();
    let longest = network.run(async {
        let net = &client.net;
        // the neighbour is asked for less than a second before it is forgotten
        net.sleep(Duration::from_millis(500)).await;
        let mut stream = net.tcp_connect("10.0.0.1:7".parse().unwrap()).await.unwrap();
        let mut longest = Duration::ZERO;
        while net.now() < Instant::from_millis(2500) {
            let start = net.now();
            stream.write_all(b"?").await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
            longest = longest.max(net.now() - start);
            net.sleep(Duration::from_millis(1)).await;
        }
        longest
    });
    assert_eq!(addresses(&client).len(), 2);
    assert!(longest.unwrap() < Duration::from_millis(10), "{longest:?}");
}

#[test]
fn questions_about_an_address_can_be_many_or_none() {
    for (count, millis) in [(0, 1), (1, 1001), (3, 3001)] {
        let mut network = Network::new(1);
        let router = Router::new(&mut network, 1);
        router.answer(&full());
        let mut config = network.dhcp_config();
        (config.ipv4, config.ipv6, config.dad_transmits) = (Ipv4::Off, Ipv6::Auto, count);
        let host = network.host_with(config, Link::default()).unwrap();
        network.run(host.net.ready()).unwrap().unwrap();
        assert!(network.now() <= Instant::from_millis(millis), "{}", network.now());
        assert!(network.now() >= Instant::from_millis(millis - 1), "{}", network.now());
        let probes = router.take_heard().iter().filter(|(_, f)| icmp_type(f) == Some(135)).count();
        assert_eq!(probes, usize::from(count) * 2);
    }
}

#[test]
fn a_router_that_comes_late_is_asked_for_ever_more_seldom() {
    let (mut network, router, host) = start(1);
    network.run_for(secs(1000)).unwrap();
    assert!(future::block_on(future::poll_once(host.net.ready())).is_none());
    let heard = router.take_heard();
    let asked: Vec<_> = heard.iter().filter(|(_, f)| icmp_type(f) == Some(133)).collect();
    assert_eq!(asked[0].1[22..38], [0; 16], "no address yet");
    assert_eq!(asked[1].1[22..38], "fe80::ff:fe00:2".parse::<Ipv6Addr>().unwrap().octets());
    let waits: Vec<f64> = asked.windows(2).map(|w| (w[1].0 - w[0].0).as_secs_f64()).collect();
    assert_eq!(waits.len(), 8);
    assert!((1.0..1.3).contains(&waits[0]), "once more soon, from an address: {waits:?}");
    for (n, wait) in waits[1..].iter().enumerate() {
        let middle = f64::from(4 << n);
        assert!((middle * 0.9..=middle * 1.1).contains(wait), "{waits:?}");
    }
    router.advertise(&mut network, &full());
    network.run(host.net.ready()).unwrap().unwrap();
    assert_eq!(addresses(&host).len(), 2);
    router.take_heard();
    network.run_for(secs(500)).unwrap();
    assert!(!router.take_heard().iter().any(|(_, f)| icmp_type(f) == Some(133)), "found");
}

#[test]
fn a_new_prefix_is_followed() {
    let (mut network, router, host) = start(1);
    router.answer(&Ra::new(1800).prefix("2001:db8:1::", 3 * HOUR, HOUR));
    network.run(host.net.ready()).unwrap().unwrap();
    let server = network.host("2001:db8:1::9/64", Link::default());
    network.serve(&server, 7, echo);
    let remote: SocketAddr = "[2001:db8:1::9]:7".parse().unwrap();
    let mut stream = network.run(host.net.tcp_connect(remote)).unwrap().unwrap();

    // The old one is said to be over; but nobody can take it away within two hours.
    let known = host.net.configuration();
    let changed = host.net.changed(known);
    let renumbered = Ra::new(1800).prefix("2001:db8:1::", 0, 0).prefix("2001:db8:2::", HOUR, HOUR);
    router.answer(&renumbered);
    router.advertise(&mut network, &renumbered);
    network.run(changed).unwrap();
    network.run_for(secs(2)).unwrap();
    assert_eq!(
        addresses(&host),
        ["2001:db8:2::ff:fe00:2/64", "2001:db8:1::ff:fe00:2/128", "fe80::ff:fe00:2/64"]
    );
    let far: SocketAddr = "[2001:db8:9::1]:7".parse().unwrap();
    router.take_heard();
    let attempt = host.net.tcp_connect(far);
    let limit = host.net.sleep(secs(1));
    network.run(future::or(async { drop(attempt.await) }, limit)).unwrap();
    let heard = router.take_heard();
    let syn = heard.iter().find(|(_, f)| f[20] == 6 && f[38..54] == far_octets(far)).unwrap();
    assert_eq!(syn.1[..6], mac(1), "by way of the router");
    assert_eq!(syn.1[22..30], [0x20, 1, 0x0d, 0xb8, 0, 2, 0, 0], "from the new address");

    // Every half hour the router says it again.
    for _ in 0..3 {
        network.run_for(secs(1500)).unwrap();
        router.advertise(&mut network, &renumbered);
    }
    assert_eq!(addresses(&host).len(), 3);
    network.run_for(secs(7200 - 4500)).unwrap();
    assert_eq!(addresses(&host), ["2001:db8:2::ff:fe00:2/64", "fe80::ff:fe00:2/64"]);
    let error = network.run(stream.read(&mut [0; 1])).unwrap().unwrap_err();
    assert_eq!(Error::from_io(error), Error::NoAddress);
}

fn far_octets(addr: SocketAddr) -> [u8; 16] {
    match addr.ip() {
        IpAddr::V6(addr) => addr.octets(),
        IpAddr::V4(_) => [0; 16],
    }
}

#[test]
fn everything_has_its_end() {
    let (mut network, router, host) = start(1);
    router.answer(
        &Ra::new(100)
            .prefix("2001:db8:1::", 300, 200)
            .servers(&["2001:db8::1"], 50)
            .servers(&["2001:db8::2"], u32::MAX)
            .domain("a.test", 60)
            .domain("b.test", 70),
    );
    network.run(host.net.ready()).unwrap().unwrap();
    router.set_silent(true);
    assert_eq!(servers(&host), ["2001:db8::1", "2001:db8::2"]);
    assert_eq!(host.net.configuration().search_domains, ["a.test", "b.test"]);
    network.run_for(secs(52)).unwrap();
    assert_eq!(servers(&host), ["2001:db8::2"]);
    network.run_for(secs(10)).unwrap();
    assert_eq!(host.net.configuration().domain.as_deref(), Some("b.test"));
    assert_eq!(gateways(&host), [IpAddr::from(addr(1))]);
    router.take_heard();
    network.run_for(secs(45)).unwrap();
    assert_eq!(gateways(&host), [] as [IpAddr; 0]);
    let no_route = Err(Error::Unreachable(Unreachable::NoRoute));
    assert_eq!(connect(&mut network, &host, "[2001:db8:9::1]:7"), no_route);
    let asked = router.take_heard().iter().filter(|(_, f)| icmp_type(f) == Some(133)).count();
    assert!(asked >= 1, "it looks for another router");
    assert_eq!(addresses(&host).len(), 2);
    network.run_for(secs(200)).unwrap();
    assert_eq!(addresses(&host), ["fe80::ff:fe00:2/64"]);
    assert_eq!(connect(&mut network, &host, "[2001:db8:9::1]:7"), Err(Error::NoAddress));
    assert_eq!(servers(&host), ["2001:db8::2"]);
    router.set_silent(false);
    network.run(host.net.ready()).unwrap().unwrap();
    assert_eq!((addresses(&host).len(), servers(&host).len()), (2, 2));
}

#[test]
fn lifetime_zero_ends_it_at_once() {
    let (mut network, router, host) = start(1);
    router.answer(&full());
    network.run(host.net.ready()).unwrap().unwrap();
    let farewell = Ra::new(0).servers(&["fe80::1"], 0).domain("example.test", 0);
    router.advertise(&mut network, &farewell);
    assert_eq!(gateways(&host), [] as [IpAddr; 0]);
    assert_eq!(servers(&host), ["2001:db8:1::53"]);
    assert_eq!(host.net.configuration().domain, None);
    assert_eq!(addresses(&host).len(), 2);
}

#[test]
fn mtus_that_make_no_sense_are_ignored() {
    let (mut network, router, host) = start(1);
    for (mtu, expected) in
        [(1279, 1500), (1501, 1500), (u32::MAX, 1500), (0, 1500), (1280, 1280), (1500, 1500)]
    {
        router.advertise(&mut network, &Ra::new(1800).mtu(mtu));
        assert_eq!(host.net.configuration().mtu, Some(expected), "{mtu}");
    }
}

#[test]
fn an_address_that_another_uses_is_not_used() {
    let target: Ipv6Addr = "2001:db8:1::ff:fe00:2".parse().unwrap();
    let group: Ipv6Addr = "ff02::1:ff00:2".parse().unwrap();
    let mut used = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    used.extend_from_slice(&target.octets());
    let mut wanted = vec![135, 0, 0, 0, 0, 0, 0, 0];
    wanted.extend_from_slice(&target.octets());
    for frame in [
        icmpv6_frame([2, 9, 9, 9, 9, 9], target, all_nodes(), 255, &used),
        icmpv6_frame([2, 9, 9, 9, 9, 9], Ipv6Addr::UNSPECIFIED, group, 255, &wanted),
    ] {
        let (mut network, router, host) = start(1);
        router.answer(&full());
        network.run_for(Duration::from_millis(500)).unwrap();
        network.send(router.port, frame.clone());
        network.run_for(secs(5)).unwrap();
        assert_eq!(addresses(&host), ["fe80::ff:fe00:2/64"]);
        assert_eq!(host.net.configuration().duplicates, [IpAddr::from(target)]);
        assert!(future::block_on(future::poll_once(host.net.ready())).is_none());
        assert_eq!(connect(&mut network, &host, "[2001:db8:9::1]:7"), Err(Error::NoAddress));

        // Later it is ours, and stays so.
        let (mut network, router, host) = start(1);
        router.answer(&full());
        network.run(host.net.ready()).unwrap().unwrap();
        router.take_heard();
        network.send(router.port, frame);
        network.run_for(Duration::from_millis(5)).unwrap();
        assert_eq!(addresses(&host).len(), 2);
    }
}

#[test]
fn two_hosts_that_want_the_same_address() {
    let mut network = Network::new(1);
    let router = Router::new(&mut network, 1);
    router.answer(&full());
    let static_host = |network: &mut Network| {
        let mut config = network.config("2001:db8::5/64");
        config.dad_transmits = 1;
        network.host_with(config, Link::default()).unwrap()
    };
    let first = static_host(&mut network);
    network.run(first.net.ready()).unwrap().unwrap();
    let second = static_host(&mut network);
    network.run_for(secs(3)).unwrap();
    assert_eq!(first.net.configuration().duplicates, [] as [IpAddr; 0]);
    let own = IpAddr::from("2001:db8::5".parse::<Ipv6Addr>().unwrap());
    assert_eq!(second.net.configuration().duplicates, [own], "the first one defends it");

    // At the same time: neither gets it.
    let third = |network: &mut Network| {
        let mut config = network.config("2001:db8::6/64");
        config.dad_transmits = 1;
        network.host_with(config, Link::default()).unwrap()
    };
    let (third, fourth) = (third(&mut network), third(&mut network));
    network.run_for(secs(3)).unwrap();
    for host in [third, fourth] {
        assert_eq!(host.net.configuration().duplicates.len(), 1);
    }
}

#[test]
fn our_own_question_may_come_back() {
    let (mut network, router, host) = start(1);
    router.answer(&full());
    // A switch that returns what it gets (RFC 7527 §1).
    network.peer(
        |_, frame: &[u8]| match icmp_type(frame) {
            Some(135) if frame[22..38] == [0; 16] => vec![frame.to_vec()],
            _ => vec![],
        },
        Link::default(),
    );
    network.run(host.net.ready()).unwrap().unwrap();
    assert_eq!(addresses(&host).len(), 2);
}

#[test]
fn of_two_routers_the_preferred_one_that_answers() {
    let (mut network, first, host) = start(1);
    let second = Router::new(&mut network, 2);
    first.answer(&Ra::new(1800).prefix("2001:db8:1::", HOUR, HOUR));
    network.run(host.net.ready()).unwrap().unwrap();
    assert_eq!(gateways(&host), [IpAddr::from(addr(1))]);
    second.advertise(&mut network, &Ra::new(1800));
    assert_eq!(gateways(&host), [addr(1), addr(2)].map(IpAddr::from));
    // High preference (RFC 4191 §2.1).
    second.advertise(&mut network, &Ra::new(1800).flags(0x08));
    assert_eq!(gateways(&host), [addr(2), addr(1)].map(IpAddr::from));

    // It does not even resolve: the connection goes by way of the other.
    second.set_silent(true);
    let attempt = host.net.tcp_connect("[2001:db8:9::1]:7".parse().unwrap());
    let limit = async {
        host.net.sleep(secs(10)).await;
        Err(Error::TimedOut)
    };
    let error = network.run(future::or(async { attempt.await.map(drop) }, limit)).unwrap();
    assert_eq!(error, Err(Error::TimedOut));
    assert_eq!(gateways(&host), [addr(1), addr(2)].map(IpAddr::from));
    let by_first = |(_, f): &(Instant, Vec<u8>)| f[20] == 6 && f[..6] == mac(1);
    assert!(first.take_heard().iter().any(by_first));

    // When it speaks again, it is believed again.
    second.advertise(&mut network, &Ra::new(1800).flags(0x08));
    assert_eq!(gateways(&host), [addr(2), addr(1)].map(IpAddr::from));
    second.advertise(&mut network, &Ra::new(0));
    assert_eq!(gateways(&host), [IpAddr::from(addr(1))]);
    first.set_silent(true);
    network.run_for(secs(120)).unwrap();
    let error = connect(&mut network, &host, "[2001:db8:9::1]:7");
    let silent = Unreachable::NoNeighbor(addr(1).into());
    assert_eq!(error, Err(Error::Unreachable(silent)), "none is left");
}

#[test]
fn a_prefix_that_is_not_on_the_link_is_reached_by_the_router() {
    let (mut network, router, host) = start(1);
    router.answer(&Ra::new(1800).prefix_with("2001:db8:1::", 64, 0x40, HOUR, HOUR));
    network.run(host.net.ready()).unwrap().unwrap();
    assert_eq!(addresses(&host)[0], "2001:db8:1::ff:fe00:2/128");
    router.take_heard();
    let attempt = host.net.tcp_connect("[2001:db8:1::9]:7".parse().unwrap());
    let limit = host.net.sleep(secs(1));
    network.run(future::or(async { drop(attempt.await) }, limit)).unwrap();
    assert!(router.take_heard().iter().any(|(_, f)| f[20] == 6 && f[..6] == mac(1)));
}

#[test]
fn prefixes_of_no_use_make_no_address() {
    let (mut network, router, host) = start(1);
    for (prefix, len, flags, valid, preferred) in [
        ("2001:db8:1::", 64, 0x80, HOUR, HOUR),
        ("2001:db8:1::", 48, 0xc0, HOUR, HOUR),
        ("2001:db8:1::", 0, 0xc0, HOUR, HOUR),
        ("2001:db8:1::", 255, 0xc0, HOUR, HOUR),
        ("2001:db8:1::", 64, 0xc0, HOUR, HOUR + 1),
        ("2001:db8:1::", 64, 0xc0, 0, 0),
        ("fe80::", 64, 0xc0, HOUR, HOUR),
        ("ff02::", 64, 0xc0, HOUR, HOUR),
        ("::", 64, 0xc0, HOUR, HOUR),
    ] {
        let ra = Ra::new(1800).prefix_with(prefix, len, flags, valid, preferred);
        router.advertise(&mut network, &ra);
        network.run_for(secs(2)).unwrap();
        assert_eq!(addresses(&host), ["fe80::ff:fe00:2/64"], "{prefix}/{len} {valid}");
    }
}

/// RFC 4861 §6.1.2.
#[test]
fn advertisements_that_are_not_valid_are_ignored() {
    let good = full().message;
    let frame = |src: &str, hop_limit, message: &[u8]| {
        icmpv6_frame(mac(1), src.parse().unwrap(), all_nodes(), hop_limit, message)
    };
    let mut checksum = frame("fe80::1", 255, &good);
    checksum[60] ^= 1;
    let mut code = good.clone();
    code[1] = 1;
    let endless = full().option(&[1, 0, 0, 0, 0, 0, 0, 0]).message;
    let cut = full().option(&[1, 2, 0, 0, 0, 0, 0, 0]).message;
    let mut odd = good.clone();
    odd.push(0);
    let mut long = frame("fe80::1", 255, &good);
    long[19] += 1;
    for (why, frame) in [
        ("came through a router", frame("fe80::1", 254, &good)),
        ("from a global address", frame("2001:db8::1", 255, &good)),
        ("from no address", frame("::", 255, &good)),
        ("checksum", checksum),
        ("code", frame("fe80::1", 255, &code)),
        ("shorter than its header", frame("fe80::1", 255, &good[..15])),
        ("an option of length zero", frame("fe80::1", 255, &endless)),
        ("an option beyond the end", frame("fe80::1", 255, &cut)),
        ("half an option", frame("fe80::1", 255, &odd)),
        ("a packet beyond the end", long),
    ] {
        let (mut network, router, host) = start(1);
        network.run_for(secs(2)).unwrap();
        let before = host.net.configuration();
        network.send(router.port, frame);
        network.run_for(secs(2)).unwrap();
        assert_eq!(host.net.configuration(), before, "{why}");
    }
    let (mut network, router, host) = start(1);
    network.send(router.port, frame("fe80::1", 255, &good));
    network.run_for(secs(2)).unwrap();
    assert_eq!(addresses(&host).len(), 2);
}

#[test]
fn both_families() {
    let mut network = Network::new(1);
    let router = Router::new(&mut network, 1);
    router.answer(&full());
    let offer = DhcpOffer {
        router: Some([10, 0, 0, 254].into()),
        dns_servers: vec![[10, 0, 0, 1].into()],
        domain: Some("v4.test".into()),
        mtu: Some(1450),
        ..DhcpOffer::new([10, 0, 0, 2])
    };
    network.peer(Dhcp::new([10, 0, 0, 3].into(), offer), Link::default());
    let mut config = network.dhcp_config();
    config.ipv6 = Ipv6::Auto;
    let host = network.host_with(config, Link::default()).unwrap();
    let first = network.run(host.net.ready()).unwrap().unwrap();
    assert!(network.now() < Instant::from_millis(10), "does not wait for the other family");
    assert_eq!(first.addresses.len(), 1);
    let mut known = first;
    while known.addresses.len() < 3 {
        known = network.run(host.net.changed(known)).unwrap();
    }
    assert!(network.now() < Instant::from_millis(1010));
    assert_eq!(addresses(&host), ["10.0.0.2/24", "2001:db8:1::ff:fe00:3/64", "fe80::ff:fe00:3/64"]);
    assert_eq!(known.gateways, [IpAddr::from([10, 0, 0, 254]), addr(1).into()]);
    assert_eq!(servers(&host), ["10.0.0.1", "2001:db8:1::53", "fe80::1"]);
    assert_eq!(known.domain.as_deref(), Some("v4.test"));
    assert_eq!(known.search_domains, ["v4.test", "example.test"]);
    assert_eq!(known.mtu, Some(1400), "the least");
}

#[test]
fn one_family_says_nothing_of_the_other() {
    for (ipv6, accept, types) in [
        (Ipv6::Off, true, vec![]),
        (Ipv6::LinkLocal, true, vec![135]),
        (Ipv6::Auto, false, vec![135]),
    ] {
        let mut network = Network::new(1);
        let router = Router::new(&mut network, 1);
        let mut config = network.dhcp_config();
        (config.ipv6, config.accept_router_advertisements) = (ipv6, accept);
        let off = config.ipv6 == Ipv6::Off;
        let host = network.host_with(config, Link::default()).unwrap();
        network.run_for(secs(1)).unwrap();
        router.advertise(&mut network, &full());
        network.run_for(secs(2)).unwrap();
        let heard = router.take_heard();
        let seen: Vec<_> = heard.iter().filter_map(|(_, f)| icmp_type(f)).collect();
        assert_eq!(seen, types);
        assert_eq!(addresses(&host).len(), usize::from(!off));
        assert_eq!(host.net.configuration().mtu, Some(1500));
    }
    let (mut network, router, host) = start(1);
    router.answer(&full());
    network.run(host.net.ready()).unwrap().unwrap();
    network.run_for(secs(100)).unwrap();
    assert!(router.take_heard().iter().all(|(_, f)| f[12..14] == [0x86, 0xdd]));
    let error = connect(&mut network, &host, "10.0.0.1:7");
    assert_eq!(error, Err(Error::AddressFamily(IpVersion::V4)));
}

#[test]
fn a_fixed_address_with_a_router_that_advertises_itself() {
    let mut network = Network::new(1);
    let router = Router::new(&mut network, 1);
    router.answer(&full());
    let mut config = network.config("2001:db8:5::5/64");
    config.accept_router_advertisements = true;
    let host = network.host_with(config, Link::default()).unwrap();
    network.run(host.net.ready()).unwrap().unwrap();
    network.run_for(secs(2)).unwrap();
    assert_eq!(
        addresses(&host),
        ["2001:db8:5::5/64", "2001:db8:1::ff:fe00:2/64", "fe80::ff:fe00:2/64"]
    );
    assert_eq!(gateways(&host), [IpAddr::from(addr(1))]);
}
