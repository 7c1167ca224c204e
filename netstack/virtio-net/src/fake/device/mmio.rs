//! The device behind registers in memory: virtio 1.2, 4.2.2.

use super::Device;
use crate::transport::mmio as reg;

/// Magic number, version and type of a modern network device.
pub(super) const NETWORK: [u32; 3] = [reg::MAGIC_VALUE, reg::VERSION_MODERN, 1];

impl Device {
    pub(super) fn read_slot(&mut self, at: usize, width: usize) -> u32 {
        if at >= reg::CONFIG {
            let at = at - reg::CONFIG;
            let mut bytes = [0; 4];
            bytes[..width].copy_from_slice(&self.config[at..at + width]);
            return u32::from_le_bytes(bytes);
        }
        assert_eq!(width, 4, "4.2.2.2: all registers have 32 bits, and {at:#x}");
        let queue = self.queues.get(usize::from(self.queue_select));
        match at {
            reg::MAGIC => self.identity[0],
            reg::VERSION => self.identity[1],
            reg::DEVICE_ID => self.identity[2],
            reg::DEVICE_FEATURES => (self.offered >> (32 * self.feature_selects[0])) as u32,
            reg::QUEUE_SIZE_MAX => queue.map_or(0, |queue| queue.size.into()),
            reg::QUEUE_READY => queue.is_some_and(|queue| queue.enabled).into(),
            reg::INTERRUPT_STATUS => self.isr.into(),
            reg::STATUS => self.status.into(),
            reg::CONFIG_GENERATION => 0,
            _ => panic!("the driver reads the register {at:#x}"),
        }
    }

    pub(super) fn write_slot(&mut self, at: usize, width: usize, value: u32) {
        assert_eq!(width, 4, "4.2.2.2: all registers have 32 bits, and {at:#x}");
        match at {
            reg::DEVICE_FEATURES_SELECT => self.feature_selects[0] = value,
            reg::DRIVER_FEATURES_SELECT => self.feature_selects[1] = value,
            reg::DRIVER_FEATURES => {
                let shift = 32 * self.feature_selects[1];
                self.accepted = self.accepted & !(0xffff_ffff << shift) | u64::from(value) << shift;
            }
            reg::QUEUE_SELECT => self.queue_select = value as u16,
            reg::QUEUE_NOTIFY => self.queues[value as usize].notifications += 1,
            reg::INTERRUPT_ACK => self.isr &= !(value as u8),
            reg::STATUS => self.write_status(value as u8),
            _ => self.write_queue_of_slot(at, value),
        }
    }

    fn write_queue_of_slot(&mut self, at: usize, value: u32) {
        let queue = &mut self.queues[usize::from(self.queue_select)];
        let low = |old: u64| old & !0xffff_ffff | u64::from(value);
        let high = |old: u64| old & 0xffff_ffff | u64::from(value) << 32;
        match at {
            reg::QUEUE_SIZE => queue.size = value as u16,
            reg::QUEUE_READY => queue.enabled = value == 1,
            reg::QUEUE_DESC => queue.descriptors = low(queue.descriptors),
            0x084 => queue.descriptors = high(queue.descriptors),
            reg::QUEUE_DRIVER => queue.driver = low(queue.driver),
            0x094 => queue.driver = high(queue.driver),
            reg::QUEUE_DEVICE => queue.device = low(queue.device),
            0x0a4 => queue.device = high(queue.device),
            _ => panic!("the driver writes the register {at:#x}"),
        }
    }
}
