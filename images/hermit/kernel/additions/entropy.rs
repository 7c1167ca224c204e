//! Random octets for the program: a ChaCha20 generator keyed by the processor's generator, by what
//! the program adds, or by both.
//!
//! This file replaces the kernel's own, which keyed from RDSEED only and whose caller fell back to a
//! 32-bit linear congruential generator without saying so. Here a pool without a key gives an error.

use core::arch::x86_64::{__cpuid, __cpuid_count, _rdrand64_step, _rdseed64_step};
use core::hint::spin_loop;

use hermit_sync::InterruptTicketMutex;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::arch::kernel::processor::{get_timer_ticks, get_timestamp};

bitflags! {
    /// Of a request; none is defined.
    pub struct Flags: u32 {}
}

/// Fills `buf` and returns its length, or -1 where the pool has no key: the one value that `std`
/// reports by a message of its own.
///
/// One request is answered without a key: `std` makes an empty hash map for the environment before
/// `main` and would panic there, where no program can say what is missing. It gets the time. So hash
/// maps of the first thread are only keyed well if the processor has a generator; a program that
/// adds the only seed itself runs what meets peers in a thread of its own.
pub fn read(buf: &mut [u8], _flags: Flags) -> isize {
    let mut pool = POOL.lock();
    pool.stir();
    let first = !core::mem::replace(&mut pool.asked, true);
    if pool.is_keyed() {
        pool.rng().fill_bytes(buf);
    } else if first && buf.len() == HASH_KEYS {
        buf[..8].copy_from_slice(&get_timestamp().to_ne_bytes());
        buf[8..].copy_from_slice(&get_timestamp().to_ne_bytes());
    } else {
        return -1;
    }
    // A slice is never longer than isize::MAX.
    buf.len() as isize
}

/// Mixes `seed` into the pool; it has a key once 32 octets have been added.
pub fn add(seed: &[u8]) {
    let mut pool = POOL.lock();
    pool.mix(seed);
    pool.added = pool.added.saturating_add(seed.len());
}

/// Whether [`read`] gives random octets.
pub fn is_ready() -> bool {
    let mut pool = POOL.lock();
    pool.stir();
    pool.is_keyed()
}

struct Pool {
    /// The state: what comes next is a function of it alone.
    key: [u8; 32],
    /// The generator of that key, where it was used since the key was mixed.
    rng: Option<ChaCha20Rng>,
    /// Octets that the program added.
    added: usize,
    hardware: Hardware,
    /// When the processor's generator was mixed in last, in microseconds.
    stirred: u64,
    /// Whether something was ever read.
    asked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hardware {
    Unknown,
    Absent,
    Mixed,
}

static POOL: InterruptTicketMutex<Pool> = InterruptTicketMutex::new(Pool {
    key: [0; 32],
    rng: None,
    added: 0,
    hardware: Hardware::Unknown,
    stirred: 0,
    asked: false,
});

impl Pool {
    fn is_keyed(&self) -> bool {
        self.hardware == Hardware::Mixed || self.added >= KEY
    }

    fn rng(&mut self) -> &mut ChaCha20Rng {
        let key = self.key;
        self.rng.get_or_insert_with(|| ChaCha20Rng::from_seed(key))
    }

    /// Makes a new key of the old one and the seed. Someone who does not know the old key cannot
    /// foresee the new one, whatever the seed; nor can someone who does not know the seed.
    fn mix(&mut self, seed: &[u8]) {
        for part in seed.chunks(KEY) {
            let mut key = [0; KEY];
            self.rng().fill_bytes(&mut key);
            for (key, seed) in key.iter_mut().zip(part) {
                *key ^= seed;
            }
            self.key = key;
            self.rng = None;
        }
    }

    /// Mixes the processor's generator in where it is due.
    fn stir(&mut self) {
        let now = get_timer_ticks();
        let due = match self.hardware {
            Hardware::Unknown => true,
            Hardware::Absent => false,
            Hardware::Mixed => now.saturating_sub(self.stirred) > INTERVAL,
        };
        if !due {
            return;
        }
        match hardware_seed() {
            Some(seed) => {
                self.mix(&seed);
                self.hardware = Hardware::Mixed;
                self.stirred = now;
            }
            // One that worked before and fails now leaves a pool that was keyed well.
            None if self.hardware == Hardware::Unknown => self.hardware = Hardware::Absent,
            None => {}
        }
    }
}

/// 64 octets of RDSEED, or of RDRAND, or nothing.
fn hardware_seed() -> Option<[u8; 64]> {
    // The target's features claim both for every processor, so CPUID itself is asked.
    // SAFETY: every processor with 64 bits has CPUID and its leaf 0.
    let (rdrand, rdseed) = unsafe {
        let last = __cpuid(0).eax;
        (__cpuid(1).ecx & 1 << 30 != 0, last >= 7 && __cpuid_count(7, 0).ebx & 1 << 18 != 0)
    };
    // SAFETY: CPUID says that the instruction is there.
    let by_rdseed = || rdseed.then(|| sample(|value| unsafe { _rdseed64_step(value) == 1 }));
    // SAFETY: as above.
    let by_rdrand = || rdrand.then(|| sample(|value| unsafe { _rdrand64_step(value) == 1 }));
    by_rdseed().flatten().or_else(|| by_rdrand().flatten())
}

/// Takes eight words from a generator, unless it shows to be broken: there are processors whose
/// RDRAND reports success and gives the same word forever, mostly all ones.
fn sample(mut step: impl FnMut(&mut u64) -> bool) -> Option<[u8; 64]> {
    let mut seed = [0; 64];
    let mut last = 0;
    for part in seed.chunks_exact_mut(8) {
        let mut value = 0;
        let mut tries = 0;
        while !step(&mut value) {
            tries += 1;
            if tries == TRIES {
                return None;
            }
            spin_loop();
        }
        if value == 0 || value == u64::MAX || value == last {
            return None;
        }
        last = value;
        part.copy_from_slice(&value.to_ne_bytes());
    }
    Some(seed)
}

/// Octets in a key.
const KEY: usize = 32;

/// Octets that `std` asks for to key a hash map.
const HASH_KEYS: usize = 16;

/// Microseconds between two uses of the processor's generator.
const INTERVAL: u64 = 1_000_000;

/// RDSEED may have nothing for a while; Intel's guide for RDRAND says 10.
const TRIES: usize = 1000;
