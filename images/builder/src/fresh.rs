//! Whether something built is still what its sources would give, without starting cargo.
//!
//! A stamp beside the result lists every input with its modification time and size, and the result's own.
//! It is compared as text: whatever differs, cargo is asked, which knows better.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::workspace::Workspace;

/// The inputs of one build, as they were when this was made.
#[derive(Debug, Clone)]
pub struct Inputs {
    listing: String,
}

impl Inputs {
    /// Lists the workspace's sources and the files `others` (a manifest, a compiler).
    pub fn list(workspace: &Workspace, others: &[PathBuf]) -> io::Result<Self> {
        let mut files = others.to_vec();
        let root = workspace.root();
        files.push(root.join(".cargo/config.toml"));
        let target = workspace.target();
        let mut enter =
            |path: &Path| path != target && !NOT_BUILT.iter().any(|it| root.join(it) == path);
        walk(root, &mut enter, &mut files)?;
        if let Some(project) = workspace.project() {
            walk(project, &mut enter, &mut files)?;
        }
        files.sort();
        files.dedup();
        let listing = files.iter().map(|file| entry(file)).collect();
        Ok(Self { listing })
    }

    /// Whether `stamp` was written for just these inputs and for `result` as it is now.
    pub fn is_fresh(&self, stamp: &Path, result: &Path) -> bool {
        result.is_file() && fs::read_to_string(stamp).is_ok_and(|old| old == self.text(result))
    }

    /// Notes in `stamp` that `result` was built from these inputs.
    pub fn record(&self, stamp: &Path, result: &Path) -> io::Result<()> {
        fs::write(stamp, self.text(result))
    }

    fn text(&self, result: &Path) -> String {
        format!("{}{}", entry(result), self.listing)
    }
}

/// What is in the workspace but in no image and no unix program.
const NOT_BUILT: [&str; 3] = ["images/builder", "images/deploy", "scripts"];

fn entry(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(data) => {
            let (seconds, nanos, size) = (data.mtime(), data.mtime_nsec(), data.size());
            format!("{} {seconds}.{nanos:09} {size}\n", path.display())
        }
        Err(_) => format!("{} absent\n", path.display()),
    }
}

fn walk(
    dir: &Path,
    enter: &mut dyn FnMut(&Path) -> bool,
    files: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type()?.is_dir() {
            // cargo marks what it builds into so
            let built = path.join("CACHEDIR.TAG").is_file();
            if !hidden && !built && enter(&path) {
                walk(&path, enter, files)?;
            }
        } else if !hidden && is_source(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Documents change often and are in nothing that is built; an image's manifest is named by who needs it.
fn is_source(path: &Path) -> bool {
    let manifest = path.extension().is_some_and(|ext| ext == "toml")
        && path.parent().is_some_and(|dir| dir.ends_with("images"));
    !manifest && path.extension().is_none_or(|ext| ext != "md")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::time::{Duration, SystemTime};

    fn list(dir: &Path) -> Inputs {
        let mut files = Vec::new();
        walk(dir, &mut |path| !path.ends_with("skipped"), &mut files).unwrap();
        files.sort();
        Inputs { listing: files.iter().map(|file| entry(file)).collect() }
    }

    #[test]
    fn any_change_of_an_input_is_seen() {
        let scratch = Scratch::new("fresh").unwrap();
        let source = scratch.path().join("source");
        fs::create_dir_all(source.join("skipped")).unwrap();
        fs::create_dir_all(source.join(".git")).unwrap();
        fs::write(source.join("a.rs"), "1").unwrap();
        let result = scratch.path().join("result");
        let stamp = scratch.path().join("stamp");
        assert!(!list(&source).is_fresh(&stamp, &result), "nothing was built");

        fs::write(&result, "r").unwrap();
        list(&source).record(&stamp, &result).unwrap();
        assert!(list(&source).is_fresh(&stamp, &result));

        fs::write(source.join("README.md"), "text").unwrap();
        fs::write(source.join("skipped/b.rs"), "text").unwrap();
        fs::write(source.join(".git/index"), "text").unwrap();
        fs::create_dir_all(source.join("target")).unwrap();
        fs::write(source.join("target/CACHEDIR.TAG"), "Signature").unwrap();
        fs::write(source.join("target/c.rs"), "text").unwrap();
        assert!(list(&source).is_fresh(&stamp, &result), "these are no inputs");

        fs::write(source.join("b.rs"), "2").unwrap();
        assert!(!list(&source).is_fresh(&stamp, &result), "a file more");
        list(&source).record(&stamp, &result).unwrap();

        let file = fs::File::options().write(true).open(source.join("a.rs")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(9)).unwrap();
        assert!(!list(&source).is_fresh(&stamp, &result), "an older file is another file");
        list(&source).record(&stamp, &result).unwrap();

        fs::remove_file(source.join("b.rs")).unwrap();
        assert!(!list(&source).is_fresh(&stamp, &result), "a file less");
        list(&source).record(&stamp, &result).unwrap();

        fs::write(&result, "damaged").unwrap();
        assert!(!list(&source).is_fresh(&stamp, &result), "the result itself");
    }

    #[test]
    fn the_workspace_is_listed_without_what_is_not_built() {
        let workspace = Workspace::find();
        let inputs = Inputs::list(&workspace, &[]).unwrap();
        assert!(inputs.listing.contains("netstack/proto/src/lib.rs"));
        assert!(inputs.listing.contains("Cargo.lock"));
        assert!(inputs.listing.contains(".cargo/config.toml"));
        assert!(!inputs.listing.contains("images/builder/src"));
        assert!(!inputs.listing.contains("images/default.toml"));
        // a module may be called so, too: the directory counts, not the name
        let built = format!("{}/", workspace.target().display());
        assert!(!inputs.listing.contains(&built));
    }
}
