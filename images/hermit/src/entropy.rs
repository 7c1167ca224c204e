//! The kernel's pool of randomness, from which `std` and getrandom draw.
//!
//! The pool keys itself from RDSEED or RDRAND where the processor has them. Elsewhere it has to be
//! [`add`]ed to before anything random is asked for: until then [`fill`] and getrandom give errors,
//! and hash maps of further threads panic. Hash maps of the first thread take their keys before
//! `main`, without a key from the time; a program that has to add the only seed itself and then
//! meets peers runs that in a thread of its own.

use crate::system;

/// Mixes `seed` into the pool, such as octets of a virtio-rng device. 32 octets key it.
///
/// A seed never makes the pool worse, whoever knows it.
pub fn add(seed: &[u8]) {
    // SAFETY: the kernel reads so many octets there.
    unsafe { system::sys_add_entropy(seed.as_ptr(), seed.len()) }
}

/// Whether the pool has a key, by the processor or by [`add`].
pub fn is_ready() -> bool {
    system::sys_entropy_ready()
}

/// Fills `buffer` with random octets, or says that there is no source of them.
pub fn fill(buffer: &mut [u8]) -> Result<(), NoEntropy> {
    let length = buffer.len();
    // SAFETY: the kernel writes so many octets there.
    match unsafe { system::sys_read_entropy(buffer.as_mut_ptr(), length, 0) } {
        // The kernel fills all or nothing.
        filled if filled == length as isize => Ok(()),
        _ => Err(NoEntropy),
    }
}

/// The pool has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEntropy;

impl core::fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no source of randomness: neither RDSEED, RDRAND nor a virtio-rng device")
    }
}

impl core::error::Error for NoEntropy {}
