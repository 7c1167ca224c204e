//! Checksums of frames, right and wrong.

use core::num::NonZeroU16;

use super::*;

/// A frame with `payload` octets in a TCP segment, over IPv4 or IPv6, the checksum blank.
fn frame(v6: bool, payload: usize) -> Vec<u8> {
    let ip = if v6 { 40 } else { 20 };
    let mut frame = vec![0; 14 + ip + 20 + payload];
    if v6 {
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14] = 0x60;
        frame[18..20].copy_from_slice(&(20 + payload as u16).to_be_bytes());
        frame[20] = 6;
        frame[22..54].copy_from_slice(&core::array::from_fn::<_, 32, _>(|n| n as u8 * 5));
    } else {
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
        frame[23] = 6;
        frame[26..34].copy_from_slice(&[192, 168, 0, 1, 10, 255, 3, 77]);
    }
    let tcp = 14 + ip;
    frame[tcp + 12] = 0x50;
    for (n, byte) in frame[tcp + 20..].iter_mut().enumerate() {
        *byte = (n * 131 + 17) as u8;
    }
    frame
}

/// The checksum of a frame's segment, octet by octet.
fn reference(frame: &[u8], v6: bool) -> u16 {
    let (addresses, tcp) = if v6 { (22..54, 54) } else { (26..34, 34) };
    let mut padded = frame[tcp..].to_vec();
    if padded.len() % 2 == 1 {
        padded.push(0);
    }
    let mut total = 6 + (frame.len() - tcp) as u32;
    for pair in frame[addresses].chunks(2).chain(padded.chunks(2)) {
        total += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

#[test]
fn completed_sums_are_those_of_the_rfc() {
    for v6 in [false, true] {
        for payload in (0..70).chain([1459, 1460, 9000, 65_000]) {
            let mut frame = frame(v6, payload);
            let expected = reference(&frame, v6);
            let header = prepare(&mut frame, None);
            assert!(header.needs_checksum && header.segmentation == Segmentation::None);
            complete(&mut frame, &header);
            let at = if v6 { 70 } else { 50 };
            assert_eq!(half(&frame, at), expected, "v6 {v6}, {payload} octets");
            assert!(acceptable(&frame, &Header::default()));
        }
    }
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let mut frame = frame(false, 30);
    let header = prepare(&mut frame, None);
    complete(&mut frame, &header);
    for bit in 34 * 8..frame.len() * 8 {
        frame[bit / 8] ^= 1 << (bit % 8);
        assert!(!acceptable(&frame, &Header::default()), "bit {bit}");
        frame[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn ethernet_padding_is_not_summed() {
    let mut frame = frame(false, 1);
    let header = prepare(&mut frame, None);
    complete(&mut frame, &header);
    frame.extend_from_slice(&[0xee; 5]);
    assert!(acceptable(&frame, &Header::default()));
}

#[test]
fn only_long_segments_are_cut() {
    for v6 in [false, true] {
        let kind = if v6 { Segmentation::TcpV6 } else { Segmentation::TcpV4 };
        let header = prepare(&mut frame(v6, 4000), NonZeroU16::new(1448));
        assert_eq!((header.segmentation, header.segment_size), (kind, 1448));
        assert_eq!(header.header_len, if v6 { 74 } else { 54 });
        let header = prepare(&mut frame(v6, 100), NonZeroU16::new(1448));
        assert_eq!((header.segmentation, header.header_len), (Segmentation::None, 0));
    }
}

#[test]
fn pieces_of_datagrams_cannot_be_verified() {
    let mut frame = frame(false, 30);
    for (flags, other) in [([0x20, 0], false), ([0, 1], false), ([0x40, 0], true)] {
        frame[20..22].copy_from_slice(&flags);
        frame[50..52].fill(0);
        let header = prepare(&mut frame, None);
        assert_eq!(header.needs_checksum, other, "{flags:x?}");
        complete(&mut frame, &header);
        assert_eq!(acceptable(&frame, &Header::default()), other, "{flags:x?}");
    }
}

#[test]
fn extension_headers_are_passed() {
    let plain = frame(true, 25);
    let mut frame = plain[..54].to_vec();
    frame[20] = HOP_BY_HOP;
    frame[18..20].copy_from_slice(&(16 + 20 + 25_u16).to_be_bytes());
    frame.extend_from_slice(&[DESTINATION, 0, 1, 4, 0, 0, 0, 0]);
    frame.extend_from_slice(&[TCP, 0, 1, 4, 0, 0, 0, 0]);
    frame.extend_from_slice(&plain[54..]);
    let header = prepare(&mut frame, None);
    assert_eq!(header.checksum_start, 70);
    complete(&mut frame, &header);
    assert!(acceptable(&frame, &Header::default()));
    frame[90] ^= 1;
    assert!(!acceptable(&frame, &Header::default()));
}

#[test]
fn anything_cut_short_anywhere_is_left_alone() {
    for v6 in [false, true] {
        let whole = frame(v6, 40);
        for len in 0..whole.len() {
            let mut cut = whole[..len].to_vec();
            acceptable(&cut, &Header::default());
            needs_completion(&cut, &Header { needs_checksum: true, ..Header::default() });
            assert_eq!(prepare(&mut cut, NonZeroU16::new(10)), Header::default(), "{len}");
            assert_eq!(cut, whole[..len]);
        }
    }
}

#[test]
fn lengths_and_headers_from_the_wire_reach_nothing_outside_the_frame() {
    // Every value of every octet of the headers, one at a time.
    for v6 in [false, true] {
        let whole = frame(v6, 8);
        for at in 12..whole.len() {
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = value;
                acceptable(&changed, &Header::default());
                prepare(&mut changed, NonZeroU16::new(4));
            }
        }
    }
}

#[test]
fn nonsense_in_the_header_changes_nothing() {
    let whole = frame(false, 10);
    for (start, offset) in [(64, 0), (63, 0), (0xffff, 0xffff), (0, 64), (60, 3)] {
        let mut frame = whole.clone();
        let (checksum_start, checksum_offset) = (start, offset);
        complete(&mut frame, &Header { checksum_start, checksum_offset, ..Header::default() });
        assert_eq!(frame, whole, "{start} {offset}");
    }
}
