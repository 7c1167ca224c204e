//! One virtqueue and the buffers that travel through it: the safe face of
//! `virtio-drivers`' `VirtQueue`, whose `add` and `pop_used` leave the buffers' lives to
//! the caller.
//!
//! A [`Buffer`] is a claim on one buffer of the queue's own pool. It is given out by
//! [`Queue::provide`], goes to the device with [`Queue::offer`] and comes back from
//! [`Queue::take`]: who holds it may read and write the memory, and while the device has it nobody
//! can. Each buffer is one descriptor.
//!
//! The device is not trusted: an identifier that is not in flight stops the queue for good
//! ([`Fault`]), and a length beyond the buffer is reported as such.
#![allow(unsafe_code)]

use core::fmt;
use core::sync::atomic::{Ordering, fence};

use virtio_drivers::queue::VirtQueue;
use virtio_drivers::{BufferDirection, Hal};

use crate::dma::Pool;
use crate::setup::SetupError;
use crate::transport::Bus;

/// A virtqueue of `SIZE` entries with its buffers.
pub(crate) struct Queue<H: Hal, const SIZE: usize> {
    index: u16,
    ring: Box<VirtQueue<H, SIZE>>,
    direction: BufferDirection,
    pool: Pool<H>,
    /// Which buffer is in flight under each descriptor, and how much of it was offered.
    in_flight: Vec<Option<Flight>>,
    /// Whether each buffer is with the device.
    away: Vec<bool>,
    /// Buffers were offered since the device was last told.
    unannounced: bool,
    armed: bool,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
struct Flight {
    buffer: u16,
    len: usize,
}

/// The claim on one buffer of a queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Buffer(u16);

/// A buffer that the device has finished with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) buffer: Buffer,
    /// How many octets the device says it wrote; `None` if that is more than the buffer holds.
    pub(crate) written: Option<usize>,
}

impl<H: Hal, const SIZE: usize> Queue<H, SIZE> {
    /// Sets up queue `index` of the device for buffers that go one way.
    pub(crate) fn new<T: Bus>(
        transport: &mut T,
        index: u16,
        direction: BufferDirection,
    ) -> Result<Self, SetupError> {
        let available = transport.max_queue_size(index);
        if available < SIZE as u32 {
            return Err(SetupError::QueueTooShort { queue: index, available, needed: SIZE as u32 });
        }
        // EVENT_IDX and INDIRECT_DESC stay off: with one descriptor a buffer they cost more than
        // they save (281–341 against 199–223 MB/s when it was measured).
        let ring = VirtQueue::new(transport, index, false, false)
            .map_err(|_| SetupError::NoMemory { octets: SIZE * 16 })?;
        Ok(Self {
            index,
            ring: Box::new(ring),
            direction,
            pool: Pool::new(),
            in_flight: vec![None; SIZE],
            away: Vec::new(),
            unannounced: false,
            armed: true,
            fault: None,
        })
    }

    /// Makes `count` buffers of `size` octets. A queue holds at most `SIZE` buffers, so that each of
    /// them can be offered at any time.
    pub(crate) fn provide(&mut self, count: usize, size: usize) -> Result<Vec<Buffer>, SetupError> {
        let first = self.pool.count();
        assert!(first + count <= SIZE && size > 0, "at most one buffer an entry, none empty");
        self.pool.grow(count, size, self.direction)?;
        self.away.resize(self.pool.count(), false);
        Ok((first..self.pool.count()).map(|n| Buffer(n as u16)).collect())
    }

    /// How long a buffer is, in octets.
    pub(crate) fn size_of(&self, buffer: &Buffer) -> usize {
        self.pool.len(usize::from(buffer.0))
    }

    /// What a buffer holds.
    pub(crate) fn bytes(&self, buffer: &Buffer) -> &[u8] {
        let n = self.at_home(buffer);
        // SAFETY: the buffer is at home, so the device does not have it; `bytes_mut` borrows the
        // whole queue, so there is no `&mut` beside this.
        unsafe { self.pool.bytes(n) }
    }

    /// What a buffer holds, to be changed.
    pub(crate) fn bytes_mut(&mut self, buffer: &mut Buffer) -> &mut [u8] {
        let n = self.at_home(buffer);
        // SAFETY: the buffer is at home, and the queue is borrowed whole.
        unsafe { self.pool.bytes_mut(n) }
    }

    /// The first `len` octets of several buffers, if they are neighbours in memory in this order.
    pub(crate) fn joined(&self, buffers: &[Buffer], len: usize) -> Option<&[u8]> {
        let mut capacity = 0;
        for (n, buffer) in buffers.iter().enumerate() {
            let this = self.at_home(buffer);
            capacity += self.pool.len(this);
            if let Some(next) = buffers.get(n + 1)
                && !self.pool.adjacent(this, self.at_home(next))
            {
                return None;
            }
        }
        let first = self.at_home(buffers.first()?);
        // SAFETY: all buffers are at home and adjacent, and together they hold `len` octets.
        (len <= capacity).then(|| unsafe { self.pool.run(first, len) })
    }

    /// Gives the device the first `len` octets of a buffer, to read or to write as the queue goes.
    pub(crate) fn offer(&mut self, buffer: Buffer, len: usize) {
        let n = self.at_home(&buffer);
        let len = len.clamp(1, self.pool.len(n));
        // SAFETY: the buffer is at home, and `away` keeps everyone from it until `take` has popped
        // its descriptor. The pool outlives the ring's use of it: the owner drops the transport,
        // which resets the device, before the queue.
        let added = unsafe {
            match self.direction {
                BufferDirection::DriverToDevice => {
                    self.ring.add(&[&self.pool.bytes(n)[..len]], &mut [])
                }
                _ => self.ring.add(&[], &mut [&mut self.pool.bytes_mut(n)[..len]]),
            }
        };
        let token = added.expect("there are at most as many buffers as descriptors");
        self.in_flight[usize::from(token)] = Some(Flight { buffer: buffer.0, len });
        self.away[n] = true;
        self.unannounced = true;
    }

    /// The next buffer that the device has finished with.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        if self.fault.is_some() {
            return None;
        }
        let token = self.ring.peek_used()?;
        // The token is the device's word: only one that is in flight is believed.
        let Some(Flight { buffer, len }) =
            self.in_flight.get_mut(usize::from(token)).and_then(Option::take)
        else {
            self.fault = Some(Fault { queue: self.index, descriptor: token });
            return None;
        };
        let n = usize::from(buffer);
        // SAFETY: this is the buffer, and the length, that `offer` added under this token.
        let popped = unsafe {
            match self.direction {
                BufferDirection::DriverToDevice => {
                    self.ring.pop_used(token, &[&self.pool.bytes(n)[..len]], &mut [])
                }
                _ => {
                    let bytes = &mut self.pool.bytes_mut(n)[..len];
                    self.ring.pop_used(token, &[], &mut [bytes])
                }
            }
        };
        let Ok(written) = popped else {
            // The ring changed between the two looks at it.
            self.fault = Some(Fault { queue: self.index, descriptor: token });
            return None;
        };
        self.away[n] = false;
        let written = usize::try_from(written).ok().filter(|written| *written <= len);
        Some(Taken { buffer: Buffer(buffer), written })
    }

    /// Tells the device of the buffers offered since the last time, if it wants to be told or does not know
    /// when it should want to.
    pub(crate) fn announce<T: Bus>(&mut self, transport: &mut T) {
        if core::mem::take(&mut self.unannounced) {
            // 2.7.13.4.1: the flag is read after the index was written, as everyone sees it.
            fence(Ordering::SeqCst);
            if self.ring.should_notify() || transport.departures().looks_once {
                transport.notify(self.index);
            }
        }
    }

    /// Asks for an interrupt when the device finishes with a buffer. `true`: it has done so
    /// already, so look again before waiting.
    pub(crate) fn arm(&mut self) -> bool {
        if !core::mem::replace(&mut self.armed, true) {
            self.ring.set_dev_notify(true);
            // 2.7.7.1: the ring is looked at after the flag was written, as everyone sees it.
            fence(Ordering::SeqCst);
        }
        self.has_news()
    }

    /// Whether [`take`](Self::take) would give a buffer, or find a fault.
    pub(crate) fn has_news(&self) -> bool {
        self.fault.is_none() && self.ring.can_pop()
    }

    /// Asks for no interrupts. The device may send some all the same.
    pub(crate) fn disarm(&mut self) {
        if core::mem::replace(&mut self.armed, false) {
            self.ring.set_dev_notify(false);
        }
    }

    /// Whether any buffer is with the device.
    pub(crate) fn busy(&self) -> bool {
        self.away.contains(&true)
    }

    /// What the device did wrong, if the queue has stopped for it.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn at_home(&self, buffer: &Buffer) -> usize {
        let n = usize::from(buffer.0);
        assert!(!self.away[n], "a claim exists only while its buffer is at home");
        n
    }
}

/// The device returned a buffer that it did not have. The queue is not used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The queue.
    pub queue: u16,
    /// The descriptor that the device named.
    pub descriptor: u16,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, descriptor } = self;
        write!(f, "the device returned buffer {descriptor} on queue {queue}, which it did not have")
    }
}

impl core::error::Error for Fault {}
