//! The payloads of one IP protocol to and from one host, as a flow that keeps their bounds.
//!
//! Every write is one packet and every read gives one packet's payload (what does not fit the reader's buffer is
//! cut off); packets of other hosts are passed over. There is no end of file.

use crate::dialer::Dialer;
use crate::error::{Error, Stage};
use crate::flows::Flows;
use crate::options;
use core::fmt;
use core::task::{Context, Poll, ready};
use mimic::flow::Error as FlowError;
use mimic::{Ctx, Handle, Key, Registry, Shutdown, req};
use proto::icmp;
use proto::target::{Host, Scheme, Target};
use stack::{IpVersion, RawIp, Received};
use std::net::IpAddr;
use std::sync::Arc;

/// What the `raw` protocol connects to.
pub struct Endpoint {
    /// Resolves the host.
    pub dialer: Dialer,
    /// The host.
    pub host: Host,
    /// Which IP protocol.
    pub protocol: Protocol,
}

/// Which IP protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// ICMP or ICMPv6, as the host's address says.
    Icmp,
    /// An IANA protocol number.
    Number(u8),
}

/// The protocol `raw`.
pub struct Raw;

impl mimic::Protocol for Raw {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let dialer = &endpoint.dialer;
        let open = async {
            let peer = dialer.address(&endpoint.host).await?;
            let family = IpVersion::of(peer);
            let protocol = match (endpoint.protocol, family) {
                (Protocol::Number(number), _) => number,
                (Protocol::Icmp, IpVersion::V4) => icmp::Version::V4.protocol(),
                (Protocol::Icmp, IpVersion::V6) => icmp::Version::V6.protocol(),
            };
            let opened = dialer.net.raw_open(protocol, family).await;
            let socket =
                opened.map_err(|error| Error::net(Stage::Connect, &endpoint.host, error))?;
            Ok(Flow { socket: Some(socket), peer, protocol })
        };
        dialer.within_limit(&endpoint.host.to_string(), open).await
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match endpoint.protocol {
            Protocol::Icmp => write!(f, "{} ICMP", endpoint.host),
            Protocol::Number(number) => write!(f, "{} protocol {number}", endpoint.host),
        }
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// Which IP protocol a flow carries.
    pub ip_protocol: Key<Protocol>,
    /// Turns flows into this protocol's own.
    pub handle: Handle<Raw>,
}

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        let handle = registry.register("raw", None, Raw);
        Self { ip_protocol: Key::new("ip-protocol"), handle }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        ctx.fold(
            self.handle.endpoint(),
            (req(&flows.scheme), req(&flows.dialer), req(&flows.host), req(&self.ip_protocol)),
            |(scheme, dialer, host, protocol)| async move {
                matches!(*scheme, Scheme::Icmp | Scheme::Raw).then(|| Endpoint {
                    dialer: (*dialer).clone(),
                    host: (*host).clone(),
                    protocol: *protocol,
                })
            },
        )
    }

    fn aim(&self, ctx: Ctx, target: &Target, _options: options::Flows<'_>) -> Ctx {
        let protocol = match target.scheme {
            Scheme::Icmp => Some(Protocol::Icmp),
            Scheme::Raw => target.ip_protocol().map(Protocol::Number),
            _ => None,
        };
        match protocol {
            Some(protocol) => ctx.replace(&self.ip_protocol, protocol),
            None => ctx,
        }
    }
}

/// Packets to and from one host.
pub struct Flow {
    /// `None` once closed.
    socket: Option<Box<dyn RawIp>>,
    peer: IpAddr,
    protocol: u8,
}

impl Flow {
    /// The host's address.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The identifier that the system puts into our echo requests in place of ours, where it does that.
    pub fn echo_identifier(&self) -> Option<u16> {
        self.socket.as_ref()?.echo_identifier()
    }

    /// One packet of the peer, with its hop limit.
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<Received, FlowError>> {
        let socket = self.socket.as_ref().ok_or(FlowError::Closed)?;
        loop {
            let received = ready!(socket.poll_recv(cx, buf)).map_err(FlowError::failed)?;
            if received.src == self.peer {
                return Poll::Ready(Ok(received));
            }
        }
    }
}

impl mimic::Flow for Flow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, FlowError>> {
        // a packet without payload is nothing to a reader of octets, and 0 would mean the end
        loop {
            match ready!(self.poll_recv(cx, buf)) {
                Ok(Received { len: 0, .. }) => {}
                received => return Poll::Ready(received.map(|received| received.len)),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, FlowError>> {
        let socket = self.socket.as_ref().ok_or(FlowError::Closed)?;
        ready!(socket.poll_send(cx, buf, self.peer)).map_err(FlowError::failed)?;
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
        write!(f, "raw {} protocol {}", self.peer, self.protocol)
    }
}
