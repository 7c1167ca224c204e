//! Whatever a machine writes, in whatever pieces: no panic, and no events but those that are written there.

mod lines;

use progress::Event;
use proptest::prelude::*;

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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn events_are_read_as_they_were_written(event in event()) {
        prop_assert_eq!(Event::parse(event.to_string().as_bytes()), Some(event));
    }

    #[test]
    fn any_octets_are_read(lines in prop::collection::vec(line(), 0..20), size in 1_usize..40) {
        lines::check(&lines.join(&b'\n'), size);
    }
}
