//! Entropy devices: virtio 1.2, section 5.4. One queue of 4 entries, one buffer of 256 octets.

use core::fmt;
use core::task::Poll;

use virtio_drivers::{BufferDirection, Hal};

use crate::queue::{Buffer, Fault, Queue, Taken};
use crate::setup::{self, SetupError};
use crate::transport::Bus;

/// An entropy device.
pub struct Rng<H: Hal, T: Bus> {
    // Dropped first: the reset takes the buffer back from the device.
    transport: T,
    queue: Queue<H, QUEUE>,
    /// The buffer, unless the device has it.
    buffer: Option<Buffer>,
}

impl<H: Hal, T: Bus> Rng<H, T> {
    /// Sets the device up.
    pub fn new(mut transport: T) -> Result<Self, SetupError> {
        setup::negotiate(&mut transport, 0, |_, features| features)?;
        let mut queue = Queue::new(&mut transport, 0, BufferDirection::DeviceToDriver)?;
        let buffer = queue.provide(1, BUFFER)?.pop();
        setup::finish(&mut transport)?;
        Ok(Self { transport, queue, buffer })
    }

    /// Asks for entropy and collects it: how many octets of `out` were filled, from 1 to 256.
    ///
    /// After `Pending` the interrupt word moves when it is there; call again with `out` as
    /// long as before. The device is not asked for more than it was asked for then.
    pub fn poll_fill(&mut self, out: &mut [u8]) -> Poll<Result<usize, RngError>> {
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let Some(buffer) = self.buffer.take() {
            self.queue.offer(buffer, out.len());
            self.queue.announce(&mut self.transport);
        }
        loop {
            if let Some(Taken { mut buffer, written }) = self.queue.take() {
                let bytes = self.queue.bytes_mut(&mut buffer);
                let filled = written.map(|written| {
                    let n = written.min(out.len());
                    out[..n].copy_from_slice(&bytes[..n]);
                    n
                });
                bytes.fill(0); // a seed is not left lying about
                self.buffer = Some(buffer);
                return Poll::Ready(match filled {
                    None => Err(RngError::Oversized),
                    Some(0) => Err(RngError::Empty),
                    Some(n) => Ok(n),
                });
            }
            if let Some(fault) = self.queue.fault() {
                return Poll::Ready(Err(RngError::Fault(fault)));
            }
            if !self.queue.arm() {
                return Poll::Pending;
            }
        }
    }
}

/// Why an entropy device gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RngError {
    /// It answered without a single octet, which it must not (5.4.6.2).
    Empty,
    /// It returned a buffer that it did not have.
    Fault(Fault),
    /// It claims to have written more than the buffer holds.
    Oversized,
}

impl fmt::Display for RngError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the entropy device answered without entropy"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Oversized => f.write_str("the entropy device claims more than it was asked for"),
        }
    }
}

impl core::error::Error for RngError {}

const QUEUE: usize = 4;
const BUFFER: usize = 256;
