//! `cargo image build` and `run`: the options against the manifest, then one boot or one process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::bar::Bar;
use crate::compile;
use crate::demo;
use crate::failure::{Failure, code};
use crate::guard;
use crate::input::Gate;
use crate::machine::{Kind, Machine, QEMU};
use crate::manifest::{Manifest, Net, Target};
use crate::options::{self, Options};
use crate::process::{Ended, Job, Streams};
use crate::project;
use crate::secret::Secret;
use crate::status::Fault;
use crate::words;
use crate::workspace::Workspace;
use crate::{accel, status, tap, uhyve};

/// Whether sources are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// What is out of date is built.
    IfChanged,
    /// What is there is taken as it is.
    Never,
}

/// `cargo image run`.
pub fn run(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
    build: Build,
) -> Result<ExitCode> {
    let mut options = Options::parse(workspace, arguments)?;
    let workspace = &project::of(workspace, &options)?;
    if options.help {
        print!("{}", options::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let manifest = Manifest::read(workspace, &options.image).map_err(|error| {
        // a name that is no image's is the user's mistake, as is a manifest that is wrong
        Failure::usage(format!("{error:#}"))
    })?;
    let target = options.target.unwrap_or(manifest.target);
    let booted = prepare(workspace, &options, &manifest, target, build)?;
    if options.build_only {
        return Ok(ExitCode::SUCCESS);
    }
    if options.words.is_empty() {
        if target == Target::Uhyve {
            let cause = "the demo is reached by QEMU's own network: give uhyve a URI";
            return Err(Failure::usage(cause).into());
        }
        options.words = demo::start(target)?;
    }
    let words = match &booted {
        // its own words are in the image
        Booted::Machine(_) => options.words.clone(),
        Booted::Uhyve(_) | Booted::Process { .. } => {
            words::behind(manifest.words(), options.words.clone())
        }
    };
    boot(booted, words, &options)
}

/// `cargo image build`: the same options, nothing is booted.
pub fn build(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode> {
    let arguments = arguments.into_iter().collect::<Vec<_>>();
    let only = std::iter::once("--build-only".into());
    run(workspace, only.chain(arguments), Build::IfChanged)
}

/// What is booted, built already.
enum Booted {
    Machine(Machine),
    Uhyve(uhyve::Machine),
    Process { program: PathBuf, environment: Vec<(String, OsString)> },
}

fn prepare(
    workspace: &Workspace,
    options: &Options,
    manifest: &Manifest,
    target: Target,
    build: Build,
) -> Result<Booted> {
    let name = &options.image;
    // looked at before anything is built
    let secrets = Secret::all(manifest, &options.secrets)?;
    match target {
        Target::Qemu | Target::Microvm => {
            let machine = &manifest.machine;
            let kvm = accel::uses_kvm(options.accel)?;
            let net = options.net.clone().unwrap_or_else(|| machine.net.clone());
            let networks = manifest.networks.values().cloned().collect::<Vec<_>>();
            net.iter().chain(&networks).try_for_each(|net| match net {
                Net::Tap(name) => tap::check(name),
                Net::User => Ok(()),
            })?;
            let image = match build {
                Build::IfChanged => compile::image(workspace, name, manifest, options.verbose)?,
                Build::Never => workspace.image(name),
            };
            // without KVM nothing in a microvm knows the time
            let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let time = if kvm { None } else { now().ok().map(|now| now.as_secs()) };
            Ok(Booted::Machine(Machine {
                kind: if target == Target::Qemu { Kind::Pc } else { Kind::Microvm { time } },
                image,
                memory: options.memory.unwrap_or(machine.memory),
                kvm,
                cpu: machine.cpu.clone(),
                net,
                networks,
                // what the kernel carries past QEMU, QEMU cannot capture
                vhost: options.pcap.is_none() && tap::has_vhost(),
                progress: None,
                vsock: options.vsock.clone().or_else(|| machine.vsock.clone()),
                rng: options.rng.unwrap_or(machine.rng),
                pcap: options.pcap.clone(),
                secrets,
                extra: options.qemu_args.clone(),
                words: Vec::new(),
            }))
        }
        Target::Unix => {
            for option in of_the_machine(options) {
                eprintln!("note: --{option} has no meaning with --target unix");
            }
            let environment = secrets.iter().map(Secret::variable).collect::<Result<_, _>>()?;
            let program = match build {
                Build::IfChanged => {
                    compile::unix_program(workspace, name, manifest, options.verbose)?
                }
                Build::Never => workspace.unix_program(name),
            };
            Ok(Booted::Process { program, environment })
        }
        Target::Uhyve => {
            accel::for_uhyve(options.accel)?;
            let machine = &manifest.machine;
            let mut net = options.net.clone().unwrap_or_else(|| machine.net.clone());
            net.extend(manifest.networks.values().cloned());
            let tap = uhyve::network(&net)?;
            for option in of_qemu(options) {
                eprintln!("note: --{option} has no meaning with --target uhyve");
            }
            let (program, image) = match build {
                Build::IfChanged => {
                    let program = uhyve::find_or_install(workspace, options.verbose)?;
                    compile::image(workspace, name, manifest, options.verbose)?;
                    (program, workspace.uhyve_image(name))
                }
                Build::Never => (uhyve::find(workspace)?, workspace.uhyve_image(name)),
            };
            let memory = options.memory.unwrap_or(machine.memory);
            let words = Vec::new();
            Ok(Booted::Uhyve(uhyve::Machine { program, image, memory, tap, secrets, words }))
        }
    }
}

/// The given options that are about a machine.
fn of_the_machine(options: &Options) -> Vec<&'static str> {
    let any = [(options.net.is_some(), "net"), (options.memory.is_some(), "memory")];
    let any = any.into_iter().filter_map(|(given, name)| given.then_some(name));
    any.chain(of_qemu(options)).collect()
}

/// The given options that are about QEMU's devices.
fn of_qemu(options: &Options) -> Vec<&'static str> {
    [
        (options.vsock.is_some(), "vsock"),
        (options.rng.is_some(), "rng"),
        (options.pcap.is_some(), "pcap"),
        (!options.qemu_args.is_empty(), "qemu-arg"),
    ]
    .into_iter()
    .filter_map(|(given, name)| given.then_some(name))
    .collect()
}

fn boot(booted: Booted, words: Vec<String>, options: &Options) -> Result<ExitCode> {
    type Status = fn(ExitStatus, &str) -> Result<u8, Fault>;
    let (status, job): (Status, Job) = match booted {
        Booted::Machine(mut machine) => {
            let bar = Bar::for_words(&words)?;
            machine.progress = bar.as_ref().map(Bar::port);
            machine.words = words;
            if !is_in_path(QEMU) {
                let cause = format!("there is no {QEMU} in PATH: run scripts/setup");
                return Err(Failure::new(code::SOFTWARE, cause).into());
            }
            let gate = Gate::new().context("cannot listen for QEMU")?;
            let mut command = guard::command(QEMU);
            command.args(machine.arguments()).args(gate.arguments());
            show(&command, options.verbose);
            let streams = Streams::Piped(gate, bar);
            (status::of_machine, Job { command, streams, limit: options.kill_after })
        }
        Booted::Uhyve(mut machine) => {
            machine.words = words;
            let files = uhyve::Files::new().context("cannot make the machine's files")?;
            let command = machine.command(&files)?;
            show(&command, options.verbose);
            let streams = Streams::Files(files);
            (status::of_uhyve, Job { command, streams, limit: options.kill_after })
        }
        Booted::Process { program, environment } => {
            let mut command = guard::command(program);
            command.args(words).envs(environment);
            show(&command, options.verbose);
            let streams = Streams::Inherited;
            (status::of_process, Job { command, streams, limit: options.kill_after })
        }
    };
    let fault = |cause: String| Err(Failure::new(code::SOFTWARE, cause).into());
    match job.run()? {
        Ended::Exited(exited, errors) => match status(exited, &errors) {
            Ok(code) => Ok(ExitCode::from(code)),
            Err(Fault::Told) => Ok(ExitCode::from(code::SOFTWARE)),
            Err(Fault::Because(cause)) => fault(cause),
        },
        Ended::Broken => fault(BROKEN.into()),
        Ended::Limit => {
            let limit = options.kill_after.unwrap_or_default();
            Err(Failure::new(code::KILLED, format!("ended by --kill-after at {limit:?}")).into())
        }
        Ended::Signal(signal) => Ok(ExitCode::from(128 + signal as u8)),
        Ended::OutputClosed => Ok(ExitCode::from(status::OF_CLOSED_OUTPUT)),
        Ended::OutputFailed(error) => fault(format!("cannot write to standard output: {error}")),
    }
}

/// Of a machine that ended before its program did. uhyve gives 0 then, as for a program's success.
pub const BROKEN: &str = "the machine broke down (a triple fault) before the program ended";

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn show(guarded: &Command, verbose: bool) {
    if verbose {
        let mut words = guarded.get_args().skip(2);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        compile::show(&command);
    }
}
