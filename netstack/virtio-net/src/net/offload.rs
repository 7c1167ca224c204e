//! What the device and the driver share of TCP's checksum: finding the segment in a frame, the
//! pseudo-header's sum that a device completes, and verifying what no device did.
//!
//! Only TCP is left to the device. UDP and ICMP stay with the IP stack, whose fragments no
//! checksum of one frame could cover. RFC 1071 has the arithmetic.

use core::num::NonZeroU16;

use super::header::{Header, Segmentation};

/// A TCP segment in an Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Where the IP header begins.
    ip: usize,
    /// Where the TCP header begins.
    start: usize,
    /// Where the segment ends; Ethernet padding may follow.
    end: usize,
    v6: bool,
}

/// What a frame carries, as far as TCP's checksum goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contents {
    Tcp(Segment),
    /// A piece of a datagram that carries TCP: its checksum cannot be verified by itself.
    TcpFragment,
    Other,
}

/// The header for a frame that the IP stack made without TCP checksums; puts the
/// pseudo-header's sum where the checksum belongs. `segment_size` asks for segmentation.
pub(crate) fn prepare(frame: &mut [u8], segment_size: Option<NonZeroU16>) -> Header {
    let Contents::Tcp(segment) = inspect(frame) else {
        return Header::default();
    };
    let Segment { start, end, v6, .. } = segment;
    // A segment longer than the IP header can say has no end there: it is the frame's own.
    let sum = fold(pseudo_header(frame, segment));
    frame[start + CHECKSUM..start + CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    let header_len = usize::from(frame[start + 12] >> 4) * 4 + start;
    let segment_size = segment_size.filter(|size| end - start > usize::from(size.get()));
    Header {
        needs_checksum: true,
        checksum_start: start as u16,
        checksum_offset: CHECKSUM as u16,
        segmentation: match segment_size {
            None => Segmentation::None,
            Some(_) if v6 => Segmentation::TcpV6,
            Some(_) => Segmentation::TcpV4,
        },
        header_len: if segment_size.is_some() { header_len as u16 } else { 0 },
        segment_size: segment_size.map_or(0, NonZeroU16::get),
        ..Header::default()
    }
}

/// Whether a received frame's TCP checksum may be taken as right: the device says so, or it is.
/// Frames without TCP are left to the IP stack.
pub(crate) fn acceptable(frame: &[u8], header: &Header) -> bool {
    if header.data_valid {
        return true;
    }
    match inspect(frame) {
        Contents::Other => true,
        // 5.1.6.4: the frame never left this host, and its checksum was never completed.
        _ if header.needs_checksum => true,
        Contents::TcpFragment => false,
        Contents::Tcp(segment) => {
            let sum = pseudo_header(frame, segment) + sum(&frame[segment.start..segment.end]);
            fold(sum) == 0xffff
        }
    }
}

/// Whether the IP stack will verify a checksum in this frame that is not complete yet.
pub(crate) fn needs_completion(frame: &[u8], header: &Header) -> bool {
    header.needs_checksum && inspect(frame) == Contents::Other
}

/// Completes the checksum that the header says is partial. Nonsense in the header changes nothing.
pub(crate) fn complete(frame: &mut [u8], header: &Header) {
    let start = usize::from(header.checksum_start);
    let at = start + usize::from(header.checksum_offset);
    if at + 2 > frame.len() {
        return;
    }
    // The field holds the pseudo-header's sum, so summing it with the rest is right.
    let value = match !fold(sum(&frame[start..])) {
        0 => 0xffff, // for UDP a zero would mean none (RFC 768); elsewhere the two are the same
        value => value,
    };
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn inspect(frame: &[u8]) -> Contents {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => inspect_v4(frame),
        Some([0x86, 0xdd]) => inspect_v6(frame),
        _ => Contents::Other,
    }
}

/// RFC 791, 3.1.
fn inspect_v4(frame: &[u8]) -> Contents {
    let packet = &frame[ETHERNET..];
    if packet.len() < 20 || packet[9] != TCP {
        return Contents::Other;
    }
    let header_len = usize::from(packet[0] & 0xf) * 4;
    if half(packet, 6) & 0x3fff != 0 {
        return Contents::TcpFragment;
    }
    let end = match usize::from(half(packet, 2)) {
        0 => packet.len(), // longer than the field can say: see `prepare`
        total => total,
    };
    segment(frame, ETHERNET + header_len, ETHERNET + end, false)
}

/// RFC 8200, 3 and 4.
fn inspect_v6(frame: &[u8]) -> Contents {
    let packet = &frame[ETHERNET..];
    if packet.len() < 40 {
        return Contents::Other;
    }
    let end = match usize::from(half(packet, 4)) {
        0 => packet.len(),
        payload => 40 + payload,
    };
    let (mut next, mut at) = (packet[6], 40);
    while matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
        let Some(extension) = packet.get(at..at + 8) else {
            return Contents::Other;
        };
        // The fragment's own header says what the whole carries: 4.5.
        if next == FRAGMENT && half(extension, 2) & 0xfff9 != 0 {
            return if extension[0] == TCP { Contents::TcpFragment } else { Contents::Other };
        }
        at += if next == FRAGMENT { 8 } else { 8 + usize::from(extension[1]) * 8 };
        next = extension[0];
    }
    match next {
        TCP => segment(frame, ETHERNET + at, ETHERNET + end, true),
        _ => Contents::Other,
    }
}

/// A segment whose header is whole and whose end is inside the frame; anything else the IP stack
/// drops by itself.
fn segment(frame: &[u8], start: usize, end: usize, v6: bool) -> Contents {
    if end > frame.len() || start + 20 > end {
        return Contents::Other;
    }
    Contents::Tcp(Segment { ip: ETHERNET, start, end, v6 })
}

/// RFC 9293, 3.1 and RFC 8200, 8.1.
fn pseudo_header(frame: &[u8], segment: Segment) -> u64 {
    let Segment { ip, start, end, v6 } = segment;
    let addresses = if v6 { &frame[ip + 8..ip + 40] } else { &frame[ip + 12..ip + 20] };
    sum(addresses) + u64::from(TCP) + (end - start) as u64
}

/// The sum of big-endian halves, to be folded.
fn sum(bytes: &[u8]) -> u64 {
    // Halves may be added in any grouping and byte order as long as the fold swaps back (RFC 1071,
    // 2 B): words of 32 bits in native order leave room for 2^32 of them.
    let mut words = bytes.chunks_exact(4);
    let mut total: u64 = words
        .by_ref()
        .map(|word| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]])))
        .sum();
    let mut rest = [0; 4];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    total += u64::from(u32::from_ne_bytes(rest));
    u64::from(u16::from_be(fold(total)))
}

/// Folds a sum into one half, with end-around carry.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

const ETHERNET: usize = 14;
const TCP: u8 = 6;
/// Where TCP keeps its checksum.
const CHECKSUM: usize = 16;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

#[cfg(test)]
#[path = "offload_tests.rs"]
mod tests;
