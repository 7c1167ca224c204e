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
mod receiver;
mod sender;

use core::num::NonZeroUsize;

use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium, PacketMeta};
use smoltcp::time::Instant;
use virtio_drivers::Hal;

use self::receiver::{Frame, Receiver};
use self::sender::Sender;
use crate::queue::Fault;
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
    /// The last look for a frame found none.
    quiet: bool,
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
        let mac = if transport.departures().host_address { another(mac) } else { mac };
        let mtu = match features & MTU {
            0 => DEFAULT_MTU,
            _ => usize::from(config_mtu(&transport).ok_or_else(|| no_config(()))?),
        };
        let mtu = match transport.departures().longest_frame {
            Some(octets) => mtu.min(octets - ETHERNET_HEADER),
            None => mtu,
        };
        let receiver = Receiver::new(&mut transport, features, mtu)?;
        let sender = Sender::new(&mut transport, features, mtu)?;
        setup::finish(&mut transport)?;
        let mut device = Self { transport, receiver, sender, features, mac, mtu, quiet: true };
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
    /// [`Device::receive`] does this by itself when it finds nothing, for the second time where there was a frame before:
    /// who has frames to work on is not to be interrupted by the next ones. Under an emulator that costs a wait, too, until
    /// the device has delivered them all.
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
        let Self { transport, receiver, sender, quiet, .. } = self;
        // The buffers of the tokens given out before.
        receiver.queue.announce(transport);
        let was_quiet = core::mem::replace(quiet, true);
        if !sender.ready() {
            return None;
        }
        let frame = loop {
            match receiver.next() {
                Some(frame) => break frame,
                None if !was_quiet => return None,
                None if receiver.queue.arm() => {}
                None => return None,
            }
            // Nothing but bad frames so far: their buffers go back before the next look.
            receiver.queue.announce(transport);
        };
        *quiet = false;
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

/// A locally administered address that is not `mac`, and always the same for it.
fn another(mut mac: [u8; 6]) -> [u8; 6] {
    mac[0] = (mac[0] | 0b10) ^ 0b100;
    mac
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

/// Entries of each queue. Some devices have 256 and nothing else.
const QUEUE: usize = 256;
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
