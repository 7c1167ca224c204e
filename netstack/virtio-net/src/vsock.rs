//! Socket devices as carriers of packets: virtio 1.2, section 5.10. Connections are not made here.
//!
//! Nothing here blocks. The interrupt word moves for what [`arm`](Vsock::arm) asked for.
//!
//! Memory: 16 buffers of 16 KiB to receive in and as many to send from (512 KiB), 4 of 4 octets for events. The queues
//! have 16 entries, the events' 4.

use virtio_drivers::{BufferDirection, Hal};

use crate::queue::{Buffer, Fault, Queue, Taken};
use crate::setup::{self, SetupError};
use crate::transport::Bus;

/// A socket device.
pub struct Vsock<H: Hal, T: Bus> {
    // Dropped first: the reset takes the buffers back from the device.
    transport: T,
    incoming: Queue<H, QUEUE>,
    outgoing: Queue<H, QUEUE>,
    events: Queue<H, EVENT_QUEUE>,
    free: Vec<Buffer>,
    cid: u64,
}

impl<H: Hal, T: Bus> Vsock<H, T> {
    /// Octets of one packet, its head included.
    pub const PACKET: usize = 16 * 1024;

    /// Sets the device up and lets it send.
    pub fn new(mut transport: T) -> Result<Self, SetupError> {
        // streams need no feature: 5.10.3
        setup::negotiate(&mut transport, 0, |_, features| features)?;
        let cid = read_cid(&transport)?;
        let mut incoming = Queue::new(&mut transport, 0, BufferDirection::DeviceToDriver)?;
        let mut outgoing = Queue::new(&mut transport, 1, BufferDirection::DriverToDevice)?;
        let mut events = Queue::new(&mut transport, 2, BufferDirection::DeviceToDriver)?;
        for buffer in incoming.provide(BUFFERS, Self::PACKET)? {
            incoming.offer(buffer, Self::PACKET);
        }
        for buffer in events.provide(EVENT_QUEUE, EVENT)? {
            events.offer(buffer, EVENT);
        }
        let free = outgoing.provide(BUFFERS, Self::PACKET)?;
        outgoing.disarm();
        setup::finish(&mut transport)?;
        incoming.announce(&mut transport);
        events.announce(&mut transport);
        Ok(Self { transport, incoming, outgoing, events, free, cid })
    }

    /// The machine's own context, as the device last said.
    pub fn cid(&self) -> u64 {
        self.cid
    }

    /// Hands the next packet that came to `take`; false where there is none.
    pub fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        let Some(Taken { buffer, written }) = self.incoming.take() else { return false };
        self.incoming.disarm();
        // what the device claims beyond the buffer is no packet
        take(&self.incoming.bytes(&buffer)[..written.unwrap_or(0)]);
        self.incoming.offer(buffer, Self::PACKET);
        true
    }

    /// Whether there is room for another packet.
    pub fn can_send(&mut self) -> bool {
        while let Some(Taken { buffer, .. }) = self.outgoing.take() {
            self.free.push(buffer);
        }
        !self.free.is_empty()
    }

    /// Queues a packet of at most [`PACKET`](Self::PACKET) octets, given in two parts. Without room it is lost.
    pub fn send(&mut self, head: &[u8], payload: &[u8]) {
        let Some(mut buffer) = self.free.pop() else { return };
        let len = head.len() + payload.len();
        let octets = self.outgoing.bytes_mut(&mut buffer);
        octets[..head.len()].copy_from_slice(head);
        octets[head.len()..len].copy_from_slice(payload);
        self.outgoing.offer(buffer, len);
        self.outgoing.disarm();
    }

    /// Tells the device what was queued, and which buffers are free again.
    pub fn announce(&mut self) {
        self.incoming.announce(&mut self.transport);
        self.outgoing.announce(&mut self.transport);
        self.events.announce(&mut self.transport);
    }

    /// Asks for an interrupt when a packet or an event comes and, with `writes`, when one was sent. True: look again.
    pub fn arm(&mut self, writes: bool) -> bool {
        let (incoming, events) = (self.incoming.arm(), self.events.arm());
        incoming | events | (writes && self.outgoing.arm())
    }

    /// Whether an [`arm`](Self::arm) is worth another look. Changes nothing.
    pub fn has_news(&self) -> bool {
        self.incoming.has_news() || self.events.has_news()
    }

    /// Whether the device has taken all that was sent.
    pub fn is_idle(&mut self) -> bool {
        self.can_send();
        !self.outgoing.busy()
    }

    /// Whether the device says that all connections are lost (5.10.6.7: the machine was moved); true for good once it has
    /// done what no device does.
    pub fn has_lost(&mut self) -> bool {
        let mut lost = false;
        while let Some(Taken { buffer, written }) = self.events.take() {
            // there is one kind of event only, TRANSPORT_RESET = 0
            lost |= written == Some(EVENT) && self.events.bytes(&buffer)[..EVENT] == [0; EVENT];
            self.events.offer(buffer, EVENT);
        }
        if lost {
            self.cid = read_cid(&self.transport).unwrap_or(self.cid);
        }
        lost || self.fault().is_some()
    }

    /// What the device did wrong, if that has stopped it.
    pub fn fault(&self) -> Option<Fault> {
        self.incoming.fault().or(self.outgoing.fault()).or(self.events.fault())
    }
}

/// 5.10.4: 64 bits, of which the upper 32 are zero.
fn read_cid<T: Bus>(transport: &T) -> Result<u64, SetupError> {
    let missing = |_| SetupError::MissingStructure("socket configuration");
    let cid: u32 = transport.read_config_space(0).map_err(missing)?;
    Ok(u32::from_le(cid).into())
}

const QUEUE: usize = 16;
const BUFFERS: usize = 16;
const EVENT_QUEUE: usize = 4;
const EVENT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Device, FakeHal, FakeMachine, Setup, Shared, Transport};

    fn vsock() -> (FakeMachine, Shared, Vsock<FakeHal, Transport>) {
        let machine = FakeMachine::new();
        let device = Device::new(0, &[16, 16, 4], &[9, 0, 0, 0, 0, 0, 0, 0]);
        let shared = machine.add(4, Setup::modern(19), device);
        let vsock = machine.discover().vsock.expect("the device is good");
        (machine, shared, vsock)
    }

    fn received(vsock: &mut Vsock<FakeHal, Transport>) -> Option<Vec<u8>> {
        let mut packet = None;
        vsock.receive(&mut |octets| packet = Some(octets.to_vec())).then(|| packet.unwrap())
    }

    #[test]
    fn packets_go_both_ways() {
        let (_machine, shared, mut vsock) = vsock();
        assert_eq!(vsock.cid(), 9);
        assert_eq!(received(&mut vsock), None);
        assert!(!vsock.arm(false));
        shared.lock().deliver(0, b"a packet");
        assert!(vsock.has_news() && vsock.arm(false));
        assert_eq!(received(&mut vsock), Some(b"a packet".to_vec()));
        assert!(vsock.is_idle());
        vsock.send(b"head", b"payload");
        assert!(!vsock.is_idle());
        assert_eq!(shared.lock().collect(1), Some(b"headpayload".to_vec()));
        assert!(vsock.is_idle());
    }

    #[test]
    fn room_ends_and_comes_back() {
        let (_machine, shared, mut vsock) = vsock();
        for _ in 0..BUFFERS {
            assert!(vsock.can_send());
            vsock.send(b"x", b"");
        }
        assert!(!vsock.can_send());
        assert!(!vsock.arm(true));
        assert!(shared.lock().collect(1).is_some());
        assert!(vsock.arm(true));
        assert!(vsock.can_send());
    }

    #[test]
    fn a_transport_reset_is_told_once() {
        let (_machine, shared, mut vsock) = vsock();
        assert!(!vsock.has_lost());
        shared.lock().deliver(2, &[0; 4]);
        assert!(vsock.arm(false));
        assert!(vsock.has_lost());
        assert!(!vsock.has_lost());
        // not the event that there is
        shared.lock().deliver(2, &[1, 0, 0, 0]);
        assert!(!vsock.has_lost());
    }

    #[test]
    fn a_device_that_lies_is_given_up() {
        let (_machine, shared, mut vsock) = vsock();
        let chain = shared.lock().take(0).unwrap();
        shared.lock().complete(0, chain.id.into(), Vsock::<FakeHal, Transport>::PACKET as u32 + 1);
        assert_eq!(received(&mut vsock), Some(Vec::new()));
        shared.lock().complete(0, 99, 4);
        assert_eq!(received(&mut vsock), None);
        assert!(vsock.has_lost() && vsock.has_lost());
        assert_eq!(vsock.fault(), Some(Fault { queue: 0, descriptor: 99 }));
    }
}
