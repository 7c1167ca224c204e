//! What a git server can say that makes no sense, and what is too much.

use core::fmt;

/// Why an answer of a git server is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Two contents of one SHA-1 name were made on purpose.
    Collision,
    /// More than a limit allows.
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        most: u64,
    },
    /// What came does not follow the format.
    Malformed {
        /// What was expected.
        expected: &'static str,
        /// The start of what came, made printable.
        found: String,
    },
    /// The machine's memory is full.
    Memory {
        /// How many octets more were needed at once.
        octets: u64,
    },
    /// An object that must be there is not.
    Missing {
        /// Its name.
        name: String,
    },
    /// A pack whose parts contradict each other.
    Pack {
        /// Where in the pack.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The server refuses, in its own words.
    Refused(String),
    /// The server lacks something without which nothing can be asked.
    Unsupported(String),
}

/// What is shown of a malformed message.
const SHOWN: usize = 60;

impl Error {
    /// Something else came than was expected.
    pub(crate) fn malformed(expected: &'static str, found: &[u8]) -> Self {
        Self::Malformed { expected, found: printable(found, SHOWN) }
    }

    /// The server's own words, of any length and content.
    pub(crate) fn refused(text: &[u8]) -> Self {
        Self::Refused(printable(text.trim_ascii(), 500))
    }
}

/// At most `most` octets of a peer's text, without what could steer a terminal.
pub(crate) fn printable(text: &[u8], most: usize) -> String {
    let cut = text.get(..most).unwrap_or(text);
    let mut shown: String = String::from_utf8_lossy(cut)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.len() > most {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collision => {
                f.write_str("an object of the pack is one of two made for the same SHA-1")
            }
            Self::Limit { what, most } => write!(f, "more {what} than the limit of {most}"),
            Self::Malformed { expected, found } => write!(f, "expected {expected}, got `{found}`"),
            Self::Memory { octets } => {
                write!(f, "the machine's memory is full: {octets} octets more were needed")
            }
            Self::Missing { name } => write!(f, "the object {name} is not there"),
            Self::Pack { offset, reason } => write!(f, "the pack at octet {offset}: {reason}"),
            Self::Refused(text) => write!(f, "the server says: {text}"),
            Self::Unsupported(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for Error {}
