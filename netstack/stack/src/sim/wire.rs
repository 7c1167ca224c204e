//! Frames under way, the switch between the ports, and a port as smoltcp's device.

use core::num::NonZeroUsize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken};
use spin::Mutex;

use super::link::{Lane, Link};
use super::offload;
use super::pcap;
use super::random::Generator;
use crate::Instant;

/// Names a place at the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(usize);

/// Frames counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Frames that ports sent, once each.
    pub sent: u64,
    /// Frames that arrived at ports.
    pub arrived: u64,
}

/// The switch and everything under way.
pub(super) struct Wire {
    ports: Vec<Plug>,
    under_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    next: u64,
    chance: Generator,
    capture: Option<Vec<u8>>,
    traffic: Traffic,
}

struct Plug {
    /// `None` hears everything.
    mac: Option<[u8; 6]>,
    link: Link,
    up: Lane,
    down: Lane,
    inbox: VecDeque<Vec<u8>>,
}

impl Wire {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            ports: Vec::new(),
            under_way: BTreeMap::new(),
            next: 0,
            chance: Generator::new(seed),
            capture: None,
            traffic: Traffic::default(),
        }
    }

    pub(super) fn plug(&mut self, mac: Option<[u8; 6]>, link: Link) -> PortId {
        let (up, down) = (Lane::default(), Lane::default());
        self.ports.push(Plug { mac, link, up, down, inbox: VecDeque::new() });
        PortId(self.ports.len() - 1)
    }

    pub(super) fn ports(&self) -> usize {
        self.ports.len()
    }

    pub(super) fn set_link(&mut self, port: PortId, link: Link) {
        self.ports[port.0].link = link;
    }

    pub(super) fn start_capture(&mut self) {
        self.capture.get_or_insert_with(pcap::header);
    }

    pub(super) fn capture(&self) -> Vec<u8> {
        self.capture.clone().unwrap_or_else(pcap::header)
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes a frame from a port: to the port of its destination, or to all when there is none.
    pub(super) fn send(&mut self, from: PortId, now: Instant, frame: Vec<u8>) {
        self.traffic.sent += 1;
        if let Some(capture) = &mut self.capture {
            pcap::record(capture, now, &frame);
        }
        let dst = frame.get(..6);
        let known =
            dst.and_then(|dst| self.ports.iter().position(|p| p.mac.is_some_and(|mac| mac == dst)));
        let Self { ports, chance, under_way, next, .. } = self;
        let plug = &mut ports[from.0];
        let departures: Vec<_> = plug.up.pass(&plug.link, now, frame.len(), chance).collect();
        for departure in departures {
            for (to, plug) in ports.iter_mut().enumerate() {
                let hears = plug.mac.is_none() || known.is_none_or(|known| known == to);
                if to == from.0 || !hears {
                    continue;
                }
                let arrivals: Vec<_> =
                    plug.down.pass(&plug.link, departure.at, frame.len(), chance).collect();
                for arrival in arrivals {
                    let mut copy = frame.clone();
                    if departure.corrupt || arrival.corrupt {
                        flip_a_bit(&mut copy, chance);
                    }
                    *next += 1;
                    under_way.insert((arrival.at, *next), (to, copy));
                }
            }
        }
    }

    /// Puts what has arrived by `now` before the ports.
    pub(super) fn deliver(&mut self, now: Instant) {
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= now
        {
            let (to, frame) = entry.remove();
            self.traffic.arrived += 1;
            self.ports[to].inbox.push_back(frame);
        }
    }

    /// The next frame that has arrived at a port.
    pub(super) fn take(&mut self, port: PortId) -> Option<Vec<u8>> {
        self.ports[port.0].inbox.pop_front()
    }
}

/// Only IP packets, whose checksums show it: on a real wire the frame check sequence would.
fn flip_a_bit(frame: &mut [u8], chance: &mut Generator) {
    let ip = matches!(frame.get(12..14), Some([8, 0] | [0x86, 0xdd]));
    if ip && frame.len() > ETHERNET_HEADER {
        let bit = chance.below((frame.len() - ETHERNET_HEADER) as u64 * 8) as usize;
        frame[ETHERNET_HEADER + bit / 8] ^= 1 << (bit % 8);
    }
}

/// A host's place at the switch, as smoltcp's device.
pub struct Port {
    wire: Arc<Mutex<Wire>>,
    id: PortId,
}

impl Port {
    pub(super) fn new(wire: Arc<Mutex<Wire>>, id: PortId) -> Self {
        Self { wire, id }
    }

    fn sender(&self, timestamp: smoltcp::time::Instant) -> Sender {
        let micros = u64::try_from(timestamp.total_micros()).unwrap_or(0);
        Sender {
            wire: self.wire.clone(),
            id: self.id,
            now: Instant::from_micros(micros),
            segment: None,
        }
    }
}

impl Device for Port {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Sender;

    fn receive(&mut self, timestamp: smoltcp::time::Instant) -> Option<(Frame, Sender)> {
        let frame = self.wire.lock().take(self.id)?;
        Some((Frame(frame), self.sender(timestamp)))
    }

    fn transmit(&mut self, timestamp: smoltcp::time::Instant) -> Option<Sender> {
        Some(self.sender(timestamp))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = MTU + ETHERNET_HEADER;
        if self.wire.lock().ports[self.id.0].link.offload {
            // Checksums are still verified on receiving: the link may corrupt.
            caps.checksum.tcp = Checksum::Rx;
            caps.segmentation.tcpv4 = NonZeroUsize::new(0xffff + ETHERNET_HEADER);
            caps.segmentation.tcpv6 = None;
        }
        caps
    }
}

/// A frame that has arrived.
pub struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Leave to send one frame.
pub struct Sender {
    wire: Arc<Mutex<Wire>>,
    id: PortId,
    now: Instant,
    segment: Option<usize>,
}

impl TxToken for Sender {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let mut wire = self.wire.lock();
        if wire.ports[self.id.0].link.offload {
            for frame in offload::cut(frame, self.segment) {
                wire.send(self.id, self.now, frame);
            }
        } else {
            assert!(len <= MTU + ETHERNET_HEADER, "a frame of {len} octets");
            wire.send(self.id, self.now, frame);
        }
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size.map(|size| usize::from(size.get()));
    }
}

const MTU: usize = 1500;
const ETHERNET_HEADER: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(dst: [u8; 6]) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[..6].copy_from_slice(&dst);
        frame
    }

    #[test]
    fn the_switch_knows_its_ports() {
        let mut wire = Wire::new(1);
        let a = wire.plug(Some([2, 0, 0, 0, 0, 1]), Link::default());
        let b = wire.plug(Some([2, 0, 0, 0, 0, 2]), Link::default());
        let c = wire.plug(Some([2, 0, 0, 0, 0, 3]), Link::default());
        let tap = wire.plug(None, Link::default());
        let far = Instant::from_millis(1);
        for (dst, reached) in [
            ([2, 0, 0, 0, 0, 2], [false, true, false, true]),
            ([0xff; 6], [false, true, true, true]),
            ([2, 0, 0, 0, 0, 9], [false, true, true, true]),
        ] {
            wire.send(a, Instant::ZERO, frame(dst));
            assert_eq!(wire.next_arrival(), Some(Instant::from_micros(200)));
            wire.deliver(far);
            assert_eq!([a, b, c, tap].map(|p| wire.take(p).is_some()), reached);
        }
        wire.send(a, Instant::ZERO, vec![1, 2, 3]);
    }
}
