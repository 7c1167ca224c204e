//! Whatever a machine writes, in whatever pieces: no panic, the same events, and no others than are written there.
#![allow(clippy::unwrap_used)] // tests

use progress::{Event, Lines};
use proptest::prelude::*;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    pieces.into_iter().for_each(|piece| lines.push(piece, |event| found.push(event)));
    found
}

fn event() -> impl Strategy<Value = Event> {
    any::<(u64, Option<u64>, bool)>().prop_map(|(octets, total, is_last)| Event {
        octets,
        total,
        is_last,
    })
}

/// Lines that are events, nearly so, or nothing like it.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        event().prop_map(|event| event.to_string().into_bytes()),
        "(at|end) [0-9+ of]{0,60}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..100),
    ]
}

proptest! {
    #[test]
    fn events_are_read_as_they_were_written(event in event()) {
        prop_assert_eq!(Event::parse(event.to_string().as_bytes()), Some(event));
    }

    #[test]
    fn any_octets_are_read(lines in prop::collection::vec(line(), 0..20), size in 1_usize..40) {
        let octets = lines.join(&b'\n');
        let whole = read([&octets[..]]);
        prop_assert_eq!(&read(octets.chunks(size)), &whole);
        let mut ended = octets.split(|octet| *octet == b'\n').collect::<Vec<_>>();
        ended.pop();
        let expected = ended.into_iter().filter_map(Event::parse).collect::<Vec<_>>();
        prop_assert_eq!(whole, expected);
    }
}
