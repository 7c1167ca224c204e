//! All that lies in a tree, in the order of `git ls-tree -r -t`.

use proto::git::object::{self, Kind, Mode};
use proto::git::store::Store;
use proto::git::{Error, ObjectId};

/// How deep directories lie in one another at most.
const DEEPEST: usize = 1000;
/// How many entries at most: a tree may have another many times over, and each time counts.
const MOST: usize = 1 << 22;

/// An entry with its whole path.
pub type Found = (Vec<u8>, Mode, ObjectId);

/// Goes through a tree, depth first.
pub struct Walk<'a> {
    store: &'a Store,
    /// What is left of each directory, the last first.
    stack: Vec<Vec<Found>>,
    only: Vec<u8>,
    count: usize,
}

impl<'a> Walk<'a> {
    /// Through `tree`, or what of it lies at `only`, above and below.
    ///
    /// # Errors
    /// Those of the iterator.
    pub fn new(store: &'a Store, tree: ObjectId, only: Option<&str>) -> Result<Self, Error> {
        let only = only.unwrap_or_default().trim_matches('/').as_bytes().to_vec();
        let stack = vec![entries(store, tree, b"")?];
        Ok(Self { store, stack, only, count: 0 })
    }

    fn advance(&mut self) -> Result<Option<Found>, Error> {
        while let Some(level) = self.stack.last_mut() {
            let Some(found) = level.pop() else {
                self.stack.pop();
                continue;
            };
            let (path, mode, id) = &found;
            if !meets(path, &self.only) {
                continue;
            }
            self.count += 1;
            if self.count > MOST {
                return Err(Error::Limit { what: "entries of a tree", most: MOST as u64 });
            }
            if *mode == Mode::Tree {
                if self.stack.len() == DEEPEST {
                    let what = "directories in one another";
                    return Err(Error::Limit { what, most: DEEPEST as u64 });
                }
                self.stack.push(entries(self.store, *id, path)?);
            }
            return Ok(Some(found));
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

/// A tree's entries with their whole paths, the last first.
fn entries(store: &Store, tree: ObjectId, above: &[u8]) -> Result<Vec<Found>, Error> {
    let content = store.read_as(Kind::Tree, &tree)?;
    let mut entries = Vec::new();
    for entry in object::tree(store.format(), &content) {
        let entry = entry?;
        // whoever unpacks an archive must not leave its directory
        if matches!(entry.name, b"." | b"..") || entry.name.eq_ignore_ascii_case(b".git") {
            let found = String::from_utf8_lossy(entry.name).into_owned();
            return Err(Error::Malformed { expected: "a file's name", found });
        }
        let path = match above {
            b"" => entry.name.to_vec(),
            above => [above, b"/", entry.name].concat(),
        };
        entries.push((path, entry.mode, entry.id));
    }
    entries.reverse();
    Ok(entries)
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
