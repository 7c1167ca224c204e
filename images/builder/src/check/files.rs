//! The files that servers serve and inputs are read from: made when first asked for, named by their size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The directory of files, and what is known of those made so far.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    made: BTreeMap<String, Content>,
}

/// What a stream of octets is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Octets.
    pub length: u64,
    /// SHA-256.
    pub digest: [u8; 32],
}

impl Content {
    /// Of these octets.
    pub fn of(octets: &[u8]) -> Self {
        Self { length: octets.len() as u64, digest: Sha256::digest(octets).into() }
    }
}

impl Files {
    /// Files in `directory`, which exists and is empty.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.into(), made: BTreeMap::new() }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file `name`, whose name is its size such as `6` or `10M`; every octet value occurs in it.
    pub fn make(&mut self, name: &str) -> Result<(PathBuf, Content)> {
        let path = self.directory.join(name);
        if let Some(content) = self.made.get(name) {
            return Ok((path, *content));
        }
        let length = proto::quantity::size(name).context("files are named by their size")?;
        let mut file = BufWriter::new(
            File::create(&path).with_context(|| format!("cannot make {}", path.display()))?,
        );
        let mut digest = Sha256::new();
        let mut left = length;
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ length;
        let mut chunk = [0; 1 << 16];
        while left > 0 {
            for word in chunk.chunks_exact_mut(8) {
                // xorshift64: nothing that a link could compress or a bug could repeat
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            let part = &chunk[..left.min(chunk.len() as u64) as usize];
            digest.update(part);
            file.write_all(part)?;
            left -= part.len() as u64;
        }
        file.flush()?;
        let content = Content { length, digest: digest.finalize().into() };
        self.made.insert(name.to_owned(), content);
        Ok((path, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn files_are_what_is_said_of_them() {
        let scratch = Scratch::new("files").unwrap();
        let mut files = Files::new(scratch.path());
        for (name, length) in [("0", 0), ("1", 1), ("6", 6), ("65K", 65 << 10)] {
            let (path, content) = files.make(name).unwrap();
            let octets = std::fs::read(path).unwrap();
            assert_eq!(octets.len() as u64, length);
            assert_eq!(content.length, length);
            assert_eq!(content.digest, <[u8; 32]>::from(Sha256::digest(&octets)));
            assert_eq!(files.make(name).unwrap().1, content);
        }
        assert!(files.make("../x").is_err());
    }
}
