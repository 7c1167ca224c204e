//! An SSH server's messages in the middle of a later key exchange: the promises of the crate's script.
#![no_main]

use ssh::server::script::{Begin, session};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| session(Begin::Rekeying, octets));
