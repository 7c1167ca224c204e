//! Waiting for interrupts of devices.

use core::ptr;
use core::sync::atomic::AtomicU32;
use core::time::Duration;

use crate::system::{self, RELATIVE, Timespec};

/// Asks the kernel to count interrupts of a vector (32–255) and returns the counter.
///
/// All watched vectors count in one word, so that one thread can [`wait`] for several devices. The
/// kernel acknowledges the interrupt at the processor; devices are the caller's. Vectors 112, 121,
/// 123, 126 and 127 are the kernel's own; INTx lines are vectors 32 and up.
///
/// # Panics
/// For a vector below 32: those are the processor's exceptions.
pub fn watch(vector: u8) -> &'static AtomicU32 {
    system::sys_interrupt_word(vector).expect("vectors below 32 are exceptions")
}

/// Blocks until `*word` is another value than `seen`, or for `timeout`.
///
/// To lose no interrupt: load the word, look at the devices, and then wait with the loaded value. It
/// may return early.
pub fn wait(word: &'static AtomicU32, seen: u32, timeout: Option<Duration>) {
    // The kernel takes what does not fit for no timeout, which is as long.
    let timeout = timeout.and_then(|timeout| {
        Some(Timespec {
            seconds: timeout.as_secs().try_into().ok()?,
            nanoseconds: timeout.subsec_nanos() as i32,
        })
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word lives forever, and the timeout as long as the call. All results mean "look
    // again".
    unsafe { system::sys_futex_wait(word, seen, timeout, RELATIVE) };
}
