//! Files that QEMU hands to its guest beside the command line: the firmware configuration device.
//!
//! Two ports: a key of 16 bits is written to the selector, then the item's octets are read from the
//! data port (QEMU's docs/specs/fw_cfg.rst, "Data Register"). Key 0 reads `QEMU` where the device is; key
//! 0x19 is the directory: a big-endian count, then for each file its size (32 bits), its key (16 bits), two
//! octets of nothing and a name of 56 octets, filled up with zeroes.
//!
//! Bounds: the directory has at most [`MOST_FILES`] files, and files of more than
//! [`LARGEST_FILE`] octets are left out. **Not** here: the DMA interface, writing.

use core::fmt;

/// The device's two ports.
pub trait Ports {
    /// Selects an item and goes to its start.
    fn select(&mut self, key: u16);
    /// Reads the next octets of the selected item.
    fn read(&mut self, octets: &mut [u8]);
}

/// Files in a directory that is read; QEMU itself has some twenty.
pub const MOST_FILES: u32 = 1024;
/// Octets of a file that is read.
pub const LARGEST_FILE: u32 = 1 << 20;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its name behind the prefix that was asked for.
    pub name: String,
    /// What is in it.
    pub octets: Vec<u8>,
}

/// Shows the name and the size: what is in it may be a secret.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} octets)", self.name, self.octets.len())
    }
}

/// The files whose names begin with `prefix`, in the order of the directory; none where there is no
/// such device.
pub fn files(ports: &mut impl Ports, prefix: &str) -> Vec<File> {
    let mut signature = [0; 4];
    ports.select(SIGNATURE);
    ports.read(&mut signature);
    if signature != *b"QEMU" {
        return Vec::new();
    }
    let mut count = [0; 4];
    ports.select(DIRECTORY);
    ports.read(&mut count);
    let count = u32::from_be_bytes(count).min(MOST_FILES);
    let mut entries = vec![0; count as usize * ENTRY];
    ports.read(&mut entries);
    let found = entries.chunks_exact(ENTRY).filter_map(|entry| {
        let size = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let key = u16::from_be_bytes([entry[4], entry[5]]);
        let name = entry[8..].split(|&octet| octet == 0).next()?;
        let name = core::str::from_utf8(name).ok()?.strip_prefix(prefix)?;
        (size <= LARGEST_FILE).then(|| (name.to_owned(), key, size))
    });
    found
        .map(|(name, key, size)| {
            let mut octets = vec![0; size as usize];
            ports.select(key);
            ports.read(&mut octets);
            File { name, octets }
        })
        .collect()
}

const SIGNATURE: u16 = 0;
const DIRECTORY: u16 = 0x19;
const ENTRY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A device with items; what is read behind an item's end is zeroes, as the device gives.
    struct Fake {
        items: BTreeMap<u16, Vec<u8>>,
        selected: u16,
        at: usize,
    }

    impl Fake {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let mut directory = (files.len() as u32).to_be_bytes().to_vec();
            let mut items = BTreeMap::from([(SIGNATURE, b"QEMU".to_vec())]);
            for (index, (name, octets)) in files.iter().enumerate() {
                let key = 0x20 + index as u16;
                directory.extend((octets.len() as u32).to_be_bytes());
                directory.extend(key.to_be_bytes());
                directory.extend([0, 0]);
                let mut padded = name.as_bytes().to_vec();
                padded.resize(56, 0);
                directory.extend(padded);
                items.insert(key, octets.to_vec());
            }
            items.insert(DIRECTORY, directory);
            Self { items, selected: u16::MAX, at: 0 }
        }
    }

    impl Ports for Fake {
        fn select(&mut self, key: u16) {
            (self.selected, self.at) = (key, 0);
        }

        fn read(&mut self, octets: &mut [u8]) {
            let item = self.items.get(&self.selected).map_or(&[][..], |item| item);
            for octet in octets {
                *octet = item.get(self.at).copied().unwrap_or(0);
                self.at += 1;
            }
        }
    }

    #[test]
    fn files_of_a_prefix_are_read() {
        let mut ports = Fake::new(&[
            ("etc/e820", b"memory"),
            ("opt/mimic/ssh-key", b"ed25519:AAAA\n"),
            ("opt/other/x", b"y"),
            ("opt/mimic/empty", b""),
        ]);
        let found = files(&mut ports, "opt/mimic/");
        let names: Vec<_> =
            found.iter().map(|file| (file.name.as_str(), file.octets.as_slice())).collect();
        assert_eq!(names, [("ssh-key", b"ed25519:AAAA\n".as_slice()), ("empty", b"")]);
        assert!(!format!("{found:?}").contains("AAAA"));
    }

    #[test]
    fn where_there_is_no_device_there_are_no_files() {
        // an absent device's ports read as ones
        struct Absent;
        impl Ports for Absent {
            fn select(&mut self, _key: u16) {}
            fn read(&mut self, octets: &mut [u8]) {
                octets.fill(0xff);
            }
        }
        assert_eq!(files(&mut Absent, ""), []);
    }

    #[test]
    fn a_directory_without_end_is_cut() {
        let mut ports = Fake::new(&[("opt/mimic/a", b"1")]);
        ports.items.get_mut(&DIRECTORY).unwrap()[..4].fill(0xff);
        assert_eq!(files(&mut ports, "opt/mimic/").len(), 1);
    }

    #[test]
    fn a_file_that_is_too_large_is_left_out() {
        let mut ports = Fake::new(&[("opt/mimic/a", b"1"), ("opt/mimic/b", b"2")]);
        ports.items.get_mut(&DIRECTORY).unwrap()[4..8]
            .copy_from_slice(&(LARGEST_FILE + 1).to_be_bytes());
        let names: Vec<_> =
            files(&mut ports, "opt/mimic/").into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["b"]);
    }
}
