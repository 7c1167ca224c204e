//! Objects by name: packs that were fetched, and single ones that were made here.

use super::error::Error;
use super::object::{self, Commit, Kind, Mode, Object};
use super::oid::{Format, Hasher, ObjectId};
use super::pack::Pack;
use std::collections::{BTreeMap, BTreeSet};

/// A repository's objects, in memory.
#[derive(Default)]
pub struct Store {
    format: Format,
    packs: Vec<Pack>,
    single: BTreeMap<ObjectId, Object>,
    shallow: BTreeSet<ObjectId>,
}

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

    /// The commits whose parents were left out.
    pub fn shallow(&self) -> &BTreeSet<ObjectId> {
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

    /// Adds a pack, and how its arrival changed where history is cut off.
    pub fn add_pack(&mut self, pack: Pack, shallow: &[ObjectId], unshallow: &[ObjectId]) {
        self.packs.push(pack);
        self.shallow.extend(shallow);
        self.shallow.retain(|id| !unshallow.contains(id));
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
    /// [`Error::Missing`], [`Error::Memory`].
    pub fn read(&self, id: &ObjectId) -> Result<Object, Error> {
        if let Some(object) = self.single.get(id) {
            return Ok(object.clone());
        }
        let found = self.packs.iter().find_map(|pack| pack.read(id));
        found.unwrap_or_else(|| Err(Error::Missing { name: id.to_string() }))
    }

    /// An object of this kind.
    ///
    /// # Errors
    /// Those of [`Self::read`]; [`Error::Malformed`]: it is of another kind.
    pub fn read_as(&self, kind: Kind, id: &ObjectId) -> Result<Vec<u8>, Error> {
        let object = self.read(id)?;
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

    /// What a name leads to behind tags and, for a commit, its tree.
    ///
    /// # Errors
    /// Those of [`Self::read`]; [`Error::Malformed`]: it leads to a blob; [`Error::Limit`].
    pub fn tip(&self, id: &ObjectId) -> Result<Tip, Error> {
        let mut at = *id;
        for _ in 0..MOST_TAGS {
            let object = self.read(&at)?;
            match object.kind {
                Kind::Tag => at = object::tag(self.format, &object.content)?,
                Kind::Commit => {
                    let commit = object::commit(self.format, &object.content)?;
                    return Ok(Tip { tree: commit.tree, commit: Some((at, commit)) });
                }
                Kind::Tree => return Ok(Tip { tree: at, commit: None }),
                Kind::Blob => return Err(Error::malformed("a commit or a tree", b"a blob")),
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
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if found.0 != Mode::Tree {
                return Ok(None);
            }
            let content = self.read_as(Kind::Tree, &found.1)?;
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
