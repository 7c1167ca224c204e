//! Chains of certificates with octets changed: never a panic, and never taken.
#![no_main]

#[path = "../../client/tests/certificates/mod.rs"]
mod certificates;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| certificates::damaged(octets));
