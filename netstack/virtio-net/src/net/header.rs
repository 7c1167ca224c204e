//! `virtio_net_hdr`, the twelve octets before every frame: virtio 1.2, 5.1.6.

/// Octets of the header, `num_buffers` included: with `VERSION_1` it is always there.
pub(crate) const LEN: usize = 12;

/// The header of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The checksum at `csum_start + csum_offset` holds the pseudo-header's sum only.
    pub(crate) needs_checksum: bool,
    /// The checksum was verified below.
    pub(crate) data_valid: bool,
    pub(crate) segmentation: Segmentation,
    /// Octets of all headers of a frame to be segmented.
    pub(crate) header_len: u16,
    /// Octets of payload a segment.
    pub(crate) segment_size: u16,
    pub(crate) checksum_start: u16,
    pub(crate) checksum_offset: u16,
    /// Receive buffers that the frame was spread over.
    pub(crate) buffers: u16,
}

/// What a frame is to be cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Segmentation {
    #[default]
    None,
    TcpV4,
    TcpV6,
    /// A kind that was not negotiated.
    Other(u8),
}

impl Header {
    /// Reads a header.
    pub(crate) fn parse(bytes: &[u8; LEN]) -> Self {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            needs_checksum: bytes[0] & NEEDS_CSUM != 0,
            data_valid: bytes[0] & DATA_VALID != 0,
            segmentation: match bytes[1] & !GSO_ECN {
                GSO_NONE => Segmentation::None,
                GSO_TCPV4 => Segmentation::TcpV4,
                GSO_TCPV6 => Segmentation::TcpV6,
                other => Segmentation::Other(other),
            },
            header_len: half(2),
            segment_size: half(4),
            checksum_start: half(6),
            checksum_offset: half(8),
            buffers: half(10),
        }
    }

    /// Writes the header of a frame to send: `buffers` is zero there.
    pub(crate) fn emit(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = if self.needs_checksum { NEEDS_CSUM } else { 0 };
        bytes[1] = match self.segmentation {
            Segmentation::None => GSO_NONE,
            Segmentation::TcpV4 => GSO_TCPV4,
            Segmentation::TcpV6 => GSO_TCPV6,
            Segmentation::Other(kind) => kind,
        };
        let fields = [
            self.header_len,
            self.segment_size,
            self.checksum_start,
            self.checksum_offset,
            self.buffers,
        ];
        for (field, place) in fields.iter().zip(bytes[2..].chunks_exact_mut(2)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }
}

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_ECN: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_emit_and_parse() {
        let header = Header {
            needs_checksum: true,
            segmentation: Segmentation::TcpV6,
            header_len: 74,
            segment_size: 1440,
            checksum_start: 54,
            checksum_offset: 16,
            ..Header::default()
        };
        assert_eq!(Header::parse(&header.emit()), header);
        assert_eq!(header.emit()[..6], [1, 4, 74, 0, 0xa0, 5]);
    }

    #[test]
    fn received_flags_are_told_apart() {
        let mut bytes = [0; LEN];
        bytes[0] = DATA_VALID;
        bytes[1] = GSO_TCPV4 | GSO_ECN;
        bytes[10] = 3;
        let header = Header::parse(&bytes);
        assert!(header.data_valid && !header.needs_checksum);
        assert_eq!(header.segmentation, Segmentation::TcpV4);
        assert_eq!(header.buffers, 3);
        bytes[1] = 3;
        assert_eq!(Header::parse(&bytes).segmentation, Segmentation::Other(3));
    }
}
