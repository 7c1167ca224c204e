//! Virtio devices driven from ring 0: PCI, DMA, interrupts, net, rng and console
