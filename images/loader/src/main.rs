//! The boot loader: from PVH's, multiboot's or Linux's entry to the Hermit kernel.
//!
//! Unsafe code is what a loader is made of: firmware's tables are read by address, page tables are
//! written, and control leaves to an address in a file. It lies in the modules under `machine`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod machine;

/// On a host there is nothing to load.
#[cfg(not(target_os = "none"))]
fn main() {}
