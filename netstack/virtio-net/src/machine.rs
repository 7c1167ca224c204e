//! Finding the devices of a machine and bringing them up.

use core::fmt;
use core::sync::atomic::AtomicU32;
use std::sync::Arc;

use spin::Mutex;
use virtio_drivers::transport::DeviceType;

use crate::console::Console;
use crate::mmio::Slot;
use crate::net::NetDevice;
use crate::pci::{self, Function};
use crate::platform::{Interrupts, Platform, Registers};
use crate::rng::Rng;
use crate::setup::SetupError;
use crate::transport::{AnyTransport, Line, MmioTransport, PciTransport, pci as on_pci};
use crate::vsock::Vsock;

/// A machine whose devices all raise one interrupt vector, counted in one word: whoever waits for
/// that word to move waits for all of them.
pub struct Machine<P: Platform> {
    platform: P,
    word: &'static AtomicU32,
}

/// The devices of a machine, ready to be used.
pub struct Devices<P: Platform> {
    /// Network devices, in the order of their addresses, those on PCI first.
    pub nets: Vec<NetDevice<P::Hal, AnyTransport<P>>>,
    /// The first entropy device.
    pub rng: Option<Rng<P::Hal, AnyTransport<P>>>,
    /// The first console.
    pub console: Option<Console<P::Hal, AnyTransport<P>>>,
    /// The first socket device.
    pub vsock: Option<Vsock<P::Hal, AnyTransport<P>>>,
    /// The interrupt lines in use.
    pub lines: Lines<P::Registers>,
    /// Virtio devices that are not in use, and why.
    pub skipped: Vec<Skipped>,
}

/// A virtio device that is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub place: Place,
    /// What it is, where that is known.
    pub device_type: Option<DeviceType>,
    /// Why it is not used.
    pub error: SetupError,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, device_type, error } = self;
        match device_type {
            Some(device_type) => write!(f, "virtio {device_type:?} device at {place}: {error}"),
            None => write!(f, "virtio device at {place}: {error}"),
        }
    }
}

/// Where a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On PCI.
    Pci(Function),
    /// At this physical address.
    Memory(u64),
}

impl Place {
    /// An Ethernet address for a device that has none: locally administered, and its own for each place.
    fn mac(self) -> [u8; 6] {
        match self {
            Self::Pci(Function { bus, device, function }) => [2, 0, 0, bus, device, function],
            Self::Memory(address) => {
                // devices lie 256 octets apart or more
                let [.., a, b, c, _] = address.to_be_bytes();
                [2, 0, 1, a, b, c]
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(function) => function.fmt(f),
            Self::Memory(address) => write!(f, "{address:#x}"),
        }
    }
}

impl<P: Platform> Machine<P> {
    /// The vector of all devices: Hermit's own (112, 121, 123, 126, 127 and the lines from 32)
    /// are elsewhere.
    pub const VECTOR: u8 = 0x50;

    /// A machine on this platform, whose interrupts the kernel counts.
    pub fn new(platform: P, interrupts: &impl Interrupts) -> Self {
        Self { platform, word: interrupts.watch(Self::VECTOR) }
    }

    /// The word that moves with each interrupt of any device.
    pub fn word(&self) -> &'static AtomicU32 {
        self.word
    }

    /// Finds all virtio devices on PCI and in these slots, and brings up those that this crate can drive. What is
    /// wrong with one device keeps none of the others from working.
    pub fn discover(&self, slots: &[Slot]) -> Devices<P> {
        let mut devices = Devices {
            nets: Vec::new(),
            rng: None,
            console: None,
            vsock: None,
            lines: Lines(Arc::default()),
            skipped: Vec::new(),
        };
        let mut found = Vec::new();
        pci::enumerate(&self.platform.config(), |function, identity| {
            if let Some(device_type) = on_pci::device_type(identity) {
                found.push((function, device_type));
            }
        });
        found.sort_unstable_by_key(|(function, _)| *function);
        for (function, device_type) in found {
            devices.add(Place::Pci(function), device_type, || {
                PciTransport::new(&self.platform, function, device_type, Self::VECTOR)
                    .map(AnyTransport::Pci)
            });
        }
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let place = Place::Memory(slot.address);
            match MmioTransport::find(&self.platform, slot) {
                Ok(None) => {}
                Ok(Some(found)) => devices.add(place, found.device_type, || {
                    found.take(&self.platform, slot, Self::VECTOR).map(AnyTransport::Mmio)
                }),
                Err(error) => {
                    devices.skipped.push(Skipped { place, device_type: None, error });
                }
            }
        }
        devices
    }
}

impl<P: Platform> Devices<P> {
    /// Brings the device up that `open` takes over.
    fn add(
        &mut self,
        place: Place,
        device_type: DeviceType,
        open: impl FnOnce() -> Result<AnyTransport<P>, SetupError>,
    ) {
        match self.bring_up(place, device_type, open) {
            Ok(()) => log::debug!("virtio {device_type:?} device at {place}"),
            Err(error) => {
                let device_type = Some(device_type);
                self.skipped.push(Skipped { place, device_type, error });
            }
        }
    }

    fn bring_up(
        &mut self,
        place: Place,
        device_type: DeviceType,
        open: impl FnOnce() -> Result<AnyTransport<P>, SetupError>,
    ) -> Result<(), SetupError> {
        let surplus = match device_type {
            DeviceType::Network => false,
            DeviceType::EntropySource => self.rng.is_some(),
            DeviceType::Console => self.console.is_some(),
            DeviceType::Socket => self.vsock.is_some(),
            other => return Err(SetupError::UnsupportedType(other)),
        };
        if surplus {
            return Err(SetupError::Surplus);
        }
        let transport = open()?;
        let line = transport.line();
        match device_type {
            DeviceType::Network => self.nets.push(NetDevice::new(transport, place.mac())?),
            DeviceType::EntropySource => self.rng = Some(Rng::new(transport)?),
            DeviceType::Socket => self.vsock = Some(Vsock::new(transport)?),
            _ => self.console = Some(Console::new(transport)?),
        }
        self.lines.0.lock().extend(line);
        Ok(())
    }
}

/// The devices that interrupt by a line, which stays up until the device's status was read.
///
/// Lines raise the vector on their rising edge only, and devices may share one. So before
/// sleeping, call [`acknowledge`](Self::acknowledge): `true` means that some device had raised its line, so
/// look at all of them again. With MSI-X there is nothing to do.
pub struct Lines<R>(Arc<Mutex<Vec<Line<R>>>>);

impl<R> Clone for Lines<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Registers> Lines<R> {
    /// Lowers all lines. `true`: some device had raised one.
    pub fn acknowledge(&self) -> bool {
        // All are read, even after the first that was up: the line is low only when all are.
        self.0.lock().iter().fold(false, |up, line| up | line.lower())
    }

    /// Whether any device uses a line.
    pub fn any(&self) -> bool {
        !self.0.lock().is_empty()
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
