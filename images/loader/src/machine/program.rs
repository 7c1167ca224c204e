//! The packed program, and memory of the loader that the kernel reads.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr;

use hermit_entry::boot_info::RawBootInfo;
use loader::slot;

use super::start;

/// Where the packing step put the program's file, if it did.
pub fn packed() -> Option<Range<u64>> {
    filled(slot::PROGRAM_ADDRESS, slot::PROGRAM_LENGTH)
}

/// Where the packing step put the image's own boot words, if it has some.
pub fn words() -> Option<Range<u64>> {
    filled(slot::WORDS_ADDRESS, slot::WORDS_LENGTH)
}

fn filled(address: usize, length: usize) -> Option<Range<u64>> {
    // SAFETY: a static; volatile, for the packing step changes it in the file.
    let bytes = unsafe { (&raw const SLOT.filled).read_volatile() };
    let field = |at: usize| {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(value)
    };
    let (address, length) = (field(address), field(length));
    (length > 0).then_some(address..address.saturating_add(length))
}

/// Memory of the loader that the kernel reads.
pub struct Buffers {
    pub boot_info: MaybeUninit<RawBootInfo>,
    pub fdt: [u8; 4096],
    pub command_line: [u8; 32768],
    pub rsdp: [u8; RSDP_LENGTH],
}

/// Of ACPI's root pointer, version 2 (ACPI 6.5, §5.2.5.3).
pub const RSDP_LENGTH: usize = 36;

/// The buffers; to be called once.
pub fn buffers() -> &'static mut Buffers {
    // SAFETY: the one processor runs the one caller once.
    unsafe { &mut *BUFFERS.0.get() }
}

/// As [`slot`] has it.
#[repr(C, align(16))]
struct Slot {
    filled: [u8; slot::LINUX_ENTRY],
    linux_entry: unsafe extern "C" fn(),
    multiboot2: [u32; slot::MULTIBOOT2_HEADER.len()],
}

const _: () = assert!(core::mem::offset_of!(Slot, multiboot2) == slot::MULTIBOOT2);

#[used]
#[unsafe(link_section = ".boot")]
static SLOT: Slot = Slot {
    filled: {
        let mut bytes = [0; slot::LINUX_ENTRY];
        let mut i = 0;
        while i < slot::SIGNATURE.len() {
            bytes[i] = slot::SIGNATURE[i];
            i += 1;
        }
        bytes
    },
    linux_entry: start::linux_start,
    multiboot2: slot::MULTIBOOT2_HEADER,
};

struct Once<T>(UnsafeCell<T>);

// SAFETY: there is one thread.
unsafe impl<T> Sync for Once<T> {}

static BUFFERS: Once<Buffers> = Once(UnsafeCell::new(Buffers {
    boot_info: MaybeUninit::uninit(),
    fdt: [0; 4096],
    command_line: [0; 32768],
    rsdp: [0; RSDP_LENGTH],
}));

/// hermit-entry's other half, which reads configuration files, asks for a heap; here nothing does.
struct NoHeap;

// SAFETY: every request fails.
unsafe impl GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: NoHeap = NoHeap;
