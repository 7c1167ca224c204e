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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Device, FakeHal, FakeMachine, Setup, Shared, Transport};

    fn rng() -> (FakeMachine, Shared, Rng<FakeHal, Transport>) {
        let machine = FakeMachine::new();
        let shared = machine.add(4, Setup::modern(4), Device::new(0, &[8], &[]));
        let rng = machine.discover().rng.expect("the device is good");
        (machine, shared, rng)
    }

    #[test]
    fn entropy_comes_when_the_device_has_some() {
        let (_machine, shared, mut rng) = rng();
        let mut octets = [0; 48];
        assert!(rng.poll_fill(&mut octets).is_pending());
        assert!(rng.poll_fill(&mut octets).is_pending(), "one request at a time");
        assert_eq!(shared.lock().waiting(0), 1);
        shared.lock().deliver(0, &[9; 48]);
        assert_eq!(shared.lock().interrupts, 1);
        assert_eq!(rng.poll_fill(&mut octets), Poll::Ready(Ok(48)));
        assert_eq!(octets, [9; 48]);
    }

    #[test]
    fn short_answers_are_taken_and_the_buffer_is_wiped() {
        let (_machine, shared, mut rng) = rng();
        let mut octets = [0; 300];
        assert!(rng.poll_fill(&mut octets).is_pending());
        let chain = shared.lock().take(0).unwrap();
        assert_eq!(chain.len, 256);
        shared.lock().fill(chain, &[7; 30]);
        shared.lock().complete(0, chain.id.into(), 30);
        assert_eq!(rng.poll_fill(&mut octets), Poll::Ready(Ok(30)));
        assert_eq!((octets[29], octets[30]), (7, 0));
        let kept = rng.buffer.as_ref().expect("the buffer is back");
        assert!(rng.queue.bytes(kept).iter().all(|octet| *octet == 0));
    }

    #[test]
    fn a_device_that_gives_none_or_too_much_is_told_apart() {
        for (len, error) in [(0, RngError::Empty), (49, RngError::Oversized)] {
            let (_machine, shared, mut rng) = rng();
            let mut octets = [0; 48];
            assert!(rng.poll_fill(&mut octets).is_pending());
            let chain = shared.lock().take(0).unwrap();
            shared.lock().complete(0, chain.id.into(), len);
            assert_eq!(rng.poll_fill(&mut octets), Poll::Ready(Err(error)));
            assert_eq!(octets, [0; 48]);
        }
    }

    #[test]
    fn a_buffer_that_it_does_not_have_ends_it() {
        let (_machine, shared, mut rng) = rng();
        shared.lock().complete(0, 3, 48);
        let fault = Fault { queue: 0, descriptor: 3 };
        assert_eq!(rng.poll_fill(&mut [0; 48]), Poll::Ready(Err(RngError::Fault(fault))));
    }
}
