//! The entries, the way to 64 bits, and the jump to the kernel.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

use hermit_entry::boot_info::RawBootInfo;

/// `protocol` of an entry by PVH; of multiboot's it is what the boot loader left in eax.
pub const PVH: u32 = 1;

/// `protocol` of an entry as Linux is entered in 64-bit mode.
pub const LINUX: u32 = 2;

unsafe extern "C" {
    /// That entry, with `struct boot_params` in rsi.
    pub fn linux_start();
}

/// The loader's own memory begins here.
pub const BEGIN: u64 = 1 << 20;

/// The loader's own memory ends before this.
pub const END: u64 = 2 << 20;

/// The entry maps so much memory, from 0 on.
pub const MAPPED: u64 = 4 << 30;

/// The loader's own memory ends here, on a page.
pub fn end() -> u64 {
    unsafe extern "C" {
        static loader_end: u8;
    }
    (&raw const loader_end).addr() as u64
}

/// Leaves for the kernel.
///
/// # Safety
/// The page tables at `root` map the loader, the image and `info`; `entry` is the kernel's.
pub unsafe fn enter(root: u64, entry: u64, info: &'static RawBootInfo) -> ! {
    // SAFETY: as the caller promises. The kernel takes the stack pointer for the lower end of its
    // 32 KiB boot stack.
    unsafe {
        asm!(
            "mov cr3, {root}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "jmp {entry}",
            root = in(reg) root,
            stack = in(reg) KERNEL_STACK.0.get(),
            entry = in(reg) entry,
            in("rdi") info,
            in("esi") 0,
            options(noreturn),
        )
    }
}

#[repr(C, align(4096))]
struct Stack(UnsafeCell<[u8; 32768]>);

// SAFETY: only ever used as a stack of the one thread.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; 32768]));
static KERNEL_STACK: Stack = Stack(UnsafeCell::new([0; 32768]));

// Page tables of the loader itself, which map the first 4 GiB: the root's first entry, four directories, and
// 2048 large pages. Made by the assembler, for both ways to 64 bits need them before any code of Rust's runs.
global_asm!(
    ".section .data.tables, \"aw\"",
    ".balign 4096",
    ".global tables",
    "tables:",
    ".quad tables + 4096 + 3",
    ".fill 511, 8, 0",
    ".quad tables + 2 * 4096 + 3, tables + 3 * 4096 + 3, tables + 4 * 4096 + 3, tables + 5 * 4096 + 3",
    ".fill 508, 8, 0",
    ".set page, 0x83",
    ".rept 2048",
    ".quad page",
    ".set page, page + 0x200000",
    ".endr",
);

// The note by which PVH finds its entry: XEN_ELFNOTE_PHYS32_ENTRY.
global_asm!(
    ".section .note.pvh, \"a\", @note",
    ".balign 4",
    ".long 4, 4, 18",
    ".asciz \"Xen\"",
    ".long pvh_start",
);

// PVH and multiboot enter in protected mode with flat segments, paging off and interrupts off.
global_asm!(
    ".section .text.start, \"ax\"",
    ".code32",
    ".global pvh_start, multiboot_start",
    "pvh_start:",
    "mov esi, 1",
    "jmp 2f",
    "multiboot_start:",
    "mov esi, eax",
    "2:",
    "cli",
    "cld",
    "mov esp, offset {stack} + 32768",
    "mov edi, ebx",
    // Long mode?
    "mov eax, 0x80000000",
    "cpuid",
    "cmp eax, 0x80000001",
    "jb no_long_mode",
    "mov eax, 0x80000001",
    "cpuid",
    "bt edx, 29",
    "jnc no_long_mode",
    // Paging with physical address extension, long mode, and protection.
    "mov eax, offset tables",
    "mov cr3, eax",
    "mov eax, cr4",
    "or eax, 1 << 5",
    "mov cr4, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 1 << 8",
    "wrmsr",
    "mov eax, cr0",
    "or eax, 1 << 31",
    "mov cr0, eax",
    "lgdt [gdt_pointer]",
    "push 8",
    "mov eax, offset from32",
    "push eax",
    "retf",
    "no_long_mode:",
    "mov ebx, offset no_long_mode_text",
    "5:",
    "mov edx, 0x3fd",
    "in al, dx",
    "test al, 0x20",
    "jz 5b",
    "mov al, [ebx]",
    "test al, al",
    "jz 6f",
    "mov edx, 0x3f8",
    "out dx, al",
    "inc ebx",
    "jmp 5b",
    "6:",
    "mov al, 70",
    "out 0xf4, al",
    "7:",
    "hlt",
    "jmp 7b",
    ".code64",
    // What 32-bit mode leaves in the upper halves is not defined.
    "from32:",
    "mov edi, edi",
    "jmp start64",
    // Linux's 64-bit boot protocol enters in long mode with some page tables that map this, and some segments.
    ".global linux_start",
    "linux_start:",
    "cli",
    "cld",
    "mov rdi, rsi",
    "mov esi, 2",
    "mov eax, offset tables",
    "mov cr3, rax",
    "mov esp, offset {stack} + 32768",
    "lgdt [gdt_pointer]",
    "push 8",
    "mov eax, offset start64",
    "push rax",
    "retfq",
    "start64:",
    "mov eax, 16",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "xor eax, eax",
    "mov fs, eax",
    "mov gs, eax",
    "mov esp, offset {stack} + 32768",
    "call {rust_start}",
    "ud2",
    ".section .rodata.start, \"a\"",
    "no_long_mode_text:",
    ".asciz \"loader: this processor has no 64-bit mode\\n\"",
    ".balign 8",
    // Null, code of 64 bits, data.
    "gdt:",
    ".quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff",
    "gdt_pointer:",
    ".word 23",
    ".quad gdt",
    stack = sym STACK,
    rust_start = sym super::rust_start,
);
