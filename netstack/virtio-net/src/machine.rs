//! Finding the devices of a machine and bringing them up.

use core::fmt;
use core::sync::atomic::AtomicU32;
use std::sync::Arc;

use spin::Mutex;
use virtio_drivers::transport::DeviceType;

use crate::console::Console;
use crate::net::NetDevice;
use crate::pci::{self, Function};
use crate::platform::{Interrupts, Platform, Registers};
use crate::rng::Rng;
use crate::setup::SetupError;
use crate::transport::{self, PciTransport};
use crate::vsock::Vsock;

/// A machine whose devices all raise one interrupt vector, counted in one word: whoever waits for
/// that word to move waits for all of them.
pub struct Machine<P: Platform> {
    platform: P,
    word: &'static AtomicU32,
}

/// The devices of a machine, ready to be used.
pub struct Devices<P: Platform> {
    /// Network devices, in the order of their addresses.
    pub nets: Vec<NetDevice<P::Hal, PciTransport<P>>>,
    /// The first entropy device.
    pub rng: Option<Rng<P::Hal, PciTransport<P>>>,
    /// The first console.
    pub console: Option<Console<P::Hal, PciTransport<P>>>,
    /// The first socket device.
    pub vsock: Option<Vsock<P::Hal, PciTransport<P>>>,
    /// The interrupt lines in use.
    pub lines: Lines<P::Registers>,
    /// Virtio devices that are not in use, and why.
    pub skipped: Vec<Skipped>,
}

/// A virtio device that is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub function: Function,
    /// What it is.
    pub device_type: DeviceType,
    /// Why it is not used.
    pub error: SetupError,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, device_type, error } = self;
        write!(f, "virtio {device_type:?} device at {function}: {error}")
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

    /// Finds all virtio devices on PCI and brings up those that this crate can drive. What is wrong
    /// with one device keeps none of the others from working.
    pub fn discover(&self) -> Devices<P> {
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
            if let Some(device_type) = transport::device_type(identity) {
                found.push((function, device_type));
            }
        });
        found.sort_unstable_by_key(|(function, _)| *function);
        for (function, device_type) in found {
            match self.bring_up(&mut devices, function, device_type) {
                Ok(()) => log::debug!("virtio {device_type:?} device at {function}"),
                Err(error) => {
                    devices.skipped.push(Skipped { function, device_type, error });
                }
            }
        }
        devices
    }

    fn bring_up(
        &self,
        devices: &mut Devices<P>,
        function: Function,
        device_type: DeviceType,
    ) -> Result<(), SetupError> {
        let surplus = match device_type {
            DeviceType::Network => false,
            DeviceType::EntropySource => devices.rng.is_some(),
            DeviceType::Console => devices.console.is_some(),
            DeviceType::Socket => devices.vsock.is_some(),
            other => return Err(SetupError::UnsupportedType(other)),
        };
        if surplus {
            return Err(SetupError::Surplus);
        }
        let transport = PciTransport::new(&self.platform, function, device_type, Self::VECTOR)?;
        let line = transport.line_status();
        match device_type {
            DeviceType::Network => {
                // Locally administered, and its own for each slot.
                let Function { bus, device, function } = function;
                let mac = [2, 0, 0, bus, device, function];
                devices.nets.push(NetDevice::new(transport, mac)?);
            }
            DeviceType::EntropySource => devices.rng = Some(Rng::new(transport)?),
            DeviceType::Socket => devices.vsock = Some(Vsock::new(transport)?),
            _ => devices.console = Some(Console::new(transport)?),
        }
        devices.lines.0.lock().extend(line);
        Ok(())
    }
}

/// The devices that interrupt by a line, which stays up until the device's status was read.
///
/// Lines raise the vector on their rising edge only, and devices may share one. So before
/// sleeping, call [`acknowledge`](Self::acknowledge): `true` means that some device had raised its line, so
/// look at all of them again. With MSI-X there is nothing to do.
pub struct Lines<R>(Arc<Mutex<Vec<R>>>);

impl<R> Clone for Lines<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Registers> Lines<R> {
    /// Lowers all lines. `true`: some device had raised one. Virtio 1.2, 4.1.4.5.
    pub fn acknowledge(&self) -> bool {
        // All are read, even after the first that was up: the line is low only when all are.
        self.0.lock().iter().fold(false, |up, status| up | (status.read8(0) != 0))
    }

    /// Whether any device uses a line.
    pub fn any(&self) -> bool {
        !self.0.lock().is_empty()
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
