//! The frequency of the time stamp counter, measured against the programmable interval timer.
//!
//! The kernel's own measurement waits for four interrupts 10 ms apart. The timer can be read at any
//! time, so here it runs while the kernel starts, and what is waited for is the rest of a few
//! milliseconds.

use core::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use x86_64::instructions::port::Port;

use crate::arch::kernel::processor::get_timestamp;

/// The time stamp of the first reading.
static TIMESTAMP: AtomicU64 = AtomicU64::new(0);

/// The count of the first reading.
static COUNT: AtomicU16 = AtomicU16::new(0);

/// Starts the timer. Its interrupt is masked, or interrupts are off, whenever this is called.
pub(crate) fn start() {
    // SAFETY: the kernel uses the timer for nothing else.
    unsafe {
        // Channel 0, both octets, mode 0: count down once, output low until 0.
        Port::new(COMMAND).write(0b0011_0000u8);
        Port::new(CHANNEL_0).write((FROM & 0xff) as u8);
        Port::new(CHANNEL_0).write((FROM >> 8) as u8);
    }
    // Not the start is where measuring begins, for the code after it may run for the first time, which
    // takes long on an emulated machine.
    let first = read();
    TIMESTAMP.store(first.timestamp, Ordering::Relaxed);
    COUNT.store(first.count, Ordering::Relaxed);
}

/// The frequency in megahertz, or nothing where there is no such timer.
pub(crate) fn megahertz() -> Option<u16> {
    if read().ended {
        // Much was printed since the start, or there is no timer and this is a bus without one.
        start();
    }
    let (timestamp, count) = (TIMESTAMP.load(Ordering::Relaxed), COUNT.load(Ordering::Relaxed));
    for _ in 0..READINGS {
        let now = read();
        if now.ended {
            return None;
        }
        let ticks = u64::from(count.saturating_sub(now.count));
        if ticks >= ENOUGH {
            let cycles = now.timestamp.saturating_sub(timestamp);
            let megahertz = (cycles * FREQUENCY / ticks + 500_000) / 1_000_000;
            return u16::try_from(megahertz).ok().filter(|megahertz| *megahertz >= 100);
        }
    }
    None
}

/// What the timer says, and when.
#[derive(Clone, Copy)]
struct Reading {
    timestamp: u64,
    /// How long it took to read.
    took: u64,
    count: u16,
    ended: bool,
}

/// The best of a few readings, for a machine may be stopped by its host in the middle of one.
fn read() -> Reading {
    let reading = || {
        let timestamp = get_timestamp();
        // SAFETY: latches state and count of channel 0 and reads both.
        let [state, low, high] = unsafe {
            Port::new(COMMAND).write(0b1100_0010u8);
            let mut channel = Port::<u8>::new(CHANNEL_0);
            [channel.read(), channel.read(), channel.read()]
        };
        let took = get_timestamp().saturating_sub(timestamp);
        let count = u16::from_le_bytes([low, high]);
        Reading { timestamp, took, count, ended: state & OUTPUT != 0 }
    };
    let first = reading();
    [reading(), reading()].into_iter().fold(first, |a, b| if b.took < a.took { b } else { a })
}

/// The timer's start.
const FROM: u16 = 0xffff;

/// Hertz.
const FREQUENCY: u64 = 1_193_182;

/// 3 ms: a reading is a microsecond off.
const ENOUGH: u64 = 3580;

/// A tick of the timer lasts less than a microsecond and a reading longer, so this is far too many.
const READINGS: usize = 100_000;

const CHANNEL_0: u16 = 0x40;
const COMMAND: u16 = 0x43;

/// Of the state: the output is high, as it is from the count's end on.
const OUTPUT: u8 = 1 << 7;
