//! A wire on which anything is said.
#![no_main]

#[path = "../../stack/tests/frames/mod.rs"]
mod frames;
#[path = "../../stack/tests/router/mod.rs"]
mod router;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| frames::check(octets));
