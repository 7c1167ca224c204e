//! An SSH server's messages behind the first key exchange: the promises of the crate's script.
#![no_main]

use ssh::server::script::{Begin, session};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| session(Begin::Encrypted, octets));
