//! Names to addresses: the table of the boot arguments, then one DNS server after the other over UDP.
//!
//! Implemented: A and AAAA questions, retransmission, the next server when one is silent or fails, random identifiers
//! and ports, the checks of RFC 5452 (identifier, question, server's address and port), `localhost` and
//! `invalid` answered here (RFC 6761). **Not** yet: TCP, TLS, caching, search domains.

use crate::deadline::within;
use crate::error::{Cause, Error, Stage};
use crate::trace::{Step, Trace};
use core::time::Duration;
use proto::dns::{self, Family};
use proto::target::Host;
use stack::{IpVersion, Net};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Answers which addresses a host has.
#[derive(Debug, Clone)]
pub struct Resolver {
    /// Servers in order of preference; empty: those that the network names.
    pub servers: Vec<SocketAddr>,
    /// How long one server may take, its retransmission included.
    pub timeout: Duration,
    /// Names with fixed addresses, in lower case.
    pub hosts: Vec<(String, IpAddr)>,
}

/// How often every server is asked before the name is given up.
const ROUNDS: usize = 2;
/// The largest answer over UDP without EDNS is 512 octets; a larger one is read and judged all the same.
const LARGEST_ANSWER: usize = 4096;

impl Resolver {
    /// The addresses of `host` of one family after the other, at least one. Literals are their own
    /// answer. For flows that cannot race addresses; TCP asks for both at once by [`Self::query`].
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
        let start = net.now();
        let mut answer = self.query(net, name, Family::V4).await;
        if answer.is_err()
            && let Ok(addresses) = self.query(net, name, Family::V6).await
        {
            answer = Ok(addresses);
        }
        let outcome = match &answer {
            Ok(addresses) => Ok(list(addresses)),
            Err(error) => Err(error.cause.to_string()),
        };
        trace.push(Step { kind: "dns", subject: name.clone(), start, end: net.now(), outcome });
        answer
    }

    /// The addresses of one family that the servers know for `name`, at least one.
    pub async fn query(
        &self,
        net: &Arc<dyn Net>,
        name: &str,
        family: Family,
    ) -> Result<Vec<IpAddr>, Error> {
        self.ask_all(net, name.strip_suffix('.').unwrap_or(name), family).await
    }

    /// What no server needs to be asked for. An error: there is no such name.
    pub fn local(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Error> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let fixed: Vec<_> = self
            .hosts
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, address)| *address)
            .collect();
        let last = name.rsplit('.').next().unwrap_or(name);
        match (fixed.is_empty(), last) {
            (false, _) => Ok(Some(fixed)),
            (true, "localhost") => Ok(Some(vec![Ipv4Addr::LOCALHOST.into()])),
            (true, "invalid") => Err(failure(name, "no such name (RFC 6761)".into())),
            _ => Ok(None),
        }
    }

    async fn ask_all(
        &self,
        net: &Arc<dyn Net>,
        name: &str,
        family: Family,
    ) -> Result<Vec<IpAddr>, Error> {
        let configuration =
            net.ready().await.map_err(|error| Error::net(Stage::Network, name, error))?;
        let mut servers = self.servers.clone();
        if servers.is_empty() {
            servers.extend(
                configuration.dns_servers.iter().map(|&address| SocketAddr::new(address, 53)),
            );
        }
        if servers.is_empty() {
            let text = "no DNS server is known (--dns-servers=udp:IP names one, --host=NAME=IP needs none)";
            return Err(failure(name, text.into()));
        }
        let mut causes: Vec<String> = Vec::new();
        for _ in 0..ROUNDS {
            for &server in &servers {
                match self.ask(net, server, name, family).await {
                    Ok(addresses) => return Ok(addresses),
                    // these two are answers: another server would say the same
                    Err(Refusal::Answer(
                        error @ (dns::Error::NoSuchName | dns::Error::NoAddress | dns::Error::Name),
                    )) => {
                        return Err(failure(name, format!("{error} (from {server})")));
                    }
                    Err(refusal) => {
                        let cause = format!("{server}: {refusal}");
                        if !causes.contains(&cause) {
                            causes.push(cause);
                        }
                    }
                }
            }
        }
        Err(failure(name, causes.join("; ")))
    }

    async fn ask(
        &self,
        net: &Arc<dyn Net>,
        server: SocketAddr,
        name: &str,
        family: Family,
    ) -> Result<Vec<IpAddr>, Refusal> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|_| Refusal::NoEntropy)?;
        let id = u16::from_ne_bytes(id);
        let question = dns::query(id, name, family).map_err(Refusal::Answer)?;
        let socket = net.udp_bind(None, IpVersion::of(server.ip())).await.map_err(Refusal::Net)?;
        socket.send_to(&question, server).await.map_err(Refusal::Net)?;
        let answer = async {
            let mut buf = vec![0; LARGEST_ANSWER];
            loop {
                let (len, from) = socket.recv_from(&mut buf).await.map_err(Refusal::Net)?;
                if from != server {
                    continue;
                }
                match dns::addresses(&buf[..len], id, name, family) {
                    Err(dns::Error::NotAnAnswer) => {}
                    answer => return answer.map_err(Refusal::Answer),
                }
            }
        };
        // asked twice within the server's time: one lost datagram is no reason to leave it
        let half = self.timeout / 2;
        let mut answer = core::pin::pin!(answer);
        match within(&**net, half, answer.as_mut()).await {
            Some(answer) => answer,
            None => {
                socket.send_to(&question, server).await.map_err(Refusal::Net)?;
                within(&**net, half, answer).await.ok_or(Refusal::Silent)?
            }
        }
    }
}

enum Refusal {
    Answer(dns::Error),
    Net(stack::Error),
    NoEntropy,
    Silent,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Answer(error) => error.fmt(f),
            Self::Net(error) => error.fmt(f),
            Self::NoEntropy => f.write_str("no entropy for an unpredictable question"),
            Self::Silent => f.write_str("no answer"),
        }
    }
}

fn failure(name: &str, text: String) -> Error {
    Error { stage: Stage::Resolve, target: name.into(), cause: Cause::Name(text) }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
