//! The image on machines of all shapes: processors, memory, chipsets, generations of virtio devices.

use anyhow::{Context, Result, ensure};

use super::host_tool::Test;
use super::machines;
use super::peers::Peers;
use crate::manifest::Target;
use crate::workspace::Workspace;

/// All of them; they are about machines only.
pub const TESTS: [(&str, Test); 5] = [
    ("machine: 1, 2 and 4 processors, of which one is used", processors),
    ("machine: 32 MiB to 8 GiB of memory", memory),
    ("machine: q35 and i440fx", chipsets),
    ("machine: transitional and modern devices", generations),
    ("machine: devices of the legacy interface alone are named", legacy),
];

fn processors(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    ["1", "2", "4"].iter().try_for_each(|count| fetches(workspace, peers, &["-smp", count], MODERN))
}

fn memory(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    // around 3 GiB the chipset leaves room for devices, and memory goes on above 4 GiB
    let sizes = ["32M", "64M", "128M", "512M", "1G", "2G", "3G", "4G", "8G"];
    sizes.iter().try_for_each(|size| fetches(workspace, peers, &["-m", size], MODERN))
}

fn chipsets(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    for machine in ["q35", "pc", "q35,usb=off,sata=off,smbus=off,hpet=off"] {
        for smp in ["1", "2"] {
            fetches(workspace, peers, &["-M", machine, "-smp", smp], MODERN)?;
        }
    }
    Ok(())
}

fn generations(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    for machine in ["q35", "pc"] {
        for device in [MODERN, "disable-legacy=off,disable-modern=off", "vectors=0"] {
            fetches(workspace, peers, &["-M", machine], device)?;
        }
    }
    Ok(())
}

fn legacy(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let device = "disable-legacy=off,disable-modern=on";
    let (status, said) = boot(workspace, peers, &["-M", "pc"], device)?;
    // QEMU's status of the exit code 69
    ensure!(status == Some(69 << 1 | 1), "status {status:?}: {said}");
    ensure!(said.contains("disable-legacy=on"), "how to mend it is not said: {said}");
    Ok(())
}

const MODERN: &str = "disable-legacy=on,disable-modern=off";

fn fetches(w: &Workspace, peers: &mut Peers, machine: &[&str], device: &str) -> Result<()> {
    let shape = || format!("{} {device}", machine.join(" "));
    let (status, said) = boot(w, peers, machine, device).with_context(shape)?;
    ensure!(status == Some(1), "{}: QEMU's status {status:?}: {said}", shape());
    ensure!(said.contains("nothing"), "{}: the page is not there: {said}", shape());
    Ok(())
}

/// QEMU's status, and all that was said on the serial console and by QEMU.
fn boot(
    workspace: &Workspace,
    peers: &mut Peers,
    machine: &[&str],
    device: &str,
) -> Result<(Option<i32>, String)> {
    let uri = format!("http://{}/", peers.value("not-found", Target::Qemu)?);
    let device = format!("virtio-net-pci,netdev=n0,romfile=,{device}");
    let more = [machine, &["-netdev", "user,id=n0", "-device", &device]].concat();
    let line = format!("{uri} --timeout=60s");
    machines::qemu(&["-M", "q35"], workspace.image("default"), &more, &line)
}
