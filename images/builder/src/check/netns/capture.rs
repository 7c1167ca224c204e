//! What went over the wire: the file of `--pcap`, read as far as tests ask.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// All frames in order.
#[derive(Debug, Default)]
pub struct Capture {
    frames: Vec<Frame>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Since an epoch of its own.
    pub at: Duration,
    /// Whether the machine sent it.
    pub sent: bool,
    /// None for what is not IP, or cut.
    pub packet: Option<Packet>,
}

/// An IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Payload,
}

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// TCP: the ports, and the flags as the header's octet holds them.
    Tcp { from: u16, to: u16, flags: u8, mss: Option<u16> },
    /// UDP: the ports and the octets.
    Udp { from: u16, to: u16, octets: Vec<u8> },
    /// ICMP and ICMPv6: the type.
    Icmp(u8),
    /// Another protocol.
    Other(u8),
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

impl Capture {
    /// Reads a file of the classic format, as QEMU writes it. A frame that is cut at the end is left out.
    pub fn read(file: &Path) -> Result<Self> {
        Self::parse(&fs::read(file).with_context(|| format!("no capture {}", file.display()))?)
    }

    fn parse(octets: &[u8]) -> Result<Self> {
        let magic = octets.first_chunk().map(|magic| u32::from_le_bytes(*magic));
        ensure!(magic == Some(0xa1b2_c3d4), "no capture file");
        let mut frames = Vec::new();
        let mut rest = octets.get(24..).unwrap_or_default();
        while let Some((header, tail)) = rest.split_first_chunk::<16>() {
            let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| header[at + n]));
            let Some((frame, tail)) = tail.split_at_checked(word(8) as usize) else { break };
            let at =
                Duration::from_secs(word(0).into()) + Duration::from_micros(u64::from(word(4)));
            let sent = frame.get(6..9) == Some(&QEMU);
            frames.push(Frame { at, sent, packet: packet(frame) });
            rest = tail;
        }
        Ok(Self { frames })
    }

    /// The first packet of every attempt of TCP to `port`: when, and to whom. Not its repetitions.
    pub fn attempts(&self, port: u16) -> Vec<(Duration, IpAddr)> {
        let mut seen = Vec::new();
        let mut all = Vec::new();
        for (at, packet) in self.packets() {
            if let Payload::Tcp { from, to, flags, .. } = packet.payload
                && to == port
                && flags & (SYN | ACK) == SYN
                && !seen.contains(&(packet.destination, from))
            {
                seen.push((packet.destination, from));
                all.push((at, packet.destination));
            }
        }
        all
    }

    /// When the first connection to `address` at `port` was open for the machine: its answer to the peer's SYN.
    pub fn connected(&self, address: IpAddr, port: u16) -> Option<Duration> {
        self.packets().find_map(|(at, packet)| match packet.payload {
            Payload::Tcp { to, flags, .. }
                if to == port && packet.destination == address && flags & (SYN | ACK) == ACK =>
            {
                Some(at)
            }
            _ => None,
        })
    }

    /// The maximum segment size of the machine's first SYN to `port`.
    pub fn segment_size(&self, port: u16) -> Option<u16> {
        self.packets().find_map(|(_, packet)| match packet.payload {
            Payload::Tcp { to, flags, mss, .. } if to == port && flags & (SYN | ACK) == SYN => mss,
            _ => None,
        })
    }

    /// The IP packets that the machine sent, with their times.
    pub fn sent(&self) -> impl Iterator<Item = (Duration, &Packet)> {
        let sent = self.frames.iter().filter(|frame| frame.sent);
        sent.filter_map(|frame| Some((frame.at, frame.packet.as_ref()?)))
    }

    /// All IP packets, with their times.
    pub fn packets(&self) -> impl Iterator<Item = (Duration, &Packet)> {
        self.frames.iter().filter_map(|frame| Some((frame.at, frame.packet.as_ref()?)))
    }
}

/// How every Ethernet address begins that QEMU's machines have.
const QEMU: [u8; 3] = [0x52, 0x54, 0x00];

fn packet(frame: &[u8]) -> Option<Packet> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let ip = &frame[14..];
    match kind {
        0x0800 => {
            let header = usize::from(ip.first()? & 0x0f) * 4;
            let address = |at: usize| {
                let octets = ip.get(at..at + 4)?.first_chunk::<4>()?;
                Some(IpAddr::from(Ipv4Addr::from(*octets)))
            };
            let (source, destination) = (address(12)?, address(16)?);
            let payload = payload(*ip.get(9)?, ip.get(header..)?)?;
            Some(Packet { source, destination, payload })
        }
        0x86dd => {
            let address = |at: usize| {
                let octets = ip.get(at..at + 16)?.first_chunk::<16>()?;
                Some(IpAddr::from(Ipv6Addr::from(*octets)))
            };
            let (source, destination) = (address(8)?, address(24)?);
            // none of our peers sends extension headers but hop-by-hop ones, which are `Other`
            let payload = payload(*ip.get(6)?, ip.get(40..)?)?;
            Some(Packet { source, destination, payload })
        }
        _ => None,
    }
}

fn payload(protocol: u8, octets: &[u8]) -> Option<Payload> {
    let word = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
    Some(match protocol {
        6 => {
            let header = usize::from(octets.get(12)? >> 4) * 4;
            let options = octets.get(20..header).unwrap_or_default();
            let (from, to) = (word(0)?, word(2)?);
            Payload::Tcp { from, to, flags: *octets.get(13)?, mss: mss(options) }
        }
        17 => {
            let (from, to) = (word(0)?, word(2)?);
            Payload::Udp { from, to, octets: octets.get(8..)?.to_vec() }
        }
        1 | 58 => Payload::Icmp(*octets.first()?),
        other => Payload::Other(other),
    })
}

/// RFC 9293 section 3.1: kind 2, length 4.
fn mss(mut options: &[u8]) -> Option<u16> {
    loop {
        match options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [1, rest @ ..] => options = rest,
            [kind, length, ..] if *kind > 1 && *length > 1 => {
                options = options.get(usize::from(*length)..)?
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN from 10.9.0.9:1024 to 10.9.0.1:80 at 1.5 s.
    fn file() -> Vec<u8> {
        let hex = "d4c3b2a1 02000400 00000000 00000000 00000100 01000000 \
            01000000 20a10700 3a000000 3a000000 \
            020000000001 525400000002 0800 \
            4500002c 00000000 40060000 0a090009 0a090001 \
            04000050 00000001 00000000 60020000 00000000 020405b4";
        proto::quantity::hex(hex).unwrap()
    }

    #[test]
    fn attempts_are_found() {
        let capture = Capture::parse(&file()).unwrap();
        let at = Duration::from_millis(1500);
        assert_eq!(capture.attempts(80), [(at, "10.9.0.1".parse().unwrap())]);
        assert_eq!(capture.segment_size(80), Some(1460));
        assert_eq!((capture.packets().count(), capture.sent().count()), (1, 1));
        assert_eq!(capture.attempts(81), []);
        assert_eq!(capture.connected("10.9.0.1".parse().unwrap(), 80), None);
    }

    #[test]
    fn a_cut_file_is_read_as_far_as_it_goes() {
        let file = file();
        for length in 24..file.len() {
            assert!(Capture::parse(&file[..length]).unwrap().frames.is_empty());
        }
        assert!(Capture::parse(b"nothing").is_err());
        for length in 0..file.len() - 40 {
            packet(&file[40..40 + length]);
        }
    }
}
