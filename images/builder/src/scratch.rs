//! A directory for the files of one run, removed at its end.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh directory that only this user can enter; dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one; `name` is for who looks at it.
    pub fn new(name: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("image-{name}-{}-{number}", process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                // left by a process of that number that was killed
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes what processes have left that were killed.
    pub fn sweep() {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name
                .to_str()
                .and_then(owner)
                .is_some_and(|pid| !Path::new("/proc").join(pid).exists())
            {
                // another user's stays
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The process number in a scratch directory's name.
fn owner(name: &str) -> Option<&str> {
    let mut parts = name.strip_prefix("image-")?.split('-').skip(1);
    let (pid, number) = (parts.next()?, parts.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    (is_number(pid) && is_number(number) && parts.next().is_none()).then_some(pid)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // what cannot be removed is left to the system's cleaning of its temporary directory
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lives_as_long_as_its_owner() {
        let scratch = Scratch::new("scratch").unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("file"), "content").unwrap();
        Scratch::sweep();
        assert!(path.join("file").is_file(), "its process is alive");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn only_names_of_ours_have_an_owner() {
        assert_eq!(owner("image-test-123-0"), Some("123"));
        for name in ["image-test-123", "image-test-x-0", "image--1-2-3", "images-a-1-2", "image-1"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
