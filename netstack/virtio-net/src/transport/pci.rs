//! A modern virtio device on PCI: virtio 1.2, section 4.1, as `virtio-drivers`' [`Transport`].
//!
//! It differs from that crate's own PCI transport in what design and devices ask for: 64-bit queue
//! addresses go out as two 32-bit writes (4.1.3.1), the status byte gains one bit at a time
//! (3.1.1), MSI-X is used where the function has it and the interrupt line otherwise, and
//! the bus master is turned on, and off again when the transport is dropped.
//!
//! Transitional devices work through their modern interface; a device with the legacy
//! interface only is refused. **Not** here: the PCI configuration access capability, shared memory
//! regions, more than one MSI-X vector.

use core::fmt::Debug;
use core::ops::BitAnd;

use bitflags::Flags;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result as DriverResult};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Bus, Line, RESET_READS, fields};
use crate::pci::{self, Function, Identity, Window};
use crate::platform::{ConfigSpace, Departures, Platform, Registers};
use crate::setup::SetupError;

/// A virtio device behind PCI registers. Dropping it resets the device and ends its memory
/// accesses.
pub struct PciTransport<P: Platform> {
    function: Function,
    device_type: DeviceType,
    config: P::Config,
    common: P::Registers,
    notify: P::Registers,
    isr: P::Registers,
    device: Option<P::Registers>,
    /// Where in `notify` each queue is notified.
    notify_offsets: Vec<usize>,
    /// Queues set up since the reset, one bit each.
    in_use: u64,
    msix: bool,
    vector_refused: bool,
    departures: Departures,
}

impl<P: Platform> PciTransport<P> {
    /// Takes the device at `function`, which [`device_type`] said is one; its interrupts raise
    /// `vector`.
    pub(crate) fn new(
        platform: &P,
        function: Function,
        device_type: DeviceType,
        vector: u8,
    ) -> Result<Self, SetupError> {
        let config = platform.config();
        let capabilities = pci::capabilities(&config, function);
        let parts = Parts::find(&config, function, &capabilities);
        // 4.1.4.4: without the modern structures there is only the legacy interface.
        let common = parts.common.ok_or(SetupError::LegacyOnly)?;
        let notify = parts.notify.ok_or(SetupError::MissingStructure("notification"))?;
        let isr = parts.isr.ok_or(SetupError::MissingStructure("isr"))?;
        if (common.len as usize) < common::SIZE {
            return Err(SetupError::MissingStructure("whole common configuration"));
        }

        pci::enable(&config, function);
        let map = |window: Window| window.map(platform, function);
        let mut transport = Self {
            function,
            device_type,
            common: map(common)?,
            notify: map(notify)?,
            isr: map(isr)?,
            device: parts.device.map(map).transpose()?,
            notify_offsets: Vec::new(),
            in_use: 0,
            msix: false,
            vector_refused: false,
            departures: platform.departures(),
            config,
        };
        transport.reset()?;
        transport.find_notify_offsets(parts.notify_multiplier)?;
        transport.msix = pci::enable_msix(platform, function, &capabilities, vector)?;
        if !transport.msix {
            let line = pci::line(&transport.config, function).ok_or(SetupError::NoInterrupt)?;
            platform.route_line(line, vector).map_err(pci::Error::from)?;
        }
        Ok(transport)
    }

    /// Whether the device interrupts by MSI-X; by its line otherwise.
    pub fn msix(&self) -> bool {
        self.msix
    }

    /// The line, for a device that keeps it up.
    pub(crate) fn line(&self) -> Option<Line<P::Registers>> {
        (!self.msix && !self.departures.pulsed_lines).then(|| Line::ByReading(self.isr.clone()))
    }

    /// 2.4.1 and 4.1.4.3.2: the driver waits until the status reads back as zero.
    fn reset(&mut self) -> Result<(), SetupError> {
        self.common.write8(common::STATUS, 0);
        self.in_use = 0;
        for _ in 0..RESET_READS {
            if self.common.read8(common::STATUS) == 0 {
                return Ok(());
            }
            core::hint::spin_loop();
        }
        Err(SetupError::ResetTimedOut)
    }

    /// 4.1.4.4: where each queue's notification register is, checked against the window.
    fn find_notify_offsets(&mut self, multiplier: u32) -> Result<(), SetupError> {
        // 64: as many as a console with 31 ports has.
        for queue in 0..self.common.read16(common::NUM_QUEUES).min(64) {
            self.common.write16(common::QUEUE_SELECT, queue);
            let slot = self.common.read16(common::QUEUE_NOTIFY_OFF);
            let offset = u64::from(slot) * u64::from(multiplier);
            if offset % 2 != 0 || offset + 2 > self.notify.size() as u64 {
                return Err(SetupError::NotifyOutsideWindow { queue });
            }
            self.notify_offsets.push(offset as usize);
        }
        Ok(())
    }

    fn select(&self, queue: u16) {
        self.common.write16(common::QUEUE_SELECT, queue);
    }

    /// 4.1.3.1: a 64-bit field is written as two 32-bit halves.
    fn write64(&self, offset: usize, value: u64) {
        self.common.write32(offset, value as u32);
        self.common.write32(offset + 4, (value >> 32) as u32);
    }
}

impl<P: Platform> Bus for PciTransport<P> {
    fn vectors_accepted(&self) -> bool {
        !self.vector_refused
    }

    fn departures(&self) -> Departures {
        self.departures
    }
}

impl<P: Platform> Transport for PciTransport<P> {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn read_device_features(&mut self) -> u64 {
        let half = |select| {
            self.common.write32(common::DEVICE_FEATURE_SELECT, select);
            u64::from(self.common.read32(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        // The lower half last: uhyve has one word for both, and keeps of it what the last half offers.
        for (select, half) in [(1, driver_features >> 32), (0, driver_features)] {
            self.common.write32(common::DRIVER_FEATURE_SELECT, select);
            self.common.write32(common::DRIVER_FEATURE, half as u32);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        if usize::from(queue) >= self.notify_offsets.len() {
            return 0;
        }
        self.select(queue);
        self.common.read16(common::QUEUE_SIZE).into()
    }

    fn notify(&mut self, queue: u16) {
        if let Some(&offset) = self.notify_offsets.get(usize::from(queue)) {
            self.notify.write16(offset, queue);
        }
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.common.read8(common::STATUS).into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.common.write8(common::STATUS, status.bits() as u8);
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
        self.select(queue);
        // 4.1.5.1.3: it is written to make the queue shorter; some devices have one size and take no other.
        if self.common.read16(common::QUEUE_SIZE) != size as u16 {
            self.common.write16(common::QUEUE_SIZE, size as u16);
        }
        if self.msix {
            self.common.write16(common::CONFIG_VECTOR, 0);
            self.common.write16(common::QUEUE_VECTOR, 0);
            // 4.1.5.1.2: a device without room for the mapping answers with NO_VECTOR.
            self.vector_refused |= self.common.read16(common::QUEUE_VECTOR) == NO_VECTOR;
        }
        self.write64(common::QUEUE_DESC, descriptors);
        self.write64(common::QUEUE_DRIVER, driver_area);
        self.write64(common::QUEUE_DEVICE, device_area);
        self.common.write16(common::QUEUE_ENABLE, 1);
        self.in_use |= 1_u64.checked_shl(queue.into()).unwrap_or(0);
    }

    fn queue_unset(&mut self, _queue: u16) {
        // 4.1.4.3.2: a driver does not write 0 to queue_enable. The reset does it.
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        // Our own note: not every device keeps queue_enable readable.
        self.in_use & 1_u64.checked_shl(queue.into()).unwrap_or(0) != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(self.isr.read8(0).into())
    }

    fn begin_init<F: Flags<Bits = u64> + BitAnd<Output = F> + Debug>(
        &mut self,
        supported_features: F,
    ) -> F {
        // 3.1.1: the bits are set one after the other, which stricter devices insist on.
        self.set_status(DeviceStatus::empty());
        self.set_status(DeviceStatus::ACKNOWLEDGE);
        self.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER);
        let offered = F::from_bits_truncate(self.read_device_features());
        let negotiated = offered & supported_features;
        self.write_driver_features(negotiated.bits());
        self.set_status(
            DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER | DeviceStatus::FEATURES_OK,
        );
        negotiated
    }

    fn read_config_generation(&self) -> u32 {
        self.common.read8(common::CONFIG_GENERATION).into()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> DriverResult<T> {
        let registers = self.device.as_ref().ok_or(virtio_drivers::Error::ConfigSpaceMissing)?;
        fields::read(registers, 0, offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> DriverResult<()> {
        let registers = self.device.as_ref().ok_or(virtio_drivers::Error::ConfigSpaceMissing)?;
        fields::write(registers, 0, offset, &value)
    }
}

impl<P: Platform> Drop for PciTransport<P> {
    fn drop(&mut self) {
        // The owner's buffers are freed after this: the device must not write to them any more,
        // whether or not it completes the reset. Where it cannot be reset, the platform frees none.
        if !(self.departures.no_reset && self.get_status().contains(DeviceStatus::DRIVER_OK)) {
            let _ = self.reset();
        }
        pci::stop_bus_master(&self.config, self.function);
    }
}

/// The virtio device type of a PCI function, if it is a virtio device: 4.1.2.
pub(crate) fn device_type(identity: Identity) -> Option<DeviceType> {
    if identity.vendor != VENDOR {
        return None;
    }
    let number = match identity.device {
        0x1000..=0x103f => identity.subsystem, // transitional: the type is in the subsystem id
        0x1041..=0x107f => identity.device - 0x1040,
        _ => return None,
    };
    DeviceType::try_from(number).ok()
}

/// The virtio structures of a function: 4.1.4.
#[derive(Default)]
struct Parts {
    common: Option<Window>,
    notify: Option<Window>,
    notify_multiplier: u32,
    isr: Option<Window>,
    device: Option<Window>,
}

impl Parts {
    fn find<C: ConfigSpace>(config: &C, function: Function, capabilities: &[(u8, u8)]) -> Self {
        let mut parts = Self::default();
        for &(at, id) in capabilities {
            // The longest of these structures has five words.
            if id != CAPABILITY_VENDOR || at > 0xff - 19 {
                continue;
            }
            let kind = (config.read(function, at) >> 24) as u8;
            let window = Window {
                bar: config.read(function, at + 4) as u8,
                offset: config.read(function, at + 8),
                len: config.read(function, at + 12),
            };
            // 4.1.4: the first of each kind is the one to use; reserved bars are to be ignored.
            let part = match kind {
                CFG_COMMON => &mut parts.common,
                CFG_NOTIFY => &mut parts.notify,
                CFG_ISR => &mut parts.isr,
                CFG_DEVICE => &mut parts.device,
                _ => continue,
            };
            if part.is_some() || window.bar > 5 {
                continue;
            }
            *part = Some(window);
            if kind == CFG_NOTIFY {
                parts.notify_multiplier = config.read(function, at + 16);
            }
        }
        parts
    }
}

/// Offsets in the common configuration: 4.1.4.3.
pub(crate) mod common {
    pub(crate) const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub(crate) const DEVICE_FEATURE: usize = 0x04;
    pub(crate) const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub(crate) const DRIVER_FEATURE: usize = 0x0c;
    pub(crate) const CONFIG_VECTOR: usize = 0x10;
    pub(crate) const NUM_QUEUES: usize = 0x12;
    pub(crate) const STATUS: usize = 0x14;
    pub(crate) const CONFIG_GENERATION: usize = 0x15;
    pub(crate) const QUEUE_SELECT: usize = 0x16;
    pub(crate) const QUEUE_SIZE: usize = 0x18;
    pub(crate) const QUEUE_VECTOR: usize = 0x1a;
    pub(crate) const QUEUE_ENABLE: usize = 0x1c;
    pub(crate) const QUEUE_NOTIFY_OFF: usize = 0x1e;
    pub(crate) const QUEUE_DESC: usize = 0x20;
    pub(crate) const QUEUE_DRIVER: usize = 0x28;
    pub(crate) const QUEUE_DEVICE: usize = 0x30;
    pub(crate) const SIZE: usize = 0x38;
}

/// Red Hat, whose number all virtio devices carry.
pub(crate) const VENDOR: u16 = 0x1af4;
const CAPABILITY_VENDOR: u8 = 0x09;
const CFG_COMMON: u8 = 1;
const CFG_NOTIFY: u8 = 2;
const CFG_ISR: u8 = 3;
const CFG_DEVICE: u8 = 4;
pub(crate) const NO_VECTOR: u16 = 0xffff;
