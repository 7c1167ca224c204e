//! A boot command line and its words.
//!
//! The rules are those of MirageOS's boot arguments: spaces split, a backslash takes the next character as
//! it is (inside double quotes too), double quotes group, and a line that ends inside quotes or after a
//! lone backslash is an error. Everything else, single quotes included, stands for itself.

use core::fmt;

/// Splits `line` into its words.
///
/// ```
/// # use proto::words::split;
/// assert_eq!(split(r#"foo "bar baz" f\ oo"#).unwrap(), ["foo", "bar baz", "f oo"]);
/// ```
pub fn split(line: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    // `None` between words, so that "" is a word and two spaces are none
    let mut word: Option<String> = None;
    let mut quoted_at = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                let (_, escaped) = characters.next().ok_or(Error::OpenEscape { at })?;
                word.get_or_insert_default().push(escaped);
            }
            '"' => {
                quoted_at = if quoted_at.is_some() { None } else { Some(at) };
                word.get_or_insert_default();
            }
            ' ' if quoted_at.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if let Some(at) = quoted_at {
        return Err(Error::OpenQuote { at });
    }
    words.extend(word);
    Ok(words)
}

/// Writes `word` so that [`split`] gives it back as one word.
///
/// ```
/// # use proto::words::quote;
/// assert_eq!(quote("a b"), r#""a b""#);
/// ```
pub fn quote(word: &str) -> String {
    let grouped = word.is_empty() || word.contains(' ');
    let mut out = String::with_capacity(word.len() + 2);
    if grouped {
        out.push('"');
    }
    for character in word.chars() {
        if matches!(character, '\\' | '"') {
            out.push('\\');
        }
        out.push(character);
    }
    if grouped {
        out.push('"');
    }
    out
}

/// Why a command line has no words. Offsets are octets from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The line ends after a backslash.
    OpenEscape {
        /// Where the backslash stands.
        at: usize,
    },
    /// The line ends inside double quotes.
    OpenQuote {
        /// Where the quotes were opened.
        at: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenEscape { at } => {
                write!(f, "the boot arguments end after the backslash at character {at}")
            }
            Self::OpenQuote { at } => {
                write!(
                    f,
                    "the double quote at character {at} of the boot arguments is never closed"
                )
            }
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_as_the_original_does() {
        let table: [(&str, &[&str]); 9] = [
            ("foo bar baz", &["foo", "bar", "baz"]),
            (r#"foo "bar" baz"#, &["foo", "bar", "baz"]),
            (r#"f\ oo b\"r baz"#, &["f oo", "b\"r", "baz"]),
            (r#"foo bar"bie"boo baz"#, &["foo", "barbieboo", "baz"]),
            (r#"foo "bar baz""#, &["foo", "bar baz"]),
            (r"foo bar\ baz", &["foo", "bar baz"]),
            ("  ", &[]),
            (r#"a "" b"#, &["a", "", "b"]),
            ("it's", &["it's"]),
        ];
        for (line, words) in table {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn refuses_what_is_left_open() {
        assert_eq!(split("\\"), Err(Error::OpenEscape { at: 0 }));
        assert_eq!(split("a \"b c"), Err(Error::OpenQuote { at: 2 }));
        assert_eq!(split("\"a\\\""), Err(Error::OpenQuote { at: 0 }));
    }

    proptest! {
        #[test]
        fn quote_is_the_inverse_of_split(words in proptest::collection::vec(".*", 0..6)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line).unwrap(), words);
        }

        #[test]
        fn any_line_is_split_or_refused(line in r#"[ab "\\']{0,24}"#) {
            let _ = split(&line);
        }
    }
}
