//! The classic pcap file format (draft-ietf-opsawg-pcap): microseconds, Ethernet.

use crate::Instant;

/// A file without packets.
pub(super) fn header() -> Vec<u8> {
    let mut file = Vec::new();
    file.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    file.extend_from_slice(&2u16.to_le_bytes());
    file.extend_from_slice(&4u16.to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&262_144u32.to_le_bytes());
    file.extend_from_slice(&LINK_TYPE_ETHERNET.to_le_bytes());
    file
}

/// Adds a packet, whole.
pub(super) fn record(file: &mut Vec<u8>, now: Instant, frame: &[u8]) {
    let micros = now.as_micros();
    let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    // The format's seconds wrap in 2106.
    file.extend_from_slice(&((micros / 1_000_000) as u32).to_le_bytes());
    file.extend_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(frame);
}

const LINK_TYPE_ETHERNET: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_one_packet() {
        let mut file = header();
        assert_eq!(file.len(), 24);
        record(&mut file, Instant::from_micros(2_000_003), &[7; 60]);
        assert_eq!(file.len(), 24 + 16 + 60);
        assert_eq!(file[24..40], [2, 0, 0, 0, 3, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0]);
    }
}
