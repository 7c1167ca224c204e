//! All that lies in a tree, in the order of `git ls-tree -r -t`.

use proto::git::names;
use proto::git::object::{self, Kind, Mode};
use proto::git::pack::Work;
use proto::git::store::Store;
use proto::git::{Error, ObjectId};

/// How deep directories lie in one another at most.
const DEEPEST: usize = 1000;
/// How many entries at most: a tree may have another many times over, and each time counts.
const MOST: usize = 1 << 22;
/// The longest path in octets.
const LONGEST: usize = 1 << 16;
/// Octets that are inflated and put together for all of its directories at most: a tree that is there many times over is
/// made each time.
const MOST_WORK: u64 = 16 << 30;

/// An entry with its whole path.
pub type Found = (Vec<u8>, Mode, ObjectId);

/// Goes through a tree, depth first.
pub struct Walk<'a> {
    store: &'a Store,
    stack: Vec<Level>,
    only: Vec<u8>,
    count: usize,
    work: Work,
}

/// A directory on the way.
struct Level {
    path: Vec<u8>,
    tree: Vec<u8>,
    /// Octets of the tree that are left.
    left: usize,
}

impl<'a> Walk<'a> {
    /// Through `tree`, or what of it lies at `only`, above and below.
    ///
    /// # Errors
    /// Those of the iterator.
    pub fn new(store: &'a Store, tree: ObjectId, only: Option<&str>) -> Result<Self, Error> {
        let only = only.unwrap_or_default().trim_matches('/').as_bytes().to_vec();
        let mut walk =
            Self { store, stack: Vec::new(), only, count: 0, work: Work::new(MOST_WORK) };
        walk.enter(Vec::new(), &tree)?;
        Ok(walk)
    }

    /// Octets that were put together so far: a measure of the time that it took.
    pub fn work(&self) -> u64 {
        self.work.done()
    }

    fn enter(&mut self, path: Vec<u8>, tree: &ObjectId) -> Result<(), Error> {
        let tree = self.store.read_as_within(Kind::Tree, tree, &mut self.work)?;
        names::check(self.store.format(), &tree)?;
        let left = tree.len();
        self.stack.push(Level { path, tree, left });
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Found>, Error> {
        while let Some(level) = self.stack.last_mut() {
            let mut entries =
                object::tree(self.store.format(), &level.tree[level.tree.len() - level.left..]);
            let Some(entry) = entries.next().transpose()? else {
                self.stack.pop();
                continue;
            };
            level.left = entries.rest();
            let path = match &level.path[..] {
                b"" => entry.name.to_vec(),
                above => [above, b"/", entry.name].concat(),
            };
            if !meets(&path, &self.only) {
                continue;
            }
            let (mode, id) = (entry.mode, entry.id);
            self.count += 1;
            if self.count > MOST {
                return Err(Error::Limit { what: "entries of a tree", most: MOST as u64 });
            }
            if path.len() > LONGEST {
                return Err(Error::Limit { what: "octets of a path", most: LONGEST as u64 });
            }
            if mode == Mode::Tree {
                if self.stack.len() == DEEPEST {
                    let what = "directories in one another";
                    return Err(Error::Limit { what, most: DEEPEST as u64 });
                }
                self.enter(path.clone(), &id)?;
            }
            return Ok(Some((path, mode, id)));
        }
        Ok(None)
    }
}

/// Fails where a tree is not there or makes no sense, and beyond the limits; nothing follows then.
impl Iterator for Walk<'_> {
    type Item = Result<Found, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.stack.clear();
        }
        next.transpose()
    }
}

/// Whether one is the other, or lies below it.
fn meets(path: &[u8], only: &[u8]) -> bool {
    let (short, long) = if path.len() < only.len() { (path, only) } else { (only, path) };
    let below = |rest: &[u8]| rest.is_empty() || short.is_empty() || rest[0] == b'/';
    long.strip_prefix(short).is_some_and(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_meets_what_is_above_and_below() {
        for (path, only, does) in [
            ("a", "", true),
            ("a", "a", true),
            ("a", "a/b", true),
            ("a/b/c", "a/b", true),
            ("a/bc", "a/b", false),
            ("b", "a", false),
            ("ab", "a", false),
        ] {
            assert_eq!(meets(path.as_bytes(), only.as_bytes()), does, "{path} {only}");
        }
    }
}
