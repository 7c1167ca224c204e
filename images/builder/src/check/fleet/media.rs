//! CDs, sticks and disks, booted by both kinds of firmware, and the packed file alone.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};

use super::build;
use crate::check::host_tool::Test;
use crate::check::peers::Peers;
use crate::check::runner::{Feed, Output};
use crate::guard;
use crate::machine::QEMU;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 8] = [
    ("elf: the packed file with its words in it boots with none", packed),
    ("iso: boots from a CD under SeaBIOS, with every kind of boot word", cd_bios),
    ("iso: boots from a CD under OVMF", cd_uefi),
    ("iso: boots from a USB stick under OVMF", stick_uefi),
    ("iso: boots from a USB stick under SeaBIOS", stick_bios),
    ("qcow2: boots under SeaBIOS and switches the machine off", disk_bios),
    ("qcow2: boots under OVMF and switches the machine off", disk_uefi),
    ("formats: the same image twice is the same file", reproducible),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Firmware {
    Bios,
    Uefi,
}

/// A machine that has a medium and nothing else to boot from; without isa-debug-exit it has to switch itself off.
#[derive(Debug)]
struct Machine<'a> {
    firmware: Firmware,
    medium: &'a [&'a str],
    /// `opt/mimic/target` of fw_cfg.
    target: Option<&'a str>,
    debug_exit: bool,
}

impl Machine<'_> {
    /// Boots `file`; what was on its serial console, and QEMU's exit status.
    fn boot(&self, file: &Path) -> Result<(String, Option<i32>)> {
        let scratch = Scratch::new("firmware")?;
        let mut command = guard::command(QEMU);
        command.args(["-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", MEMORY]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"]);
        command.args(["-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile="]);
        command.args(["-device", "virtio-rng-pci"]);
        if self.firmware == Firmware::Uefi {
            let variables = scratch.path().join("variables");
            fs::copy(OVMF_VARIABLES, &variables)?;
            let variables = format!("if=pflash,format=raw,file={}", variables.display());
            let code = format!("if=pflash,format=raw,readonly=on,file={OVMF_CODE}");
            command.args(["-drive", &code, "-drive", &variables]);
        }
        for argument in self.medium {
            command.arg(argument.replace("FILE", &file.display().to_string()));
        }
        if let Some(target) = self.target {
            command.args(["-fw_cfg", &format!("name=opt/mimic/target,string={target}")]);
        }
        if self.debug_exit {
            command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
            // one that does not come so far would start again for ever
            command.arg("-no-reboot");
        }
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
        Ok((said, output.exit))
    }

    /// The same, for an image whose target answers `expected`.
    fn gets(&self, file: &Path, expected: &str) -> Result<()> {
        let (said, status) = self.boot(file)?;
        // the debug exit of 0 is QEMU's 1; a machine that is switched off is its 0
        let right = if self.debug_exit { Some(1) } else { Some(0) };
        ensure!(status == right, "QEMU's status {status:?}: {said}");
        ensure!(said.contains(expected), "the answer is not there: {said}");
        Ok(())
    }
}

fn packed(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("elf")?;
    let file = build(scratch.path(), "elf", &[&page(peers, target)?, "--timeout=10s"])?;
    let (firmware, medium) = (Firmware::Bios, KERNEL);
    Machine { firmware, medium, target: None, debug_exit: true }.gets(&file, PAGE)
}

fn cd_bios(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("iso")?;
    let uri = format!("tcp://{}", peers.value("echo", target)?);
    let text = r#"it's $HOME "a  b" \ c\d ; & | é #"#;
    let file = build(scratch.path(), "iso", &[&uri, &format!("--send={text}"), "--timeout=10s"])?;
    let machine = Machine { firmware: Firmware::Bios, medium: CD, target: None, debug_exit: true };
    machine.gets(&file, text)
}

fn cd_uefi(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("iso")?;
    let file = build(scratch.path(), "iso", &[&page(peers, target)?, "--timeout=10s"])?;
    let machine = Machine { firmware: Firmware::Uefi, medium: CD, target: None, debug_exit: true };
    machine.gets(&file, PAGE)
}

fn stick_uefi(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("iso")?;
    let uri = page(peers, target)?;
    let file = build(scratch.path(), "iso", &[])?;
    let (firmware, medium) = (Firmware::Uefi, STICK);
    Machine { firmware, medium, target: Some(&uri), debug_exit: true }.gets(&file, PAGE)
}

fn stick_bios(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("iso")?;
    let file = build(scratch.path(), "iso", &[&page(peers, target)?, "--timeout=10s"])?;
    let (firmware, medium) = (Firmware::Bios, STICK);
    Machine { firmware, medium, target: None, debug_exit: true }.gets(&file, PAGE)
}

fn disk_bios(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("qcow2")?;
    let file = build(scratch.path(), "qcow2", &[&page(peers, target)?, "--timeout=10s"])?;
    let (firmware, medium) = (Firmware::Bios, DISK);
    Machine { firmware, medium, target: None, debug_exit: false }.gets(&file, PAGE)
}

fn disk_uefi(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("qcow2")?;
    let uri = page(peers, target)?;
    let file = build(scratch.path(), "qcow2", &[])?;
    let (firmware, medium) = (Firmware::Uefi, DISK);
    Machine { firmware, medium, target: Some(&uri), debug_exit: false }.gets(&file, PAGE)
}

/// Boots the disk `file` under SeaBIOS, which gets `uri`.
pub fn boots_from_disk(file: &Path, uri: &str) -> Result<()> {
    let (firmware, medium) = (Firmware::Bios, DISK);
    Machine { firmware, medium, target: Some(uri), debug_exit: false }.gets(file, PAGE)
}

fn reproducible(_: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    for format in ["iso", "qcow2", "oci"] {
        let (one, other) = (Scratch::new("one")?, Scratch::new("other")?);
        let first = fs::read(build(one.path(), format, &["http://h.test/"])?)?;
        // FAT counts in twos
        std::thread::sleep(std::time::Duration::from_secs(2));
        let second = fs::read(build(other.path(), format, &["http://h.test/"])?)?;
        ensure!(first == second, "{format} differs");
    }
    Ok(())
}

/// A page of the tests' servers, which holds [`PAGE`].
pub fn page(peers: &mut Peers, target: Target) -> Result<String> {
    Ok(format!("http://{}/", peers.value("not-found", target)?))
}

pub const PAGE: &str = "nothing";

/// With no command line of its own.
const KERNEL: &[&str] = &["-kernel", "FILE"];
const CD: &[&str] = &["-cdrom", "FILE"];
const DISK: &[&str] = &["-drive", "if=virtio,format=qcow2,snapshot=on,file=FILE"];
const STICK: &[&str] = &[
    "-drive",
    "if=none,id=stick,format=raw,snapshot=on,file=FILE",
    "-device",
    "qemu-xhci",
    "-device",
    "usb-storage,drive=stick",
];

/// As little as OVMF starts with, and a bit.
const MEMORY: &str = "128M";

/// Debian's build of UEFI for QEMU.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS.fd";
