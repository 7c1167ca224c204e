//! Which Rust toolchain builds what.
//!
//! Kernel, loader and Hermit program need the standard library's source and LLVM's linker and tools beside a
//! compiler that is new enough (`images/toolchain.toml`): Debian's `rustc-web` family, or a rustup toolchain
//! that has the components rust-src and llvm-tools. The host's programs take the cargo that is at hand.
//! Nothing here changes a toolchain; `scripts/setup` installs what is missing.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;

/// A toolchain that can build for Hermit.
#[derive(Debug)]
pub struct Toolchain {
    bin: PathBuf,
}

impl Toolchain {
    /// Finds one: Debian's first, then rustup's newest.
    pub fn find(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root().join("images/toolchain.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let releases: Releases =
            toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        let minimum = Version::parse(&releases.minimum)
            .with_context(|| format!("no version in {}", path.display()))?;

        let mut refused = Vec::new();
        let mut found = Vec::new();
        for bin in candidates() {
            match inspect(&bin, minimum) {
                // Debian's is the first candidate, and is what setup installs
                Ok(_) if bin == Path::new(DEBIAN) => return Ok(Self { bin }),
                Ok(version) => found.push((version, bin)),
                Err(cause) => refused.push(format!("{}: {cause}", bin.display())),
            }
        }
        match found.into_iter().max() {
            Some((_, bin)) => Ok(Self { bin }),
            None => bail!(
                "no Rust {} or later can build for Hermit (run scripts/setup): {}",
                releases.minimum,
                if refused.is_empty() { "there is no rustc".into() } else { refused.join("; ") }
            ),
        }
    }

    /// The compiler.
    pub fn rustc(&self) -> PathBuf {
        self.bin.join("rustc")
    }

    /// Its cargo, with the environment that `-Zbuild-std` needs.
    pub fn cargo(&self) -> Command {
        self.program("cargo")
    }

    /// What its cargo would run for `cargo clippy`, in the same environment; not every toolchain has it. Cargo itself would look
    /// for it in the user's directory first, where another toolchain's is.
    pub fn clippy(&self) -> Option<Command> {
        let mut command = self.program("cargo-clippy");
        command.env("CARGO", self.bin.join("cargo"));
        self.bin.join("cargo-clippy").is_file().then_some(command)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_of_another_build) {
                command.env_remove(name);
            }
        }
        // a script that calls `rustc` or `rust-lld` by name gets this toolchain's
        let mut path = vec![self.bin.clone()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        command
            .env("PATH", env::join_paths(path).unwrap_or_else(|_| OsString::from(DEBIAN)))
            .env("RUSTC", self.rustc())
            .env("RUSTDOC", self.bin.join("rustdoc"))
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

/// The cargo that builds the host's programs: the one that runs this, or the first in PATH.
pub fn host_cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What `images/toolchain.toml` pins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Releases {
    minimum: String,
    #[serde(rename = "host-minimum")]
    _host_minimum: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(['.', '-']).map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next()?))
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut bins = vec![PathBuf::from(DEBIAN)];
    let rustup = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")));
    if let Some(entries) = rustup.and_then(|home| fs::read_dir(home.join("toolchains")).ok()) {
        bins.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    bins.retain(|bin| bin.join("rustc").is_file());
    bins
}

/// The version of the toolchain in `bin`, or what it lacks.
fn inspect(bin: &Path, minimum: Version) -> Result<Version, String> {
    let output = Command::new(bin.join("rustc"))
        .args(["--version", "--verbose", "--print=sysroot"])
        .output()
        .map_err(|error| format!("rustc does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let version =
        field("release: ").and_then(Version::parse).ok_or("rustc does not tell its version")?;
    if version < minimum {
        return Err(format!("is {}.{}.{}", version.0, version.1, version.2));
    }
    if !bin.join("cargo").is_file() {
        return Err("has no cargo".into());
    }
    let host = field("host: ").unwrap_or(HOST);
    let sysroot = sysroot(bin).ok_or("has no sysroot")?;
    if !sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file() {
        return Err("lacks rust-src".into());
    }
    let tools = sysroot.join("lib/rustlib").join(host).join("bin");
    let linker = bin.join("rust-lld");
    let beside_linker =
        fs::canonicalize(&linker).is_ok_and(|lld| lld.with_file_name("llvm-objcopy").is_file());
    if !beside_linker && !tools.join("llvm-objcopy").is_file() {
        return Err("lacks llvm-tools".into());
    }
    Ok(version)
}

/// The parent of a toolchain's `bin`.
fn sysroot(bin: &Path) -> Option<&Path> {
    bin.parent()
}

/// Variables that would carry the outer cargo's settings, or the user's for another compiler, into the build.
fn is_of_another_build(name: &str) -> bool {
    matches!(name, "CARGO" | "RUSTUP_TOOLCHAIN" | "RUSTUP_HOME_BIN" | "CARGO_BUILD_TARGET")
        || name.ends_with("RUSTFLAGS")
        || name.ends_with("RUSTDOCFLAGS")
        || name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || name.starts_with("CARGO_PROFILE_")
        || matches!(name, "RUSTC" | "RUSTDOC" | "RUSTC_WRAPPER" | "RUSTC_WORKSPACE_WRAPPER")
}

const DEBIAN: &str = "/usr/bin";
const HOST: &str = "x86_64-unknown-linux-gnu";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(Version::parse("1.96.0"), Some(Version(1, 96, 0)));
        assert_eq!(Version::parse("1.98.0-nightly"), Some(Version(1, 98, 0)));
        assert!(Version::parse("1.100.0") > Version::parse("1.96.1"));
        assert_eq!(Version::parse("1.96"), None);
    }

    #[test]
    fn the_pinned_release_is_read() {
        let text = include_str!("../../toolchain.toml");
        let releases: Releases = toml::from_str(text).unwrap();
        assert!(Version::parse(&releases.minimum) >= Version::parse(&releases._host_minimum));
    }

    #[test]
    fn a_directory_without_a_compiler_is_refused() {
        assert!(inspect(Path::new("/nowhere"), Version(1, 0, 0)).unwrap_err().contains("run"));
    }
}
