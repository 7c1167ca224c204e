//! A KVM host anywhere: QEMU emulates a processor with SVM, in it Linux with its modules for KVM, and in that
//! this program with what it boots and talks to.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{GROUP, IMAGES, UNIX};
use crate::check::Selection;
use crate::check::trixie::Trixie;
use crate::linux::{Files, Kernel, find};
use crate::machine::QEMU;
use crate::scratch::Scratch;
use crate::workspace::Workspace;
use crate::{guard, uhyve};

/// The machine, ready to be booted.
#[derive(Debug)]
pub struct Rig {
    kernel: Kernel,
    scratch: Scratch,
    /// Debian 13's programs, if they can be had.
    newer: Option<&'static Trixie>,
}

/// The modules that are needed beside what they need themselves.
const MODULES: [&str; 5] = ["kvm_amd", "tun", "vhost_net", "vhost_vsock", "vsock_loopback"];

/// Programs beside QEMU, uhyve and this one.
const PROGRAMS: [&str; 4] = ["ip", "dnsmasq", "nginx", "setpriv"];

/// What QEMU loads for a machine that it boots a kernel on.
const FIRMWARE: [&str; 5] =
    ["bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "pvh.bin", "qboot.rom"];

/// A variable that is set in there, where nothing that the tests need may be missing.
pub const MARK: &str = "IMAGES_RIG";

/// Where the workspace is in there.
const ROOT: &str = "/work";

/// Processors of the machine: one. With two, QEMU 7.2 now and then stands still in there: it translates code of a
/// page that another processor is just patching (as Linux does when the first machine starts), keeps the old code
/// for ever, and Linux loops in a breakpoint that is long gone. QEMU 8.1 locks the page before; but with two processors QEMU 10
/// interrupts one machine in five for ever, each time it is entered, with what KVM has not injected (seen in KVM's trace: ends of
/// interrupts without one in service).
const PROCESSORS: &str = "1";

impl Rig {
    /// Makes it from what is built.
    pub fn new(workspace: &Workspace, selection: &Selection) -> Result<Self> {
        let kernel = Kernel::get(workspace)?;
        let mut files = Files::new(&["sh", "mount", "ln", "insmod", "chmod", "id", "poweroff"])?;
        for program in PROGRAMS {
            files.own(program)?;
        }
        files.own(QEMU)?;
        firmware(&mut files)?;
        let this = std::env::current_exe().context("where this program is")?;
        files.program(&this, &format!("{ROOT}/builder"))?;
        let hypervisor = uhyve::find(workspace)?;
        let place = uhyve::installed(workspace);
        let place = place.strip_prefix(workspace.target()).context("uhyve is elsewhere")?;
        files.program(&hypervisor, &format!("{ROOT}/target/{}", place.display()))?;
        let program = workspace.unix_program(UNIX);
        let place = program.strip_prefix(workspace.target()).context("the program is elsewhere")?;
        files.program(&program, &format!("{ROOT}/target/{}", place.display()))?;
        for name in ["Cargo.toml", "images/toolchain.toml"] {
            files.copy(&workspace.root().join(name), &format!("{ROOT}/{name}"))?;
        }
        for name in IMAGES {
            files.copy(&workspace.manifest(name), &format!("{ROOT}/images/{name}.toml"))?;
            for image in [workspace.image(name), workspace.uhyve_image(name)] {
                let file = image.file_name().and_then(|name| name.to_str()).context("no name")?;
                files.copy(&image, &format!("{ROOT}/target/images/{file}"))?;
            }
        }
        files.add("/etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
        files.add("/etc/group", b"root:x:0:\nnogroup:x:65534:\n");
        let insmod = files.modules(&kernel, &MODULES)?;
        files.add("/init", script(&insmod, &selection.only).as_bytes());
        let scratch = Scratch::new("rig")?;
        fs::write(scratch.path().join("initrd"), files.finish())?;
        let newer = match Trixie::get() {
            Ok(trixie) => Some(trixie),
            Err(why) => {
                eprintln!("this host's QEMU emulates the KVM host, which has no AVX then: {why}");
                None
            }
        };
        Ok(Self { kernel, scratch, newer })
    }

    /// The command that boots it and prints what the tests in it print.
    pub fn command(&self) -> Command {
        let mut command = self.newer.map_or_else(|| guard::command(QEMU), Trixie::qemu);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-machine", "q35", "-accel", "tcg", "-smp", PROCESSORS]);
        command.args(["-cpu", "max,+svm", "-m", "2G", "-serial", "stdio"]);
        command.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
        command.arg("-kernel").arg(self.kernel.image());
        command.arg("-initrd").arg(self.scratch.path().join("initrd"));
        command
    }
}

/// Adds [`FIRMWARE`] from where QEMU looks for it.
fn firmware(files: &mut Files) -> Result<()> {
    let output = Command::new(find(QEMU)?).args(["-L", "help"]).output()?;
    let directories = String::from_utf8(output.stdout).context("QEMU's directories")?;
    for name in FIRMWARE {
        let mut found = directories.lines().map(|line| Path::new(line).join(name));
        let found = found.find(|path| path.is_file());
        let path = found.with_context(|| format!("QEMU has no {name}"))?;
        let text = path.to_str().context("a directory's name that is no text")?;
        files.copy(&path, text)?;
    }
    Ok(())
}

/// The first program of the machine.
fn script(insmod: &str, only: &[String]) -> String {
    let quote = |text: &String| format!(" --only '{}'", text.replace('\'', r"'\''"));
    let only = only.iter().map(quote).collect::<String>();
    format!(
        "#!/bin/sh\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin IMAGES_WORKSPACE={ROOT} {MARK}=yes\n\
         mount -t devtmpfs dev /dev\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sys /sys\n\
         mount -t tmpfs run /run\n\
         mount -t tmpfs -o mode=1777 tmp /tmp\n\
         ln -s /proc/self/fd /dev/fd\n\
         {insmod}\
         chmod 666 /dev/kvm /dev/net/tun /dev/vhost-net /dev/vhost-vsock\n\
         {ROOT}/builder test {GROUP} --here{only} 2>&1\n\
         poweroff -f\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_goes_along() {
        let script = script("insmod x\n", &["a b".into(), "it's".into()]);
        assert!(script.contains("insmod x\nchmod"));
        assert!(script.contains("test kvm --here --only 'a b' --only 'it'\\''s' 2>&1\npoweroff"));
    }
}
