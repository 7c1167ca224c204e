//! A firmware configuration device that says anything at all.

use virtio_net::fw_cfg::{self, LARGEST_FILE, MOST_FILES, Ports};

/// Item 0 is the signature; the directory is `octets`, and every other item some end of them.
struct Any<'a> {
    octets: &'a [u8],
    rest: &'a [u8],
}

impl Ports for Any<'_> {
    fn select(&mut self, key: u16) {
        self.rest = match key {
            0 => b"QEMU",
            0x19 => self.octets,
            key => &self.octets[usize::from(key) % (self.octets.len() + 1)..],
        };
    }

    fn read(&mut self, octets: &mut [u8]) {
        let (now, later) = self.rest.split_at(octets.len().min(self.rest.len()));
        octets[..now.len()].copy_from_slice(now);
        self.rest = later;
    }
}

/// Whatever the directory says: names keep the prefix's rest, and the bounds hold.
pub fn check(octets: &[u8]) {
    for prefix in ["opt/mimic/", ""] {
        let files = fw_cfg::files(&mut Any { octets, rest: &[] }, prefix);
        assert!(files.len() <= MOST_FILES as usize);
        for file in files {
            assert!(file.octets.len() <= LARGEST_FILE as usize);
            assert!(prefix.len() + file.name.len() <= 56);
        }
    }
}
