//! Hot-connect of a transmission protocol from dynamic values: typed keys, contexts, derivations
//! and a registry.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arg;
mod connect;
mod ctx;
mod error;
pub mod flow;
#[cfg(feature = "futures-io")]
mod io;
mod join;
mod key;
mod list;
mod map;
mod opaque;
mod plan;
mod policy;
mod registry;
pub mod report;
mod solve;

pub use arg::{Arg, Product, default, map, opt, req};
pub use connect::Connected;
pub use ctx::{Binding, Ctx, Dump, Kind};
pub use error::{ConnectError, ConnectFailure, PlanError, PlanFailure, ResolveError};
pub use flow::{BoxFlow, Flow, Shutdown};
pub use key::{Key, Name, Shown};
pub use plan::Plan;
pub use policy::{Policy, Timer};
pub use registry::{Handle, Protocol, Registry};
pub use report::Report;
