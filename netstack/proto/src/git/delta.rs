//! One object as a difference from another: copies of the base, and new octets (gitformat-pack(5), "Deltified
//! representation").

use super::error::Error;
use super::memory;

/// Why a delta gives no object.
const TRUNCATED: &str = "a delta is cut short";
const OTHER_BASE: &str = "a delta is made for a base of another size";
const OUTSIDE: &str = "a delta copies what its base does not have";
const OTHER_SIZE: &str = "a delta gives another size than it says";
const RESERVED: &str = "a delta has a reserved instruction";

/// The object that `delta` makes of `base`, of at most `most` octets.
///
/// # Errors
/// [`Error::Pack`] at `offset`, [`Error::Limit`], [`Error::Memory`].
pub fn apply(base: &[u8], delta: &[u8], offset: u64, most: u64) -> Result<Vec<u8>, Error> {
    let wrong = |reason| Error::Pack { offset, reason };
    let mut rest = delta;
    let base_size = size(&mut rest).ok_or_else(|| wrong(TRUNCATED))?;
    let result_size = size(&mut rest).ok_or_else(|| wrong(TRUNCATED))?;
    if base_size != base.len() as u64 {
        return Err(wrong(OTHER_BASE));
    }
    if result_size > most {
        return Err(Error::Limit { what: "octets of one object", most });
    }
    let mut result = memory::octets(result_size)?;
    let room = result_size as usize;
    while let Some((instruction, after)) = rest.split_first() {
        rest = after;
        let part = match instruction {
            0 => return Err(wrong(RESERVED)),
            0x80.. => {
                let (start, len) = copy(*instruction, &mut rest).ok_or_else(|| wrong(TRUNCATED))?;
                base.get(start..).and_then(|from| from.get(..len)).ok_or_else(|| wrong(OUTSIDE))?
            }
            len => {
                let (part, after) =
                    rest.split_at_checked(usize::from(*len)).ok_or_else(|| wrong(TRUNCATED))?;
                rest = after;
                part
            }
        };
        if part.len() > room - result.len() {
            return Err(wrong(OTHER_SIZE));
        }
        result.extend_from_slice(part);
    }
    match result.len() == room {
        true => Ok(result),
        false => Err(wrong(OTHER_SIZE)),
    }
}

/// Octets of the object that `delta` says it makes.
pub(super) fn result_size(delta: &[u8]) -> Option<u64> {
    let mut rest = delta;
    size(&mut rest)?;
    size(&mut rest)
}

/// Where a copy starts and how long it is: the bits say which octets of both numbers follow.
fn copy(instruction: u8, rest: &mut &[u8]) -> Option<(usize, usize)> {
    let mut number = |bits: u8, count: u8| {
        let mut number = 0;
        for index in 0..count {
            if bits >> index & 1 == 1 {
                let (octet, after) = rest.split_first()?;
                *rest = after;
                number |= usize::from(*octet) << (8 * index);
            }
        }
        Some(number)
    };
    let start = number(instruction, 4)?;
    match number(instruction >> 4, 3)? {
        0 => Some((start, 0x10000)),
        len => Some((start, len)),
    }
}

/// A size in groups of seven bits, the lowest first.
fn size(rest: &mut &[u8]) -> Option<u64> {
    let mut size = 0_u64;
    for shift in (0..63).step_by(7) {
        let (octet, after) = rest.split_first()?;
        *rest = after;
        size |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: u64 = 1 << 20;

    fn applied(delta: &[u8]) -> Result<Vec<u8>, Error> {
        apply(b"0123456789", delta, 0, MOST)
    }

    #[test]
    fn copies_and_new_octets_make_an_object() {
        let delta = [10, 7, 0x91, 2, 3, 2, b'a', b'b', 0x90, 2];
        assert_eq!(applied(&delta).unwrap(), b"234ab01");
    }

    #[test]
    fn a_length_of_zero_is_a_long_one() {
        let base = vec![7; 0x10000];
        let result = apply(&base, &[0x80, 0x80, 4, 0x80, 0x80, 4, 0x80], 0, MOST).unwrap();
        assert_eq!(result, base);
    }

    #[test]
    fn wrong_deltas_are_refused() {
        for (delta, reason) in [
            (&[][..], TRUNCATED),
            (&[10], TRUNCATED),
            (&[10, 0x80], TRUNCATED),
            (&[0xff; 20], TRUNCATED),
            (&[9, 0], OTHER_BASE),
            (&[10, 1, 0x91, 10, 1], OUTSIDE),
            (&[10, 11, 0x90, 11], OUTSIDE),
            (&[10, 3, 0xff, 255, 255, 255, 255, 255, 255, 255], OUTSIDE),
            (&[10, 3, 0x90, 2], OTHER_SIZE),
            (&[10, 1, 0x90, 2], OTHER_SIZE),
            (&[10, 3, 3, b'a'], TRUNCATED),
            (&[10, 3, 0x91, 1], TRUNCATED),
            (&[10, 3, 0], RESERVED),
        ] {
            assert_eq!(applied(delta), Err(Error::Pack { offset: 0, reason }), "{delta:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_takes_memory() {
        let delta = [10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(applied(&delta), Err(Error::Limit { most: MOST, .. })));
        // 0x7fff_ffff octets are said, and ten given
        assert!(matches!(
            apply(b"0123456789", &delta, 0, u64::MAX),
            Err(Error::Memory { .. } | Error::Pack { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_octets_give_an_object_or_an_error(delta in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = applied(&delta);
            let _ = applied(&[&[10, 9], &delta[..]].concat());
        }
    }
}
