//! Locations of redirects: the properties that the tests of `proto` check.
#![no_main]

#[path = "../../proto/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| properties::redirect(octets));
