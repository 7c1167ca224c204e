//! The image on QEMU's microvm and its kin as somebody without this tool boots it: no PCI, no ACPI, no clock; the
//! entry protocol and the boot words of Firecracker and Cloud Hypervisor, as far as QEMU imitates them.

use std::process::Stdio;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use super::host_tool::Test;
use super::machines::qemu;
use super::peers::Peers;
use super::runner::{Feed, Output};
use crate::guard;
use crate::machine::QEMU;
use crate::manifest::Target;
use crate::workspace::Workspace;

/// All of them; they are about machines only.
pub const TESTS: [(&str, Test); 7] = [
    ("microvm: a plain one gets a page", plain),
    ("microvm: with ACPI and two processors it gets one, too", with_acpi),
    ("microvm: words that tell of devices stand before the user's `--`, too", before_separator),
    ("microvm: Firecracker's words stand before the user's, behind them, and before a `--`", words),
    ("microvm: without a clock TLS refuses, and --time is one", clock),
    ("microvm: devices of the legacy interface and words that name none are told", legacy),
    ("microvm: without a device for it the console tells the exit code", exit_code),
];

/// No PCI, ACPI, clock chip or old interrupt controller; what Firecracker has is left.
pub(super) const MICROVM: [&str; 2] = ["-M", "microvm,acpi=off,pcie=off,rtc=off,pic=off"];
pub(super) const MODERN: [&str; 2] = ["-global", "virtio-mmio.force-legacy=off"];
/// In the first slot.
pub(super) const NETWORK: [&str; 4] =
    ["-netdev", "user,id=n0", "-device", "virtio-net-device,netdev=n0,bus=virtio-mmio-bus.0"];
/// That slot, as QEMU 7.2 tells it by itself.
pub(super) const SLOT: &str = "virtio_mmio.device=512@0xfeb00000:5";

pub(super) fn page(peers: &mut Peers) -> Result<String> {
    Ok(format!("http://{}/ --timeout=60s", peers.value("not-found", Target::Qemu)?))
}

pub(super) fn got_page((status, said): (Option<i32>, String)) -> Result<()> {
    ensure!(status == Some(1), "QEMU's status {status:?}: {said}");
    ensure!(said.contains("nothing"), "the page is not there: {said}");
    Ok(())
}

fn plain(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let more = [&NETWORK[..], &MODERN].concat();
    got_page(qemu(&MICROVM, workspace.image("default"), &more, &page(peers)?)?)
}

fn with_acpi(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    // with ACPI, QEMU tells of its devices there alone; Firecracker goes on to tell by words as well
    let machine = ["-M", "microvm,acpi=on,ioapic2=off,pcie=off,rtc=off,pic=off", "-smp", "2"];
    let more = [&NETWORK[..], &MODERN].concat();
    let line = format!("{} virtio_mmio.device=512@0xfeb00000:16", page(peers)?);
    got_page(qemu(&machine, workspace.image("default"), &more, &line)?)
}

fn before_separator(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let machine = format!("{},auto-kernel-cmdline=off", MICROVM[1]);
    let more = [&NETWORK[..], &MODERN].concat();
    // the first word is the image's name to the kernel
    let line = format!("x {SLOT} -- {}", page(peers)?);
    got_page(qemu(&["-M", &machine], workspace.image("default"), &more, &line)?)
}

fn words(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let page = page(peers)?;
    let own = "console=ttyS0 reboot=k panic=1 pci=off nomodule 8250.nr_uarts=0 i8042.noaux i8042.dumbkbd no-kvmclock";
    let more = [&NETWORK[..], &MODERN].concat();
    for line in [
        format!("{own} {page}"),
        format!("{page} {own} root=/dev/vda rw"),
        // the first word is the image's name to the kernel
        format!("x {own} -- {page}"),
    ] {
        let got = got_page(qemu(&MICROVM, workspace.image("default"), &more, &line)?);
        got.with_context(|| line)?;
    }
    // one that nobody adds is the user's mistake
    let line = format!("{page} pic=off");
    let (status, said) = qemu(&MICROVM, workspace.image("default"), &more, &line)?;
    ensure!(status == Some(64 << 1 | 1), "QEMU's status {status:?}: {said}");
    ensure!(said.contains("`pic=off` would be a second target"), "{said}");
    Ok(())
}

fn clock(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    peers.files().make("6")?;
    let host = peers.value("nginx-valid-tls13", Target::Qemu)?;
    let trust = peers.value("trust", Target::Qemu)?;
    let line = format!("https://{host}/6 --timeout=60s --tls-authenticator={trust}");
    let more = [&NETWORK[..], &MODERN].concat();
    let boot = |line: &str| qemu(&MICROVM, workspace.image("default"), &more, line);
    let (status, said) = boot(&line)?;
    ensure!(status == Some(77 << 1 | 1), "without a clock: QEMU's status {status:?}: {said}");
    for text in ["the clock says 1970-01-01", "--time=$(date +%s)"] {
        ensure!(said.contains(text), "`{text}` is not said: {said}");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (status, said) = boot(&format!("{line} --time={now}"))?;
    ensure!(status == Some(1), "with --time: QEMU's status {status:?}: {said}");
    Ok(())
}

fn legacy(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    // one that names nothing, and one whose registers could not be read
    let wrong = "virtio_mmio.device=nowhere virtio_mmio.device=512@0xfeb00001:5";
    let line = format!("{} {wrong}", page(peers)?);
    let (status, said) = qemu(&MICROVM, workspace.image("default"), &NETWORK, &line)?;
    ensure!(status == Some(69 << 1 | 1), "QEMU's status {status:?}: {said}");
    let unread = ["nowhere", "512@0xfeb00001:5"].map(|it| format!("{it}: a device is told as"));
    for text in ["force-legacy=off", &unread[0], &unread[1]] {
        ensure!(said.contains(text), "`{text}` is not said: {said}");
    }
    Ok(())
}

fn exit_code(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let mut command = guard::command(QEMU);
    command.args(MICROVM).args(["-accel", "tcg", "-cpu", "max", "-m", "64M", "-display", "none"]);
    command.args(["-no-reboot", "-nodefaults", "-serial", "stdio"]).stdin(Stdio::null());
    command.arg("-kernel").arg(workspace.image("default")).args(["-append", "no-uri"]);
    let output = Output::of(command, Feed::Nothing)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().context("nothing was said")?;
    // a triple fault, which resets the machine
    ensure!(output.exit == Some(0), "QEMU's status {:?}: {}", output.exit, output.stderr);
    ensure!(last == "exit code 64", "the last line is not the exit code: {said}");
    Ok(())
}
