//! A server that lies, at each step: the exit code, a clear line, and nothing half accepted.

use super::world::{Repository, Tamper, World, said};
use super::{fetched, honest};
use client::Exit;
use client::git::Want;
use proto::git::pkt::{self, Packet};
use std::sync::Arc;

/// The first words, the references, the pack.
const STEPS: usize = 3;

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
    for step in 0..STEPS {
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"0003",
            b"zzzz",
            b"0009hello0000",
            &[0xff; 100],
        ] {
            let (exit, text) = failed(&repository, 2, at(step, |_| Some(garbage.to_vec())));
            assert_eq!(exit, Exit::Malformed, "{step} {garbage:?}: {text}");
            assert!(text.starts_with("exchange git://10.0.0.2/r: expected "), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

#[test]
fn an_end_at_each_step() {
    let repository = Repository::filled(&[]);
    for step in 0..STEPS {
        for keep in [0, 3, 30] {
            let cut = move |answer: Vec<u8>| Some(answer[..keep].to_vec());
            let tamper: Tamper = {
                let inner = at(step, cut);
                Arc::new(
                    move |number, answer| if number > step { None } else { inner(number, answer) },
                )
            };
            // the connection stays open and silent where octets lack: the limit of time ends that
            let (exit, text) = failed(&repository, 2, tamper);
            assert!(matches!(exit, Exit::Protocol | Exit::TimedOut), "{step}: {text}");
        }
        let (exit, text) = failed(&repository, 2, at(step, |_| None));
        assert_eq!(exit, Exit::Protocol, "{step}: {text}");
        assert!(text.contains("the server ended the exchange"), "{text}");
    }
}

#[test]
fn the_servers_own_errors() {
    let repository = Repository::filled(&[]);
    for step in 0..STEPS {
        let refusal = |_| {
            let mut out = Vec::new();
            pkt::write(&mut out, b"ERR no such\x1b[2J repository\n");
            Some(out)
        };
        let (exit, text) = failed(&repository, 2, at(step, refusal));
        let says = "exchange git://10.0.0.2/r: the server says: no such [2J repository";
        assert_eq!((exit, text.as_str()), (Exit::Protocol, says));
    }
    let aborted = |answer: Vec<u8>| {
        Some(repacked(&answer, |payload| match payload.first() {
            Some(1) => b"\x03out of memory\n".to_vec(),
            _ => payload.to_vec(),
        }))
    };
    let (exit, text) = failed(&repository, 2, at(2, aborted));
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
