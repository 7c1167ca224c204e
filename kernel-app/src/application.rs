//! What a program says over its flow: all that a unikernel of one's own has to bring.

use crate::config::Config;
#[cfg(feature = "git")]
use client::flow::git::Service;
use client::flows::Flows;
use client::sink::{Input, Output};
use client::trace::Trace;
use client::{Cause, Error, Stage};
use core::future::Future;
use core::pin::Pin;
use mimic::{BoxFlow, Ctx, Registry};
use proto::target::Target;
use stack::Net;
use std::io::Write;
use std::sync::Arc;

/// A program over a flow. Which flow that is, it never learns but by asking.
pub trait Application {
    /// Registers protocols of its own, and gives the context with what they need. Both hold the
    /// crate's flows and all that the boot arguments say already.
    fn configure(
        &self,
        _registry: &mut Registry,
        _flows: &Flows,
        ctx: Ctx,
        _target: &Target,
    ) -> Ctx {
        ctx
    }

    /// The application protocols to offer in a handshake with `target` (RFC 7301), unless the boot
    /// arguments say others.
    fn protocols(&self, _config: &Config, _target: &Target) -> Vec<String> {
        Vec::new()
    }

    /// Speaks over the flow that the registry found.
    ///
    /// # Errors
    /// What the user is told, and what decides the exit code.
    fn speak(&self, call: Call<'_>) -> impl Future<Output = Result<(), Error>>;
}

/// A flow that is on its way; it need not move between threads.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<BoxFlow, Error>> + 'a>>;

/// Opens flows, as the registry and the context of the run say.
pub trait Connector {
    /// A flow to `target`: the run's context with the destination replaced, resolved anew.
    /// `protocols` are offered in its handshake where it has one.
    fn open<'a>(&'a self, target: &'a Target, protocols: &'a [&'a str]) -> Opening<'a>;

    /// A flow to `service` of the git repository that `target` names, in the same way.
    #[cfg(feature = "git")]
    fn repository<'a>(&'a self, target: &'a Target, service: Service) -> Opening<'a>;
}

/// A flow, and all that a program may want beside it.
pub struct Call<'a> {
    /// Connected.
    pub flow: BoxFlow,
    /// Where it leads.
    pub target: &'a Target,
    /// What the boot arguments say.
    pub config: &'a Config,
    /// Sockets and the clock, on all networks: each destination by way of the one that leads to it.
    pub net: &'a Arc<dyn Net>,
    /// The further networks alone, see [`Self::network`].
    pub networks: &'a [(String, Arc<dyn Net>)],
    /// Opens further flows, through the registry like the first.
    pub connector: &'a dyn Connector,
    /// The handles that turn the flow into the protocol's own.
    pub flows: &'a Flows,
    /// Where octets are counted, for the report; and for the bar, from its `expect` on.
    pub trace: &'a Trace,
    /// Octets of memory that were left when the program began, where the machine says so.
    pub memory: Option<u64>,
    /// Standard input.
    pub stdin: Input,
    /// Standard output: the payload.
    pub stdout: &'a mut Output,
    /// Standard error: what is for people.
    pub stderr: &'a mut (dyn Write + Send),
}

impl Call<'_> {
    /// The further network of this name (`--networks`), and nothing but it; on a Unix host, its sockets.
    pub fn network(&self, name: &str) -> Option<&Arc<dyn Net>> {
        self.networks.iter().find(|(known, _)| known == name).map(|(_, net)| net)
    }

    /// An error of the exchange, from an error of the flow.
    pub fn failed(&self, error: &(dyn core::error::Error + 'static)) -> Error {
        Error { stage: Stage::Exchange, target: self.target.to_string(), cause: Cause::of(error) }
    }
}
