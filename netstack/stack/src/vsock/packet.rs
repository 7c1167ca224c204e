//! The head of every packet: virtio 1.2 §5.10.6, `struct virtio_vsock_hdr`.

/// Octets of a head.
pub const HEAD: usize = 44;

/// `VIRTIO_VSOCK_TYPE_STREAM`.
const STREAM: u16 = 1;

/// Of a [`Operation::Shutdown`]: whoever sends it receives no more.
pub const NO_RECEIVE: u32 = 1;
/// Of a [`Operation::Shutdown`]: whoever sends it sends no more.
pub const NO_SEND: u32 = 2;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The context: 2 is the hypervisor, machines begin at 3. The upper 32 bits are zero.
    pub cid: u64,
    /// The port.
    pub port: u32,
}

/// What a packet is for: `enum virtio_vsock_op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks for a connection.
    Request,
    /// Grants it.
    Response,
    /// Refuses it, or ends it at once.
    Reset,
    /// Ends one direction or both.
    Shutdown,
    /// Carries octets.
    Data,
    /// Says how much may come.
    CreditUpdate,
    /// Asks for that.
    CreditRequest,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Request,
        Self::Response,
        Self::Reset,
        Self::Shutdown,
        Self::Data,
        Self::CreditUpdate,
        Self::CreditRequest,
    ];
}

/// A packet but for its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who sends it.
    pub src: Address,
    /// Who is to get it.
    pub dst: Address,
    /// Octets that follow.
    pub len: u32,
    /// What it is for.
    pub operation: Operation,
    /// Of a shutdown: `NO_RECEIVE`, `NO_SEND`.
    pub flags: u32,
    /// Octets that the sender can hold for this connection.
    pub buf_alloc: u32,
    /// Octets that the sender has passed on to its program so far, modulo 2³².
    pub fwd_cnt: u32,
}

impl Head {
    /// Head and payload of a packet; `None` where it is shorter than it says, of another type than a stream, or of an
    /// unknown operation.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = packet.split_at_checked(HEAD)?;
        let half = |at: usize| u16::from_le_bytes(head[at..at + 2].try_into().expect("two octets"));
        let word =
            |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four octets"));
        let long =
            |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight octets"));
        if half(28) != STREAM {
            return None;
        }
        let operation = usize::from(half(30)).checked_sub(1)?;
        let head = Self {
            src: Address { cid: long(0), port: word(16) },
            dst: Address { cid: long(8), port: word(20) },
            len: word(24),
            operation: *Operation::ALL.get(operation)?,
            flags: word(32),
            buf_alloc: word(36),
            fwd_cnt: word(40),
        };
        let payload = rest.get(..usize::try_from(head.len).ok()?)?;
        Some((head, payload))
    }

    /// As it goes over the queue.
    #[must_use]
    pub fn octets(&self) -> [u8; HEAD] {
        let mut octets = [0; HEAD];
        let mut put = |at: usize, value: &[u8]| octets[at..at + value.len()].copy_from_slice(value);
        put(0, &self.src.cid.to_le_bytes());
        put(8, &self.dst.cid.to_le_bytes());
        put(16, &self.src.port.to_le_bytes());
        put(20, &self.dst.port.to_le_bytes());
        put(24, &self.len.to_le_bytes());
        put(28, &STREAM.to_le_bytes());
        put(30, &(self.operation as u16 + 1).to_le_bytes());
        put(32, &self.flags.to_le_bytes());
        put(36, &self.buf_alloc.to_le_bytes());
        put(40, &self.fwd_cnt.to_le_bytes());
        octets
    }

    /// The packet that refuses this one.
    #[must_use]
    pub fn refusal(&self) -> Self {
        let Self { src, dst, .. } = *self;
        let operation = Operation::Reset;
        Self { src: dst, dst: src, len: 0, operation, flags: 0, buf_alloc: 0, fwd_cnt: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_stand_as_the_specification_says() {
        let head = Head {
            src: Address { cid: 3, port: 0x0102_0304 },
            dst: Address { cid: 2, port: 5 },
            len: 2,
            operation: Operation::Shutdown,
            flags: NO_SEND,
            buf_alloc: 0x40000,
            fwd_cnt: 7,
        };
        let octets = head.octets();
        let expected = [
            &[3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 5, 0, 0, 0][..],
            &[2, 0, 0, 0, 1, 0, 4, 0, 2, 0, 0, 0, 0, 0, 4, 0, 7, 0, 0, 0],
        ]
        .concat();
        assert_eq!(octets[..], expected);
        assert_eq!(Head::parse(&[&octets[..], b"ab!"].concat()), Some((head, &b"ab"[..])));
    }

    #[test]
    fn what_is_no_packet_is_none() {
        let head = Head {
            src: Address { cid: 3, port: 4 },
            dst: Address { cid: 2, port: 5 },
            len: 1,
            operation: Operation::Data,
            flags: 0,
            buf_alloc: 0,
            fwd_cnt: 0,
        };
        let octets = head.octets();
        assert_eq!(Head::parse(&octets), None, "the payload is not there");
        assert_eq!(Head::parse(&octets[..HEAD - 1]), None);
        for (at, value) in [(28, 2), (30, 0), (30, 8), (31, 1), (27, 0x80)] {
            let mut wrong = [&octets[..], b"a"].concat();
            assert!(Head::parse(&wrong).is_some());
            wrong[at] = value;
            assert_eq!(Head::parse(&wrong), None, "octet {at} is {value}");
        }
    }
}
