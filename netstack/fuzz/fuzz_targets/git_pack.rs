//! Packs and objects of git: the properties that the tests of `proto` check.
#![no_main]

#[path = "../../proto/tests/git/properties.rs"]
#[allow(dead_code, reason = "each target checks one of them")]
mod properties;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    properties::pack(octets);
    properties::entries(octets);
});
