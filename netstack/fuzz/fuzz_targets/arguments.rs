//! Boot words, one a line: a configuration, or one line that says why not.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let words = text.split('\n').map(String::from).collect();
    if let Err(line) = kernel_app::Config::from_words(words) {
        assert!(!line.is_empty(), "{text:?}");
    }
});
