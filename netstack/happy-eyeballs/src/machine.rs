//! The state machine itself: RFC 8305 from the first question to the connection.

use crate::config::{ATTEMPT_FLOOR, Config, Invalid};
use crate::endpoints::Known;
use crate::memory::Memory;
use crate::network::{Family, Network};
use crate::output::{AttemptId, Output, QueryId, State};
use crate::query::Queries;
use crate::report::{self, Connected, Error, Outcome, Reason, Report};
use crate::request::{Kind, Request, Service, Target};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// One call: from a name or addresses to one connection. `E` is the caller's cause of a failed
/// query or attempt, kept for the report.
///
/// Feed it with the `handle_*` methods, each with the time of its call: a [`Duration`] since any
/// fixed moment (one that lies behind an earlier one counts as that earlier one). After
/// [`new`](Self::new) and after each `handle_*`:
///
/// 1. take [`poll_output`](Self::poll_output) until it is `None`, and do what each says;
/// 2. wait for the first of: an answer, the end of an attempt,
///    [`poll_timeout`](Self::poll_timeout);
/// 3. call the `handle_*` that fits. An early [`handle_timeout`](Self::handle_timeout) does no
///    harm.
///
/// What an attempt that has ended still reports is ignored, and so are ids never given out and
/// everything after the end. An answer counts however late it comes.
#[derive(Debug)]
pub struct HappyEyeballs<E> {
    config: Config,
    request: Request,
    network: Network,
    memory: Memory,
    state: State,
    started: Duration,
    now: Duration,
    queries: Queries<E>,
    known: Known,
    attempts: Vec<Attempt<E>>,
    /// No attempt starts before.
    next_start: Duration,
    /// The end of the resolution delay, once there was an address to try.
    delay_end: Option<Duration>,
    outputs: VecDeque<Output<E>>,
}

#[derive(Debug)]
struct Attempt<E> {
    remote: SocketAddr,
    started: Duration,
    /// The caller knows of it.
    taken: bool,
    end: Option<(Duration, Outcome<E>)>,
}

impl<E> HappyEyeballs<E> {
    /// Starts a call. The memory is only read; let it [learn](Memory::learn) from the report in the
    /// end.
    pub fn new(
        config: Config,
        request: Request,
        network: Network,
        memory: &Memory,
        now: Duration,
    ) -> Result<Self, Invalid> {
        config.check()?;
        let request = request.checked()?;
        let mut machine = Self {
            queries: Queries::new(config.resolve_timeout, config.resolve_tries),
            known: Known::new(&request.target),
            config,
            request,
            network,
            memory: memory.clone(),
            state: State::Resolving,
            started: now,
            now,
            attempts: Vec::new(),
            next_start: now,
            delay_end: None,
            outputs: VecDeque::new(),
        };
        if let Target::Name(name) = &machine.request.target {
            let name = Arc::clone(name);
            let services = machine.request.services;
            machine.ask_all(&name, services);
        } else {
            machine.arrange();
        }
        machine.advance();
        Ok(machine)
    }

    /// An answer to an A or AAAA query; an empty one says that there are no such addresses. Further
    /// answers to the same query add to it.
    pub fn handle_addresses(&mut self, now: Duration, query: QueryId, addresses: &[IpAddr]) {
        self.handle(now, |machine| {
            let known = machine.queries.name_and_kind(query);
            let Some((name, kind)) = known.filter(|(_, kind)| *kind != Kind::Service) else {
                return;
            };
            machine.queries.answered(machine.now, query, addresses.len());
            machine.known.add_addresses(&name, kind, addresses);
            machine.arrange();
        });
    }

    /// An answer to a service query; an empty one says that there are no such records. The names
    /// that the records point to are asked for their addresses.
    pub fn handle_services(&mut self, now: Duration, query: QueryId, services: &[Service]) {
        self.handle(now, |machine| {
            let known = machine.queries.name_and_kind(query);
            if !matches!(known, Some((_, Kind::Service))) {
                return;
            }
            machine.queries.answered(machine.now, query, services.len());
            for name in machine.known.add_services(services, &machine.request.alpn) {
                machine.ask_all(&name, false);
            }
            machine.arrange();
        });
    }

    /// The failure of a query. It is not asked again: repetition and other servers are for the
    /// caller to have tried. Only silence is met with asking again.
    pub fn handle_query_failed(&mut self, now: Duration, query: QueryId, cause: E) {
        self.handle(now, |machine| machine.queries.failed(machine.now, query, cause));
    }

    /// An attempt connected. The first one wins; of any other the caller closes what it got.
    pub fn handle_connected(&mut self, now: Duration, attempt: AttemptId) {
        // a connection that comes with the end of the time is better than none: no timer before it
        self.now = self.now.max(now);
        match self.live(attempt) {
            Some(index) => {
                self.attempts[index].end = Some((self.now, Outcome::Connected));
                self.finish(Ok(attempt));
            }
            None => self.handle_timeout(now),
        }
    }

    /// An attempt failed.
    pub fn handle_connect_failed(&mut self, now: Duration, attempt: AttemptId, cause: E) {
        self.handle(now, |machine| {
            let Some(index) = machine.live(attempt) else { return };
            machine.attempts[index].end = Some((machine.now, Outcome::Failed(cause)));
            // the next one need not wait any more, but for the floor of RFC 8305 §5
            let last = machine.attempts.last().map_or(machine.started, |last| last.started);
            let floor = machine.now.max(last.saturating_add(ATTEMPT_FLOOR));
            machine.next_start = machine.next_start.min(floor);
        });
    }

    /// The machine's own addresses changed: a router advertisement came after DHCP, a lease ended. A
    /// family that now has an address is asked for and takes its turn; of a family that has none any
    /// more nothing new is tried, and of one that is not pending any more nothing is waited for.
    /// Queries and attempts that run go on.
    pub fn handle_network(&mut self, now: Duration, network: Network) {
        self.handle(now, |machine| {
            machine.network = network;
            for name in machine.known.names() {
                machine.ask_all(&name, false);
            }
            machine.arrange();
        });
    }

    /// The caller gives up: every attempt is cancelled.
    pub fn handle_abandoned(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if !self.is_done() {
            self.finish(Err(Reason::Abandoned));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.handle(now, |_| {});
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output<E>> {
        let output = self.outputs.pop_front();
        if let Some(Output::Connect { attempt, .. }) = &output {
            self.attempts[attempt.0 as usize].taken = true;
        }
        output
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); later than any time the machine was
    /// told so far. `None` when it is done.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.is_done() {
            return None;
        }
        let next = self.next_endpoint().is_some();
        let timers = [
            Some(self.deadline()),
            self.queries.timeout(),
            self.delay_end.filter(|_| next && self.is_held()),
            Some(self.next_start).filter(|_| next && !self.is_held()),
            self.last_resort(),
            self.services_given_up(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Where the machine stands.
    pub fn state(&self) -> State {
        self.state
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Connected | State::Failed)
    }

    /// Moves the time, never back, notes what happened, and does what follows.
    fn handle(&mut self, now: Duration, note: impl FnOnce(&mut Self)) {
        self.now = self.now.max(now);
        if !self.is_done() {
            note(self);
            self.advance();
        }
    }

    fn deadline(&self) -> Duration {
        self.started.saturating_add(self.config.connect_timeout)
    }

    /// The index of an attempt that the caller may still report on.
    fn live(&self, attempt: AttemptId) -> Option<usize> {
        let index = attempt.0 as usize;
        let known = self.attempts.get(index)?;
        (!self.is_done() && known.taken && known.end.is_none()).then_some(index)
    }

    fn any_live(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.end.is_none())
    }

    /// Asks for everything that the network has a use for and that was not asked yet, in the order of
    /// RFC 8305 §3: AAAA before A.
    fn ask_all(&mut self, name: &Arc<str>, services: bool) {
        let [v6, v4] = [Family::V6, Family::V4].map(|family| self.network.asks(family));
        for (kind, wanted) in
            [(Kind::Service, services && (v6 || v4)), (Kind::Aaaa, v6), (Kind::A, v4)]
        {
            if wanted && !self.queries.was_asked(name, kind) {
                self.ask(name, kind);
            }
        }
    }

    fn ask(&mut self, name: &Arc<str>, kind: Kind) {
        let query = self.queries.ask(self.now, Arc::clone(name), kind);
        self.outputs.push_back(Output::Query { query, name: Arc::clone(name), kind, count: 1 });
    }

    fn arrange(&mut self) {
        self.known.arrange(&self.request, &self.network, &self.memory, self.now);
    }

    fn tried(&self) -> Vec<SocketAddr> {
        self.attempts.iter().map(|attempt| attempt.remote).collect()
    }

    fn next_endpoint(&self) -> Option<(SocketAddr, Vec<Vec<u8>>)> {
        let next = self.known.next(&self.tried(), self.config.first_family_count)?;
        Some((next.remote, next.alpn.clone()))
    }

    /// Whether the first attempt waits for better addresses (RFC 8305 §3).
    fn is_held(&self) -> bool {
        if !self.attempts.is_empty() || self.delay_end.is_none_or(|end| self.now >= end) {
            return false;
        }
        let preferred = self.preferred();
        let kind = if preferred == Family::V4 { Kind::A } else { Kind::Aaaa };
        self.queries.is_open(Kind::Service)
            || self.queries.is_open(kind) && !self.known.leads_with(preferred)
    }

    fn preferred(&self) -> Family {
        match self.network.preferred() {
            // a family that did not work of late is not waited for
            Family::V6
                if self.memory.doubts(Family::V6, self.now) && self.network.serves(Family::V4) =>
            {
                Family::V4
            }
            preferred => preferred,
        }
    }

    /// When to ask for the A records of a name whose AAAA records do not work, to reach them
    /// through the NAT64 (RFC 8305 §7.2, §7.3): at once when nothing is left to wait for.
    fn last_resort(&self) -> Option<Duration> {
        let Target::Name(name) = &self.request.target else { return None };
        let wanted = self.network.translator().is_some()
            && !self.queries.was_asked(name, Kind::A)
            && !self.queries.is_open(Kind::Aaaa)
            && self.next_endpoint().is_none();
        let last = self.attempts.last().filter(|_| self.any_live());
        wanted.then(|| {
            let delay = self.config.last_resort_delay;
            last.map_or(self.now, |last| last.started.saturating_add(delay))
        })
    }

    /// With nothing else to wait for: until when service records may bring addresses. They are
    /// asked in hope, and servers that leave them unanswered must not make a failure slow.
    fn services_given_up(&self) -> Option<Duration> {
        let ended = self.queries.addresses_ended()?;
        let idle =
            !self.any_live() && self.next_endpoint().is_none() && !self.known.awaits_network();
        (idle && self.queries.is_open(Kind::Service))
            .then(|| ended.saturating_add(self.config.resolution_delay))
    }

    /// Does everything that is due, then says where that leads.
    fn advance(&mut self) {
        if self.now >= self.deadline() {
            return self.finish(Err(Reason::TimedOut));
        }
        for query in self.queries.repeat(self.now) {
            if let Some((name, kind)) = self.queries.name_and_kind(query) {
                let count = self.queries.tries(query);
                self.outputs.push_back(Output::Query { query, name, kind, count });
            }
        }
        if self.last_resort().is_some_and(|time| time <= self.now)
            && let Target::Name(name) = &self.request.target
        {
            let name = Arc::clone(name);
            self.ask(&name, Kind::A);
        }
        if let Some((remote, alpn)) = self.next_endpoint() {
            let delay_end = self.now.saturating_add(self.config.resolution_delay);
            self.delay_end.get_or_insert(delay_end);
            if self.is_held() {
                self.state = State::Delaying;
                return;
            }
            self.state = State::Connecting;
            if self.now >= self.next_start {
                self.start(remote, alpn);
            }
        } else if self.any_live() {
            self.state = State::Connecting;
        } else if self.queries.addresses_ended().is_none()
            || self.known.awaits_network()
            || self.services_given_up().is_some_and(|time| time > self.now)
        {
            self.state = State::Resolving;
        } else {
            self.finish(Err(self.reason()));
        }
    }

    fn start(&mut self, remote: SocketAddr, alpn: Vec<Vec<u8>>) {
        let attempt = AttemptId(self.attempts.len() as u32);
        let round_trip = self.memory.round_trip(remote.ip(), self.now);
        self.next_start = self.now.saturating_add(self.config.delay_after(round_trip));
        self.attempts.push(Attempt { remote, started: self.now, taken: false, end: None });
        self.outputs.push_back(Output::Connect { attempt, remote, alpn });
    }

    /// Why nothing is left to try.
    fn reason(&self) -> Reason {
        let anywhere = self.network.asks(Family::V4) || self.network.asks(Family::V6);
        if !self.attempts.is_empty() {
            Reason::AllFailed
        } else if !anywhere {
            Reason::NoLocalAddress
        } else if self.queries.all_answered() {
            Reason::NoAddress
        } else {
            Reason::Unresolved
        }
    }

    fn finish(&mut self, end: Result<AttemptId, Reason>) {
        // what the caller has not taken yet is withdrawn: it never hears of attempts that are over
        for output in self.outputs.drain(..) {
            if let Output::Query { query, .. } = output {
                self.queries.withdraw(query);
            }
        }
        let taken = self.attempts.iter().take_while(|attempt| attempt.taken).count();
        self.attempts.truncate(taken);
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if attempt.end.is_none() {
                let outcome = match end {
                    Ok(_) => Outcome::Outrun,
                    Err(Reason::Abandoned) => Outcome::Abandoned,
                    Err(_) => Outcome::Unanswered,
                };
                attempt.end = Some((self.now, outcome));
                self.outputs.push_back(Output::Cancel { attempt: AttemptId(index as u32) });
            }
        }
        let winner = end.map(|attempt| {
            let remote = self.attempts[attempt.0 as usize].remote;
            (attempt, remote, self.known.alpn(remote))
        });
        let report = self.report();
        self.state = if winner.is_ok() { State::Connected } else { State::Failed };
        self.outputs.push_back(Output::Done(match winner {
            Ok((attempt, remote, alpn)) => Ok(Connected { attempt, remote, alpn, report }),
            Err(reason) => Err(Error { reason, report }),
        }));
    }

    /// Takes the story out of the machine, which is over.
    fn report(&mut self) -> Report<E> {
        let tried = self.tried();
        let untried = self.known.endpoints().iter().map(|endpoint| endpoint.remote);
        let untried = untried.filter(|remote| !tried.contains(remote)).collect();
        let attempts = mem::take(&mut self.attempts).into_iter().filter_map(|attempt| {
            let (ended, outcome) = attempt.end?;
            let (remote, started) = (attempt.remote, attempt.started);
            Some(report::Attempt { remote, started, ended, outcome })
        });
        let name = match &self.request.target {
            Target::Name(name) => Some(Arc::clone(name)),
            Target::Addresses(_) => None,
        };
        let queries = mem::replace(&mut self.queries, Queries::new(Duration::ZERO, 0));
        let known = mem::replace(&mut self.known, Known::new(&Target::Addresses(Vec::new())));
        Report {
            name,
            started: self.started,
            ended: self.now,
            queries: queries.report(self.now),
            attempts: attempts.collect(),
            untried,
            skipped: known.into_skipped(),
        }
    }
}
