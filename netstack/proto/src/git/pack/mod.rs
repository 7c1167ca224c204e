//! Packs (gitformat-pack(5)): received as a stream, indexed, their deltas resolved within limits, read and written.
//!
//! ```text
//!  octets ─► Receiver ─► Resolver ─► Pack ─► object
//!            every entry   every delta   by name
//!            inflated      applied
//! ```
//!
//! What a peer sends is kept as it came, in segments that are never moved; beside it stand about 80 octets an object.
//! Every object is hashed, whether it came whole or as a delta; a pack is taken only where its checksum is right and
//! everything that its objects lead to is there.

mod inflate;
mod receive;
mod resolve;
mod segments;
#[cfg(test)]
mod tests;
mod write;

pub use receive::Receiver;
pub use resolve::Resolver;
pub use write::write;

use super::delta;
use super::error::Error;
use super::object::{Kind, Object};
use super::oid::{Format, ObjectId};
use inflate::Inflater;
use segments::Segments;

/// What a pack may cost, whatever a peer sends. Each is refused with an error that names it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of a pack as it comes; they are held in memory.
    pub pack: u64,
    /// Objects in a pack; about 80 octets of memory each.
    pub objects: u32,
    /// Octets of one object; at most three of that size are in memory at once.
    pub object: u64,
    /// Deltas from an object to the whole one at the end of its chain; git makes at most 4095.
    pub depth: u32,
    /// Octets that are inflated and put together in all: the work that a pack makes.
    pub work: u64,
    /// Octets of bases that are kept while deltas are resolved. Beyond, they are made again: work for memory.
    pub bases: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pack: 1 << 30,
            objects: 1 << 20,
            object: 256 << 20,
            depth: 4095,
            work: 16 << 30,
            bases: 16 << 20,
        }
    }
}

/// An object as it stands in a pack.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where it begins.
    offset: u64,
    /// How many octets stand before what is deflated.
    head: u8,
    stored: Stored,
    /// Octets when inflated: of the object, or of the delta.
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Whole(Kind),
    /// `base` is an entry's index; [`UNKNOWN`] until the base that a name means is found.
    Delta {
        base: u32,
    },
}

const UNKNOWN: u32 = u32::MAX;

/// The entries of a pack, in its order, with the names of their objects.
struct Entries {
    octets: Segments,
    entries: Vec<Entry>,
    ids: Vec<ObjectId>,
    /// Where the last entry ends.
    end: u64,
}

impl Entries {
    /// What an entry inflates to.
    fn inflate(&self, index: u32, inflater: &mut Inflater) -> Result<Vec<u8>, Error> {
        let entry = &self.entries[index as usize];
        let next = self.entries.get(index as usize + 1);
        let end = next.map_or(self.end, |next| next.offset);
        let start = entry.offset + u64::from(entry.head);
        inflater.all(&self.octets, start..end, entry.size).map_err(|error| match error {
            Error::Pack { reason, .. } => Error::Pack { offset: entry.offset, reason },
            error => error,
        })
    }
}

/// A pack that was received whole and found right.
pub struct Pack {
    entries: Entries,
    /// Indexes of entries by the order of their names, each name once.
    order: Vec<u32>,
    most: u64,
}

impl Pack {
    /// How many objects it has.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many octets it had on its way, its checksum not counted.
    pub fn octets(&self) -> u64 {
        self.entries.end
    }

    /// How many of its objects came as deltas.
    pub fn deltas(&self) -> usize {
        let is_delta = |entry: &&Entry| matches!(entry.stored, Stored::Delta { .. });
        self.entries.entries.iter().filter(is_delta).count()
    }

    /// The names of its objects, in order.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.order.iter().map(|index| self.entries.ids[*index as usize])
    }

    /// Whether it has the object.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.find(id).is_some()
    }

    /// What the object is; `None` when it is not in the pack.
    pub fn kind(&self, id: &ObjectId) -> Option<Kind> {
        self.find(id).map(|index| self.chain(index).1)
    }

    /// The object; `None` when it is not in the pack.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn read(&self, id: &ObjectId) -> Option<Result<Object, Error>> {
        self.find(id).map(|index| self.object(index))
    }

    fn find(&self, id: &ObjectId) -> Option<u32> {
        let ids = &self.entries.ids;
        let found = self.order.binary_search_by(|index| ids[*index as usize].cmp(id)).ok()?;
        Some(self.order[found])
    }

    fn object(&self, index: u32) -> Result<Object, Error> {
        let mut inflater = Inflater::default();
        let (chain, kind) = self.chain(index);
        let mut chain = chain.into_iter().rev();
        let whole = chain.next().expect("a chain has its end");
        let mut content = self.entries.inflate(whole, &mut inflater)?;
        for delta in chain {
            let octets = self.entries.inflate(delta, &mut inflater)?;
            let offset = self.entries.entries[delta as usize].offset;
            content = delta::apply(&content, &octets, offset, self.most)?;
        }
        Ok(Object { kind, content })
    }

    /// From the object to the whole one at the end of its chain, whose length the resolver has held against the limit;
    /// and what both are.
    fn chain(&self, index: u32) -> (Vec<u32>, Kind) {
        let mut chain = vec![index];
        let mut at = index;
        loop {
            match self.entries.entries[at as usize].stored {
                Stored::Whole(kind) => return (chain, kind),
                Stored::Delta { base } => {
                    chain.push(base);
                    at = base;
                }
            }
        }
    }

    /// The format of its objects' names; SHA-1 where it has none.
    pub fn format(&self) -> Format {
        self.entries.ids.first().map_or(Format::Sha1, ObjectId::format)
    }
}
