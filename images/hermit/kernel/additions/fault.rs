//! Processor exceptions: each ends the machine, with one line on the console.

use x86_64::registers::control::Cr2;
use x86_64::set_general_handler;
use x86_64::structures::idt::{InterruptDescriptorTable, InterruptStackFrame};

/// The exit code of a machine that was ended by a fault of the software in it (EX_SOFTWARE).
pub(crate) const EXIT_CODE: i32 = 70;

/// Takes over every exception but the one by which the kernel switches the floating point state.
pub(crate) fn install(idt: &mut InterruptDescriptorTable) {
    set_general_handler!(&mut *idt, fault, 0..=6);
    set_general_handler!(&mut *idt, fault, 8..=31);

    // A fault may be that of the stack, so none is handled on it.
    macro_rules! on_stack {
        ($stack:literal: $($exception:ident)*) => {$(
            let address = idt.$exception.handler_addr();
            // SAFETY: the same handler again, and the kernel fills these stacks' table.
            unsafe { idt.$exception.set_handler_addr(address).set_stack_index($stack) };
        )*};
    }
    on_stack!(0: divide_error debug breakpoint overflow bound_range_exceeded invalid_opcode);
    on_stack!(0: invalid_tss segment_not_present stack_segment_fault general_protection_fault);
    on_stack!(0: page_fault x87_floating_point alignment_check simd_floating_point virtualization);
    on_stack!(1: double_fault);
    on_stack!(2: non_maskable_interrupt);
    on_stack!(3: machine_check);
}

fn fault(frame: InterruptStackFrame, vector: u8, error: Option<u64>) {
    let at = frame.instruction_pointer.as_u64() as usize;
    let base = crate::env::get_base_address().as_usize();
    // By the address in the program's file, as addr2line wants it.
    let at = at.wrapping_sub(base);
    let stack = frame.stack_pointer.as_u64();
    let name = NAMES.get(usize::from(vector)).copied().unwrap_or("exception");
    match (vector, Cr2::read_raw()) {
        (PAGE_FAULT, address) if is_overflow(address, stack) => {
            panic_println!("fault: stack overflow (page fault) at {at:#x}");
        }
        (PAGE_FAULT, address) => {
            let access = match error.unwrap_or(0) {
                error if error & 1 << 4 != 0 => "execute",
                error if error & 1 << 1 != 0 => "write",
                _ => "read",
            };
            panic_println!("fault: page fault at {at:#x}: {access} at {address:#x}");
        }
        (vector, _) => {
            let error = error.unwrap_or(0);
            panic_println!("fault: {name} (exception {vector}, error {error:#x}) at {at:#x}");
        }
    }
    crate::scheduler::shutdown(EXIT_CODE);
}

/// Functions touch each page of their frame from the top, so a stack overflows in the page below
/// what the stack pointer says, or, with the frame's space taken at once, a little above it.
fn is_overflow(address: u64, stack: u64) -> bool {
    (stack.saturating_sub(2 * PAGE)..stack.saturating_add(PAGE)).contains(&address)
}

const PAGE: u64 = 4096;

const PAGE_FAULT: u8 = 14;

const NAMES: [&str; 32] = {
    let mut names = ["exception"; 32];
    names[0] = "division error";
    names[2] = "non-maskable interrupt";
    names[3] = "breakpoint";
    names[6] = "invalid instruction";
    names[8] = "double fault";
    names[12] = "stack fault";
    names[13] = "general protection fault";
    names[16] = "floating point error";
    names[17] = "misaligned access";
    names[18] = "machine check";
    names[19] = "floating point error";
    names
};
