//! Names to addresses: a stub resolver over a [`stack::Net`].
//!
//! ```text
//!  name ─► table, localhost, invalid ─► search list ─► cache ─► the same question already asked?
//!                                                                    │ no
//!            UDP ◄── each server: its manners ◄── order, patience ◄──┘
//!             │ TC, forgers
//!             └──► TCP │ TLS: one pipelined connection for each server
//! ```
//!
//! The loop is ours, the octets are simple-dns's. hickory-resolver runs on Hermit too, but costs 1.2 MB of a 4 MiB
//! image and has neither the bound on outstanding questions over one connection, nor 0x20 spelling, nor TLS on a
//! stream of ours.
//!
//! Pure, with the time handed in: [`names`] (what is asked of nobody, the search list), [`cache`], [`standing`] (servers
//! that failed, servers that are old), [`schedule`] (when the next server is asked), [`pipeline`] (framing and bounds of
//! a connection). Drivers: [`udp`], [`stream`], [`secure`], [`ask`].
//!
//! Implemented: RFC 1035, 2308 (negative answers), 5452 (random identifiers and ports, checks), 6761 (special names),
//! 6891 (EDNS), 7766 (TCP), 7858 (TLS) with padding (8467), 0x20, aliases, HTTPS records.
//! **Not** here: DNSSEC validation, DNS over HTTPS or QUIC, mDNS, stale answers, prefetching.

mod ask;
mod cache;
mod fault;
mod names;
mod pipeline;
mod schedule;
mod secure;
mod shared;
mod standing;
mod stream;
#[cfg(test)]
mod tests;
mod udp;

use crate::error::{Cause, Error, Stage};
use crate::trace::{Step, Trace};
use ask::{Servers, Told};
use cache::Cache;
use core::time::Duration;
use futures_lite::future;
use names::Local;
use proto::dns::{Answer, Data, Kind, MAX_ALIASES, Question, Server};
use proto::target::Host;
use shared::{Shared, Work};
use spin::Mutex;
use stack::{BoxFuture, Configuration, Instant, Net};
use std::net::IpAddr;
use std::sync::{Arc, Weak};

/// So many servers are asked.
const MAX_SERVERS: usize = 8;
/// So many domains complete a short name.
const MAX_DOMAINS: usize = 8;

/// How names are resolved.
#[derive(Debug, Clone)]
pub struct Options {
    /// Servers in order of preference; empty: those that the network names.
    pub servers: Vec<Server>,
    /// How long a question may take, all its servers and repetitions included.
    pub timeout: Duration,
    /// How many answers are kept; 0: none.
    pub cache_size: usize,
    /// Names with fixed addresses, in lower case.
    pub hosts: Vec<(String, IpAddr)>,
    /// Domains that complete names without a dot, in order; empty: those that the network names.
    pub search: Vec<String>,
    /// Ask for HTTPS records where something speaks HTTPS.
    pub https_records: bool,
}

impl Default for Options {
    /// The network's servers and domains, 5 s, 256 answers.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            cache_size: 256,
            hosts: Vec::new(),
            search: Vec::new(),
            https_records: true,
        }
    }
}

/// Answers what DNS knows of a host. Clones share cache and connections.
#[derive(Clone)]
pub struct Resolver(Arc<Core>);

struct Core {
    options: Options,
    servers: Servers,
    cache: Mutex<Cache>,
    /// Questions on their way, for others who ask the same.
    asked: Mutex<Vec<(Question, Weak<Work<Outcome>>)>>,
}

type Outcome = Result<Told, Cause>;

impl Resolver {
    /// With nothing cached and nothing connected.
    pub fn new(options: Options) -> Self {
        let cache = Mutex::new(Cache::new(options.cache_size));
        Self(Arc::new(Core {
            options,
            servers: Servers::default(),
            cache,
            asked: Mutex::default(),
        }))
    }

    /// Whether to ask for HTTPS records where something speaks HTTPS.
    pub fn asks_for_services(&self) -> bool {
        self.0.options.https_records
    }

    /// Whether it knows servers of its own, and need not wait for the network to name some.
    pub fn has_servers(&self) -> bool {
        !self.0.options.servers.is_empty()
    }

    /// The addresses of `host` of both families, at least one, IPv4 first. Literals are their own answer. For flows that
    /// cannot race addresses; TCP asks for each kind by [`Self::query`].
    pub async fn lookup(
        &self,
        net: &Arc<dyn Net>,
        host: &Host,
        trace: &Trace,
    ) -> Result<Vec<IpAddr>, Error> {
        let name = match host {
            Host::Ip(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        if let Some(fixed) = self.local(name)? {
            return Ok(fixed);
        }
        let (v4, v6) = future::zip(
            self.query(net, name, Kind::A, trace),
            self.query(net, name, Kind::Aaaa, trace),
        )
        .await;
        let mut addresses = Vec::new();
        for data in [&v4, &v6].into_iter().flatten() {
            if let Data::Addresses(found) = data {
                addresses.extend(found);
            }
        }
        match (addresses.is_empty(), v4, v6) {
            (false, ..) => Ok(addresses),
            (true, Err(error), _) | (true, _, Err(error)) => Err(error),
            (true, Ok(data), _) => Err(failure(name, Cause::Name(words(&data)))),
        }
    }

    /// The servers that were given; none: those that the network names are asked.
    pub fn given(&self) -> impl Iterator<Item = IpAddr> {
        self.0.options.servers.iter().map(|server| server.address.ip())
    }

    /// The servers to ask: those given, or those that the network names.
    pub fn servers(&self, configuration: &Configuration) -> Vec<Server> {
        let mut servers = self.0.options.servers.clone();
        if servers.is_empty() {
            servers.extend(configuration.dns_servers.iter().copied().map(Server::udp));
        }
        servers.truncate(MAX_SERVERS);
        servers
    }

    /// What no server needs to be asked for. An error: there is no such name.
    pub fn local(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Error> {
        match names::local(name, &self.0.options.hosts) {
            Local::Addresses(addresses) => Ok(Some(addresses)),
            Local::NoName => Err(failure(name, Cause::Name("no such name (RFC 6761)".into()))),
            Local::Unknown => Ok(None),
        }
    }

    /// What DNS knows of `name`, or of the first name of the search list that exists: never [`Data::Alias`]. Every
    /// question is a step of the trace.
    pub async fn query(
        &self,
        net: &Arc<dyn Net>,
        name: &str,
        kind: Kind,
        trace: &Trace,
    ) -> Result<Data, Error> {
        let configuration =
            net.ready().await.map_err(|error| Error::net(Stage::Network, name, error))?;
        let mut data = Data::NoName;
        for candidate in names::candidates(name, self.0.domains(&configuration)) {
            let question = Question::new(&candidate, kind)
                .map_err(|error| failure(name, Cause::Name(error.to_string())))?;
            let told = self.0.clone().one(net, question, trace).await;
            data = told.map_err(|cause| failure(name, cause))?;
            // a name that exists ends the search, so that both families are of the same one
            if data != Data::NoName {
                break;
            }
        }
        Ok(data)
    }

    /// The service bindings of HTTPS on a port of `name` (RFC 9460 §9.1).
    pub async fn services(
        &self,
        net: &Arc<dyn Net>,
        name: &str,
        port: u16,
        trace: &Trace,
    ) -> Result<Data, Error> {
        if port == HTTPS {
            return self.query(net, name, Kind::Https, trace).await;
        }
        // such a name rarely exists: a search for it would find another host's
        if !name.contains('.') {
            return Ok(Data::NoData);
        }
        let owner = format!("_{port}._https.{name}");
        let mut data = self.query(net, &owner, Kind::Https, trace).await?;
        if let Data::Services(services) = &mut data {
            for service in services {
                service.target.get_or_insert_with(|| owner.clone());
            }
        }
        Ok(data)
    }
}

/// The port whose service bindings stand at the name itself.
const HTTPS: u16 = 443;

impl Core {
    fn domains<'a>(&'a self, configuration: &'a Configuration) -> &'a [String] {
        let domains = match self.options.search.is_empty() {
            true => &configuration.search_domains,
            false => &self.options.search,
        };
        &domains[..domains.len().min(MAX_DOMAINS)]
    }

    /// One absolute question: from the cache, with another who asks the same, or of the servers.
    async fn one(
        self: Arc<Self>,
        net: &Arc<dyn Net>,
        question: Question,
        trace: &Trace,
    ) -> Result<Data, Cause> {
        let start = net.now();
        let step = |outcome| Step {
            kind: "dns",
            subject: question.name().into(),
            start,
            end: net.now(),
            outcome,
        };
        let kind = question.kind();
        if let Some(data) = self.cache.lock().get(&question, start) {
            trace.push(step(Ok(format!("{kind} {} (cached)", words(&data)))));
            return Ok(data);
        }
        let mut asking = Asking { net, trace, question: &question, start, ended: false };
        let told = self.join(net, &question).await;
        asking.ended = true;
        let outcome = match &told {
            Ok(Told { answer, server, notes }) => {
                let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
                let text = format!("{kind} {} ({server}{notes})", words(&answer.data));
                match answer.data {
                    Data::NoName => Err(text),
                    _ => Ok(text),
                }
            }
            Err(cause) => Err(format!("{kind} {cause}")),
        };
        trace.push(step(outcome));
        told.map(|told| told.answer.data)
    }

    /// Joins those who ask the same, or asks.
    fn join(self: Arc<Self>, net: &Arc<dyn Net>, question: &Question) -> Shared<Outcome> {
        let mut asked = self.asked.lock();
        let same = asked.iter().find(|(asked, _)| asked == question);
        if let Some(shared) = same.and_then(|(_, work)| Shared::of(work)) {
            return shared;
        }
        asked.retain(|(_, work)| work.strong_count() > 0);
        let work: BoxFuture<'static, Outcome> =
            Box::pin(self.clone().ask(net.clone(), question.clone()));
        let shared = Shared::new(work);
        asked.push((question.clone(), shared.work()));
        drop(asked);
        shared
    }

    /// Asks the servers, follows aliases that lead out of an answer, and keeps what comes of it.
    async fn ask(self: Arc<Self>, net: Arc<dyn Net>, question: Question) -> Outcome {
        let configuration = net.ready().await.map_err(Cause::Net)?;
        let servers = Resolver(self.clone()).servers(&configuration);
        if servers.is_empty() {
            let text = "no DNS server is known (--dns-servers=udp:IP names one, --host=NAME=IP needs none)";
            return Err(Cause::Name(text.into()));
        }
        let mut current = question.clone();
        let mut ttl: Option<u32> = None;
        for _ in 0..=MAX_ALIASES {
            let limit = self.options.timeout;
            let mut told = self.servers.ask(&net, &servers, &current, limit).await?;
            let least = |a: Option<u32>, b: u32| a.map_or(b, |a| a.min(b));
            if let Data::Alias(name) = &told.answer.data {
                ttl = told.answer.ttl.map(|alias| least(ttl, alias)).or(ttl);
                current = question.of(name).map_err(|error| Cause::Name(error.to_string()))?;
                continue;
            }
            told.answer.ttl = told.answer.ttl.map(|answer| least(ttl, answer));
            let Answer { data, ttl } = &told.answer;
            let kept = Answer { data: data.clone(), ttl: *ttl };
            self.cache.lock().insert(&question, &kept, net.now());
            return Ok(told);
        }
        Err(Cause::Name(proto::dns::Error::AliasLoop.to_string()))
    }
}

/// A question without an answer so far, which is noted when nobody waits for it any more.
struct Asking<'a> {
    net: &'a Arc<dyn Net>,
    trace: &'a Trace,
    question: &'a Question,
    start: Instant,
    ended: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = Err(format!("{} no answer so far, given up", self.question.kind()));
            let (subject, start) = (self.question.name().into(), self.start);
            self.trace.push(Step { kind: "dns", subject, start, end: self.net.now(), outcome });
        }
    }
}

/// Data in a few words.
pub(crate) fn words(data: &Data) -> String {
    match data {
        Data::Addresses(addresses) => {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Data::Services(services) => format!("{} usable records", services.len()),
        Data::Alias(name) => format!("alias of {name}"),
        Data::NoData => "the name exists but has no such record".into(),
        Data::NoName => "no such name".into(),
    }
}

fn failure(name: &str, cause: Cause) -> Error {
    Error { stage: Stage::Resolve, target: name.into(), cause }
}
