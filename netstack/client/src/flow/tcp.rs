//! TCP as a flow.

use crate::dialer::Dialer;
use crate::error::Error;
use crate::features;
use crate::flows::Flows;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_io::AsyncWrite as _;
use mimic::flow::Error as FlowError;
use mimic::{Ctx, Handle, Registry, Shutdown, req};
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
        Ok(Flow { stream: Some(stream) })
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
        let place = (req(&flows.scheme), req(&flows.dialer), req(&flows.host), req(&flows.port));
        ctx.fold(self.handle.endpoint(), place, |(scheme, dialer, host, port)| async move {
            let ours = matches!(*scheme, Scheme::Http | Scheme::Tcp) && features::serves(&scheme);
            ours.then(|| Endpoint::new(&dialer, &host, *port))
        })
    }
}

/// A TCP connection.
pub struct Flow {
    /// `None` once closed.
    stream: Option<Box<dyn TcpStream>>,
}

impl Flow {
    fn stream(&mut self) -> Result<&mut dyn TcpStream, FlowError> {
        match &mut self.stream {
            Some(stream) => Ok(&mut **stream),
            None => Err(FlowError::Closed),
        }
    }
}

impl mimic::Flow for Flow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, FlowError>> {
        Pin::new(self.stream()?).poll_read(cx, buf).map_err(FlowError::from)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, FlowError>> {
        Pin::new(self.stream()?).poll_write(cx, buf).map_err(FlowError::from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        Pin::new(self.stream()?).poll_flush(cx).map_err(FlowError::from)
    }

    fn poll_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), FlowError>> {
        let stream = self.stream()?;
        if how != Shutdown::Read {
            ready!(Pin::new(&mut *stream).poll_close(cx)).map_err(FlowError::from)?;
        }
        if how != Shutdown::Write {
            stream.shutdown_read();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        let closed = ready!(Pin::new(stream).poll_close(cx)).map_err(FlowError::from);
        self.stream = None;
        Poll::Ready(closed)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            Some(stream) => write!(f, "tcp {}", stream.peer_addr()),
            None => f.write_str("tcp (closed)"),
        }
    }
}
