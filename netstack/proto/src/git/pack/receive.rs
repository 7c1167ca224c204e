//! A pack on its way in: cut into entries as it comes, every whole object hashed.

use super::super::error::Error;
use super::super::memory;
use super::super::object::{self, Kind};
use super::super::oid::{Format, Hasher, ObjectId};
use super::inflate::{Inflater, held_to_size};
use super::resolve::Resolver;
use super::segments::Segments;
use super::{Entries, Entry, Limits, Stored, UNKNOWN, Work};

/// Takes a pack in parts of any size.
pub struct Receiver {
    format: Format,
    limits: Limits,
    state: State,
    /// What a head lacks its end of.
    head: Vec<u8>,
    /// How many entries the pack says that it has.
    count: u32,
    entries: Entries,
    /// Deltas whose base is said by name, with that name.
    named: Vec<(ObjectId, u32)>,
    links: Links,
    checksum: Hasher,
    inflater: Inflater,
    scratch: Box<[u8]>,
    current: Current,
    work: Work,
}

enum State {
    Header,
    EntryHead,
    Data,
    Trailer,
    Done,
}

/// The entry that is being inflated.
#[derive(Default)]
struct Current {
    given: u64,
    /// Of a whole object.
    hasher: Option<Hasher>,
    /// Of a whole object that leads to others.
    content: Vec<u8>,
}

/// What objects lead to, and where that ends.
pub struct Links {
    /// Commits whose parents are left out, in order.
    shallow: Vec<ObjectId>,
    /// Some of them more than once, until [`Self::settle`].
    to: Vec<ObjectId>,
    /// More distinct ones cannot all be there.
    most: usize,
}

/// `PACK`, the version, the count of objects.
const HEADER: usize = 12;
const SCRATCH: usize = 32 * 1024;

impl Receiver {
    /// For a pack of objects named by `format`; `shallow` are the commits that the server said to come without their
    /// parents, in order, and `known` is how many objects are there already.
    pub fn new(format: Format, limits: Limits, shallow: Vec<ObjectId>, known: usize) -> Self {
        let entries =
            Entries { octets: Segments::default(), entries: Vec::new(), ids: Vec::new(), end: 0 };
        let links = Links { shallow, to: Vec::new(), most: known };
        Self {
            format,
            limits,
            state: State::Header,
            head: Vec::with_capacity(64),
            count: 0,
            entries,
            named: Vec::new(),
            links,
            checksum: Hasher::checksum(format),
            inflater: Inflater::default(),
            scratch: vec![0; SCRATCH].into(),
            current: Current::default(),
            work: Work::new(limits.work),
        }
    }

    /// How many objects are there, and how many the pack has.
    pub fn objects(&self) -> (usize, u32) {
        (self.entries.entries.len(), self.count)
    }

    /// How many octets came so far.
    pub fn octets(&self) -> u64 {
        self.entries.octets.len()
    }

    /// Whether the pack is whole: nothing may follow.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// Any: the pack is of no use then, and neither is the receiver.
    pub fn push(&mut self, mut octets: &[u8]) -> Result<(), Error> {
        while !octets.is_empty() {
            let taken = match self.state {
                State::Header => self.header(octets)?,
                State::EntryHead => self.entry_head(octets)?,
                State::Data => self.data(octets)?,
                State::Trailer => self.trailer(octets)?,
                State::Done => return Err(self.wrong("there is more behind its end")),
            };
            octets = &octets[taken..];
        }
        Ok(())
    }

    /// Goes on with the deltas.
    ///
    /// # Errors
    /// [`Error::Pack`]: the pack is not whole; [`Error::Memory`].
    pub fn finish(self) -> Result<Resolver, Error> {
        if !self.is_complete() {
            return Err(self.wrong("it is cut short"));
        }
        Resolver::new(self.format, self.limits, self.entries, self.named, self.links, self.work)
    }

    fn wrong(&self, reason: &'static str) -> Error {
        Error::Pack { offset: self.octets(), reason }
    }

    /// Keeps octets that belong to the pack.
    fn keep(&mut self, octets: &[u8]) -> Result<(), Error> {
        if self.octets() + octets.len() as u64 > self.limits.pack {
            return Err(Error::Limit { what: "octets of a pack", most: self.limits.pack });
        }
        self.limits.hold(self.entries.held(), octets.len() as u64)?;
        self.checksum.update(octets);
        self.entries.octets.push(octets)
    }

    /// Fills the head up to `len` octets; how many were taken for that.
    fn fill(&mut self, octets: &[u8], len: usize) -> usize {
        let taken = octets.len().min(len - self.head.len());
        self.head.extend_from_slice(&octets[..taken]);
        taken
    }

    fn header(&mut self, octets: &[u8]) -> Result<usize, Error> {
        let taken = self.fill(octets, HEADER);
        if self.head.len() < HEADER {
            return Ok(taken);
        }
        let head = core::mem::take(&mut self.head);
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if &head[..4] != b"PACK" {
            return Err(Error::malformed("a pack", &head));
        }
        // 3 was never written by a release of git; both are read the same way
        if !matches!(word(4), 2 | 3) {
            return Err(self.wrong("its version is not known"));
        }
        self.count = word(8);
        if self.count > self.limits.objects {
            let most = self.limits.objects.into();
            return Err(Error::Limit { what: "objects in a pack", most });
        }
        self.links.most += self.count as usize;
        self.keep(&head)?;
        self.next();
        Ok(taken)
    }

    /// What comes behind a header or an entry.
    fn next(&mut self) {
        self.head.clear();
        self.entries.end = self.octets();
        self.state = match self.entries.entries.len() == self.count as usize {
            true => State::Trailer,
            false => State::EntryHead,
        };
    }

    fn entry_head(&mut self, octets: &[u8]) -> Result<usize, Error> {
        for (index, octet) in octets.iter().enumerate() {
            self.head.push(*octet);
            let head = Head::parse(&self.head, self.format).map_err(|reason| self.wrong(reason))?;
            if let Some(head) = head {
                self.begin(head)?;
                return Ok(index + 1);
            }
        }
        Ok(octets.len())
    }

    fn begin(&mut self, head: Head) -> Result<(), Error> {
        let offset = self.octets();
        if head.size > self.limits.object {
            return Err(Error::Limit { what: "octets of one object", most: self.limits.object });
        }
        self.work.count(head.size)?;
        let index = self.entries.entries.len() as u32;
        // what a delta is shows when its base is there
        let mut kind = Kind::Blob;
        let stored = match head.base {
            Base::None(known) => {
                kind = known;
                Stored::Whole
            }
            Base::Before(distance) => {
                let at = offset.checked_sub(distance);
                let base = at.and_then(|at| {
                    let entries = &self.entries.entries;
                    entries.binary_search_by(|entry| entry.offset.cmp(&at)).ok()
                });
                let base = base.ok_or_else(|| self.wrong("a delta's base is no entry"))?;
                Stored::Delta { base: base as u32 }
            }
            Base::Named(id) => {
                memory::push(&mut self.named, (id, index))?;
                Stored::Delta { base: UNKNOWN }
            }
        };
        self.current = Current::default();
        if stored == Stored::Whole {
            self.current.hasher = Some(Hasher::object(self.format, kind, head.size));
            if kind != Kind::Blob {
                self.limits.hold(self.entries.held(), head.size)?;
            }
        }
        let octets = core::mem::take(&mut self.head);
        let (len, size) = (octets.len() as u8, head.size);
        let entry = Entry { offset, head: len, stored, kind, size };
        memory::push(&mut self.entries.entries, entry)?;
        self.keep(&octets)?;
        self.inflater.reset();
        self.state = State::Data;
        Ok(())
    }

    fn data(&mut self, octets: &[u8]) -> Result<usize, Error> {
        let entry = *self.entries.entries.last().expect("data follows a head");
        let wrong = |reason| Error::Pack { offset: entry.offset, reason };
        let part = self.inflater.part(octets, &mut self.scratch).map_err(|error| match error {
            Error::Pack { reason, .. } => wrong(reason),
            error => error,
        })?;
        self.current.given += part.given as u64;
        held_to_size(self.current.given, entry.size, part.ends).map_err(wrong)?;
        let given = &self.scratch[..part.given];
        if let Some(hasher) = &mut self.current.hasher {
            hasher.update(given);
            if entry.kind != Kind::Blob {
                let content = &mut self.current.content;
                memory::reserve(content, given.len())?;
                content.extend_from_slice(given);
            }
        }
        self.keep(&octets[..part.taken])?;
        if part.ends {
            self.end(entry)?;
        }
        Ok(part.taken)
    }

    /// The entry is whole.
    fn end(&mut self, entry: Entry) -> Result<(), Error> {
        let Current { hasher, content, .. } = core::mem::take(&mut self.current);
        let id = match hasher {
            Some(hasher) => {
                let id = hasher.finish()?;
                self.links.add(id, entry.kind, &content)?;
                id
            }
            None => ObjectId::zero(self.format),
        };
        memory::push(&mut self.entries.ids, id)?;
        self.next();
        Ok(())
    }

    fn trailer(&mut self, octets: &[u8]) -> Result<usize, Error> {
        let taken = self.fill(octets, self.format.octets());
        if self.head.len() == self.format.octets() {
            let format = self.format;
            let said = core::mem::replace(&mut self.checksum, Hasher::checksum(format)).finish()?;
            if said.octets() != self.head {
                return Err(self.wrong("its checksum is wrong"));
            }
            self.state = State::Done;
        }
        Ok(taken)
    }
}

impl Links {
    /// Adds what an object leads to.
    pub fn add(&mut self, id: ObjectId, kind: Kind, content: &[u8]) -> Result<(), Error> {
        if kind == Kind::Commit && self.shallow.binary_search(&id).is_ok() {
            let tree = object::commit(id.format(), content)?.tree;
            return self.insert(tree);
        }
        object::links(id.format(), kind, content, |link| self.insert(link))
    }

    fn insert(&mut self, id: ObjectId) -> Result<(), Error> {
        // neighbours often lead to the same
        if self.to.last() == Some(&id) {
            return Ok(());
        }
        if self.to.len() == self.to.capacity() {
            self.settle()?;
            // room for as many again, as far as there can be so many, and for some that are there already
            let most = self.most + self.most / 4 + 64;
            let more = self.to.len().clamp(64, most).min(most - self.to.len());
            if self.to.capacity() - self.to.len() < more {
                memory::reserve_exact(&mut self.to, more)?;
            }
        }
        self.to.push(id);
        Ok(())
    }

    /// Sorts them, and leaves each once.
    fn settle(&mut self) -> Result<(), Error> {
        self.to.sort_unstable();
        self.to.dedup();
        match self.to.len() > self.most {
            true => Err(Error::Limit {
                what: "objects that others lead to than there are objects",
                most: self.most as u64,
            }),
            false => Ok(()),
        }
    }

    /// The first that `is_there` does not know.
    ///
    /// # Errors
    /// [`Error::Limit`]: they cannot all be there.
    pub fn missing(
        &mut self,
        is_there: impl Fn(&ObjectId) -> bool,
    ) -> Result<Option<ObjectId>, Error> {
        self.settle()?;
        Ok(self.to.iter().find(|id| !is_there(id)).copied())
    }
}

/// What stands before an entry's data.
struct Head {
    size: u64,
    base: Base,
}

enum Base {
    None(Kind),
    /// So many octets before this entry.
    Before(u64),
    Named(ObjectId),
}

impl Head {
    /// `None` while octets lack.
    fn parse(octets: &[u8], format: Format) -> Result<Option<Self>, &'static str> {
        let Some((first, mut rest)) = octets.split_first() else { return Ok(None) };
        let mut size = u64::from(first & 0x0f);
        let mut shift = 4;
        let mut more = first & 0x80 != 0;
        while more {
            let Some((octet, after)) = rest.split_first() else { return Ok(None) };
            if shift > 53 {
                return Err("an entry's size has too many digits");
            }
            size |= u64::from(octet & 0x7f) << shift;
            shift += 7;
            more = octet & 0x80 != 0;
            rest = after;
        }
        let base = match first >> 4 & 7 {
            1 => Base::None(Kind::Commit),
            2 => Base::None(Kind::Tree),
            3 => Base::None(Kind::Blob),
            4 => Base::None(Kind::Tag),
            6 => match distance(rest)? {
                Some(distance) => Base::Before(distance),
                None => return Ok(None),
            },
            7 => match rest.get(..format.octets()) {
                Some(name) => Base::Named(
                    ObjectId::from_octets(format, name).expect("it has the format's length"),
                ),
                None => return Ok(None),
            },
            _ => return Err("an entry is of a kind that is not known"),
        };
        Ok(Some(Self { size, base }))
    }
}

/// How far before an entry its base stands (gitformat-pack(5), "offset encoding").
fn distance(octets: &[u8]) -> Result<Option<u64>, &'static str> {
    let mut distance = 0_u64;
    for (index, octet) in octets.iter().enumerate() {
        if index == 9 {
            return Err("an entry's distance has too many digits");
        }
        distance = distance << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            return Ok(Some(distance));
        }
        distance += 1;
    }
    Ok(None)
}
