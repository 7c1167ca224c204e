//! A word that device interrupts count up, and that a thread can wait for as for any futex.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::synch::futex::futex_wake;

/// Counted up by every interrupt of a watched vector: one word for all of them, so that one thread
/// can wait for several devices.
static WORD: AtomicU32 = AtomicU32::new(0);

static WATCHED: [AtomicBool; 256] = [const { AtomicBool::new(false) }; 256];

/// Called by the generic handler.
pub(crate) fn bump(vector: u8) {
    if WATCHED[usize::from(vector)].load(Ordering::Relaxed) {
        WORD.fetch_add(1, Ordering::SeqCst);
        // The futex checks the word again under the same lock before it blocks a thread, so a wake
        // cannot fall between the check and the blocking.
        futex_wake(&WORD, i32::MAX);
    }
}

/// Watches an interrupt vector and returns the word. Null for a vector of the processor's exceptions.
#[unsafe(no_mangle)]
pub extern "C" fn sys_interrupt_word(vector: u8) -> *const AtomicU32 {
    if vector < 32 {
        return core::ptr::null();
    }
    WATCHED[usize::from(vector)].store(true, Ordering::Relaxed);
    &WORD
}
