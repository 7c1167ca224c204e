//! The bare machine: everything of the loader that reads and writes it.
#![allow(unsafe_code)]

mod console;
mod linux;
mod multiboot;
mod multiboot2;
mod physical;
mod program;
mod pvh;
mod start;
mod tables;

use core::fmt;
use core::num::NonZeroU64;
use core::ops::Range;

use hermit_entry::boot_info::{BootInfo, HardwareInfo, PlatformInfo, RawBootInfo, SerialPortBase};
use hermit_entry::elf::KernelObject;
use loader::memory::{LARGE_PAGE, Ram};
use loader::{fdt, words};

/// What the entry protocol tells.
struct Boot {
    /// The boot words, without the name of the image.
    command_line: &'static [u8],
    ram: Ram,
    /// The first module, where there is one.
    module: Option<Range<u64>>,
    /// Where ACPI's root pointer is, where the protocol names it; in the first 4 GiB.
    rsdp: Option<Range<u64>>,
}

/// Goes from the entry to the kernel. `info` is the protocol's structure.
extern "C" fn rust_start(info: u64, protocol: u32) -> ! {
    let boot = match protocol {
        start::PVH => pvh::read(info),
        start::LINUX => linux::read(info),
        multiboot2::MAGIC => multiboot2::read(info),
        _ => multiboot::read(info),
    };
    let program = boot.module.clone().or_else(program::packed);
    let Some(program) = program else {
        fail(format_args!("no program: pack one into the image, or give one with -initrd"));
    };
    if !boot.ram.holds(&program) {
        fail(format_args!("{} of memory cannot hold the program's file", Mebi(boot.ram.total())));
    }

    // Before the program's memory is written, which may be where the image's own words are.
    let buffers = program::buffers();
    // SAFETY: as below; nothing has been written yet.
    let own = program::words()
        .filter(|words| boot.ram.holds(words))
        .map_or(&[][..], |words| unsafe { physical::bytes(words) });
    let command_line = match words::for_kernel(own, boot.command_line, &mut buffers.command_line) {
        Ok(line) => line,
        Err(error) => {
            console::line(format_args!("loader: boot arguments: {error}"));
            console::exit(BAD_ARGUMENTS);
        }
    };

    // The kernel reads it at a place that is mapped and that it leaves alone.
    let rsdp = boot.rsdp.map(|rsdp| {
        let length = program::RSDP_LENGTH.min((rsdp.end - rsdp.start) as usize);
        // SAFETY: as above.
        let octets = unsafe { physical::bytes(rsdp.start..rsdp.start + length as u64) };
        buffers.rsdp[..length].copy_from_slice(octets);
        buffers.rsdp.as_ptr().addr() as u64
    });

    // SAFETY: the range is RAM that the entry's tables map, filled before the loader was entered;
    // the image's place, the only memory written from now on but the loader's own, is chosen beside it.
    let file = unsafe { physical::bytes(program.clone()) };
    let object = match KernelObject::parse(file) {
        Ok(object) => object,
        Err(error) => fail(format_args!("the program cannot be loaded: {error}")),
    };
    let size = object.mem_size() as u64;
    let image = boot.ram.place(size, start::END, start::MAPPED, &program);
    let needed = size.next_multiple_of(LARGE_PAGE) + LEAST_HEAP;
    let image = match image {
        Some(image) if boot.ram.above(image.start) >= needed => image,
        _ => fail(format_args!(
            "{} of memory is too little for this program: it needs {}",
            Mebi(boot.ram.total()),
            Mebi(start::END + needed + FIRMWARE),
        )),
    };

    // SAFETY: the place is RAM, mapped, and overlaps neither the loader nor the program's file.
    let memory = unsafe { physical::uninit(image.clone()) };
    let loaded = object.load_kernel(memory, image.start);

    if fdt::write(&mut buffers.fdt, &boot.ram, rsdp).is_err() {
        fail(format_args!("the device tree is too long"));
    }

    // SAFETY: the kernel needs nothing else to be mapped: it maps RAM above its image by itself.
    let root = unsafe { tables::for_kernel(&image) };
    let end = image.end.next_multiple_of(LARGE_PAGE);
    let info = BootInfo {
        hardware_info: HardwareInfo {
            // The kernel only asks for the start, to count what is gone before the heap.
            phys_addr_range: end..end,
            serial_port_base: SerialPortBase::new(console::PORT),
            device_tree: NonZeroU64::new(buffers.fdt.as_ptr().addr() as u64),
        },
        load_info: loaded.load_info,
        platform_info: PlatformInfo::Multiboot {
            command_line: Some(command_line),
            multiboot_info_addr: NonZeroU64::new(info).unwrap_or(NonZeroU64::MIN),
        },
    };
    let info = buffers.boot_info.write(RawBootInfo::from(info));
    // SAFETY: the tables map the loader's own memory, with `info` and all that it points to, and
    // the image, whose entry this is.
    unsafe { start::enter(root, loaded.entry_point, info) }
}

/// Ends the machine with one line that says why.
fn fail(cause: fmt::Arguments<'_>) -> ! {
    console::line(format_args!("loader: {cause}"));
    console::exit(OUR_FAULT)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    fail(format_args!("{}", info.message()))
}

/// A size in mebibytes, rounded up.
struct Mebi(u64);

impl fmt::Display for Mebi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(1 << 20))
    }
}

/// Memory that kernel and program need besides the image: the kernel keeps 4 MiB for page tables and
/// a tenth of the rest for stacks, and a program with TLS and a network device needs 8 MiB.
const LEAST_HEAP: u64 = 14 << 20;

/// At least what firmware keeps of the memory that a machine is given.
const FIRMWARE: u64 = 1 << 20;

// Exit codes, as in sysexits.h.
const BAD_ARGUMENTS: u8 = 64;
const OUR_FAULT: u8 = 70;
