//! The groups that are cargo's: lint and unit.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::Tally;
use crate::compile;
use crate::toolchain::{self, Toolchain};
use crate::workspace::Workspace;

/// Features of the program: it must build without any of them, and with each alone.
const FEATURES: [&str; 10] =
    ["", "compression", "git", "http", "http2", "raw", "ssh", "tls", "udp", "vsock"];

/// rustfmt, clippy and rustdoc over the workspace's default members, clippy over the program with fewer features,
/// and both over what is built for no host.
pub fn lint(workspace: &Workspace, tally: &mut Tally) {
    let mut checks = vec![
        ("rustfmt".to_owned(), "fmt", vec!["--check"]),
        ("clippy".to_owned(), "clippy", vec!["--all-targets", "--", "-D", "warnings"]),
        ("rustdoc".to_owned(), "doc", vec!["--no-deps", "--document-private-items"]),
    ];
    for feature in FEATURES {
        let name = match feature {
            "" => "clippy of the program with no feature".to_owned(),
            _ => format!("clippy of the program with no feature but `{feature}`"),
        };
        let only = ["--package=kernel-app", "--no-default-features", "--features", feature];
        checks.push((name, "clippy", [&only[..], &["--", "-D", "warnings"]].concat()));
    }
    for (name, program, arguments) in &checks {
        let start = Instant::now();
        let mut cargo = cargo(workspace);
        cargo.arg(program).args(arguments).env("RUSTDOCFLAGS", RUSTDOCFLAGS);
        if *program != "doc" && !is_there(program) {
            tally.skipped("lint", name, "this toolchain has none");
            continue;
        }
        match output(cargo) {
            Ok(_) => tally.passed("lint", name, start),
            Err(error) => tally.failed("lint", name, &format!("{error:#}")),
        }
    }
    guest(workspace, tally);
}

/// Clippy and rustdoc over what is built for the bare targets, by the toolchain that builds images.
fn guest(workspace: &Workspace, tally: &mut Tally) {
    let toolchain = match Toolchain::find(workspace) {
        Ok(toolchain) => toolchain,
        Err(error) => {
            tally.skipped("lint", "clippy and rustdoc of the images", &format!("{error:#}"));
            return;
        }
    };
    for (program, arguments) in [
        ("clippy", &["--", "-D", "warnings"][..]),
        ("doc", &["--no-deps", "--document-private-items"]),
    ] {
        if program == "clippy" && toolchain.clippy().is_none() {
            tally.skipped(
                "lint",
                "clippy of the images",
                "the toolchain that builds them has none",
            );
            continue;
        }
        let cargo = || match toolchain.clippy() {
            Some(clippy) if program == "clippy" => clippy,
            _ => toolchain.cargo(),
        };
        for (what, mut cargo) in compile::guest_checks(workspace, cargo, program) {
            let start = Instant::now();
            let name = format!("{} of {what}", if program == "doc" { "rustdoc" } else { program });
            cargo.args(arguments).env("RUSTDOCFLAGS", RUSTDOCFLAGS);
            match output(cargo) {
                Ok(_) => tally.passed("lint", &name, start),
                Err(error) => tally.failed("lint", &name, &format!("{error:#}")),
            }
        }
    }
}

/// `cargo test` of the default members; each test counts.
pub fn unit(workspace: &Workspace, tally: &mut Tally) {
    let mut cargo = cargo(workspace);
    cargo.args(["test", "--no-fail-fast"]);
    let (text, error) = match output(cargo) {
        Ok(text) => (text, None),
        Err(error) => (format!("{error:#}"), Some(error)),
    };
    let mut failures = 0;
    for result in results(&text) {
        if result.passed > 0 {
            tally.passed_all("unit", &result.name, result.passed);
        }
        for name in &result.failed {
            tally.failed("unit", &format!("{}: {name}", result.name), "see below");
            failures += 1;
        }
    }
    match error {
        Some(_) if failures > 0 => println!("{text}"),
        Some(error) => tally.failed("unit", "cargo test", &format!("{error:#}")),
        None => {}
    }
}

/// The results of one test program.
#[derive(Debug, Default, PartialEq, Eq)]
struct Results {
    name: String,
    passed: usize,
    failed: Vec<String>,
}

/// Reads what cargo and the test programs print.
fn results(text: &str) -> Vec<Results> {
    let mut all = Vec::new();
    let mut current = Results::default();
    for line in text.lines().map(str::trim) {
        if let Some(rest) =
            line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests "))
        {
            current = Results { name: program_name(rest), ..Results::default() };
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            current.failed.push(name.into());
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            let count = rest.split(". ").nth(1).and_then(|it| it.split(' ').next());
            current.passed = count.and_then(|it| it.parse().ok()).unwrap_or_default();
            all.push(std::mem::take(&mut current));
        }
    }
    all
}

/// `unittests src/lib.rs (target/debug/deps/proto-0123)` is `proto`, `tests/wire.rs (…)` is `wire`, and
/// documentation is named by its crate.
fn program_name(running: &str) -> String {
    match running.split_once(" (") {
        Some((_, file)) => {
            let name = file.trim_end_matches(')').rsplit('/').next().unwrap_or(file);
            name.rsplit_once('-').map_or(name, |(name, _)| name).into()
        }
        None => format!("{running}'s documentation"),
    }
}

fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = toolchain::host_cargo();
    cargo.current_dir(workspace.root()).env("CARGO_TERM_COLOR", "never");
    // as a developer's cargo has it: nothing of the outer cargo's
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Links to private items are right where these are documented too.
const RUSTDOCFLAGS: &str = "-D warnings -A rustdoc::private_intra_doc_links";

fn is_there(subcommand: &str) -> bool {
    toolchain::host_cargo()
        .args([subcommand, "--version"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs cargo to its end; all that it and its children print is the result or the error.
fn output(mut cargo: Command) -> Result<String> {
    let (mut reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    cargo.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = cargo.spawn().context("cannot run cargo")?;
    // the command holds our ends of the pipe, which would keep it open
    drop(cargo);
    let mut octets = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut octets)?;
    let text = String::from_utf8_lossy(&octets).into_owned();
    match child.wait()? {
        status if status.success() => Ok(text),
        status => bail!("{status}\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_what_cargo_prints() {
        let text = "\
   Compiling a v0.1.0
     Running unittests src/lib.rs (target/debug/deps/proto-01ab)
running 2 tests
test words::works ... ok
test words::fails ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s
     Running tests/wire.rs (target/debug/deps/wire-23cd)
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s
   Doc-tests proto
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s
";
        let result = |name: &str, passed, failed: &[&str]| Results {
            name: name.into(),
            passed,
            failed: failed.iter().map(|&it| it.into()).collect(),
        };
        assert_eq!(
            results(text),
            [
                result("proto", 1, &["words::fails"]),
                result("wire", 12, &[]),
                result("proto's documentation", 3, &[]),
            ]
        );
    }
}
