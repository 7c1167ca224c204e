//! The receiving half of a network device: buffers around the ring, and frames put together from
//! them.

use virtio_drivers::{BufferDirection, Hal};

use super::header::{self, Header};
use super::{Counters, GUEST_CSUM, MRG_RXBUF, QUEUE, buffer_size, offload};
use crate::queue::{Buffer, Queue, Taken};
use crate::setup::SetupError;
use crate::transport::Bus;

/// The receiving half: queue 0.
pub(super) struct Receiver<H: Hal> {
    pub(super) queue: Queue<H, QUEUE>,
    /// The buffers of the frame that is being read, in order.
    held: Vec<Buffer>,
    /// The frame that is being read, where its buffers are not neighbours.
    scratch: Vec<u8>,
    merged: bool,
    /// The device may leave checksums to us.
    offload: bool,
    pub(super) counters: Counters,
}

/// A received frame: `len` octets with their header, in the held buffers or in the scratch.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    len: usize,
    copied: bool,
}

impl<H: Hal> Receiver<H> {
    pub(super) fn new<T: Bus>(
        transport: &mut T,
        features: u64,
        mtu: usize,
    ) -> Result<Self, SetupError> {
        let mut queue = Queue::new(transport, RECEIVE_QUEUE, BufferDirection::DeviceToDriver)?;
        let merged = features & MRG_RXBUF != 0;
        let size = if merged { MERGED_BUFFER } else { buffer_size(mtu) };
        for buffer in queue.provide(QUEUE, size)? {
            queue.offer(buffer, size);
        }
        queue.disarm();
        Ok(Self {
            queue,
            held: Vec::with_capacity(MAX_MERGED),
            scratch: Vec::new(),
            merged,
            offload: features & GUEST_CSUM != 0,
            counters: Counters::default(),
        })
    }

    /// The next good frame. Bad ones are dropped on the way, at most one ring of them.
    pub(super) fn next(&mut self) -> Option<Frame> {
        for _ in 0..QUEUE {
            let first = self.queue.take()?;
            let outcome = self.gather(first);
            match outcome {
                Ok(frame) => {
                    self.counters.received += 1;
                    return Some(frame);
                }
                Err(Bad::Malformed) => self.counters.malformed += 1,
                Err(Bad::Checksum) => self.counters.bad_checksum += 1,
            }
            self.release();
        }
        None
    }

    /// Collects the buffers of a frame and looks at its checksum.
    fn gather(&mut self, first: Taken) -> Result<Frame, Bad> {
        let written = first.written;
        self.held.push(first.buffer);
        let bytes = &self.queue.bytes(&self.held[0])[..written.ok_or(Bad::Malformed)?];
        let header = Header::parse(bytes.first_chunk().ok_or(Bad::Malformed)?);
        let mut frame = Frame { len: bytes.len(), copied: false };
        if self.merged {
            frame = self.gather_rest(header.buffers, frame)?;
        }
        if self.offload {
            let bytes = &self.bytes(frame);
            if !offload::acceptable(bytes, &header) {
                return Err(Bad::Checksum);
            }
            if offload::needs_completion(bytes, &header) {
                frame = self.copy(frame);
                offload::complete(&mut self.scratch[header::LEN..], &header);
            }
        }
        Ok(frame)
    }

    /// 5.1.6.3.2: the frame goes on in the buffers that follow, which have no header.
    fn gather_rest(&mut self, buffers: u16, mut frame: Frame) -> Result<Frame, Bad> {
        if !(1..=MAX_MERGED).contains(&usize::from(buffers)) {
            return Err(Bad::Malformed);
        }
        // Each buffer but the last must be full for the frame to be in one piece.
        let mut full = frame.len == self.queue.size_of(&self.held[0]);
        let mut whole = true;
        self.scratch.clear();
        for _ in 1..buffers {
            // 5.1.6.4.1: the device uses all buffers of a frame at once.
            let Taken { buffer, written } = self.queue.take().ok_or(Bad::Malformed)?;
            let size = self.queue.size_of(&buffer);
            self.held.push(buffer);
            let written = written.ok_or(Bad::Malformed)?;
            let end = frame.len + written;
            whole &= full && self.queue.joined(&self.held, end).is_some();
            if !whole {
                self.spill(frame.len, written);
            }
            full = written == size;
            frame.len = end;
        }
        frame.copied = !whole;
        Ok(frame)
    }

    /// Adds the newest held buffer to the scratch; before the first, all that came before it.
    fn spill(&mut self, before: usize, written: usize) {
        let (last, earlier) = self.held.split_last().expect("a buffer was just added");
        if self.scratch.is_empty() {
            let joined = self.queue.joined(earlier, before);
            self.scratch.extend_from_slice(joined.expect("these were whole until now"));
        }
        self.scratch.extend_from_slice(&self.queue.bytes(last)[..written]);
    }

    /// Moves a frame to the scratch, where it can be changed.
    fn copy(&mut self, frame: Frame) -> Frame {
        if !frame.copied {
            self.scratch.clear();
            let bytes = self.queue.joined(&self.held, frame.len);
            self.scratch.extend_from_slice(bytes.expect("a frame is whole or copied"));
        }
        Frame { copied: true, ..frame }
    }

    /// The Ethernet frame.
    pub(super) fn bytes(&self, frame: Frame) -> &[u8] {
        let bytes = if frame.copied {
            &self.scratch[..frame.len]
        } else {
            self.queue.joined(&self.held, frame.len).expect("a frame is whole or copied")
        };
        &bytes[header::LEN..]
    }

    /// Offers the held buffers again, in the order they came: neighbours stay neighbours.
    pub(super) fn release(&mut self) {
        for buffer in self.held.drain(..) {
            let size = self.queue.size_of(&buffer);
            self.queue.offer(buffer, size);
        }
    }
}

/// Why a received frame is dropped.
enum Bad {
    Malformed,
    Checksum,
}

const RECEIVE_QUEUE: u16 = 0;
const MERGED_BUFFER: usize = 4096;
/// Buffers that the longest frame takes, with some to spare for a device that does not fill them.
const MAX_MERGED: usize = 32;
