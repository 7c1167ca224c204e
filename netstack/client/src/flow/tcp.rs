//! TCP as a flow.

use super::socket::{Connection, Socket};
use crate::dialer::Dialer;
use crate::error::Error;
use crate::features;
use crate::flows::Flows;
use core::fmt;
use mimic::{Ctx, Handle, Registry, opt, req};
use proto::target::{Host, Scheme};
use stack::TcpStream;
use std::sync::Arc;

/// What the `tcp` protocol connects to.
pub struct Endpoint {
    /// Opens the connection.
    pub dialer: Dialer,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// HTTPS is spoken over it.
    pub https: bool,
}

impl Endpoint {
    /// One host's port.
    pub fn new(dialer: &Dialer, host: &Host, port: u16) -> Self {
        Self { dialer: dialer.clone(), host: host.clone(), port, https: false }
    }
}

/// The protocol `tcp`.
pub struct Tcp;

impl mimic::Protocol for Tcp {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let Endpoint { dialer, host, port, https } = &*endpoint;
        let stream = dialer.resolve(host, &[*port], *https).await?;
        Ok(Socket::new(stream))
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", endpoint.host, endpoint.port)
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// Turns flows into this protocol's own.
    pub handle: Handle<Tcp>,
}

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self { handle: registry.register("tcp", None, Tcp) }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        let place = (
            req(&flows.scheme),
            req(&flows.dialer),
            req(&flows.host),
            req(&flows.port),
            opt(&flows.tunnel),
        );
        ctx.fold(self.handle.endpoint(), place, |(scheme, dialer, host, port, tunnel)| async move {
            let ours = matches!(*scheme, Scheme::Http | Scheme::Tcp) && features::serves(&scheme);
            (ours && tunnel.is_none()).then(|| Endpoint::new(&dialer, &host, *port))
        })
    }
}

/// A TCP connection.
pub type Flow = Socket<dyn TcpStream>;

impl Connection for dyn TcpStream {
    fn shutdown_read(&mut self) {
        TcpStream::shutdown_read(self);
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp {}", self.peer_addr())
    }
}
