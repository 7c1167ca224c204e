//! A modern virtio device at an address in memory: virtio 1.2, section 4.2, as `virtio-drivers`' [`Transport`].
//!
//! Where the device is, [`Slot`] says. It has one interrupt line and no message. **Not** here: the legacy interface
//! (version 1 of the registers) and shared memory regions.

use core::fmt::Debug;
use core::ops::BitAnd;

use bitflags::Flags;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result as DriverResult};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Bus, Line, RESET_READS, fields};
use crate::mmio::Slot;
use crate::pci;
use crate::platform::{Platform, Registers};
use crate::setup::SetupError;

/// A virtio device behind registers in memory. Dropping it resets the device and ends its memory accesses.
pub struct MmioTransport<R: Registers> {
    registers: R,
    device_type: DeviceType,
}

impl<R: Registers> MmioTransport<R> {
    /// The device in `slot`, if there is one of a known type; nothing of it is changed.
    pub(crate) fn find<P: Platform<Registers = R>>(
        platform: &P,
        slot: Slot,
    ) -> Result<Option<Found<R>>, SetupError> {
        if slot.size < CONFIG as u64 + LEAST_CONFIG || slot.size > MAX_SIZE {
            return Err(SetupError::SlotSize(slot.size));
        }
        if platform.is_memory(slot.address, slot.size as usize) {
            return Err(SetupError::SlotInMemory);
        }
        // SAFETY: whoever runs the machine says that this is a device, and it is no memory.
        #[allow(unsafe_code)]
        let registers = unsafe { platform.map(slot.address, slot.size as usize) };
        let registers = registers.map_err(pci::Error::from)?;
        match (registers.read32(MAGIC), registers.read32(VERSION), registers.read32(DEVICE_ID)) {
            (MAGIC_VALUE, _, 0) => Ok(None), // 4.2.2: a place that is kept for a device
            (MAGIC_VALUE, VERSION_MODERN, id) => {
                let device_type = u16::try_from(id).ok().and_then(|id| id.try_into().ok());
                Ok(device_type.map(|device_type| Found { registers, device_type }))
            }
            (MAGIC_VALUE, VERSION_LEGACY, _) => Err(SetupError::LegacySlot),
            _ => Err(SetupError::MissingStructure("register block")),
        }
    }

    /// The line, which the device keeps up until it is told.
    pub(crate) fn line(&self) -> Line<R> {
        Line::ByWriting(self.registers.clone())
    }

    /// 2.4.1: the driver waits until the status reads back as zero.
    fn reset(&self) -> Result<(), SetupError> {
        self.registers.write32(STATUS, 0);
        for _ in 0..RESET_READS {
            if self.registers.read32(STATUS) == 0 {
                return Ok(());
            }
            core::hint::spin_loop();
        }
        Err(SetupError::ResetTimedOut)
    }

    fn write64(&self, offset: usize, value: u64) {
        self.registers.write32(offset, value as u32);
        self.registers.write32(offset + 4, (value >> 32) as u32);
    }
}

/// A device that is there.
pub(crate) struct Found<R> {
    registers: R,
    /// What it is.
    pub(crate) device_type: DeviceType,
}

impl<R: Registers> Found<R> {
    /// Takes the device over; its interrupts raise `vector`.
    pub(crate) fn take<P: Platform<Registers = R>>(
        self,
        platform: &P,
        slot: Slot,
        vector: u8,
    ) -> Result<MmioTransport<R>, SetupError> {
        let Self { registers, device_type } = self;
        let transport = MmioTransport { registers, device_type };
        transport.reset()?;
        platform.route_line(slot.line, vector).map_err(pci::Error::from)?;
        Ok(transport)
    }
}

/// Lowers the line of a device; what had raised it: bit 0 for a buffer used, bit 1 for a configuration changed.
pub(super) fn acknowledge(registers: &impl Registers) -> u32 {
    let status = registers.read32(INTERRUPT_STATUS);
    if status != 0 {
        registers.write32(INTERRUPT_ACK, status);
    }
    status
}

impl<R: Registers> Bus for MmioTransport<R> {}

impl<R: Registers> Transport for MmioTransport<R> {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn read_device_features(&mut self) -> u64 {
        let half = |select| {
            self.registers.write32(DEVICE_FEATURES_SELECT, select);
            u64::from(self.registers.read32(DEVICE_FEATURES))
        };
        half(0) | half(1) << 32
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        for (select, half) in [(0, driver_features), (1, driver_features >> 32)] {
            self.registers.write32(DRIVER_FEATURES_SELECT, select);
            self.registers.write32(DRIVER_FEATURES, half as u32);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.registers.write32(QUEUE_SELECT, queue.into());
        self.registers.read32(QUEUE_SIZE_MAX)
    }

    fn notify(&mut self, queue: u16) {
        self.registers.write32(QUEUE_NOTIFY, queue.into());
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.registers.read32(STATUS))
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.registers.write32(STATUS, status.bits());
    }

    fn set_guest_page_size(&mut self, _guest_page_size: u32) {
        // Of the legacy interface only.
    }

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        // 4.2.3.2, from step 1 on.
        self.registers.write32(QUEUE_SELECT, queue.into());
        self.registers.write32(QUEUE_SIZE, size);
        self.write64(QUEUE_DESC, descriptors);
        self.write64(QUEUE_DRIVER, driver_area);
        self.write64(QUEUE_DEVICE, device_area);
        self.registers.write32(QUEUE_READY, 1);
    }

    fn queue_unset(&mut self, _queue: u16) {
        // The reset does it.
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.registers.write32(QUEUE_SELECT, queue.into());
        self.registers.read32(QUEUE_READY) != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(acknowledge(&self.registers))
    }

    fn begin_init<F: Flags<Bits = u64> + BitAnd<Output = F> + Debug>(
        &mut self,
        supported_features: F,
    ) -> F {
        // 3.1.1: the bits are set one after the other, which Firecracker insists on.
        let mut status = DeviceStatus::empty();
        for bit in [DeviceStatus::empty(), DeviceStatus::ACKNOWLEDGE, DeviceStatus::DRIVER] {
            status |= bit;
            self.set_status(status);
        }
        let negotiated = F::from_bits_truncate(self.read_device_features()) & supported_features;
        self.write_driver_features(negotiated.bits());
        self.set_status(status | DeviceStatus::FEATURES_OK);
        negotiated
    }

    fn read_config_generation(&self) -> u32 {
        self.registers.read32(CONFIG_GENERATION)
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> DriverResult<T> {
        fields::read(&self.registers, CONFIG, offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> DriverResult<()> {
        fields::write(&self.registers, CONFIG, offset, &value)
    }
}

impl<R: Registers> Drop for MmioTransport<R> {
    fn drop(&mut self) {
        // The owner's buffers are freed after this: the device must not write to them any more.
        let _ = self.reset();
    }
}

/// Offsets of the registers: 4.2.2.
pub(crate) const MAGIC: usize = 0x000;
pub(crate) const VERSION: usize = 0x004;
pub(crate) const DEVICE_ID: usize = 0x008;
pub(crate) const DEVICE_FEATURES: usize = 0x010;
pub(crate) const DEVICE_FEATURES_SELECT: usize = 0x014;
pub(crate) const DRIVER_FEATURES: usize = 0x020;
pub(crate) const DRIVER_FEATURES_SELECT: usize = 0x024;
pub(crate) const QUEUE_SELECT: usize = 0x030;
pub(crate) const QUEUE_SIZE_MAX: usize = 0x034;
pub(crate) const QUEUE_SIZE: usize = 0x038;
pub(crate) const QUEUE_READY: usize = 0x044;
pub(crate) const QUEUE_NOTIFY: usize = 0x050;
pub(crate) const INTERRUPT_STATUS: usize = 0x060;
pub(crate) const INTERRUPT_ACK: usize = 0x064;
pub(crate) const STATUS: usize = 0x070;
pub(crate) const QUEUE_DESC: usize = 0x080;
pub(crate) const QUEUE_DRIVER: usize = 0x090;
pub(crate) const QUEUE_DEVICE: usize = 0x0a0;
pub(crate) const CONFIG_GENERATION: usize = 0x0fc;
/// Where the device's own configuration begins.
pub(crate) const CONFIG: usize = 0x100;

/// "virt", the lowest octet first.
pub(crate) const MAGIC_VALUE: u32 = 0x7472_6976;
/// Of the registers as virtio 1.0 and later have them.
pub(crate) const VERSION_MODERN: u32 = 2;
const VERSION_LEGACY: u32 = 1;

/// The fields of a network device that are asked for lie in so many octets (5.1.4); QEMU's slots have 256, all others
/// 3840.
const LEAST_CONFIG: u64 = 0x40;
/// No device is longer: Linux gives 4 KiB, Firecracker too.
const MAX_SIZE: u64 = 1 << 20;
