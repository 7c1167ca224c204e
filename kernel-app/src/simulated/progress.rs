//! What is told of a payload, to the line, over the simulated wire: time is the wire's.

use super::peers::World;
use super::{Left, boot};

fn run(line: &str) -> (Left, u64) {
    let mut world = World::new();
    let words = shell_words::split(&world.fill(line)).unwrap();
    let left = boot(&mut world, words, Box::new(futures_lite::io::empty())).unwrap();
    let took = (world.network.now() - stack::Instant::ZERO).as_millis();
    (left, took as u64)
}

#[test]
fn payloads_are_told_of_and_nothing_else() {
    for (line, exit, expected) in [
        ("http://{web}/hello", 0, "at 6 of 6\nend 6 of 6\n"),
        ("http://{web}/hello --output=discard", 0, "at 6 of 6\nend 6 of 6\n"),
        ("http://{web}/hello -i", 0, "at 6 of 6\nend 6 of 6\n"),
        (
            "https://{nginx-valid}/{file:6} --tls-authenticator={trust}",
            0,
            "at 6 of 6\nend 6 of 6\n",
        ),
        ("http://{web}/302?/hello", 0, "at 6 of 6\nend 6 of 6\n"),
        ("http://{web}/chunked", 0, "at 3\nend 6\n"),
        ("http://{web}/gzip", 0, "at 26 of 26\nend 26 of 26\n"),
        ("http://{web}/gzip --compressed", 0, "at 6\nend 6\n"),
        ("http://{web}/short", 76, "at 6 of 100\nend 6 of 100\n"),
        ("tcp://{echo} --send=hello", 0, "at 5\nend 5\n"),
        // nothing comes, or nothing that is printed
        ("http://{web}/empty", 0, ""),
        ("http://{web}/teapot --fail", 22, ""),
        ("http://{web}/302?/empty", 0, ""),
        ("http://{closed}/", 69, ""),
        ("http://{web}/hello --check", 0, ""),
        ("http://{web}/hello --help", 0, ""),
        // its lines say how far it is
        ("icmp://{host} --count=1", 0, ""),
        ("http://{web}/hello --progress=false", 0, ""),
    ] {
        let (left, _) = run(line);
        assert_eq!(
            (left.exit, left.progress.as_str()),
            (exit, expected),
            "{line}: {}",
            left.stderr
        );
    }
}

#[test]
fn what_is_slow_is_told_as_it_comes() {
    // an octet each 700 ms
    let (left, _) = run("http://{web}/drip --timeout=3s");
    assert_eq!(left.exit, 75, "{}", left.stderr);
    let expected = ["at 1 of 100", "at 2 of 100", "at 3 of 100", "at 4 of 100", "at 5 of 100"];
    let lines = left.progress.lines().collect::<Vec<_>>();
    assert_eq!(lines[..5], expected);
    assert_eq!(lines[5..], ["end 5 of 100"]);
}

#[test]
fn what_came_before_a_pause_is_told() {
    let (left, _) = run("http://{web}/stall-later --timeout=3s");
    assert_eq!(left.exit, 75, "{}", left.stderr);
    assert_eq!(left.progress, "at 6\nat 12\nend 12\n");
}

#[test]
fn what_is_fast_is_told_twice() {
    let (left, took) = run("http://{nginx}/{file:4M}");
    assert_eq!((left.exit, left.stdout.len()), (0, 4 << 20), "{}", left.stderr);
    assert!(took < 100, "{took} ms");
    let lines = left.progress.lines().collect::<Vec<_>>();
    assert!(lines.len() == 2 && lines[0].ends_with(" of 4194304"), "{lines:?}");
    assert_eq!(lines[1], "end 4194304 of 4194304");
}
