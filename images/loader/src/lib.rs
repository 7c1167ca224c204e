//! What the boot loader shares with the tool that packs it, and its parts that touch no hardware.
//!
//! The loader (`src/main.rs`, built for bare metal) is entered by PVH, multiboot or as Linux in 64-bit mode, finds the
//! program's ELF file — a segment of its own file, see [`slot`], or the first module, which wins —
//! loads it, describes the machine to the Hermit kernel in it, and jumps. In the order of the way:
//!
//! 1. [`memory`]: which RAM there is, and where the image goes
//! 2. [`words`]: the boot words, as the program is to see them
//! 3. [`fdt`]: the device tree that carries RAM and ACPI to the kernel
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod fdt;
pub mod memory;
pub mod slot;
pub mod words;
