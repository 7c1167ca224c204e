extern crate std;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Link, Map};
use crate::key::{Id, Key};

fn ids(count: usize) -> Vec<Id> {
    (0..count).map(|_| Key::<u8>::new("k").id()).collect()
}

/// Checks the balance and the noted sizes, and gives height and size.
fn sound(link: &Link<usize>) -> (u8, usize) {
    let Some(node) = link else { return (0, 0) };
    let (left, right) = (sound(&node.left), sound(&node.right));
    assert!(left.0.abs_diff(right.0) <= 1);
    let tall = (left.0.max(right.0) + 1, left.1 + right.1 + 1);
    assert_eq!((node.height, node.size), tall);
    tall
}

#[test]
fn does_as_an_ordered_map_and_stays_balanced() {
    let ids = ids(300);
    let mut random: u64 = 7;
    let mut map = Map::new();
    let mut model = BTreeMap::new();
    let mut kept = Vec::new();
    for step in 0..4000 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let id = ids[(random >> 33) as usize % ids.len()];
        // phases in which it grows, and in which it shrinks
        if (random >> 20) % 8 < 2 + 4 * (step / 1000 % 2) {
            map = map.remove(id);
            model.remove(&id);
        } else {
            map = map.insert(id, step as usize);
            model.insert(id, step as usize);
        }
        if step % 500 == 0 {
            kept.push((map.clone(), model.clone()));
        }
        sound(&map.root);
        assert_eq!(map.len(), model.len());
    }
    kept.push((map, model));
    for (map, model) in kept {
        assert!(map.values().eq(model.values()), "older maps stay as they were");
        for id in &ids {
            assert_eq!(map.get(*id), model.get(id));
        }
    }
}

#[test]
fn ascending_and_descending_insertion() {
    let ids = ids(1000);
    let up = ids.iter().fold(Map::new(), |map, id| map.insert(*id, 0));
    let down = ids.iter().rev().fold(Map::new(), |map, id| map.insert(*id, 0));
    assert!(sound(&up.root).0 <= 14 && sound(&down.root).0 <= 14);
    assert_eq!(up.remove(Key::<u8>::new("k").id()).len(), 1000);
}
