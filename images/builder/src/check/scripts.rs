//! Tests of the scripts before the builder: a checkout of stand-ins, in which they build and call nothing real.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::Skip;
use super::host_tool::Test;
use super::peers::Peers;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 1] =
    [("scripts: by sudo root runs the builder, and the caller sets up and builds", by_sudo)];

/// Who calls sudo: nobody.
const CALLER: u32 = 65534;

/// Who ran setup and cargo so far, a line each.
const SEEN: &str = "seen";

fn by_sudo(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Skip("it needs root".into()).into());
    }
    let scratch = Scratch::new("scripts")?;
    let tree = scratch.path();
    make(workspace.root(), tree)?;
    let caller = CALLER.to_string();
    ensure!(call(tree, &caller)? == "0 tap up t0\n", "root runs no builder");
    ensure!(seen(tree)? == [CALLER, CALLER], "{:?} set up and built", seen(tree)?);
    for file in ["target", "target/release/builder", "target/builder.stamp"] {
        let owner = fs::metadata(tree.join(file))?.uid();
        ensure!(owner == CALLER, "{file} is {owner}'s");
    }
    // what has not changed is not built again, and what has is: every package of ours that the builder is made of
    fs::write(tree.join(SEEN), "")?;
    call(tree, &caller)?;
    ensure!(seen(tree)?.len() == 1, "it is built without a change");
    for package in PACKAGES {
        let changed = tree.join(package).join("changed.rs");
        File::create(&changed)?.set_modified(SystemTime::now() + Duration::from_secs(60))?;
        fs::write(tree.join(SEEN), "")?;
        call(tree, &caller)?;
        ensure!(seen(tree)?.len() == 2, "it is not built again after a change of {package}");
        fs::remove_file(changed)?;
    }
    // who has no checkout of their own leaves it to root
    fs::write(tree.join(SEEN), "")?;
    call(tree, "65533")?;
    let seen = seen(tree)?;
    ensure!(!seen.is_empty() && seen.iter().all(|&user| user == 0), "{seen:?} set up another's");
    Ok(())
}

const PACKAGES: [&str; 5] =
    ["images/builder", "images/loader", "images/scripted", "netstack/progress", "netstack/proto"];

/// The scripts of this workspace with a setup, a cargo and a sudo that do next to nothing, all of it the caller's.
fn make(root: &Path, tree: &Path) -> Result<()> {
    for directory in PACKAGES.iter().chain(&["scripts", "bin", ".cargo"]) {
        fs::create_dir_all(tree.join(directory))?;
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::write(tree.join(file), "")?;
    }
    for script in ["scripts/builder", "scripts/tap"] {
        fs::copy(root.join(script), tree.join(script))?;
    }
    let tree = tree.to_str().context("a directory's name that is no text")?;
    let note = format!("id -u >>'{tree}/{SEEN}'");
    let builder = "#!/bin/sh\\necho \"$(id -u) $*\"\\n";
    let setup =
        format!("mkdir -p '{tree}/target'; echo '{tree}/bin/cargo' >'{tree}/target/setup-cargo'");
    let cargo = format!(
        "mkdir -p target/release; printf '{builder}' >target/release/builder; chmod 755 target/release/builder"
    );
    // -H -u #USER -- COMMAND…
    let sudo =
        "user=${3#?}; shift 4; exec setpriv --reuid=$user --regid=$user --clear-groups -- \"$@\"";
    for (name, text) in [
        ("scripts/setup", format!("{note}; {setup}")),
        ("bin/cargo", format!("{note}; {cargo}")),
        ("bin/sudo", sudo.into()),
    ] {
        let path = Path::new(tree).join(name);
        fs::write(&path, format!("#!/bin/sh\nset -e\n{text}\n"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    fs::write(Path::new(tree).join(SEEN), "")?;
    fs::set_permissions(tree, Permissions::from_mode(0o755))?;
    give(Path::new(tree))
}

/// Makes a directory the caller's with all that is in it.
fn give(path: &Path) -> Result<()> {
    lchown(path, Some(CALLER), Some(CALLER))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

/// What `scripts/tap up t0` prints, called by root for `caller`.
fn call(tree: &Path, caller: &str) -> Result<String> {
    let mut path = tree.join("bin").into_os_string();
    path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
    let mut command = Command::new(tree.join("scripts/tap"));
    command.args(["up", "t0"]).env("PATH", path).env("SUDO_UID", caller);
    command.env_remove("CARGO_TARGET_DIR").current_dir("/").stdin(Stdio::null());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn seen(tree: &Path) -> Result<Vec<u32>> {
    let text = fs::read_to_string(tree.join(SEEN))?;
    text.lines().map(|line| Ok(line.parse()?)).collect()
}
