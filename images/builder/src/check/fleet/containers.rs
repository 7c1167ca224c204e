//! Container images: read by the programs of others, and what is in them booted as their runtimes would.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build;
use super::media::{PAGE, boots_from_disk, page};
use crate::check::Skip;
use crate::check::host_tool::Test;
use crate::check::peers::Peers;
use crate::check::runner::{Feed, Output};
use crate::format::KERNEL;
use crate::guard;
use crate::machine::QEMU;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 2] = [
    ("oci: skopeo and umoci read it, and its kernel boots as urunc boots it", urunc),
    (
        "containerdisk: skopeo and umoci read it, QEMU's user owns the disk, and it boots",
        container_disk,
    ),
];

fn urunc(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("oci")?;
    let uri = page(peers, target)?;
    let file = build(scratch.path(), "oci", &[&uri, "--timeout=10s"])?;
    let inspected = inspect(&file)?;
    let labels = &inspected["Labels"];
    ensure!(labels["com.urunc.unikernel.unikernelType"] == "hermit", "{inspected}");
    // urunc reads the one or the other, as its runtime hands them over
    let annotations = &manifest(&file)?["annotations"];
    ensure!(annotations == labels, "annotations {annotations}, labels {labels}");
    let root = unpack(&file, scratch.path())?;
    let settings: Value = serde_json::from_slice(&fs::read(root.join("urunc.json"))?)?;
    ensure!(settings["com.urunc.unikernel.hypervisor"] == "cWVtdQ==", "{settings}");
    let words = labels["com.urunc.unikernel.cmdline"].as_str().context("no words")?;

    // urunc's own command line, but for the accelerator and the tap interface
    let mut command = guard::command(QEMU);
    command.args(["-m", "64M", "-cpu", "max", "-accel", "tcg", "-nographic", "-vga", "none"]);
    command.arg("-kernel").arg(root.join(KERNEL));
    command.args(["-device", "virtio-net-pci,netdev=net0,disable-legacy=on"]);
    command.args(["-netdev", "user,id=net0", "-no-reboot"]);
    command
        .args(["-append", &format!("ip=10.0.2.77/24 gateway=10.0.2.2 -- {words} --report=json")]);
    command.stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.exit == Some(0), "QEMU's status {:?}: {said}", output.exit);
    ensure!(said.contains(PAGE), "the page is not there: {said}");
    ensure!(said.contains("10.0.2.77/24"), "it has another address: {said}");
    Ok(())
}

fn container_disk(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("containerdisk")?;
    let file = build(scratch.path(), "containerdisk", &[])?;
    inspect(&file)?;
    let disk = unpack(&file, scratch.path())?.join("disk/disk.qcow2");
    let data = fs::metadata(&disk)?;
    ensure!((data.uid(), data.gid()) == (107, 107), "owner {}:{}", data.uid(), data.gid());
    boots_from_disk(&disk, &page(peers, target)?)
}

/// What skopeo says of the image; it checks every digest on the way.
fn inspect(file: &Path) -> Result<Value> {
    skopeo(&["inspect"], file)
}

/// The image's manifest as it is.
fn manifest(file: &Path) -> Result<Value> {
    skopeo(&["inspect", "--raw"], file)
}

fn skopeo(words: &[&str], file: &Path) -> Result<Value> {
    let mut command = guard::command("skopeo");
    command.args(words).arg(archive(file)).stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "skopeo: {}", output.stderr);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The image's files, unpacked by umoci with their owners.
fn unpack(file: &Path, scratch: &Path) -> Result<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        return Err(Skip("it needs root, for the owners of files".into()).into());
    }
    let (layout, bundle) = (scratch.join("layout"), scratch.join("bundle"));
    let mut copy = guard::command("skopeo");
    copy.args(["copy", "--quiet"])
        .arg(archive(file))
        .arg(format!("oci:{}:latest", layout.display()));
    let mut unpack = guard::command("umoci");
    unpack.args(["unpack", "--image", &format!("{}:latest", layout.display())]).arg(&bundle);
    for mut command in [copy, unpack] {
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(0), "{}", output.stderr);
    }
    Ok(bundle.join("rootfs"))
}

fn archive(file: &Path) -> String {
    format!("oci-archive:{}", file.display())
}
