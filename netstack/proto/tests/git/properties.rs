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

fn received(format: Format, octets: &[u8]) {
    let limits = Limits { object: 1 << 16, work: 1 << 20, bases: 100, ..Limits::default() };
    let mut receiver = Receiver::new(format, limits, [], 0);
    let (first, second) = octets.split_at(octets.len() / 2);
    if receiver.push(first).and_then(|()| receiver.push(second)).is_err() {
        return;
    }
    let Ok(mut resolver) = receiver.finish() else { return };
    while let Ok(true) = resolver.step() {}
    let Ok(pack) = resolver.finish(|_| true) else { return };
    for id in pack.ids() {
        let object = pack.read(&id).unwrap().unwrap();
        let size = object.content.len() as u64;
        let mut hasher = proto::git::oid::Hasher::object(format, object.kind, size);
        hasher.update(&object.content);
        assert_eq!(hasher.finish().unwrap(), id);
    }
}
