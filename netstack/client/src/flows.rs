//! Every flow of the crate, registered: their keys, and how their endpoints derive from a target.
//!
//! ```text
//!  dialer ─┬─────────────┬──────────► tcp (http, tcp)
//!  host   ─┤             ├──────────► udp (udp)
//!  port   ─┤             └──────────► raw (icmp, raw) ◄── ip-protocol
//!          └─► lower ───────────────► tls (https, tls) ◄── tls-settings, tls-name
//!  scheme ─── decides which of them is derived
//! ```
//!
//! An application adds its own protocol beside these, or replaces `lower` to run TLS over something else.

use crate::dialer::Dialer;
use crate::error::{Cause, Error};
use crate::flow::{raw, tcp, tls, udp};
use core::time::Duration;
use mimic::{Ctx, Handle, Key, Protocol as _, Registry, default, opt, req};
use proto::target::{Host, Scheme, Target};
use std::sync::Arc;

/// The keys that a context is filled with, and the handles of the registered protocols.
#[derive(Clone)]
pub struct Flows {
    /// Opens TCP connections; every flow goes through it.
    pub dialer: Key<Dialer>,
    /// The target's scheme: decides which flow is derived.
    pub scheme: Key<Scheme>,
    /// The target's host.
    pub host: Key<Host>,
    /// The target's port, or its scheme's.
    pub port: Key<u16>,
    /// Which IP protocol a raw flow carries.
    pub ip_protocol: Key<raw::Protocol>,
    /// TLS checked against the machine, or why it cannot start here.
    pub tls_settings: Key<Result<tls::Settings, Cause>>,
    /// The name to ask for and to check; by default the host's.
    pub tls_name: Key<String>,
    /// For a handshake; by default 10 s.
    pub handshake_limit: Key<Duration>,
    /// Opens the flow that TLS runs over; by default TCP to host and port.
    pub lower: Key<tls::Lower>,
    /// The protocol `raw`.
    pub raw: Handle<raw::Raw>,
    /// The protocol `tcp`.
    pub tcp: Handle<tcp::Tcp>,
    /// The protocol `tls`.
    pub tls: Handle<tls::Tls>,
    /// The protocol `udp`.
    pub udp: Handle<udp::Udp>,
}

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Before TCP, so that where both can be derived the encrypted one is taken.
const TLS_PRIORITY: u32 = 10;

impl Flows {
    /// Registers the flows.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            dialer: Key::new("dialer"),
            scheme: Key::shown("scheme"),
            host: Key::shown("host"),
            port: Key::shown("port"),
            ip_protocol: Key::new("ip-protocol"),
            tls_settings: Key::new("tls-settings"),
            tls_name: Key::shown("tls-name"),
            handshake_limit: Key::new("handshake-timeout"),
            lower: Key::new("lower"),
            tls: registry.register("tls", TLS_PRIORITY, tls::Tls),
            tcp: registry.register("tcp", None, tcp::Tcp),
            udp: registry.register("udp", None, udp::Udp),
            raw: registry.register("raw", None, raw::Raw),
        }
    }

    /// `ctx` and the derivations of every endpoint.
    #[must_use]
    pub fn derive(&self, ctx: &Ctx) -> Ctx {
        let place = (req(&self.scheme), req(&self.dialer), req(&self.host), req(&self.port));
        let handle = self.tcp.clone();
        let ctx = ctx
            .fold(self.tcp.endpoint(), place, |(scheme, dialer, host, port)| async move {
                matches!(*scheme, Scheme::Http | Scheme::Tcp)
                    .then(|| tcp_endpoint(&dialer, &host, *port))
            })
            .fold(
                self.udp.endpoint(),
                (req(&self.scheme), req(&self.dialer), req(&self.host), req(&self.port)),
                |(scheme, dialer, host, port)| async move {
                    (*scheme == Scheme::Udp).then(|| udp::Endpoint {
                        dialer: (*dialer).clone(),
                        host: (*host).clone(),
                        port: *port,
                    })
                },
            )
            .fold(
                self.raw.endpoint(),
                (req(&self.scheme), req(&self.dialer), req(&self.host), req(&self.ip_protocol)),
                |(scheme, dialer, host, protocol)| async move {
                    matches!(*scheme, Scheme::Icmp | Scheme::Raw).then(|| raw::Endpoint {
                        dialer: (*dialer).clone(),
                        host: (*host).clone(),
                        protocol: *protocol,
                    })
                },
            )
            .fold(
                &self.lower,
                (req(&self.dialer), req(&self.host), req(&self.port)),
                move |(dialer, host, port)| {
                    let endpoint = Arc::new(tcp_endpoint(&dialer, &host, *port));
                    let lower = over_tcp(handle.clone(), endpoint);
                    async move { Some(lower) }
                },
            );
        ctx.fold(
            self.tls.endpoint(),
            (
                req(&self.scheme),
                req(&self.dialer),
                req(&self.host),
                req(&self.lower),
                req(&self.tls_settings),
                opt(&self.tls_name),
                default(&self.handshake_limit, HANDSHAKE_LIMIT),
            ),
            |(scheme, dialer, host, lower, settings, name, limit)| async move {
                matches!(*scheme, Scheme::Https | Scheme::Tls).then(|| tls::Endpoint {
                    net: dialer.net.clone(),
                    lower: (*lower).clone(),
                    settings: (*settings).clone(),
                    name: name.map_or_else(|| tls::name_of(&host), |name| (*name).clone()),
                    limit: *limit,
                    trace: dialer.trace.clone(),
                })
            },
        )
    }

    /// The schemes that one of these flows serves.
    pub const SERVED: [Scheme; 7] = [
        Scheme::Http,
        Scheme::Https,
        Scheme::Icmp,
        Scheme::Raw,
        Scheme::Tcp,
        Scheme::Tls,
        Scheme::Udp,
    ];

    /// `ctx` with the values that a target gives.
    #[must_use]
    pub fn aim(&self, ctx: &Ctx, target: &Target) -> Ctx {
        let mut ctx = ctx
            .replace(&self.scheme, target.scheme.clone())
            .replace(&self.host, target.host.clone());
        if let Some(port) = target.port_or_default().and_then(|port| u16::try_from(port).ok()) {
            ctx = ctx.replace(&self.port, port);
        }
        let protocol = match target.scheme {
            Scheme::Icmp => Some(raw::Protocol::Icmp),
            Scheme::Raw => target.ip_protocol().map(raw::Protocol::Number),
            _ => None,
        };
        match protocol {
            Some(protocol) => ctx.replace(&self.ip_protocol, protocol),
            None => ctx,
        }
    }
}

fn tcp_endpoint(dialer: &Dialer, host: &Host, port: u16) -> tcp::Endpoint {
    tcp::Endpoint { dialer: dialer.clone(), host: host.clone(), port }
}

fn over_tcp(handle: Handle<tcp::Tcp>, endpoint: Arc<tcp::Endpoint>) -> tls::Lower {
    Arc::new(move || {
        let (handle, endpoint) = (handle.clone(), endpoint.clone());
        Box::pin(async move {
            let flow = tcp::Tcp.connect(endpoint).await?;
            Ok::<_, Error>(handle.inject(flow))
        })
    })
}
