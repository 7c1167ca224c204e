//! What the drivers need of the machine below them, as traits: PCI configuration space, device
//! registers, DMA and interrupts.
//!
//! The one implementation for hardware is [`Ring0`](crate::ring0::Ring0); the tests have another, a
//! fake bus with fake devices on it. Nothing above this file names a port, a page table or a symbol
//! of the kernel.

use core::fmt;
use core::sync::atomic::AtomicU32;

use virtio_drivers::Hal;

use crate::pci::Function;

/// A machine: where its PCI configuration space is, how registers are mapped and how an interrupt
/// reaches the processor we run on.
pub trait Platform: Send + 'static {
    /// Access to the PCI configuration space.
    type Config: ConfigSpace;
    /// A mapped window of a device's registers.
    type Registers: Registers;
    /// DMA memory and its translation to physical addresses.
    type Hal: Hal + 'static;

    /// The PCI configuration space of this machine.
    fn config(&self) -> Self::Config;

    /// Maps `len` octets of device registers at a physical address, uncached and not executable.
    ///
    /// The mapping stays for the life of the machine.
    ///
    /// # Safety
    ///
    /// The range must be registers of one device (a window of a memory BAR, say), not memory that
    /// anything else of the program uses.
    #[allow(unsafe_code)] // declared here, implemented in `ring0` and in the tests' fake
    unsafe fn map(&self, physical: u64, len: usize) -> Result<Self::Registers, MapError>;

    /// Whether any of the range is main memory, in which no registers can be.
    fn is_memory(&self, physical: u64, len: usize) -> bool;

    /// The message (address, data) that a device writes to raise `vector` on this processor:
    /// Intel SDM volume 3, 11.11.
    fn message(&self, vector: u8) -> (u64, u32);

    /// Lets interrupt line `line` (as the configuration space names it) raise `vector`, once for
    /// every rising edge.
    fn route_line(&self, line: u8, vector: u8) -> Result<(), MapError>;

    /// What the devices of this machine do otherwise than the specification says.
    fn departures(&self) -> Departures {
        Departures::default()
    }
}

/// How devices depart from the specification. By default they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// The interrupt line is pulsed with every interrupt, and what the status register gives means nothing
    /// (virtio 1.2, 4.1.4.5, has the line stay up until that register was read).
    pub pulsed_lines: bool,
    /// The device looks for buffers, then asks for notifications, and does not look again between the two
    /// (2.7.7.1 and 2.7.13.4.1): a buffer that came meanwhile is seen with the next notification only. So
    /// it is told of every buffer, whether it asked for that or not.
    pub looks_once: bool,
    /// The device raises no interrupt when it has sent (2.7.7.2).
    pub silent_sender: bool,
    /// The Ethernet address that the device tells is that of the host's end of the link.
    pub host_address: bool,
    /// Longer frames than this, in octets with the Ethernet header, come cut off. What the device tells as its
    /// MTU (5.1.4) knows nothing of that.
    pub longest_frame: Option<usize>,
    /// The device does not survive a reset while it runs (2.4), so that it keeps the memory that it was given.
    pub no_reset: bool,
}

impl Departures {
    /// The network device of uhyve 0.10.
    pub const UHYVE: Self = Self {
        pulsed_lines: true,
        looks_once: true,
        silent_sender: true,
        host_address: true,
        longest_frame: Some(1500),
        no_reset: true,
    };
}

/// PCI configuration space, in aligned 32-bit words: PCI Local Bus 3.0, 6.1.
pub trait ConfigSpace: Clone + Send + 'static {
    /// Reads the word at `offset` (a multiple of 4). A function that does not exist reads as ones.
    fn read(&self, function: Function, offset: u8) -> u32;

    /// Writes the word at `offset` (a multiple of 4).
    fn write(&self, function: Function, offset: u8, value: u32);
}

/// A window of device registers. Every access is one access of that width, in program order.
///
/// An access that does not lie inside the window, or is not aligned to its width, is a mistake of
/// the caller: implementations panic. Offsets that a device chooses are checked before they get here.
pub trait Registers: Clone + Send + 'static {
    /// The length of the window in octets.
    fn size(&self) -> usize;
    /// Reads 8 bits.
    fn read8(&self, offset: usize) -> u8;
    /// Reads 16 bits.
    fn read16(&self, offset: usize) -> u16;
    /// Reads 32 bits.
    fn read32(&self, offset: usize) -> u32;
    /// Writes 8 bits.
    fn write8(&self, offset: usize, value: u8);
    /// Writes 16 bits.
    fn write16(&self, offset: usize, value: u16);
    /// Writes 32 bits.
    fn write32(&self, offset: usize, value: u32);
}

/// The kernel's side of interrupts.
pub trait Interrupts {
    /// A word that the kernel increments each time `vector` (32 to 255) is raised.
    fn watch(&self, vector: u8) -> &'static AtomicU32;
}

/// Why registers could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// The address space has no free slot or the window is longer than it can hold.
    AddressSpace,
    /// No memory was left for page tables.
    Memory,
    /// The interrupt controller has no such line.
    NoSuchLine(u8),
    /// The range is empty or wraps around.
    Range,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressSpace => f.write_str("no room in the address space for device registers"),
            Self::Memory => f.write_str("no memory left for page tables"),
            Self::NoSuchLine(line) => {
                write!(f, "the interrupt controller has no line {line}")
            }
            Self::Range => f.write_str("the register window is empty or wraps around"),
        }
    }
}

impl core::error::Error for MapError {}
