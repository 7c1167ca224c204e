//! What the simulated wire does not show: bounds, and lives of addresses to the second.

use super::advertisement::Preference;
use super::*;

fn discovery(probes: u8) -> Discovery {
    let options = Options {
        hardware_addr: [2, 0, 0, 0, 0, 1],
        enabled: true,
        fixed: None,
        advertisements: true,
        probes,
        max_mtu: 1500,
        seed: 1,
    };
    Discovery::new(options, Instant::ZERO)
}

fn prefix(network: u16, valid: u32, preferred: u32) -> Prefix {
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, 0);
    Prefix { prefix, len: 64, on_link: true, autonomous: true, valid, preferred }
}

fn advertisement(router: u16, prefixes: Vec<Prefix>) -> Advertisement {
    Advertisement {
        router: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, router),
        lifetime: 1800,
        preference: Preference::Medium,
        mtu: None,
        prefixes,
        servers: vec![(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, router), 60)],
        domains: vec![(format!("d{router}"), 60)],
    }
}

fn hear(discovery: &mut Discovery, advertisement: Advertisement, second: u64) {
    let now = at(second);
    discovery.handle_time(now);
    discovery.handle_heard(Heard::Advertisement(advertisement), now);
}

fn at(second: u64) -> Instant {
    Instant::from_millis(second * 1000)
}

#[test]
fn many_routers_fill_no_memory() {
    let mut discovery = discovery(1);
    for n in 0..1000 {
        hear(&mut discovery, advertisement(n, vec![prefix(n, 100, 100), prefix(n + 1, 9, 9)]), 0);
    }
    assert_eq!(discovery.addresses.len(), 1 + MAX_ADVERTISED);
    assert_eq!(discovery.routers().len(), 4);
    assert_eq!((discovery.servers().len(), discovery.domains().len()), (8, 8));
    assert_eq!(core::iter::from_fn(|| discovery.poll_transmit()).count(), 1 + 1 + MAX_ADVERTISED);
    for _ in 0..1000 {
        discovery.handle_time(at(5));
        let target = discovery.assigned()[0].addr;
        discovery.handle_heard(Heard::Probed { target, nonce: None }, at(5));
    }
    assert_eq!(discovery.outbox.len(), MAX_OUTBOX);
}

#[test]
fn an_address_of_no_use_makes_room() {
    let mut discovery = discovery(0);
    let network = |n| prefix(n, 100, if n == 2 { 10 } else { 90 });
    hear(&mut discovery, advertisement(1, (0..5).map(network).collect()), 0);
    hear(&mut discovery, advertisement(1, vec![prefix(7, 100, 100)]), 9);
    assert_eq!(discovery.assigned().len(), 6);
    assert!(discovery.assigned().iter().all(|a| a.addr.segments()[2] != 7));
    hear(&mut discovery, advertisement(1, vec![prefix(7, 100, 100)]), 10);
    let networks: Vec<_> = discovery.assigned().iter().map(|a| a.addr.segments()[2]).collect();
    assert_eq!(networks, [0, 1, 3, 4, 7, 0]);
}

/// RFC 4862 §5.5.3 (e): the rest of the life, what is said, and the life then.
#[test]
fn nobody_shortens_a_life_to_less_than_two_hours() {
    for (rest, said, expected) in [
        (10_000, 20_000, 20_000),
        (10_000, 8_000, 8_000),
        (10_000, 7_200, 7_200),
        (10_000, 10, 7_200),
        (10_000, 0, 7_200),
        (7_200, 10, 7_200),
        (100, 200, 200),
        (100, 10, 100),
        (100, 0, 100),
    ] {
        let mut discovery = discovery(0);
        hear(&mut discovery, advertisement(1, vec![prefix(1, rest, rest)]), 0);
        hear(&mut discovery, advertisement(1, vec![prefix(1, said, said)]), 0);
        discovery.handle_time(at(expected - 1));
        assert_eq!(discovery.assigned().len(), 2, "{rest} {said}");
        discovery.handle_time(at(expected));
        assert_eq!(discovery.assigned().len(), 1, "{rest} {said}");
    }
}

#[test]
fn a_deprecated_address_comes_behind_and_returns() {
    let mut discovery = discovery(0);
    hear(&mut discovery, advertisement(1, vec![prefix(1, 100, 10), prefix(2, 100, 50)]), 0);
    let networks = |discovery: &Discovery| -> Vec<u16> {
        discovery.assigned().iter().map(|a| a.addr.segments()[2]).collect()
    };
    assert_eq!(networks(&discovery), [1, 2, 0]);
    assert!(discovery.take_changed() && !discovery.take_changed());
    assert_eq!(discovery.poll_timeout(), Some(at(10)));
    discovery.handle_time(at(10));
    assert!(discovery.take_changed());
    assert_eq!(networks(&discovery), [2, 1, 0]);
    hear(&mut discovery, advertisement(1, vec![prefix(1, 100, 100)]), 20);
    assert_eq!(networks(&discovery), [1, 2, 0]);
    // Said again: nothing is new.
    assert!(discovery.take_changed());
    hear(&mut discovery, advertisement(1, vec![prefix(1, 100, 100)]), 21);
    assert!(!discovery.take_changed());
}

#[test]
fn time_runs_out_and_nothing_is_left_to_do() {
    let mut discovery = discovery(1);
    let mut lives = advertisement(1, vec![prefix(1, 20, 10)]);
    lives.lifetime = 30;
    hear(&mut discovery, lives, 0);
    let mut now = Instant::ZERO;
    let mut steps = 0;
    while let Some(due) = discovery.poll_timeout()
        && due < at(100_000)
    {
        assert!(due > now || steps == 0, "time passes");
        now = due;
        discovery.handle_time(now);
        while discovery.poll_transmit().is_some() {}
        steps += 1;
    }
    // One a phase, an end or a solicitation.
    assert!((10..60).contains(&steps), "{steps}");
    assert_eq!((discovery.assigned().len(), discovery.routers().len()), (1, 0));
}
