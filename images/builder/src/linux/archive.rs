//! An initial file system for Linux: a cpio archive in the `newc` format.
//!
//! Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

/// An archive in the making.
#[derive(Debug, Default)]
pub struct Archive {
    octets: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory; its parent must be there already.
    pub fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    /// Adds a file that may be executed.
    pub fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, 0o100_755, content);
    }

    /// Adds a symbolic link to `to`.
    pub fn link(&mut self, name: &str, to: &str) {
        self.entry(name, 0o120_777, to.as_bytes());
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.octets
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = 1 + u32::from(mode & 0o040_000 != 0);
        // magic; inode, mode, owner, group, links, time, size, device (2), own device (2), name's size, check
        self.octets.extend_from_slice(b"070701");
        let name_size = name.len() as u32 + 1;
        let fields =
            [self.entries, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name_size, 0];
        for field in fields {
            self.octets.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.push(0);
        self.align();
        self.octets.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_closed() {
        let mut archive = Archive::default();
        archive.directory("a");
        archive.file("a/bc", b"hello");
        archive.link("d", "a/bc");
        let octets = archive.finish();
        assert_eq!(octets.len() % 4, 0);
        // header of 110 octets, name with its zero, both to a multiple of 4
        assert_eq!(&octets[112..118], b"070701");
        assert_eq!(&octets[112 + 54..112 + 62], b"00000005");
        assert_eq!(&octets[112 + 116..112 + 121], b"hello");
        assert!(octets.windows(10).any(|part| part == b"TRAILER!!!"));
    }
}
