//! Mends the sequence numbers of acknowledgements on their way out.
//!
//! After a retransmission timeout smoltcp goes back to the first octet not acknowledged, and puts
//! that number into acknowledgements without data, too. A peer that has received more finds them
//! outside its window and drops them unread (RFC 9293 §3.10.7.4); when both sides are in that state,
//! neither ever learns that its octets have arrived. So while octets are sent again, the peer's
//! acknowledgements are read off the frames that arrive, whether smoltcp accepts them or not, and
//! ours are moved up to there.

use core::net::IpAddr;
use std::collections::BTreeMap;

use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet};

/// One connection: our port, the peer's address and port.
pub(super) type Flow = (u16, IpAddr, u16);

/// What was sent and acknowledged on every connection that has sent something.
#[derive(Default)]
pub(super) struct Acks {
    flows: BTreeMap<Flow, Sent>,
    /// How many of them repeat themselves: mostly none, and then arriving frames cost nothing.
    repeating: usize,
}

struct Sent {
    /// The number after the highest one sent.
    next: u32,
    /// While octets are sent again: the highest number that the peer has acknowledged.
    repeating: Option<u32>,
}

impl Acks {
    /// Looks at a frame that is about to leave. `checksum`: whether its TCP checksum has been
    /// computed; else the device will do so.
    pub(super) fn sent(&mut self, frame: &mut [u8], checksum: bool) {
        let Some(segment) = Segment::parse(frame) else { return };
        let flow = (segment.src_port, segment.dst, segment.dst_port);
        if segment.flags & RST != 0 {
            self.forget(flow);
            return;
        }
        let syn = segment.flags & SYN != 0;
        let end = segment.seq.wrapping_add(segment.len);
        match self.flows.get_mut(&flow) {
            Some(sent) if !syn && segment.len == 0 => {
                if let Some(acknowledged) = sent.repeating
                    && is_before(segment.seq, acknowledged)
                {
                    let header = &mut frame[segment.tcp_at..];
                    set_seq(header, segment.seq, acknowledged, checksum);
                }
            }
            Some(sent) if !syn => {
                let repeats = !is_before(sent.next, end);
                match (repeats, sent.repeating) {
                    (true, None) => {
                        sent.repeating = Some(segment.seq);
                        self.repeating += 1;
                    }
                    (false, Some(_)) => {
                        sent.repeating = None;
                        self.repeating -= 1;
                    }
                    _ => {}
                }
                if !repeats {
                    sent.next = end;
                }
            }
            _ if segment.len == 0 => {}
            _ => {
                self.forget(flow);
                self.flows.insert(flow, Sent { next: end, repeating: None });
            }
        }
    }

    /// Looks at a frame that has arrived.
    pub(super) fn received(&mut self, frame: &[u8]) {
        if self.repeating == 0 {
            return;
        }
        let Some(segment) = Segment::parse(frame) else { return };
        let flow = (segment.dst_port, segment.src, segment.src_port);
        if segment.flags & (ACK | RST) == ACK
            && let Some(Sent { next, repeating: Some(acknowledged) }) = self.flows.get_mut(&flow)
            && is_before(*acknowledged, segment.ack)
            && !is_before(*next, segment.ack)
        {
            *acknowledged = segment.ack;
        }
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, flow: Flow) {
        if let Some(Sent { repeating: Some(_), .. }) = self.flows.remove(&flow) {
            self.repeating -= 1;
        }
    }
}

/// What matters of a TCP segment.
struct Segment {
    src: IpAddr,
    dst: IpAddr,
    tcp_at: usize,
    src_port: u16,
    dst_port: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    /// Octets, SYN and FIN.
    len: u32,
}

impl Segment {
    fn parse(frame: &[u8]) -> Option<Self> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let packet = &frame[ETHERNET_HEADER..];
        let packet_len = packet.len();
        let (src, dst, tcp_at, end) = match ethernet.ethertype() {
            EthernetProtocol::Ipv4 if packet.len() >= 20 => {
                let packet = Ipv4Packet::new_unchecked(packet);
                if packet.next_header() != IpProtocol::Tcp {
                    return None;
                }
                // 0 in what a device is to cut into segments, when it is too large to say.
                let total = match usize::from(packet.total_len()) {
                    0 => packet_len,
                    total => total,
                };
                (
                    IpAddr::from(packet.src_addr()),
                    IpAddr::from(packet.dst_addr()),
                    ETHERNET_HEADER + usize::from(packet.header_len()),
                    ETHERNET_HEADER + total,
                )
            }
            EthernetProtocol::Ipv6 if packet.len() >= 40 => {
                let packet = Ipv6Packet::new_unchecked(packet);
                if packet.next_header() != IpProtocol::Tcp {
                    return None;
                }
                let total = usize::from(packet.payload_len());
                (
                    IpAddr::from(packet.src_addr()),
                    IpAddr::from(packet.dst_addr()),
                    ETHERNET_HEADER + 40,
                    ETHERNET_HEADER + 40 + total,
                )
            }
            _ => return None,
        };
        // Short frames are padded.
        let tcp = frame.get(tcp_at..end.min(frame.len()))?;
        let header: &[u8; 20] = tcp.first_chunk()?;
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let flags = header[13];
        let data = tcp.len().saturating_sub(usize::from(header[12] >> 4) * 4);
        Some(Self {
            src,
            dst,
            tcp_at,
            src_port: (word(0) >> 16) as u16,
            dst_port: word(0) as u16,
            seq: word(4),
            ack: word(8),
            flags,
            len: data as u32 + u32::from(flags & FIN) + u32::from(flags & SYN != 0),
        })
    }
}

fn set_seq(header: &mut [u8], old: u32, new: u32, checksum: bool) {
    header[4..8].copy_from_slice(&new.to_be_bytes());
    if checksum {
        // RFC 1624: HC' = ~(~HC + ~m + m'), in one's complement.
        let mut sum = u32::from(!u16::from_be_bytes([header[16], header[17]]));
        for half in [!old >> 16, !old & 0xffff, new >> 16, new & 0xffff] {
            sum += half;
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        header[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
}

/// In sequence number space (RFC 9293 §3.4).
fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

const ETHERNET_HEADER: usize = 14;
// RFC 9293 §3.1.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 0x10;

#[cfg(test)]
mod tests {
    use smoltcp::wire::{IpAddress, TcpPacket};

    use super::*;

    const SRC: IpAddress = IpAddress::v4(192, 0, 2, 1);
    const DST: IpAddress = IpAddress::v4(192, 0, 2, 9);

    fn frame(ports: [u8; 4], seq: u32, ack: u32, flags: u8, data: usize) -> Vec<u8> {
        let mut frame = vec![0; 54 + data];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + data as u16).to_be_bytes());
        frame[23] = 6;
        frame[26..34].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 9]);
        frame[34..38].copy_from_slice(&ports);
        frame[38..42].copy_from_slice(&seq.to_be_bytes());
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
        frame[46] = 0x50;
        frame[47] = flags;
        TcpPacket::new_unchecked(&mut frame[34..]).fill_checksum(&SRC, &DST);
        frame
    }

    /// Sends a segment and returns the number it leaves with.
    fn sent(acks: &mut Acks, seq: u32, flags: u8, data: usize) -> u32 {
        let mut frame = frame([0xc0, 0, 0, 80], seq, 0, flags, data);
        acks.sent(&mut frame, true);
        let tcp = TcpPacket::new_checked(&frame[34..]).expect("a segment");
        assert!(tcp.verify_checksum(&SRC, &DST));
        tcp.seq_number().0 as u32
    }

    fn received(acks: &mut Acks, ack: u32) {
        let mut frame = frame([0, 80, 0xc0, 0], 0, ack, ACK, 0);
        frame[26..34].copy_from_slice(&[192, 0, 2, 9, 192, 0, 2, 1]);
        acks.received(&frame);
    }

    #[test]
    fn acknowledgements_keep_up_with_the_peer_while_octets_are_repeated() {
        let mut acks = Acks::default();
        let at = |n: u32| (u32::MAX - 100).wrapping_add(n);
        sent(&mut acks, at(0), SYN, 0);
        sent(&mut acks, at(1), ACK, 1000);
        sent(&mut acks, at(1001), ACK, 1000);
        received(&mut acks, at(2001));
        assert_eq!(sent(&mut acks, at(5), ACK, 0), at(5), "nothing is repeated yet");
        assert_eq!(sent(&mut acks, at(1), ACK, 1000), at(1), "again");
        assert_eq!(sent(&mut acks, at(1001), ACK, 0), at(1001), "not heard of more");
        received(&mut acks, at(2001));
        received(&mut acks, at(1500));
        received(&mut acks, at(9999));
        assert_eq!(sent(&mut acks, at(1001), ACK, 0), at(2001));
        assert_eq!(sent(&mut acks, at(2001), ACK | FIN, 10), at(2001), "new octets");
        assert_eq!(acks.repeating, 0);
        sent(&mut acks, at(1), ACK, 1000);
        assert_eq!(acks.repeating, 1);
        sent(&mut acks, at(2), RST, 0);
        assert_eq!((acks.repeating, acks.flows.len()), (0, 0));
        assert_eq!(sent(&mut acks, 7, ACK, 0), 7, "unknown connections pass");
    }

    #[test]
    fn a_window_probe_that_is_refused_does_not_count() {
        // One octet beyond the peer's window, again and again; its window begins at that octet.
        let mut acks = Acks::default();
        sent(&mut acks, 0, SYN, 0);
        sent(&mut acks, 1, ACK, 100);
        for _ in 0..3 {
            sent(&mut acks, 101, ACK, 1);
            received(&mut acks, 101);
            assert_eq!(sent(&mut acks, 101, ACK, 0), 101);
        }
    }

    #[test]
    fn a_new_connection_of_the_same_ports_starts_anew() {
        let mut acks = Acks::default();
        sent(&mut acks, 1_000_000, SYN, 0);
        sent(&mut acks, 1_000_001, ACK, 5);
        sent(&mut acks, 1_000_001, ACK, 5);
        sent(&mut acks, 5, SYN, 0);
        assert_eq!(acks.repeating, 0);
        assert_eq!(sent(&mut acks, 6, ACK, 0), 6);
    }

    #[test]
    fn short_frames_pass() {
        let mut acks = Acks { repeating: 1, ..Acks::default() };
        let whole = frame([0xc0, 0, 0, 80], 1, 2, ACK, 10);
        for len in 0..whole.len() {
            acks.sent(&mut whole[..len].to_vec(), true);
            acks.received(&whole[..len]);
        }
    }
}
