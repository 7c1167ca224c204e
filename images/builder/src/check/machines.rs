//! Tests of the image as a file: other ways to boot it than ours, its size, and what it costs to wait.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::host_tool::{Silent, Test};
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use crate::compile;
use crate::guard;
use crate::machine::QEMU;
use crate::manifest::{Manifest, Target};
use crate::pack::{self, Protocol};
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them; they are about machines only.
pub const TESTS: [(&str, Test); 8] = [
    ("image: one file and a command line are enough", plain),
    ("image: boots on QEMU's oldest PC too", old_pc),
    ("image: the loader takes the program as -initrd", as_initrd),
    ("image: boots by multiboot", multiboot),
    ("image: the words of its manifest are in it", own_words),
    ("image: with http, tls, udp and raw it is smaller than 4 MiB, with everything than 6", size),
    ("image: the report says how long the machine took to start", boot_time),
    ("image: waiting for a silent server costs next to nothing", idle),
];

fn plain(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    boots(peers, &["-M", "q35"], workspace.image("default"), &[])
}

fn old_pc(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    boots(peers, &["-M", "pc"], workspace.image("default"), &[])
}

fn as_initrd(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let scratch = Scratch::new("initrd")?;
    let (file, program) = loader_alone(workspace, &scratch)?;
    let program = program.to_str().context("the program's path is no text")?;
    boots(peers, &["-M", "q35"], file, &["-initrd", program])
}

/// The loader without a program, packed into a file of the directory, and the program's file.
pub(super) fn loader_alone(workspace: &Workspace, scratch: &Scratch) -> Result<(PathBuf, PathBuf)> {
    let (loader, program) = parts(workspace)?;
    let alone = pack::pack(&fs::read(loader)?, None, Protocol::Pvh)
        .map_err(|error| anyhow!("cannot pack the loader alone: {error}"))?;
    let file = scratch.path().join("loader");
    fs::write(&file, alone)?;
    Ok((file, program))
}

fn multiboot(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let scratch = Scratch::new("multiboot")?;
    let (loader, program) = parts(workspace)?;
    let (loader, program) = (fs::read(loader)?, fs::read(program)?);
    let content = pack::Content { program: &program, words: "" };
    let packed = pack::pack(&loader, Some(content), Protocol::Multiboot)
        .map_err(|error| anyhow!("cannot pack for multiboot: {error}"))?;
    let file = scratch.path().join("image");
    fs::write(&file, packed)?;
    boots(peers, &["-M", "q35"], file, &[])
}

fn own_words(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let manifest = Manifest::read(workspace, "two-networks")?;
    let image = compile::image(workspace, "two-networks", &manifest, false)?;
    // an argument that there is only with the manifest's --networks=management
    let line = "http://10.0.3.2/ --check --management-mtu=1400";
    let said = boot(&["-M", "q35"], image, &[], line)?;
    ensure!(said.contains("--management-mtu"), "{said}");
    Ok(())
}

/// Boots `kernel`, which gets a page.
fn boots(peers: &mut Peers, machine: &[&str], kernel: PathBuf, more: &[&str]) -> Result<()> {
    let uri = format!("http://{}/", peers.value("not-found", Target::Qemu)?);
    let network = ["-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile="];
    let more = [&network, more].concat();
    let said = boot(machine, kernel, &more, &format!("{uri} --timeout=60s"))?;
    ensure!(said.contains("nothing"), "the page is not there: {said}");
    Ok(())
}

/// Boots `kernel` as somebody without this tool would, and returns what it said.
fn boot(machine: &[&str], kernel: PathBuf, more: &[&str], line: &str) -> Result<String> {
    let (status, said) = qemu(machine, kernel, more, line)?;
    ensure!(status == Some(1), "QEMU's status {status:?}: {said}");
    Ok(said)
}

/// QEMU as somebody without this tool would call it: its status, and what it said after what came on the serial
/// console, which is payload and messages. Of options that are given twice, the later ones, in `more`, win.
pub(super) fn qemu(
    machine: &[&str],
    kernel: PathBuf,
    more: &[&str],
    line: &str,
) -> Result<(Option<i32>, String)> {
    let mut command = guard::command(QEMU);
    command.args(machine).args(["-accel", "tcg", "-cpu", "max", "-m", "64M", "-display", "none"]);
    command.args(["-no-reboot", "-nodefaults", "-serial", "stdio"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
    command.arg("-kernel").arg(kernel).args(more).args(["-append", line]);
    command.stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.exit, said + &output.stderr))
}

fn parts(workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    let manifest = Manifest::read(workspace, "default")?;
    Ok(compile::parts(workspace, &manifest))
}

fn size(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    for (name, limit) in [("lean", 4 << 20), ("default", 6 << 20)] {
        let manifest = Manifest::read(workspace, name)?;
        let image = compile::image(workspace, name, &manifest, false)?;
        let length = fs::metadata(image)?.len();
        ensure!(length < limit, "{name} has {length} octets");
    }
    Ok(())
}

fn boot_time(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let uri = format!("http://{}/", peers.value("not-found", target)?);
    let mut command = run_command();
    command.args([&format!("--target={target}"), "--", &uri, "--report=json"]).stdin(Stdio::null());
    let start = Instant::now();
    let output = Output::of(command, Feed::Nothing)?;
    let outside = start.elapsed();
    let (_, rest) = output.stderr.split_once("\"boot_ms\":").context("no boot_ms")?;
    let (milliseconds, _) = rest.split_once(',').context("nothing behind boot_ms")?;
    let milliseconds: f64 = milliseconds.parse().context("boot_ms is no number")?;
    // the machine's clock begins with it, so that it cannot say more than was seen from outside
    ensure!(milliseconds > 0.0, "{milliseconds} ms");
    ensure!(milliseconds < outside.as_secs_f64() * 1000.0, "{milliseconds} ms of {outside:?}");
    Ok(())
}

fn idle(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let silent = Silent::start(peers, target)?;
    // not the boot itself
    thread::sleep(Duration::from_secs(2));
    let before = ticks(silent.inner)?;
    thread::sleep(Duration::from_secs(4));
    // of 100 in a second; a machine that spins uses 400, one that waits 1
    let used = ticks(silent.inner)? - before;
    ensure!(used <= 8, "{used} of 400 ticks: more than 2 % of a CPU");
    Ok(())
}

/// Hundredths of a second of CPU that a process has used.
fn ticks(pid: i32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the machine has ended")?;
    let fields = stat.rsplit(") ").next().context("no fields")?.split(' ').collect::<Vec<_>>();
    // utime and stime are the fields 14 and 15 of proc(5); behind the name the third is the first
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}
