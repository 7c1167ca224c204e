//! A world made of octets: each one chooses what happens next, and whatever happens, the machine's
//! promises are checked. Driven by random octets in `properties.rs` and by a fuzzer in
//! `netstack/fuzz`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use happy_eyeballs::*;
use std::collections::BTreeSet;

/// The octets, read from the front; zeroes do not follow, their end is the end of the story.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn below(&mut self, end: u8) -> usize {
        usize::from(self.next().unwrap_or(0) % end.max(1))
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// What one story was, for tests that ask whether stories of every kind come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Story {
    pub connected: bool,
    pub reason: Option<u8>,
    pub attempts: usize,
}

#[derive(Debug)]
struct Asked {
    id: QueryId,
    kind: Kind,
    count: u8,
    last: Duration,
    /// Answered or failed by us, or given up by the machine for sure.
    closed: bool,
    failure: Option<u32>,
}

#[derive(Debug)]
struct Tried {
    id: AttemptId,
    remote: SocketAddr,
    at: Duration,
    /// Reported on by us, or cancelled by the machine.
    closed: bool,
    failure: Option<u32>,
}

struct World {
    machine: HappyEyeballs<u32>,
    config: Config,
    network: Network,
    now: Duration,
    /// The last time that the machine was told.
    heard: Duration,
    started: Duration,
    asked: Vec<Asked>,
    tried: Vec<Tried>,
    /// Everything that any answer or hint ever said.
    told: BTreeSet<IpAddr>,
    /// A failure since the last start: the next may follow sooner.
    failed_since: bool,
    causes: u32,
    connected: Option<AttemptId>,
    done: Option<Result<Connected<u32>, Error<u32>>>,
}

/// Plays up to two calls that share a memory; panics where a promise is broken.
pub fn run(octets: &[u8]) -> Vec<Story> {
    let mut octets = Octets(octets);
    let mut memory = Memory::new(octets.below(5), secs(600), secs(60));
    let mut now = Duration::from_millis(u64::from(octets.next().unwrap_or(0)));
    let mut stories = vec![];
    for _ in 0..2 {
        let Some(mut world) = World::new(&mut octets, &memory, now) else { continue };
        let story = world.play(&mut octets);
        now = world.now;
        match world.done.as_ref().expect("every story has an end") {
            Ok(connected) => memory.learn(&connected.report),
            Err(error) => memory.learn(&error.report),
        }
        stories.push(story);
    }
    stories
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Few addresses, so that they come up again: 0 to 5 IPv6, 6 to 10 IPv4, the rest what no answer
/// should hold.
fn address(choice: usize) -> IpAddr {
    match choice {
        0..=3 => IpAddr::from([0x2600, 0, 0, 0, 0, 0, 0, choice as u16 + 1]),
        4 => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]),
        5 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]),
        6..=8 => IpAddr::from([192, 0, 2, choice as u8]),
        9 => IpAddr::from([10, 0, 0, 1]),
        10 => IpAddr::from([127, 0, 0, 1]),
        11 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        12 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        13 => IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0207]),
        14 => IpAddr::from([224, 0, 0, 1]),
        _ => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]),
    }
}

fn network(octets: &mut Octets<'_>) -> Network {
    let own = ["2600:0:0:1::2/64", "fe80::2/64", "fd00::2/64", "10.0.0.2/24", "169.254.1.1/16"];
    let choice = octets.below(64);
    let sources = own.iter().enumerate().filter(|(index, _)| choice >> index & 1 == 1);
    let sources = sources.map(|(_, text)| {
        let (address, len) = text.split_once('/').expect("written so");
        Source::new(address.parse().expect("written so"), len.parse().expect("written so"))
    });
    let sources = sources.collect();
    Network {
        sources: (choice < 32).then_some(sources),
        pending: [vec![], vec![], vec![Family::V4], vec![Family::V6]][octets.below(4)].clone(),
        only: [None, None, Some(Family::V4), Some(Family::V6)][octets.below(4)],
        nat64: octets.flip().then_some(Nat64::WELL_KNOWN),
        policy: if octets.flip() { Policy::prefer_ipv4() } else { Policy::default() },
    }
}

fn config(octets: &mut Octets<'_>) -> Config {
    let ms = Duration::from_millis;
    Config {
        resolution_delay: ms([50, 0, 400, 3000][octets.below(4)]),
        connection_attempt_delay: ms([250, 10, 100, 2000][octets.below(4)]),
        first_family_count: octets.below(3) as u8 + 1,
        resolve_tries: octets.below(3) as u8 + 1,
        resolve_timeout: ms([1000, 10, 300][octets.below(3)]),
        connect_timeout: ms([10_000, 10, 700, 3000][octets.below(4)]),
        ..Config::default()
    }
}

impl World {
    fn new(octets: &mut Octets<'_>, memory: &Memory, now: Duration) -> Option<Self> {
        let (config, network) = (config(octets), network(octets));
        let mut told = BTreeSet::new();
        let mut request = Request::name("host.example", 443);
        if octets.below(4) == 0 {
            let literals: Vec<_> =
                (0..=octets.below(6)).map(|_| address(octets.below(16))).collect();
            told.extend(literals.iter().map(IpAddr::to_canonical));
            request = Request::addresses(literals, 443);
        }
        request.ports = [vec![443], vec![443, 80], vec![443, 443, 80]][octets.below(3)].clone();
        request.services = octets.flip();
        request.alpn = if octets.flip() { vec![b"h2".to_vec()] } else { vec![] };
        let machine =
            HappyEyeballs::new(config.clone(), request, network.clone(), memory, now).ok()?;
        let mut world = Self {
            machine,
            config,
            network,
            now,
            heard: now,
            started: now,
            asked: vec![],
            tried: vec![],
            told,
            failed_since: false,
            causes: 0,
            connected: None,
            done: None,
        };
        world.drain();
        Some(world)
    }

    fn play(&mut self, octets: &mut Octets<'_>) -> Story {
        while self.done.is_none() {
            let Some(choice) = octets.next() else { break };
            self.step(choice, octets);
        }
        // nobody answers any more: the timers alone must lead to an end
        let mut rounds = 0;
        while self.done.is_none() {
            let timer = self.machine.poll_timeout().expect("a timer until the end");
            self.pass(timer.saturating_sub(self.now));
            self.drain();
            rounds += 1;
            assert!(rounds < 10_000, "timers without end");
        }
        self.check_end();
        // and after it there is silence, whatever is still said
        for choice in octets.0.iter().copied().take(8) {
            self.step(choice, octets);
        }
        match self.done.as_ref().expect("an end") {
            Ok(_) => Story { connected: true, reason: None, attempts: self.tried.len() },
            Err(error) => Story {
                connected: false,
                reason: Some(error.reason as u8),
                attempts: self.tried.len(),
            },
        }
    }

    fn step(&mut self, choice: u8, octets: &mut Octets<'_>) {
        // 13 and 14 leave the machine behind the time
        match choice % 16 {
            13 => self.heard = self.heard.max(self.now / 2),
            14 => {}
            _ => self.heard = self.now,
        }
        match choice % 16 {
            0..=3 => self.answer(octets),
            4 => self.fail_query(octets),
            5 | 6 => self.fail_attempt(octets),
            7 => self.connect(octets),
            8..=10 => {
                let timer = self.machine.poll_timeout().unwrap_or(self.now);
                self.pass(timer.saturating_sub(self.now));
            }
            11 | 12 => self.pass(Duration::from_millis(u64::from(choice) * 2)),
            // a clock that runs backwards
            13 => self.machine.handle_timeout(self.now / 2),
            14 => self.now += Duration::from_millis(u64::from(choice / 16)),
            _ if choice == 0xff => self.machine.handle_abandoned(self.now),
            _ if choice > 0xd0 => {
                self.network = network(octets);
                self.machine.handle_network(self.now, self.network.clone());
            }
            _ => self.machine.handle_timeout(self.now),
        }
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.heard = self.now;
        self.machine.handle_timeout(self.now);
    }

    fn answer(&mut self, octets: &mut Octets<'_>) {
        let Some(index) = pick(self.asked.len(), octets) else { return self.pass(Duration::ZERO) };
        let addresses: Vec<_> = (0..octets.below(5)).map(|_| address(octets.below(16))).collect();
        self.told.extend(&addresses);
        let Asked { id, kind, .. } = self.asked[index];
        // a closed one may be answered late, or the second time
        self.asked[index].closed = true;
        if kind != Kind::Service {
            return self.machine.handle_addresses(self.now, id, &addresses);
        }
        let service = |octets: &mut Octets<'_>| Service {
            priority: octets.below(3) as u16,
            target: [None, Some("svc.example"), Some("HOST.example."), Some("other.example")]
                [octets.below(4)]
            .map(Into::into),
            port: [None, None, Some(8443), Some(0)][octets.below(4)],
            alpn: [vec![], vec![b"h2".to_vec()], vec![b"h3".to_vec()]][octets.below(3)].clone(),
            ipv4_hints: addresses.iter().filter_map(v4).collect(),
            ipv6_hints: addresses.iter().filter_map(v6).collect(),
        };
        let services: Vec<_> = (0..octets.below(4)).map(|_| service(octets)).collect();
        self.machine.handle_services(self.now, id, &services);
    }

    fn cause(&mut self) -> u32 {
        self.causes += 1;
        self.causes
    }

    fn fail_query(&mut self, octets: &mut Octets<'_>) {
        let Some(index) = pick(self.asked.len(), octets) else { return self.pass(Duration::ZERO) };
        let cause = self.cause();
        let query = &mut self.asked[index];
        let open = !query.closed && self.done.is_none();
        self.machine.handle_query_failed(self.now, query.id, cause);
        if open {
            (query.closed, query.failure) = (true, Some(cause));
        }
    }

    fn fail_attempt(&mut self, octets: &mut Octets<'_>) {
        let Some(index) = pick(self.tried.len(), octets) else { return self.pass(Duration::ZERO) };
        let cause = self.cause();
        if self.tried[index].closed {
            return self
                .stale(|machine, now, id| machine.handle_connect_failed(now, id, cause), index);
        }
        self.failed_since = true;
        let attempt = &mut self.tried[index];
        (attempt.closed, attempt.failure) = (true, Some(cause));
        self.machine.handle_connect_failed(self.now, attempt.id, cause);
    }

    fn connect(&mut self, octets: &mut Octets<'_>) {
        let Some(index) = pick(self.tried.len(), octets) else { return self.pass(Duration::ZERO) };
        if self.tried[index].closed {
            return self.stale(|machine, now, id| machine.handle_connected(now, id), index);
        }
        self.tried[index].closed = true;
        self.connected = Some(self.tried[index].id);
        self.machine.handle_connected(self.now, self.tried[index].id);
        self.drain();
        let won = matches!(&self.done, Some(Ok(end)) if Some(end.attempt) == self.connected);
        assert!(won, "a live attempt that connects wins");
    }

    /// What an ended attempt still says is not heard: nothing but the time that passed has an
    /// effect.
    fn stale(
        &mut self,
        say: impl FnOnce(&mut HappyEyeballs<u32>, Duration, AttemptId),
        index: usize,
    ) {
        self.pass(Duration::ZERO);
        self.drain();
        let before = (self.machine.state(), self.machine.poll_timeout());
        say(&mut self.machine, self.now, self.tried[index].id);
        assert_eq!(self.machine.poll_output(), None, "an ended attempt is silent");
        assert_eq!((self.machine.state(), self.machine.poll_timeout()), before);
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            assert!(self.done.is_none(), "nothing follows the end");
            match output {
                Output::Query { query, name, kind, count } => {
                    self.check_query(query, &name, kind, count)
                }
                Output::Connect { attempt, remote, .. } => self.check_attempt(attempt, remote),
                Output::Cancel { attempt } => {
                    let known = self.tried.iter_mut().find(|known| known.id == attempt);
                    let known = known.expect("only what was begun is cancelled");
                    assert!(!known.closed, "only what still runs is cancelled, and once");
                    known.closed = true;
                }
                Output::Done(end) => {
                    assert!(
                        self.tried.iter().all(|known| known.closed),
                        "cancels come before the end"
                    );
                    self.done = Some(end);
                }
            }
        }
        self.check_pending();
    }

    fn check_query(&mut self, id: QueryId, name: &str, kind: Kind, count: u8) {
        let family = match kind {
            Kind::A => Some(Family::V4),
            Kind::Aaaa => Some(Family::V6),
            Kind::Service => None,
        };
        let asks = |family| self.network.asks(family);
        // A records are of use behind a NAT64 too
        let behind = kind == Kind::A && self.network.nat64.is_some() && asks(Family::V6);
        // a network that changed may come back: what was asked already is asked again
        let first = count == 1;
        assert!(!first || family.is_none_or(asks) || behind, "{kind} is of no use");
        assert!(["host.example", "svc.example", "other.example"].contains(&name), "{name}");
        let Some(known) = self.asked.iter_mut().find(|known| known.id == id) else {
            assert_eq!(count, 1);
            let (closed, failure) = (false, None);
            return self.asked.push(Asked { id, kind, count, last: self.heard, closed, failure });
        };
        assert!(!known.closed, "answered and asked again");
        assert_eq!(count, known.count + 1);
        assert!(count <= self.config.resolve_tries, "asked too often");
        assert!(self.heard >= known.last + self.config.resolve_timeout, "asked again too soon");
        (known.count, known.last) = (count, self.heard);
    }

    fn check_attempt(&mut self, id: AttemptId, remote: SocketAddr) {
        assert!(self.tried.iter().all(|known| known.remote != remote), "{remote} twice");
        assert!(self.tried.iter().all(|known| known.id != id), "one id twice");
        assert!(self.network.has(Family::of(remote.ip())), "{remote} has no local address");
        let told = self.told.contains(&remote.ip())
            || self.told.iter().filter_map(v4).any(|address| {
                Nat64::WELL_KNOWN.synthesize(address).map(IpAddr::V6) == Some(remote.ip())
            });
        assert!(told, "nobody spoke of {remote}");
        if let Some(last) = self.tried.last() {
            let pause = self.heard - last.at;
            assert!(pause >= ATTEMPT_FLOOR, "{pause:?} after the attempt before");
            let least = self.config.connection_attempt_delay;
            let least = least.min(self.config.minimum_connection_attempt_delay);
            assert!(self.failed_since || pause >= least, "{pause:?} without a failure between");
        }
        self.failed_since = false;
        self.tried.push(Tried { id, remote, at: self.heard, closed: false, failure: None });
    }

    /// No dead end: something runs, or the end has come.
    fn check_pending(&self) {
        let timer = self.machine.poll_timeout();
        if self.done.is_some() {
            assert_eq!(timer, None, "no timer after the end");
            return;
        }
        let timer = timer.expect("a timer until the end");
        let deadline = self.started + self.config.connect_timeout;
        assert!(timer > self.heard, "a timer of the past");
        assert!(timer <= deadline, "a timer beyond the deadline");
        let attempts = self.tried.iter().any(|known| !known.closed);
        let queries = self.asked.iter().any(|known| {
            let last = known.count == self.config.resolve_tries;
            let over = last && self.heard >= known.last + self.config.resolve_timeout;
            !(known.closed || over)
        });
        // without either, only the next attempt is to be waited for, or addresses of our own
        let soon = timer <= self.heard + ATTEMPT_FLOOR || !self.network.pending.is_empty();
        let state = self.machine.state();
        assert!(attempts || queries || soon, "a dead end, {state}: {:?}", self.machine);
    }

    /// The report tells every query and attempt, each with the cause that it was given.
    fn check_end(&self) {
        let (report, reason) = match self.done.as_ref().expect("an end") {
            Ok(end) => {
                assert_eq!(Some(end.attempt), self.connected);
                (&end.report, None)
            }
            Err(error) => {
                assert_eq!(self.connected, None, "a connection was thrown away");
                assert!(!error.to_string().is_empty());
                (&error.report, Some(error.reason))
            }
        };
        assert_eq!(report.queries.len(), self.asked.len());
        for (told, known) in report.queries.iter().zip(&self.asked) {
            assert_eq!((told.kind, told.tries), (known.kind, known.count));
            let Some(cause) = known.failure else {
                assert!(!matches!(told.answer, Answer::Failed(_)));
                continue;
            };
            // too late after the last try's time; an answer that came after the failure takes its
            // place
            let silent = told.answer == Answer::Silent && known.count == self.config.resolve_tries;
            let failed = told.answer == Answer::Failed(cause);
            assert!(failed || silent || matches!(told.answer, Answer::Records(_)), "{told:?}");
        }
        assert_eq!(report.attempts.len(), self.tried.len());
        for (told, known) in report.attempts.iter().zip(&self.tried) {
            assert_eq!((told.remote, told.started), (known.remote, known.at));
            assert!(told.started <= told.ended && told.ended <= report.ended);
            match (&told.outcome, known.failure) {
                (Outcome::Failed(cause), Some(given)) => assert_eq!(*cause, given),
                (Outcome::Connected, None) => assert_eq!(Some(known.id), self.connected),
                (Outcome::Outrun, None) => assert!(self.connected.is_some()),
                (Outcome::Unanswered, None) => assert_eq!(reason, Some(Reason::TimedOut)),
                (Outcome::Abandoned, None) => assert_eq!(reason, Some(Reason::Abandoned)),
                other => panic!("{other:?}"),
            }
        }
        let untried: BTreeSet<_> = report.untried.iter().collect();
        assert_eq!(untried.len(), report.untried.len(), "one endpoint twice");
        for remote in untried {
            assert!(self.tried.iter().all(|known| known.remote != *remote), "{remote} was tried");
        }
        if reason == Some(Reason::AllFailed) {
            assert!(report.untried.is_empty(), "given up with addresses left");
        }
    }
}

fn pick(len: usize, octets: &mut Octets<'_>) -> Option<usize> {
    (len > 0).then(|| octets.below(len.min(255) as u8))
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    }
}
