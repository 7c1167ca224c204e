//! Streams to the hypervisor, or to a machine beside this one, as a flow: no network is needed for them.

use super::socket::{Connection, Socket};
use crate::deadline::within;
use crate::dialer::Dialer;
use crate::error::{Cause, Error, Stage};
use crate::flows::Flows;
use crate::options;
use crate::trace::Step;
use core::fmt;
use mimic::{Ctx, Handle, Key, Registry, req};
use proto::target::{Scheme, Target};
use stack::vsock::{Vsock as Sockets, VsockStream};
use std::sync::Arc;

/// What the `vsock` protocol connects to.
pub struct Endpoint {
    /// Opens the connection.
    pub sockets: Arc<dyn Sockets>,
    /// Its clock, time limit and trace serve here too; nothing is dialled.
    pub dialer: Dialer,
    /// Where the peer is.
    pub place: Place,
}

/// A context and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// 2 is the hypervisor; machines have 3 and above.
    pub cid: u32,
    /// The port.
    pub port: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cid, self.port)
    }
}

/// The protocol `vsock`.
pub struct Vsock;

/// A connection over vsock.
pub type Flow = Socket<dyn VsockStream>;

impl Connection for dyn VsockStream {
    fn shutdown_read(&mut self) {
        VsockStream::shutdown_read(self);
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cid, port) = self.peer();
        write!(f, "vsock {}", Place { cid, port })
    }
}

impl mimic::Protocol for Vsock {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let Endpoint { sockets, dialer, place } = &*endpoint;
        let start = dialer.net.now();
        let connect = sockets.connect(place.cid, place.port);
        let outcome = match within(&*dialer.net, dialer.limit, connect).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(stack::Error::NoDevice)) => Err(Cause::Unable(
                "the machine has no vsock device (`--vsock` of the run command adds one)".into(),
            )),
            Some(Err(error)) => Err(Cause::Net(error)),
            None => Err(Cause::Limit { limit: "connect-timeout", after: dialer.limit }),
        };
        dialer.trace.push(Step {
            kind: "vsock",
            subject: place.to_string(),
            start,
            end: dialer.net.now(),
            outcome: match &outcome {
                Ok(_) => Ok("connected".into()),
                Err(cause) => Err(cause.to_string()),
            },
        });
        let target = place.to_string();
        outcome.map(Socket::new).map_err(|cause| Error { stage: Stage::Connect, target, cause })
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", endpoint.place)
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// Opens the connections; a value of the machine, whether or not it has a device.
    pub sockets: Key<Arc<dyn Sockets>>,
    /// Where the target is.
    pub place: Key<Place>,
    /// Turns flows into this protocol's own.
    pub handle: Handle<Vsock>,
}

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self {
            sockets: Key::new("vsock-sockets"),
            place: Key::shown("vsock-place"),
            handle: registry.register("vsock", None, Vsock),
        }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        let needs = (req(&flows.scheme), req(&self.sockets), req(&flows.dialer), req(&self.place));
        ctx.fold(self.handle.endpoint(), needs, |(scheme, sockets, dialer, place)| async move {
            (*scheme == Scheme::Vsock).then(|| Endpoint {
                sockets: (*sockets).clone(),
                dialer: (*dialer).clone(),
                place: *place,
            })
        })
    }

    fn aim(&self, ctx: Ctx, target: &Target, _options: options::Flows<'_>) -> Ctx {
        match (target.context(), target.port) {
            (Some(cid), Some(port)) => ctx.replace(&self.place, Place { cid, port }),
            _ => ctx,
        }
    }
}
