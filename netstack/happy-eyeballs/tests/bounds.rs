//! What a peer may say is unbounded; what the machine keeps of it is not.

use core::net::IpAddr;
use core::time::Duration;
use happy_eyeballs::*;

const NOW: Duration = Duration::ZERO;

fn machine(services: bool) -> (HappyEyeballs<()>, Vec<(QueryId, Kind)>) {
    let request =
        Request { services, ports: (1..=8).collect(), ..Request::name("host.example", 1) };
    let mut machine =
        HappyEyeballs::new(Config::default(), request, Network::default(), &Memory::default(), NOW)
            .expect("a good request");
    let queries = queries(&mut machine);
    (machine, queries)
}

fn queries(machine: &mut HappyEyeballs<()>) -> Vec<(QueryId, Kind)> {
    let mut queries = vec![];
    while let Some(output) = machine.poll_output() {
        if let Output::Query { query, kind, .. } = output {
            queries.push((query, kind));
        }
    }
    queries
}

/// Lets the time run out; what was known then.
fn end(mut machine: HappyEyeballs<()>) -> Report<()> {
    machine.handle_timeout(Duration::from_secs(10));
    loop {
        match machine.poll_output() {
            Some(Output::Done(Err(error))) => return error.report,
            Some(_) => {}
            None => panic!("no end"),
        }
    }
}

#[test]
fn answers_with_thousands_of_addresses() {
    let (mut machine, queries) = machine(false);
    let all: Vec<IpAddr> =
        (0..20_000_u32).map(|n| IpAddr::from((0x0100_0000 + n).to_be_bytes())).collect();
    for (query, kind) in queries {
        if kind == Kind::A {
            machine.handle_addresses(NOW, query, &all);
            machine.handle_addresses(NOW, query, &all[10_000..]);
        }
    }
    let report = end(machine);
    assert_eq!(report.untried.len(), 32 * 8, "32 addresses on 8 ports");
    assert!(report.skipped.len() <= 32);
    assert!(report.skipped.iter().all(|(_, skip)| *skip == Skip::TooMany));
}

#[test]
fn services_without_number_and_targets_without_end() {
    let (mut machine, first) = machine(true);
    let mut asked = 0;
    for round in 0..50 {
        let services: Vec<Service> = (0..200_u16)
            .map(|n| Service {
                priority: 1 + n,
                target: Some(format!("{round}-{n}.example").into()),
                ipv4_hints: (0..50).map(|host| [10, round, n as u8, host].into()).collect(),
                ..Service::default()
            })
            .collect();
        machine.handle_services(NOW, first[0].0, &services);
        asked += queries(&mut machine).len();
    }
    assert_eq!(asked, 8 * 2, "AAAA and A for eight targets");
    assert!(end(machine).untried.len() <= 256);
}

#[test]
fn the_clock_s_end_is_no_overflow() {
    let request = Request::name("host.example", 443);
    let mut machine: HappyEyeballs<()> = HappyEyeballs::new(
        Config::default(),
        request,
        Network::default(),
        &Memory::default(),
        Duration::MAX - Duration::from_millis(5),
    )
    .expect("a good request");
    let asked = queries(&mut machine);
    machine.handle_addresses(
        Duration::MAX,
        asked[0].0,
        &[IpAddr::from([0x2600, 0, 0, 0, 0, 0, 0, 1])],
    );
    machine.handle_timeout(Duration::MAX);
    assert_eq!(machine.poll_timeout(), None, "the deadline was cut to the clock's end");
}

#[test]
fn literals_without_number() {
    let literals = (0..1000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
    let request = Request::addresses(literals, 443);
    let machine =
        HappyEyeballs::new(Config::default(), request, Network::default(), &Memory::default(), NOW);
    let report = end(machine.expect("a good request"));
    assert_eq!(report.attempts.len() + report.untried.len(), 32);
    assert!(report.skipped.iter().all(|(_, skip)| *skip == Skip::TooMany));
}

#[test]
fn a_clock_that_runs_backwards_stands_still() {
    let ms = Duration::from_millis;
    let (mut machine, asked) = machine(false);
    machine.handle_timeout(ms(100));
    machine.handle_addresses(ms(40), asked[0].0, &[IpAddr::from([0x2600, 0, 0, 0, 0, 0, 0, 1])]);
    assert_eq!(machine.poll_timeout(), Some(ms(350)), "the attempt began at 100 ms");
    assert!(matches!(machine.poll_output(), Some(Output::Connect { .. })));
    assert_eq!(end(machine).attempts[0].started, ms(100));
}
