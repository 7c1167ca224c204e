//! A wire on which anything is said. Run it with ASAN_OPTIONS=detect_leaks=0: a DHCP client keeps its buffer for the machine's
//! life, and each run is one.
#![no_main]

#[path = "../../stack/tests/frames/mod.rs"]
mod frames;
#[path = "../../stack/tests/router/mod.rs"]
mod router;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| frames::check(octets));
