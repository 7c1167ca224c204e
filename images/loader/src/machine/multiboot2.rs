//! Entry by multiboot2: Multiboot2 Specification 2.0, §3.6. GRUB speaks it on BIOS and on UEFI alike; on UEFI,
//! where ACPI's root pointer lies at no known place, it is the only one of our protocols that tells it.

use loader::memory::{LARGE_PAGE, Ram};

use super::{Boot, fail, physical};

/// What the boot loader leaves in eax.
pub const MAGIC: u32 = 0x36d7_6289;

/// Reads the boot information at `address`.
pub fn read(address: u64) -> Boot {
    let mut boot = Boot { command_line: &[], ram: Ram::new(), module: None, rsdp: None };
    let mut has_map = false;
    let start = address;
    // SAFETY: the boot loader passes the address of its structure in ebx; all of it lies below 4 GiB, as
    // do modules.
    unsafe {
        let total: u32 = physical::read(start);
        let end = start + u64::from(total);
        let mut at = start + HEADER;
        while at + TAG <= end {
            let [kind, size]: [u32; 2] = physical::read(at);
            let tag = at..at + u64::from(size);
            let body = tag.start + TAG;
            match kind {
                END => break,
                COMMAND_LINE => boot.command_line = physical::c_string(body),
                MODULE if boot.module.is_none() => {
                    let [start, end]: [u32; 2] = physical::read(body);
                    boot.module = Some(start.into()..end.into());
                }
                MEMORY_MAP => {
                    has_map = true;
                    let entry_size: u32 = physical::read(body);
                    let entries = body + 8..tag.end;
                    for entry in entries.step_by((entry_size as usize).max(size_of::<MapEntry>())) {
                        let entry: MapEntry = physical::read(entry);
                        if entry.kind == RAM && entry.length >= LARGE_PAGE {
                            boot.ram.add(entry.address, entry.length);
                        }
                    }
                }
                // The newer one wins, whatever the order.
                OLD_RSDP if boot.rsdp.is_none() => boot.rsdp = Some(body..tag.end),
                NEW_RSDP => boot.rsdp = Some(body..tag.end),
                _ => {}
            }
            // Tags begin at multiples of 8; a size below the tag's own head would never end.
            at += u64::from(size).max(TAG).next_multiple_of(8);
        }
    }
    if !has_map {
        fail(format_args!("entered by multiboot2 without a memory map"));
    }
    boot
}

#[derive(Clone, Copy)]
#[repr(C)]
struct MapEntry {
    address: u64,
    length: u64,
    kind: u32,
    reserved: u32,
}

/// Octets before the first tag.
const HEADER: u64 = 8;

/// Octets of a tag before what is in it.
const TAG: u64 = 8;

// Types of tags.
const END: u32 = 0;
const COMMAND_LINE: u32 = 1;
const MODULE: u32 = 3;
const MEMORY_MAP: u32 = 6;
const OLD_RSDP: u32 = 14;
const NEW_RSDP: u32 = 15;

/// Memory that is free to use, as in the table of BIOS's E820. UEFI leaves it in many pieces; the kernel, which
/// maps all that it is told of in large pages and keeps a list of 16, is not told of the small ones.
const RAM: u32 = 1;
