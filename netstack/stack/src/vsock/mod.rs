//! Streams between a machine and its hypervisor, or another machine beside it, without any network: virtio 1.2
//! §5.10.
//!
//! ```text
//!   flows ── Vsock::connect ──▶ VsockStream ──┐
//!                                             ▼
//!   reactor ── Sockets::poll ──▶ connections: credit, what came, what is owed (pure, no device)
//!                                             ▲
//!                                       PacketDevice ── virtio-vsock │ a scripted one in tests
//! ```
//!
//! [`Vsock`] is the seam: [`Sockets`] is it over a device, `host::HostVsock` over the host's own `AF_VSOCK` sockets,
//! [`Absent`] where there is neither.
//!
//! # Scope
//! Implemented: outgoing stream connections with credit both ways, half-closes, clean and hard ends, a device that
//! loses its connections (a migrated machine). **Not** implemented: listening (a request is refused), sequenced packets.

mod connection;
mod packet;
mod sockets;
#[cfg(test)]
mod tests;

pub use packet::{Address, HEAD, Head, Operation};
pub use sockets::{PacketDevice, Sockets};

use crate::{BoxFuture, Error};
use core::future::ready;
use futures_io::{AsyncRead, AsyncWrite};

/// Opens streams to ports of the hypervisor and of machines beside this one.
pub trait Vsock: Send + Sync + 'static {
    /// Connects to `port` at the context `cid` (2 is the hypervisor). It may take for ever: put a time limit around it.
    /// Dropping the future ends the attempt.
    ///
    /// # Errors
    /// [`Error::NoDevice`], [`Error::Refused`], [`Error::Unreachable`], [`Error::Reset`].
    fn connect(
        &self,
        cid: u32,
        port: u32,
    ) -> BoxFuture<'static, Result<Box<dyn VsockStream>, Error>>;

    /// Completes when all that was closed or dropped has reached the peer, or the peer has gone.
    fn settle(&self) -> BoxFuture<'static, ()>;
}

/// A connection. Reading yields 0 once the peer sends no more; `poll_close` tells the peer that we send no more, and
/// reading goes on. `poll_flush` does not wait for the peer. Dropping ends both directions behind what was written.
///
/// One task may wait for reading and one for writing at a time.
pub trait VsockStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// The peer's context and port.
    fn peer(&self) -> (u32, u32);

    /// Tells the peer that we take no more; later reads yield 0.
    fn shutdown_read(&mut self);
}

/// No device, no sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Absent;

impl Vsock for Absent {
    fn connect(&self, _: u32, _: u32) -> BoxFuture<'static, Result<Box<dyn VsockStream>, Error>> {
        Box::pin(ready(Err(Error::NoDevice)))
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }
}
