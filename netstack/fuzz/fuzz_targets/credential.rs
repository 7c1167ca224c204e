//! Certificates and keys as users give them: the properties that the tests of `proto` check.
#![no_main]

#[path = "../../proto/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &str| properties::credential(text));
