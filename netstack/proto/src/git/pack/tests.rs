//! Packs made by hand, right ones and hostile ones. Those that git makes are in tests/git.rs.

use super::*;
use crate::git::oid::Hasher;
use crate::git::store::Store;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use std::io::Write as _;

/// A pack in the making.
#[derive(Default)]
struct Builder {
    octets: Vec<u8>,
    count: u32,
}

fn deflated(octets: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn sized(kind: u8, mut size: usize) -> Vec<u8> {
    let mut head = vec![kind << 4 | (size & 0x0f) as u8];
    size >>= 4;
    while size > 0 {
        *head.last_mut().unwrap() |= 0x80;
        head.push((size & 0x7f) as u8);
        size >>= 7;
    }
    head
}

impl Builder {
    /// Where the next entry begins.
    fn at(&self) -> u64 {
        12 + self.octets.len() as u64
    }

    /// An entry as given; its offset.
    fn raw(&mut self, head: &[u8], data: &[u8]) -> u64 {
        let at = self.at();
        self.octets.extend(head);
        self.octets.extend(data);
        self.count += 1;
        at
    }

    fn whole(&mut self, kind: u8, content: &[u8]) -> u64 {
        self.raw(&sized(kind, content.len()), &deflated(content))
    }

    fn blob(&mut self, content: &[u8]) -> u64 {
        self.whole(3, content)
    }

    /// A delta on the entry at `base`.
    fn delta(&mut self, base: u64, delta: &[u8]) -> u64 {
        let mut distance = self.at() - base;
        let mut digits = vec![(distance & 0x7f) as u8];
        while distance > 0x7f {
            distance = (distance >> 7) - 1;
            digits.insert(0, (distance & 0x7f) as u8 | 0x80);
        }
        self.raw(&[sized(6, delta.len()), digits].concat(), &deflated(delta))
    }

    /// A delta on the object of that name.
    fn named(&mut self, base: &ObjectId, delta: &[u8]) -> u64 {
        self.raw(&[&sized(7, delta.len()), base.octets()].concat(), &deflated(delta))
    }

    fn finish(&self) -> Vec<u8> {
        let count = self.count.to_be_bytes();
        let mut octets = [b"PACK\0\0\0\x02", &count[..], &self.octets].concat();
        let mut checksum = Hasher::checksum(Format::Sha1);
        checksum.update(&octets);
        octets.extend(checksum.finish().unwrap().octets());
        octets
    }
}

fn blob_id(content: &[u8]) -> ObjectId {
    let mut hasher = Hasher::object(Format::Sha1, Kind::Blob, content.len() as u64);
    hasher.update(content);
    hasher.finish().unwrap()
}

/// Copies all of the base, up to 127 octets, and adds some.
fn adds(base: usize, more: &[u8]) -> Vec<u8> {
    let result = base + more.len();
    let size = |size: usize| vec![(size & 0x7f) as u8 | 0x80, (size >> 7) as u8];
    let copy = [0x90 | 0x20, (base & 0xff) as u8, (base >> 8) as u8];
    [size(base), size(result), copy.to_vec(), vec![more.len() as u8], more.to_vec()].concat()
}

fn received(octets: &[u8], limits: Limits, part: usize) -> Result<Pack, Error> {
    let mut receiver = Receiver::new(Format::Sha1, limits, Vec::new(), 0);
    octets.chunks(part).try_for_each(|octets| receiver.push(octets))?;
    let mut resolver = receiver.finish()?;
    while resolver.step()? {}
    resolver.finish(|_| false)
}

fn taken(builder: &Builder) -> Result<Pack, Error> {
    received(&builder.finish(), Limits::default(), usize::MAX)
}

fn reason(builder: &Builder) -> &'static str {
    match taken(builder).map(|pack| pack.len()) {
        Err(Error::Pack { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_pack_is_one() {
    assert!(taken(&Builder::default()).unwrap().is_empty());
}

#[test]
fn parts_may_end_anywhere() {
    let mut builder = Builder::default();
    let first = builder.blob(b"one\n");
    let second = builder.delta(first, &adds(4, b"two\n"));
    builder.delta(second, &adds(8, b"three\n"));
    builder.named(&blob_id(b"one\ntwo\n"), &adds(8, b"four\n"));
    builder.blob(&[b'x'; 100_000]);
    for part in [1, 2, 7, 64, 1000, usize::MAX] {
        let pack = received(&builder.finish(), Limits::default(), part).unwrap();
        assert_eq!((pack.len(), pack.deltas()), (5, 3));
        for content in [&b"one\n"[..], b"one\ntwo\nthree\n", b"one\ntwo\nfour\n", &[b'x'; 100_000]]
        {
            let object = pack.read(&blob_id(content)).unwrap().unwrap();
            assert_eq!((object.kind, object.content.as_slice()), (Kind::Blob, content));
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let mut builder = Builder::default();
    let first = builder.blob(b"one\n");
    builder.delta(first, &adds(4, b"two\n"));
    let octets = builder.finish();
    for end in 0..octets.len() {
        assert!(received(&octets[..end], Limits::default(), 5).is_err(), "{end}");
    }
    let more = [&octets[..], b"x"].concat();
    assert!(received(&more, Limits::default(), 5).is_err(), "one octet more");
}

#[test]
fn every_changed_octet_is_noticed() {
    let mut builder = Builder::default();
    let first = builder.blob(b"one\n");
    builder.delta(first, &adds(4, b"two\n"));
    let octets = builder.finish();
    for at in 0..octets.len() {
        let mut changed = octets.clone();
        changed[at] ^= 0x10;
        assert!(received(&changed, Limits::default(), usize::MAX).is_err(), "{at}");
    }
}

#[test]
fn deltas_in_a_circle_are_refused() {
    let (one, two) = (blob_id(b"one"), blob_id(b"two"));
    let mut builder = Builder::default();
    builder.named(&two, &[3, 3, 3, b'o', b'n', b'e']);
    builder.named(&one, &[3, 3, 3, b't', b'w', b'o']);
    assert_eq!(reason(&builder), "a delta's base is not in the pack");
}

#[test]
fn deltas_without_base_are_refused() {
    let mut builder = Builder::default();
    builder.named(&blob_id(b"elsewhere"), &adds(9, b"more"));
    assert_eq!(reason(&builder), "a delta's base is not in the pack");
    for base in [0, 11, 13] {
        let mut builder = Builder::default();
        builder.blob(b"one\n");
        builder.delta(base, &adds(4, b"two\n"));
        assert_eq!(reason(&builder), "a delta's base is no entry");
    }
    // itself
    let mut builder = Builder::default();
    builder.delta(12, &adds(4, b"two\n"));
    assert_eq!(reason(&builder), "a delta's base is no entry");
}

#[test]
fn sizes_are_held_to() {
    let mut builder = Builder::default();
    builder.raw(&sized(3, 5), &deflated(b"four"));
    assert_eq!(reason(&builder), "an entry is shorter than it says");
    let mut builder = Builder::default();
    builder.raw(&sized(3, 3), &deflated(&[0; 100_000]));
    assert_eq!(reason(&builder), "an entry is longer than it says");
    let mut builder = Builder::default();
    builder.raw(&sized(5, 3), &deflated(b"abc"));
    assert_eq!(reason(&builder), "an entry is of a kind that is not known");
    let mut builder = Builder::default();
    builder.raw(&[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], b"");
    assert_eq!(reason(&builder), "an entry's size has too many digits");
    let mut builder = Builder::default();
    builder.raw(&sized(3, 3), b"\x78\x01not deflated");
    assert_eq!(reason(&builder), "an entry is not deflated");
}

#[test]
fn limits_are_held_to() {
    let limit = |builder: &Builder, limits| match received(&builder.finish(), limits, usize::MAX) {
        Err(Error::Limit { what, .. }) => what,
        other => panic!("{:?}", other.map(|pack| pack.len())),
    };
    let all = Limits::default();
    let mut builder = Builder::default();
    let mut last = builder.blob(b"0123456789");
    for len in [10, 11, 12, 13] {
        last = builder.delta(last, &adds(len, b"x"));
    }
    assert!(received(&builder.finish(), Limits { depth: 4, ..all }, 9).is_ok());
    assert_eq!(limit(&builder, Limits { depth: 3, ..all }), "deltas in a chain");
    assert_eq!(limit(&builder, Limits { objects: 4, ..all }), "objects in a pack");
    assert_eq!(limit(&builder, Limits { pack: 20, ..all }), "octets of a pack");
    assert_eq!(limit(&builder, Limits { object: 13, ..all }), "octets of one object");
    assert_eq!(limit(&builder, Limits { work: 60, ..all }), "octets to inflate");
}

#[test]
fn memory_is_held_to() {
    let memory = |builder: &Builder, memory| {
        let limits = Limits { memory, ..Limits::default() };
        received(&builder.finish(), limits, usize::MAX).map(|pack| pack.len())
    };
    let mut builder = Builder::default();
    let base = builder.blob(&[b'x'; 100]);
    assert_eq!(memory(&builder, 10_000), Ok(1));
    // a delta whose object has a megabyte, by copies of the base
    let copies = [0x90, 100].repeat(10_000);
    let delta = [&[100, 0xc0, 0x84, 0x3d][..], &copies].concat();
    builder.delta(base, &delta);
    assert_eq!(memory(&builder, 2_000_000), Ok(2));
    assert_eq!(memory(&builder, 1_000_000), Err(Error::Memory { octets: 1_000_000 }));
    let mut builder = Builder::default();
    builder.blob(&(0..200).collect::<Vec<u8>>());
    assert!(matches!(memory(&builder, 200), Err(Error::Memory { .. })));
    // a tree is kept to be read
    let mut builder = Builder::default();
    builder.whole(2, &[0; 100_000]);
    assert_eq!(memory(&builder, 10_000), Err(Error::Memory { octets: 100_000 }));
}

#[test]
fn reading_is_work() {
    let mut builder = Builder::default();
    let mut contents = vec![vec![b'a'; 1000]];
    let mut last = builder.blob(&contents[0]);
    for _ in 0..10 {
        let base = contents.last().unwrap().clone();
        last = builder.delta(last, &adds(base.len(), b"down"));
        contents.push([&base[..], b"down"].concat());
    }
    let pack = taken(&builder).unwrap();
    let id = blob_id(&contents[10]);
    let mut work = Work::new(25_000);
    assert!(pack.read_within(&id, &mut work).unwrap().is_ok());
    assert!((11_000..12_000).contains(&work.done()), "{work:?}");
    pack.read_within(&id, &mut work).unwrap().unwrap();
    let error = pack.read_within(&id, &mut work).unwrap().unwrap_err();
    assert_eq!(error, Error::Limit { what: "octets to inflate", most: 25_000 });
}

#[test]
fn links_are_counted_once() {
    // trees that all lead to the same blobs, over and over
    let blobs: Vec<_> = (0..300_u32).map(|number| number.to_be_bytes()).collect();
    let mut builder = Builder::default();
    for blob in &blobs {
        builder.blob(blob);
    }
    for tree in 0..20 {
        let mut content = Vec::new();
        for (index, blob) in blobs.iter().enumerate() {
            content.extend(format!("100644 {tree}-{index:04}\0").bytes());
            content.extend(blob_id(blob).octets());
        }
        builder.whole(2, &content);
    }
    assert_eq!(taken(&builder).unwrap().len(), 320);
}

#[test]
fn a_delta_that_says_too_much_is_refused() {
    let mut builder = Builder::default();
    let first = builder.blob(b"0123456789");
    // 2³⁴ octets
    builder.delta(first, &[10, 0x80, 0x80, 0x80, 0x80, 0x40, 0x90, 10]);
    let error = taken(&builder).map(|pack| pack.len()).unwrap_err();
    assert!(matches!(error, Error::Limit { what: "octets of one object", .. }), "{error}");
}

#[test]
fn many_children_of_a_long_chain_need_little_memory() {
    let mut builder = Builder::default();
    let mut contents = vec![vec![b'a'; 1000]];
    let mut last = builder.blob(&contents[0]);
    for _ in 0..50 {
        let base = contents.last().unwrap().clone();
        builder.delta(last, &adds(base.len(), b"side"));
        last = builder.delta(last, &adds(base.len(), b"down"));
        contents.push([&base[..], b"down"].concat());
    }
    for bases in [0, 3000, 1 << 20] {
        let limits = Limits { bases, ..Limits::default() };
        let pack = received(&builder.finish(), limits, usize::MAX).unwrap();
        assert!(contents.iter().all(|content| pack.contains(&blob_id(content))), "{bases}");
        let side = [&contents[49][..], b"side"].concat();
        assert_eq!(pack.read(&blob_id(&side)).unwrap().unwrap().content, side);
    }
}

#[test]
fn what_objects_lead_to_must_be_there() {
    let blob = blob_id(b"one\n");
    let tree = [b"100644 a\0", blob.octets()].concat();
    let mut builder = Builder::default();
    builder.whole(2, &tree);
    let error = taken(&builder).map(|pack| pack.len()).unwrap_err();
    assert!(matches!(error, Error::Limit { .. } | Error::Missing { .. }), "{error}");
    builder.blob(b"two\n");
    let error = taken(&builder).map(|pack| pack.len()).unwrap_err();
    assert_eq!(error, Error::Missing { name: blob.to_string() });
    builder.blob(b"one\n");
    assert_eq!(taken(&builder).unwrap().len(), 3);
}

#[test]
fn an_object_may_be_there_twice() {
    let mut builder = Builder::default();
    builder.named(&blob_id(b"one\n"), &adds(4, b"two\n"));
    builder.blob(b"one\n");
    builder.blob(b"one\n");
    assert_eq!(taken(&builder).unwrap().len(), 2);
}

#[test]
fn what_is_written_is_read_back() {
    let object = |kind, content: &[u8]| Object { kind, content: content.into() };
    let objects = [
        object(Kind::Blob, b""),
        object(Kind::Blob, &[7; 70_000]),
        object(Kind::Tag, format!("object {}\n", blob_id(b"")).as_bytes()),
    ];
    let octets = write(Format::Sha1, objects.iter()).unwrap();
    let mut store = Store::new(Format::Sha1);
    store.add_pack(received(&octets, Limits::default(), 1000).unwrap(), Vec::new());
    assert_eq!(store.len(), 3);
    for object in &objects[..2] {
        assert_eq!(&store.read(&blob_id(&object.content)).unwrap(), object);
    }
}

proptest! {
    #[test]
    fn any_octets_are_a_pack_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200), part in 1..50_usize) {
        let small = Limits { object: 1 << 16, pack: 1 << 16, ..Limits::default() };
        let _ = received(&octets, small, part);
        let header = [b"PACK\0\0\0\x02\0\0\0\x03", &octets[..]].concat();
        let _ = received(&header, small, part);
    }
}
