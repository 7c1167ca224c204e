//! Runs one scenario through this very program's `run` and compares what comes back.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::files::Content;
use super::git;
use super::peers::Peers;
use super::scenario::{Scenario, Stdin, Stdout, fill, is_like};
use crate::guard;
use crate::manifest::Target;
use crate::scratch::Scratch;

/// Runs `scenario` on `target`; `Ok(Err(…))` says how it differs.
pub fn run(
    peers: &mut Peers,
    scenario: &Scenario,
    target: Target,
    accel: &str,
) -> Result<Result<(), String>> {
    let mut command = command(target, scenario, accel);
    let secrets = Scratch::new("secrets")?;
    let mut values = Vec::new();
    for (name, value) in &scenario.secrets {
        let file = secrets.path().join(name);
        let value = filled(peers, value, target)?;
        fs::write(&file, &value)?;
        values.push(value);
        command.arg(format!("--secret={name}={}", file.display()));
    }
    command.arg("--");
    for argument in &scenario.arguments {
        command.arg(filled(peers, argument, target)?);
    }
    let mut feed = Feed::Nothing;
    command.stdin(match &scenario.stdin {
        Stdin::Null => Stdio::null(),
        Stdin::File(name) => File::open(peers.files().make(name)?.0)?.into(),
        Stdin::Text(text) => {
            feed = Feed::Text(text.clone());
            Stdio::piped()
        }
        Stdin::Open => {
            feed = Feed::Silence;
            Stdio::piped()
        }
    });
    let output = Output::of(command, feed)?;

    let mut expected = None;
    let stdout = match &scenario.stdout {
        Stdout::File(name) => {
            expected = Some(peers.files().make(name)?.1);
            scenario.stdout.clone()
        }
        Stdout::Shell(text) => {
            expected = Some(Content::of(&git::shell(&filled(peers, text, Target::Unix)?)?));
            scenario.stdout.clone()
        }
        Stdout::LinesOf(text) => {
            let printed = git::shell(&filled(peers, text, Target::Unix)?)?;
            let printed = String::from_utf8_lossy(&printed);
            Stdout::Contains(printed.lines().map(|line| format!("{line}\n")).collect())
        }
        Stdout::Like(text) => {
            let printed = git::shell(&filled(peers, text, Target::Unix)?)?;
            Stdout::Like(String::from_utf8_lossy(&printed).into_owned())
        }
        other => other.clone(),
    };
    let mut wrong = Vec::new();
    if output.exit != Some(scenario.exit) {
        let got = output.exit.map_or("a signal".into(), |code| format!("{code}"));
        wrong.push(format!("exit code: expected {}, got {got}", scenario.exit));
    }
    if let Err(cause) = output.check_stdout(&stdout, expected) {
        wrong.push(format!("standard output: {cause}"));
    }
    for text in &scenario.absent {
        if String::from_utf8_lossy(&output.stdout).contains(text.as_str()) {
            wrong.push(format!("standard output holds `{text}`"));
        }
    }
    for text in &scenario.stderr {
        let text = filled(peers, text, target)?;
        if !output.stderr.contains(&text) {
            wrong.push(format!("standard error lacks `{text}`"));
        }
    }
    for value in &values {
        if shows(&output.stderr, value) {
            wrong.push("standard error shows a secret".into());
        }
        let is_wanted = matches!(&scenario.stdout, Stdout::Text(text) if shows(text, value));
        if !is_wanted && shows(&String::from_utf8_lossy(&output.stdout), value) {
            wrong.push("standard output shows a secret".into());
        }
    }
    let lines = output.stderr.lines().filter(|line| !line.trim().is_empty()).count();
    if let Some(expected) = scenario.expected_lines().filter(|&expected| expected != lines) {
        wrong.push(format!("standard error: expected {expected} lines, got {lines}"));
    }
    if wrong.is_empty() {
        return Ok(Ok(()));
    }
    let said = output.stderr.lines().fold(String::new(), |all, line| all + "\n    | " + line);
    Ok(Err(format!("{}; standard error:{said}", wrong.join("; "))))
}

/// Whether `text` holds a secret, or a part that gives it away: a line of a key's file, the value of a field.
fn shows(text: &str, secret: &str) -> bool {
    const TELLING: usize = 16;
    let lines = secret.lines().filter(|line| line.len() >= TELLING && !line.starts_with("-----"));
    let field = secret.trim().split_once(": ").map(|(_, value)| value);
    lines.chain(field).chain([secret.trim()]).any(|part| text.contains(part))
}

/// `run` of this program, with what is built already, and without arguments from the environment.
pub fn run_command() -> Command {
    let mut command = guard::command("/proc/self/exe");
    command.arg(crate::RUN_BUILT);
    without_settings(&mut command);
    command
}

/// Takes the arguments of this program's environment away.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("MIMIC_")) {
            command.env_remove(name);
        }
    }
}

fn command(target: Target, scenario: &Scenario, accel: &str) -> Command {
    let mut command = run_command();
    command.arg(format!("--target={target}")).arg(format!("--image={}", scenario.image));
    command.arg(format!("--kill-after={}s", scenario.limit().as_secs()));
    if target != Target::Unix {
        command.arg(format!("--accel={accel}"));
    }
    command.args(&scenario.run);
    command
}

fn filled(peers: &mut Peers, text: &str, target: Target) -> Result<String> {
    fill(text, &mut |name| match name.split_once(':') {
        Some(("file", file)) => peers.files().make(file).map(|_| file.to_owned()),
        Some(("path", file)) => Ok(peers.files().make(file)?.0.display().to_string()),
        _ => peers.value(name, target),
    })
}

/// What goes into a child's standard input when that is a pipe.
#[derive(Debug)]
pub enum Feed {
    /// It is no pipe.
    Nothing,
    /// This, then the end.
    Text(String),
    /// Nothing, and no end before the child's.
    Silence,
}

/// What a child printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code, none after a signal.
    pub exit: Option<i32>,
    /// All of standard error.
    pub stderr: String,
    /// The start of standard output.
    pub stdout: Vec<u8>,
    /// All of standard output.
    pub content: Content,
}

impl Output {
    /// Runs `command` to its end.
    pub fn of(mut command: Command, feed: Feed) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run the scenario")?;
        let silence = match feed {
            Feed::Nothing => None,
            Feed::Silence => child.stdin.take(),
            Feed::Text(text) => {
                let mut stdin = child.stdin.take().context("no pipe for the input")?;
                // the child need not read all of it
                thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
                None
            }
        };
        let stderr = read_text(&mut child)?;
        let (stdout, content) = read_octets(&mut child)?;
        let status = child.wait()?;
        drop(silence);
        let stderr = stderr.join().unwrap_or_default();
        Ok(Self { exit: status.code(), stderr, stdout, content })
    }

    /// Whether standard output is what was expected; `file` is the content of [`Stdout::File`] or [`Stdout::Shell`].
    fn check_stdout(&self, expected: &Stdout, file: Option<Content>) -> Result<(), String> {
        let shown =
            || String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(200)]).into_owned();
        let exactly = |octets: &[u8]| {
            let same = self.content.length == octets.len() as u64 && self.stdout == octets;
            same.then_some(()).ok_or_else(|| {
                format!(
                    "expected {} octets exactly, got {}: {:?}",
                    octets.len(),
                    self.content.length,
                    shown()
                )
            })
        };
        match expected {
            Stdout::Text(text) => exactly(text.as_bytes()),
            Stdout::Hex(text) => {
                exactly(&proto::quantity::hex(text).map_err(|error| error.to_string())?)
            }
            Stdout::File(_) | Stdout::Shell(_) => {
                let expected = file.ok_or("the file is not known")?;
                match self.content == expected {
                    true => Ok(()),
                    false if self.content.length != expected.length => Err(format!(
                        "expected {} octets, got {}",
                        expected.length, self.content.length
                    )),
                    false => Err("right length, wrong octets".into()),
                }
            }
            // its lines are in the place of it already
            Stdout::LinesOf(_) => Err("the lines are not known".into()),
            Stdout::Like(pattern) => is_like(&String::from_utf8_lossy(&self.stdout), pattern),
            Stdout::Contains(parts) => {
                let text = String::from_utf8_lossy(&self.stdout);
                match parts.iter().find(|part| !text.contains(part.as_str())) {
                    Some(part) => Err(format!("lacks {part:?}: {:?}", shown())),
                    None => Ok(()),
                }
            }
        }
    }
}

fn read_text(child: &mut Child) -> Result<JoinHandle<String>> {
    let mut stderr = child.stderr.take().context("no pipe from the child")?;
    Ok(thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = stderr.read_to_end(&mut octets);
        String::from_utf8_lossy(&octets).into_owned()
    }))
}

fn read_octets(child: &mut Child) -> Result<(Vec<u8>, Content)> {
    let mut stdout = child.stdout.take().context("no pipe from the child")?;
    let mut digest = Sha256::new();
    let (mut start, mut length) = (Vec::new(), 0);
    let mut buf = vec![0; 1 << 20];
    loop {
        let len = stdout.read(&mut buf)?;
        if len == 0 {
            break;
        }
        digest.update(&buf[..len]);
        let kept = len.min(KEPT.saturating_sub(start.len()));
        start.extend_from_slice(&buf[..kept]);
        length += len as u64;
    }
    Ok((start, Content { length, digest: digest.finalize().into() }))
}

/// Octets of standard output that are kept as they are.
const KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn output(script: &str) -> Output {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        Output::of(command, Feed::Text("in".into())).unwrap()
    }

    #[test]
    fn streams_and_code_are_kept_apart() {
        let output = output("cat; echo error >&2; exit 7");
        assert_eq!((output.exit, output.stderr.as_str()), (Some(7), "error\n"));
        assert_eq!(output.stdout, b"in");
    }

    #[test]
    fn a_shown_secret_is_noticed() {
        for (text, secret) in [
            ("error: --header=X: abc: no", "X: abc\n"),
            ("a field abc", "X: abc"),
            (
                "at line AAAABBBBCCCCDDDD of",
                "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\nEE==\n-----END-----\n",
            ),
        ] {
            assert!(shows(text, secret), "{text}");
        }
        assert!(!shows("-----BEGIN KEY-----", "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\n"));
        assert!(!shows("(redacted)", "hunter2"));
    }

    #[test]
    fn wrong_output_is_noticed() {
        let output = output("printf 'ab\\0'");
        let check = |expected: Stdout| output.check_stdout(&expected, None);
        assert!(check(Stdout::Hex("61 62 00".into())).is_ok());
        assert!(check(Stdout::Text("ab".into())).is_err());
        assert!(check(Stdout::Text("ab\0c".into())).is_err());
        assert!(check(Stdout::Contains(vec!["b".into()])).is_ok());
        assert!(check(Stdout::Contains(vec!["c".into()])).is_err());
        let same = Some(Content { length: 3, digest: Sha256::digest(b"ab\0").into() });
        let other = Some(Content { length: 3, digest: Sha256::digest(b"abc").into() });
        assert!(output.check_stdout(&Stdout::File("3".into()), same).is_ok());
        assert!(output.check_stdout(&Stdout::File("3".into()), other).is_err());
    }

    #[test]
    fn what_is_only_the_start_is_not_enough() {
        let output = output("head -c 100000 /dev/zero");
        let start = "\0".repeat(KEPT);
        assert!(output.check_stdout(&Stdout::Text(start), None).is_err());
    }
}
