//! Builds the Hermit kernel from the registry and links it.
//!
//! `use hermit as _;` in a program for `x86_64-unknown-hermit` is all that it takes. On any other
//! target this crate is empty.
//!
//! What the kernel has beyond `std` is here too: `interrupt`s, `entropy`, `set_time_of_day` and `exit`.
#![cfg_attr(not(test), no_std)]
#![allow(unsafe_code)]

#[cfg(target_os = "hermit")]
pub mod entropy;
#[cfg(target_os = "hermit")]
pub mod interrupt;
#[cfg(any(target_os = "hermit", all(test, target_arch = "x86_64")))]
mod memory;
#[cfg(target_os = "hermit")]
mod system;

#[cfg(target_os = "hermit")]
pub use system::{exit, set_time_of_day, uptime};
