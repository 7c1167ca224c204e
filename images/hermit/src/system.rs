//! The kernel's calls that `std` does not make.

use core::sync::atomic::AtomicU32;
use core::time::Duration;

/// Ends the machine at once, with no destructor run. Machines can report 0 to 127; what is outside is
/// 127.
pub fn exit(code: i32) -> ! {
    // SAFETY: the call has no condition.
    unsafe { sys_exit(code) }
}

/// Since the machine's start, firmware and boot loader included: processors count from 0 at a reset, and
/// hypervisors give each machine a count of its own. Where a machine goes on counting over a reset, from an
/// earlier start.
pub fn uptime() -> Duration {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the kernel writes one such structure.
    unsafe { sys_clock_gettime(CLOCK_MONOTONIC, &raw mut time) };
    let (seconds, nanoseconds) = (u64::try_from(time.seconds), u32::try_from(time.nanoseconds));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}

/// Tells the kernel the time of day, since 1970, from which `std`'s clock goes on. By itself it has KVM's or that of
/// a PC's clock chip; where it has neither, 1970.
pub fn set_time_of_day(time: Duration) {
    sys_set_time_of_day(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

/// A length of time as the kernel takes it.
#[repr(C)]
pub(crate) struct Timespec {
    pub seconds: i64,
    pub nanoseconds: i32,
}

/// The clock that counts from the machine's start.
const CLOCK_MONOTONIC: i32 = 4;

/// Timeouts are from now on, not points in time.
pub(crate) const RELATIVE: u32 = 1;

// The kernel's system calls are functions linked to the program.
unsafe extern "C" {
    fn sys_clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn sys_exit(code: i32) -> !;

    safe fn sys_set_time_of_day(micros: u64);
    pub(crate) fn sys_add_entropy(seed: *const u8, length: usize);
    pub(crate) safe fn sys_entropy_ready() -> bool;
    pub(crate) fn sys_read_entropy(buffer: *mut u8, length: usize, flags: u32) -> isize;

    pub(crate) safe fn sys_interrupt_word(vector: u8) -> Option<&'static AtomicU32>;
    pub(crate) fn sys_futex_wait(
        word: *const AtomicU32,
        expected: u32,
        timeout: *const Timespec,
        flags: u32,
    ) -> i32;
}
