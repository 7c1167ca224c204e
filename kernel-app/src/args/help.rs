//! `--help`, and the same table as README shows it.

use super::table::{ARGUMENTS, Argument, Group, Value};
use client::features;
use core::fmt::Write as _;
use proto::target::Scheme;

/// The forms of targets, what each gives, and the scheme that decides whether this program serves it.
const TARGETS: [(Scheme, &str, &str); 7] = [
    (Scheme::Http, "http://HOST[:PORT]/…", "the page"),
    (Scheme::Https, "https://HOST[:PORT]/…", "the page"),
    (Scheme::Tcp, "tcp://HOST:PORT", "standard input or --send out, the answer until its end"),
    (Scheme::Tls, "tls://HOST:PORT", "the same under TLS"),
    (Scheme::Udp, "udp://HOST:PORT", "datagrams, answers until --wait"),
    (Scheme::Icmp, "icmp://HOST", "echo requests"),
    (Scheme::Raw, "raw://HOST?protocol=N", "payloads of IP protocol N"),
];

/// The text of `--help`: what this program was built with.
pub fn text() -> String {
    let mut out = String::from(
        "Opens the right flow to a URI and prints the answer.\n\n\
         USAGE\n  URI [ARGUMENTS]\n\n\
         TARGETS\n",
    );
    for (_, form, gives) in TARGETS.iter().filter(|(scheme, ..)| features::serves(scheme)) {
        let _ = writeln!(out, "  {form:<22} {gives}");
    }
    for group in Group::included() {
        let _ = write!(out, "\n{}\n", group.title());
        for argument in ARGUMENTS.iter().filter(|argument| argument.group == group) {
            let default = match argument.value {
                Value::Of { default, .. } if !default.is_empty() => {
                    format!(" (default: {default})")
                }
                _ => String::new(),
            };
            let repeatable = if argument.repeatable { " (repeatable)" } else { "" };
            let _ =
                writeln!(out, "  {:<38} {}{default}{repeatable}", usage(argument), argument.help);
        }
    }
    out.push_str(
        "\nEXIT CODES\n  \
         0 ok  22 HTTP status ≥ 400 with --fail  64 bad arguments  65 malformed answer  68 name not found\n  \
         69 could not connect  70 our fault  75 timed out  76 protocol error from the peer\n  \
         77 authentication or certificate refused\n",
    );
    out
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
        let usage = usage(argument).replace('|', "\\|");
        let _ = writeln!(out, "| `{usage}` | {default} | {} |", argument.help);
    }
    out
}

fn usage(argument: &Argument) -> String {
    let short = argument.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    match argument.value {
        Value::None(_) => format!("{short}--{}", argument.name),
        Value::Of { format, .. } => format!("{short}--{}={format}", argument.name),
    }
}
