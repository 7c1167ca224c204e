//! Boot words that hypervisors add to the user's, for a Linux that they take every guest for.
//!
//! Where no `--` separates them they reach the program, before the user's words or behind them. None of them could be a
//! target, so those that stand alone are passed over; as the value of an argument, as in `--send rw`, a word is the user's.

/// Whether a word is one of theirs.
pub fn is_word(word: &str) -> bool {
    WORDS.contains(&word) || BEGINNINGS.iter().any(|start| word.starts_with(start))
}

/// Of Firecracker: its default command line and what it adds for a root disk (`rw`, `ro`), and its documentation's.
const WORDS: [&str; 6] = ["no-kvmclock", "noapic", "nomodule", "nomodules", "ro", "rw"];

/// The same with values, and where a device is.
const BEGINNINGS: [&str; 9] = [
    "8250.",
    "console=",
    "i8042.",
    "panic=",
    "pci=",
    "reboot=",
    "root=",
    "swiotlb=",
    "virtio_mmio.device=",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firecrackers_words_are_known() {
        let lines = [
            "reboot=k panic=1 pci=off nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd",
            "console=ttyS0 noapic reboot=k panic=1 pci=off nomodules swiotlb=noforce no-kvmclock",
            "root=/dev/vda rw root=PARTUUID=0-1 ro virtio_mmio.device=4K@0xd0000000:5",
        ];
        for word in lines.join(" ").split(' ') {
            assert!(is_word(word), "{word}");
        }
    }

    #[test]
    fn targets_are_not() {
        for word in ["http://h/rw", "git@root:ro", "pci", "roo", "--root=x", "nomodule@h:x", ""] {
            assert!(!is_word(word), "{word}");
        }
    }
}
