//! Every flow of the crate, registered: their keys, and how their endpoints derive from a target.
//!
//! ```text
//!  dialer ─┬─────────────┬──────────► tcp (http, tcp)
//!  host   ─┤             ├──────────► udp (udp)
//!  port   ─┤             └──────────► raw (icmp, raw) ◄── ip-protocol
//!          ├─► git (git) ◄── git-path, git-service
//!          ├─► lower ───────────────► tls (https, tls) ◄── tls-settings, tls-name
//!          └─► ssh-lower ───────────► ssh (ssh, user@host:path) ◄── ssh-settings, ssh-user, ssh-exec
//!  proxy  ───► tunnel ─► lower, ssh-lower, git, proxy (http, tcp in place of tcp)
//!  scheme ─── decides which of them is derived
//! sockets, place ─────────────────► vsock (vsock)
//! ```
//!
//! An application adds its own protocol beside these, or replaces `lower` to run TLS over something else.

use crate::dialer::Dialer;
use crate::error::Error;
use crate::flow::Entry as _;
#[cfg(feature = "git")]
use crate::flow::git;
#[cfg(feature = "http")]
use crate::flow::proxy;
#[cfg(feature = "raw")]
use crate::flow::raw;
#[cfg(feature = "ssh")]
use crate::flow::ssh;
use crate::flow::tcp;
#[cfg(feature = "tls")]
use crate::flow::tls;
#[cfg(feature = "udp")]
use crate::flow::udp;
#[cfg(feature = "vsock")]
use crate::flow::vsock;
use crate::options;
use core::time::Duration;
use mimic::{BoxFlow, Ctx, Key, Registry};
use proto::target::{Host, Scheme, Target};
use stack::BoxFuture;
use std::sync::Arc;

/// Opens a flow to a host's port through something else.
pub type Tunnel =
    Arc<dyn Fn(&Host, u16) -> BoxFuture<'static, Result<BoxFlow, Error>> + Send + Sync>;

/// Makes [`Flows`] of the flows' entries, each named once with the feature that brings it; they are registered
/// in this order.
macro_rules! flows {
    ($($(#[cfg($cfg:meta)])? $flow:ident,)*) => {
        /// The keys that a context is filled with, and each flow's own entry.
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
            /// For a handshake above the connection.
            pub handshake_limit: Key<Duration>,
            /// What all TCP connections go through, if anything: none goes around it.
            pub tunnel: Key<Tunnel>,
            $(
                $(#[cfg($cfg)])?
                #[doc = concat!("The flow `", stringify!($flow), "`.")]
                pub $flow: $flow::Entry,
            )*
        }

        impl Flows {
            /// Registers the flows.
            pub fn register(registry: &mut Registry) -> Self {
                Self {
                    dialer: Key::new("dialer"),
                    scheme: Key::shown("scheme"),
                    host: Key::shown("host"),
                    port: Key::shown("port"),
                    handshake_limit: Key::new("handshake-timeout"),
                    tunnel: Key::new("tunnel"),
                    $($(#[cfg($cfg)])? $flow: $flow::Entry::register(registry),)*
                }
            }

            /// `ctx` and the derivations of every endpoint.
            #[must_use]
            pub fn derive(&self, ctx: &Ctx) -> Ctx {
                let ctx = ctx.clone();
                $($(#[cfg($cfg)])? let ctx = self.$flow.derive(&ctx, self);)*
                ctx
            }

            /// `ctx` with what a target and the user say to single flows.
            fn aim_each(&self, ctx: Ctx, target: &Target, options: options::Flows<'_>) -> Ctx {
                $($(#[cfg($cfg)])? let ctx = self.$flow.aim(ctx, target, options);)*
                ctx
            }
        }
    };
}

flows! {
    #[cfg(feature = "ssh")] ssh,
    #[cfg(feature = "tls")] tls,
    #[cfg(feature = "http")] proxy,
    tcp,
    #[cfg(feature = "udp")] udp,
    #[cfg(feature = "raw")] raw,
    #[cfg(feature = "git")] git,
    #[cfg(feature = "vsock")] vsock,
}

impl Flows {
    /// `ctx` with the values that a target gives, and what the user says of single flows.
    #[must_use]
    pub fn aim(&self, ctx: &Ctx, target: &Target, options: options::Flows<'_>) -> Ctx {
        let mut ctx = ctx
            .replace(&self.scheme, target.scheme.clone())
            .replace(&self.host, target.host.clone());
        if let Some(port) = target.port_or_default().and_then(|port| u16::try_from(port).ok()) {
            ctx = ctx.replace(&self.port, port);
        }
        self.aim_each(ctx, target, options)
    }

    /// `ctx` with the git repository that `target` names, to fetch from it; as it is where the feature `git` lacks.
    #[must_use]
    pub fn ask_repository(&self, ctx: Ctx, target: &Target) -> Ctx {
        #[cfg(feature = "git")]
        let ctx = self.git.ask(ctx, target, git::Service::UploadPack);
        #[cfg(not(feature = "git"))]
        let _ = target;
        ctx
    }
}
