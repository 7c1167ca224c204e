//! Virtio devices from ring 0 of a unikernel: found on PCI, driven on `virtio-drivers`' virtqueues,
//! seen as a smoltcp network device, as byte streams, as a source of entropy and as
//! a carrier of packets to the hypervisor.
//!
//! ```text
//!   Machine::discover ─▶ pci (enumerate, BARs, MSI-X), mmio (boot words) ─▶ transport ─▶ net · console · rng · vsock
//!                             │                                                 │           │
//!   platform: traits      ConfigSpace                                       Registers   queue ─▶ dma ─▶ Hal
//!                             └──────────────────── ring0 (ports, page tables, asm) ───────────┘
//! ```
//!
//! Start with [`Machine`]. All devices raise one vector, counted by the kernel in one word; how to
//! wait without losing a wake is said at [`net`] and [`console`]. Everything is `Send` and nothing
//! is `Sync`: a device has one owner.
//!
//! The device is not trusted with the program's memory safety: what it writes into rings and
//! headers is checked, and a device that returns buffers it did not have is given up
//! ([`Fault`]). The PCI configuration space and the boot words, which the same host answers for, are trusted
//! to name device registers.
//!
//! Unsafe code is in `queue` (the lives of buffers), `dma` (their memory), `ring0` (the processor)
//! and one line each of `pci` and `transport::mmio` (mapping registers): drivers need it, and nothing else of the stack does. The
//! tests run on any host, against fake devices behind the same traits.

pub mod console;
mod dma;
pub mod fw_cfg;
pub mod machine;
pub mod mmio;
pub mod net;
pub mod pci;
pub mod platform;
mod queue;
#[cfg(target_arch = "x86_64")]
pub mod ring0;
pub mod rng;
pub mod setup;
pub mod transport;
pub mod vsock;

#[cfg(test)]
mod fake;

pub use virtio_drivers::{BufferDirection, Hal};

pub use self::console::{Console, Port, PortError};
pub use self::machine::{Devices, Lines, Machine, Place, Skipped};
pub use self::net::{Counters, NetDevice};
pub use self::queue::Fault;
pub use self::rng::{Rng, RngError};
pub use self::setup::SetupError;
pub use self::vsock::Vsock;
