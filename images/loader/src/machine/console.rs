//! The serial console and the way out.

use core::arch::asm;
use core::fmt::{self, Write};

/// COM1.
pub const PORT: u16 = 0x3f8;

/// Prints one line.
pub fn line(text: fmt::Arguments<'_>) {
    // Writing to the port does not fail, and the panic handler prints by this too.
    let _ = writeln!(Serial, "{text}");
}

/// Ends the machine with an exit code: by QEMU's isa-debug-exit where it is there, else by a triple
/// fault, which resets the machine or, with `-no-reboot`, ends it.
pub fn exit(code: u8) -> ! {
    // SAFETY: the port is QEMU's debug exit or nothing; an interrupt without a table is a triple
    // fault.
    unsafe {
        write(DEBUG_EXIT, code);
        asm!("lidt [{}]", "ud2", in(reg) &[0u64; 2], options(noreturn));
    }
}

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: COM1's line status and data registers; without an UART they read as ones.
            unsafe {
                while read(PORT + LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
                write(PORT, byte);
            }
        }
        Ok(())
    }
}

/// # Safety
/// Writing `value` to the port must not harm memory.
unsafe fn write(port: u16, value: u8) {
    // SAFETY: as the caller promises.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

/// # Safety
/// Reading the port must not harm memory.
unsafe fn read(port: u16) -> u8 {
    let value;
    // SAFETY: as the caller promises.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) }
    value
}

/// QEMU's isa-debug-exit, as the images' machines have it.
const DEBUG_EXIT: u16 = 0xf4;

const LINE_STATUS: u16 = 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
