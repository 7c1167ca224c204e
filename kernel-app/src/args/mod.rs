//! Boot words → [`Config`].
//!
//! One table ([`table::ARGUMENTS`]) is all that is known of the arguments: parsing, help, the texts of errors
//! and README's list are made from it.

pub mod help;
pub mod table;

use crate::config::Config;
use core::fmt;
use lexopt::Arg as Word;
use table::{ARGUMENTS, Argument, Value};

/// Reads the boot words, the program's own name not among them.
pub fn parse(words: Vec<String>) -> Result<Config, Error> {
    let mut config = Config::default();
    let mut given: Vec<&'static str> = Vec::new();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(word) =
        parser.next().map_err(|error| Error::Syntax { reason: error.to_string() })?
    {
        let argument = match word {
            Word::Long(name) => long(name)?,
            Word::Short(letter) => short(letter)?,
            Word::Value(value) => {
                let value = text(value)?;
                if config.target.is_some() {
                    return Err(Error::SecondTarget { text: value });
                }
                config.target = Some(value.parse().map_err(|error: proto::target::Error| {
                    Error::Target { reason: error.to_string() }
                })?);
                continue;
            }
        };
        if !argument.repeatable && given.contains(&argument.name) {
            return Err(Error::Repeated { name: argument.name });
        }
        given.push(argument.name);
        match argument.value {
            Value::None(set) => {
                if parser.optional_value().is_some() {
                    return Err(Error::Unexpected { name: argument.name });
                }
                set(&mut config);
            }
            Value::Of { format, set, .. } => {
                let value = match parser.value() {
                    Ok(value) => text(value)?,
                    Err(_) => return Err(Error::Missing { name: argument.name, format }),
                };
                set(&mut config, &value).map_err(|reason| Error::Malformed {
                    name: argument.name,
                    format,
                    // what was typed may be a secret
                    value: (!argument.secret).then_some(value),
                    reason,
                })?;
            }
        }
    }
    if config.target.is_none() && !config.run.help && !config.run.version {
        return Err(Error::NoTarget);
    }
    if config.network.ipv4_gateway.is_some() && config.network.ipv4.is_none() {
        return Err(Error::Needs { name: "ipv4-gateway", other: "ipv4" });
    }
    let network = &mut config.network;
    if network.ipv4.is_some() && network.dhcp == Some(true) {
        return Err(Error::Conflict { name: "ipv4", other: "dhcp=true" });
    }
    network.dhcp.get_or_insert(network.ipv4.is_none());
    Ok(config)
}

fn text(value: std::ffi::OsString) -> Result<String, Error> {
    value.into_string().map_err(|_| Error::Syntax { reason: "a word is not UTF-8".into() })
}

fn long(name: &str) -> Result<&'static Argument, Error> {
    ARGUMENTS
        .iter()
        .find(|argument| argument.name == name)
        .ok_or_else(|| Error::Unknown { word: format!("--{name}"), nearest: nearest(name) })
}

fn short(letter: char) -> Result<&'static Argument, Error> {
    ARGUMENTS
        .iter()
        .find(|argument| argument.short == Some(letter))
        .ok_or_else(|| Error::Unknown { word: format!("-{letter}"), nearest: None })
}

/// The known name closest to `name`, if any is close enough to be meant.
fn nearest(name: &str) -> Option<&'static str> {
    let closeness =
        |argument: &Argument| (strsim::jaro_winkler(name, argument.name) * 1000.0) as u32;
    ARGUMENTS
        .iter()
        .filter(|argument| closeness(argument) > 800)
        .max_by_key(|argument| closeness(argument))
        .map(|argument| argument.name)
}

/// Why the boot words are no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Two arguments that exclude each other.
    Conflict {
        /// The one.
        name: &'static str,
        /// The other.
        other: &'static str,
    },
    /// An argument's value has not the expected form.
    Malformed {
        /// The argument.
        name: &'static str,
        /// What it takes.
        format: &'static str,
        /// What was given; `None` where it may be a secret.
        value: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// An argument came without its value.
    Missing {
        /// The argument.
        name: &'static str,
        /// What it takes.
        format: &'static str,
    },
    /// An argument that means nothing without another.
    Needs {
        /// The argument.
        name: &'static str,
        /// The one that it needs.
        other: &'static str,
    },
    /// No target.
    NoTarget,
    /// An argument that can be given once came twice.
    Repeated {
        /// The argument.
        name: &'static str,
    },
    /// More than one target.
    SecondTarget {
        /// The second.
        text: String,
    },
    /// Words that are no arguments at all.
    Syntax {
        /// What is wrong.
        reason: String,
    },
    /// The target is none.
    Target {
        /// What is wrong with it.
        reason: String,
    },
    /// A value for an argument that takes none.
    Unexpected {
        /// The argument.
        name: &'static str,
    },
    /// No such argument.
    Unknown {
        /// As typed, without its value.
        word: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { name, other } => write!(f, "--{name} and --{other} exclude each other"),
            Self::Malformed { name, format, value: Some(value), reason } => {
                write!(f, "--{name}={value}: {reason} (expected --{name}={format})")
            }
            Self::Malformed { name, format, value: None, reason } => {
                write!(f, "--{name}: {reason} (expected --{name}={format})")
            }
            Self::Missing { name, format } => {
                write!(f, "--{name} needs a value (expected --{name}={format})")
            }
            Self::Needs { name, other } => write!(f, "--{name} means nothing without --{other}"),
            Self::NoTarget => {
                f.write_str("no target; expected a URI such as https://example.com/ (--help lists the arguments)")
            }
            Self::Repeated { name } => write!(f, "--{name} can be given only once"),
            Self::SecondTarget { text } => {
                write!(f, "`{text}` would be a second target; one is enough (quote words that belong together)")
            }
            Self::Syntax { reason } => f.write_str(reason),
            Self::Target { reason } => f.write_str(reason),
            Self::Unexpected { name } => write!(f, "--{name} takes no value"),
            Self::Unknown { word, nearest: Some(nearest) } => {
                write!(f, "no argument {word}; did you mean --{nearest}? (--help lists them)")
            }
            Self::Unknown { word, nearest: None } => write!(f, "no argument {word} (--help lists them)"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests;
