//! A machine without hardware: a PCI bus with virtio devices whose other side the tests play.
//!
//! The devices do nothing by themselves. A test takes what the driver made available, completes it
//! rightly or wrongly, and looks at what the driver wrote to the registers. Interrupts are
//! counted as a device would raise them: not for queues whose driver asked for none.
//!
//! Unsafe because the device's side of a virtqueue is memory that it was told the addresses of.
#![allow(unsafe_code)]

mod device;
mod hal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use core::sync::atomic::AtomicU32;

pub(crate) use self::device::Device;
pub(crate) use self::hal::FakeHal;
use crate::machine::{Devices, Machine};
use crate::mmio::Slot;
use crate::pci::Function;
use crate::platform::{ConfigSpace, Departures, Interrupts, MapError, Platform, Registers};
use crate::transport::AnyTransport;

pub(crate) type Transport = AnyTransport<FakeMachine>;

/// A machine with functions on its PCI buses.
#[derive(Clone, Default)]
pub(crate) struct FakeMachine(Arc<Mutex<Bus>>);

#[derive(Default)]
struct Bus {
    functions: BTreeMap<Function, FakeFunction>,
    slots: Vec<(Slot, Shared)>,
    routed: Vec<(u8, u8)>,
    departures: Departures,
}

struct FakeFunction {
    config: [u32; 64],
    bar: u64,
    device: Option<Shared>,
}

/// The test's end of a device.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Device>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Device> {
        self.0.lock().unwrap()
    }
}

/// What a test may change of a device before the driver sees it.
pub(crate) struct Setup {
    pub(crate) vendor: u16,
    pub(crate) device_id: u16,
    pub(crate) subsystem: u16,
    pub(crate) msix: bool,
    pub(crate) line: u8,
    /// Virtio capabilities: kind, BAR offset, length. Empty: the legacy interface only.
    pub(crate) structures: Vec<(u8, u32, u32)>,
    pub(crate) notify_multiplier: u32,
    pub(crate) bar: u64,
    /// The last capability points back to the first.
    pub(crate) looping: bool,
}

impl Setup {
    /// A modern device of this virtio type.
    pub(crate) fn modern(device_type: u16) -> Self {
        Self {
            vendor: 0x1af4,
            device_id: 0x1040 + device_type,
            subsystem: 0x1100,
            msix: true,
            line: 11,
            structures: vec![
                (1, COMMON as u32, 0x38),
                (3, ISR as u32, 1),
                (4, CONFIG as u32, 0x40),
                (2, NOTIFY as u32, 0x1000),
            ],
            notify_multiplier: 4,
            bar: 0xfe00_0000,
            looping: false,
        }
    }
}

impl FakeMachine {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A machine whose devices depart from the specification.
    pub(crate) fn departing(departures: Departures) -> Self {
        let machine = Self::default();
        machine.lock().departures = departures;
        machine
    }

    /// Puts a device in slot `slot` of bus 0.
    pub(crate) fn add(&self, slot: u8, setup: Setup, device: Device) -> Shared {
        let function = Function { bus: 0, device: slot, function: 0 };
        let bar = setup.bar + (u64::from(slot) << 16);
        let mut config = [0; 64];
        config[0] = u32::from(setup.device_id) << 16 | u32::from(setup.vendor);
        config[1] = 1 << 20; // a capability list
        config[8] = bar as u32 | 0b100; // BAR 4, 64 bits, memory
        config[9] = (bar >> 32) as u32;
        config[11] = u32::from(setup.subsystem) << 16;
        config[15] = 1 << 8 | u32::from(setup.line);
        // Each virtio capability takes 20 octets, so 0x14 apart, then MSI-X.
        let mut at = 0x40_u32;
        config[13] = at;
        let count = setup.structures.len() + usize::from(setup.msix);
        for (n, (kind, offset, len)) in setup.structures.into_iter().enumerate() {
            let word = at as usize / 4;
            let next = if n + 1 == count { 0 } else { at + 0x14 };
            config[word] = kind_header(kind) | next << 8;
            config[word + 1] = 4;
            config[word + 2] = offset;
            config[word + 3] = len;
            config[word + 4] = setup.notify_multiplier;
            at += 0x14;
        }
        if setup.msix {
            let next = if setup.looping { 0x40 } else { 0 };
            config[at as usize / 4] = 0x11 | next << 8;
            config[at as usize / 4 + 1] = MSIX as u32 | 4;
        }
        let shared = Shared(Arc::new(Mutex::new(device)));
        let device = Some(shared.clone());
        self.lock().functions.insert(function, FakeFunction { config, bar, device });
        shared
    }

    /// Puts a device at an address in memory.
    pub(crate) fn add_slot(&self, slot: Slot, device: Device) -> Shared {
        let shared = Shared(Arc::new(Mutex::new(device)));
        self.lock().slots.push((slot, shared.clone()));
        shared
    }

    /// Puts something that is no virtio device, or a bridge, anywhere.
    pub(crate) fn add_other(&self, function: Function, id: u32, header: u8, buses: u32) {
        let mut config = [0; 64];
        config[0] = id;
        config[3] = u32::from(header) << 16;
        config[6] = buses;
        self.lock().functions.insert(function, FakeFunction { config, bar: 0, device: None });
    }

    /// The command register of the device in a slot of bus 0.
    pub(crate) fn command(&self, slot: u8) -> u16 {
        let function = Function { bus: 0, device: slot, function: 0 };
        self.lock().functions[&function].config[1] as u16
    }

    /// The MSI-X control register of the device in a slot of bus 0.
    pub(crate) fn msix_control(&self, slot: u8) -> u16 {
        let function = Function { bus: 0, device: slot, function: 0 };
        let config = self.lock().functions[&function].config;
        let header = config[16..].iter().find(|word| **word & 0xff == 0x11);
        (*header.expect("the device has MSI-X") >> 16) as u16
    }

    /// The lines that were routed, and to which vectors.
    pub(crate) fn routed(&self) -> Vec<(u8, u8)> {
        self.lock().routed.clone()
    }

    /// Brings up everything that was added.
    pub(crate) fn discover(&self) -> Devices<Self> {
        let slots: Vec<_> = self.lock().slots.iter().map(|(slot, _)| *slot).collect();
        Machine::new(self.clone(), &Counting).discover(&slots)
    }

    fn lock(&self) -> MutexGuard<'_, Bus> {
        self.0.lock().unwrap()
    }
}

fn kind_header(kind: u8) -> u32 {
    u32::from(kind) << 24 | 20 << 16 | 0x09
}

/// A kernel that counts nothing.
pub(crate) struct Counting;

impl Interrupts for Counting {
    fn watch(&self, _vector: u8) -> &'static AtomicU32 {
        static WORD: AtomicU32 = AtomicU32::new(0);
        &WORD
    }
}

impl Platform for FakeMachine {
    type Config = Self;
    type Registers = Window;
    type Hal = FakeHal;

    fn config(&self) -> Self {
        self.clone()
    }

    unsafe fn map(&self, physical: u64, len: usize) -> Result<Window, MapError> {
        let bus = self.lock();
        if let Some((_, device)) = bus.slots.iter().find(|(slot, _)| slot.address == physical) {
            return Ok(Window { device: device.clone(), base: SLOT, len });
        }
        let function = bus
            .functions
            .values()
            .find(|function| (function.bar..function.bar + BAR as u64).contains(&physical))
            .ok_or(MapError::Range)?;
        let base = (physical - function.bar) as usize;
        let device = function.device.clone().ok_or(MapError::Range)?;
        Ok(Window { device, base, len })
    }

    fn is_memory(&self, physical: u64, _len: usize) -> bool {
        physical < MEMORY
    }

    fn message(&self, vector: u8) -> (u64, u32) {
        (0x1_fee0_3000, u32::from(vector))
    }

    fn route_line(&self, line: u8, vector: u8) -> Result<(), MapError> {
        self.lock().routed.push((line, vector));
        Ok(())
    }

    fn departures(&self) -> Departures {
        self.lock().departures
    }
}

impl ConfigSpace for FakeMachine {
    fn read(&self, function: Function, offset: u8) -> u32 {
        assert_eq!(offset % 4, 0);
        self.lock().functions.get(&function).map_or(!0, |f| f.config[usize::from(offset) / 4])
    }

    fn write(&self, function: Function, offset: u8, value: u32) {
        assert_eq!(offset % 4, 0);
        let mut bus = self.lock();
        let Some(function) = bus.functions.get_mut(&function) else {
            return;
        };
        let word = &mut function.config[usize::from(offset) / 4];
        // The status register keeps what is not cleared by a one.
        *word = if offset == 4 { *word & 0xffff_0000 | value & 0xffff } else { value };
    }
}

/// A window of a fake device's registers.
#[derive(Clone)]
pub(crate) struct Window {
    device: Shared,
    base: usize,
    len: usize,
}

impl Window {
    fn at(&self, offset: usize, width: usize) -> usize {
        assert!(offset + width <= self.len, "{offset:#x} is outside the window");
        assert_eq!(offset % width, 0, "{offset:#x} is not aligned");
        self.base + offset
    }
}

impl Registers for Window {
    fn size(&self) -> usize {
        self.len
    }

    fn read8(&self, offset: usize) -> u8 {
        self.device.lock().read(self.at(offset, 1), 1) as u8
    }

    fn read16(&self, offset: usize) -> u16 {
        self.device.lock().read(self.at(offset, 2), 2) as u16
    }

    fn read32(&self, offset: usize) -> u32 {
        self.device.lock().read(self.at(offset, 4), 4)
    }

    fn write8(&self, offset: usize, value: u8) {
        self.device.lock().write(self.at(offset, 1), 1, value.into());
    }

    fn write16(&self, offset: usize, value: u16) {
        self.device.lock().write(self.at(offset, 2), 2, value.into());
    }

    fn write32(&self, offset: usize, value: u32) {
        self.device.lock().write(self.at(offset, 4), 4, value);
    }
}

/// Where things are in BAR 4.
const COMMON: usize = 0x0000;
const ISR: usize = 0x1000;
const CONFIG: usize = 0x2000;
const NOTIFY: usize = 0x3000;
const MSIX: usize = 0x4000;
const BAR: usize = 0x8000;
/// Where the registers of a device in memory begin, for the device.
const SLOT: usize = 0x1_0000;
/// Octets of main memory.
const MEMORY: u64 = 1 << 30;
