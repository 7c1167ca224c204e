//! Entry by PVH: Xen's "x86/HVM direct boot ABI", which QEMU, Firecracker and Cloud Hypervisor speak.

use loader::memory::Ram;

use super::program::RSDP_LENGTH;
use super::{Boot, fail, physical};

/// Reads the start info at `address`.
pub fn read(address: u64) -> Boot {
    // SAFETY: the ABI passes the address of its structure in ebx; what it points to lies below 4 GiB
    // and is firmware's, which does not run any more.
    unsafe {
        let info: StartInfo = physical::read(address);
        if info.magic != MAGIC || info.version < 1 {
            fail(format_args!("entered by PVH without its start info of version 1"));
        }
        let mut ram = Ram::new();
        for i in 0..u64::from(info.memmap_entries) {
            let entry: MemmapEntry =
                physical::read(info.memmap + i * size_of::<MemmapEntry>() as u64);
            if entry.kind == RAM {
                ram.add(entry.address, entry.size);
            }
        }
        let module = (info.modules > 0).then(|| {
            let module: Module = physical::read(info.module_list);
            module.address..module.address.saturating_add(module.size)
        });
        Boot {
            command_line: physical::c_string(info.command_line),
            ram,
            module,
            rsdp: (info.rsdp != 0).then(|| info.rsdp..info.rsdp + RSDP_LENGTH as u64),
        }
    }
}

/// `struct hvm_start_info`.
#[derive(Clone, Copy)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memmap: u64,
    memmap_entries: u32,
    reserved: u32,
}

/// `struct hvm_modlist_entry`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Module {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

/// `struct hvm_memmap_table_entry`.
#[derive(Clone, Copy)]
#[repr(C)]
struct MemmapEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// "xEn3" with the highest bit of "E" set.
const MAGIC: u32 = 0x336e_c578;

/// XEN_HVM_MEMMAP_TYPE_RAM, as in the table of BIOS's E820.
const RAM: u32 = 1;
