//! The boot line: any line through the loader, and any words through the builder and the loader.
#![no_main]

#[path = "../../../images/builder/src/words.rs"]
mod builder;
#[path = "../../../images/loader/tests/model/mod.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|text: &str| {
    model::check(text);
    // a boot line ends at its first zero octet
    let words: Vec<_> = text.split('\0').collect();
    let line = builder::join(["--"].iter().chain(&words));
    model::check(&line);
    let read = model::words(&line).expect("nothing is left open");
    assert_eq!(read[1..], words, "{line:?}");
});
