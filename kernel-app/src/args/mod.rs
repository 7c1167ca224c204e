//! Boot words → [`Config`].
//!
//! One table ([`table::ARGUMENTS`]) is all that is known of the arguments: parsing, help, the texts of errors
//! and README's list are made from it.

pub mod effective;
pub mod help;
pub mod table;

use crate::config::{Config, Given};
use client::features::Feature;
use core::fmt;
use happy_eyeballs::Family;
use lexopt::Arg as Word;
use table::{ARGUMENTS, Argument, Value};

/// A value that came beside the boot words, so that it need not stand among them: the name of an
/// argument, and its value.
pub type Aside = (String, Vec<u8>);

/// Reads the boot words, the program's own name not among them, and the values that came beside
/// them. A word wins over a value beside it.
pub fn parse(words: Vec<String>, asides: Vec<Aside>) -> Result<Config, Error> {
    let mut config = Config::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(word) =
        parser.next().map_err(|error| Error::Syntax { reason: error.to_string() })?
    {
        let argument = match word {
            Word::Long(name) => long(name)?,
            Word::Short(letter) => short(letter)?,
            Word::Value(value) => {
                aim(&mut config, text(value)?)?;
                continue;
            }
        };
        if !argument.repeatable && is_given(&config, argument) {
            return Err(Error::Repeated { name: argument.name });
        }
        match argument.value {
            Value::None(set) => {
                if parser.optional_value().is_some() {
                    return Err(Error::Unexpected { name: argument.name });
                }
                set(&mut config);
                config.given.push(Given { name: argument.name, value: None });
            }
            Value::Of { format, .. } => match parser.value() {
                Ok(value) => store(&mut config, argument, text(value)?)?,
                Err(_) => return Err(Error::Missing { name: argument.name, format }),
            },
        }
    }
    for (name, octets) in asides {
        let value = String::from_utf8(octets)
            .map_err(|_| Error::Syntax { reason: format!("the value of {name} is not UTF-8") })?;
        // a file ends with a line's end, a value does not
        let value = value.strip_suffix('\n').unwrap_or(&value).to_string();
        if name == TARGET {
            if config.target.is_none() {
                aim(&mut config, value)?;
            }
            continue;
        }
        let argument = long(&name)?;
        match argument.value {
            _ if is_given(&config, argument) => {}
            Value::None(_) => return Err(Error::Unexpected { name: argument.name }),
            Value::Of { .. } => store(&mut config, argument, value)?,
        }
    }
    let given = |name| config.given.iter().any(|given| given.name == name);
    if given("ipv4-only") && given("ipv6-only") {
        return Err(Error::Conflict { name: "ipv4-only", other: "ipv6-only" });
    }
    check(&mut config)?;
    Ok(config)
}

/// The name under which a target can come beside the words.
const TARGET: &str = "target";

fn aim(config: &mut Config, value: String) -> Result<(), Error> {
    if config.target.is_some() {
        return Err(Error::SecondTarget { text: value });
    }
    let target = value.parse();
    config.target = Some(
        target
            .map_err(|error: proto::target::Error| Error::Target { reason: error.to_string() })?,
    );
    Ok(())
}

fn store(config: &mut Config, argument: &'static Argument, value: String) -> Result<(), Error> {
    let Value::Of { format, set, .. } = argument.value else { return Ok(()) };
    let outcome = set(config, &value);
    // what was typed may be a secret, and so may be what is said of it
    let shown = (!argument.secret).then_some(value);
    match outcome {
        Ok(()) => {
            let value = shown.unwrap_or_else(|| "(redacted)".into());
            config.given.push(Given { name: argument.name, value: Some(value) });
            Ok(())
        }
        Err(reason) => {
            let secret = || "not of the expected form".into();
            let reason = if argument.secret { secret() } else { reason };
            Err(Error::Malformed { name: argument.name, format, value: shown, reason })
        }
    }
}

fn is_given(config: &Config, argument: &Argument) -> bool {
    config.given.iter().any(|given| given.name == argument.name)
}

/// What arguments mean together.
fn check(config: &mut Config) -> Result<(), Error> {
    if config.target.is_none() && !config.run.help && !config.run.version {
        return Err(Error::NoTarget);
    }
    if let Err(error) = config.race.check() {
        return Err(Error::Syntax { reason: format!("happy eyeballs: {error}") });
    }
    let network = &mut config.network;
    if network.ipv4_gateway.is_some() && network.ipv4.is_none() {
        return Err(Error::Needs { name: "ipv4-gateway", other: "ipv4" });
    }
    if network.ipv6_gateway.is_some() && network.ipv6.is_none() {
        return Err(Error::Needs { name: "ipv6-gateway", other: "ipv6" });
    }
    match network.only {
        Some(Family::V4) if network.ipv6.is_some() => {
            return Err(Error::Conflict { name: "ipv6", other: "ipv4-only" });
        }
        Some(Family::V6) if network.ipv4.is_some() => {
            return Err(Error::Conflict { name: "ipv4", other: "ipv6-only" });
        }
        _ => {}
    }
    if network.ipv4.is_some() && network.dhcp == Some(true) {
        return Err(Error::Conflict { name: "ipv4", other: "dhcp=true" });
    }
    network.dhcp.get_or_insert(network.ipv4.is_none());
    Ok(())
}

fn text(value: std::ffi::OsString) -> Result<String, Error> {
    value.into_string().map_err(|_| Error::Syntax { reason: "a word is not UTF-8".into() })
}

fn long(name: &str) -> Result<&'static Argument, Error> {
    match ARGUMENTS.iter().find(|argument| argument.name == name) {
        Some(argument) => included(argument),
        None => Err(Error::Unknown { word: format!("--{name}"), nearest: nearest(name) }),
    }
}

fn short(letter: char) -> Result<&'static Argument, Error> {
    match ARGUMENTS.iter().find(|argument| argument.short == Some(letter)) {
        Some(argument) => included(argument),
        None => Err(Error::Unknown { word: format!("-{letter}"), nearest: None }),
    }
}

/// An argument of a feature that this program was built without is known, but not taken.
fn included(argument: &'static Argument) -> Result<&'static Argument, Error> {
    match argument.group.feature() {
        Some(Feature { name, included: false }) => {
            Err(Error::Absent { name: argument.name, feature: name })
        }
        _ => Ok(argument),
    }
}

/// The known name closest to `name`, if any is close enough to be meant.
fn nearest(name: &str) -> Option<&'static str> {
    let closeness =
        |argument: &Argument| (strsim::jaro_winkler(name, argument.name) * 1000.0) as u32;
    ARGUMENTS
        .iter()
        .filter(|argument| included(argument).is_ok() && closeness(argument) > 800)
        .max_by_key(|argument| closeness(argument))
        .map(|argument| argument.name)
}

/// Why the boot words are no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument of a feature that is not compiled in.
    Absent {
        /// The argument.
        name: &'static str,
        /// The feature that it belongs to.
        feature: &'static str,
    },
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
            Self::Absent { name, feature } => {
                write!(f, "--{name} belongs to the feature {feature}, which this image was built without")
            }
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
