//! Streams by `AF_VSOCK` of this host's kernel: a machine's, whose device the kernel serves, and a process's.

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Result, ensure};

use super::lab::Lab;
use super::rig::MARK;
use crate::check::Skip;
use crate::check::runner::{Feed, Output, run_command};
use crate::manifest::Target;

/// The machine is context 3, without a network, and this host context 2.
pub fn machine(lab: &mut Lab) -> Result<String> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/vhost-vsock") {
        return missing(&format!("/dev/vhost-vsock does not open: {error}"));
    }
    let mut command = run_command();
    command.args([&format!("--target={}", Target::Qemu), "--accel=kvm", "--net=none"]);
    command.arg("--vsock=cid=3");
    both_ways(lab, command, 2)
}

/// The process speaks with context 1, itself.
pub fn process(lab: &mut Lab) -> Result<String> {
    if !fs::exists("/sys/module/vsock_loopback")? {
        return missing("the kernel has not loaded vsock_loopback");
    }
    let mut command = run_command();
    command.arg("--target=unix");
    both_ways(lab, command, 1)
}

/// What goes out comes back, whole: the end of the input is told, and so is the end of the answer.
fn both_ways(lab: &mut Lab, mut command: Command, host: u32) -> Result<String> {
    let port = lab.serve_vsock()?;
    command.args(["--kill-after=60s", "--", &format!("vsock://{host}:{port}")]);
    let (path, content) = lab.files.make("1M")?;
    command.stdin(File::open(path)?);
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    ensure!(output.content == content, "{} octets came back", output.content.length);
    Ok(String::new())
}

/// A skip, but not where everything was put in for this.
fn missing(cause: &str) -> Result<String> {
    ensure!(std::env::var_os(MARK).is_none(), "{cause}");
    Err(Skip(cause.into()).into())
}
