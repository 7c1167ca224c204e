//! TCP, UDP and raw IP over smoltcp, over host sockets and over a simulated wire.
//!
//! [`Net`] is the seam: protocols above it hold an `Arc<dyn Net>` and never see what is below, which
//! is one of
//!
//! - [`smol`]: smoltcp over any Ethernet device, with a reactor for one thread;
//! - `host` (feature `host`): the host system's sockets;
//! - [`sim`]: smoltcp over a simulated wire, under a virtual clock, for tests;
//! - [`Multihomed`]: several of these, each for the destinations that it leads to.
//!
//! [`vsock`] is the other seam of this kind: streams to the hypervisor, without any network.

#![forbid(unsafe_code)]

mod error;
#[cfg(feature = "host")]
pub mod host;
mod multihomed;
mod net;
pub mod sim;
pub mod smol;
mod time;
pub mod vsock;

pub use error::{Error, Unreachable};
pub use multihomed::Multihomed;
pub use net::{
    BoxFuture, Cidr, Configuration, Datagram, IpVersion, Net, RawIp, Received, TcpStream,
};
pub use time::Instant;
