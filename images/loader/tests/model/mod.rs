//! What the boot line's rules mean, written as plainly as can be: what `loader::words` is held against, here and by
//! the fuzz target `words`.

/// The words of `line`; `None` where it ends inside double quotes or after a lone backslash.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    // `None` between words, so that "" is a word and two spaces are none
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().push(characters.next()?),
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

/// Panics unless the loader hands the kernel just the words of `line`, after a `--`.
pub fn check(line: &str) {
    // each character becomes five octets at most, and each word has two quotes and a space
    let mut buffer = vec![0; 8 * line.len() + 8];
    let written = loader::words::for_kernel(b"", line.as_bytes(), &mut buffer);
    let Some(mut expected) = words(line) else {
        assert!(written.is_err(), "{line:?} is left open");
        return;
    };
    if !expected.iter().any(|word| word == "--") {
        expected.insert(0, "--".into());
    }
    let written = written.unwrap_or_else(|error| panic!("{line:?}: {error}"));
    // the kernel reads it as a shell does
    let read = shell_words::split(written).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    assert_eq!(read, expected, "{line:?}");
}
