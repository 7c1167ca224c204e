//! Orders of events of the happy eyeballs machine: the promises that its property test checks.
#![no_main]

#[path = "../../happy-eyeballs/tests/world/mod.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    world::run(octets);
});
