//! Commits, trees and tags, as far as a client reads them.

use super::error::Error;
use super::oid::{Format, ObjectId};
use super::refs::id_of;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A state of the tree, with its history.
    Commit,
    /// A directory.
    Tree,
    /// A file's content.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Kind {
    /// As it stands in front of an object's content.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// All of it.
    pub content: Vec<u8>,
}

/// What a tree's entry is; git writes no other modes today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A directory.
    Tree,
    /// A file.
    File,
    /// A file that can be run.
    Executable,
    /// A symbolic link; the blob is its target.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// An entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// What it is.
    pub mode: Mode,
    /// Without `/`, not empty.
    pub name: &'a [u8],
    /// The object.
    pub id: ObjectId,
}

impl Mode {
    /// As it stands in a tree, in octal. Old modes with other bits are read as git reads them: by the kind, and by the
    /// owner's right to run.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut bits = 0_u32;
        for digit in text {
            bits = bits << 3 | char::from(*digit).to_digit(8)?;
        }
        match (text.len(), bits & 0o170_000) {
            (5..=6, 0o040_000) => Some(Self::Tree),
            (6, 0o100_000) if bits & 0o100 != 0 => Some(Self::Executable),
            (6, 0o100_000) => Some(Self::File),
            (6, 0o120_000) => Some(Self::Link),
            (6, 0o160_000) => Some(Self::Submodule),
            _ => None,
        }
    }

    /// As `git ls-tree` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tree => "040000",
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
            Self::Submodule => "160000",
        }
    }
}

/// The entries of a tree's content, in order.
pub fn tree(format: Format, content: &[u8]) -> Tree<'_> {
    Tree { format, rest: content }
}

/// Made by [`tree`].
pub struct Tree<'a> {
    format: Format,
    rest: &'a [u8],
}

impl<'a> Tree<'a> {
    /// How many octets are left.
    pub fn rest(&self) -> usize {
        self.rest.len()
    }

    fn parse(&mut self) -> Option<TreeEntry<'a>> {
        let space = self.rest.iter().take(7).position(|octet| *octet == b' ')?;
        let (mode, rest) = (&self.rest[..space], &self.rest[space + 1..]);
        let zero = rest.iter().position(|octet| *octet == 0)?;
        let (name, rest) = (&rest[..zero], &rest[zero + 1..]);
        let (id, rest) = rest.split_at_checked(self.format.octets())?;
        self.rest = rest;
        let right = !name.is_empty() && !name.contains(&b'/');
        let id = ObjectId::from_octets(self.format, id)?;
        right.then_some(TreeEntry { mode: Mode::parse(mode)?, name, id })
    }
}

impl<'a> Iterator for Tree<'a> {
    type Item = Result<TreeEntry<'a>, Error>;

    /// Ends behind the first entry that is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let before = self.rest;
        Some(self.parse().ok_or_else(|| {
            self.rest = &[];
            Error::malformed("an entry of a tree", before)
        }))
    }
}

/// What a commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: ObjectId,
    /// What came before.
    pub parents: Vec<ObjectId>,
    /// When it was committed, in seconds since 1970; 0 where that is not a number.
    pub time: u64,
    /// The first line of its message.
    pub subject: String,
}

/// The most parents that a commit has.
const MOST_PARENTS: usize = 10_000;

/// Reads a commit's content.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Limit`].
pub fn commit(format: Format, content: &[u8]) -> Result<Commit, Error> {
    let wrong = || Error::malformed("a commit", content);
    let (head, message) = head_and_message(content);
    let mut lines = head.split(|octet| *octet == b'\n');
    let named = |line: Option<&[u8]>, name: &[u8]| id_of(format, line?.strip_prefix(name)?);
    let tree = named(lines.next(), b"tree ").ok_or_else(wrong)?;
    let mut parents = Vec::new();
    let mut time = 0;
    for line in lines {
        if line.starts_with(b"parent ") {
            parents.push(named(Some(line), b"parent ").ok_or_else(wrong)?);
            if parents.len() > MOST_PARENTS {
                return Err(Error::Limit { what: "parents", most: MOST_PARENTS as u64 });
            }
        } else if let Some(person) = line.strip_prefix(b"committer ") {
            let mut words = person.rsplit(|octet| *octet == b' ').skip(1);
            let seconds = words.next().and_then(|word| str::from_utf8(word).ok());
            time = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        }
    }
    let subject = message.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Ok(Commit { tree, parents, time, subject: super::error::printable(subject, 200) })
}

/// What an annotated tag names.
///
/// # Errors
/// [`Error::Malformed`].
pub fn tag(format: Format, content: &[u8]) -> Result<ObjectId, Error> {
    let line = content.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let id = line.strip_prefix(b"object ").and_then(|id| id_of(format, id));
    id.ok_or_else(|| Error::malformed("a tag", content))
}

/// Calls `each` with every object that this one cannot do without. A submodule's commits are another repository's.
///
/// # Errors
/// [`Error::Malformed`]; those of `each`.
pub fn links(
    format: Format,
    kind: Kind,
    content: &[u8],
    mut each: impl FnMut(ObjectId) -> Result<(), Error>,
) -> Result<(), Error> {
    match kind {
        Kind::Blob => Ok(()),
        Kind::Tag => each(tag(format, content)?),
        Kind::Tree => tree(format, content).try_for_each(|entry| {
            let entry = entry?;
            match entry.mode {
                Mode::Submodule => Ok(()),
                _ => each(entry.id),
            }
        }),
        Kind::Commit => {
            let commit = commit(format, content)?;
            each(commit.tree)?;
            commit.parents.into_iter().try_for_each(each)
        }
    }
}

fn head_and_message(content: &[u8]) -> (&[u8], &[u8]) {
    match content.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&content[..end], &content[end + 2..]),
        None => (content, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn entry(mode: &str, name: &str) -> Vec<u8> {
        [mode.as_bytes(), b" ", name.as_bytes(), &[0; 21]].concat()
    }

    #[test]
    fn a_tree_is_read_in_order() {
        let content = [
            entry("100644", "a"),
            entry("100755", "b"),
            entry("120000", "c"),
            entry("40000", "d"),
            entry("160000", "e"),
            entry("100664", "old"),
        ]
        .concat();
        let modes: Vec<_> =
            tree(Format::Sha1, &content).map(|entry| entry.unwrap().mode.name()).collect();
        assert_eq!(modes, ["100644", "100755", "120000", "040000", "160000", "100644"]);
        let mut links_of = 0;
        links(Format::Sha1, Kind::Tree, &content, |_| {
            links_of += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(links_of, 5, "all but the submodule");
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let cut = entry("100644", "a");
        for content in [
            &cut[..cut.len() - 1],
            b"100644 a",
            b"x",
            &entry("100644", ""),
            &entry("100644", "a/b"),
            &entry("100648", "a"),
            &entry("777777", "a"),
            &entry("0100644", "a"),
        ] {
            let entries: Vec<_> = tree(Format::Sha1, content).collect();
            assert!(matches!(entries[..], [Err(_)]), "{content:?}");
        }
    }

    #[test]
    fn a_commit_has_tree_parents_and_time() {
        let text = format!(
            "tree {ID}\nparent {ID}\nparent {ID}\nauthor A <a> 1 +0000\ncommitter B <b> 1700000000 -0130\n\nSubject\x1b\n\nparent x\n"
        );
        let commit = commit(Format::Sha1, text.as_bytes()).unwrap();
        let said = (commit.parents.len(), commit.time, commit.subject.as_str());
        assert_eq!(said, (2, 1_700_000_000, "Subject "));
    }

    #[test]
    fn what_is_no_commit_or_tag_is_refused() {
        for content in ["", "tree x\n", "author\n", &format!("tree {ID}\nparent 1\n")] {
            assert!(commit(Format::Sha1, content.as_bytes()).is_err(), "{content:?}");
            assert!(tag(Format::Sha1, content.as_bytes()).is_err(), "{content:?}");
        }
        assert!(commit(Format::Sha256, format!("tree {ID}\n").as_bytes()).is_err());
        assert!(tag(Format::Sha1, format!("object {ID}\ntype commit\n").as_bytes()).is_ok());
    }
}
