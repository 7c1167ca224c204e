//! Objects by name: packs that were fetched, and single ones that were made here.

use super::error::Error;
use super::memory;
use super::object::{self, Commit, Kind, Mode, Object};
use super::oid::{Format, Hasher, ObjectId};
use super::pack::{Limits, Pack, Work};
use std::collections::BTreeMap;

/// A repository's objects, in memory.
#[derive(Default)]
pub struct Store {
    format: Format,
    packs: Vec<Pack>,
    single: BTreeMap<ObjectId, Object>,
    /// In order.
    shallow: Vec<ObjectId>,
    tips: Vec<ObjectId>,
}

/// How many tips are remembered: as many as a server is told of.
const MOST_TIPS: usize = super::fetch::MOST_HAVES;
/// How many tags one tag leads to another by; git writes no chains.
const MOST_TAGS: usize = 16;

impl Store {
    /// One without objects.
    pub fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// The hash that its objects are named by.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many objects it has; one that is in two packs counts twice.
    pub fn len(&self) -> usize {
        self.packs.iter().map(Pack::len).sum::<usize>() + self.single.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its packs.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// The commits whose parents were left out, in order.
    pub fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Whether it has the object.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.single.contains_key(id) || self.packs.iter().any(|pack| pack.contains(id))
    }

    /// The names of all objects, pack by pack.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.packs.iter().flat_map(Pack::ids).chain(self.single.keys().copied())
    }

    /// Adds a pack; `shallow` are the commits whose parents are left out from now on, in order.
    pub fn add_pack(&mut self, pack: Pack, shallow: Vec<ObjectId>) {
        self.packs.push(pack);
        self.shallow = shallow;
    }

    /// What the object is; `None` when it is not there.
    pub fn kind(&self, id: &ObjectId) -> Option<Kind> {
        let single = self.single.get(id).map(|object| object.kind);
        single.or_else(|| self.packs.iter().find_map(|pack| pack.kind(id)))
    }

    /// Commits that servers had at the ends of histories, the latest first: what a server is told that is there.
    pub fn tips(&self) -> &[ObjectId] {
        &self.tips
    }

    /// Remembers those of `ids` that are commits and there, the first [`fetch::MOST_HAVES`](super::fetch::MOST_HAVES).
    pub fn add_tips(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        let mut tips: Vec<ObjectId> = Vec::new();
        let before = core::mem::take(&mut self.tips);
        for id in ids.into_iter().chain(before) {
            if tips.len() == MOST_TIPS {
                break;
            }
            if !tips.contains(&id) && self.kind(&id) == Some(Kind::Commit) {
                tips.push(id);
            }
        }
        self.tips = tips;
    }

    /// Adds an object that is made here; gives its name.
    ///
    /// # Errors
    /// [`Error::Malformed`]: the content is none of that kind; [`Error::Missing`]: it leads to an object that is not
    /// there; [`Error::Collision`].
    pub fn add(&mut self, kind: Kind, content: Vec<u8>) -> Result<ObjectId, Error> {
        object::links(self.format, kind, &content, |id| match self.contains(&id) {
            true => Ok(()),
            false => Err(Error::Missing { name: id.to_string() }),
        })?;
        let mut hasher = Hasher::object(self.format, kind, content.len() as u64);
        hasher.update(&content);
        let id = hasher.finish()?;
        self.single.insert(id, Object { kind, content });
        Ok(id)
    }

    /// The objects that were made here.
    pub fn made(&self) -> impl ExactSizeIterator<Item = &Object> {
        self.single.values()
    }

    /// An object.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Memory`]; [`Error::Limit`]: it takes more work than a whole pack may.
    pub fn read(&self, id: &ObjectId) -> Result<Object, Error> {
        self.read_within(id, &mut Work::new(Limits::default().work))
    }

    /// The same as a part of more work.
    ///
    /// # Errors
    /// Those of [`Self::read`]; [`Error::Limit`].
    pub fn read_within(&self, id: &ObjectId, work: &mut Work) -> Result<Object, Error> {
        if let Some(Object { kind, content }) = self.single.get(id) {
            return Ok(Object { kind: *kind, content: memory::copy(content)? });
        }
        let found = self.packs.iter().find_map(|pack| pack.read_within(id, work));
        found.unwrap_or_else(|| Err(Error::Missing { name: id.to_string() }))
    }

    /// An object of this kind.
    ///
    /// # Errors
    /// Those of [`Self::read`]; [`Error::Malformed`]: it is of another kind.
    pub fn read_as(&self, kind: Kind, id: &ObjectId) -> Result<Vec<u8>, Error> {
        self.read_as_within(kind, id, &mut Work::new(Limits::default().work))
    }

    /// The same as a part of more work.
    ///
    /// # Errors
    /// Those of [`Self::read_as`]; [`Error::Limit`].
    pub fn read_as_within(
        &self,
        kind: Kind,
        id: &ObjectId,
        work: &mut Work,
    ) -> Result<Vec<u8>, Error> {
        let object = self.read_within(id, work)?;
        let expected = match kind {
            Kind::Commit => "a commit",
            Kind::Tree => "a tree",
            Kind::Blob => "a blob",
            Kind::Tag => "a tag",
        };
        match object.kind == kind {
            true => Ok(object.content),
            false => {
                Err(Error::malformed(expected, format!("{} {id}", object.kind.name()).as_bytes()))
            }
        }
    }

    /// What a name leads to behind tags and, for a commit, its tree; `None` where that is a file's content.
    ///
    /// # Errors
    /// Those of [`Self::read`]; [`Error::Limit`].
    pub fn tip(&self, id: &ObjectId) -> Result<Option<Tip>, Error> {
        let mut at = *id;
        for _ in 0..MOST_TAGS {
            let object = self.read(&at)?;
            match object.kind {
                Kind::Tag => at = object::tag(self.format, &object.content)?,
                Kind::Commit => {
                    let commit = object::commit(self.format, &object.content)?;
                    return Ok(Some(Tip { tree: commit.tree, commit: Some((at, commit)) }));
                }
                Kind::Tree => return Ok(Some(Tip { tree: at, commit: None })),
                Kind::Blob => return Ok(None),
            }
        }
        Err(Error::Limit { what: "tags of tags", most: MOST_TAGS as u64 })
    }

    /// The entry at `path` below a tree; `None` when there is none. An empty path is the tree itself.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn at_path(&self, tree: ObjectId, path: &str) -> Result<Option<(Mode, ObjectId)>, Error> {
        let mut found = (Mode::Tree, tree);
        let mut work = Work::new(Limits::default().work);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if found.0 != Mode::Tree {
                return Ok(None);
            }
            let content = self.read_as_within(Kind::Tree, &found.1, &mut work)?;
            let mut entries = object::tree(self.format, &content);
            let entry = entries.find(|entry| match entry {
                Ok(entry) => entry.name == name.as_bytes(),
                Err(_) => true,
            });
            match entry.transpose()? {
                Some(entry) => found = (entry.mode, entry.id),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The tree.
    pub tree: ObjectId,
    /// The commit that has it, unless the name leads to a tree.
    pub commit: Option<(ObjectId, Commit)>,
}
