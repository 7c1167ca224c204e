//! A git daemon (gitprotocol-v2(5)), each name one thing that it should not do. Packs are made by hand: their entries are not
//! compressed.

use crate::Step;
use proto::git::oid::Hasher;
use proto::git::pkt::{self, Packet};
use proto::git::{Format, ObjectId};

/// A connection's server.
#[derive(Debug)]
pub struct Git {
    behaviour: &'static str,
    buf: Vec<u8>,
    greeted: bool,
    /// The command of the message that is coming.
    command: Vec<u8>,
}

const BEHAVIOURS: [&str; 11] = [
    "bomb",
    "checksum",
    "cycle",
    "garbage-greeting",
    "garbage-pack",
    "garbage-refs",
    "large",
    "progress-flood",
    "refs-flood",
    "acknowledgments-flood",
    "sideband-error",
];

/// The one reference's object.
const TIP: &str = "1111111111111111111111111111111111111111";
/// More times than anybody waits for.
const WITHOUT_END: usize = 1 << 30;
const GARBAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
/// Octets of an object that says how large it is, and is it.
const LARGE: u64 = 200 << 20;

impl Git {
    pub fn new(behaviour: &str) -> Option<Self> {
        let behaviour = BEHAVIOURS.into_iter().find(|known| *known == behaviour)?;
        Some(Self { behaviour, buf: Vec::new(), greeted: false, command: Vec::new() })
    }

    pub fn handle(&mut self, octets: &[u8]) -> Vec<Step> {
        self.buf.extend_from_slice(octets);
        let mut steps = Vec::new();
        let buf = core::mem::take(&mut self.buf);
        let mut rest = &buf[..];
        while let Ok(Some((packet, len))) = pkt::parse(rest) {
            rest = &rest[len..];
            match packet {
                Packet::Data(_) if !self.greeted => {
                    self.greeted = true;
                    steps.extend(self.greeting());
                }
                Packet::Data(line) if line.starts_with(b"command=") => {
                    self.command = line.trim_ascii_end().to_vec();
                }
                Packet::Flush => match core::mem::take(&mut self.command).as_slice() {
                    b"command=ls-refs" => steps.extend(self.refs()),
                    b"command=fetch" => steps.extend(self.pack()),
                    _ => steps.push(Step::Close),
                },
                _ => {}
            }
        }
        self.buf = rest.to_vec();
        steps
    }

    fn greeting(&self) -> Vec<Step> {
        if self.behaviour == "garbage-greeting" {
            return vec![Step::Send(GARBAGE.to_vec()), Step::Close];
        }
        let lines = ["version 2\n", "ls-refs\n", "fetch=shallow\n", "object-format=sha1\n"];
        vec![Step::Send([packets(&lines.map(str::as_bytes)), pkt::FLUSH.to_vec()].concat())]
    }

    fn refs(&self) -> Vec<Step> {
        let reference = packets(&[format!("{TIP} HEAD\n").as_bytes()]);
        match self.behaviour {
            "garbage-refs" => vec![Step::Send(GARBAGE.to_vec()), Step::Close],
            "refs-flood" => vec![Step::Repeat(reference, WITHOUT_END)],
            _ => vec![Step::Send([&reference[..], pkt::FLUSH].concat())],
        }
    }

    fn pack(&self) -> Vec<Step> {
        let send = |pack: &[u8]| vec![Step::Send(in_bands(pack)), Step::Close];
        match self.behaviour {
            "garbage-pack" => send(GARBAGE),
            "checksum" => {
                let mut pack = finished(&[&blob(b"hello\n")]);
                *pack.last_mut().expect("a pack has octets") ^= 1;
                send(&pack)
            }
            // an object of a terabyte, of ten octets and a few more
            "bomb" => {
                let copy = [&[10][..], &size(1 << 40), &[0x90, 10]].concat();
                let base = blob(b"0123456789");
                let delta = delta_before(base.len() as u8, &copy);
                send(&finished(&[&base, &delta]))
            }
            // one of 200 MiB that is what it says: copies of 64 KiB
            "large" => {
                let base = blob(&[b'x'; 0x8000]);
                let copy = [0xb0, 0x00, 0x80].repeat((LARGE / 0x8000) as usize);
                let delta = [&size(0x8000)[..], &size(LARGE), &copy].concat();
                let delta = delta_named(&blob_id(&[b'x'; 0x8000]), &delta);
                send(&finished(&[&base, &delta]))
            }
            "cycle" => {
                let (one, two) = (blob_id(b"one"), blob_id(b"two"));
                let of = |base: &ObjectId, made: &[u8; 3]| {
                    delta_named(base, &[&[3, 3, 3][..], made].concat())
                };
                send(&finished(&[&of(&two, b"one"), &of(&one, b"two")]))
            }
            "progress-flood" => {
                let start = packets(&[b"packfile\n"]);
                let more = packets(&[b"\x02still at it\n"]).repeat(1000);
                vec![Step::Send(start), Step::Repeat(more, WITHOUT_END)]
            }
            "acknowledgments-flood" => {
                let start = packets(&[b"acknowledgments\n"]);
                vec![Step::Send(start), Step::Repeat(packets(&[b"NAK\n"]), WITHOUT_END)]
            }
            "sideband-error" => {
                let pack = finished(&[&blob(b"hello\n")]);
                let lines = [
                    &b"packfile\n"[..],
                    b"\x02half of it\n",
                    &[&b"\x01"[..], &pack[..pack.len() / 2]].concat(),
                    b"\x03out of\x1b[2J memory\n",
                ];
                vec![Step::Send(packets(&lines)), Step::Close]
            }
            _ => vec![Step::Close],
        }
    }
}

fn packets(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    payloads.iter().for_each(|payload| pkt::write(&mut out, payload));
    out
}

/// A pack in an answer.
fn in_bands(pack: &[u8]) -> Vec<u8> {
    let mut out = packets(&[b"packfile\n"]);
    for part in pack.chunks(60_000) {
        out.extend(packets(&[&[b"\x01", part].concat()]));
    }
    out.extend(pkt::FLUSH);
    out
}

/// A pack of these entries with its right checksum.
fn finished(entries: &[&[u8]]) -> Vec<u8> {
    let count = (entries.len() as u32).to_be_bytes();
    let mut pack = [b"PACK\0\0\0\x02", &count[..], &entries.concat()].concat();
    let mut checksum = Hasher::checksum(Format::Sha1);
    checksum.update(&pack);
    pack.extend(checksum.finish().expect("a checksum detects nothing").octets());
    pack
}

fn blob_id(content: &[u8]) -> ObjectId {
    let kind = proto::git::object::Kind::Blob;
    let mut hasher = Hasher::object(Format::Sha1, kind, content.len() as u64);
    hasher.update(content);
    hasher.finish().expect("it was not made to collide")
}

fn blob(content: &[u8]) -> Vec<u8> {
    [head(3, content.len()), stored(content)].concat()
}

/// A delta on the entry so many octets before.
fn delta_before(distance: u8, delta: &[u8]) -> Vec<u8> {
    [head(6, delta.len()), vec![distance & 0x7f], stored(delta)].concat()
}

/// A delta on the object of that name.
fn delta_named(base: &ObjectId, delta: &[u8]) -> Vec<u8> {
    [&head(7, delta.len()), base.octets(), &stored(delta)].concat()
}

/// An entry's kind and size.
fn head(kind: u8, mut size: usize) -> Vec<u8> {
    let mut head = vec![kind << 4 | (size & 0x0f) as u8];
    size >>= 4;
    while size > 0 {
        *head.last_mut().expect("it has an octet") |= 0x80;
        head.push((size & 0x7f) as u8);
        size >>= 7;
    }
    head
}

/// A size as deltas say it.
fn size(mut size: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    while size > 0x7f {
        octets.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    octets.push(size as u8);
    octets
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951 §3.2.4).
fn stored(octets: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut parts = octets.chunks(0xffff).peekable();
    while let Some(part) = parts.next() {
        let len = part.len() as u16;
        out.push(u8::from(parts.peek().is_none()));
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(part);
    }
    let (mut low, mut high) = (1_u32, 0_u32);
    for octet in octets {
        low = (low + u32::from(*octet)) % 65_521;
        high = (high + low) % 65_521;
    }
    out.extend((high << 16 | low).to_be_bytes());
    out
}
