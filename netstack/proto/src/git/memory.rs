//! Room for what a peer sends: asked for, never taken for granted. A machine whose memory is full says so, and ends.

use super::error::Error;

/// Room for `len` octets, if the machine has so much.
pub fn octets(len: u64) -> Result<Vec<u8>, Error> {
    let mut room = Vec::new();
    let full = Error::Memory { octets: len };
    match usize::try_from(len) {
        Ok(len) if room.try_reserve_exact(len).is_ok() => Ok(room),
        _ => Err(full),
    }
}

/// Adds one more.
pub fn push<T>(all: &mut Vec<T>, one: T) -> Result<(), Error> {
    reserve(all, 1)?;
    all.push(one);
    Ok(())
}

/// Room for some more.
pub fn reserve<T>(all: &mut Vec<T>, more: usize) -> Result<(), Error> {
    let needed = needed(all, more);
    all.try_reserve(more).map_err(|_| Error::Memory { octets: needed })
}

/// Room for exactly so many more.
pub fn reserve_exact<T>(all: &mut Vec<T>, more: usize) -> Result<(), Error> {
    let needed = needed(all, more);
    all.try_reserve_exact(more).map_err(|_| Error::Memory { octets: needed })
}

/// All that an iterator gives.
pub fn collect<T>(from: impl IntoIterator<Item = T>) -> Result<Vec<T>, Error> {
    let from = from.into_iter();
    let mut all = Vec::new();
    reserve(&mut all, from.size_hint().0)?;
    for one in from {
        push(&mut all, one)?;
    }
    Ok(all)
}

/// A copy.
pub fn copy(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let mut all = self::octets(octets.len() as u64)?;
    all.extend_from_slice(octets);
    Ok(all)
}

fn needed<T>(all: &[T], more: usize) -> u64 {
    (all.len() + more).saturating_mul(size_of::<T>()) as u64
}
