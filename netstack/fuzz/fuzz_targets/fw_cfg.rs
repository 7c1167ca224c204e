//! The directory of the firmware configuration device.
#![no_main]

#[path = "../../virtio-net/tests/directory/mod.rs"]
mod directory;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| directory::check(octets));
