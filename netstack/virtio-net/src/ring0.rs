//! The processor and the memory of an x86-64 machine, seen from ring 0: ports, page tables, DMA
//! memory, the interrupt controller.
//!
//! This is the file that only works inside a unikernel. It stands on four facts about Hermit, which
//! runs program and kernel in one address space in ring 0: RAM and the page tables are
//! mapped at their physical addresses; slots 256 and up of the top table are free; heap pages stay
//! where they are; interrupts 32 and up are acknowledged by the kernel. Unsafe code is
//! what it consists of: there is no safe way to read CR3.
#![allow(unsafe_code)]

use core::arch::asm;
use core::arch::x86_64::CpuidResult;
use core::fmt;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc_zeroed, dealloc};

use spin::Mutex;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::fw_cfg;
use crate::pci::Function;
use crate::platform::{ConfigSpace, Departures, MapError, Platform, Registers};

/// The machine that the program runs on, with nothing between.
#[derive(Clone, Copy, Debug)]
pub struct Ring0(());

/// The program does not run in ring 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRing0 {
    /// The ring it runs in, 1 to 3.
    pub ring: u16,
}

impl fmt::Display for NotRing0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "devices can be driven from ring 0 only, and this is ring {}", self.ring)
    }
}

impl core::error::Error for NotRing0 {}

impl Ring0 {
    /// The machine, if the program runs in ring 0.
    pub fn new() -> Result<Self, NotRing0> {
        match ring() {
            0 => Ok(Self(())),
            ring => Err(NotRing0 { ring }),
        }
    }

    /// Whether the uhyve hypervisor runs this machine: it has none of a PC's devices but what it says itself.
    pub fn is_uhyve(&self) -> bool {
        is_uhyve()
    }
}

impl Platform for Ring0 {
    type Config = Self;
    type Registers = Mmio;
    type Hal = Self;

    fn config(&self) -> Self {
        *self
    }

    unsafe fn map(&self, physical: u64, len: usize) -> Result<Mmio, MapError> {
        let base = map(physical, len)?;
        Ok(Mmio { base, len })
    }

    fn is_memory(&self, physical: u64, len: usize) -> bool {
        // Hermit maps memory, and nothing else, where it is.
        let pages = (physical..physical.saturating_add(len as u64)).step_by(PAGE_SIZE);
        let last = physical.saturating_add(len as u64).saturating_sub(1);
        pages.chain([last]).any(|page| translate(page as usize).is_some())
    }

    fn message(&self, vector: u8) -> (u64, u32) {
        // Fixed delivery, physical destination, edge.
        (0xfee0_0000 | u64::from(apic_id()) << 12, u32::from(vector))
    }

    fn route_line(&self, line: u8, vector: u8) -> Result<(), MapError> {
        // SAFETY: these are the registers of the interrupt controller, at the address that every PC
        // has them; the kernel uses them only while it boots.
        let ioapic = unsafe { self.map(IOAPIC, 0x20)? };
        let access = |register: u32| {
            ioapic.write32(IOAPIC_SELECT, register);
            IOAPIC_WINDOW
        };
        let last = ioapic.read32(access(IOAPIC_VERSION)) >> 16 & 0xff;
        if u32::from(line) > last {
            return Err(MapError::NoSuchLine(line));
        }
        let entry = IOAPIC_TABLE + 2 * u32::from(line);
        ioapic.write32(access(entry), IOAPIC_MASKED);
        ioapic.write32(access(entry + 1), u32::from(apic_id()) << 24);
        ioapic.write32(access(entry), u32::from(vector)); // fixed, edge, active high
        Ok(())
    }

    fn departures(&self) -> Departures {
        if is_uhyve() { Departures::UHYVE } else { Departures::default() }
    }
}

/// Configuration mechanism 1: PCI Local Bus 3.0, 3.2.2.3.2.
impl ConfigSpace for Ring0 {
    fn read(&self, function: Function, offset: u8) -> u32 {
        let value: u32;
        // SAFETY: the ports belong to the host bridge and touch no memory; no interrupt comes
        // between the two accesses, and the flags are as before after them. We are in ring 0: a
        // `Ring0` exists.
        unsafe {
            asm!(
                "pushfq",
                "cli",
                "out dx, eax",
                "mov edx, 0xcfc",
                "in eax, dx",
                "popfq",
                inout("eax") config_address(function, offset) => value,
                inout("edx") 0xcf8 => _,
            );
        }
        value
    }

    fn write(&self, function: Function, offset: u8, value: u32) {
        // SAFETY: as in `read`. What a register does to the machine is the caller's doing, which
        // `pci` restricts to devices that are being taken over.
        unsafe {
            asm!(
                "pushfq",
                "cli",
                "out dx, eax",
                "mov edx, 0xcfc",
                "mov eax, {value:e}",
                "out dx, eax",
                "popfq",
                value = in(reg) value,
                inout("eax") config_address(function, offset) => _,
                inout("edx") 0xcf8 => _,
            );
        }
    }
}

/// QEMU's fw_cfg: docs/specs/fw_cfg.rst, "x86, x86_64 Register Locations".
impl fw_cfg::Ports for Ring0 {
    fn select(&mut self, key: u16) {
        // SAFETY: a `Ring0` exists, so we are in ring 0. The port selects what a later read gives,
        // and nothing else of the machine listens there.
        unsafe { asm!("out dx, ax", in("dx") 0x510_u16, in("ax") key, options(nomem, nostack)) }
    }

    fn read(&mut self, octets: &mut [u8]) {
        // SAFETY: as in `select`; the instruction writes exactly the slice's octets, upwards, as
        // the direction flag is clear wherever Rust runs.
        unsafe {
            asm!(
                "rep insb",
                in("dx") 0x511_u16,
                inout("rcx") octets.len() => _,
                inout("rdi") octets.as_mut_ptr() => _,
                options(nostack, preserves_flags),
            );
        }
    }
}

fn config_address(function: Function, offset: u8) -> u32 {
    1 << 31
        | u32::from(function.bus) << 16
        | u32::from(function.device & 31) << 11
        | u32::from(function.function & 7) << 8
        | u32::from(offset & !3)
}

/// A window of device registers, mapped for good.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    base: usize,
    len: usize,
}

impl Mmio {
    fn at<T>(&self, offset: usize) -> *mut T {
        let inside = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.len);
        assert!(inside, "a register lies inside its window");
        let address = self.base + offset;
        assert!(address.is_multiple_of(align_of::<T>()), "a register is aligned");
        ptr::with_exposed_provenance_mut(address)
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the window was mapped by `Ring0::map` and stays so, and `at` checked the place.
        // Any bits are a valid value of the integers that this is called for.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    fn write<T>(&self, offset: usize, value: T) {
        // SAFETY: as in `read`; that nobody else uses these registers is what `map` was promised.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }
}

impl Registers for Mmio {
    fn size(&self) -> usize {
        self.len
    }

    fn read8(&self, offset: usize) -> u8 {
        self.read(offset)
    }

    fn read16(&self, offset: usize) -> u16 {
        self.read(offset)
    }

    fn read32(&self, offset: usize) -> u32 {
        self.read(offset)
    }

    fn write8(&self, offset: usize, value: u8) {
        self.write(offset, value);
    }

    fn write16(&self, offset: usize, value: u16) {
        self.write(offset, value);
    }

    fn write32(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }
}

// SAFETY: `dma_alloc` gives out heap memory, which is valid, zeroed and aliased by nobody, aligned to
// a page at least, and whose physical address and contiguity were read from the page tables;
// `share` reads them again for the very buffer. Nothing is copied, so `unshare` has nothing to do.
unsafe impl Hal for Ring0 {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        const NONE: (PhysAddr, NonNull<u8>) = (0, NonNull::dangling());
        let Some(layout) = dma_layout(pages) else {
            return NONE;
        };
        // SAFETY: the layout has a size.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            return NONE;
        };
        match contiguous(start.as_ptr() as usize, layout.size()) {
            Some(physical) => (physical, start),
            None => {
                // SAFETY: allocated above with this layout.
                unsafe { dealloc(start.as_ptr(), layout) };
                NONE
            }
        }
    }

    unsafe fn dma_dealloc(_physical: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        match dma_layout(pages) {
            // Its device cannot be stopped (`Departures::no_reset`): what it was given stays its own.
            Some(_) if is_uhyve() => 0,
            Some(layout) => {
                // SAFETY: `dma_alloc` made it with the layout that the number of pages gives.
                unsafe { dealloc(start.as_ptr(), layout) };
                0
            }
            None => -1,
        }
    }

    unsafe fn mmio_phys_to_virt(physical: PhysAddr, size: usize) -> NonNull<u8> {
        let address = map(physical, size).expect("device registers can be mapped");
        NonNull::new(ptr::with_exposed_provenance_mut(address)).expect("a high address is not null")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        contiguous(buffer.cast::<u8>().as_ptr() as usize, buffer.len())
            .expect("queues share buffers of dma memory only, which is contiguous")
    }

    unsafe fn unshare(_physical: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

/// Memory aligned to its size does not straddle the 2 MiB frames that Hermit's heap is made of.
fn dma_layout(pages: usize) -> Option<Layout> {
    let size = pages.checked_mul(PAGE_SIZE).filter(|size| *size > 0)?;
    Layout::from_size_align(size, size.checked_next_power_of_two()?.min(LARGE_PAGE)).ok()
}

/// The physical address of `len` octets at `address`, if they are mapped and contiguous.
fn contiguous(address: usize, len: usize) -> Option<PhysAddr> {
    let (start, mut covered) = translate(address)?;
    while covered < len {
        let (next, more) = translate(address + covered)?;
        if next != start + covered as u64 {
            return None;
        }
        covered += more;
    }
    Some(start)
}

/// The physical address behind a virtual one, and for how many octets it goes on from there: Intel
/// SDM volume 3, 4.5.
fn translate(address: usize) -> Option<(PhysAddr, usize)> {
    if ring() != 0 {
        return None;
    }
    let mut table = top_table();
    for level in (1..=4).rev() {
        let size = 1_usize << (12 + 9 * (level - 1));
        // SAFETY: the tables of the running address space, which Hermit keeps mapped where they are.
        let entry = unsafe { entry(table, index(address, level)).read_volatile() };
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 1 || level < 4 && entry & LARGE != 0 {
            let within = address & (size - 1);
            let frame = entry & ADDRESS & !(size as u64 - 1);
            return Some((frame + within as u64, size - within));
        }
        table = entry & ADDRESS;
    }
    None
}

/// Where the next window of registers goes; 0 before the first. One slot of the top table has
/// room for 512 GiB of them.
static NEXT: Mutex<usize> = Mutex::new(0);

/// Maps device registers, uncached and not executable: their virtual address.
fn map(physical: u64, len: usize) -> Result<usize, MapError> {
    let offset = physical as usize % PAGE_SIZE;
    let first = physical - offset as u64;
    if len == 0 || physical.checked_add(len as u64).is_none_or(|end| end & !PHYSICAL != 0) {
        return Err(MapError::Range);
    }
    let pages = (offset + len).div_ceil(PAGE_SIZE);
    let mut next = NEXT.lock();
    if *next == 0 {
        // SAFETY: reads the top table, as in `translate`.
        let free =
            |slot: &usize| unsafe { entry(top_table(), *slot).read_volatile() & PRESENT == 0 };
        let slot = (256..512).find(free).ok_or(MapError::AddressSpace)?;
        *next = 0xffff_0000_0000_0000 | slot << 39;
    }
    let start = *next;
    if index(start, 4) != index(start + pages * PAGE_SIZE, 4) {
        return Err(MapError::AddressSpace);
    }
    for page in 0..pages {
        let address = start + page * PAGE_SIZE;
        let leaf = leaf_table(address)?;
        let flags = PRESENT | WRITABLE | WRITE_THROUGH | NO_CACHE | NO_EXECUTE;
        // SAFETY: the leaf table is ours, in a slot that nobody else uses, and the entry was not
        // present, so no stale translation of it can be cached (SDM volume 3, 4.10.2.3).
        unsafe {
            entry(leaf, index(address, 1))
                .write_volatile((first + (page * PAGE_SIZE) as u64) | flags);
        }
    }
    *next += pages * PAGE_SIZE;
    Ok(start + offset)
}

/// The lowest table for an address in our slot, made where it is missing.
fn leaf_table(address: usize) -> Result<u64, MapError> {
    let mut table = top_table();
    for level in (2..=4).rev() {
        let place = entry(table, index(address, level));
        // SAFETY: a table of the running address space, in our slot below the top; the lock of
        // `map` keeps others from it.
        let mut value = unsafe { place.read_volatile() };
        if value & PRESENT == 0 {
            value = new_table()? | PRESENT | WRITABLE;
            // SAFETY: as above; the new table is empty.
            unsafe { place.write_volatile(value) };
        }
        table = value & ADDRESS;
    }
    Ok(table)
}

/// A page of zeros for a table, which stays one for good.
fn new_table() -> Result<u64, MapError> {
    let (physical, _) = Ring0::dma_alloc(1, BufferDirection::Both);
    // It will be reached at its physical address, as all tables are.
    match translate(physical as usize) {
        Some((same, _)) if physical != 0 && same == physical => Ok(physical),
        _ => Err(MapError::Memory),
    }
}

fn top_table() -> u64 {
    let cr3: u64;
    // SAFETY: reads a register; callers are in ring 0.
    unsafe { asm!("mov {}, cr3", out(reg) cr3, options(nomem, nostack, preserves_flags)) };
    cr3 & ADDRESS
}

fn entry(table: u64, index: usize) -> *mut u64 {
    ptr::with_exposed_provenance_mut(table as usize + 8 * index)
}

fn index(address: usize, level: usize) -> usize {
    address >> (12 + 9 * (level - 1)) & 511
}

fn ring() -> u16 {
    let cs: u16;
    // SAFETY: reads a register, which every ring may.
    unsafe { asm!("mov {:x}, cs", out(reg) cs, options(nomem, nostack, preserves_flags)) };
    cs & 3
}

/// The local APIC of this processor.
///
/// Where it is an x2APIC it is asked itself: CPUID leaf 1 has the number that it had at its reset, and
/// uhyve passes on the one of whichever of the host's processors it ran on when it asked KVM for CPUID's
/// contents. An interrupt sent there reached nobody, on some boots and not on others.
fn apic_id() -> u8 {
    match read_msr(IA32_APIC_BASE) & X2APIC_ENABLED {
        0 => (cpuid(1).ebx >> 24) as u8,
        // The numbers above 254 are of no use to an interrupt controller's entry, nor to a message.
        _ => read_msr(IA32_X2APIC_ID) as u8,
    }
}

/// Reads a register that every processor with a local APIC in that mode has; callers are in ring 0.
fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading these registers changes nothing, and they are there: see above.
    unsafe {
        asm!(
            "rdmsr",
            in("ecx") register,
            out("eax") low,
            out("edx") high,
            options(nomem, nostack, preserves_flags),
        );
    }
    u64::from(high) << 32 | u64::from(low)
}

/// uhyve names itself in the processor's brand: CPUID leaves 0x80000002 and following.
fn is_uhyve() -> bool {
    let CpuidResult { eax, ebx, ecx, edx } = cpuid(0x8000_0002);
    let start = [eax, ebx, ecx, edx].map(u32::to_le_bytes);
    start.as_flattened().starts_with(b"uhyve - ")
}

fn cpuid(leaf: u32) -> CpuidResult {
    #[allow(unused_unsafe)] // newer compilers know that it is safe
    // SAFETY: every 64-bit processor has CPUID, and gives something for every leaf.
    unsafe {
        core::arch::x86_64::__cpuid(leaf)
    }
}

/// Intel SDM volume 3, 11.12.1.
const IA32_APIC_BASE: u32 = 0x1b;
const X2APIC_ENABLED: u64 = 1 << 10;
const IA32_X2APIC_ID: u32 = 0x802;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const WRITE_THROUGH: u64 = 1 << 3;
const NO_CACHE: u64 = 1 << 4;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
/// The physical address in a table's entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PHYSICAL: u64 = 0x000f_ffff_ffff_ffff;
const LARGE_PAGE: usize = 2 << 20;

/// Intel 82093AA, 3.0.
const IOAPIC: u64 = 0xfec0_0000;
const IOAPIC_SELECT: usize = 0x00;
const IOAPIC_WINDOW: usize = 0x10;
const IOAPIC_VERSION: u32 = 0x01;
const IOAPIC_TABLE: u32 = 0x10;
const IOAPIC_MASKED: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_that_it_is_not_in_ring_0() {
        assert_eq!(Ring0::new().unwrap_err(), NotRing0 { ring: 3 });
    }

    #[test]
    fn outside_ring_0_there_is_no_dma_memory() {
        assert_eq!(Ring0::dma_alloc(1, BufferDirection::Both).0, 0);
    }

    #[test]
    fn dma_memory_is_aligned_to_its_size_up_to_a_large_page() {
        let align = |pages| dma_layout(pages).map(|layout| layout.align());
        assert_eq!(align(1), Some(4096));
        assert_eq!(align(3), Some(16384));
        assert_eq!(align(513), Some(LARGE_PAGE));
        assert_eq!(align(0), None);
        assert_eq!(align(usize::MAX), None);
    }

    #[test]
    fn configuration_addresses_name_function_and_word() {
        let function = Function { bus: 1, device: 3, function: 2 };
        assert_eq!(config_address(function, 0x3c), 0x8001_1a3c);
    }

    #[test]
    fn table_indices_are_nine_bits_each() {
        let address = 0xffff_8000_0020_3000;
        assert_eq!([4, 3, 2, 1].map(|level| index(address, level)), [256, 0, 1, 3]);
    }
}
