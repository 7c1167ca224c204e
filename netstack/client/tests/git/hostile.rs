//! A server that lies, at each step: the exit code, a clear line, and nothing half accepted.

use super::world::{Repository, Tamper, World, said};
use super::{fetched, honest};
use client::Exit;
use client::flow::git::Service;
use client::git::{Remote, Step, Transport, Walk, Want};
use futures_lite::future;
use proto::git::ObjectId;
use proto::git::fetch::Request;
use proto::git::object::Kind;
use proto::git::pack::Limits;
use proto::git::pkt::{self, Packet};
use proto::git::store::Store;
use std::sync::Arc;

/// The first words, the references, the pack; in protocol 0 the references are among the first words.
const STEPS: [(u8, usize); 2] = [(0, 2), (2, 3)];
/// Of protocol 2.
const PACK: usize = 2;

/// Each step of each protocol.
fn steps() -> impl Iterator<Item = (u8, usize)> {
    STEPS.into_iter().flat_map(|(protocol, steps)| (0..steps).map(move |step| (protocol, step)))
}

/// Changes the answer of one step.
fn at(step: usize, change: impl Fn(Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static) -> Tamper {
    Arc::new(move |number, answer| match number == step {
        true => change(answer),
        false => Some(answer),
    })
}

fn failed(repository: &Repository, protocol: u8, tamper: Tamper) -> (Exit, String) {
    let mut world = World::new(repository, protocol, tamper);
    said(&fetched(&mut world, &Want::default()).map(|_| ()).expect_err("it lies"))
}

/// The packets of an answer, through `change`.
fn repacked(answer: &[u8], mut change: impl FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = answer;
    while let Some((packet, len)) = pkt::parse(rest).unwrap() {
        match packet {
            Packet::Data(payload) => pkt::write(&mut out, &change(payload)),
            _ => out.extend_from_slice(&rest[..len]),
        }
        rest = &rest[len..];
    }
    out
}

/// The pack in an answer, through `change`.
fn with_pack(answer: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut pack = Vec::new();
    let kept = repacked(answer, |payload| match payload.split_first() {
        Some((1, octets)) => {
            pack.extend_from_slice(octets);
            b"\x02".to_vec()
        }
        _ => payload.to_vec(),
    });
    change(&mut pack);
    let mut out = kept.strip_suffix(pkt::FLUSH).unwrap().to_vec();
    for part in pack.chunks(1000) {
        pkt::write(&mut out, &[b"\x01", part].concat());
    }
    [&out[..], pkt::FLUSH].concat()
}

#[test]
fn garbage_at_each_step() {
    let repository = Repository::filled(&[]);
    for (protocol, step) in steps() {
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"0003",
            b"zzzz",
            b"0009hello0000",
            &[0xff; 100],
        ] {
            let tamper = at(step, |_| Some(garbage.to_vec()));
            let (exit, text) = failed(&repository, protocol, tamper);
            assert_eq!(exit, Exit::Malformed, "{protocol} {step} {garbage:?}: {text}");
            assert!(text.starts_with("exchange git://10.0.0.2/r: expected "), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

#[test]
fn an_end_at_each_step() {
    let repository = Repository::filled(&[]);
    for (protocol, step) in steps() {
        for keep in [0, 3, 30] {
            let cut = move |answer: Vec<u8>| Some(answer[..keep].to_vec());
            let tamper: Tamper = {
                let inner = at(step, cut);
                Arc::new(
                    move |number, answer| if number > step { None } else { inner(number, answer) },
                )
            };
            // the connection stays open and silent where octets lack: the limit of time ends that
            let (exit, text) = failed(&repository, protocol, tamper);
            assert!(matches!(exit, Exit::Protocol | Exit::TimedOut), "{protocol} {step}: {text}");
        }
        let (exit, text) = failed(&repository, protocol, at(step, |_| None));
        assert_eq!(exit, Exit::Protocol, "{protocol} {step}: {text}");
        assert!(text.contains("the server ended the exchange"), "{text}");
    }
}

#[test]
fn the_servers_own_errors() {
    let repository = Repository::filled(&[]);
    for (protocol, step) in steps() {
        let refusal = |_| {
            let mut out = Vec::new();
            pkt::write(&mut out, b"ERR no such\x1b[2J repository\n");
            Some(out)
        };
        let (exit, text) = failed(&repository, protocol, at(step, refusal));
        let says = "exchange git://10.0.0.2/r: the server says: no such [2J repository";
        assert_eq!((exit, text.as_str()), (Exit::Protocol, says));
    }
    let aborted = |answer: Vec<u8>| {
        Some(repacked(&answer, |payload| match payload.first() {
            Some(1) => b"\x03out of memory\n".to_vec(),
            _ => payload.to_vec(),
        }))
    };
    let (exit, text) = failed(&repository, 2, at(PACK, aborted));
    assert_eq!(exit, Exit::Protocol);
    assert!(text.ends_with("the server says: out of memory"), "{text}");
}

#[test]
fn packs_that_are_not_right() {
    let repository = Repository::filled(&[]);
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, &str); 6] = [
        (|pack| pack.truncate(pack.len() / 2), "cut short"),
        (|pack| pack.truncate(pack.len() - 1), "cut short"),
        (|pack| *pack.last_mut().unwrap() ^= 1, "its checksum is wrong"),
        (|pack| pack.push(0), "there is more behind its end"),
        (|pack| pack[8..12].fill(0xff), "more objects in a pack than the limit of"),
        (|pack| pack.clear(), "cut short"),
    ];
    for protocol in [0, 2] {
        let step = if protocol == 2 { 2 } else { 1 };
        for (change, says) in changes {
            let tamper = at(step, move |answer| Some(with_pack(&answer, change)));
            let (exit, text) = failed(&repository, protocol, tamper);
            assert_eq!(exit, Exit::Malformed, "{text}");
            assert!(text.contains(says), "{says}: {text}");
        }
    }
}

#[test]
fn a_pack_that_lacks_what_was_wanted() {
    let (one, other) = (Repository::filled(&[]), Repository::new(&[]));
    other.git(&["commit", "-q", "--allow-empty", "-m", "other"]);
    let mut honest_world = World::new(&other, 2, honest());
    assert!(fetched(&mut honest_world, &Want::default()).is_ok());
    // a right pack, of another repository
    let octets = other.git_with(&["pack-objects", "-q", "--all", "--stdout"], "", b"");
    let tamper = at(2, move |answer| Some(with_pack(&answer, |pack| *pack = octets.clone())));
    let (exit, text) = failed(&one, 2, tamper);
    assert_eq!(exit, Exit::Malformed);
    assert!(text.contains("the object ") && text.ends_with("is not there"), "{text}");
}

#[test]
fn references_without_end() {
    let repository = Repository::filled(&[]);
    let id = repository.text(&["rev-parse", "HEAD"]);
    let flood = move |_| {
        let mut out = Vec::new();
        for number in 0..proto::git::refs::MOST + 1 {
            pkt::write(&mut out, format!("{id} refs/heads/{number}\n").as_bytes());
        }
        Some(out)
    };
    let (exit, text) = failed(&repository, 2, at(1, flood));
    assert_eq!(exit, Exit::Malformed);
    assert!(text.contains("more references than the limit of 131072"), "{text}");
}

/// What must not change where a fetch fails.
fn state(store: &Store) -> (Vec<String>, Vec<ObjectId>, Vec<ObjectId>) {
    (super::ids(store), store.shallow().to_vec(), store.tips().to_vec())
}

#[test]
fn a_fetch_that_fails_leaves_the_store_as_it_was() {
    type Change = fn(&mut Vec<u8>);
    let changes: [Change; 3] = [
        |pack| pack.truncate(pack.len() / 2),
        |pack| *pack.last_mut().unwrap() ^= 1,
        |pack| pack.clear(),
    ];
    for protocol in [0, 2] {
        let step = if protocol == 2 { PACK } else { 1 };
        for change in changes {
            let repository = Repository::filled(&[]);
            let mut world = World::new(&repository, protocol, honest());
            let want = Want { depth: Some(1), ..Want::default() };
            let (mut store, _) = fetched(&mut world, &want).unwrap();
            let before = state(&store);
            repository.git(&["commit", "-q", "--allow-empty", "-m", "new"]);
            let tamper = at(step, move |answer| Some(with_pack(&answer, change)));
            let mut world = World::new(&repository, protocol, tamper);
            let flow = world.flow(Service::UploadPack).unwrap();
            let context = world.context.clone();
            let work = async {
                let mut remote = Remote::greet(flow, context).await?;
                remote.fetch(&Want { depth: Some(3), ..Want::default() }, &mut store, None).await
            };
            let error = world.network.run(work).unwrap().unwrap_err();
            assert_eq!(error.exit(), Exit::Malformed, "{error}");
            assert!(state(&store) == before, "protocol {protocol}: {error}");
        }
    }
}

#[test]
fn a_tree_that_is_there_over_and_over_ends_at_a_limit() {
    let mut store = Store::new(proto::git::Format::Sha1);
    let mut below = store.add(Kind::Tree, Vec::new()).unwrap();
    for _ in 0..6 {
        let entry =
            |number: u32| [format!("40000 {number:02}\0").as_bytes(), below.octets()].concat();
        below = store.add(Kind::Tree, (0..20).flat_map(entry).collect()).unwrap();
    }
    let mut walk = Walk::new(&store, below, None).unwrap();
    let error = walk.find_map(Result::err).expect("64 million entries are too many");
    assert!(matches!(error, proto::git::Error::Limit { what: "entries of a tree", .. }), "{error}");
}

#[test]
fn too_little_memory_is_told() {
    let repository = Repository::filled(&[]);
    let mut world = World::new(&repository, 2, honest());
    world.context.limits = Limits::within(2000);
    let (exit, text) = said(&fetched(&mut world, &Want::default()).map(drop).unwrap_err());
    assert_eq!(exit, Exit::Software);
    assert!(text.contains("octets more were needed (--memory gives the machine more)"), "{text}");
}

#[test]
fn progress_without_end_holds_up_nothing() {
    struct Flood(usize);

    impl Transport for Flood {
        fn send<'a>(&'a mut self, _: &'a [u8]) -> Step<'a, ()> {
            Box::pin(async { Ok(()) })
        }

        fn receive<'a>(&'a mut self, buf: &'a mut [u8]) -> Step<'a, usize> {
            const GREETING: &[u8] = b"000eversion 2\n0012fetch=shallow\n0000000dpackfile\n";
            self.0 += 1;
            let octets: &[u8] = if self.0 == 1 { GREETING } else { b"0009\x02more" };
            buf[..octets.len()].copy_from_slice(octets);
            Box::pin(async move { Ok(octets.len()) })
        }

        fn close(&mut self) -> Step<'_, ()> {
            Box::pin(async { Ok(()) })
        }
    }

    let repository = Repository::new(&[]);
    let mut world = World::new(&repository, 2, honest());
    let context = world.context.clone();
    let id = ObjectId::from_hex("1".repeat(40).as_bytes());
    let work = async {
        let mut remote = Remote::greet(Flood(0), context).await.unwrap();
        let mut store = Store::new(remote.format());
        let request = Request { wants: id.into_iter().collect(), ..Request::default() };
        remote.fetch_objects(&request, &mut store, None).await.unwrap_err()
    };
    // whoever waits beside it gets a turn, and so does the clock
    let mut work = core::pin::pin!(work);
    for _ in 0..100 {
        let ended = world.network.run(future::poll_once(work.as_mut())).unwrap();
        assert!(ended.is_none(), "{ended:?}");
    }
}
