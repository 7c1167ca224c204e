//! `cargo image bench`: our image beside Linux with curl, booted on the same machine by the same command.
//!
//! Both are QEMU with the same machine, CPU, accelerator and devices, fetch the same file from the same nginx, and
//! write it to the same virtio port. Only kernel, command line and memory differ. Runs alternate, so that
//! what else the host does hits both; medians are printed. [`beside`] has the rest.

mod beside;
mod linux;
mod versions;

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, ValueExt};

use crate::accel;
use crate::check::peers::Peers;
use crate::compile;
use crate::failure::Failure;
use crate::guard;
use crate::machine::{Kind, Machine, QEMU};
use crate::manifest::{Manifest, Memory, Target};
use crate::options::Accel;
use crate::workspace::Workspace;
use linux::Linux;

const HELP: &str = "\
Measures the image beside Linux with curl: cargo image bench boot|throughput [--runs N] [--accel auto|kvm|tcg]
the image alone: cargo image bench http [--runs N] [--accel auto|kvm|tcg]
and image and Unix program beside git and OpenSSH: cargo image bench git|ssh [--runs N]

  boot         from the start of QEMU to the last octet of a page of 6 octets
  throughput   a download of 64 MiB, from its first octet to its last
  http         a download of 64 MiB by HTTP/1.1 and HTTP/2, plain and by TLS, beside AES-GCM alone
  git          a clone of 68 000 objects in a machine of 256 MiB, beside `git clone --bare`
  ssh          64 MiB from a command's standard output, beside `ssh`
  --runs N     of each, in turns (default: 5)
  --accel      as of `run`; the figures of this project are TCG's (default: tcg)
";

/// What Linux needs to unpack its initial file system.
const LINUX_MEMORY: Memory = Memory(128 << 20);

/// `cargo image bench`.
pub fn bench(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let what = match options.what {
        Subject::Machines(what) => what,
        Subject::Versions => {
            versions::measure(workspace, options.runs, options.accel)?;
            return Ok(ExitCode::SUCCESS);
        }
        Subject::Programs(what) => {
            what.measure(workspace, options.runs)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let manifest = Manifest::read(workspace, "default")?;
    let image = compile::image(workspace, "default", &manifest, false)?;
    let linux = Linux::get(workspace)?;
    let mut peers = Peers::new()?;
    let (_, file) = peers.files().make(what.file())?;
    let uri = format!("http://{}/{}", peers.value("nginx", Target::Qemu)?, what.file());

    let kvm = accel::uses_kvm(options.accel)?;
    let ours = machine(&image, &manifest, kvm, vec![uri.clone()]);
    let initrd = linux.initrd_for(&uri)?;
    let theirs = Machine {
        image: linux.kernel().into(),
        memory: LINUX_MEMORY,
        extra: vec![
            "-initrd".into(),
            initrd.into(),
            // the last one counts
            "-append".into(),
            "console=ttyS0 quiet loglevel=3 panic=-1".into(),
        ],
        ..ours.clone()
    };

    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for number in 1..=options.runs {
        for (machine, runs) in [&ours, &theirs].into_iter().zip(&mut runs) {
            let run = Run::of(machine, file.length)?;
            eprintln!("run {number}: {} {}", name(machine), what.shown(&run, file.length));
            runs.push(run);
        }
    }
    what.report(&runs, file.length, &[&ours, &theirs]);
    Ok(ExitCode::SUCCESS)
}

/// The machine of a manifest as it is measured, without vhost and further networks.
fn machine(image: &Path, manifest: &Manifest, kvm: bool, words: Vec<String>) -> Machine {
    Machine {
        kind: Kind::Pc,
        image: image.into(),
        memory: manifest.machine.memory,
        kvm,
        cpu: manifest.machine.cpu.clone(),
        vhost: false,
        net: manifest.machine.net.clone(),
        progress: None,
        vsock: None,
        networks: Vec::new(),
        rng: manifest.machine.rng,
        pcap: None,
        secrets: Vec::new(),
        extra: Vec::new(),
        words,
    }
}

fn name(machine: &Machine) -> &'static str {
    if machine.extra.is_empty() { "the image   " } else { "Linux + curl" }
}

struct Options {
    what: Subject,
    runs: usize,
    accel: Accel,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let (mut what, mut runs, mut accel) = (None, 5, Accel::Tcg);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(Failure::usage)? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("runs") => {
                    runs = parser.value().and_then(|it| it.parse()).map_err(Failure::usage)?;
                }
                Arg::Long("accel") => {
                    let text = parser.value().and_then(ValueExt::string).map_err(Failure::usage)?;
                    accel = text.parse().map_err(Failure::usage)?;
                }
                Arg::Value(word) => {
                    what = Some(match word.to_str() {
                        Some("boot") => Subject::Machines(What::Boot),
                        Some("throughput") => Subject::Machines(What::Throughput),
                        Some("http") => Subject::Versions,
                        Some("git") => Subject::Programs(beside::What::Git),
                        Some("ssh") => Subject::Programs(beside::What::Ssh),
                        _ => return Err(Failure::usage(Arg::Value(word).unexpected())),
                    });
                }
                other => return Err(Failure::usage(other.unexpected())),
            }
        }
        let what =
            what.ok_or_else(|| Failure::usage("bench what: boot, throughput, http, git or ssh?"))?;
        if runs == 0 {
            return Err(Failure::usage("--runs is at least 1"));
        }
        Ok(Some(Self { what, runs, accel }))
    }
}

/// What is measured, and beside what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Machines(What),
    /// The image alone, over HTTP's versions.
    Versions,
    Programs(beside::What),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Boot,
    Throughput,
}

impl What {
    fn file(self) -> &'static str {
        match self {
            Self::Boot => "6",
            Self::Throughput => "64M",
        }
    }

    /// The figure of one run: seconds, or MB/s (10^6 octets).
    fn figure(self, run: &Run, length: u64) -> f64 {
        match self {
            Self::Boot => run.last.as_secs_f64(),
            Self::Throughput => {
                length as f64 / 1e6 / (run.last - run.first).as_secs_f64().max(1e-6)
            }
        }
    }

    fn shown(self, run: &Run, length: u64) -> String {
        let figure = self.figure(run, length);
        match self {
            Self::Boot => format!("{figure:.3} s (ended at {:.3} s)", run.end.as_secs_f64()),
            Self::Throughput => format!("{figure:.1} MB/s"),
        }
    }

    fn report(self, runs: &[Vec<Run>; 2], length: u64, machines: &[&Machine; 2]) {
        let [ours, theirs] =
            runs.each_ref().map(|runs| median(runs.iter().map(|run| self.figure(run, length))));
        let [our_end, their_end] =
            runs.each_ref().map(|runs| median(runs.iter().map(|run| run.end.as_secs_f64())));
        let accel = if machines[0].kvm { "KVM" } else { "TCG" };
        println!("{} ({accel}, median of {} runs)", self.title(), runs[0].len());
        for (machine, figure, end) in
            [(machines[0], ours, our_end), (machines[1], theirs, their_end)]
        {
            let figure = match self {
                Self::Boot => format!("{figure:.3} s   (exit at {end:.3} s)"),
                Self::Throughput => format!("{figure:.1} MB/s"),
            };
            println!("  {}  {:>5} of memory   {figure}", name(machine), machine.memory.to_string());
        }
        let ratio = match self {
            Self::Boot => theirs / ours,
            Self::Throughput => ours / theirs,
        };
        println!("  ratio         {ratio:.1}");
    }

    fn title(self) -> &'static str {
        match self {
            Self::Boot => "start of QEMU to the last octet of a page of 6 octets",
            Self::Throughput => "download of 64 MiB over HTTP, first octet to last",
        }
    }
}

/// When what happened, from the start of QEMU.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Duration,
    last: Duration,
    end: Duration,
}

impl Run {
    /// Boots `machine`, which prints `length` octets and ends.
    fn of(machine: &Machine, length: u64) -> Result<Self> {
        Self::told(machine, length).map(|(run, _)| run)
    }

    /// As [`Self::of`]; with what it said on its serial console.
    fn told(machine: &Machine, length: u64) -> Result<(Self, String)> {
        let mut command = guard::command(QEMU);
        command.args(machine.arguments());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().context("cannot start QEMU")?;
        let mut stdout = child.stdout.take().context("no pipe from QEMU")?;
        let mut stderr = child.stderr.take().context("no pipe from QEMU")?;
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, 1 << 20);
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let (mut first, mut last, mut received) = (None, Duration::ZERO, 0);
        let mut buf = vec![0; 1 << 20];
        loop {
            let len = stdout.read(&mut buf)?;
            if len == 0 {
                break;
            }
            last = start.elapsed();
            first.get_or_insert(last);
            received += len as u64;
        }
        child.wait()?;
        let end = start.elapsed();
        let log = log.join().unwrap_or_default();
        ensure!(received == length, "{received} octets in place of {length} came: {}", log.trim());
        match first {
            Some(first) => Ok((Self { first, last, end }, log)),
            None => bail!("nothing came: {}", log.trim()),
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures = figures.collect::<Vec<_>>();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => (figures[middle - 1] + figures[middle]) / 2.0,
        _ => figures[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn figures() {
        let ms = Duration::from_millis;
        let run = Run { first: ms(200), last: ms(700), end: ms(900) };
        assert_eq!(What::Boot.figure(&run, 6), 0.7);
        assert_eq!(What::Throughput.figure(&run, 50_000_000), 100.0);
    }

    #[test]
    fn options_are_checked() {
        let parse = |words: &[&str]| Options::parse(words.iter().map(OsString::from));
        let options = parse(&["throughput", "--runs=3"]).unwrap().unwrap();
        assert_eq!((options.what, options.runs), (Subject::Machines(What::Throughput), 3));
        assert!(parse(&[]).is_err());
        assert!(parse(&["boot", "--runs=0"]).is_err());
        assert!(parse(&["--help"]).unwrap().is_none());
    }
}
