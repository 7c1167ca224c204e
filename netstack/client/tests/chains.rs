//! Any octet of a chain may be damaged: it is refused, and nothing panics.

mod certificates;

use proptest::prelude::*;

#[test]
fn a_whole_chain_is_taken() {
    certificates::damaged(&[]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_one_is_refused(edits in proptest::collection::vec((0..2_u8, 0..2_u8, any::<u8>(), any::<u8>()), 1..4)) {
        let edits: Vec<u8> = edits.iter().flat_map(|&(a, b, c, d)| [a, b, c, d]).collect();
        certificates::damaged(&edits);
    }

    #[test]
    fn pins_hold_before_any_certificate(
        edits in proptest::collection::vec((Just(0_u8), 0..2_u8, any::<u8>(), any::<u8>()), 0..3),
        octets in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let edits = edits.iter().flat_map(|&(a, b, c, d)| [a, b, c, d]);
        certificates::pinned(&[vec![1], edits.collect()].concat());
        certificates::pinned(&[vec![0], octets.clone()].concat());
        // as certificates begin
        certificates::pinned(&[vec![0, 0x30, octets.len() as u8], octets].concat());
    }
}
