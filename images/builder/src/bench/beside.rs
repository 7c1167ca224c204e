//! The program beside the field's own at the same servers: `git clone --bare`, and OpenSSH's `ssh`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::median;
use crate::check::peers::Peers;
use crate::check::runner::run_command;
use crate::compile;
use crate::manifest::{Manifest, Target};
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A clone of 68 000 objects, 56 MiB of pack.
    Git,
    /// 64 MiB from a command's standard output.
    Ssh,
}

/// Octets of the download over SSH, as files are named.
const FILE: &str = "64M";

impl What {
    fn title(self) -> &'static str {
        match self {
            Self::Git => {
                "clone of 68 000 objects, 56 MiB of pack, from git's daemon: start to exit"
            }
            Self::Ssh => "64 MiB from OpenSSH's server: start to exit",
        }
    }

    /// Runs all in turns and prints the medians.
    pub fn measure(self, workspace: &Workspace, runs: usize) -> Result<()> {
        let manifest = Manifest::read(workspace, "default")?;
        compile::image(workspace, "default", &manifest, false)?;
        compile::unix_program(workspace, "default", &manifest, false)?;
        let mut peers = Peers::new()?;
        let scratch = Scratch::new("bench")?;
        let mut times = Vec::new();
        for run in 1..=runs {
            let contenders = match self {
                Self::Git => git(&mut peers, &scratch, run)?,
                Self::Ssh => ssh(&mut peers, &scratch)?,
            };
            times.resize(contenders.len(), Vec::new());
            for ((name, command), times) in contenders.into_iter().zip(&mut times) {
                let time = time(command).with_context(|| name.to_owned())?;
                eprintln!("run {run}: {name} {:.2} s", time.as_secs_f64());
                times.push((name, time.as_secs_f64()));
            }
        }
        println!("{} (median of {runs} runs)", self.title());
        let last = times.last().map(|them| median(them.iter().map(|(_, time)| *time)));
        for times in &times {
            let time = median(times.iter().map(|(_, time)| *time));
            let ratio = last.unwrap_or(f64::NAN) / time;
            let name = times[0].0;
            let goal = match (self, name) {
                (Self::Ssh, UNIX) if ratio >= SSH_GOAL => format!("   at least {SSH_GOAL}: met"),
                (Self::Ssh, UNIX) => format!("   at least {SSH_GOAL}: NOT MET"),
                _ => String::new(),
            };
            println!("  {name:<32} {time:.2} s   ratio {ratio:.2}{goal}");
        }
        Ok(())
    }
}

/// The process among the contenders, and how fast it is to be over SSH, as a part of OpenSSH's client.
const UNIX: &str = "the Unix program";
const SSH_GOAL: f64 = 0.7;

type Contenders = Vec<(&'static str, Command)>;

/// The last one is what the others are compared with.
fn git(peers: &mut Peers, scratch: &Scratch, run: usize) -> Result<Contenders> {
    let mut ours = |target: Target, options: &[&str]| -> Result<Command> {
        let uri = format!("git://{}/large", peers.value("git.large", target)?);
        Ok(program(target, options, &[&uri, "--git=clone", "--progress=false"]))
    };
    let image = ours(Target::Qemu, &["--memory=256M", "--accel=tcg"])?;
    let unix = ours(Target::Unix, &[])?;
    let uri = format!("git://{}/large", peers.value("git.large", Target::Unix)?);
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--bare", &uri]).arg(scratch.path().join(run.to_string()));
    Ok(vec![("the image, 256 MiB (QEMU, TCG)", image), (UNIX, unix), ("git", git)])
}

fn ssh(peers: &mut Peers, scratch: &Scratch) -> Result<Contenders> {
    let path = peers.files().make(FILE)?.0.display().to_string();
    let user = peers.value("user", Target::Unix)?;
    let key = scratch.path().join("key");
    std::fs::write(&key, peers.value("ssh-key:ed25519", Target::Unix)?)?;
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let key = key.display().to_string();
    let (secret, line) = (format!("--secret=ssh-key={key}"), format!("cat {path}"));
    let pin = format!("--ssh-authenticator={}", peers.value("sshd.pin", Target::Unix)?);
    let exec = format!("--exec={line}");
    let mut ours = |target: Target, options: &[&str]| -> Result<Command> {
        let uri = format!("ssh://{user}@{}/", peers.value("sshd", target)?);
        Ok(program(target, &[options, &[&secret]].concat(), &[&uri, &pin, &exec]))
    };
    let image = ours(Target::Qemu, &["--accel=tcg"])?;
    let unix = ours(Target::Unix, &[])?;
    let mut openssh = Command::new("ssh");
    openssh.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]);
    openssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-i", &key]);
    openssh.args(["-p", &peers.value("sshd.port", Target::Unix)?, "-l", &user, "127.0.0.1", &line]);
    Ok(vec![("the image (QEMU, TCG)", image), (UNIX, unix), ("ssh", openssh)])
}

fn program(target: Target, options: &[&str], arguments: &[&str]) -> Command {
    let mut command = run_command();
    command.arg(format!("--target={target}")).args(options).args(arguments);
    command
}

/// From the start to the exit; what is printed is read and thrown away.
fn time(mut command: Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().context("cannot be started")?;
    let mut stdout = child.stdout.take().context("no pipe")?;
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let status = child.wait()?;
    ensure!(status.success(), "{status}");
    Ok(start.elapsed())
}
