//! The flow that another one runs over, opened when it is needed.

use crate::error::Error;
use crate::flow::tcp;
#[cfg(any(feature = "ssh", feature = "tls"))]
use crate::flows::Flows;
#[cfg(any(feature = "git", feature = "ssh", feature = "tls"))]
use crate::flows::Tunnel;
use mimic::{BoxFlow, Handle, Protocol as _};
#[cfg(any(feature = "ssh", feature = "tls"))]
use mimic::{Ctx, Key, opt, req};
#[cfg(any(feature = "ssh", feature = "tls"))]
use proto::target::Scheme;
use stack::BoxFuture;
use std::sync::Arc;

/// Opens the flow below.
pub type Lower = Arc<dyn Fn() -> BoxFuture<'static, Result<BoxFlow, Error>> + Send + Sync>;

/// TCP to an endpoint.
pub(crate) fn over_tcp(handle: Handle<tcp::Tcp>, endpoint: Arc<tcp::Endpoint>) -> Lower {
    Arc::new(move || {
        let (handle, endpoint) = (handle.clone(), endpoint.clone());
        Box::pin(async move {
            let flow = tcp::Tcp.connect(endpoint).await?;
            Ok::<_, Error>(handle.inject(flow))
        })
    })
}

/// TCP to an endpoint, or the tunnel in its place.
#[cfg(any(feature = "git", feature = "ssh", feature = "tls"))]
pub(crate) fn through(
    tunnel: Option<Arc<Tunnel>>,
    handle: Handle<tcp::Tcp>,
    endpoint: tcp::Endpoint,
) -> Lower {
    match tunnel {
        Some(tunnel) => Arc::new(move || tunnel(&endpoint.host, endpoint.port)),
        None => over_tcp(handle, Arc::new(endpoint)),
    }
}

/// `ctx` with `key` derived: TCP to the target's host and port, through the tunnel where there is one.
#[cfg(any(feature = "ssh", feature = "tls"))]
pub(crate) fn derive(ctx: &Ctx, key: &Key<Lower>, flows: &Flows) -> Ctx {
    let tcp = flows.tcp.handle.clone();
    ctx.fold(
        key,
        (
            req(&flows.dialer),
            req(&flows.host),
            req(&flows.port),
            opt(&flows.scheme),
            opt(&flows.tunnel),
        ),
        move |(dialer, host, port, scheme, tunnel)| {
            let https = scheme.is_some_and(|scheme| *scheme == Scheme::Https);
            let endpoint = tcp::Endpoint { https, ..tcp::Endpoint::new(&dialer, &host, *port) };
            let lower = through(tunnel, tcp.clone(), endpoint);
            async move { Some(lower) }
        },
    )
}
