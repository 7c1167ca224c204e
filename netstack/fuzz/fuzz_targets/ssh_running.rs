//! An SSH server's messages with a running command: the promises of the crate's script.
#![no_main]

use ssh::server::script::{Begin, session};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| session(Begin::Running, octets));
