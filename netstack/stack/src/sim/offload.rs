//! What a device with TCP segmentation offload does, in software.

use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket};

/// Cuts a TCP/IPv4 frame into segments of `size` octets of payload and fills all TCP checksums, as
/// the stack leaves both to the device. Other frames pass.
pub(super) fn cut(mut frame: Vec<u8>, size: Option<usize>) -> Vec<Vec<u8>> {
    let is_tcp = frame.get(12..14) == Some(&[8, 0]) && frame.get(14 + 9) == Some(&6);
    if !is_tcp {
        return vec![frame];
    }
    let ip_header = usize::from(frame[14] & 0x0f) * 4;
    let tcp_at = 14 + ip_header;
    let tcp_header = usize::from(frame[tcp_at + 12] >> 4) * 4;
    let headers = tcp_at + tcp_header;
    // The total length may have overflowed: the frame's own counts.
    let payload = frame.split_off(headers);
    let size = size.unwrap_or(payload.len()).max(1);
    let count = payload.len().div_ceil(size).max(1);
    (0..count)
        .map(|i| {
            let from = i * size;
            let part = &payload[from..payload.len().min(from + size)];
            segment(&frame, ip_header, part, from, i + 1 == count)
        })
        .collect()
}

fn segment(headers: &[u8], ip_header: usize, part: &[u8], offset: usize, last: bool) -> Vec<u8> {
    let mut frame = [headers, part].concat();
    let len = frame.len() - 14;
    let mut ip = Ipv4Packet::new_unchecked(&mut frame[14..]);
    ip.set_total_len(u16::try_from(len).expect("a segment is smaller than 64 KiB"));
    ip.fill_checksum();
    let (src, dst) = (IpAddress::from(ip.src_addr()), IpAddress::from(ip.dst_addr()));
    let mut tcp = TcpPacket::new_unchecked(&mut frame[14 + ip_header..]);
    let seq = tcp.seq_number();
    tcp.set_seq_number(seq + offset);
    if !last {
        tcp.set_psh(false);
        tcp.set_fin(false);
    }
    tcp.fill_checksum(&src, &dst);
    frame
}
