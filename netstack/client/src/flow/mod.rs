//! The flows that the crate serves: what each connects to, and how.
//!
//! Each is a [`mimic::Protocol`] and brings an `Entry`, its own part of the registry; [`crate::flows`] puts these
//! together.

#[cfg(feature = "git")]
pub mod git;
#[cfg(any(feature = "git", feature = "http", feature = "ssh", feature = "tls"))]
pub mod lower;
#[cfg(feature = "http")]
pub mod proxy;
#[cfg(feature = "raw")]
pub mod raw;
pub mod socket;
#[cfg(feature = "ssh")]
pub mod ssh;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "udp")]
pub mod udp;
#[cfg(feature = "vsock")]
pub mod vsock;

use crate::flows::Flows;
use crate::options;
use mimic::{Ctx, Registry};
use proto::target::Target;

/// A flow's own part of the registry: its protocol, and the keys that nothing else needs.
pub(crate) trait Entry {
    /// Registers the protocol.
    fn register(registry: &mut Registry) -> Self;

    /// `ctx` and the derivation of the protocol's endpoint.
    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx;

    /// `ctx` with what a target and the user say to this flow alone.
    fn aim(&self, ctx: Ctx, _target: &Target, _options: options::Flows<'_>) -> Ctx {
        ctx
    }
}
