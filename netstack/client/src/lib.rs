//! Flows that register themselves, and the protocols spoken over them.
//!
//! ```text
//!  target, settings ─► Ctx ─► Registry::resolve ─► BoxFlow ─► http │ git │ exec │ bytes │ messages │ ping ─► output
//!                                   │
//!             tcp ◄─ dialer         ├─ tls, ssh ◄─ lower (tcp, or whatever the context says)
//!             udp ◄─ dialer         ├─ raw ◄─ dialer
//!                                   └─ git ◄─ tcp
//! ```
//!
//! HTTP and the flows beside TCP are features: [`features`] says which are compiled in. A flow
//! that is not brings none of its dependencies.
//!
//! Everything runs over a [`stack::Net`], whichever is below; nothing here sees a device or a platform.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod deadline;
pub mod dialer;
pub mod dns;
pub mod error;
#[cfg(feature = "ssh")]
pub mod exec;
pub mod features;
pub mod flow;
pub mod flows;
#[cfg(feature = "git")]
pub mod git;
#[cfg(feature = "http")]
pub mod http;
pub mod messages;
pub mod options;
#[cfg(feature = "raw")]
pub mod ping;
#[cfg(any(feature = "ssh", feature = "tls"))]
mod primitives;
mod race;
pub mod sink;
pub mod trace;

pub use error::{Cause, Error, Exit, Stage};
