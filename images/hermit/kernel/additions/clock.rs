//! The frequency of the time stamp counter, measured against the programmable interval timer.
//!
//! The kernel's own measurement waits for four interrupts 10 ms apart. Channel 2 of the timer can be
//! read at any time, so here it runs while the kernel starts, and what is waited for is the rest of
//! a few milliseconds.

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::port::Port;

use crate::arch::kernel::processor::get_timestamp;

/// The time stamp when the timer stood at [`FROM`].
static STARTED: AtomicU64 = AtomicU64::new(0);

/// Starts the timer.
pub(crate) fn start() {
    // SAFETY: the timer's second channel drives the speaker, which is off here.
    unsafe {
        let gate = Port::<u8>::new(GATE).read();
        Port::new(GATE).write(gate & !SPEAKER | ENABLE);
        // Channel 2, both octets, mode 0: count down once, output low until 0.
        Port::new(COMMAND).write(0b1011_0000u8);
        Port::new(CHANNEL_2).write((FROM & 0xff) as u8);
        Port::new(CHANNEL_2).write((FROM >> 8) as u8);
    }
    STARTED.store(read().0, Ordering::Relaxed);
}

/// The frequency in megahertz, or nothing where there is no such timer.
pub(crate) fn megahertz() -> Option<u16> {
    // SAFETY: reading the port changes nothing.
    let ended = || unsafe { Port::<u8>::new(GATE).read() & OUTPUT != 0 };
    if ended() {
        // Much was printed, or there is no timer and the bit is a bus that nobody drives.
        start();
    }
    let (first, began) = (STARTED.load(Ordering::Relaxed), FROM);
    for _ in 0..READINGS {
        let (now, count) = read();
        let ticks = u64::from(began.wrapping_sub(count));
        if ended() {
            return None;
        }
        if ticks >= ENOUGH {
            let cycles = now.saturating_sub(first);
            let megahertz = (cycles * FREQUENCY / ticks + 500_000) / 1_000_000;
            return u16::try_from(megahertz).ok().filter(|megahertz| *megahertz >= 100);
        }
    }
    None
}

/// The timer's count and the time stamp when it was read: the best of a few readings, for a machine
/// may be stopped by its host in the middle of one.
fn read() -> (u64, u16) {
    let reading = || {
        let before = get_timestamp();
        // SAFETY: latches and reads the count.
        let count = unsafe {
            Port::new(COMMAND).write(0b1000_0000u8);
            let low = Port::<u8>::new(CHANNEL_2).read();
            let high = Port::<u8>::new(CHANNEL_2).read();
            u16::from_le_bytes([low, high])
        };
        let after = get_timestamp();
        (after.saturating_sub(before), before, count)
    };
    let best = [reading(), reading(), reading()].into_iter().min_by_key(|(length, ..)| *length);
    let (_, before, count) = best.unwrap_or_default();
    // The command that latches is the first thing done.
    (before, count)
}

/// The timer's start.
const FROM: u16 = 0xffff;

/// Hertz.
const FREQUENCY: u64 = 1_193_182;

/// 3 ms: a reading is a microsecond off.
const ENOUGH: u64 = 3580;

/// A count of the timer lasts less than a microsecond and a reading longer, so this is far too many.
const READINGS: usize = 100_000;

const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
const GATE: u16 = 0x61;

// Bits of the gate's port.
const ENABLE: u8 = 1;
const SPEAKER: u8 = 1 << 1;
const OUTPUT: u8 = 1 << 5;
