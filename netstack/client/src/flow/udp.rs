//! Datagrams to and from one host and port, as a flow that keeps their bounds.
//!
//! Every write is one datagram and every read gives one (what does not fit the reader's buffer is cut off); an
//! empty datagram reads as nothing and is passed over. Datagrams of others are passed over. There is no end of
//! file.

use crate::dialer::Dialer;
use crate::error::{Error, Stage};
use crate::flows::Flows;
use core::fmt;
use core::task::{Context, Poll, ready};
use mimic::flow::Error as FlowError;
use mimic::{Ctx, Handle, Registry, Shutdown, req};
use proto::target::{Host, Scheme};
use stack::{Datagram, IpVersion};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the `udp` protocol connects to.
pub struct Endpoint {
    /// Resolves the host.
    pub dialer: Dialer,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// The protocol `udp`.
pub struct Udp;

impl mimic::Protocol for Udp {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let dialer = &endpoint.dialer;
        let target = format!("{}:{}", endpoint.host, endpoint.port);
        let open = async {
            let peer = dialer.address(&endpoint.host).await?;
            let bound = dialer.net.udp_bind(None, IpVersion::of(peer)).await;
            let socket = bound.map_err(|error| Error::net(Stage::Connect, &target, error))?;
            Ok(Flow { socket: Some(socket), peer: SocketAddr::new(peer, endpoint.port) })
        };
        dialer.within_limit(&target, open).await
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", endpoint.host, endpoint.port)
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// Turns flows into this protocol's own.
    pub handle: Handle<Udp>,
}

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self { handle: registry.register("udp", None, Udp) }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        let place = (req(&flows.scheme), req(&flows.dialer), req(&flows.host), req(&flows.port));
        ctx.fold(self.handle.endpoint(), place, |(scheme, dialer, host, port)| async move {
            (*scheme == Scheme::Udp).then(|| Endpoint {
                dialer: (*dialer).clone(),
                host: (*host).clone(),
                port: *port,
            })
        })
    }
}

/// Datagrams to and from one host and port.
pub struct Flow {
    /// `None` once closed.
    socket: Option<Box<dyn Datagram>>,
    peer: SocketAddr,
}

impl mimic::Flow for Flow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, FlowError>> {
        let socket = self.socket.as_ref().ok_or(FlowError::Closed)?;
        loop {
            let (len, from) = ready!(socket.poll_recv_from(cx, buf)).map_err(FlowError::failed)?;
            if from == self.peer && len > 0 {
                return Poll::Ready(Ok(len));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, FlowError>> {
        let socket = self.socket.as_ref().ok_or(FlowError::Closed)?;
        ready!(socket.poll_send_to(cx, buf, self.peer)).map_err(FlowError::failed)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        &mut self,
        _cx: &mut Context<'_>,
        _how: Shutdown,
    ) -> Poll<Result<(), FlowError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        self.socket = None;
        Poll::Ready(Ok(()))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp {}", self.peer)
    }
}
