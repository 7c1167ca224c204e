//! A machine of a user who is not root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::lab::{HOST, Lab};
use super::rig::MARK;
use crate::check::Skip;
use crate::check::runner::{Feed, Output, without_settings};
use crate::linux::find;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// Of nobody's, whom the interface was made for; in the groups that may open `/dev/kvm` here.
pub fn boots(lab: &mut Lab) -> Result<String> {
    let (_, content) = lab.files.make("6")?;
    let groups = groups()?;
    let place = place(&lab.workspace)?;
    let mut command = as_nobody(&groups)?;
    command.arg(place.path().join("builder"));
    without_settings(&mut command);
    command.env("IMAGES_WORKSPACE", place.path()).env_remove("CARGO_TARGET_DIR");
    command.env_remove("TMPDIR").current_dir("/");
    command.args([crate::RUN_BUILT, "--target=qemu", "--accel=kvm", "--verbose"]);
    command.args([&format!("--net=tap={}", lab.tap), "--kill-after=60s", "--"]);
    command.arg(format!("http://{HOST}/6"));
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    ensure!(output.content == content, "{} octets came", output.content.length);
    let mut opens = as_nobody(&groups)?;
    opens.args(["/bin/sh", "-c", ": <>/dev/vhost-net"]).stderr(Stdio::null());
    let may = opens.status()?.success();
    let vhost = output.stderr.contains(",vhost=on");
    ensure!(vhost == may, "vhost-net: {vhost}: {}", output.stderr);
    ensure!(vhost || std::env::var_os(MARK).is_none(), "no vhost-net: {}", output.stderr);
    Ok(if vhost { "by vhost-net".into() } else { String::new() })
}

/// The option that gives the user the group of `/dev/kvm` (Debian's `kvm`), where not everybody may open it.
fn groups() -> Result<String> {
    let kvm = fs::metadata("/dev/kvm").context("no /dev/kvm")?;
    match kvm.mode() & 0o666 {
        mode if mode & 0o006 == 0o006 => Ok("--clear-groups".into()),
        mode if mode & 0o060 == 0o060 && kvm.gid() != 0 => Ok(format!("--groups={}", kvm.gid())),
        mode => Err(Skip(format!("none but root may open /dev/kvm here, mode {mode:o}")).into()),
    }
}

fn as_nobody(groups: &str) -> Result<Command> {
    let mut command = Command::new(find("setpriv")?);
    command.args(["--reuid=65534", "--regid=65534", groups, "--"]).stdin(Stdio::null());
    Ok(command)
}

/// This program and what it boots where everybody may read them: the workspace may be in root's own directory.
fn place(workspace: &Workspace) -> Result<Scratch> {
    let scratch = Scratch::new("user")?;
    let this = std::env::current_exe().context("where this program is")?;
    let copies = [
        (this, "builder"),
        (workspace.root().join("Cargo.toml"), "Cargo.toml"),
        (workspace.root().join("images/toolchain.toml"), "images/toolchain.toml"),
        (workspace.manifest("default"), "images/default.toml"),
        (workspace.image("default"), "target/images/default"),
    ];
    for (from, to) in copies {
        copy(&from, &scratch.path().join(to))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    for directory in ["", "images", "target", "target/images"] {
        let directory = scratch.path().join(directory);
        fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    }
    Ok(scratch)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("no directory")?)?;
    fs::copy(from, to)?;
    Ok(fs::set_permissions(to, Permissions::from_mode(0o755))?)
}
