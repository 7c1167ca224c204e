//! Answers of DNS: read or refused, and addresses only from the end of the chain of aliases.
#![no_main]

#[path = "../../proto/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    oracle::check(octets);
});
