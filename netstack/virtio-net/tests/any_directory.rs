//! Any directory of the firmware configuration device is read or passed over.

mod directory;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_directory(octets in proptest::collection::vec(any::<u8>(), 0..300), count in 0u8..6) {
        // few files: their sizes are random, and reading megabytes of each takes time
        let mut directory = vec![0, 0, 0, count];
        directory.extend(octets);
        for entry in directory[4..].chunks_mut(64).filter(|entry| entry.len() > 8) {
            entry[..2].fill(0);
        }
        directory::check(&directory);
    }
}
