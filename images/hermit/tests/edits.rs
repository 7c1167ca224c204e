//! The build script's editing of the kernel: an edit that does not fit is an error that names it.

#[allow(dead_code)]
#[path = "../build/edits.rs"]
mod edits;
#[allow(dead_code)]
#[path = "../build/source.rs"]
mod source;
#[allow(dead_code)]
#[path = "../build/toolchain.rs"]
mod toolchain;

use std::path::PathBuf;

use edits::{ADDITIONS, EDITS, Edit};

const EDIT: Edit =
    Edit { file: "src/a.rs", anchor: "old", replacement: "new", reason: "because of the test" };

fn apply(edit: &Edit, content: &str) -> Result<String, String> {
    let mut files = vec![
        (PathBuf::from("src/b.rs"), b"old".to_vec()),
        (PathBuf::from("src/a.rs"), content.as_bytes().to_vec()),
    ];
    source::apply(edit, &mut files)?;
    assert_eq!(files[0].1, b"old", "another file stays");
    Ok(String::from_utf8(files.swap_remove(1).1).expect("it was UTF-8"))
}

#[test]
fn an_anchor_that_occurs_once_is_replaced() {
    assert_eq!(apply(&EDIT, "an old line\n").as_deref(), Ok("an new line\n"));
}

#[test]
fn an_anchor_that_does_not_occur_once_fails_by_name() {
    for (content, count) in [("", "0 times"), ("old and old", "2 times")] {
        let error = apply(&EDIT, content).expect_err("it does not fit");
        for part in [EDIT.reason, EDIT.file, "hermit-kernel-0.11.0", count] {
            assert!(error.contains(part), "{part:?} is missing in {error:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_fails_by_name() {
    let error = apply(&Edit { file: "src/c.rs", ..EDIT }, "old").expect_err("no such file");
    assert!(error.contains("no such file in src/c.rs"), "{error}");
}

#[test]
fn another_archive_is_refused() {
    let error = source::verify(b"something else").expect_err("the checksum differs");
    assert!(error.contains("SHA-256"), "{error}");
}

#[test]
fn every_edit_changes_something_and_says_why() {
    for edit in EDITS {
        assert_ne!(edit.anchor, edit.replacement, "{}", edit.reason);
        assert!(!edit.reason.is_empty(), "{}", edit.file);
    }
    let mut names: Vec<_> = ADDITIONS.iter().map(|(name, _)| name).collect();
    names.dedup();
    assert_eq!(names.len(), ADDITIONS.len());
}

#[test]
fn releases_are_read_from_the_compiler_s_version() {
    let minor = toolchain::minor_version;
    assert_eq!(
        minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
        Some(96)
    );
    assert_eq!(minor("rustc 1.101.0-nightly (abc 2027-01-01)"), Some(101));
    assert_eq!(minor("rustc"), None);
}
