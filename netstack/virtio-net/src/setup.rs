//! Bringing a device up: feature negotiation, and what can go wrong until it runs.

use core::fmt;

use virtio_drivers::transport::{DeviceStatus, DeviceType};

use crate::pci;
use crate::transport::Bus;

/// `VIRTIO_F_VERSION_1`: the device follows virtio 1.0 or later (virtio 1.2, 6).
pub(crate) const VERSION_1: u64 = 1 << 32;

/// Takes a device from its reset to `FEATURES_OK`: virtio 1.2, 3.1.1, steps 2 to 6.
///
/// `wanted` are the features that the driver knows beside `VERSION_1`; what is returned are those
/// that the device has as well. `choose` may take some back, knowing what is offered.
pub(crate) fn negotiate<T: Bus>(
    transport: &mut T,
    wanted: u64,
    choose: impl FnOnce(&T, u64) -> u64,
) -> Result<u64, SetupError> {
    transport.set_status(DeviceStatus::ACKNOWLEDGE);
    transport.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER);
    let offered = transport.read_device_features();
    if offered & VERSION_1 == 0 {
        return Err(SetupError::LegacyOnly);
    }
    let features = choose(transport, offered & wanted);
    transport.write_driver_features(features | VERSION_1);
    let ready = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER | DeviceStatus::FEATURES_OK;
    transport.set_status(ready);
    if !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
        transport.set_status(DeviceStatus::FAILED);
        return Err(SetupError::FeaturesRefused { offered, accepted: features | VERSION_1 });
    }
    Ok(features)
}

/// Lets a device run whose queues are set up: 3.1.1, step 8.
pub(crate) fn finish<T: Bus>(transport: &mut T) -> Result<(), SetupError> {
    if !transport.vectors_accepted() {
        return Err(SetupError::VectorRefused);
    }
    transport.finish_init();
    Ok(())
}

/// Why a device could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The device did not take the features that it had offered.
    FeaturesRefused {
        /// All that it offered.
        offered: u64,
        /// What the driver asked for.
        accepted: u64,
    },
    /// The device speaks the legacy interface (virtio 0.9) only.
    LegacyOnly,
    /// The same of a device in memory.
    LegacySlot,
    /// A structure that every modern device has is missing.
    MissingStructure(&'static str),
    /// The device has neither MSI-X nor an interrupt line.
    NoInterrupt,
    /// There is not enough memory that is contiguous for the device.
    NoMemory {
        /// How many octets were asked for in one piece.
        octets: usize,
    },
    /// A queue's notification register lies outside the device's window.
    NotifyOutsideWindow {
        /// The queue.
        queue: u16,
    },
    /// The PCI function is not usable.
    Pci(pci::Error),
    /// A queue is missing or shorter than the driver needs.
    QueueTooShort {
        /// The queue.
        queue: u16,
        /// The entries that it may have (0: there is no such queue).
        available: u32,
        /// The entries that the driver needs.
        needed: u32,
    },
    /// The device did not complete its reset.
    ResetTimedOut,
    /// The place named is main memory.
    SlotInMemory,
    /// No device's registers take so many octets.
    SlotSize(u64),
    /// A driver for this type of device is not part of this crate.
    UnsupportedType(DeviceType),
    /// The device had no room for the interrupt vector.
    VectorRefused,
    /// There is one such device in use already.
    Surplus,
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FeaturesRefused { offered, accepted } => write!(
                f,
                "the device refused the features {accepted:#x} of the {offered:#x} that it offers"
            ),
            Self::LegacyOnly => f.write_str(
                "the device has only the legacy interface (add disable-legacy=on, not \
                 disable-modern=on, to it)",
            ),
            Self::LegacySlot => f.write_str(
                "the device has only the legacy interface (add -global virtio-mmio.force-legacy=off \
                 to the machine)",
            ),
            Self::MissingStructure(name) => write!(f, "the device lacks its {name} structure"),
            Self::NoInterrupt => f.write_str("the device has neither msi-x nor an interrupt line"),
            Self::NoMemory { octets } => {
                write!(f, "no {octets} contiguous octets of memory are left for the device")
            }
            Self::NotifyOutsideWindow { queue } => {
                write!(f, "the notification register of queue {queue} is outside its window")
            }
            Self::Pci(error) => error.fmt(f),
            Self::QueueTooShort { queue, available, needed } => {
                write!(f, "queue {queue} has {available} entries, {needed} are needed")
            }
            Self::ResetTimedOut => f.write_str("the device did not complete its reset"),
            Self::SlotInMemory => f.write_str("there is memory, no device"),
            Self::SlotSize(size) => write!(f, "no device has {size} octets of registers"),
            Self::Surplus => f.write_str("a device of this kind is in use already"),
            Self::UnsupportedType(kind) => write!(f, "there is no driver for {kind:?} devices"),
            Self::VectorRefused => f.write_str("the device refused its interrupt vector"),
        }
    }
}

impl core::error::Error for SetupError {}

impl From<pci::Error> for SetupError {
    fn from(error: pci::Error) -> Self {
        Self::Pci(error)
    }
}
