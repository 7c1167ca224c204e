//! From a host and a port to a TCP connection: one value that every flow over TCP connects by.
//!
//! Names are resolved and addresses raced as RFC 8305 says, by [`crate::race`].

use crate::deadline::within;
use crate::dns::Resolver;
use crate::error::{Cause, Error, Stage};
use crate::race;
use crate::trace::{Step, Trace};
use core::time::Duration;
use futures_lite::future;
use happy_eyeballs::{Family, Memory, Request};
use proto::target::Host;
use spin::Mutex;
use stack::{Configuration, Net, TcpStream};
use std::net::IpAddr;
use std::sync::Arc;

/// Opens TCP connections to hosts.
#[derive(Clone)]
pub struct Dialer {
    /// The stack below.
    pub net: Arc<dyn Net>,
    /// How families and addresses are raced; checked by `Config::check`.
    pub race: happy_eyeballs::Config,
    /// Which family alone is used, if only one.
    pub only: Option<Family>,
    /// What worked before; shared by all dials of a run.
    pub memory: Arc<Mutex<Memory>>,
    /// Knows the addresses of names.
    pub resolver: Resolver,
    /// From the call to a connection, address configuration and DNS included.
    pub limit: Duration,
    /// Where the steps are noted.
    pub trace: Trace,
}

/// The application protocols that a client of HTTPS here may speak: services that offer none of them are left out.
const HTTPS_ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

impl Dialer {
    /// A connection to the first address of `host` that takes one.
    pub async fn dial(&self, host: &Host, port: u16) -> Result<Box<dyn TcpStream>, Error> {
        self.resolve(host, &[port], false).await
    }

    /// A connection to the first address and port of `host` that takes one; each address is tried on all `ports`, 1 to 8
    /// of them, in their order. `https`: HTTPS is spoken there, so HTTPS records may lead to other addresses and ports.
    pub async fn resolve(
        &self,
        host: &Host,
        ports: &[u16],
        https: bool,
    ) -> Result<Box<dyn TcpStream>, Error> {
        let all: Vec<_> = ports.iter().map(ToString::to_string).collect();
        let target = format!("{host}:{}", all.join(","));
        let attempt = async {
            let mut configuration = self.ready().await?;
            let request = match host {
                Host::Ip(address) => Request::addresses([*address], 0),
                Host::Name(name) => match self.resolver.local(name)? {
                    Some(fixed) => Request::addresses(fixed, 0),
                    None => {
                        configuration = self.name_servers().await?;
                        Request::name(name.as_str(), 0)
                    }
                },
            };
            let request = Request {
                ports: ports.into(),
                services: https && self.resolver.asks_for_services(),
                alpn: HTTPS_ALPN.iter().map(|name| name.to_vec()).collect(),
                ..request
            };
            race::race(self, configuration, request, &target).await
        };
        self.within_limit(&target, attempt).await
    }

    /// What `attempt` gives, or the error that says that the limit ran out on the way to `target`.
    pub async fn within_limit<T>(
        &self,
        target: &str,
        attempt: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if let Some(outcome) = within(&*self.net, self.limit, attempt).await {
            return outcome;
        }
        let cause = Cause::Limit { limit: "connect-timeout", after: self.limit };
        let has_address = future::poll_once(self.net.ready()).await.is_some();
        Err(match has_address {
            true => Error { stage: Stage::Connect, target: target.into(), cause },
            false => {
                let asked = match self.only {
                    Some(Family::V4) => "DHCP",
                    Some(Family::V6) => "router advertisements",
                    None => "DHCP and router advertisements",
                };
                let target = format!("address ({asked})");
                Error { stage: Stage::Network, target, cause }
            }
        })
    }

    /// The best address of `host`, for flows that cannot try one after the other.
    pub async fn address(&self, host: &Host) -> Result<IpAddr, Error> {
        let addresses = self.addresses(host).await?;
        Ok(*addresses.first().expect("there is at least one address"))
    }

    /// The addresses of `host`, at least one, in the order of RFC 6724: once the machine has an address
    /// itself, and one for one of these unless none is to be expected.
    pub async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Error> {
        self.ready().await?;
        if let Host::Name(name) = host
            && self.resolver.local(name)?.is_none()
        {
            self.name_servers().await?;
        }
        let mut addresses = self.resolver.lookup(&self.net, host, &self.trace).await?;
        if let Some(only) = self.only {
            addresses.retain(|address| Family::of(*address) == only);
            if addresses.is_empty() {
                let cause = Cause::Name(format!("no {only} address (--{})", flag(only)));
                return Err(Error { stage: Stage::Resolve, target: host.to_string(), cause });
            }
        }
        let awaited = |configuration: &Configuration| {
            let network = race::network(configuration, self.only);
            addresses.iter().all(|address| network.awaits(*address))
        };
        let configuration = self.wait(|configuration| !awaited(configuration)).await?;
        race::network(&configuration, self.only).sort(&mut addresses);
        Ok(addresses)
    }

    /// Waits for somebody to ask: a server may be named, or become reachable, later than the first
    /// address is given.
    async fn name_servers(&self) -> Result<Configuration, Error> {
        let given: Vec<_> = self.resolver.given().collect();
        self.wait(|configuration| {
            let network = race::network(configuration, self.only);
            let servers = if given.is_empty() { &configuration.dns_servers } else { &given };
            servers.iter().any(|server| !network.awaits(*server))
        })
        .await
    }

    async fn wait(&self, wanted: impl Fn(&Configuration) -> bool) -> Result<Configuration, Error> {
        let configuration = self.net.ready_with(wanted).await;
        configuration.map_err(|error| Error::net(Stage::Network, "address", error))
    }

    async fn ready(&self) -> Result<Configuration, Error> {
        let start = self.net.now();
        let ready = self.net.ready().await;
        let outcome = match &ready {
            Ok(configuration) if configuration.addresses.is_empty() => Ok("the host's".into()),
            Ok(configuration) => {
                let all: Vec<_> = configuration.addresses.iter().map(ToString::to_string).collect();
                let by = configuration.dhcp_server.map(|server| format!(" (DHCP from {server})"));
                Ok(all.join(", ") + &by.unwrap_or_default())
            }
            Err(error) => Err(error.to_string()),
        };
        self.trace.push(Step {
            kind: "network",
            subject: "address".into(),
            start,
            end: self.net.now(),
            outcome,
        });
        ready.map_err(|error| Error::net(Stage::Network, "address", error))
    }
}

/// The argument that says that `only` this family is used.
fn flag(only: Family) -> &'static str {
    match only {
        Family::V4 => "ipv4-only",
        Family::V6 => "ipv6-only",
    }
}
