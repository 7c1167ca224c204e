//! Reading memory by its physical address.
//!
//! The entry's page tables map the first 4 GiB as they are, so an address is a pointer.

use core::mem::MaybeUninit;
use core::ops::Range;
use core::{ptr, slice};

/// Reads a `T` of firmware.
///
/// # Safety
/// The address lies in the first 4 GiB and holds a `T`, at any alignment.
pub unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: as the caller promises; mapped by the entry.
    unsafe { ptr::with_exposed_provenance::<T>(address as usize).read_unaligned() }
}

/// The bytes of a range.
///
/// # Safety
/// The range lies in the first 4 GiB, is not empty and is not written as long as this lives.
pub unsafe fn bytes(range: Range<u64>) -> &'static [u8] {
    let start = ptr::with_exposed_provenance(range.start as usize);
    // SAFETY: as the caller promises; mapped by the entry.
    unsafe { slice::from_raw_parts(start, (range.end - range.start) as usize) }
}

/// The memory of a range, to be written.
///
/// # Safety
/// As for [`bytes`], and nothing else refers to it.
pub unsafe fn uninit(range: Range<u64>) -> &'static mut [MaybeUninit<u8>] {
    let start = ptr::with_exposed_provenance_mut(range.start as usize);
    // SAFETY: as the caller promises; mapped by the entry.
    unsafe { slice::from_raw_parts_mut(start, (range.end - range.start) as usize) }
}

/// The bytes of a C string, without its end. Address 0 is the empty string.
///
/// # Safety
/// The address is 0 or lies in the first 4 GiB and begins a string that is not written later.
pub unsafe fn c_string(address: u64) -> &'static [u8] {
    if address == 0 {
        return &[];
    }
    let mut end = address;
    // SAFETY: as the caller promises.
    unsafe {
        while read::<u8>(end) != 0 {
            end += 1;
        }
        bytes(address..end)
    }
}
