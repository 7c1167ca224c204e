//! What holds in a run: the arguments that were given, and the defaults of the others.

use super::argument::{Group, Value};
use super::table::{ARGUMENTS, of_each_network};
use crate::config::Config;
use core::fmt::Write as _;

/// A line each, in the order of the groups; an argument that is not given and has no default is left out.
pub fn text(config: &Config) -> String {
    let mut out = String::from("configuration\n");
    if let Some(target) = &config.target {
        line(&mut out, "target", &target.to_string());
    }
    let in_order = |group| {
        ARGUMENTS.iter().filter(move |argument| argument.group == group && argument.is_included())
    };
    let own = |argument| (argument, None);
    let further = config.networks.iter().flat_map(|(name, _)| {
        of_each_network().map(move |argument| (argument, Some(name.as_str())))
    });
    for (argument, network) in Group::included().flat_map(in_order).map(own).chain(further) {
        let name = argument.name_of(network);
        let mut given = config.given.iter().filter(|given| given.name == name).peekable();
        let name = format!("--{name}");
        match argument.value {
            Value::Of { default, .. } if given.peek().is_none() && !default.is_empty() => {
                line(&mut out, &name, &format!("{default} (default)"));
            }
            _ => {
                given.for_each(|given| line(&mut out, &name, given.value.as_deref().unwrap_or("")))
            }
        }
    }
    out
}

fn line(out: &mut String, name: &str, value: &str) {
    let text = format!("  {name:<22} {value}");
    let _ = writeln!(out, "{}", text.trim_end());
}
