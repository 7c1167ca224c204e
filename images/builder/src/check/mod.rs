//! `cargo image test`: every test, group by group, and at the end how long each group took and one count.
//!
//! | group | what it runs |
//! |---|---|
//! | lint | rustfmt, clippy and rustdoc without warnings, for the host's crates; clippy and rustdoc for program and loader as images have them |
//! | unit | `cargo test` of the host's crates |
//! | host | the scenarios against the unix program |
//! | boot | the scenarios against the images in QEMU under TCG, some as microvm too, and again under KVM where that works |
//! | net | the default image behind a tap device in network namespaces, with real peers |
//! | kvm | machines on real KVM under QEMU and uhyve; where KVM does not work, inside an emulated KVM host |
//! | fleet | the image as CD, disk and container image, booted or checked by what takes them |

mod cargo;
mod certificates;
mod faults;
mod files;
mod fleet;
mod git;
mod host_tool;
mod interfaces;
mod kvm;
mod lanes;
mod linux_entry;
mod machines;
mod microvm;
mod netns;
pub mod peers;
mod progress;
mod project;
mod rekeys;
mod relay;
pub mod runner;
mod scenario;
mod scripts;
mod sshd;
mod terminal;
mod threads;
mod trixie;
mod uhyve;
mod variants;
mod vsock;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::accel;
use crate::compile;
use crate::failure::Failure;
use crate::manifest::{Manifest, Target};
use crate::options::Accel;
use crate::workspace::Workspace;
use lanes::Job;
use peers::Peers;
use scenario::Scenario;

const HELP: &str = "\
Runs the tests: cargo image test [GROUP...] [--only TEXT] [--no-build]   (default: all groups)

  lint          rustfmt, clippy and rustdoc without warnings
  unit          cargo test of the host's crates
  host          the scenarios against the unix program
  boot          the scenarios against the images in QEMU
  net           the image behind a tap device, with real peers in network namespaces
  kvm           machines on real KVM under QEMU and uhyve, in an emulated KVM host where there is none
  fleet         the image as CD and disk under both kinds of firmware
  --only TEXT   of host, boot, net, kvm and fleet only the tests whose name holds TEXT; repeatable
  --no-build    with the programs and images as they were built last
";

const GROUPS: [&str; 7] = ["lint", "unit", "host", "boot", netns::GROUP, kvm::GROUP, fleet::GROUP];

/// `cargo image test`.
pub fn test(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode> {
    let Some(selection) = Selection::parse(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let mut tally = Tally::default();
    for group in &selection.groups {
        let (before, start) = (tally.counts(), Instant::now());
        match group.as_str() {
            "lint" => cargo::lint(workspace, &mut tally),
            "unit" => cargo::unit(workspace, &mut tally),
            "host" => scenarios(workspace, Target::Unix, &selection, &mut tally)?,
            netns::GROUP => networks(workspace, &selection, &mut tally)?,
            kvm::GROUP => kvm::run(workspace, &selection, &mut tally)?,
            fleet::GROUP => fleets(workspace, &selection, &mut tally)?,
            _ => scenarios(workspace, Target::Qemu, &selection, &mut tally)?,
        }
        tally.end_group(group, before, start);
    }
    tally.report()
}

/// What is to be run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection {
    groups: Vec<String>,
    only: Vec<String>,
    no_build: bool,
    /// The tests of KVM are in the place that was made for them.
    here: bool,
}

impl Selection {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, ValueExt};
        let mut selection = Self::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(Failure::usage)? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("only") => {
                    let text = parser.value().and_then(ValueExt::string);
                    selection.only.push(text.map_err(Failure::usage)?);
                }
                Arg::Long("no-build") => selection.no_build = true,
                Arg::Long("here") => selection.here = true,
                Arg::Value(group) => match group.to_str() {
                    Some(group) if GROUPS.contains(&group) => selection.groups.push(group.into()),
                    _ => {
                        let group = group.to_string_lossy();
                        let known = GROUPS.join(", ");
                        return Err(Failure::usage(format!("`{group}` is not a group: {known}")));
                    }
                },
                other => return Err(Failure::usage(other.unexpected())),
            }
        }
        if selection.groups.is_empty() {
            selection.groups = GROUPS.map(String::from).to_vec();
        }
        Ok(Some(selection))
    }

    fn has(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only))
    }
}

/// The scenarios of one target, and the tests of the tool itself on it.
fn scenarios(
    workspace: &Workspace,
    target: Target,
    selection: &Selection,
    tally: &mut Tally,
) -> Result<()> {
    let group = if target == Target::Unix { "host" } else { "boot" };
    let targets = match target {
        Target::Qemu => vec![Target::Qemu, Target::Microvm],
        target => vec![target],
    };
    let rows = scenario::read_all(&workspace.root().join("images/builder/scenarios"))?;
    let mut rows = rows
        .into_iter()
        .filter(|row| {
            let of = |target: &Target| {
                row.targets.contains(target) && selection.has(&row_name(row, *target))
            };
            targets.iter().any(of)
        })
        .collect::<Vec<_>>();
    // what is still to be built is for the lane that begins at the end
    rows.sort_by_key(|row| row.image != MAIN);
    let of_machines = [
        &machines::TESTS[..],
        &variants::TESTS,
        &microvm::TESTS,
        &linux_entry::TESTS,
        &vsock::TESTS,
        &faults::TESTS,
    ]
    .concat();
    let of_process = [&scripts::TESTS[..], &uhyve::TESTS, &rekeys::OWN].concat();
    let of_target = if target == Target::Unix { &of_process } else { &of_machines };
    let tool = host_tool::TESTS
        .iter()
        .chain(&progress::TESTS)
        .chain(&project::TESTS)
        .chain(&certificates::TESTS)
        .chain(&rekeys::TESTS)
        .chain(of_target)
        .filter(|(name, _)| selection.has(name))
        .collect::<Vec<_>>();
    let builds = Builds::of(workspace, target, selection, &rows);
    if (!tool.is_empty() || rows.iter().any(|row| row.image == MAIN))
        && let Err(error) = builds.ready(MAIN)
    {
        tally.failed(group, "build", &format!("{error:#}"));
        return Ok(());
    }
    let builds = &builds;
    let mut accelerators = vec!["tcg"];
    if target == Target::Qemu && accel::uses_kvm(Accel::Auto)? {
        accelerators.push("kvm");
    }
    let mut jobs = Vec::new();
    let passes = accelerators.iter().flat_map(|accel| targets.iter().map(move |it| (*accel, *it)));
    for (accelerator, target) in passes {
        let group = if accelerator == "kvm" { "boot under KVM" } else { group };
        for row in rows.iter().filter(|row| row.targets.contains(&target)) {
            let name = row_name(row, target);
            if !selection.has(&name) {
                continue;
            }
            if row.root && !rustix::process::geteuid().is_root() {
                tally.skipped(group, &name, "it needs root");
                continue;
            }
            let test = move |peers: &mut Peers| {
                builds.ready(&row.image)?;
                runner::run(peers, row, target, accelerator)?.map_err(anyhow::Error::msg)
            };
            jobs.push(Job { group, name, test: Box::new(test) });
        }
    }
    jobs.extend(tool.into_iter().map(|(name, test)| {
        let test = move |peers: &mut Peers| test(workspace, peers, target);
        Job { group, name: (*name).to_owned(), test: Box::new(test) }
    }));
    lanes::run(jobs, tally)
}

/// What a row is called on a target; the group says which, but for the second one of a group.
fn row_name(row: &Scenario, target: Target) -> String {
    match target {
        Target::Microvm => format!("microvm: {}", row.name),
        _ => row.name.clone(),
    }
}

/// The tests in network namespaces.
fn networks(workspace: &Workspace, selection: &Selection, tally: &mut Tally) -> Result<()> {
    let tests = netns::selected(selection);
    if !tests.is_empty()
        && let Err(error) = Builds::of(workspace, Target::Qemu, selection, &[]).ready(MAIN)
    {
        tally.failed(netns::GROUP, "build", &format!("{error:#}"));
        return Ok(());
    }
    netns::run(&tests, tally)
}

/// The tests of the files for fleets.
fn fleets(workspace: &Workspace, selection: &Selection, tally: &mut Tally) -> Result<()> {
    let tests = fleet::selected(selection);
    if !tests.is_empty()
        && let Err(error) = Builds::of(workspace, Target::Qemu, selection, &[]).ready(MAIN)
    {
        tally.failed(fleet::GROUP, "build", &format!("{error:#}"));
        return Ok(());
    }
    fleet::run(workspace, &mut Peers::new()?, &tests, tally);
    Ok(())
}

/// The image of nearly all tests.
const MAIN: &str = "default";

/// What is booted, each built when first asked for.
struct Builds<'a> {
    workspace: &'a Workspace,
    target: Target,
    outcomes: BTreeMap<String, OnceLock<Result<(), String>>>,
}

impl<'a> Builds<'a> {
    /// The main image and those of `rows`, unless what was built last is to be taken.
    fn of(
        workspace: &'a Workspace,
        target: Target,
        selection: &Selection,
        rows: &[Scenario],
    ) -> Self {
        let images = rows.iter().map(|row| row.image.as_str()).chain([MAIN]);
        let images = images.filter(|_| !selection.no_build);
        let outcomes = images.map(|image| (image.to_owned(), OnceLock::new())).collect();
        Self { workspace, target, outcomes }
    }

    /// Builds `image` if nobody has; whoever wants the same meanwhile waits.
    fn ready(&self, image: &str) -> Result<()> {
        let Some(outcome) = self.outcomes.get(image) else { return Ok(()) };
        let build = || {
            let manifest = Manifest::read(self.workspace, image)?;
            match self.target {
                Target::Unix => compile::unix_program(self.workspace, image, &manifest, false),
                _ => compile::image(self.workspace, image, &manifest, false),
            }
            .with_context(|| format!("cannot build the image {image}"))
        };
        let said = outcome.get_or_init(|| build().map(drop).map_err(|error| format!("{error:#}")));
        said.clone().map_err(anyhow::Error::msg)
    }
}

/// The reason why a test cannot be run here, as an error of that test.
#[derive(Debug)]
struct Skip(String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// The count of what was run.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    /// A line for each group that has ended.
    groups: Vec<String>,
}

impl Tally {
    /// One test passed.
    pub fn passed(&mut self, group: &str, name: &str, start: Instant) {
        self.passed += 1;
        println!("ok    {group}: {name} ({:.2} s)", start.elapsed().as_secs_f64());
    }

    /// `count` tests passed that were run as one.
    pub fn passed_all(&mut self, group: &str, name: &str, count: usize) {
        self.passed += count;
        println!("ok    {group}: {name} ({count} tests)");
    }

    /// One test failed.
    pub fn failed(&mut self, group: &str, name: &str, cause: &str) {
        self.failed.push(format!("{group}: {name}"));
        println!("FAIL  {group}: {name}: {cause}");
    }

    /// One test ended with the figures that it measured, maybe none, or with an error: failed, unless that is a [`Skip`].
    fn ended(&mut self, group: &str, name: &str, start: Instant, outcome: Result<String>) {
        match outcome {
            Ok(figures) if figures.is_empty() => self.passed(group, name, start),
            Ok(figures) => self.passed(group, &format!("{name}: {figures}"), start),
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(skip) => self.skipped(group, name, &skip.0),
                None => self.failed(group, name, &format!("{error:#}")),
            },
        }
    }

    /// One test could not be run here.
    pub fn skipped(&mut self, group: &str, name: &str, cause: &str) {
        self.skipped += 1;
        println!("skip  {group}: {name}: {cause}");
    }

    /// Takes over a line that another run of this program printed; false if it is no result.
    pub fn relay(&mut self, line: &str) -> bool {
        if line.starts_with("ok    ") {
            self.passed += 1;
        } else if let Some(rest) = line.strip_prefix("FAIL  ") {
            let name = rest.split(": ").take(3).collect::<Vec<_>>().join(": ");
            self.failed.push(name);
        } else if line.starts_with("skip  ") {
            self.skipped += 1;
        } else {
            return false;
        }
        println!("{line}");
        true
    }

    fn counts(&self) -> [usize; 3] {
        [self.passed, self.failed.len(), self.skipped]
    }

    /// What the group has added to the counts `before` it, and how long it took.
    fn end_group(&mut self, group: &str, before: [usize; 3], start: Instant) {
        let now = self.counts();
        let count = count([0, 1, 2].map(|kind| now[kind] - before[kind]));
        self.groups
            .push(format!("group {group}: {count} in {:.0} s", start.elapsed().as_secs_f64()));
    }

    fn report(self) -> Result<ExitCode> {
        if !self.failed.is_empty() {
            println!("\nfailed:");
            self.failed.iter().for_each(|name| println!("  {name}"));
        }
        println!();
        self.groups.iter().for_each(|line| println!("{line}"));
        println!("\n{}", count(self.counts()));
        Ok(ExitCode::from(u8::from(!self.failed.is_empty() || self.passed == 0)))
    }
}

/// Passed, failed and skipped tests in words.
fn count([passed, failed, skipped]: [usize; 3]) -> String {
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    format!("{passed} passed, {failed} failed{skipped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Selection>, Failure> {
        Selection::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn groups_are_checked() {
        assert_eq!(parse(&[]).unwrap().unwrap().groups, GROUPS);
        let selection = parse(&["boot", "--only", "nginx"]).unwrap().unwrap();
        assert_eq!(selection.groups, ["boot"]);
        assert!(selection.has("http from nginx") && !selection.has("echo"));
        assert!(
            parse(&["boots"])
                .unwrap_err()
                .to_string()
                .contains("lint, unit, host, boot, net, kvm, fleet")
        );
        assert!(parse(&["--fast"]).is_err());
        assert_eq!(parse(&["boot", "--help"]).unwrap(), None);
    }

    #[test]
    fn a_groups_line_counts_that_group_alone_and_is_not_taken_for_the_last_line() {
        let mut tally = Tally { passed: 5, ..Tally::default() };
        let before = tally.counts();
        tally.passed_all("unit", "cargo test", 7);
        tally.failed("unit", "x", "as asked");
        tally.end_group("unit", before, Instant::now());
        let before = tally.counts();
        tally.skipped("kvm", "all", "it needs root");
        tally.end_group("kvm", before, Instant::now());
        let lines = [
            "group unit: 7 passed, 1 failed in 0 s",
            "group kvm: 0 passed, 0 failed, 1 skipped in 0 s",
        ];
        assert_eq!(tally.groups, lines);
        for line in lines {
            assert!(!kvm::is_count(line) && !tally.relay(line), "{line}");
        }
        assert_eq!(count(tally.counts()), "12 passed, 1 failed, 1 skipped");
    }
}
