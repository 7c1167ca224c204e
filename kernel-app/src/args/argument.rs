//! What is known of one boot argument, and short ways to say it.

use crate::config::Config;
use client::features::{self, Feature};

/// One boot argument.
pub struct Argument {
    /// Under which head of `--help` it stands.
    pub group: Group,
    /// Behind `--`.
    pub name: &'static str,
    /// Behind `-`.
    pub short: Option<char>,
    /// What it takes and what it does.
    pub value: Value,
    /// One sentence.
    pub help: &'static str,
    /// May be given more than once.
    pub repeatable: bool,
    /// Its value appears in no output.
    pub secret: bool,
    /// The feature without which it means nothing, where its group does not say.
    pub needs: Option<Feature>,
}

impl Argument {
    /// The feature without which it means nothing.
    pub fn feature(&self) -> Option<Feature> {
        self.needs.or(self.group.feature())
    }

    /// Whether this program takes it.
    pub fn is_included(&self) -> bool {
        self.feature().is_none_or(|feature| feature.included)
    }

    /// Whether it exists once more for each further network, with the network's name before its own.
    pub fn is_of_each_network(&self) -> bool {
        self.group == Group::Network && self.name != "networks"
    }

    /// Its name, or the one that it has for a further network.
    pub fn name_of(&self, network: Option<&str>) -> String {
        match network {
            Some(network) => format!("{network}-{}", self.name),
            None => self.name.into(),
        }
    }
}

/// What an argument takes.
pub enum Value {
    /// Nothing.
    None(fn(&mut Config)),
    /// One word.
    Of {
        /// The word's form.
        format: &'static str,
        /// What holds when it is not given; empty: nothing.
        default: &'static str,
        /// Stores it, or says what is wrong.
        set: fn(&mut Config, &str) -> Result<(), String>,
    },
}

/// The heads of `--help`, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The machine's own addresses.
    Network,
    /// Names.
    Dns,
    /// Happy eyeballs.
    Race,
    /// How long anything may take.
    Limits,
    /// TLS.
    Tls,
    /// HTTP.
    Http,
    /// SSH.
    Ssh,
    /// Git.
    Git,
    /// Plain octets and echo requests.
    Bytes,
    /// The run as a whole.
    Run,
}

impl Group {
    const ALL: [Self; 10] = [
        Self::Network,
        Self::Dns,
        Self::Race,
        Self::Limits,
        Self::Tls,
        Self::Http,
        Self::Ssh,
        Self::Git,
        Self::Bytes,
        Self::Run,
    ];

    /// The feature without which its arguments mean nothing.
    pub fn feature(self) -> Option<Feature> {
        match self {
            Self::Git => Some(features::GIT),
            Self::Http => Some(features::HTTP),
            Self::Ssh => Some(features::SSH),
            Self::Tls => Some(features::TLS),
            _ => None,
        }
    }

    /// Whether this program takes its arguments.
    pub fn is_included(self) -> bool {
        self.feature().is_none_or(|feature| feature.included)
    }

    /// Those whose arguments this program takes, in order.
    pub fn included() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|group| group.is_included())
    }

    /// The head.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "NETWORK (the machine's own stack)",
            Self::Dns => "DNS",
            Self::Race => "HAPPY EYEBALLS (RFC 8305)",
            Self::Limits => "TIME LIMITS",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
            Self::Git => "GIT",
            Self::Bytes => "BYTES AND ECHO",
            Self::Run => "RUN",
        }
    }
}

/// That takes a word, once.
pub const fn one(
    group: Group,
    name: &'static str,
    format: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
) -> Argument {
    plain(group, name, Value::Of { format, default, set }, help)
}

/// That takes a word each time.
pub const fn many(
    group: Group,
    name: &'static str,
    format: &'static str,
    help: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
) -> Argument {
    Argument { repeatable: true, ..one(group, name, format, "", help, set) }
}

/// Of SSH: a value that appears in no output.
pub const fn secret(
    name: &'static str,
    format: &'static str,
    help: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
) -> Argument {
    Argument { secret: true, ..one(Group::Ssh, name, format, "", help, set) }
}

/// That takes nothing.
pub const fn flag(
    group: Group,
    name: &'static str,
    help: &'static str,
    set: fn(&mut Config),
) -> Argument {
    plain(group, name, Value::None(set), help)
}

/// Once, no secret, on its own.
const fn plain(group: Group, name: &'static str, value: Value, help: &'static str) -> Argument {
    Argument {
        group,
        name,
        short: None,
        value,
        help,
        repeatable: false,
        secret: false,
        needs: None,
    }
}
