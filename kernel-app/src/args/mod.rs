//! Boot words → [`Config`].
//!
//! One table ([`table::ARGUMENTS`]) is all that is known of the arguments: parsing, help, the texts of errors
//! and README's list are made from it.

pub mod argument;
pub mod effective;
pub mod help;
pub mod table;

use crate::config::{Config, Given, Network};
use argument::{Argument, Value};
use client::features::Feature;
use client::options::GitAction;
use core::fmt;
use happy_eyeballs::Family;
use lexopt::Arg as Word;
use table::ARGUMENTS;

/// A value that came beside the boot words, so that it need not stand among them: the name of an
/// argument, and its value.
pub type Aside = (String, Vec<u8>);

/// Stands behind the words that an image brings itself.
const OWN_END: &str = "--own-words-end";

/// Reads the boot words, the program's own name not among them, and the values that came beside
/// them. A word wins over a value beside it, and both over the image's own words, which stand before the word
/// `--own-words-end`.
pub fn parse(words: Vec<String>, asides: Vec<Aside>) -> Result<Config, Error> {
    parse_among(words, asides, |_| false)
}

/// The same, of words among which are some of others: those that stand alone, and of which `is_of_host` says so, are passed over.
pub fn parse_among(
    mut words: Vec<String>,
    asides: Vec<Aside>,
    is_of_host: fn(&str) -> bool,
) -> Result<Config, Error> {
    let mut config = Config::default();
    if let Some(end) = words.iter().position(|word| word == OWN_END) {
        let own = words.drain(..=end).take(end).collect();
        read(&mut config, own, is_of_host)?;
        config.given.iter_mut().for_each(|given| given.own = true);
    }
    // the user's target takes the place of the image's
    let own_target = config.target.take();
    read(&mut config, words, is_of_host)?;
    beside(&mut config, asides)?;
    config.target = config.target.or(own_target);
    check(&mut config)?;
    Ok(config)
}

fn read(
    config: &mut Config,
    words: Vec<String>,
    is_of_host: fn(&str) -> bool,
) -> Result<(), Error> {
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(word) =
        parser.next().map_err(|error| Error::Syntax { reason: error.to_string() })?
    {
        let named = match word {
            Word::Long(name) => long(config, name)?,
            Word::Short(letter) => short(letter)?,
            Word::Value(value) => {
                let value = text(value)?;
                if !is_of_host(&value) {
                    aim(config, value)?;
                }
                continue;
            }
        };
        if !named.argument.repeatable && is_given(config, &named.name()) {
            return Err(Error::Repeated { name: named.name() });
        }
        forget_own(config, &named);
        match named.argument.value {
            Value::None(set) => {
                if parser.optional_value().is_some() {
                    return Err(Error::Unexpected { name: named.name() });
                }
                named.within(config, set);
                config.given.push(Given { name: named.name(), value: None, own: false });
            }
            Value::Of { format, .. } => match parser.value() {
                Ok(value) => store(config, &named, text(value)?)?,
                Err(_) => return Err(Error::Missing { name: named.name(), format }),
            },
        }
    }
    Ok(())
}

fn beside(config: &mut Config, asides: Vec<Aside>) -> Result<(), Error> {
    for (name, octets) in asides {
        let value = String::from_utf8(octets)
            .map_err(|_| Error::Syntax { reason: format!("the value of {name} is not UTF-8") })?;
        // a file ends with a line's end, a value does not
        let value = value.strip_suffix('\n').unwrap_or(&value).to_string();
        if name == TARGET {
            if config.target.is_none() {
                aim(config, value)?;
            }
            continue;
        }
        let named = long(config, &name)?;
        match named.argument.value {
            _ if is_given(config, &named.name()) => {}
            Value::None(_) => return Err(Error::Unexpected { name: named.name() }),
            Value::Of { .. } => {
                forget_own(config, &named);
                store(config, &named, value)?;
            }
        }
    }
    Ok(())
}

/// The name under which a target can come beside the words.
const TARGET: &str = "target";

fn aim(config: &mut Config, value: String) -> Result<(), Error> {
    if config.target.is_some() {
        return Err(Error::SecondTarget { text: proto::target::masked(&value) });
    }
    let target = value.parse();
    config.target = Some(
        target
            .map_err(|error: proto::target::Error| Error::Target { reason: error.to_string() })?,
    );
    Ok(())
}

/// An argument, of the program or of a further network.
struct Named {
    argument: &'static Argument,
    /// The network's place among the further ones, and its name.
    network: Option<(usize, String)>,
}

impl Named {
    fn name(&self) -> String {
        self.argument.name_of(self.network.as_ref().map(|(_, name)| name.as_str()))
    }

    /// Calls `set`, for which the argument's own network is the only one.
    fn within<T>(&self, config: &mut Config, set: impl FnOnce(&mut Config) -> T) -> T {
        let Some((index, _)) = self.network else { return set(config) };
        core::mem::swap(&mut config.network, &mut config.networks[index].1);
        let outcome = set(config);
        core::mem::swap(&mut config.network, &mut config.networks[index].1);
        outcome
    }
}

fn store(config: &mut Config, named: &Named, value: String) -> Result<(), Error> {
    let argument = named.argument;
    let Value::Of { format, set, .. } = argument.value else { return Ok(()) };
    let outcome = named.within(config, |config| set(config, &value));
    // what was typed may be a secret, and so may be what is said of it
    // on one line
    let visible = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    let shown = (!argument.secret).then(|| value.chars().map(visible).collect());
    match outcome {
        Ok(()) => {
            let value = shown.unwrap_or_else(|| "(redacted)".into());
            config.given.push(Given { name: named.name(), value: Some(value), own: false });
            Ok(())
        }
        Err(reason) => {
            let secret = || "not of the expected form".into();
            let reason = if argument.secret { secret() } else { reason };
            Err(Error::Malformed { name: named.name(), format, value: shown, reason })
        }
    }
}

/// Whether the user gave it.
fn is_given(config: &Config, name: &str) -> bool {
    config.given.iter().any(|given| given.name == name && !given.own)
}

/// What the user gives takes the place of what the image brought, but where both hold.
fn forget_own(config: &mut Config, named: &Named) {
    if !named.argument.repeatable {
        let name = named.name();
        config.given.retain(|given| given.name != name);
    }
}

/// What arguments mean together.
fn check(config: &mut Config) -> Result<(), Error> {
    if config.target.is_none() && !config.run.help && !config.run.version {
        return Err(Error::NoTarget);
    }
    if let Err(error) = config.race.check() {
        return Err(Error::Syntax { reason: format!("happy eyeballs: {error}") });
    }
    if config.git.action.is_some() && config.ssh.exec.is_some() {
        return Err(Error::Conflict { name: "git".into(), other: "exec".into() });
    }
    if config.git_action() == Some(GitAction::Cat) && config.git.path.is_none() {
        return Err(Error::Needs { name: "git=cat".into(), other: "path".into() });
    }
    if let Some(target) = &config.target
        && config.git_action().is_some()
        && target.repository().is_none()
    {
        let reason = format!(
            "`{target}` names no repository; expected git://HOST/PATH, USER@HOST:PATH, ssh://USER@HOST/PATH or http(s)://HOST/PATH"
        );
        return Err(Error::Target { reason });
    }
    let needs =
        |name: &str, other: &str| Err(Error::Needs { name: name.into(), other: other.into() });
    match (config.tls.certificates.is_empty(), config.tls.key.is_some()) {
        (false, false) => return needs("client-cert", "client-key"),
        (true, true) => return needs("client-key", "client-cert"),
        _ => {}
    }
    let first = config.network.interface;
    for (index, (name, network)) in config.networks.iter_mut().enumerate() {
        if !config.given.iter().any(|given| given.name == format!("{name}-interface")) {
            network.interface = first + 1 + index;
        }
    }
    let Config { network, networks, given, .. } = config;
    check_network(None, network, given)?;
    let mut taken = vec![(network.interface, "interface".to_string())];
    for (name, network) in networks {
        check_network(Some(name), network, given)?;
        let name = format!("{name}-interface");
        if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == network.interface) {
            return Err(Error::Conflict { name, other: other.clone() });
        }
        taken.push((network.interface, name));
    }
    Ok(())
}

/// What the arguments of one network mean together; `prefix` is its name, if it has one.
fn check_network(
    prefix: Option<&str>,
    network: &mut Network,
    given: &[Given],
) -> Result<(), Error> {
    let full = |name: &str| prefix.map_or(name.into(), |prefix| format!("{prefix}-{name}"));
    let needs = |name, other| Err(Error::Needs { name: full(name), other: full(other) });
    let conflict = |name, other| Err(Error::Conflict { name: full(name), other: full(other) });
    let is_given = |name| given.iter().any(|given| given.name == full(name));
    if network.ipv4_gateway.is_some() && network.ipv4.is_none() {
        return needs("ipv4-gateway", "ipv4");
    }
    if network.ipv6_gateway.is_some() && network.ipv6.is_none() {
        return needs("ipv6-gateway", "ipv6");
    }
    if is_given("ipv4-only") && is_given("ipv6-only") {
        return conflict("ipv4-only", "ipv6-only");
    }
    match network.only {
        Some(Family::V4) if network.ipv6.is_some() => return conflict("ipv6", "ipv4-only"),
        Some(Family::V6) if network.ipv4.is_some() => return conflict("ipv4", "ipv6-only"),
        _ => {}
    }
    if network.ipv4.is_some() && network.dhcp == Some(true) {
        return conflict("ipv4", "dhcp=true");
    }
    network.dhcp.get_or_insert(network.ipv4.is_none());
    Ok(())
}

fn text(value: std::ffi::OsString) -> Result<String, Error> {
    value.into_string().map_err(|_| Error::Syntax { reason: "a word is not UTF-8".into() })
}

fn long(config: &Config, name: &str) -> Result<Named, Error> {
    match all(config).find(|named| named.name() == name) {
        Some(named) => included(named),
        None => Err(Error::Unknown { word: format!("--{name}"), nearest: nearest(config, name) }),
    }
}

fn short(letter: char) -> Result<Named, Error> {
    match ARGUMENTS.iter().find(|argument| argument.short == Some(letter)) {
        Some(argument) => included(Named { argument, network: None }),
        None => Err(Error::Unknown { word: format!("-{letter}"), nearest: None }),
    }
}

/// All arguments, those of further networks last.
fn all(config: &Config) -> impl Iterator<Item = Named> {
    let own = ARGUMENTS.iter().map(|argument| Named { argument, network: None });
    let networks = config.networks.iter().enumerate();
    own.chain(networks.flat_map(|(index, (name, _))| {
        let network = Some((index, name.clone()));
        table::of_each_network().map(move |argument| Named { argument, network: network.clone() })
    }))
}

/// An argument of a feature that this program was built without is known, but not taken.
fn included(named: Named) -> Result<Named, Error> {
    match named.argument.feature() {
        Some(Feature { name, included: false }) => {
            Err(Error::Absent { name: named.name(), feature: name })
        }
        _ => Ok(named),
    }
}

/// The known name closest to `name`, if any is close enough to be meant.
fn nearest(config: &Config, name: &str) -> Option<String> {
    let closeness = |known: &str| (strsim::jaro_winkler(name, known) * 1000.0) as u32;
    all(config)
        .filter_map(|named| included(named).ok())
        .map(|named| named.name())
        .filter(|known| closeness(known) > 800)
        .max_by_key(|known| closeness(known))
}

/// Why the boot words are no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument of a feature that is not compiled in.
    Absent {
        /// The argument.
        name: String,
        /// The feature that it belongs to.
        feature: &'static str,
    },
    /// Two arguments that exclude each other.
    Conflict {
        /// The one.
        name: String,
        /// The other.
        other: String,
    },
    /// An argument's value has not the expected form.
    Malformed {
        /// The argument.
        name: String,
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
        name: String,
        /// What it takes.
        format: &'static str,
    },
    /// An argument that means nothing without another.
    Needs {
        /// The argument.
        name: String,
        /// The one that it needs.
        other: String,
    },
    /// No target.
    NoTarget,
    /// An argument that can be given once came twice.
    Repeated {
        /// The argument.
        name: String,
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
        name: String,
    },
    /// No such argument.
    Unknown {
        /// As typed, without its value.
        word: String,
        /// What may have been meant.
        nearest: Option<String>,
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
