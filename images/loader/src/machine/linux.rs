//! Entry as Linux: its 64-bit boot protocol (Linux, Documentation/arch/x86/boot.rst and zero-page.rst), by which
//! Firecracker before 1.12 and other hypervisors made of rust-vmm's parts start whatever ELF file they are given.

use core::ops::Range;

use loader::memory::Ram;

use super::program::RSDP_LENGTH;
use super::{Boot, fail, physical, start};

/// Reads `struct boot_params`, the "zero page", at `address`.
pub fn read(address: u64) -> Boot {
    within_reach("struct boot_params", &(address..address.saturating_add(SIZE)));
    // SAFETY: the protocol passes the address of its structure in rsi; what it points to is the hypervisor's, does not
    // change any more, and lies below 4 GiB, as has been looked at.
    unsafe {
        let byte = |at| physical::read::<u8>(address + at);
        let low = |at| u64::from(physical::read::<u32>(address + at));
        // Such fields grew: the upper half is elsewhere.
        let long = |at, high| low(at) | low(high) << 32;
        if physical::read::<[u8; 4]>(address + MAGIC) != *b"HdrS" {
            fail(format_args!("entered as Linux without its setup header"));
        }
        let mut ram = Ram::new();
        for i in 0..u64::from(byte(E820_ENTRIES)).min(E820_CAPACITY) {
            let entry: E820Entry =
                physical::read(address + E820_TABLE + i * size_of::<E820Entry>() as u64);
            if entry.kind == RAM {
                ram.add(entry.address, entry.size);
            }
        }
        let size = long(RAMDISK_SIZE, EXT_RAMDISK_SIZE);
        let module = (size > 0).then(|| {
            let start = long(RAMDISK_IMAGE, EXT_RAMDISK_IMAGE);
            start..start.saturating_add(size)
        });
        let line = long(CMD_LINE_PTR, EXT_CMD_LINE_PTR);
        let rsdp: u64 = physical::read(address + ACPI_RSDP_ADDR);
        let rsdp = (rsdp != 0).then(|| rsdp..rsdp.saturating_add(RSDP_LENGTH as u64));
        within_reach("the command line", &(line..line));
        rsdp.iter().for_each(|range| within_reach("ACPI's root pointer", range));
        module.iter().for_each(|range| within_reach("the initrd", range));
        Boot { command_line: physical::c_string(line), ram, module, rsdp }
    }
}

/// Ends the machine where `range` is not in what the entry maps.
fn within_reach(what: &str, range: &Range<u64>) {
    if range.start >= start::MAPPED || range.end > start::MAPPED {
        fail(format_args!("entered as Linux with {what} above 4 GiB"));
    }
}

/// `struct boot_e820_entry`.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct E820Entry {
    address: u64,
    size: u64,
    kind: u32,
}

const RAM: u32 = 1;

/// The structure's size.
const SIZE: u64 = 4096;

// Offsets of its fields.
const ACPI_RSDP_ADDR: u64 = 0x70;
const EXT_RAMDISK_IMAGE: u64 = 0xc0;
const EXT_RAMDISK_SIZE: u64 = 0xc4;
const EXT_CMD_LINE_PTR: u64 = 0xc8;
const E820_ENTRIES: u64 = 0x1e8;
const MAGIC: u64 = 0x202;
const RAMDISK_IMAGE: u64 = 0x218;
const RAMDISK_SIZE: u64 = 0x21c;
const CMD_LINE_PTR: u64 = 0x228;
const E820_TABLE: u64 = 0x2d0;

/// So many entries fit.
const E820_CAPACITY: u64 = 128;
