//! TCP, UDP and raw IP over smoltcp, over host sockets and over a simulated wire.
//!
//! [`Net`] is the seam: protocols above it hold an `Arc<dyn Net>` and never see what is below.

#![forbid(unsafe_code)]

mod error;
mod net;
pub mod sim;
pub mod smol;
mod time;

pub use error::{Error, Unreachable};
pub use net::{
    BoxFuture, Cidr, Configuration, Datagram, IpVersion, Net, RawIp, Received, TcpStream,
};
pub use time::Instant;
