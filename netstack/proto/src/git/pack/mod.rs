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
use super::memory;
use super::object::{Kind, Object};
use super::oid::{Format, ObjectId};
use inflate::Inflater;
use segments::Segments;

/// What a pack may cost, whatever a peer sends. Each is refused with an error that names it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of a pack as it comes; they are held in memory.
    pub pack: u64,
    /// Objects in a pack; about 130 octets of memory each while it is received, 80 later.
    pub objects: u32,
    /// Octets of one object; at most three of that size are in memory at once.
    pub object: u64,
    /// Deltas from an object to the whole one at the end of its chain; git makes at most 4095.
    pub depth: u32,
    /// Octets that are inflated and put together in all: the work that a pack makes.
    pub work: u64,
    /// Octets of bases that are kept while deltas are resolved. Beyond, they are made again: work for memory.
    pub bases: u64,
    /// Octets of memory that all of it may take, where the machine's are known: what is asked for beyond is
    /// [`Error::Memory`], before there is nothing left for others.
    pub memory: u64,
}

impl Limits {
    /// The default ones on a machine that has so many octets of memory left: an eighth stays for others.
    pub fn within(memory: u64) -> Self {
        let memory = memory - memory / 8;
        let all = Self::default();
        Self { bases: all.bases.min(memory / 8), memory, ..all }
    }

    /// What a list of references may take of the memory. It is copied, and asked for piece by piece.
    pub fn refs(&self) -> u64 {
        self.memory / 3
    }

    /// Fails where a pack that takes `held` octets and needs as many `more` is beyond the memory.
    fn hold(&self, held: u64, more: u64) -> Result<(), Error> {
        match held.saturating_add(more) > self.memory {
            true => Err(Error::Memory { octets: more }),
            false => Ok(()),
        }
    }
}

/// Octets that were inflated and put together, and how many may be: what reading costs, whatever a peer made of it.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    done: u64,
    most: u64,
}

impl Work {
    /// None yet, and at most so many.
    pub fn new(most: u64) -> Self {
        Self { done: 0, most }
    }

    /// How many there were.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Adds to them.
    fn count(&mut self, octets: u64) -> Result<(), Error> {
        self.done = self.done.saturating_add(octets);
        match self.done > self.most {
            true => Err(Error::Limit { what: "octets to inflate", most: self.most }),
            false => Ok(()),
        }
    }
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
            memory: u64::MAX,
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
    /// Of the object; of a delta's once it is resolved.
    kind: Kind,
    /// Octets when inflated: of the object, or of the delta.
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Whole,
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

    /// What the delta at `index` makes of its base.
    fn apply(
        &self,
        base: &[u8],
        index: u32,
        inflater: &mut Inflater,
        limits: &Limits,
        work: &mut Work,
    ) -> Result<Vec<u8>, Error> {
        let Entry { offset, size, .. } = self.entries[index as usize];
        limits.hold(self.held() + base.len() as u64, size)?;
        let delta = self.inflate(index, inflater)?;
        let held = self.held() + (base.len() + delta.len()) as u64;
        if let Some(size) = delta::result_size(&delta).filter(|size| *size <= limits.object) {
            limits.hold(held, size)?;
        }
        let content = delta::apply(base, &delta, offset, limits.object)?;
        work.count((delta.len() + content.len()) as u64)?;
        Ok(content)
    }

    /// Octets of memory that they take, with what is made of each while a pack is received.
    fn held(&self) -> u64 {
        self.octets.len() + self.entries.len() as u64 * OBJECT
    }
}

/// Octets of memory that an object takes beside what came of it: entry, name, place in the order, and a link to it.
const OBJECT: u64 = 128;

/// A pack that was received whole and found right.
pub struct Pack {
    entries: Entries,
    /// Indexes of entries by the order of their names, each name once.
    order: Vec<u32>,
    limits: Limits,
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

    /// The names of its objects, in order, and what each is.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, Kind)> {
        let Entries { ids, entries, .. } = &self.entries;
        self.order.iter().map(|index| (ids[*index as usize], entries[*index as usize].kind))
    }

    /// Whether it has the object.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.find(id).is_some()
    }

    /// What the object is; `None` when it is not in the pack.
    pub fn kind(&self, id: &ObjectId) -> Option<Kind> {
        self.find(id).map(|index| self.entries.entries[index as usize].kind)
    }

    /// The object; `None` when it is not in the pack.
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Limit`]: it takes more work than the whole pack might.
    pub fn read(&self, id: &ObjectId) -> Option<Result<Object, Error>> {
        self.read_within(id, &mut Work::new(self.limits.work))
    }

    /// The same as a part of more work.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn read_within(&self, id: &ObjectId, work: &mut Work) -> Option<Result<Object, Error>> {
        self.find(id).map(|index| self.object(index, work))
    }

    fn find(&self, id: &ObjectId) -> Option<u32> {
        let ids = &self.entries.ids;
        let found = self.order.binary_search_by(|index| ids[*index as usize].cmp(id)).ok()?;
        Some(self.order[found])
    }

    fn object(&self, index: u32, work: &mut Work) -> Result<Object, Error> {
        let Self { entries, limits, .. } = self;
        let mut inflater = Inflater::default();
        let mut chain = self.chain(index)?.into_iter().rev();
        let whole = chain.next().expect("a chain has its end");
        work.count(entries.entries[whole as usize].size)?;
        let mut content = entries.inflate(whole, &mut inflater)?;
        for delta in chain {
            content = entries.apply(&content, delta, &mut inflater, limits, work)?;
        }
        Ok(Object { kind: entries.entries[index as usize].kind, content })
    }

    /// From the object to the whole one at the end of its chain, whose length the resolver has held against the limit.
    fn chain(&self, index: u32) -> Result<Vec<u32>, Error> {
        let mut chain = Vec::new();
        let mut at = index;
        loop {
            memory::push(&mut chain, at)?;
            match self.entries.entries[at as usize].stored {
                Stored::Whole => return Ok(chain),
                Stored::Delta { base } => at = base,
            }
        }
    }

    /// The format of its objects' names; SHA-1 where it has none.
    pub fn format(&self) -> Format {
        self.entries.ids.first().map_or(Format::Sha1, ObjectId::format)
    }
}
