//! Drives the state machine of happy eyeballs over a [`stack::Net`]: its queries by the resolver, its attempts by TCP,
//! its addresses as the network's configuration changes.
//!
//! Everything runs in the one future that is returned; dropping it ends every query and attempt.

use crate::dialer::Dialer;
use crate::dns::words;
use crate::error::{Cause, Error, Stage};
use crate::trace::{Step, Trace};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use happy_eyeballs::{
    Answer, AttemptId, Family, HappyEyeballs, Kind, Network, Outcome, Output, QueryId, Report,
    Request, Service, Source,
};
use proto::dns::{self, Data};
use stack::{BoxFuture, Configuration, Instant, IpVersion, TcpStream};
use std::net::SocketAddr;

/// Why a query or an attempt failed.
#[derive(Debug, Clone)]
enum Fault {
    Connect(stack::Error),
    Query(Cause),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Query(cause) => cause.fmt(f),
        }
    }
}

type Stream = Box<dyn TcpStream>;

type Answered = Result<Data, Error>;
type Connected = Result<Stream, stack::Error>;

/// What is under way.
#[derive(Default)]
struct Pending {
    queries: Vec<(QueryId, BoxFuture<'static, Answered>)>,
    attempts: Vec<(AttemptId, BoxFuture<'static, Connected>)>,
}

/// What happened first.
enum Event {
    Answered(QueryId, Answered),
    Connected(AttemptId, Connected),
    Network(Configuration),
    TimedOut,
}

/// A connection to the first address that takes one. `target` is for errors.
pub(crate) async fn race(
    dialer: &Dialer,
    configuration: Configuration,
    request: Request,
    target: &str,
) -> Result<Stream, Error> {
    let net = &dialer.net;
    let now = || net.now() - Instant::ZERO;
    let memory = dialer.memory.lock().clone();
    let port = request.ports.first().copied().unwrap_or_default();
    let known = network(&configuration, dialer.only);
    let machine = HappyEyeballs::new(dialer.race.clone(), request, known, &memory, now());
    let mut machine: HappyEyeballs<Fault> = machine.map_err(|error| Error {
        stage: Stage::Connect,
        target: target.into(),
        cause: Cause::Unable(error.to_string()),
    })?;
    let asked: Vec<_> =
        dialer.resolver.servers(&configuration).iter().map(ToString::to_string).collect();
    let mut changed = net.changed(configuration);
    let mut pending = Pending::default();
    let mut connected: Vec<(AttemptId, Stream)> = Vec::new();
    loop {
        while let Some(output) = machine.poll_output() {
            match output {
                // the resolver asks again by itself
                Output::Query { count, .. } if count > 1 => {}
                Output::Query { query, name, kind, .. } => {
                    let Dialer { resolver, net, trace, .. } = dialer.clone();
                    let ask = async move {
                        match kind {
                            Kind::A => resolver.query(&net, &name, dns::Kind::A, &trace).await,
                            Kind::Aaaa => {
                                resolver.query(&net, &name, dns::Kind::Aaaa, &trace).await
                            }
                            Kind::Service => resolver.services(&net, &name, port, &trace).await,
                        }
                    };
                    pending.queries.push((query, Box::pin(ask)));
                }
                Output::Connect { attempt, remote, .. } => {
                    pending.attempts.push((attempt, net.tcp_connect(remote)));
                }
                Output::Cancel { attempt } => pending.attempts.retain(|(id, _)| *id != attempt),
                Output::Done(done) => {
                    let report = match &done {
                        Ok(winner) => &winner.report,
                        Err(error) => &error.report,
                    };
                    dialer.memory.lock().learn(report);
                    note(&dialer.trace, report);
                    let winner =
                        done.map_err(|error| failure(&error.report, target, &asked))?.attempt;
                    let stream = connected.into_iter().find(|(id, _)| *id == winner);
                    return Ok(stream.expect("the machine names an attempt that connected").1);
                }
            }
        }
        let wait = machine.poll_timeout().map(|at| net.sleep(at.saturating_sub(now())));
        match first(&mut pending, &mut changed, wait).await {
            Event::Answered(query, Ok(Data::Addresses(addresses))) => {
                machine.handle_addresses(now(), query, &addresses);
            }
            Event::Answered(query, Ok(Data::Services(services))) => {
                let services: Vec<_> = services.into_iter().map(service).collect();
                machine.handle_services(now(), query, &services);
            }
            Event::Answered(query, Ok(nothing)) => {
                let cause = Cause::Name(words(&nothing));
                machine.handle_query_failed(now(), query, Fault::Query(cause));
            }
            Event::Answered(query, Err(error)) => {
                machine.handle_query_failed(now(), query, Fault::Query(error.cause));
            }
            Event::Connected(attempt, Ok(stream)) => {
                connected.push((attempt, stream));
                machine.handle_connected(now(), attempt);
            }
            Event::Connected(attempt, Err(error)) => {
                machine.handle_connect_failed(now(), attempt, Fault::Connect(error));
            }
            Event::Network(configuration) => {
                machine.handle_network(now(), network(&configuration, dialer.only));
                changed = net.changed(configuration);
            }
            Event::TimedOut => machine.handle_timeout(now()),
        }
    }
}

/// The first thing that happens; answers before connections before the network before the timer.
async fn first(
    pending: &mut Pending,
    changed: &mut BoxFuture<'static, Configuration>,
    mut wait: Option<BoxFuture<'static, ()>>,
) -> Event {
    poll_fn(|cx| {
        if let Some((query, answer)) = take_ready(&mut pending.queries, cx) {
            return Poll::Ready(Event::Answered(query, answer));
        }
        if let Some((attempt, result)) = take_ready(&mut pending.attempts, cx) {
            return Poll::Ready(Event::Connected(attempt, result));
        }
        if let Poll::Ready(configuration) = changed.as_mut().poll(cx) {
            return Poll::Ready(Event::Network(configuration));
        }
        match wait.as_mut().map(|wait| wait.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Event::TimedOut),
            _ => Poll::Pending,
        }
    })
    .await
}

fn take_ready<I: Copy, T>(
    futures: &mut Vec<(I, BoxFuture<'static, T>)>,
    cx: &mut Context<'_>,
) -> Option<(I, T)> {
    for index in 0..futures.len() {
        let (id, future) = &mut futures[index];
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            let id = *id;
            drop(futures.swap_remove(index));
            return Some((id, output));
        }
    }
    None
}

fn service(service: dns::Service) -> Service {
    Service {
        priority: service.priority,
        target: service.target.map(Into::into),
        port: service.port,
        alpn: service.alpn,
        ipv4_hints: service.ipv4_hints,
        ipv6_hints: service.ipv6_hints,
    }
}

/// Where we can connect from; a host that does not say is asked by trying.
pub(crate) fn network(configuration: &Configuration, only: Option<Family>) -> Network {
    let Configuration { addresses, pending, mac, .. } = configuration;
    // a host's sockets name neither addresses nor device
    if addresses.is_empty() && mac.is_none() {
        return Network { only, ..Network::default() };
    }
    let sources = addresses.iter().map(|cidr| Source::new(cidr.addr(), cidr.prefix_len()));
    let pending = pending.iter().map(|version| match version {
        IpVersion::V4 => Family::V4,
        IpVersion::V6 => Family::V6,
    });
    Network { pending: pending.collect(), only, ..Network::of(sources) }
}

/// The attempts as steps; the resolver notes the queries.
fn note(trace: &Trace, report: &Report<Fault>) {
    let at = |time: Duration| Instant::ZERO + time;
    for attempt in &report.attempts {
        let outcome = match &attempt.outcome {
            Outcome::Connected => Ok("connected".into()),
            Outcome::Failed(fault) => Err(fault.to_string()),
            Outcome::Outrun => Err("another one was faster".into()),
            Outcome::Unanswered => Err("no answer".into()),
            _ => Err("given up".into()),
        };
        let (start, end) = (at(attempt.started), at(attempt.ended));
        trace.push(Step { kind: "tcp", subject: attempt.remote.to_string(), start, end, outcome });
    }
}

/// Every attempt with its cause; without one, what the queries came to.
fn failure(report: &Report<Fault>, target: &str, asked: &[String]) -> Error {
    let attempts: Vec<(SocketAddr, stack::Error)> = report
        .attempts
        .iter()
        .map(|attempt| match &attempt.outcome {
            Outcome::Failed(Fault::Connect(error)) => (attempt.remote, error.clone()),
            _ => (attempt.remote, stack::Error::TimedOut),
        })
        .collect();
    if !attempts.is_empty() {
        return Error {
            stage: Stage::Connect,
            target: target.into(),
            cause: Cause::Attempts(attempts),
        };
    }
    let mut texts: Vec<String> = Vec::new();
    let mut refused = false;
    for query in &report.queries {
        refused |= matches!(&query.answer, Answer::Failed(Fault::Query(Cause::Certificate(_))));
        let text = match &query.answer {
            Answer::Failed(fault) => fault.to_string(),
            Answer::Silent => format!("no answer to {} from {}", query.kind, asked.join(", ")),
            _ => continue,
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    for (address, skip) in &report.skipped {
        texts.push(format!("{address}: {skip}"));
    }
    let name = report.name.as_deref().unwrap_or(target).to_string();
    match report.name {
        // no name server is whom it should be
        Some(_) if refused => {
            let cause = Cause::Certificate(texts.join("; "));
            Error { stage: Stage::Resolve, target: name, cause }
        }
        Some(_) => {
            Error { stage: Stage::Resolve, target: name, cause: Cause::Name(texts.join("; ")) }
        }
        None => {
            Error { stage: Stage::Connect, target: name, cause: Cause::Unable(texts.join("; ")) }
        }
    }
}
