//! Builds the Hermit kernel from the registry and links it.
//!
//! `use hermit as _;` in a program for `x86_64-unknown-hermit` is all that it takes. On any other
//! target this crate is empty.
#![no_std]
