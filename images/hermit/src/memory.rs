//! The memory functions that compiled code calls: `memcpy` and its kin, for the program.
//!
//! The kernel has its own, made of the processor's string instructions, for which an emulated machine
//! does a round for every eight octets; so do those of `compiler_builtins`. Measured under QEMU's
//! TCG, in MB/s of copies of 1500 octets and of 1 MiB: string instructions 3900 and 370, vector
//! registers (which TCG keeps in memory) 2100 and 1230, the general registers used here 5800 and
//! 1280. Filling is faster by vector registers: 7800 against 5800.
//!
//! The loops are assembly, for a compiler that sees a loop that copies makes a call of `memcpy` of it.

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};

/// Copies `length` octets between places that do not overlap.
///
/// # Safety
/// As of C's function.
#[cfg_attr(target_os = "hermit", unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: as the caller promises.
    unsafe {
        if length <= SHORT {
            copy_short(to, from, length);
        } else {
            copy_up(to, from, length);
        }
    }
    to
}

/// Copies `length` octets between places that may overlap.
///
/// # Safety
/// As of C's function.
#[cfg_attr(target_os = "hermit", unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: as the caller promises. Upwards is wrong only where `to` lies inside the source.
    unsafe {
        if length <= SHORT {
            copy_short(to, from, length);
        } else if to.addr().wrapping_sub(from.addr()) >= length {
            copy_up(to, from, length);
        } else {
            copy_down(to, from, length);
        }
    }
    to
}

/// Sets `length` octets to the lowest octet of `value`.
///
/// # Safety
/// As of C's function.
#[cfg_attr(target_os = "hermit", unsafe(no_mangle))]
pub unsafe extern "C" fn memset(to: *mut u8, value: i32, length: usize) -> *mut u8 {
    let pattern = u64::from(value as u8) * 0x0101_0101_0101_0101;
    // SAFETY: as the caller promises; each store lies inside the length that its branch knows.
    unsafe {
        match length {
            0 => {}
            1..4 => {
                to.write(pattern as u8);
                to.add(length / 2).write(pattern as u8);
                to.add(length - 1).write(pattern as u8);
            }
            4..8 => {
                to.cast::<u32>().write_unaligned(pattern as u32);
                to.add(length - 4).cast::<u32>().write_unaligned(pattern as u32);
            }
            8..16 => {
                to.cast::<u64>().write_unaligned(pattern);
                to.add(length - 8).cast::<u64>().write_unaligned(pattern);
            }
            _ => asm!(
                "movq {x}, {pattern}",
                "punpcklqdq {x}, {x}",
                // The last 16 octets, and then all whole ones from the start.
                "movups [{to} + {length} - 16], {x}",
                "and {length}, -16",
                "add {length}, {to}",
                "2:",
                "movups [{to}], {x}",
                "add {to}, 16",
                "cmp {to}, {length}",
                "jb 2b",
                x = out(xmm_reg) _,
                pattern = in(reg) pattern,
                to = inout(reg) to => _,
                length = inout(reg) length => _,
                options(nostack),
            ),
        }
    }
    to
}

/// Compares octets: less than, equal to or greater than 0.
///
/// # Safety
/// As of C's function.
#[cfg_attr(target_os = "hermit", unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
    let mut at = 0;
    // SAFETY: as the caller promises; SSE2 is part of the target.
    unsafe {
        while length - at >= 16 {
            let x = _mm_loadu_si128(a.add(at).cast::<__m128i>());
            let y = _mm_loadu_si128(b.add(at).cast::<__m128i>());
            let differ = _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) ^ 0xffff;
            if differ != 0 {
                at += differ.trailing_zeros() as usize;
                return i32::from(*a.add(at)) - i32::from(*b.add(at));
            }
            at += 16;
        }
        while at < length {
            let (x, y) = (*a.add(at), *b.add(at));
            if x != y {
                return i32::from(x) - i32::from(y);
            }
            at += 1;
        }
    }
    0
}

/// Compares octets: 0 where they are equal.
///
/// Not by [`memcmp`]: two functions with the same code are made one by the compiler, and calls of `memcmp` became calls of
/// this one, of which it knows that their sign means nothing. Arrays were no longer in order.
///
/// # Safety
/// As of C's function.
#[cfg_attr(target_os = "hermit", unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
    let mut at = 0;
    let mut differ = 0;
    // SAFETY: as the caller promises; SSE2 is part of the target.
    unsafe {
        while length - at >= 16 {
            let x = _mm_loadu_si128(a.add(at).cast::<__m128i>());
            let y = _mm_loadu_si128(b.add(at).cast::<__m128i>());
            if _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) != 0xffff {
                return 1;
            }
            at += 16;
        }
        while at < length {
            differ |= *a.add(at) ^ *b.add(at);
            at += 1;
        }
    }
    i32::from(differ != 0)
}

/// Counts octets before the first 0.
///
/// # Safety
/// As of C's function.
#[cfg_attr(target_os = "hermit", unsafe(no_mangle))]
pub unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while text.add(length).read_volatile() != 0 {
            length += 1;
        }
    }
    length
}

/// Lengths up to this are loaded as a whole before anything is stored, so overlapping is no matter.
const SHORT: usize = 32;

/// # Safety
/// `length` is at most [`SHORT`], and both places have so many octets.
#[inline(always)]
unsafe fn copy_short(to: *mut u8, from: *const u8, length: usize) {
    /// Copies the first and the last octets of the size of a `T`.
    ///
    /// # Safety
    /// `length` is between one and two sizes of a `T`.
    #[inline(always)]
    unsafe fn ends<T>(to: *mut u8, from: *const u8, length: usize) {
        let rest = length - size_of::<T>();
        // SAFETY: as the caller promises.
        unsafe {
            let first = from.cast::<T>().read_unaligned();
            let last = from.add(rest).cast::<T>().read_unaligned();
            to.cast::<T>().write_unaligned(first);
            to.add(rest).cast::<T>().write_unaligned(last);
        }
    }
    // SAFETY: as the caller promises, and by the branch.
    unsafe {
        match length {
            17.. => ends::<[u64; 2]>(to, from, length),
            8.. => ends::<u64>(to, from, length),
            4.. => ends::<u32>(to, from, length),
            2.. => ends::<u16>(to, from, length),
            1 => to.write(from.read()),
            0 => {}
        }
    }
}

/// Copies from the lower end to the upper one, 64 octets at a time.
///
/// # Safety
/// `length` is more than [`SHORT`], both places have so many octets, and `to` does not lie inside
/// the source.
#[inline(always)]
unsafe fn copy_up(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: as the caller promises. The last 32 octets are loaded before any is overwritten.
    unsafe {
        asm!(
            "movups {x}, [{from} + {length} - 32]",
            "movups {y}, [{from} + {length} - 16]",
            "lea {end}, [{to} + {length}]",
            "sub {length}, 64",
            "jb 3f",
            "2:",
            "mov {a}, [{from}]",
            "mov {b}, [{from} + 8]",
            "mov {c}, [{from} + 16]",
            "mov {d}, [{from} + 24]",
            "mov [{to}], {a}",
            "mov [{to} + 8], {b}",
            "mov [{to} + 16], {c}",
            "mov [{to} + 24], {d}",
            "mov {a}, [{from} + 32]",
            "mov {b}, [{from} + 40]",
            "mov {c}, [{from} + 48]",
            "mov {d}, [{from} + 56]",
            "add {from}, 64",
            "mov [{to} + 32], {a}",
            "mov [{to} + 40], {b}",
            "mov [{to} + 48], {c}",
            "mov [{to} + 56], {d}",
            "add {to}, 64",
            "sub {length}, 64",
            "jae 2b",
            "3:",
            // Less than 64 are left; of those, the last 32 are at hand.
            "add {length}, 32",
            "jle 4f",
            "mov {a}, [{from}]",
            "mov {b}, [{from} + 8]",
            "mov {c}, [{from} + 16]",
            "mov {d}, [{from} + 24]",
            "mov [{to}], {a}",
            "mov [{to} + 8], {b}",
            "mov [{to} + 16], {c}",
            "mov [{to} + 24], {d}",
            "4:",
            "movups [{end} - 32], {x}",
            "movups [{end} - 16], {y}",
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            x = out(xmm_reg) _, y = out(xmm_reg) _,
            end = out(reg) _,
            to = inout(reg) to => _,
            from = inout(reg) from => _,
            length = inout(reg) length => _,
            options(nostack),
        );
    }
}

/// Copies from the upper end to the lower one, 64 octets at a time.
///
/// # Safety
/// `length` is more than [`SHORT`] and both places have so many octets.
#[inline(always)]
unsafe fn copy_down(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: as the caller promises. The first 32 octets are loaded before any is overwritten.
    unsafe {
        asm!(
            "movups {x}, [{from}]",
            "movups {y}, [{from} + 16]",
            "sub {length}, 64",
            "jb 3f",
            "2:",
            "mov {a}, [{from} + {length} + 32]",
            "mov {b}, [{from} + {length} + 40]",
            "mov {c}, [{from} + {length} + 48]",
            "mov {d}, [{from} + {length} + 56]",
            "mov [{to} + {length} + 32], {a}",
            "mov [{to} + {length} + 40], {b}",
            "mov [{to} + {length} + 48], {c}",
            "mov [{to} + {length} + 56], {d}",
            "mov {a}, [{from} + {length}]",
            "mov {b}, [{from} + {length} + 8]",
            "mov {c}, [{from} + {length} + 16]",
            "mov {d}, [{from} + {length} + 24]",
            "mov [{to} + {length}], {a}",
            "mov [{to} + {length} + 8], {b}",
            "mov [{to} + {length} + 16], {c}",
            "mov [{to} + {length} + 24], {d}",
            "sub {length}, 64",
            "jae 2b",
            "3:",
            // Less than 64 are left; of those, the first 32 are at hand.
            "add {length}, 32",
            "jle 4f",
            "mov {a}, [{from} + {length}]",
            "mov {b}, [{from} + {length} + 8]",
            "mov {c}, [{from} + {length} + 16]",
            "mov {d}, [{from} + {length} + 24]",
            "mov [{to} + {length}], {a}",
            "mov [{to} + {length} + 8], {b}",
            "mov [{to} + {length} + 16], {c}",
            "mov [{to} + {length} + 24], {d}",
            "4:",
            "movups [{to}], {x}",
            "movups [{to} + 16], {y}",
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            x = out(xmm_reg) _, y = out(xmm_reg) _,
            to = in(reg) to,
            from = in(reg) from,
            length = inout(reg) length => _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests;
