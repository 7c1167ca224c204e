//! Boot words onto a kernel command line.
//!
//! Two parsers read that line: Hermit's kernel, which splits it by the rules of a POSIX shell (single quotes
//! and `#` mean something there), and the loader's, which knows only spaces, backslash and double quotes. What is
//! written here means the same to both: a backslash before every special character, never inside quotes.

/// Writes `words` as one command line.
pub fn join<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        quote(&mut line, word.as_ref());
    }
    line
}

/// The image's `own` words and the user's, as the loader puts them together for a program in a machine.
pub fn behind(mut own: Vec<String>, mut words: Vec<String>) -> Vec<String> {
    if !own.is_empty() {
        own.push(loader::words::OWN_END.into());
    }
    own.append(&mut words);
    own
}

fn quote(line: &mut String, word: &str) {
    if word.is_empty() {
        line.push_str("\"\"");
    }
    for character in word.chars() {
        match character {
            // a shell drops an escaped line feed, but keeps a quoted one
            '\n' => line.push_str("\"\n\""),
            _ if is_plain(character) => line.push(character),
            _ => line.extend(['\\', character]),
        }
    }
}

/// Whether `character` stands for itself in either parser, wherever it is in a word.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || !character.is_ascii()
        || "-_=+./:,@%?&!*[]{}~^;<>()|".contains(character)
}

#[cfg(test)]
mod tests {
    use super::join;
    use proptest::prelude::*;

    #[test]
    fn plain_words_stay_readable() {
        let words =
            ["--", "https://u@h.test:8/a?b=c&d#e", "--dns-servers=udp:10.0.2.3,tcp:10.0.2.3"];
        let line = join(words);
        assert_eq!(
            line,
            r"-- https://u@h.test:8/a?b=c&d\#e --dns-servers=udp:10.0.2.3,tcp:10.0.2.3"
        );
    }

    /// What the kernel reads of what the loader makes of the line.
    fn through_the_loader(line: &str) -> Vec<String> {
        let mut buffer = vec![0; 8 * line.len() + 8];
        let line = loader::words::for_kernel(b"", line.as_bytes(), &mut buffer).unwrap();
        shell_words::split(line).unwrap()
    }

    #[test]
    fn special_characters_survive() {
        let words = ["a b", "", "c\"d", "e\\f", "g'h", "#i", "j\nk", "\t", "ü ", "$l", "`m`"];
        let line = join(words);
        assert_eq!(shell_words::split(&line).unwrap(), words);
        assert_eq!(through_the_loader(&line)[1..], words);
    }

    proptest! {
        #[test]
        fn both_parsers_give_the_words_back(words in proptest::collection::vec("[^\0]*", 0..6)) {
            let line = join(&words);
            prop_assert_eq!(&shell_words::split(&line).unwrap(), &words);
            let line = format!("-- {line}");
            prop_assert_eq!(&through_the_loader(&line)[1..], &words);
        }
    }
}
