//! What must hold of the git protocol for any input: checked with random input here, and by the fuzz targets
//! `git_packets` and `git_pack`.

use proto::git::advertisement::{Advertisement, Greeting};
use proto::git::fetch::{Answer, Request};
use proto::git::object;
use proto::git::pack::{Limits, Receiver};
use proto::git::pkt::{self, Packet};
use proto::git::push::Report;
use proto::git::refs::Refs;
use proto::git::sideband::{self, Lines};
use proto::git::{Format, delta};

const FORMATS: [Format; 2] = [Format::Sha1, Format::Sha256];

/// Octets of a server: the first packets greet, the others answer everything that can be asked.
pub fn packets(octets: &[u8]) {
    let mut rest = octets;
    let mut packets = Vec::new();
    while let Ok(Some((packet, len))) = pkt::parse(rest) {
        if let Packet::Data(payload) = packet {
            let mut written = Vec::new();
            pkt::write(&mut written, payload);
            assert_eq!(pkt::parse(&written).unwrap(), Some((packet, len)));
        }
        packets.push(packet);
        rest = &rest[len..];
    }
    let Some((said, answer)) = greeted(&packets) else { return };
    let mut refs = Refs::default();
    let _ = answer.iter().try_for_each(|packet| refs.take(said.format, *packet).map(drop));
    for depth in [None, Some(1)] {
        let request = Request { depth, ..Request::default() };
        let _ = request.message(&said);
        let mut reading = Answer::new(&said, &request);
        let _ = answer.iter().try_for_each(|packet| reading.take(*packet).map(drop));
    }
    let mut report = Report::default();
    let _ = answer.iter().try_for_each(|packet| report.take(*packet).map(drop));
    let mut lines = Lines::default();
    for packet in answer {
        let Packet::Data(payload) = packet else { continue };
        let whole = |line: &str| assert!(!line.is_empty() && !line.contains(char::is_control));
        lines.push(payload, whole);
        let _ = sideband::split(payload);
    }
}

fn greeted<'a, 'b>(packets: &'b [Packet<'a>]) -> Option<(Advertisement, &'b [Packet<'a>])> {
    let mut greeting = Greeting::default();
    for (index, packet) in packets.iter().enumerate() {
        if greeting.take(*packet).ok()? {
            return Some((greeting.finish().ok()?, &packets[index + 1..]));
        }
    }
    None
}

/// A pack with this behind its header and its right checksum, in two parts, and the same octets as objects. What is
/// taken has as many objects as it says, and each can be read and has its name.
pub fn pack(octets: &[u8]) {
    let Some((count, octets)) = octets.split_first() else { return };
    for format in FORMATS {
        for kind in [object::Kind::Tree, object::Kind::Commit, object::Kind::Tag] {
            let _ = object::links(format, kind, octets, |_| Ok(()));
        }
        let mut pack = b"PACK\0\0\0\x02\0\0\0".to_vec();
        pack.push(count % 8);
        pack.extend(octets);
        let mut checksum = proto::git::oid::Hasher::checksum(format);
        checksum.update(&pack);
        pack.extend(checksum.finish().unwrap().octets());
        received(format, &pack);
    }
    let (base, octets) = octets.split_at(octets.len() / 2);
    let _ = delta::apply(base, octets, 0, 1 << 16);
}

/// Random octets are rarely deflated, and never a delta of what stands before: these say what entries there are. Gives how many
/// objects came of them, where they are a pack.
pub fn entries(octets: &[u8]) -> Option<usize> {
    let mut pack = Vec::new();
    // where each entry begins, and its object
    let mut made: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut rest = octets;
    while let Some(([kind, base, len], more)) = rest.split_first_chunk::<3>().map(|(a, b)| (*a, b))
    {
        let (content, more) = more.split_at((len as usize).min(more.len()));
        rest = more;
        let start = 12 + pack.len();
        let base = made.len().checked_sub(1 + usize::from(base) % made.len().max(1));
        match (kind % 8, base) {
            (number @ (5..), Some(base)) => {
                let (at, old) = &made[base];
                let delta = delta_of(old.len(), content);
                let Ok(new) = delta::apply(old, &delta, 0, 1 << 16) else { return None };
                let named = number == 7;
                head(&mut pack, if named { 7 } else { 6 }, delta.len());
                match named {
                    true => pack.extend(blob_id(old).octets()),
                    false => distance(&mut pack, start - at),
                }
                stored(&mut pack, &delta);
                made.push((start, new));
            }
            _ => {
                head(&mut pack, if kind < 240 { 3 } else { 1 + kind % 4 }, content.len());
                stored(&mut pack, content);
                made.push((start, content.to_vec()));
            }
        }
    }
    let count = (made.len() as u32).to_be_bytes();
    let mut pack = [b"PACK\0\0\0\x02", &count[..], &pack].concat();
    let mut checksum = proto::git::oid::Hasher::checksum(Format::Sha1);
    checksum.update(&pack);
    pack.extend(checksum.finish().unwrap().octets());
    received(Format::Sha1, &pack)
}

/// Copies and new octets, as `script` says.
fn delta_of(base: usize, script: &[u8]) -> Vec<u8> {
    let (mut out, mut size) = (Vec::new(), 0);
    let mut rest = script;
    while let Some((instruction, more)) = rest.split_first() {
        rest = more;
        let len = usize::from(instruction & 0x3f) + 1;
        if instruction & 0x80 == 0 || base == 0 {
            let (new, more) = rest.split_at(len.min(rest.len()));
            rest = more;
            if !new.is_empty() {
                out.push(new.len() as u8);
                out.extend(new);
            }
            size += new.len();
        } else {
            let start = rest.len() * 7 % base;
            let len = len.min(base - start);
            out.extend([0x93, start as u8, (start >> 8) as u8, len as u8]);
            size += len;
        }
    }
    let number =
        |size: usize| vec![size as u8 | 0x80, (size >> 7) as u8 | 0x80, (size >> 14) as u8];
    [number(base), number(size), out].concat()
}

fn blob_id(content: &[u8]) -> proto::git::ObjectId {
    let size = content.len() as u64;
    let mut hasher = proto::git::oid::Hasher::object(Format::Sha1, object::Kind::Blob, size);
    hasher.update(content);
    hasher.finish().unwrap()
}

fn head(out: &mut Vec<u8>, kind: u8, size: usize) {
    // sizes here are below 2¹⁸
    out.extend([
        kind << 4 | (size & 0x0f) as u8 | 0x80,
        (size >> 4) as u8 | 0x80,
        (size >> 11) as u8,
    ]);
}

fn distance(out: &mut Vec<u8>, distance: usize) {
    let mut digits = vec![(distance & 0x7f) as u8];
    let mut left = distance >> 7;
    while left > 0 {
        left -= 1;
        digits.insert(0, (left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.extend(digits);
}

/// A zlib stream of one stored block.
fn stored(out: &mut Vec<u8>, octets: &[u8]) {
    let len = octets.len() as u16;
    out.extend([0x78, 0x01, 1]);
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(octets);
    let (mut low, mut high) = (1_u32, 0_u32);
    for octet in octets {
        low = (low + u32::from(*octet)) % 65_521;
        high = (high + low) % 65_521;
    }
    out.extend((high << 16 | low).to_be_bytes());
}

fn received(format: Format, octets: &[u8]) -> Option<usize> {
    let limits = Limits { object: 1 << 16, work: 1 << 20, bases: 100, ..Limits::default() };
    let mut receiver = Receiver::new(format, limits, Vec::new(), 0);
    let (first, second) = octets.split_at(octets.len() / 2);
    if receiver.push(first).and_then(|()| receiver.push(second)).is_err() {
        return None;
    }
    let mut resolver = receiver.finish().ok()?;
    while let Ok(true) = resolver.step() {}
    let pack = resolver.finish(|_| true).ok()?;
    for id in pack.ids() {
        let object = pack.read(&id).unwrap().unwrap();
        let size = object.content.len() as u64;
        let mut hasher = proto::git::oid::Hasher::object(format, object.kind, size);
        hasher.update(&object.content);
        assert_eq!(hasher.finish().unwrap(), id);
    }
    Some(pack.len())
}
