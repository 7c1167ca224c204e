//! How a driver reaches its device: on PCI or at an address in memory.

pub mod fields;
pub mod mmio;
pub mod pci;

use core::fmt::Debug;
use core::ops::BitAnd;

use bitflags::Flags;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result as DriverResult};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use self::mmio::MmioTransport;
pub use self::pci::PciTransport;
use crate::platform::{Departures, Platform, Registers};

/// What the drivers need of a transport beside [`Transport`]: whether it can interrupt.
pub trait Bus: Transport + Send + 'static {
    /// Whether the device took every interrupt vector that it was given.
    fn vectors_accepted(&self) -> bool {
        true
    }

    /// What the device does otherwise than the specification says.
    fn departures(&self) -> Departures {
        Departures::default()
    }
}

/// A device on either bus.
pub enum AnyTransport<P: Platform> {
    /// On PCI.
    Pci(PciTransport<P>),
    /// At an address in memory.
    Mmio(MmioTransport<P::Registers>),
}

impl<P: Platform> AnyTransport<P> {
    /// The interrupt line, if the device keeps it up until it is lowered.
    pub(crate) fn line(&self) -> Option<Line<P::Registers>> {
        match self {
            Self::Pci(transport) => transport.line(),
            Self::Mmio(transport) => Some(transport.line()),
        }
    }
}

/// An interrupt line that stays up until the driver lowers it.
#[derive(Clone)]
pub(crate) enum Line<R> {
    /// By reading the interrupt status, which the window begins with: virtio 1.2, 4.1.4.5.
    ByReading(R),
    /// By writing what was read back to another register: 4.2.2.
    ByWriting(R),
}

impl<R: Registers> Line<R> {
    /// Lowers it; whether it was up.
    pub(crate) fn lower(&self) -> bool {
        match self {
            Self::ByReading(status) => status.read8(0) != 0,
            Self::ByWriting(registers) => mmio::acknowledge(registers) != 0,
        }
    }
}

/// A reset is immediate in every device known; this many reads take about a second.
const RESET_READS: u32 = 1_000_000;

/// Hands a call to the transport that it is.
macro_rules! of {
    ($any:expr, $transport:ident => $call:expr) => {
        match $any {
            AnyTransport::Pci($transport) => $call,
            AnyTransport::Mmio($transport) => $call,
        }
    };
}

impl<P: Platform> Bus for AnyTransport<P> {
    fn vectors_accepted(&self) -> bool {
        of!(self, it => it.vectors_accepted())
    }

    fn departures(&self) -> Departures {
        of!(self, it => it.departures())
    }
}

impl<P: Platform> Transport for AnyTransport<P> {
    fn device_type(&self) -> DeviceType {
        of!(self, it => it.device_type())
    }

    fn read_device_features(&mut self) -> u64 {
        of!(self, it => it.read_device_features())
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        of!(self, it => it.write_driver_features(driver_features));
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        of!(self, it => it.max_queue_size(queue))
    }

    fn notify(&mut self, queue: u16) {
        of!(self, it => it.notify(queue));
    }

    fn get_status(&self) -> DeviceStatus {
        of!(self, it => it.get_status())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        of!(self, it => it.set_status(status));
    }

    fn set_guest_page_size(&mut self, guest_page_size: u32) {
        of!(self, it => it.set_guest_page_size(guest_page_size));
    }

    fn requires_legacy_layout(&self) -> bool {
        of!(self, it => it.requires_legacy_layout())
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        of!(self, it => it.queue_set(queue, size, descriptors, driver_area, device_area));
    }

    fn queue_unset(&mut self, queue: u16) {
        of!(self, it => it.queue_unset(queue));
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        of!(self, it => it.queue_used(queue))
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        of!(self, it => it.ack_interrupt())
    }

    fn begin_init<F: Flags<Bits = u64> + BitAnd<Output = F> + Debug>(
        &mut self,
        supported_features: F,
    ) -> F {
        of!(self, it => it.begin_init(supported_features))
    }

    fn read_config_generation(&self) -> u32 {
        of!(self, it => it.read_config_generation())
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> DriverResult<T> {
        of!(self, it => it.read_config_space(offset))
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> DriverResult<()> {
        of!(self, it => it.write_config_space(offset, value))
    }
}
