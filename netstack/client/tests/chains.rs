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
}
