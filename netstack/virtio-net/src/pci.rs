//! PCI functions: enumeration, capabilities, BARs, command register and MSI-X.
//!
//! PCI Local Bus specification 3.0, chapter 6; the virtio capabilities are read in
//! [`transport`](crate::transport).
//!
//! Scope: memory BARs (32 and 64 bit) as firmware assigned them, bridges as firmware numbered them,
//! MSI-X with one table entry, interrupt lines. **Not** here: assigning BARs, MSI without X, port
//! BARs, extended (4 KiB) configuration space, hot plug.

use core::fmt;

use crate::platform::{ConfigSpace, MapError, Platform, Registers};

/// The address of one PCI function: `bus:device.function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Bus, 0 to 255.
    pub bus: u8,
    /// Device on the bus, 0 to 31.
    pub device: u8,
    /// Function of the device, 0 to 7.
    pub function: u8,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// What a function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    pub(crate) subsystem: u16,
}

/// Calls `found` for every function behind bus 0, in the order of their addresses on each bus.
///
/// Buses behind bridges are followed as firmware numbered them; each bus is visited once, whatever
/// the bridges say.
pub(crate) fn enumerate<C: ConfigSpace>(config: &C, mut found: impl FnMut(Function, Identity)) {
    let mut seen = [false; 256];
    let mut to_visit = vec![0_u8];
    while let Some(bus) = to_visit.pop() {
        if core::mem::replace(&mut seen[usize::from(bus)], true) {
            continue;
        }
        for device in 0..32 {
            for function in 0..8 {
                let address = Function { bus, device, function };
                let id = config.read(address, reg::ID);
                if id as u16 == 0xffff {
                    if function == 0 {
                        break;
                    }
                    continue;
                }
                let header = (config.read(address, reg::HEADER) >> 16) as u8;
                if header & 0x7f == HEADER_BRIDGE {
                    to_visit.push((config.read(address, reg::BUS_NUMBERS) >> 8) as u8);
                } else {
                    let subsystem = (config.read(address, reg::SUBSYSTEM) >> 16) as u16;
                    let device = (id >> 16) as u16;
                    found(address, Identity { vendor: id as u16, device, subsystem });
                }
                if function == 0 && header & HEADER_MULTIFUNCTION == 0 {
                    break;
                }
            }
        }
    }
}

/// The capabilities of a function: offsets and identifiers, in the list's order.
///
/// The list is followed for at most 48 steps, as many as fit between 0x40 and 0xff, so that a
/// list that loops ends.
pub(crate) fn capabilities<C: ConfigSpace>(config: &C, function: Function) -> Vec<(u8, u8)> {
    let mut list = Vec::new();
    if (config.read(function, reg::COMMAND) >> 16) as u16 & STATUS_CAPABILITIES == 0 {
        return list;
    }
    let mut offset = config.read(function, reg::CAPABILITIES) as u8 & !3;
    while offset >= 0x40 && list.len() < 48 {
        let header = config.read(function, offset);
        list.push((offset, header as u8));
        offset = (header >> 8) as u8 & !3;
    }
    list
}

/// A window of a memory BAR, as a capability describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) bar: u8,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

impl Window {
    /// Maps the window, after checking it against its BAR.
    pub(crate) fn map<P: Platform>(
        self,
        platform: &P,
        function: Function,
    ) -> Result<P::Registers, Error> {
        let base = bar(&platform.config(), function, self.bar)?;
        // A BAR is aligned to its size, which is a power of two: what lies inside it does not reach
        // past the lowest bit that is set in its address. That bounds the window without the
        // all-ones probe, which would have the machine take its address map apart.
        let end = u64::from(self.offset) + u64::from(self.len);
        if self.len == 0 || end > 1 << base.trailing_zeros() || end > MAX_WINDOW {
            return Err(Error::WindowOutsideBar { bar: self.bar });
        }
        // SAFETY: the range lies in a memory BAR that firmware assigned to this function, so it is
        // the function's registers; RAM is never behind a BAR.
        #[allow(unsafe_code)]
        let registers = unsafe { platform.map(base + u64::from(self.offset), self.len as usize) };
        Ok(registers?)
    }
}

/// The physical address in memory BAR `index`.
fn bar<C: ConfigSpace>(config: &C, function: Function, index: u8) -> Result<u64, Error> {
    if index > 5 {
        return Err(Error::NoSuchBar(index));
    }
    let offset = reg::BAR0 + 4 * index;
    let low = config.read(function, offset);
    if low & BAR_PORT != 0 {
        return Err(Error::PortBar(index));
    }
    let high = match (low & BAR_TYPE, index) {
        (BAR_TYPE_64, 5) => return Err(Error::NoSuchBar(6)),
        (BAR_TYPE_64, _) => config.read(function, offset + 4),
        _ => 0,
    };
    match u64::from(high) << 32 | u64::from(low & !0xf) {
        0 => Err(Error::UnassignedBar(index)),
        base => Ok(base),
    }
}

/// Lets the function answer at its BARs and read and write memory. Firmware leaves out the latter.
pub(crate) fn enable<C: ConfigSpace>(config: &C, function: Function) {
    change_command(config, function, COMMAND_MEMORY | COMMAND_BUS_MASTER, 0);
}

/// Ends every memory access of the function, whatever state the device is in.
pub(crate) fn stop_bus_master<C: ConfigSpace>(config: &C, function: Function) {
    change_command(config, function, 0, COMMAND_BUS_MASTER);
}

fn change_command<C: ConfigSpace>(config: &C, function: Function, set: u16, clear: u16) {
    // The upper half is the status register, whose bits a one clears: write zeros there.
    let command = config.read(function, reg::COMMAND) as u16;
    config.write(function, reg::COMMAND, u32::from(command & !clear | set));
}

/// The interrupt line that firmware noted, if there is one.
pub(crate) fn line<C: ConfigSpace>(config: &C, function: Function) -> Option<u8> {
    let word = config.read(function, reg::INTERRUPT);
    let (line, pin) = (word as u8, (word >> 8) as u8);
    (pin != 0 && line != 0xff).then_some(line)
}

/// Points entry 0 of the function's MSI-X table at `vector` and turns MSI-X on, the line off.
///
/// `Ok(false)`: the function has no MSI-X. PCI Local Bus 3.0, 6.8.2.
pub(crate) fn enable_msix<P: Platform>(
    platform: &P,
    function: Function,
    capabilities: &[(u8, u8)],
    vector: u8,
) -> Result<bool, Error> {
    let Some(&(offset, _)) = capabilities.iter().find(|(_, id)| *id == CAPABILITY_MSIX) else {
        return Ok(false);
    };
    let config = platform.config();
    let table = config.read(function, offset + 4);
    // Only entry 0 is used: 16 octets of the table.
    let table =
        Window { bar: table as u8 & 7, offset: table & !7, len: 16 }.map(platform, function)?;
    let (address, data) = platform.message(vector);
    table.write32(0, address as u32);
    table.write32(4, (address >> 32) as u32);
    table.write32(8, data);
    table.write32(12, 0); // not masked
    let control = config.read(function, offset);
    config.write(function, offset, control & !MSIX_FUNCTION_MASK | MSIX_ENABLE);
    change_command(&config, function, COMMAND_NO_LINE, 0);
    Ok(true)
}

/// What a function's configuration space has wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The registers could not be mapped.
    Map(MapError),
    /// A capability names a BAR that PCI does not have.
    NoSuchBar(u8),
    /// The BAR is in port space, not in memory.
    PortBar(u8),
    /// Firmware gave the BAR no address.
    UnassignedBar(u8),
    /// A capability describes a window that its BAR cannot hold.
    WindowOutsideBar {
        /// The BAR, 0 to 5.
        bar: u8,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => error.fmt(f),
            Self::NoSuchBar(bar) => write!(f, "a capability names bar {bar}, which does not exist"),
            Self::PortBar(bar) => write!(f, "bar {bar} is in port space, expected memory"),
            Self::UnassignedBar(bar) => write!(f, "bar {bar} has no address from firmware"),
            Self::WindowOutsideBar { bar } => {
                write!(f, "a capability describes registers outside bar {bar}")
            }
        }
    }
}

impl core::error::Error for Error {}

impl From<MapError> for Error {
    fn from(error: MapError) -> Self {
        Self::Map(error)
    }
}

/// Offsets in the configuration space: PCI Local Bus 3.0, figures 6-1 and 6-2.
pub(crate) mod reg {
    pub(crate) const ID: u8 = 0x00;
    pub(crate) const COMMAND: u8 = 0x04;
    pub(crate) const HEADER: u8 = 0x0c;
    pub(crate) const BAR0: u8 = 0x10;
    pub(crate) const BUS_NUMBERS: u8 = 0x18;
    pub(crate) const SUBSYSTEM: u8 = 0x2c;
    pub(crate) const CAPABILITIES: u8 = 0x34;
    pub(crate) const INTERRUPT: u8 = 0x3c;
}

const HEADER_BRIDGE: u8 = 1;
const HEADER_MULTIFUNCTION: u8 = 0x80;
const STATUS_CAPABILITIES: u16 = 1 << 4;
pub(crate) const COMMAND_MEMORY: u16 = 1 << 1;
pub(crate) const COMMAND_BUS_MASTER: u16 = 1 << 2;
const COMMAND_NO_LINE: u16 = 1 << 10;
const BAR_PORT: u32 = 1;
const BAR_TYPE: u32 = 0b110;
const BAR_TYPE_64: u32 = 0b100;
const CAPABILITY_MSIX: u8 = 0x11;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_FUNCTION_MASK: u32 = 1 << 30;
/// No virtio structure is longer; 64 queues with 4 KiB of notification registers each fit well.
const MAX_WINDOW: u64 = 16 << 20;
