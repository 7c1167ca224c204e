//! One virtio device as its driver sees it: registers in front, queues behind.

mod mmio;

use core::ptr;

use super::{COMMON, CONFIG, ISR, MSIX, NOTIFY, SLOT};
use crate::transport::pci::{NO_VECTOR, common};

/// A device, and a record of what the driver did to it.
pub(crate) struct Device {
    pub(crate) offered: u64,
    pub(crate) accepted: u64,
    /// Every value that was written to the status.
    pub(crate) statuses: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) queues: Vec<QueueState>,
    pub(crate) msix_table: [u32; 4],
    pub(crate) isr: u8,
    /// Interrupts raised, by message or line.
    pub(crate) interrupts: usize,
    /// How each device behaves that does not behave.
    pub(crate) never_resets: bool,
    pub(crate) refuses_features: bool,
    pub(crate) refuses_vectors: bool,
    /// What a device in memory says it is.
    pub(crate) identity: [u32; 3],
    status: u8,
    feature_selects: [u32; 2],
    queue_select: u16,
}

/// A queue as the device knows it.
#[derive(Clone, Default)]
pub(crate) struct QueueState {
    pub(crate) size: u16,
    pub(crate) vector: u16,
    pub(crate) enabled: bool,
    pub(crate) notify_off: u16,
    pub(crate) notifications: usize,
    pub(crate) descriptors: u64,
    pub(crate) driver: u64,
    pub(crate) device: u64,
    /// The available entries taken so far.
    seen: u16,
    used: u16,
}

/// What the driver made available under one descriptor: all this crate uses is single buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) id: u16,
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) device_writes: bool,
}

impl Device {
    /// A device with `VERSION_1` and these features, with queues of these lengths.
    pub(crate) fn new(features: u64, queues: &[u16], config: &[u8]) -> Self {
        let mut space = config.to_vec();
        space.resize(0x40, 0);
        let queue = |(n, size): (usize, &u16)| QueueState {
            size: *size,
            notify_off: n as u16,
            vector: NO_VECTOR,
            ..QueueState::default()
        };
        Self {
            offered: features | 1 << 32,
            accepted: 0,
            statuses: Vec::new(),
            config: space,
            queues: queues.iter().enumerate().map(queue).collect(),
            msix_table: [0, 0, 0, 1],
            isr: 0,
            interrupts: 0,
            never_resets: false,
            refuses_features: false,
            refuses_vectors: false,
            identity: mmio::NETWORK,
            status: 0,
            feature_selects: [0; 2],
            queue_select: 0,
        }
    }

    pub(crate) fn read(&mut self, at: usize, width: usize) -> u32 {
        match at {
            0..ISR => self.read_common(at - COMMON, width),
            SLOT.. => self.read_slot(at - SLOT, width),
            ISR => core::mem::take(&mut self.isr).into(),
            CONFIG..NOTIFY => {
                let mut bytes = [0; 4];
                bytes[..width].copy_from_slice(&self.config[at - CONFIG..at - CONFIG + width]);
                u32::from_le_bytes(bytes)
            }
            _ => panic!("the driver reads at {at:#x}"),
        }
    }

    pub(crate) fn write(&mut self, at: usize, width: usize, value: u32) {
        match at {
            0..ISR => self.write_common(at - COMMON, width, value),
            SLOT.. => self.write_slot(at - SLOT, width, value),
            NOTIFY..MSIX => {
                assert_eq!(width, 2, "4.1.5.2: the queue's index is 16 bits");
                assert_eq!((at - NOTIFY) / 4, value as usize, "the queue's own register");
                self.queues[value as usize].notifications += 1;
            }
            MSIX.. => self.msix_table[(at - MSIX) / 4] = value,
            _ => panic!("the driver writes at {at:#x}"),
        }
    }

    fn read_common(&mut self, at: usize, width: usize) -> u32 {
        let queue = self.queues.get(usize::from(self.queue_select));
        let (value, natural) = match at {
            common::DEVICE_FEATURE => ((self.offered >> (32 * self.feature_selects[0])) as u32, 4),
            common::NUM_QUEUES => (self.queues.len() as u32, 2),
            common::STATUS => (self.status.into(), 1),
            common::CONFIG_GENERATION => (0, 1),
            common::QUEUE_SIZE => (queue.map_or(0, |queue| queue.size).into(), 2),
            common::QUEUE_VECTOR => (queue.map_or(0, |queue| queue.vector).into(), 2),
            common::QUEUE_ENABLE => (queue.is_some_and(|queue| queue.enabled).into(), 2),
            common::QUEUE_NOTIFY_OFF => (queue.map_or(0, |queue| queue.notify_off).into(), 2),
            _ => panic!("the driver reads the common configuration at {at:#x}"),
        };
        assert_eq!(width, natural, "4.1.3.1: the natural width at {at:#x}");
        value
    }

    fn write_common(&mut self, at: usize, width: usize, value: u32) {
        let natural = match at {
            common::STATUS => 1,
            common::DEVICE_FEATURE_SELECT
            | common::DRIVER_FEATURE_SELECT
            | common::DRIVER_FEATURE
            | common::QUEUE_DESC.. => 4,
            _ => 2,
        };
        assert_eq!(width, natural, "4.1.3.1: the natural width at {at:#x}");
        match at {
            common::DEVICE_FEATURE_SELECT => self.feature_selects[0] = value,
            common::DRIVER_FEATURE_SELECT => self.feature_selects[1] = value,
            common::DRIVER_FEATURE => {
                let shift = 32 * self.feature_selects[1];
                self.accepted = self.accepted & !(0xffff_ffff << shift) | u64::from(value) << shift;
            }
            common::CONFIG_VECTOR => {}
            common::STATUS => self.write_status(value as u8),
            common::QUEUE_SELECT => self.queue_select = value as u16,
            _ => self.write_queue(at, value),
        }
    }

    fn write_status(&mut self, value: u8) {
        self.statuses.push(value);
        if value == 0 {
            for queue in &mut self.queues {
                let QueueState { size, notify_off, notifications, .. } = *queue;
                let vector = NO_VECTOR;
                *queue =
                    QueueState { size, notify_off, notifications, vector, ..Default::default() };
            }
        }
        self.status = if value == 0 && self.never_resets { self.status | 1 } else { value };
        if self.refuses_features {
            self.status &= !8;
        }
    }

    fn write_queue(&mut self, at: usize, value: u32) {
        let refuses = self.refuses_vectors;
        let queue = &mut self.queues[usize::from(self.queue_select)];
        let low = |old: u64| old & !0xffff_ffff | u64::from(value);
        let high = |old: u64| old & 0xffff_ffff | u64::from(value) << 32;
        match at {
            common::QUEUE_SIZE => {
                assert_ne!(
                    queue.size, value as u16,
                    "some devices take no size, not even their own"
                );
                queue.size = value as u16;
            }
            common::QUEUE_VECTOR => {
                queue.vector = if refuses { NO_VECTOR } else { value as u16 };
            }
            common::QUEUE_ENABLE => queue.enabled = value == 1,
            common::QUEUE_DESC => queue.descriptors = low(queue.descriptors),
            0x24 => queue.descriptors = high(queue.descriptors),
            common::QUEUE_DRIVER => queue.driver = low(queue.driver),
            0x2c => queue.driver = high(queue.driver),
            common::QUEUE_DEVICE => queue.device = low(queue.device),
            0x34 => queue.device = high(queue.device),
            _ => panic!("the driver writes the common configuration at {at:#x}"),
        }
    }

    /// How many buffers the driver made available that were not taken.
    pub(crate) fn waiting(&self, queue: usize) -> u16 {
        let queue = &self.queues[queue];
        read::<u16>(queue.driver + 2).wrapping_sub(queue.seen)
    }

    /// The next buffer that the driver made available.
    pub(crate) fn take(&mut self, queue: usize) -> Option<Chain> {
        if self.waiting(queue) == 0 {
            return None;
        }
        let queue = &mut self.queues[queue];
        let slot = u64::from(queue.seen % queue.size);
        let id = read::<u16>(queue.driver + 4 + 2 * slot);
        queue.seen = queue.seen.wrapping_add(1);
        let descriptor = queue.descriptors + 16 * u64::from(id);
        let flags = read::<u16>(descriptor + 12);
        assert_eq!(flags & !2, 0, "neither chained nor indirect");
        Some(Chain {
            id,
            address: read(descriptor),
            len: read(descriptor + 8),
            device_writes: flags & 2 != 0,
        })
    }

    /// What the driver has for the device to read.
    pub(crate) fn contents(&self, chain: Chain) -> Vec<u8> {
        assert!(!chain.device_writes);
        (0..u64::from(chain.len)).map(|n| read::<u8>(chain.address + n)).collect()
    }

    /// Writes to a buffer.
    pub(crate) fn fill(&self, chain: Chain, bytes: &[u8]) {
        assert!(chain.device_writes && bytes.len() <= chain.len as usize);
        for (n, byte) in bytes.iter().enumerate() {
            write(chain.address + n as u64, *byte);
        }
    }

    /// Says that a buffer was used, whatever the identifier.
    pub(crate) fn complete(&mut self, queue: usize, id: u32, len: u32) {
        let state = &mut self.queues[queue];
        let element = state.device + 4 + 8 * u64::from(state.used % state.size);
        write(element, id);
        write(element + 4, len);
        state.used = state.used.wrapping_add(1);
        write(state.device + 2, state.used);
        if read::<u16>(state.driver) & 1 == 0 {
            self.interrupts += 1;
            self.isr |= 1;
        }
    }

    /// Takes a buffer, writes to it and completes it.
    pub(crate) fn deliver(&mut self, queue: usize, bytes: &[u8]) {
        let chain = self.take(queue).expect("the driver has made a buffer available");
        self.fill(chain, bytes);
        self.complete(queue, chain.id.into(), bytes.len() as u32);
    }

    /// Takes what the driver sends and completes it.
    pub(crate) fn collect(&mut self, queue: usize) -> Option<Vec<u8>> {
        let chain = self.take(queue)?;
        let bytes = self.contents(chain);
        self.complete(queue, chain.id.into(), 0);
        Some(bytes)
    }

    /// Asks the driver not to notify a queue.
    pub(crate) fn suppress_notifications(&self, queue: usize) {
        write(self.queues[queue].device, 1_u16);
    }
}

fn read<T: Copy>(address: u64) -> T {
    // SAFETY: the address is of a queue's part or a buffer that the driver told; its memory came
    // from `FakeHal`, which exposed it, and is alive as long as the driver is. The driver has no
    // reference to it: it gave it away.
    unsafe { ptr::with_exposed_provenance::<T>(address as usize).read_volatile() }
}

fn write<T>(address: u64, value: T) {
    // SAFETY: as in `read`.
    unsafe { ptr::with_exposed_provenance_mut::<T>(address as usize).write_volatile(value) }
}
