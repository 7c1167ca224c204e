use alloc::vec::Vec;

use super::List;

#[test]
fn newest_first_and_older_lists_stay() {
    let one = List::new().with(1);
    let (two, other) = (one.with(2), one.with(3));
    assert!(two.iter().eq(&[2, 1]));
    assert!(other.iter().eq(&[3, 1]));
    assert_eq!((one.len(), one.newest()), (1, Some(&1)));
    assert_eq!(List::<u8>::new().newest(), None);
}

#[test]
fn extension_is_told_by_identity() {
    let one = List::new().with(1);
    let two = one.with(2);
    assert!(two.extends(&one) && two.extends(&two) && two.extends(&List::new()));
    assert!(!one.extends(&two) && !two.extends(&one.with(2)));
    assert!(!two.extends(&List::new().with(1)), "equal, and another");
}

#[test]
fn a_shared_tail_outlives_the_longer_list() {
    let mut long = List::new();
    let mut kept = Vec::new();
    for n in 0..100_000 {
        long = long.with(n);
        if n % 30_000 == 0 {
            kept.push(long.clone());
        }
    }
    drop(long);
    assert_eq!(kept.iter().map(List::len).collect::<Vec<_>>(), [1, 30_001, 60_001, 90_001]);
    assert!(kept[1].iter().copied().eq((0..=30_000).rev()));
}
