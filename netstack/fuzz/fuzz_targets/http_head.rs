//! Heads of answers as `-i` prints them: the properties that the tests of `client` check.
#![no_main]

#[path = "../../client/tests/answers/mod.rs"]
mod answers;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| answers::heads(octets));
