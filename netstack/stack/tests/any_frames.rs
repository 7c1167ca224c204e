//! Any frames, router advertisements and DHCP messages: nothing panics.

mod frames;
mod router;

use proptest::prelude::*;

fn piece() -> impl Strategy<Value = Vec<u8>> {
    // options of router advertisements and of DHCP, as they are and torn
    let known = prop::sample::select(vec![
        vec![64, 0, 7, 8, 0, 0, 0, 0, 3, 4, 64, 0xc0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0, 0x20, 1],
        vec![64, 0, 7, 8, 0, 0, 0, 0, 25, 3, 0, 0, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8],
        vec![64, 0, 7, 8, 0, 0, 0, 0, 31, 2, 0, 0, 0, 0, 0, 60, 1, b'a', 4, b't', b'e', b's'],
        vec![1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 8, 10, 0, 0, 1, 8, 8, 8, 8, 51, 4, 0],
    ]);
    let random = prop::collection::vec(any::<u8>(), 0..80);
    (known, random, any::<u8>(), any::<bool>()).prop_map(|(known, random, kind, is_known)| {
        let mut content = if is_known { known } else { Vec::new() };
        content.extend(random);
        [&[content.len() as u8, kind], &content[..]].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_panics(pieces in prop::collection::vec(piece(), 0..12)) {
        frames::check(&pieces.concat());
    }
}
