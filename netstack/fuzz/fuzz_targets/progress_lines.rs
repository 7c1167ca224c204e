//! What a machine writes about its progress, in pieces of a size that the first octet says.
#![no_main]

#[path = "../../progress/tests/lines/mod.rs"]
mod lines;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| lines::check(input.1, 1 + usize::from(input.0)));
