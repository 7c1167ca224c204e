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

impl Dialer {
    /// A connection to the first address of `host` that takes one.
    pub async fn dial(&self, host: &Host, port: u16) -> Result<Box<dyn TcpStream>, Error> {
        let attempt = async {
            let configuration = self.ready().await?;
            let request = match host {
                Host::Ip(address) => Request::addresses([*address], port),
                Host::Name(name) => match self.resolver.local(name)? {
                    Some(fixed) => Request::addresses(fixed, port),
                    None => Request::name(name.as_str(), port),
                },
            };
            race::race(self, &configuration, request, &format!("{host}:{port}")).await
        };
        self.within_limit(&format!("{host}:{port}"), attempt).await
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
            false => Error { stage: Stage::Network, target: "address (DHCP)".into(), cause },
        })
    }

    /// The first address of `host`, for flows that cannot try one after the other.
    pub async fn address(&self, host: &Host) -> Result<IpAddr, Error> {
        let addresses = self.addresses(host).await?;
        Ok(*addresses.first().expect("a lookup gives at least one address"))
    }

    /// The addresses of `host`, once the machine has one itself; at least one.
    pub async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Error> {
        self.ready().await?;
        self.resolver.lookup(&self.net, host, &self.trace).await
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
