//! Random orders of events: whatever happens, the promises that `world` checks are kept.

mod world;

use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        // a seed that fails is printed, not written beside the sources
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn promises_are_kept(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        world::run(&octets);
    }

    #[test]
    fn the_same_events_have_the_same_outcome(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert_eq!(world::run(&octets), world::run(&octets));
    }
}

/// The worlds are no desert: all ends come up, and races with several attempts.
#[test]
fn stories_of_every_kind_come_up() {
    let mut seed = 0x2545_f491_u32;
    let mut ends = BTreeSet::new();
    let mut longest = 0;
    for _ in 0..3000 {
        let octets: Vec<u8> = (0..160)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            })
            .collect();
        for story in world::run(&octets) {
            ends.insert((story.connected, story.reason));
            longest = longest.max(story.attempts);
        }
    }
    assert_eq!(ends.len(), 7, "connected, and each reason: {ends:?}");
    assert!(longest >= 6, "at most {longest} attempts");
}
