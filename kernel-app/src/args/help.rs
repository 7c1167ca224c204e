//! `--help`, and the same table as README shows it.

use super::argument::{Argument, Group, Value};
use super::table::{ARGUMENTS, of_each_network};
use crate::config::Config;
use client::features;
use core::fmt::Write as _;
use proto::target::Scheme;

/// The forms of targets, what each gives, and the scheme that decides whether this program serves it.
const TARGETS: [(Scheme, &str, &str); 10] = [
    (Scheme::Http, "http://HOST[:PORT]/…", "the page"),
    (Scheme::Https, "https://HOST[:PORT]/…", "the page"),
    (Scheme::Tcp, "tcp://HOST:PORT", "standard input or --send out, the answer until its end"),
    (Scheme::Tls, "tls://HOST:PORT", "the same under TLS"),
    (
        Scheme::Ssh,
        "ssh://[USER@]HOST[:PORT]",
        "what --exec gives at the server, with its exit status",
    ),
    (Scheme::Git, "git://HOST[:PORT]/PATH", "what --git says of the repository"),
    (Scheme::Scp, "USER@HOST:PATH", "the same over SSH, as at ssh://…/PATH with --git"),
    (Scheme::Udp, "udp://HOST:PORT", "datagrams, answers until --wait"),
    (Scheme::Icmp, "icmp://HOST", "echo requests"),
    (Scheme::Raw, "raw://HOST?protocol=N", "payloads of IP protocol N"),
];

/// The text of `--help`: what this program was built with.
pub fn text(config: &Config) -> String {
    let mut out = String::from(
        "Opens the right flow to a URI and prints the answer.\n\n\
         USAGE\n  URI [ARGUMENTS]\n\n\
         TARGETS\n",
    );
    for (_, form, gives) in TARGETS.iter().filter(|(scheme, ..)| features::serves(scheme)) {
        let _ = writeln!(out, "  {form:<24} {gives}");
    }
    for group in Group::included() {
        let _ = write!(out, "\n{}\n", group.title());
        for argument in ARGUMENTS.iter().filter(|it| it.group == group && it.is_included()) {
            line(&mut out, argument, None);
        }
        if group == Group::Network {
            for (name, _) in &config.networks {
                let _ = write!(out, "\nNETWORK {name}\n");
                of_each_network().for_each(|argument| line(&mut out, argument, Some(name)));
            }
        }
    }
    out.push_str(
        "\nEXIT CODES\n  \
         0 ok  22 HTTP status ≥ 400 with --fail  64 bad arguments  65 malformed answer  68 name not found\n  \
         69 could not connect  70 our fault  75 timed out  76 protocol error from the peer\n  \
         77 authentication, certificate or host key refused; with --exec the command's own, 128 and the signal's \
         number, or 255\n",
    );
    out
}

/// A line of one argument, of the program or of a further network.
fn line(out: &mut String, argument: &Argument, network: Option<&str>) {
    let default = match argument.value {
        Value::Of { .. } if network.is_some() && argument.name == "interface" => {
            " (default: the next one)".into()
        }
        Value::Of { default, .. } if !default.is_empty() => format!(" (default: {default})"),
        _ => String::new(),
    };
    let repeatable = if argument.repeatable { " (repeatable)" } else { "" };
    let usage = usage(argument, network);
    let _ = writeln!(out, "  {usage:<38} {}{default}{repeatable}", argument.help);
}

/// The same as a table in Markdown.
#[cfg(test)]
pub fn markdown() -> String {
    let mut out = String::from("| argument | default | |\n| --- | --- | --- |\n");
    for argument in ARGUMENTS {
        let default = match argument.value {
            Value::Of { default, .. } => default,
            Value::None(_) => "",
        };
        let usage = usage(argument, None).replace('|', "\\|");
        let _ = writeln!(out, "| `{usage}` | {default} | {} |", argument.help);
    }
    out
}

fn usage(argument: &Argument, network: Option<&str>) -> String {
    let name = argument.name_of(network);
    let short = argument.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    match argument.value {
        Value::None(_) => format!("{short}--{name}"),
        Value::Of { format, .. } => format!("{short}--{name}={format}"),
    }
}
