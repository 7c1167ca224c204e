//! The sending half of a network device: free buffers, and frames built in them.

use smoltcp::phy::PacketMeta;
use virtio_drivers::{BufferDirection, Hal};

use super::header::{self, Header};
use super::{CSUM, HOST_TSO4, HOST_TSO6, LARGEST_FRAME, QUEUE, buffer_size, offload};
use crate::queue::{Buffer, Queue, Taken};
use crate::setup::SetupError;
use crate::transport::Bus;

/// The sending half: queue 1.
pub(super) struct Sender<H: Hal> {
    pub(super) queue: Queue<H, QUEUE>,
    small: Vec<Buffer>,
    /// For frames that the device cuts up; none where it cannot.
    large: Vec<Buffer>,
    segments: bool,
    /// The device raises no interrupt when it has sent.
    silent: bool,
    offload: bool,
    small_size: usize,
    pub(super) sent: u64,
    pub(super) unsendable: u64,
}

impl<H: Hal> Sender<H> {
    pub(super) fn new<T: Bus>(
        transport: &mut T,
        features: u64,
        mtu: usize,
    ) -> Result<Self, SetupError> {
        let mut queue = Queue::new(transport, SEND_QUEUE, BufferDirection::DriverToDevice)?;
        let small_size = buffer_size(mtu);
        let segments = features & (HOST_TSO4 | HOST_TSO6) != 0;
        let large = if segments {
            queue.provide(LARGE_BUFFERS, (header::LEN + LARGEST_FRAME).next_multiple_of(64))?
        } else {
            Vec::new()
        };
        let small = queue.provide(SEND_BUFFERS, small_size)?;
        queue.disarm();
        let offload = features & CSUM != 0;
        let silent = transport.departures().silent_sender;
        let (sent, unsendable) = (0, 0);
        Ok(Self { queue, small, large, segments, silent, offload, small_size, sent, unsendable })
    }

    /// Whether a frame of any length can be sent. If not, the interrupt is armed.
    ///
    /// Where no interrupt comes, this waits for the device, which is at work: it was told of every frame.
    pub(super) fn ready(&mut self) -> bool {
        if self.has_room() {
            return true;
        }
        for _ in 0..if self.silent { SILENT_LOOKS } else { 0 } {
            self.reclaim();
            if self.has_room() {
                return true;
            }
            core::hint::spin_loop();
        }
        loop {
            self.reclaim();
            if self.has_room() {
                self.queue.disarm();
                return true;
            }
            if !self.queue.arm() {
                return false;
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.small.is_empty() && (!self.segments || !self.large.is_empty())
    }

    /// Takes back what the device has sent.
    fn reclaim(&mut self) {
        while let Some(Taken { buffer, .. }) = self.queue.take() {
            match self.queue.size_of(&buffer) {
                size if size == self.small_size => self.small.push(buffer),
                _ => self.large.push(buffer),
            }
        }
    }

    /// Has `f` build a frame of `len` octets and offers it.
    pub(super) fn send<R>(
        &mut self,
        len: usize,
        meta: PacketMeta,
        f: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let total = header::LEN + len;
        let list = if total <= self.small_size { &mut self.small } else { &mut self.large };
        let Some(mut buffer) = list.pop_if(|buffer| total <= self.queue.size_of(buffer)) else {
            // Longer than the capabilities allow: the frame is built for its maker and dropped.
            self.unsendable += 1;
            return f(&mut vec![0; len]);
        };
        let bytes = &mut self.queue.bytes_mut(&mut buffer)[..total];
        let (header, frame) = bytes.split_at_mut(header::LEN);
        let result = f(frame);
        let built = if self.offload {
            offload::prepare(frame, meta.segmentation_offload_size)
        } else {
            Header::default()
        };
        header.copy_from_slice(&built.emit());
        self.queue.offer(buffer, total);
        self.sent += 1;
        result
    }
}

const SEND_QUEUE: u16 = 1;
pub(super) const SEND_BUFFERS: usize = 64;
const LARGE_BUFFERS: usize = 8;
/// Looks at the ring of a device that raises no interrupt: some 10 ms, in which it sends all that it has.
const SILENT_LOOKS: u32 = 1 << 20;
