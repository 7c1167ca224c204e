//! Against the obvious way, at all short lengths and around the loops' edges.

use super::*;

fn lengths() -> impl Iterator<Item = usize> {
    (0..=200).chain([255, 256, 257, 1000, 1024, 1500, 4095, 4096, 4097])
}

fn sample() -> Vec<u8> {
    (0..8192u32).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn copies_at_any_length_and_alignment() {
    let source = sample();
    for length in lengths() {
        for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 5), (15, 16), (17, 2)] {
            let mut target = vec![0xaa; length + 64];
            let mut expected = target.clone();
            expected[to..to + length].copy_from_slice(&source[from..from + length]);
            // SAFETY: both have room for it.
            unsafe {
                let at = target.as_mut_ptr().add(to);
                assert_eq!(memcpy(at, source.as_ptr().add(from), length), at);
            }
            assert!(target == expected, "length {length}, from {from}, to {to}");
        }
    }
}

#[test]
fn moves_where_places_overlap() {
    for length in lengths() {
        for distance in [0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 200, 3000] {
            for (from, to) in [(0, distance), (distance, 0)] {
                let mut target = sample();
                let mut expected = target.clone();
                expected.copy_within(from..from + length, to);
                // SAFETY: the sample is longer than both.
                unsafe {
                    let start = target.as_mut_ptr();
                    assert_eq!(memmove(start.add(to), start.add(from), length), start.add(to));
                }
                assert!(target == expected, "length {length}, from {from}, to {to}");
            }
        }
    }
}

#[test]
fn sets_at_any_length() {
    for length in lengths() {
        let mut target = vec![0xaa; length + 64];
        let mut expected = target.clone();
        expected[3..3 + length].fill(0x5c);
        // SAFETY: there is room for it.
        unsafe { memset(target.as_mut_ptr().add(3), 0x15c, length) };
        assert!(target == expected, "length {length}");
    }
}

#[test]
fn compares_by_the_first_difference() {
    for length in lengths().filter(|length| *length > 0) {
        let a = sample();
        for at in [0, 1, length / 2, length - 1].map(|at| at.min(length - 1)) {
            let mut b = a.clone();
            b[at] ^= 0x80;
            // A later difference the other way round does not count.
            b[length] ^= 0xff;
            let expected = a[..length].cmp(&b[..length]);
            // SAFETY: both are longer.
            unsafe {
                assert_eq!(memcmp(a.as_ptr(), b.as_ptr(), length).cmp(&0), expected);
                assert_eq!(memcmp(b.as_ptr(), a.as_ptr(), length).cmp(&0), expected.reverse());
                assert_eq!(memcmp(a.as_ptr(), b.as_ptr(), at), 0);
                assert_ne!(bcmp(a.as_ptr(), b.as_ptr(), length), 0);
            }
        }
    }
}

#[test]
fn measures_text() {
    // SAFETY: both end.
    unsafe {
        assert_eq!(strlen(c"".as_ptr().cast()), 0);
        assert_eq!(strlen(c"hermit".as_ptr().cast()), 6);
    }
}
