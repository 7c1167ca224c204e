//! Deltas to objects: from every whole object down to all that are made of it, depth first.

use super::super::error::Error;
use super::super::memory;
use super::super::object::Kind;
use super::super::oid::{Format, Hasher, ObjectId};
use super::inflate::Inflater;
use super::receive::Links;
use super::{Entries, Limits, Pack, Stored, Work};
use core::ops::Range;

/// Resolves a received pack's deltas, a bounded piece of work at a time.
///
/// Call [`Self::step`] until it says that nothing is left, then [`Self::finish`].
pub struct Resolver {
    format: Format,
    limits: Limits,
    entries: Entries,
    /// Base and delta, both by index, in order.
    placed: Vec<(u32, u32)>,
    /// Deltas by the names of their bases, in order.
    named: Vec<(ObjectId, u32)>,
    links: Links,
    inflater: Inflater,
    /// The next entry that may be a whole object with deltas.
    root: u32,
    /// From a whole object down to the one whose deltas are resolved now.
    stack: Vec<Frame>,
    /// Octets of content in `stack`.
    held: u64,
    resolved: usize,
    work: Work,
}

/// An object, and which of its deltas are still to come.
struct Frame {
    index: u32,
    kind: Kind,
    /// Dropped for memory's sake where there are too many; made again when needed.
    content: Option<Vec<u8>>,
    placed: Range<usize>,
    named: Range<usize>,
}

impl Frame {
    fn is_done(&self) -> bool {
        self.placed.is_empty() && self.named.is_empty()
    }

    fn len(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.len() as u64)
    }
}

impl Resolver {
    pub(super) fn new(
        format: Format,
        limits: Limits,
        entries: Entries,
        mut named: Vec<(ObjectId, u32)>,
        links: Links,
        work: Work,
    ) -> Result<Self, Error> {
        let numbered = (0_u32..).zip(&entries.entries);
        let mut placed =
            memory::collect(numbered.filter_map(|(index, entry)| match entry.stored {
                Stored::Delta { base } if base != super::UNKNOWN => Some((base, index)),
                _ => None,
            }))?;
        placed.sort_unstable();
        named.sort_unstable();
        Ok(Self {
            format,
            limits,
            entries,
            placed,
            named,
            links,
            inflater: Inflater::default(),
            root: 0,
            stack: Vec::new(),
            held: 0,
            resolved: 0,
            work,
        })
    }

    /// What the pack has cost so far.
    pub fn work(&self) -> Work {
        self.work
    }

    /// How many deltas are resolved, and how many there are.
    pub fn deltas(&self) -> (usize, usize) {
        (self.resolved, self.placed.len() + self.named.len())
    }

    /// Resolves at most one delta; false when nothing is left to do.
    ///
    /// # Errors
    /// Any: the pack is of no use then.
    pub fn step(&mut self) -> Result<bool, Error> {
        let Some(frame) = self.stack.last_mut() else { return self.next_root() };
        let child = frame.placed.next().map(|at| self.placed[at].1);
        let child = child.or_else(|| frame.named.next().map(|at| self.named[at].1));
        let Some(child) = child else {
            self.held -= frame.len();
            self.stack.pop();
            return Ok(true);
        };
        // an object may be in a pack twice: its deltas are resolved once
        if self.entries.ids[child as usize].is_zero() {
            self.resolve(child)?;
        }
        Ok(true)
    }

    /// The pack; `known` says which objects are there beside it.
    ///
    /// # Errors
    /// [`Error::Pack`]: a delta's base is not there, or bases make a circle; [`Error::Missing`]: an object that
    /// others lead to is not there.
    pub fn finish(self, known: impl Fn(&ObjectId) -> bool) -> Result<Pack, Error> {
        let Self { limits, entries, mut links, .. } = self;
        if let Some(left) = entries.ids.iter().position(ObjectId::is_zero) {
            let offset = entries.entries[left].offset;
            return Err(Error::Pack { offset, reason: "a delta's base is not in the pack" });
        }
        let mut order = memory::collect(0..entries.ids.len() as u32)?;
        order.sort_unstable_by_key(|index| entries.ids[*index as usize]);
        order.dedup_by_key(|index| entries.ids[*index as usize]);
        let pack = Pack { entries, order, limits };
        match links.missing(|id| pack.contains(id) || known(id))? {
            Some(id) => Err(Error::Missing { name: id.to_string() }),
            None => Ok(pack),
        }
    }

    /// Puts the next whole object that has deltas on the stack.
    fn next_root(&mut self) -> Result<bool, Error> {
        while let Some(entry) = self.entries.entries.get(self.root as usize) {
            let index = self.root;
            self.root += 1;
            if entry.stored == Stored::Whole {
                let frame = self.frame(index, entry.kind, None);
                if !frame.is_done() {
                    memory::push(&mut self.stack, frame)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn frame(&self, index: u32, kind: Kind, content: Option<Vec<u8>>) -> Frame {
        let id = self.entries.ids[index as usize];
        let start = self.placed.partition_point(|(base, _)| *base < index);
        let len = self.placed[start..].partition_point(|(base, _)| *base == index);
        let placed = start..start + len;
        let start = self.named.partition_point(|(base, _)| *base < id);
        let len = self.named[start..].partition_point(|(base, _)| *base == id);
        Frame { index, kind, content, placed, named: start..start + len }
    }

    /// Makes an object of the delta `child` and the object on top of the stack.
    fn resolve(&mut self, child: u32) -> Result<(), Error> {
        if self.stack.len() > self.limits.depth as usize {
            return Err(Error::Limit { what: "deltas in a chain", most: self.limits.depth.into() });
        }
        self.fill()?;
        let frame = self.stack.last_mut().expect("a delta is resolved on its base");
        let (base, kind) = (frame.index, frame.kind);
        let base_content = frame.content.take().expect("filled");
        let Self { entries, inflater, limits, work, .. } = self;
        let content = entries.apply(&base_content, child, inflater, limits, work)?;
        // what no other delta needs is given free
        match frame.is_done() {
            true => self.held -= base_content.len() as u64,
            false => frame.content = Some(base_content),
        }
        let mut hasher = Hasher::object(self.format, kind, content.len() as u64);
        hasher.update(&content);
        let id = hasher.finish()?;
        self.links.add(id, kind, &content)?;
        self.entries.ids[child as usize] = id;
        let entry = &mut self.entries.entries[child as usize];
        (entry.stored, entry.kind) = (Stored::Delta { base }, kind);
        self.resolved += 1;
        let frame = self.frame(child, kind, Some(content));
        if !frame.is_done() {
            self.held += frame.len();
            memory::push(&mut self.stack, frame)?;
            self.trim();
        }
        Ok(())
    }

    /// Makes the content on top of the stack again, where it was dropped.
    fn fill(&mut self) -> Result<(), Error> {
        let top = self.stack.len() - 1;
        let from = self.stack.iter().rposition(|frame| frame.content.is_some());
        if from == Some(top) {
            return Ok(());
        }
        let mut made: Option<Vec<u8>> = None;
        let Self { entries, inflater, limits, work, stack, .. } = self;
        for at in from.map_or(0, |from| from + 1)..=top {
            let index = stack[at].index;
            let below = at.checked_sub(1).and_then(|below| stack[below].content.as_deref());
            made = Some(match made.as_deref().or(below) {
                Some(base) => entries.apply(base, index, inflater, limits, work)?,
                None => {
                    let size = entries.entries[index as usize].size;
                    limits.hold(entries.held(), size)?;
                    work.count(size)?;
                    entries.inflate(index, inflater)?
                }
            });
        }
        self.held += made.as_ref().map_or(0, |made| made.len() as u64);
        self.stack[top].content = made;
        self.trim();
        Ok(())
    }

    /// Drops contents from the bottom of the stack, the top's never, until those held fit the limit.
    fn trim(&mut self) {
        let Some((_, below)) = self.stack.split_last_mut() else { return };
        for frame in below {
            if self.held <= self.limits.bases {
                return;
            }
            self.held -= frame.len();
            frame.content = None;
        }
    }
}
