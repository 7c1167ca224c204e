//! Names that a tree must not have, and the order of those that it has: whoever unpacks an archive of it must stay in
//! one directory, and find one thing under one name.
//!
//! As git's own check (`git fsck`) has it: `.`, `..`, and `.git` in all forms in which a file system of macOS or
//! Windows takes it for the repository's own directory.

use super::error::Error;
use super::memory;
use super::object::{self, Mode, TreeEntry};
use super::oid::Format;

/// Checks all entries of a tree's content: names in git's order, none twice, none that leads elsewhere.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Memory`].
pub fn check(format: Format, content: &[u8]) -> Result<(), Error> {
    let mut entries: Vec<TreeEntry<'_>> = Vec::new();
    for entry in object::tree(format, content) {
        let entry = entry?;
        if leads_elsewhere(entry.name) {
            return Err(Error::malformed("a file's name", entry.name));
        }
        if let Some(last) = entries.last()
            && key(last).cmp(key(&entry)).is_ge()
        {
            return Err(Error::malformed("names of a tree in order, each once", entry.name));
        }
        // a file and a directory of one name need not stand side by side: `a`, `a.b`, `a/`
        let is_file = |known: &TreeEntry<'_>| key(known).cmp(entry.name.iter().copied());
        if entry.mode == Mode::Tree && entries.binary_search_by(is_file).is_ok() {
            return Err(Error::malformed("names of a tree in order, each once", entry.name));
        }
        memory::push(&mut entries, entry)?;
    }
    Ok(())
}

/// What a tree is sorted by: a directory's name has a slash at its end.
fn key<'a>(entry: &TreeEntry<'a>) -> impl Iterator<Item = u8> + use<'a> {
    let slash = (entry.mode == Mode::Tree).then_some(b'/');
    entry.name.iter().copied().chain(slash)
}

/// Whether a name is one of a directory's own entries, or of a repository's own directory.
pub fn leads_elsewhere(name: &[u8]) -> bool {
    // a backslash parts directories elsewhere
    let is_windows = || name.split(|octet| *octet == b'\\').any(is_git_on_windows);
    matches!(name, b"." | b"..") || is_git_on_macos(name) || is_windows()
}

/// HFS+ folds case, and takes no notice of some characters.
fn is_git_on_macos(name: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(name) else { return false };
    let seen = text.chars().filter(|c| {
        let unseen = ['\u{200c}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{206a}'..='\u{206f}'];
        !unseen.iter().any(|range| range.contains(c)) && *c != '\u{feff}'
    });
    seen.map(|c| c.to_ascii_lowercase()).eq(".git".chars())
}

/// NTFS folds case, drops dots and spaces at the end, has streams behind a colon, and knows the directory by a short
/// name, too.
fn is_git_on_windows(name: &[u8]) -> bool {
    let name = name.split(|octet| *octet == b':').next().unwrap_or_default();
    let [.., last] = name else { return false };
    let name = match last {
        b'.' | b' ' => {
            let end = name.iter().rposition(|octet| !matches!(octet, b'.' | b' '));
            &name[..end.map_or(0, |end| end + 1)]
        }
        _ => name,
    };
    name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_repositorys_own_directory_are_found() {
        for name in [
            ".",
            "..",
            ".git",
            ".GIT",
            ".git.",
            ".git . ",
            "git~1",
            "GIT~1 ",
            ".git:x",
            ".git::$INDEX_ALLOCATION",
            "a\\.git",
            ".git\\a",
            "..\\git~1",
            ".g\u{200c}it",
            "\u{feff}.Git\u{206f}",
        ] {
            assert!(leads_elsewhere(name.as_bytes()), "{name:?}");
        }
        for name in [
            "...",
            ".gitignore",
            ".gitmodules",
            "git",
            "git~2",
            "git~1a",
            ".git~1",
            "a.git",
            ".git a",
            ".g\u{e9}t",
            ":",
            " ",
            "a\\b",
            ".gi\u{200b}t",
        ] {
            assert!(!leads_elsewhere(name.as_bytes()), "{name:?}");
        }
        assert!(!leads_elsewhere(b".git\xff"), "no text");
    }

    fn tree(entries: &[(&str, &str)]) -> Result<(), Error> {
        let mut content = Vec::new();
        for (mode, name) in entries {
            content.extend([mode.as_bytes(), b" ", name.as_bytes(), &[0; 21]].concat());
        }
        check(Format::Sha1, &content)
    }

    #[test]
    fn names_stand_in_order_and_once() {
        const FILE: &str = "100644";
        const LINK: &str = "120000";
        const TREE: &str = "40000";
        assert_eq!(tree(&[(FILE, "a"), (FILE, "a.b"), (TREE, "b"), (FILE, "b0")]), Ok(()));
        assert_eq!(tree(&[(FILE, "b.c"), (TREE, "b"), (FILE, "b0")]), Ok(()), "`b/` behind `b.c`");
        assert_eq!(tree(&[(TREE, "a"), (FILE, "aa"), (TREE, "aaa")]), Ok(()));
        for entries in [
            &[(FILE, "b"), (FILE, "a")][..],
            &[(FILE, "a"), (FILE, "a")],
            &[(LINK, "a"), (TREE, "a")],
            &[(TREE, "a"), (TREE, "a")],
            &[(LINK, "a"), (FILE, "a.b"), (TREE, "a")],
            &[(TREE, "a"), (LINK, "a")],
            &[(TREE, "b"), (FILE, "b.c")],
        ] {
            assert!(matches!(tree(entries), Err(Error::Malformed { .. })), "{entries:?}");
        }
    }
}
