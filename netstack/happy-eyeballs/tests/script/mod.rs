//! A small language for scenes: one line of words for the network and the request, one for what
//! happens.
//!
//! Scene words: `dual` (else `v4`, `v6`, `link6` = IPv4 and only link-local IPv6, `none`,
//! `unknown`, `late6` = `link6` while IPv6 is still being configured, `late4` = `v6` while IPv4 is),
//! `prefer4`, `only4`, `nat64`, `https`, `alpn=h2,h3`, `to=6a,4a` (addresses instead of
//! the name), `ports=443,80`, `count=2`, `delay=0` (resolution), `attempt=100` (attempt delay),
//! `tries=1`, `limit=3000`, `used=6a/40` (worked in 40 ms), `bad=6a` (failed of late), `doubt6`
//! (IPv6 silent of late).
//!
//! Events: `aaaa 6a 6b` (an answer; none: no such records), `aaaa!` (its failure), `a`, `a!`,
//! `aaaa@svc 6c` (for another name), `https 1/svc/port=8443/alpn=h2/6a 2/.` (records), `https!`,
//! `ok 6a`, `no 6a`, `stop`. A leading `@250` moves the time in ms; alone it is a timeout.
//!
//! Outputs: `?aaaa` (`?aaaa*2` asked for the second time, `?a@svc` another name), `+6a` connect
//! (`+6a:80` when the port is not 443, `+6a+h2` with ALPN), `-6a` cancel, `=6a` connected,
//! `!AllFailed`.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    reason = "scenes are written by hand, a wrong word should stop the test"
)]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use happy_eyeballs::*;
use std::collections::HashMap;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `6a` is 2600::a, `4a` 192.0.2.10, `n4a` the latter behind the well-known NAT64 prefix.
pub fn ip(word: &str) -> IpAddr {
    let digit = |text| u16::from_str_radix(text, 16).unwrap_or_else(|_| panic!("address {word}"));
    if let Some(rest) = word.strip_prefix("n4") {
        let [a, b] = (0xc000_0200 + u32::from(digit(rest))).to_be_bytes()[..2] else { panic!() };
        let high = u16::from_be_bytes([a, b]);
        IpAddr::from([0x64, 0xff9b, 0, 0, 0, 0, high, 0x200 + digit(rest)])
    } else if let Some(rest) = word.strip_prefix('6') {
        IpAddr::from([0x2600, 0, 0, 0, 0, 0, 0, digit(rest)])
    } else if let Some(rest) = word.strip_prefix('4') {
        IpAddr::from([192, 0, 2, u8::try_from(digit(rest)).unwrap()])
    } else {
        word.parse().unwrap()
    }
}

fn endpoint(word: &str) -> SocketAddr {
    let (address, port) = word.split_once(':').unwrap_or((word, "443"));
    SocketAddr::new(ip(address), port.parse().unwrap())
}

fn word(remote: SocketAddr) -> String {
    let address = match remote.ip() {
        IpAddr::V4(address) => format!("4{:x}", address.octets()[3]),
        IpAddr::V6(address) if address.segments()[0] == 0x64 => {
            format!("n4{:x}", address.segments()[7] & 0xff)
        }
        IpAddr::V6(address) => format!("6{:x}", address.segments()[7]),
    };
    if remote.port() == 443 { address } else { format!("{address}:{}", remote.port()) }
}

fn network_of(word: &str) -> Network {
    let own: &[&str] = match word {
        "dual" => &["2600:0:0:1::2/64", "fe80::2/64", "10.0.0.2/24"],
        "v4" => &["10.0.0.2/24"],
        "v6" | "late4" => &["2600:0:0:1::2/64", "fe80::2/64"],
        "link6" | "late6" => &["10.0.0.2/24", "fe80::2/64"],
        "none" => &[],
        other => panic!("unknown network {other}"),
    };
    let mut network = Network::of(own.iter().map(|text| {
        let (address, len) = text.split_once('/').unwrap();
        Source::new(address.parse().unwrap(), len.parse().unwrap())
    }));
    match word {
        "late6" => network.pending.push(Family::V6),
        "late4" => network.pending.push(Family::V4),
        _ => {}
    }
    network
}

/// A machine with a driver that answers by words.
pub struct Scene {
    pub machine: HappyEyeballs<String>,
    pub now: Duration,
    queries: HashMap<String, QueryId>,
    attempts: HashMap<SocketAddr, AttemptId>,
    pub done: Option<Result<Connected<String>, Error<String>>>,
    /// What [`Scene::new`] put out.
    pub first: String,
}

impl Scene {
    pub fn new(setup: &str) -> Self {
        Self::remembering(setup, Memory::default())
    }

    pub fn remembering(setup: &str, mut memory: Memory) -> Self {
        let mut config = Config::default();
        let mut request = Request::name("host.example", 443);
        let mut network = network_of("dual");
        for setup in setup.split_whitespace() {
            let (key, value) = setup.split_once('=').unwrap_or((setup, ""));
            let number = || value.parse::<u64>().unwrap();
            let list = || value.split(',');
            match key {
                "dual" | "v4" | "v6" | "link6" | "late6" | "late4" | "none" => {
                    Network { sources: network.sources, pending: network.pending, .. } =
                        network_of(key);
                }
                "unknown" => network.sources = None,
                "prefer4" => network.policy = Policy::prefer_ipv4(),
                "only4" => network.only = Some(Family::V4),
                "nat64" => network.nat64 = Some(Nat64::WELL_KNOWN),
                "https" => request.services = true,
                "alpn" => request.alpn = list().map(Vec::from).collect(),
                "to" => request.target = Target::Addresses(list().map(ip).collect()),
                "ports" => request.ports = list().map(|port| port.parse().unwrap()).collect(),
                "count" => config.first_family_count = number() as u8,
                "delay" => config.resolution_delay = ms(number()),
                "attempt" => config.connection_attempt_delay = ms(number()),
                "tries" => config.resolve_tries = number() as u8,
                "limit" => config.connect_timeout = ms(number()),
                "used" => {
                    let (address, time) = value.split_once('/').unwrap();
                    let time = ms(time.parse().unwrap());
                    memory.learn(&past(&[(ip(address), time, Outcome::Connected)]));
                }
                "bad" => memory.learn(&past(&[(ip(value), ms(1), Outcome::Failed("bad".into()))])),
                "doubt6" => {
                    let lost = (ip("6ff"), ms(400), Outcome::Outrun);
                    for _ in 0..2 {
                        let won = (ip("4ff"), ms(400), Outcome::Connected);
                        memory.learn(&past(&[lost.clone(), won]));
                    }
                }
                other => panic!("unknown word {other}"),
            }
        }
        let machine = HappyEyeballs::new(config, request, network, &memory, ms(0)).unwrap();
        let mut scene = Self {
            machine,
            now: ms(0),
            queries: HashMap::new(),
            attempts: HashMap::new(),
            done: None,
            first: String::new(),
        };
        scene.first = scene.drain();
        scene
    }

    /// Lets one event happen; the outputs in words.
    pub fn play(&mut self, event: &str) -> String {
        let mut words = event.split_whitespace().peekable();
        if let Some(time) = words.peek().and_then(|word| word.strip_prefix('@')) {
            self.now = ms(time.parse().unwrap());
            words.next();
        }
        let now = self.now;
        let Some(verb) = words.next() else {
            self.machine.handle_timeout(now);
            return self.drain();
        };
        let (kind, bad) = match verb.strip_suffix('!') {
            Some(kind) => (kind, true),
            None => (verb, false),
        };
        match kind {
            "stop" => self.machine.handle_abandoned(now),
            "net" => self.machine.handle_network(now, network_of(words.next().expect("which"))),
            "ok" | "no" => {
                let remote = endpoint(words.next().expect("which attempt"));
                let attempt = self.attempts[&remote];
                match kind {
                    "ok" => self.machine.handle_connected(now, attempt),
                    _ => self.machine.handle_connect_failed(
                        now,
                        attempt,
                        format!("{remote} refused"),
                    ),
                }
            }
            query => {
                let id = self.queries[query];
                if bad {
                    self.machine.handle_query_failed(now, id, format!("{query} failed"));
                } else if query == "https" {
                    let services: Vec<_> = words.map(service).collect();
                    self.machine.handle_services(now, id, &services);
                } else {
                    let addresses: Vec<_> = words.map(ip).collect();
                    self.machine.handle_addresses(now, id, &addresses);
                }
            }
        }
        self.drain()
    }

    /// Plays events that stand between semicolons; the outputs of the last one.
    pub fn play_all(&mut self, events: &str) -> String {
        let mut outputs = String::new();
        for event in events.split(';').map(str::trim).filter(|event| !event.is_empty()) {
            outputs = self.play(event);
        }
        outputs
    }

    fn drain(&mut self) -> String {
        let mut words = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            words.push(match output {
                Output::Query { query, name, kind, count } => {
                    let mut key = kind.to_string().to_lowercase();
                    if name.as_ref() != "host.example" {
                        key += &format!("@{name}");
                    }
                    let word = match count {
                        1 => format!("?{key}"),
                        count => format!("?{key}*{count}"),
                    };
                    self.queries.insert(key, query);
                    word
                }
                Output::Connect { attempt, remote, alpn } => {
                    assert_eq!(self.attempts.insert(remote, attempt), None, "{remote} twice");
                    format!("+{}{}", word(remote), protocols(&alpn))
                }
                Output::Cancel { attempt } => {
                    let remote = self.attempts.iter().find(|(_, id)| **id == attempt).unwrap().0;
                    format!("-{}", word(*remote))
                }
                Output::Done(result) => {
                    let word = match &result {
                        Ok(connected) => {
                            format!("={}{}", word(connected.remote), protocols(&connected.alpn))
                        }
                        Err(error) => format!("!{:?}", error.reason),
                    };
                    assert!(self.done.replace(result).is_none(), "two results");
                    word
                }
            });
        }
        words.join(" ")
    }

    /// The next timer in ms, `None` at the end.
    pub fn timer(&self) -> Option<u64> {
        self.machine.poll_timeout().map(|time| time.as_millis().try_into().unwrap())
    }

    pub fn error(&self) -> &Error<String> {
        self.done.as_ref().expect("an end").as_ref().expect_err("a failure")
    }

    pub fn report(&self) -> &Report<String> {
        match self.done.as_ref().expect("an end") {
            Ok(connected) => &connected.report,
            Err(error) => &error.report,
        }
    }
}

fn protocols(alpn: &[Vec<u8>]) -> String {
    alpn.iter().map(|name| format!("+{}", String::from_utf8_lossy(name))).collect()
}

/// `1/svc/port=8443/alpn=h2/6a`: priority, target (`.`: the name itself), then what it has.
fn service(text: &str) -> Service {
    let mut parts = text.split('/');
    let priority = parts.next().unwrap().parse().unwrap();
    let target = parts.next().filter(|target| *target != ".").map(Into::into);
    let mut service = Service { priority, target, ..Service::default() };
    for part in parts {
        match part.split_once('=') {
            Some(("port", port)) => service.port = Some(port.parse().unwrap()),
            Some(("alpn", name)) => service.alpn.push(name.into()),
            Some(_) => panic!("unknown part {part}"),
            None => match ip(part) {
                IpAddr::V4(address) => service.ipv4_hints.push(address),
                IpAddr::V6(address) => service.ipv6_hints.push(address),
            },
        }
    }
    service
}

fn past(attempts: &[(IpAddr, Duration, Outcome<String>)]) -> Report<String> {
    let attempt = |(address, time, outcome): &(IpAddr, Duration, Outcome<String>)| Attempt {
        remote: SocketAddr::new(*address, 443),
        // the winner of two began later
        started: match outcome {
            Outcome::Connected if attempts.len() > 1 => ms(300),
            _ => ms(0),
        },
        ended: *time,
        outcome: outcome.clone(),
    };
    Report {
        name: None,
        started: ms(0),
        ended: ms(0),
        queries: vec![],
        attempts: attempts.iter().map(attempt).collect(),
        untried: vec![],
        skipped: vec![],
    }
}
