//! Any DER as a certificate before pins and anchors: the properties that the tests of `client` check.
#![no_main]

#[path = "../../client/tests/certificates/mod.rs"]
mod certificates;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| certificates::pinned(octets));
