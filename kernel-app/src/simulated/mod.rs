//! The table of scenarios over the simulated wire: the rows that run on machine and process run here too, with
//! scripted peers, no process and no time of the host.

mod explained;
mod families;
mod peers;
mod progress;
mod web;

use crate::backend::Machine;
use crate::{app, args};
use client::sink::Input;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_io::AsyncWrite;
use futures_lite::io::Cursor;
use peers::World;
use proto::quantity;
use serde::Deserialize;
use spin::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A row, as images/builder/scenarios/README.md describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    run: Vec<String>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    arguments: Vec<String>,
    #[serde(default)]
    stdin: Stdin,
    #[serde(default)]
    exit: u8,
    #[serde(default)]
    stdout: Stdout,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    stderr: Vec<String>,
    lines: Option<usize>,
    #[serde(default)]
    root: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stdin {
    #[default]
    Null,
    Text(String),
    File(String),
    Open,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stdout {
    Text(String),
    Hex(String),
    File(String),
    Contains(Vec<String>),
    Shell(String),
    LinesOf(String),
    Like(String),
}

impl Default for Stdout {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

#[derive(Deserialize)]
struct Table {
    scenario: Vec<Scenario>,
}

/// Files beyond this are left to the real machines: a debug build of two stacks is slow.
const LARGEST_FILE: u64 = 16 << 20;

impl Scenario {
    /// Rows that name a target, an image or the machine's options are about that; real servers stay in the real world.
    fn runs_here(&self) -> bool {
        let large = |text: &str| {
            text.split("{file:")
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
                .any(|size| quantity::size(size).is_ok_and(|size| size > LARGEST_FILE))
        };
        let real = |argument: &String| {
            ["{dropbear", "{git", "{nginx-git", "{over", "{ssh", "{tinysshd"]
                .iter()
                .any(|it| argument.contains(it))
        };
        // what a shell prints is of real peers
        let by_shell =
            matches!(self.stdout, Stdout::Shell(_) | Stdout::LinesOf(_) | Stdout::Like(_));
        self.targets.is_none()
            && !by_shell
            && !self.arguments.iter().any(real)
            && self.image.as_deref().is_none_or(|image| image == "default")
            && self.run.is_empty()
            && !self.root
            && !self.arguments.iter().any(|argument| large(argument))
    }
}

#[test]
fn the_table_holds_over_the_simulated_wire() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../images/builder/scenarios");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut failures = Vec::new();
    let mut ran = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let table: Table =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for scenario in table.scenario.iter().filter(|scenario| scenario.runs_here()) {
            ran += 1;
            if let Err(text) = run(scenario) {
                failures.push(format!("{}: {text}", scenario.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {ran} rows fail:\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 40, "only {ran} rows ran");
}

/// What a run leaves behind.
struct Left {
    exit: u8,
    stdout: Vec<u8>,
    stderr: String,
    /// What was told of the payload.
    progress: String,
}

/// Runs the program over the simulated wire.
fn boot(world: &mut World, words: Vec<String>, stdin: Input) -> Result<Left, String> {
    boot_beside(world, words, Vec::new(), stdin)
}

/// As [`boot`], with values beside the words.
fn boot_beside(
    world: &mut World,
    words: Vec<String>,
    asides: Vec<args::Aside>,
    stdin: Input,
) -> Result<Left, String> {
    boot_as(&crate::Program, world, words, asides, stdin)
}

/// As [`boot_beside`], another program.
fn boot_as(
    program: &impl crate::Application,
    world: &mut World,
    words: Vec<String>,
    asides: Vec<args::Aside>,
    stdin: Input,
) -> Result<Left, String> {
    let stdout = Captured::default();
    let stderr = Captured::default();
    let progress = Captured::default();
    let exit = match args::parse(words, asides) {
        Ok(config) => {
            let machine = Machine {
                net: Arc::new(world.client().net.clone()),
                vsock: Arc::new(stack::vsock::Absent),
                networks: Vec::new(),
                stdin,
                stdout: Box::new(stdout.clone()),
                stderr: Box::new(stderr.clone()),
                progress: Some(Box::new(progress.clone())),
                memory: None,
                boot: None,
            };
            let run = world.network.run(app::run(program, &config, machine));
            run.map_err(|stalled| stalled.to_string())?
        }
        Err(error) => {
            let line = format!("error: {error}\n");
            io::Write::write_all(&mut stderr.clone(), line.as_bytes()).unwrap();
            64
        }
    };
    let text = |octets: &Captured| String::from_utf8_lossy(&octets.take()).into_owned();
    let (stdout, stderr, progress) = (stdout.take(), text(&stderr), text(&progress));
    Ok(Left { exit, stdout, stderr, progress })
}

#[test]
fn a_dead_address_costs_one_delay() {
    for (delay, least, most) in [("250ms", 250, 400), ("100ms", 100, 250)] {
        let mut world = World::new();
        let port = world.fill("{nginx.port}");
        let words = vec![
            format!("http://both.test:{port}/6"),
            // behind a router that leads nowhere
            "--host=both.test=192.0.2.9".into(),
            "--host=both.test=10.0.2.2".into(),
            format!("--he-connect-delay={delay}"),
            "--explain".into(),
        ];
        let left = boot(&mut world, words, Box::new(futures_lite::io::empty())).unwrap();
        assert_eq!(left.stdout, peers::file("6"), "{}", left.stderr);
        assert!(left.stderr.contains("another one was faster"), "{}", left.stderr);
        let took = (world.network.now() - stack::Instant::ZERO).as_millis();
        assert!((least..most).contains(&took), "{took} ms");
    }
}

#[test]
fn all_addresses_are_in_the_error() {
    let mut world = World::new();
    let words = vec![
        "http://both.test:9/".into(),
        "--host=both.test=10.0.2.99".into(),
        "--host=both.test=10.0.2.2".into(),
    ];
    let left = boot(&mut world, words, Box::new(futures_lite::io::empty())).unwrap();
    assert_eq!(left.exit, 69);
    for part in ["10.0.2.99:9", "10.0.2.2:9: connection refused"] {
        assert!(left.stderr.contains(part), "{}", left.stderr);
    }
}

#[test]
fn a_network_without_dhcp_is_named() {
    for target in ["http://10.0.2.2/", "icmp://10.0.2.2", "udp://10.0.2.2:9"] {
        let mut world = World::without_dhcp();
        let words = vec![target.into(), "--connect-timeout=5s".into()];
        let left = boot(&mut world, words, Box::new(futures_lite::io::empty())).unwrap();
        let says = "network address (DHCP and router advertisements): no answer within 5s (--connect-timeout";
        assert_eq!(left.exit, 75, "{}", left.stderr);
        assert!(left.stderr.contains(says), "{}", left.stderr);
    }
}

#[test]
fn the_json_report_fits_its_schema() {
    let schema = serde_json::from_str(include_str!("../../../docs/report.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for (line, exit, figures) in [
        ("http://{nginx}/{file:6}", 0, ["connect_ms", "first_byte_ms"].as_slice()),
        ("https://{nginx-valid}/6 --tls-authenticator={trust}", 0, &["connect_ms", "handshake_ms"]),
        ("http://web.test:{nginx.port}/6 --dns-servers=udp:{dns}", 0, &["dns_ms"]),
        ("http://nosuch.test/ --dns-servers=udp:{dns}", 68, &["dns_ms"]),
        ("http://{closed}/", 69, &["connect_ms"]),
        ("https://{nginx-expired}/6 --tls-authenticator={trust}", 77, &["handshake_ms"]),
        ("gopher://{host}/", 64, &[]),
        ("https://{host}/ --check", 0, &[]),
    ] {
        let mut world = World::new();
        let line = world.fill(line) + " --report=json";
        let words = shell_words::split(&line).unwrap();
        let left = boot(&mut world, words, Box::new(futures_lite::io::empty())).unwrap();
        let json = left.stderr.lines().find(|line| line.starts_with('{')).expect("a line of JSON");
        let report: serde_json::Value = serde_json::from_str(json).unwrap();
        if let Err(error) = schema.validate(&report) {
            panic!("{line}: {error} at {}", error.instance_path());
        }
        assert_eq!(
            (left.exit, report["exit"].as_u64()),
            (exit, Some(exit.into())),
            "{line}: {json}"
        );
        for figure in figures {
            assert!(report[figure].is_number(), "{line} lacks {figure}: {json}");
        }
    }
}

fn run(scenario: &Scenario) -> Result<(), String> {
    let mut world = World::new();
    let words: Vec<_> = scenario.arguments.iter().map(|argument| world.fill(argument)).collect();
    let secrets = scenario.secrets.iter();
    let asides =
        secrets.map(|(name, value)| (name.clone(), world.fill(value).into_bytes())).collect();
    let stdin: Input = match &scenario.stdin {
        Stdin::Null => Box::new(futures_lite::io::empty()),
        Stdin::Text(text) => Box::new(Cursor::new(text.clone())),
        Stdin::File(name) => Box::new(Cursor::new(peers::file(name))),
        Stdin::Open => Box::new(Silent),
    };
    let Left { exit, stdout: printed, stderr: said, progress: _ } =
        boot_beside(&mut world, words, asides, stdin)?;
    if exit != scenario.exit {
        return Err(format!("exit code {exit}, not {}; it said: {said}", scenario.exit));
    }
    let right = match &scenario.stdout {
        Stdout::Text(text) => printed == text.as_bytes(),
        Stdout::Hex(text) => printed == quantity::hex(text).unwrap(),
        Stdout::File(name) => printed == peers::file(name),
        Stdout::Shell(text) | Stdout::LinesOf(text) | Stdout::Like(text) => {
            panic!("no shell runs `{text}` here")
        }
        Stdout::Contains(parts) => {
            let text = String::from_utf8_lossy(&printed);
            parts.iter().all(|part| text.contains(part.as_str()))
        }
    };
    if !right {
        let start = String::from_utf8_lossy(&printed[..printed.len().min(200)]).into_owned();
        return Err(format!(
            "{} octets of output are wrong: {start:?}; it said: {said}",
            printed.len()
        ));
    }
    let text = String::from_utf8_lossy(&printed);
    if let Some(part) = scenario.absent.iter().find(|part| text.contains(part.as_str())) {
        return Err(format!("it prints {part:?}: {text}"));
    }
    if let Some(part) =
        scenario.stderr.iter().map(|part| world.fill(part)).find(|part| !said.contains(part))
    {
        return Err(format!("it lacks {part:?}: {said}"));
    }
    let lines = scenario.lines.or((scenario.exit != 0).then_some(1));
    if lines.is_some_and(|lines| lines != said.lines().count()) {
        return Err(format!("not one line: {said}"));
    }
    Ok(())
}

/// An output that is kept.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn take(&self) -> Vec<u8> {
        core::mem::take(&mut *self.0.lock())
    }
}

impl io::Write for Captured {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncWrite for Captured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(io::Write::write(&mut *self, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An input that stays open and says nothing.
struct Silent;

impl futures_io::AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}
