//! Network devices as smoltcp's [`Device`]: virtio 1.2, section 5.1.
//!
//! ```text
//!   smoltcp   receive ── RxToken ──▶ frame in place       transmit ── TxToken ──▶ frame built in place
//!                  ▲                     │ offered again                              │ offered
//!   queue 0   used ┘   (buffers in ring order) ◀┘          queue 1   available ◀──────┘  used ─▶ free list
//! ```
//!
//! Frames are neither copied nor allocated for, but for one received over several buffers that are
//! not neighbours.
//!
//! Memory: 256 receive buffers of 2 KiB (512 KiB), or of 4 KiB (1 MiB) where frames come merged from
//! segments; 64 send buffers of 2 KiB (128 KiB), and 8 of 64 KiB (513 KiB) where the device
//! segments; two queues of 256 entries (8 KiB shared with the device and 10 KiB of notes each).
//!
//! Interrupts: [`Device::receive`] that returns nothing has armed the receive interrupt and found the
//! ring empty after that, so whoever then sleeps on the interrupt word (read before) misses nothing. The
//! send interrupt is armed only while there is no buffer to send from.
//!
//! Scope: `CSUM`, `GUEST_CSUM`, `HOST_TSO4/6`, `GUEST_TSO4/6` with `MRG_RXBUF`, `MAC`, `MTU`, `STATUS`.
//! **Not** here: the control queue (so the device delivers all frames), several queue pairs, UDP
//! offloads, `EVENT_IDX`, `INDIRECT_DESC`, legacy layouts.

mod header;
mod offload;

use core::num::NonZeroUsize;

use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium, PacketMeta};
use smoltcp::time::Instant;
use virtio_drivers::{BufferDirection, Hal};

use self::header::Header;
use crate::queue::{Buffer, Fault, Queue, Taken};
use crate::setup::{self, SetupError};
use crate::transport::Bus;

/// A network device, ready to send and receive.
pub struct NetDevice<H: Hal, T: Bus> {
    // Dropped first: the reset takes the buffers back from the device.
    transport: T,
    receiver: Receiver<H>,
    sender: Sender<H>,
    features: u64,
    mac: [u8; 6],
    mtu: usize,
}

/// What happened at a device since it was set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames given to the IP stack.
    pub received: u64,
    /// Frames given to the device.
    pub sent: u64,
    /// Frames dropped because the device described them wrongly.
    pub malformed: u64,
    /// Frames dropped because their TCP checksum was wrong.
    pub bad_checksum: u64,
    /// Frames not sent because no buffer could hold them.
    pub unsendable: u64,
}

impl<H: Hal, T: Bus> NetDevice<H, T> {
    /// Sets the device up and gives it its receive buffers. `fallback_mac` is used when the device
    /// has no address of its own.
    pub fn new(mut transport: T, fallback_mac: [u8; 6]) -> Result<Self, SetupError> {
        let features = setup::negotiate(&mut transport, WANTED, choose)?;
        let mac = match features & MAC {
            0 => fallback_mac,
            _ => transport.read_config_space(CONFIG_MAC).map_err(no_config)?,
        };
        let mtu = match features & MTU {
            0 => DEFAULT_MTU,
            _ => usize::from(config_mtu(&transport).ok_or_else(|| no_config(()))?),
        };
        let receiver = Receiver::new(&mut transport, features, mtu)?;
        let sender = Sender::new(&mut transport, features, mtu)?;
        setup::finish(&mut transport)?;
        let mut device = Self { transport, receiver, sender, features, mac, mtu };
        device.receiver.queue.announce(&mut device.transport);
        Ok(device)
    }

    /// The device's Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The longest IP packet, in octets.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Whether the link is up; always so for a device that cannot tell. 5.1.4.2.
    pub fn link_up(&self) -> bool {
        self.features & STATUS == 0
            || self
                .transport
                .read_config_space::<u16>(CONFIG_STATUS)
                .is_ok_and(|status| u16::from_le(status) & LINK_UP != 0)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        Counters {
            sent: self.sender.sent,
            unsendable: self.sender.unsendable,
            ..self.receiver.counters
        }
    }

    /// What the device did wrong, if it has been given up for that.
    pub fn fault(&self) -> Option<Fault> {
        self.receiver.queue.fault().or(self.sender.queue.fault())
    }

    /// Asks for an interrupt at the next frame. `true`: there is one already.
    ///
    /// [`Device::receive`] does this by itself before it returns nothing.
    pub fn arm(&mut self) -> bool {
        self.receiver.queue.announce(&mut self.transport);
        self.receiver.queue.arm()
    }

    /// What was negotiated, for the log.
    pub fn features(&self) -> u64 {
        self.features
    }
}

impl<H: Hal, T: Bus> Device for NetDevice<H, T> {
    type RxToken<'a>
        = RxToken<'a, H>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, H, T>
    where
        Self: 'a;

    fn receive(&mut self, _timestamp: Instant) -> Option<(RxToken<'_, H>, TxToken<'_, H, T>)> {
        let Self { transport, receiver, sender, .. } = self;
        // The buffers of the tokens given out before.
        receiver.queue.announce(transport);
        if !sender.ready() {
            return None;
        }
        let frame = loop {
            match receiver.next() {
                Some(frame) => break frame,
                None if receiver.queue.arm() => {}
                None => return None,
            }
            // Nothing but bad frames so far: their buffers go back before the next look.
            receiver.queue.announce(transport);
        };
        receiver.queue.disarm();
        Some((RxToken { receiver, frame }, TxToken::new(sender, transport)))
    }

    fn transmit(&mut self, _timestamp: Instant) -> Option<TxToken<'_, H, T>> {
        let Self { transport, sender, .. } = self;
        sender.ready().then(|| TxToken::new(sender, transport))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + ETHERNET_HEADER;
        // Checksums received are always seen to below: by the device or by `offload`.
        capabilities.checksum.tcp =
            match (self.features & GUEST_CSUM != 0, self.features & CSUM != 0) {
                (false, false) => Checksum::Both,
                (true, false) => Checksum::Tx,
                (false, true) => Checksum::Rx,
                (true, true) => Checksum::None,
            };
        let limit =
            |feature| NonZeroUsize::new(LARGEST_FRAME).filter(|_| self.features & feature != 0);
        capabilities.segmentation.tcpv4 = limit(HOST_TSO4);
        capabilities.segmentation.tcpv6 = limit(HOST_TSO6);
        capabilities
    }
}

/// A frame received. It lies where the device wrote it; the buffers go back when this is dropped.
pub struct RxToken<'a, H: Hal> {
    receiver: &'a mut Receiver<H>,
    frame: Frame,
}

impl<H: Hal> phy::RxToken for RxToken<'_, H> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.receiver.bytes(self.frame))
    }
}

impl<H: Hal> Drop for RxToken<'_, H> {
    fn drop(&mut self) {
        self.receiver.release();
    }
}

/// The right to send one frame.
pub struct TxToken<'a, H: Hal, T: Bus> {
    sender: &'a mut Sender<H>,
    transport: &'a mut T,
    meta: PacketMeta,
}

impl<'a, H: Hal, T: Bus> TxToken<'a, H, T> {
    fn new(sender: &'a mut Sender<H>, transport: &'a mut T) -> Self {
        Self { sender, transport, meta: PacketMeta::default() }
    }
}

impl<H: Hal, T: Bus> phy::TxToken for TxToken<'_, H, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let result = self.sender.send(len, self.meta, f);
        self.sender.queue.announce(self.transport);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.meta = meta;
    }
}

/// The receiving half: queue 0.
struct Receiver<H: Hal> {
    queue: Queue<H, QUEUE>,
    /// The buffers of the frame that is being read, in order.
    held: Vec<Buffer>,
    /// The frame that is being read, where its buffers are not neighbours.
    scratch: Vec<u8>,
    merged: bool,
    /// The device may leave checksums to us.
    offload: bool,
    counters: Counters,
}

/// A received frame: `len` octets with their header, in the held buffers or in the scratch.
#[derive(Clone, Copy)]
struct Frame {
    len: usize,
    copied: bool,
}

impl<H: Hal> Receiver<H> {
    fn new<T: Bus>(transport: &mut T, features: u64, mtu: usize) -> Result<Self, SetupError> {
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
    fn next(&mut self) -> Option<Frame> {
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
    fn bytes(&self, frame: Frame) -> &[u8] {
        let bytes = if frame.copied {
            &self.scratch[..frame.len]
        } else {
            self.queue.joined(&self.held, frame.len).expect("a frame is whole or copied")
        };
        &bytes[header::LEN..]
    }

    /// Offers the held buffers again, in the order they came: neighbours stay neighbours.
    fn release(&mut self) {
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

/// The sending half: queue 1.
struct Sender<H: Hal> {
    queue: Queue<H, QUEUE>,
    small: Vec<Buffer>,
    /// For frames that the device cuts up; none where it cannot.
    large: Vec<Buffer>,
    segments: bool,
    offload: bool,
    small_size: usize,
    sent: u64,
    unsendable: u64,
}

impl<H: Hal> Sender<H> {
    fn new<T: Bus>(transport: &mut T, features: u64, mtu: usize) -> Result<Self, SetupError> {
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
        Ok(Self { queue, small, large, segments, offload, small_size, sent: 0, unsendable: 0 })
    }

    /// Whether a frame of any length can be sent. If not, the interrupt is armed.
    fn ready(&mut self) -> bool {
        if self.has_room() {
            return true;
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
    fn send<R>(&mut self, len: usize, meta: PacketMeta, f: impl FnOnce(&mut [u8]) -> R) -> R {
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

/// Takes back what is of no use without something else: 5.1.3.1.
fn choose<T: Bus>(transport: &T, mut features: u64) -> u64 {
    if features & CSUM == 0 {
        features &= !(HOST_TSO4 | HOST_TSO6);
    }
    // Frames longer than the MTU come only over several buffers: single ones of 64 KiB would cost
    // 16 MiB.
    if features & GUEST_CSUM == 0 || features & MRG_RXBUF == 0 {
        features &= !(GUEST_TSO4 | GUEST_TSO6);
    }
    if features & (GUEST_TSO4 | GUEST_TSO6) == 0 {
        features &= !MRG_RXBUF;
    }
    // 5.1.4.1: a driver that cannot receive such frames does not take the feature.
    if !config_mtu(transport).is_some_and(|mtu| (MIN_MTU..=MAX_MTU).contains(&mtu)) {
        features &= !MTU;
    }
    features
}

fn config_mtu<T: Bus>(transport: &T) -> Option<u16> {
    transport.read_config_space::<u16>(CONFIG_MTU).ok().map(u16::from_le)
}

fn no_config<E>(_: E) -> SetupError {
    SetupError::MissingStructure("network configuration")
}

/// One buffer for a frame of this MTU with its virtio header, and a VLAN tag.
fn buffer_size(mtu: usize) -> usize {
    (header::LEN + ETHERNET_HEADER + 4 + mtu).next_multiple_of(2048)
}

/// Feature bits: 5.1.3.
const CSUM: u64 = 1 << 0;
const GUEST_CSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const GUEST_TSO4: u64 = 1 << 7;
const GUEST_TSO6: u64 = 1 << 8;
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
const MRG_RXBUF: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
const WANTED: u64 = CSUM
    | GUEST_CSUM
    | MTU
    | MAC
    | GUEST_TSO4
    | GUEST_TSO6
    | HOST_TSO4
    | HOST_TSO6
    | MRG_RXBUF
    | STATUS;

/// Offsets in the device's configuration: 5.1.4.
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const CONFIG_MTU: usize = 10;
const LINK_UP: u16 = 1;

const RECEIVE_QUEUE: u16 = 0;
const SEND_QUEUE: u16 = 1;
/// Entries of each queue. Some devices have 256 and nothing else.
const QUEUE: usize = 256;
const SEND_BUFFERS: usize = 64;
const LARGE_BUFFERS: usize = 8;
const MERGED_BUFFER: usize = 4096;
/// Buffers that the longest frame takes, with some to spare for a device that does not fill them.
const MAX_MERGED: usize = 32;
const ETHERNET_HEADER: usize = 14;
const DEFAULT_MTU: usize = 1500;
/// RFC 791: every module must be able to forward 68 octets.
const MIN_MTU: u16 = 68;
const MAX_MTU: u16 = 9216;
/// The longest frame to be segmented: an IP packet as long as its header can say.
const LARGEST_FRAME: usize = ETHERNET_HEADER + 65535;

#[cfg(test)]
#[path = "net/tests.rs"]
mod tests;
