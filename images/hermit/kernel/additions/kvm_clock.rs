//! KVM's clock: the frequency of the time stamp counter and the time of day, where no device tells them.
//!
//! Linux's Documentation/virt/kvm/x86, cpuid.rst and msr.rst. The host writes both structures while it serves the
//! write to the register that names their address, so that they are complete when the next instruction runs.

use core::arch::x86_64::{__cpuid, _rdtsc};
use core::cell::UnsafeCell;
use core::ptr;

use memory_addresses::VirtAddr;
use x86_64::registers::model_specific::Msr;

use crate::arch::x86_64::mm::paging::virtual_to_physical;

/// The frequency in megahertz, on KVM.
pub(crate) fn megahertz() -> Option<u16> {
    let SystemTime { multiplier, shift, .. } = system_time()?;
    if multiplier == 0 {
        return None;
    }
    let hertz = (1_000_000_000_u128 << 32) / u128::from(multiplier);
    let hertz = shifted(hertz, shift.checked_neg()?)?;
    u16::try_from((hertz + 500_000) / 1_000_000).ok().filter(|megahertz| *megahertz >= 100)
}

/// Microseconds since 1970, on KVM.
pub(crate) fn time_of_day() -> Option<u64> {
    let place = address(WALL.0.get())?;
    // SAFETY: the structure is written by the host alone, now, and nobody else refers to it.
    let wall = unsafe {
        Msr::new(WALL_CLOCK).write(place);
        ptr::read_volatile(WALL.0.get())
    };
    let system = system_time()?;
    // SAFETY: every 64-bit processor has it.
    let since = unsafe { _rdtsc() }.saturating_sub(system.counter);
    let since = shifted(u128::from(since), system.shift)? * u128::from(system.multiplier) >> 32;
    let start = u128::from(wall.seconds) * 1_000_000_000 + u128::from(wall.nanoseconds);
    let now = start + u128::from(system.nanoseconds) + since;
    u64::try_from(now / 1000).ok().filter(|_| wall.seconds > 0)
}

/// What KVM says of the time stamp counter at this moment.
fn system_time() -> Option<SystemTime> {
    let place = address(SYSTEM.0.get())?;
    // SAFETY: as above; after the second write the host writes no more.
    unsafe {
        let mut register = Msr::new(SYSTEM_TIME);
        register.write(place | ENABLE);
        let time = ptr::read_volatile(SYSTEM.0.get());
        register.write(0);
        Some(time)
    }
}

fn has_clock() -> bool {
    #[allow(unused_unsafe)] // newer compilers know that it is safe
    // SAFETY: every 64-bit processor has it.
    let cpuid = |leaf| unsafe { __cpuid(leaf) };
    let hypervisor = cpuid(1).ecx & 1 << 31 != 0;
    // its leaves lie higher where it shows itself as Hyper-V, too
    let base = [0x4000_0000, 0x4000_0100].into_iter().find(|&leaf| {
        let it = cpuid(leaf);
        hypervisor && [it.ebx, it.ecx, it.edx] == [0x4b4d_564b, 0x564b_4d56, 0x0000_004d]
    });
    base.is_some_and(|base| cpuid(base + 1).eax & CLOCK_FEATURE != 0)
}

/// Where the host finds a structure of ours, if this host has such a clock.
fn address<T>(place: *mut T) -> Option<u64> {
    let place = || virtual_to_physical(VirtAddr::new(place as u64));
    has_clock().then(place)?.map(|address| address.as_u64())
}

/// `value * 2^shift`.
fn shifted(value: u128, shift: i8) -> Option<u128> {
    let count = u32::from(shift.unsigned_abs());
    match shift < 0 {
        true => value.checked_shr(count),
        false => value.checked_mul(1_u128.checked_shl(count)?),
    }
}

/// `struct pvclock_wall_clock`: the time of day when the system time was 0.
#[derive(Clone, Copy)]
#[repr(C)]
struct WallClock {
    version: u32,
    seconds: u32,
    nanoseconds: u32,
}

/// `struct pvclock_vcpu_time_info`: the system time at a count of the time stamp counter, and how it goes on.
#[derive(Clone, Copy)]
#[repr(C)]
struct SystemTime {
    version: u32,
    reserved: u32,
    counter: u64,
    nanoseconds: u64,
    multiplier: u32,
    shift: i8,
    flags: u8,
    padding: [u8; 2],
}

/// What the host writes; inside one page.
#[repr(C, align(64))]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: there is one processor, and these are used while it starts the kernel.
unsafe impl<T> Sync for Shared<T> {}

static WALL: Shared<WallClock> =
    Shared(UnsafeCell::new(WallClock { version: 0, seconds: 0, nanoseconds: 0 }));
static SYSTEM: Shared<SystemTime> = Shared(UnsafeCell::new(SystemTime {
    version: 0,
    reserved: 0,
    counter: 0,
    nanoseconds: 0,
    multiplier: 0,
    shift: 0,
    flags: 0,
    padding: [0; 2],
}));

/// MSR_KVM_WALL_CLOCK_NEW.
const WALL_CLOCK: u32 = 0x4b56_4d00;
/// MSR_KVM_SYSTEM_TIME_NEW.
const SYSTEM_TIME: u32 = 0x4b56_4d01;
const ENABLE: u64 = 1;
/// KVM_FEATURE_CLOCKSOURCE2: these two registers are there.
const CLOCK_FEATURE: u32 = 1 << 3;
