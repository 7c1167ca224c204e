//! A device between smoltcp and the real one, which sees every frame go by.
//!
//! smoltcp keeps to itself two things that an error message needs: which neighbours do not answer
//! (see [`Neighbors`]) and the ICMP errors that concern a TCP or UDP
//! socket (RFC 792; RFC 4443 §3.1). Both can be read off the frames. It also caps the MTU, notices
//! when the transmit queue is full, and mends acknowledgements (see [`Acks`]) and reports of
//! multicast groups (see [`membership`]).

use core::cell::{Cell, RefCell};
use core::net::{IpAddr, SocketAddr};

use smoltcp::phy::{Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken};
use smoltcp::wire::{
    ArpOperation, ArpPacket, EthernetFrame, EthernetProtocol, Icmpv4DstUnreachable, Icmpv4Message,
    Icmpv4Packet, Icmpv6DstUnreachable, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv4Packet,
    Ipv6Packet, TcpPacket, UdpPacket,
};

use super::acks::Acks;
use super::discovery::{Heard, hear};
use super::membership;
use super::neighbors::Neighbors;
use super::state::timestamp;
use crate::{Instant, Unreachable};

/// Wraps a device.
pub(super) struct Watch<D> {
    device: D,
    /// Largest frame, as smoltcp counts it (with the Ethernet header).
    max_transmission_unit: usize,
    seen: RefCell<Seen>,
    exhausted: Cell<bool>,
}

/// What the frames told.
#[derive(Default)]
pub(super) struct Seen {
    now: Instant,
    /// ICMP errors about packets of ours, oldest first; never more than [`MAX_EVENTS`].
    pub(super) errors: Vec<IcmpError>,
    pub(super) neighbors: Neighbors,
    pub(super) acks: Acks,
    /// Messages about addresses and routers, oldest first; never more than [`MAX_HEARD`].
    pub(super) heard: Vec<Heard>,
    /// The device computes TCP checksums.
    checksum_offload: bool,
}

/// An ICMP error, read from the packet of ours that it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IcmpError {
    pub(super) protocol: Transport,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) why: Unreachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl<D> Watch<D> {
    /// The real device.
    pub(super) fn device(&mut self) -> &mut D {
        &mut self.device
    }
}

impl<D: Device> Watch<D> {
    /// `mtu` caps the IP packet size in octets.
    pub(super) fn new(device: D, mtu: Option<usize>) -> Self {
        let caps = device.capabilities();
        let cap = mtu.map_or(usize::MAX, |mtu| mtu + caps.max_transmission_unit - caps.ip_mtu());
        Self {
            max_transmission_unit: caps.max_transmission_unit.min(cap),
            device,
            seen: RefCell::new(Seen {
                checksum_offload: !caps.checksum.tcp.tx(),
                ..Seen::default()
            }),
            exhausted: Cell::new(false),
        }
    }

    /// Caps the IP packet size at `mtu` octets. Whether that changes it.
    pub(super) fn set_mtu(&mut self, mtu: usize) -> bool {
        let caps = self.device.capabilities();
        let max = caps.max_transmission_unit.min(mtu + caps.max_transmission_unit - caps.ip_mtu());
        core::mem::replace(&mut self.max_transmission_unit, max) != max
    }

    /// Sends a frame of ours, past smoltcp. `false` when the transmit queue is full.
    pub(super) fn send(&mut self, frame: &[u8]) -> bool {
        let timestamp = timestamp(self.seen.get_mut().now);
        let Some(token) = self.device.transmit(timestamp) else {
            self.exhausted.set(true);
            return false;
        };
        token.consume(frame.len(), |octets| octets.copy_from_slice(frame));
        true
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.seen.get_mut().now = now;
        self.exhausted.set(false);
    }

    pub(super) fn seen(&mut self) -> &mut Seen {
        self.seen.get_mut()
    }

    /// Whether the transmit queue was full since the last [`Self::set_now`].
    pub(super) fn exhausted(&self) -> bool {
        self.exhausted.get()
    }
}

impl Seen {
    fn sent(&mut self, frame: &mut [u8]) {
        self.acks.sent(frame, !self.checksum_offload);
        membership::correct(frame);
        let now = self.now;
        let Ok(frame) = EthernetFrame::new_checked(&*frame) else { return };
        match frame.ethertype() {
            EthernetProtocol::Arp => {
                if let Ok(arp) = ArpPacket::new_checked(frame.payload())
                    && arp.operation() == ArpOperation::Request
                    && let Ok(target) = <[u8; 4]>::try_from(arp.target_protocol_addr())
                {
                    self.neighbors.asked(IpAddr::from(target), now);
                }
            }
            EthernetProtocol::Ipv6 => {
                if let Some(icmp) = icmpv6(frame.payload())
                    && icmp.msg_type() == Icmpv6Message::NeighborSolicit
                {
                    self.neighbors.asked(icmp.target_addr().into(), now);
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, frame: &[u8]) {
        self.acks.received(frame);
        let Ok(frame) = EthernetFrame::new_checked(frame) else { return };
        match frame.ethertype() {
            EthernetProtocol::Arp => {
                if let Ok(arp) = ArpPacket::new_checked(frame.payload())
                    && let Ok(source) = <[u8; 4]>::try_from(arp.source_protocol_addr())
                {
                    self.neighbors.answered(IpAddr::from(source));
                }
            }
            // The common case must be cheap: one look at the protocol octet (RFC 791 §3.1).
            EthernetProtocol::Ipv4 if frame.payload().get(9) == Some(&1) => {
                self.icmpv4(frame.payload());
            }
            EthernetProtocol::Ipv6 => {
                if self.heard.len() < MAX_HEARD {
                    self.heard.extend(hear(frame.payload()));
                }
                if let Some(icmp) = icmpv6(frame.payload()) {
                    match icmp.msg_type() {
                        Icmpv6Message::NeighborAdvert => {
                            self.neighbors.answered(icmp.target_addr().into());
                        }
                        Icmpv6Message::DstUnreachable => self.icmpv6_error(frame.payload(), &icmp),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn icmpv4(&mut self, packet: &[u8]) {
        let Ok(outer) = Ipv4Packet::new_checked(packet) else { return };
        let Ok(icmp) = Icmpv4Packet::new_checked(outer.payload()) else { return };
        if !outer.verify_checksum()
            || icmp.msg_type() != Icmpv4Message::DstUnreachable
            || !icmp.verify_checksum()
        {
            return;
        }
        let why = match Icmpv4DstUnreachable::from(icmp.msg_code()) {
            Icmpv4DstUnreachable::HostUnreachable
            | Icmpv4DstUnreachable::DstHostUnknown
            | Icmpv4DstUnreachable::HostUnreachToS => Unreachable::Host,
            Icmpv4DstUnreachable::ProtoUnreachable => Unreachable::Protocol,
            Icmpv4DstUnreachable::PortUnreachable => Unreachable::Port,
            Icmpv4DstUnreachable::NetProhibited
            | Icmpv4DstUnreachable::HostProhibited
            | Icmpv4DstUnreachable::CommProhibited => Unreachable::Prohibited,
            // Not about reachability: smaller packets would pass (RFC 1191).
            Icmpv4DstUnreachable::FragRequired => return,
            _ => Unreachable::Network,
        };
        // The quote holds the header and at least eight octets: the ports (RFC 792).
        let quote = icmp.data();
        let header_len = usize::from(quote.first().copied().unwrap_or(0) & 0x0f) * 4;
        if header_len < 20 || quote.len() < header_len + 8 || quote[0] >> 4 != 4 {
            return;
        }
        let inner = Ipv4Packet::new_unchecked(quote);
        self.error(
            inner.next_header(),
            inner.src_addr().into(),
            inner.dst_addr().into(),
            &quote[header_len..],
            why,
        );
    }

    fn icmpv6_error(&mut self, packet: &[u8], icmp: &Icmpv6Packet<&[u8]>) {
        let Ok(outer) = Ipv6Packet::new_checked(packet) else { return };
        if !icmp.verify_checksum(&outer.src_addr(), &outer.dst_addr()) {
            return;
        }
        let why = match Icmpv6DstUnreachable::from(icmp.msg_code()) {
            Icmpv6DstUnreachable::NoRoute => Unreachable::Network,
            Icmpv6DstUnreachable::PortUnreachable => Unreachable::Port,
            Icmpv6DstUnreachable::AddrUnreachable | Icmpv6DstUnreachable::BeyondScope => {
                Unreachable::Host
            }
            _ => Unreachable::Prohibited,
        };
        let quote = icmp.payload();
        if quote.len() < 48 || quote[0] >> 4 != 6 {
            return;
        }
        let inner = Ipv6Packet::new_unchecked(quote);
        let (src, dst) = (inner.src_addr().into(), inner.dst_addr().into());
        self.error(inner.next_header(), src, dst, &quote[40..], why);
    }

    /// `ports` holds at least eight octets.
    fn error(
        &mut self,
        protocol: IpProtocol,
        src: IpAddr,
        dst: IpAddr,
        ports: &[u8],
        why: Unreachable,
    ) {
        let (protocol, src_port, dst_port) = match protocol {
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_unchecked(ports);
                (Transport::Tcp, tcp.src_port(), tcp.dst_port())
            }
            IpProtocol::Udp => {
                let udp = UdpPacket::new_unchecked(ports);
                (Transport::Udp, udp.src_port(), udp.dst_port())
            }
            _ => return,
        };
        if self.errors.len() < MAX_EVENTS {
            self.errors.push(IcmpError {
                protocol,
                local: SocketAddr::new(src, src_port),
                remote: SocketAddr::new(dst, dst_port),
                why,
            });
        }
    }
}

/// The ICMPv6 message of a packet without extension headers, which is how neighbour discovery and
/// errors arrive.
fn icmpv6(packet: &[u8]) -> Option<Icmpv6Packet<&[u8]>> {
    if packet.get(6) != Some(&58) {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    Icmpv6Packet::new_checked(packet.get(40..40 + len)?).ok()
}

impl<D: Device> Device for Watch<D> {
    type RxToken<'a>
        = Rx<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(
        &mut self,
        timestamp: smoltcp::time::Instant,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (rx, tx) = self.device.receive(timestamp)?;
        Some((Rx { token: rx, seen: &self.seen }, Tx { token: tx, seen: &self.seen }))
    }

    fn transmit(&mut self, timestamp: smoltcp::time::Instant) -> Option<Self::TxToken<'_>> {
        let token = self.device.transmit(timestamp);
        self.exhausted.set(token.is_none());
        Some(Tx { token: token?, seen: &self.seen })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = self.device.capabilities();
        debug_assert_eq!(caps.medium, Medium::Ethernet);
        caps.max_transmission_unit = self.max_transmission_unit;
        caps
    }
}

pub(super) struct Rx<'a, T> {
    token: T,
    seen: &'a RefCell<Seen>,
}

impl<T: RxToken> RxToken for Rx<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        self.token.consume(|frame| {
            self.seen.borrow_mut().received(frame);
            f(frame)
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}

pub(super) struct Tx<'a, T> {
    token: T,
    seen: &'a RefCell<Seen>,
}

impl<T: TxToken> TxToken for Tx<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.token.consume(len, |frame| {
            let result = f(frame);
            self.seen.borrow_mut().sent(frame);
            result
        })
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.token.set_meta(meta);
    }
}

/// Bounds what a peer can make us remember.
const MAX_EVENTS: usize = 32;
/// As many as one turn receives.
const MAX_HEARD: usize = 64;

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn an_icmp_error_names_the_socket() {
        // RFC 792 host unreachable (3, 1), quoting a TCP segment 192.0.2.1:50000 → 192.0.2.9:80.
        let mut inner = vec![0u8; 28];
        inner[0] = 0x45;
        inner[9] = 6;
        inner[12..20].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 9]);
        inner[20..24].copy_from_slice(&[0xc3, 0x50, 0, 80]);
        let mut frame = vec![0u8; 14 + 20 + 8];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[14 + 9] = 1;
        frame[17] = 56;
        frame[34..36].copy_from_slice(&[3, 1]);
        frame.extend_from_slice(&inner);
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        let mut broken = frame.clone();
        Icmpv4Packet::new_unchecked(&mut frame[34..]).fill_checksum();

        let mut seen = Seen::default();
        seen.received(&frame);
        let expected = IcmpError {
            protocol: Transport::Tcp,
            local: "192.0.2.1:50000".parse().expect("an address"),
            remote: "192.0.2.9:80".parse().expect("an address"),
            why: Unreachable::Host,
        };
        assert_eq!(seen.errors, [expected]);

        broken[36..38].copy_from_slice(&[0x12, 0x34]);
        seen.received(&broken);
        assert_eq!(seen.errors.len(), 1, "a wrong checksum is ignored");
        for len in 0..frame.len() {
            seen.received(&frame[..len]);
        }
        assert_eq!(seen.errors.len(), 1, "a cut frame is ignored");
    }

    #[test]
    fn arbitrary_frames_do_not_panic() {
        let mut seen = Seen::default();
        let mut state = 1u64;
        for round in 0..20_000u64 {
            let mut frame = vec![0u8; (round % 120) as usize];
            for octet in &mut frame {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *octet = (state >> 56) as u8;
            }
            if frame.len() > 60 {
                let kinds: [&[u8]; 3] = [&[8, 0, 0x45], &[8, 6, 0], &[0x86, 0xdd, 0x60]];
                let kind = kinds[(round % 3) as usize];
                frame[12..15].copy_from_slice(kind);
                match round % 3 {
                    0 => frame[14 + 9] = 1,
                    2 => frame[14 + 6] = 58,
                    _ => {}
                }
            }
            seen.received(&frame);
            seen.sent(&mut frame);
        }
        assert!(seen.errors.len() <= MAX_EVENTS && seen.heard.len() <= MAX_HEARD);
    }
}
