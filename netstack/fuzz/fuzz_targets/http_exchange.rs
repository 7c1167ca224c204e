//! Octets as a server's answer, over HTTP/1.1 and HTTP/2: the properties that the tests of `client` check.
#![no_main]

#[path = "../../client/tests/answers/mod.rs"]
mod answers;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| answers::exchange(octets));
