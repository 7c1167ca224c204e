//! An SSH server's octets in the clear: the promises of the crate's script.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ssh::server::script::clear(octets));
