//! Packs that the `git` command makes, read here; packs that are made here, read by `git`.
#![cfg(feature = "git")]
#![allow(clippy::unwrap_used)] // tests

mod properties;
mod repository;

use proptest::prelude::*;
use proto::git::object::{self, Kind, Mode};
use proto::git::pack::{self, Limits, Pack, Receiver};
use proto::git::store::Store;
use proto::git::{Error, Format, ObjectId};
use repository::Repository;

const FORMATS: [Format; 2] = [Format::Sha1, Format::Sha256];

fn received(format: Format, octets: &[u8], limits: Limits) -> Result<Pack, Error> {
    let mut receiver = Receiver::new(format, limits, Vec::new(), 0);
    octets.chunks(65_515).try_for_each(|part| receiver.push(part))?;
    let mut resolver = receiver.finish()?;
    while resolver.step()? {}
    resolver.finish(|_| false)
}

/// Every object of the repository is in the pack, with git's own name, kind and content.
fn assert_same(repository: &Repository, pack: Pack) {
    let ids = repository.objects();
    let mut found: Vec<_> = pack.ids().map(|id| id.to_string()).collect();
    found.sort();
    assert_eq!(found, ids);
    let mut store = Store::new(repository.format);
    store.add_pack(pack, Vec::new());
    for (id, kind, content) in repository.contents(&ids) {
        let object = store.read(&ObjectId::from_hex(id.as_bytes()).unwrap()).unwrap();
        assert_eq!((object.kind.name(), object.content), (kind.as_str(), content), "{id}");
    }
}

#[test]
fn packs_of_git_are_read() {
    for format in FORMATS {
        let repository = Repository::new(format);
        repository.fill();
        for arguments in
            [&["--delta-base-offset"][..], &[], &["--window=0"], &["--depth=4000", "--window=200"]]
        {
            let pack = received(format, &repository.pack(arguments), Limits::default()).unwrap();
            assert_same(&repository, pack);
        }
    }
}

#[test]
fn long_chains_are_resolved_in_little_memory() {
    let repository = Repository::new(Format::Sha1);
    let depth = repository.chain(600);
    let octets = repository.pack(&["--delta-base-offset", "--window=20", "--depth=4000"]);
    let limits = Limits { bases: 100_000, ..Limits::default() };
    let pack = received(Format::Sha1, &octets, limits).unwrap();
    assert!(pack.deltas() > depth / 2, "{} deltas", pack.deltas());
    assert_same(&repository, pack);
    let limits = Limits { depth: 20, ..Limits::default() };
    let error = received(Format::Sha1, &octets, limits).map(|pack| pack.len()).unwrap_err();
    assert!(matches!(error, Error::Limit { what: "deltas in a chain", .. }), "{error}");
}

#[test]
fn trees_lead_to_files() {
    let repository = Repository::new(Format::Sha1);
    repository.fill();
    let mut store = Store::new(Format::Sha1);
    store.add_pack(
        received(Format::Sha1, &repository.pack(&[]), Limits::default()).unwrap(),
        Vec::new(),
    );
    let id =
        |name: &str| ObjectId::from_hex(repository.git(&["rev-parse", name]).trim_ascii()).unwrap();
    let tip = store.tip(&id("v1")).unwrap().unwrap();
    let (commit, read) = tip.commit.unwrap();
    assert_eq!((commit, tip.tree), (id("v1^{commit}"), id("v1^{tree}")));
    assert_eq!((read.subject.as_str(), read.time), ("second", 1_700_000_001));
    let at = |path: &str| store.at_path(tip.tree, path).unwrap();
    assert_eq!(at("dir/deep/file"), Some((Mode::File, id("v1:dir/deep/file"))));
    assert_eq!(at("dir/link").unwrap().0, Mode::Link);
    assert_eq!(at("run").unwrap().0, Mode::Executable);
    assert_eq!(at("module").unwrap().0, Mode::Submodule);
    assert_eq!(at("/dir/").unwrap().0, Mode::Tree);
    for path in ["none", "dir/deep/file/more", "module/x"] {
        assert_eq!(at(path), None, "{path}");
    }
}

#[test]
fn git_reads_what_is_made_here() {
    for format in FORMATS {
        let repository = Repository::new(format);
        let mut store = Store::new(format);
        let blob = store.add(Kind::Blob, b"made here\n".to_vec()).unwrap();
        let entry = [b"100644 file\0", blob.octets()].concat();
        let tree = store.add(Kind::Tree, entry).unwrap();
        let person = "A <a@example.org> 1700000000 +0000";
        let text = format!("tree {tree}\nauthor {person}\ncommitter {person}\n\nmade\n");
        let commit = store.add(Kind::Commit, text.into_bytes()).unwrap();
        let octets = pack::write(format, store.made()).unwrap();
        repository.git_with(&["index-pack", "--stdin", "--strict"], &octets);
        let shown = repository.git(&["show", &format!("{commit}:file")]);
        assert_eq!(shown, b"made here\n");
        let missing = [b"100644 file\0", ObjectId::zero(format).octets()].concat();
        assert!(matches!(store.add(Kind::Tree, missing), Err(Error::Missing { .. })));
        assert!(object::tree(format, b"x").next().unwrap().is_err());
    }
}

#[test]
fn entries_of_random_octets_are_packs_often_enough() {
    let octets = |seed: u32| {
        let step = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        };
        std::iter::repeat_n((), 500).scan(seed, move |state, ()| step(state)).collect::<Vec<_>>()
    };
    let packs: Vec<_> = (0..200).filter_map(|seed| properties::entries(&octets(seed))).collect();
    assert!(packs.len() > 50, "{} of 200", packs.len());
    assert!(packs.iter().any(|objects| *objects > 3), "{packs:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_octets_as_packets(octets in proptest::collection::vec(any::<u8>(), 0..200), lines in proptest::collection::vec("(version 2|version 1|fetch=shallow|packfile|shallow-info|ACK |NAK|unpack ok|ok a|ng a b|[0-9a-f]{40} (HEAD|refs/[a-z]{1,9})(\\^\\{\\})?|\\PC{0,9})", 0..12)) {
        properties::packets(&octets);
        let mut packets = Vec::new();
        for line in lines {
            match line.as_str() {
                "" => packets.extend(b"0000"),
                "unpack ok" => packets.extend(b"0001"),
                line => proto::git::pkt::write(&mut packets, line.as_bytes()),
            }
        }
        properties::packets(&packets);
    }

    #[test]
    fn any_entries_as_a_pack(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = properties::entries(&octets);
    }

    #[test]
    fn any_octets_as_a_pack(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        properties::pack(&octets);
    }
}
