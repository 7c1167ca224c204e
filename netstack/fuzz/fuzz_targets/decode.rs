//! Contents of any coding: the properties that the tests of `client` check.
#![no_main]

#[path = "../../client/tests/answers/mod.rs"]
mod answers;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| answers::decode(octets));
