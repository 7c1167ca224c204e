//! Entry by multiboot: Multiboot Specification 0.6.96, §3.3.

use loader::memory::Ram;

use super::{Boot, fail, physical};

/// Reads the boot information at `address`.
pub fn read(address: u64) -> Boot {
    // SAFETY: the boot loader passes the address of its structure in ebx; it is 32-bit, so what it
    // points to lies below 4 GiB.
    unsafe {
        let info: Info = physical::read(address);
        if info.flags & MEMORY_MAP == 0 {
            fail(format_args!("entered by multiboot without a memory map"));
        }
        let mut ram = Ram::new();
        let mut at = u64::from(info.map);
        let end = at + u64::from(info.map_length);
        while at < end {
            let entry: MapEntry = physical::read(at);
            if entry.kind == RAM {
                ram.add(entry.address, entry.length);
            }
            // The size does not count itself.
            at += u64::from(entry.size) + 4;
        }
        let module = (info.flags & MODULES != 0 && info.modules > 0).then(|| {
            let [start, end]: [u32; 2] = physical::read(info.module_list.into());
            start.into()..end.into()
        });
        let line = if info.flags & COMMAND_LINE == 0 { 0 } else { info.command_line };
        Boot { command_line: arguments(physical::c_string(line.into())), ram, module, rsdp: None }
    }
}

/// The command line without its first word, by which boot loaders name the image.
fn arguments(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|&c| c == b' ').unwrap_or(line.len());
    &line[end..]
}

/// The first fields of the boot information.
#[derive(Clone, Copy)]
#[repr(C)]
struct Info {
    flags: u32,
    memory: [u32; 2],
    boot_device: u32,
    command_line: u32,
    modules: u32,
    module_list: u32,
    symbols: [u32; 4],
    map_length: u32,
    map: u32,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
struct MapEntry {
    size: u32,
    address: u64,
    length: u64,
    kind: u32,
}

// Flags: which fields are there.
const COMMAND_LINE: u32 = 1 << 2;
const MODULES: u32 = 1 << 3;
const MEMORY_MAP: u32 = 1 << 6;

const RAM: u32 = 1;
