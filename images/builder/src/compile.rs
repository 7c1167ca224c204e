//! From sources to what is booted: cargo for kernel, loader and programs, and the packing into one file.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::fresh::Inputs;
use crate::manifest::Manifest;
use crate::pack;
use crate::toolchain::{self, Toolchain};
use crate::uhyve;
use crate::words;
use crate::workspace::Workspace;

/// The profile of everything that goes into an image, see the workspace's manifest.
const PROFILE: &str = "image";

/// The image `name`, built if anything that it is made from has changed.
pub fn image(
    workspace: &Workspace,
    name: &str,
    manifest: &Manifest,
    verbose: bool,
) -> Result<PathBuf> {
    let (image, stamp) = (workspace.image(name), workspace.stamp(name));
    let note = stamp.with_extension("rustc");
    let known = fs::read_to_string(&note).ok().map(PathBuf::from);
    if let Some(rustc) = known
        && inputs(workspace, name, vec![rustc])?.is_fresh(&stamp, &image)
    {
        return Ok(image);
    }

    let toolchain = Toolchain::find(workspace)?;
    let _alone = alone(workspace)?;
    // listed before the build: what changes meanwhile is built the next time
    let inputs = inputs(workspace, name, vec![toolchain.rustc()])?;
    let program = hermit_program(workspace, &toolchain, manifest, verbose)?;
    let loader = loader(workspace, &toolchain, verbose)?;
    let directory = image.parent().context("an image without a directory")?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    // renamed into place: whoever boots it meanwhile has the old one or the new one
    let partial = image.with_extension("partial");
    let read =
        |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let (loader, program) = (read(&loader)?, read(&program)?);
    let content = pack::Content { program: &program, words: &words::join(manifest.words()) };
    let packed = pack::pack(&loader, Some(content), pack::Protocol::Pvh)
        .map_err(|error| anyhow!("cannot pack the image {name}: {error}"))?;
    let tagged = uhyve::tagged(&program).map_err(|error| anyhow!("cannot tag {name}: {error}"))?;
    let for_uhyve = workspace.uhyve_image(name);
    fs::write(&partial, tagged)
        .and_then(|()| fs::rename(&partial, &for_uhyve))
        .with_context(|| format!("cannot write {}", for_uhyve.display()))?;
    fs::write(&partial, packed).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, &image).with_context(|| format!("cannot write {}", image.display()))?;
    fs::write(&note, toolchain.rustc().as_os_str().as_encoded_bytes())
        .and_then(|()| inputs.record(&stamp, &image))
        .with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(image)
}

/// The manifest's program for the host, built if anything has changed.
pub fn unix_program(
    workspace: &Workspace,
    name: &str,
    manifest: &Manifest,
    verbose: bool,
) -> Result<PathBuf> {
    let (program, stamp) = (workspace.unix_program(name), workspace.stamp(&format!("{name}-unix")));
    if inputs(workspace, name, Vec::new())?.is_fresh(&stamp, &program) {
        return Ok(program);
    }
    let _alone = alone(workspace)?;
    let inputs = inputs(workspace, name, Vec::new())?;
    let mut cargo = toolchain::host_cargo();
    cargo
        .current_dir(workspace.packages())
        .args(["build", "--release"])
        .arg("--target-dir")
        .arg(workspace.host_target());
    select(&mut cargo, manifest);
    run(cargo, "the unix program", verbose)?;
    let built = workspace.host_target().join("release").join(manifest.program());
    let directory = program.parent().context("a program without a directory")?;
    // cargo's own file is that of whichever image of this program was built last
    let partial = program.with_extension("partial");
    fs::create_dir_all(directory)
        .and_then(|()| fs::copy(&built, &partial))
        .and_then(|_| fs::rename(&partial, &program))
        .and_then(|()| inputs.record(&stamp, &program))
        .with_context(|| format!("cannot write {}", program.display()))?;
    Ok(program)
}

/// Where loader and program of an image are before they are packed.
pub fn parts(workspace: &Workspace, manifest: &Manifest) -> (PathBuf, PathBuf) {
    (built(workspace, BARE, "loader"), built(workspace, HERMIT, manifest.program()))
}

/// Waits until nobody else builds, and keeps others waiting as long as the file is open: what cargo has built is to be taken away
/// before it builds the same program with other features in the same place.
fn alone(workspace: &Workspace) -> Result<File> {
    let path = workspace.lock();
    let lock = || {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let file = File::create(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                eprintln!("another build is under way; this one waits for it");
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        Ok(file)
    };
    lock().with_context(|| format!("cannot lock {}", path.display()))
}

/// The sources, the manifest, this builder (for the image, it packs) and what else is given.
fn inputs(workspace: &Workspace, name: &str, mut others: Vec<PathBuf>) -> Result<Inputs> {
    others.push(workspace.manifest(name));
    if others.len() > 1 {
        others.extend(std::env::current_exe());
    }
    Inputs::list(workspace, &others).context("cannot list the workspace's sources")
}

fn hermit_program(
    workspace: &Workspace,
    toolchain: &Toolchain,
    manifest: &Manifest,
    verbose: bool,
) -> Result<PathBuf> {
    let mut cargo = guest_cargo(workspace, toolchain.cargo(), "build", HERMIT);
    cargo.current_dir(workspace.packages());
    select(&mut cargo, manifest);
    run(cargo, "the program for Hermit", verbose)?;
    Ok(built(workspace, HERMIT, manifest.program()))
}

fn loader(workspace: &Workspace, toolchain: &Toolchain, verbose: bool) -> Result<PathBuf> {
    let mut cargo = guest_cargo(workspace, toolchain.cargo(), "build", BARE);
    cargo.args(["--package", "loader"]);
    run(cargo, "the loader", verbose)?;
    Ok(built(workspace, BARE, "loader"))
}

/// Cargo's `subcommand` over what is built for bare targets only, each with what is looked at: program and loader.
pub fn guest_checks(
    workspace: &Workspace,
    cargo: impl Fn() -> Command,
    subcommand: &str,
) -> [(&'static str, Command); 2] {
    let check = |target, packages: &[&str]| {
        let mut cargo = guest_cargo(workspace, cargo(), subcommand, target);
        for package in packages {
            cargo.args(["--package", package]);
        }
        cargo
    };
    [
        ("the program for Hermit", check(HERMIT, &["kernel-app", "virtio-net", "hermit"])),
        ("the loader", check(BARE, &["loader"])),
    ]
}

fn guest_cargo(
    workspace: &Workspace,
    mut cargo: Command,
    subcommand: &str,
    target: &str,
) -> Command {
    cargo
        .current_dir(workspace.root())
        .args([subcommand, "--profile", PROFILE, "--target", target])
        .arg("--target-dir")
        .arg(workspace.guest_target());
    match target {
        BARE => {
            cargo.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
        }
        _ => cargo.arg("-Zbuild-std=std,panic_abort"),
    };
    cargo
}

fn select(cargo: &mut Command, manifest: &Manifest) {
    cargo.args(["--package", &manifest.package, "--bin", manifest.program()]);
    if !manifest.default_features {
        cargo.arg("--no-default-features");
    }
    if !manifest.features.is_empty() {
        cargo.arg("--features").arg(manifest.features.join(","));
    }
}

fn built(workspace: &Workspace, target: &str, program: &str) -> PathBuf {
    workspace.guest_target().join(target).join(PROFILE).join(program)
}

/// Runs cargo; all it says goes to standard error.
fn run(mut cargo: Command, what: &str, verbose: bool) -> Result<()> {
    if verbose {
        show(&cargo);
        cargo.arg("--verbose");
    }
    let status = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .with_context(|| format!("cannot run {}", Path::new(cargo.get_program()).display()))?;
    if !status.success() {
        bail!("cargo could not build {what} ({status})");
    }
    Ok(())
}

/// Prints a command as a shell would take it, on standard error.
pub fn show(command: &Command) {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    eprintln!("+ {line}");
}

fn shell_word(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_=+./:,@%".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

const HERMIT: &str = "x86_64-unknown-hermit";
const BARE: &str = "x86_64-unknown-none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_commands_can_be_typed() {
        assert_eq!(shell_word("-m"), "-m");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("it's a"), r"'it'\''s a'");
    }
}
