//! The kernel's calls that `std` does not make.

use core::sync::atomic::AtomicU32;

/// Ends the machine at once, with no destructor run. Machines can report 0 to 127; what is outside is
/// 127.
pub fn exit(code: i32) -> ! {
    // SAFETY: the call has no condition.
    unsafe { sys_exit(code) }
}

/// A length of time as the kernel takes it.
#[repr(C)]
pub(crate) struct Timespec {
    pub seconds: i64,
    pub nanoseconds: i32,
}

/// Timeouts are from now on, not points in time.
pub(crate) const RELATIVE: u32 = 1;

// The kernel's system calls are functions linked to the program.
unsafe extern "C" {
    fn sys_exit(code: i32) -> !;

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
