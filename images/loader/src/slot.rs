//! The slot in the loader's file that the packing step fills.
//!
//! The loader's ELF file holds one [`SIGNATURE`], aligned to 16 octets, and after it, little-endian:
//!
//! | offset | size | field | as built |
//! | --- | --- | --- | --- |
//! | 16 | 8 | physical address of the program's ELF file | 0 |
//! | 24 | 8 | its length in octets | 0: no program packed |
//! | 32 | 12 | multiboot header | 0: the file is entered by PVH only |
//! | 48 | 8 | physical address of the image's own boot words | 0 |
//! | 56 | 8 | their length in octets | 0: it has none |
//! | 64 | 8 | physical address of the entry in 64-bit mode, as of Linux | filled: the file's own entry is in 32-bit mode |
//! | 72 | 64 | multiboot2 header | [`MULTIBOOT2_HEADER`], without the entry's address |
//!
//! QEMU does not look for the multiboot2 header, so that the one file is entered by PVH there, by multiboot2 from
//! GRUB, and in 64-bit mode by whoever takes it for Linux.

/// Marks the slot.
pub const SIGNATURE: [u8; 16] = *b"hermit-ldr-slot1";

/// Octets in the slot, the signature included.
pub const SIZE: usize = 136;

/// Offset of the program's address.
pub const PROGRAM_ADDRESS: usize = 16;

/// Offset of the program's length.
pub const PROGRAM_LENGTH: usize = 24;

/// Offset of the multiboot header.
pub const MULTIBOOT: usize = 32;

/// Offset of the words' address.
pub const WORDS_ADDRESS: usize = 48;

/// Offset of the words' length.
pub const WORDS_LENGTH: usize = 56;

/// Offset of the entry in 64-bit mode.
pub const LINUX_ENTRY: usize = 64;

/// Offset of the multiboot2 header.
pub const MULTIBOOT2: usize = 72;

/// The multiboot header (Multiboot Specification 0.6.96, §3.1.1): magic, flags, checksum. The flags
/// ask for page-aligned modules and for the memory map.
pub const MULTIBOOT_HEADER: [u32; 3] = [0x1bad_b002, 0b11, 0u32.wrapping_sub(0x1bad_b002 + 0b11)];

/// The multiboot2 header (Multiboot2 Specification 2.0, §3.1): magic, architecture (i386, as the entry is in
/// 32-bit protected mode), length, checksum, and three tags: of the entry, for the file's own may be another; of the framebuffer,
/// which is optional and of any mode, for GRUB on UEFI warns on the console where a kernel takes none (§3.1.10); and
/// the end. What it does not ask for, boot loaders tell all the same: the command line, the memory map, ACPI's root pointer.
pub const MULTIBOOT2_HEADER: [u32; 16] = {
    let (magic, length) = (0xe852_50d6_u32, 64);
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(length);
    // type and flags, size, then an address and three fields that have no preference; each tag has four
    // octets up to the next multiple of 8
    [magic, 0, length, checksum, 3, 12, 0, 0, 5 | 1 << 16, 20, 0, 0, 0, 0, 0, 8]
};

/// Offset in that header of the entry's address.
pub const MULTIBOOT2_ENTRY: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_add_up_to_nothing() {
        let sum = |fields: &[u32]| fields.iter().fold(0, |sum: u32, it| sum.wrapping_add(*it));
        assert_eq!(sum(&MULTIBOOT_HEADER), 0);
        assert_eq!(sum(&MULTIBOOT2_HEADER[..4]), 0);
        assert_eq!(MULTIBOOT2_HEADER[2] as usize, size_of_val(&MULTIBOOT2_HEADER));
        assert_eq!(SIZE, MULTIBOOT2 + size_of_val(&MULTIBOOT2_HEADER));
        // tags begin at multiples of 8: the entry's of 12 octets, the optional one of 20, then the end
        assert_eq!(MULTIBOOT2_HEADER[4..6], [3, 12]);
        assert_eq!(MULTIBOOT2_ENTRY, 6 * 4);
        assert_eq!(MULTIBOOT2_HEADER[8..10], [5 | 1 << 16, 20]);
        assert_eq!(MULTIBOOT2_HEADER[14..], [0, 8]);
    }
}
