//! The Rust toolchain at hand: its cargo for the nested build, its linker and its LLVM tools.
//!
//! Two layouts are known: rustup's, where the component `llvm-tools` puts linker and tools into the
//! toolchain, and Debian's, where `rust-lld` is a link to `lld-NN` and the tools are LLVM's own
//! packages under `/usr/lib/llvm-NN/bin`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the toolchain keeps what the build needs.
pub struct Toolchain {
    cargo: OsString,
    rustc: OsString,
    version: String,
    linker: PathBuf,
    tools: PathBuf,
}

impl Toolchain {
    /// Looks at the toolchain that runs this build script.
    pub fn find() -> Result<Self, String> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = output(Command::new(&rustc).arg("--version"))?;
        let minor = minor_version(&version)
            .ok_or_else(|| format!("cannot read a version from {version:?}"))?;
        if minor < OLDEST_MINOR {
            return Err(format!(
                "the kernel needs rustc 1.{OLDEST_MINOR} or later, this is {version}"
            ));
        }
        let sysroot = PathBuf::from(output(Command::new(&rustc).args(["--print", "sysroot"]))?);
        if !sysroot.join("lib/rustlib/src/rust/library").is_dir() {
            return Err(format!(
                "no standard library source in {}: install rust-src (Debian: rust-web-src)",
                sysroot.display()
            ));
        }
        let host = env::var("HOST").map_err(|e| format!("HOST: {e}"))?;
        let (linker, tools) = find_tools(&sysroot, &host)?;
        Ok(Self { cargo, rustc, version, linker, tools })
    }

    /// What `rustc --version` prints.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The path of `rust-lld`.
    pub fn linker(&self) -> &Path {
        &self.linker
    }

    /// The path of one of LLVM's tools, such as `llvm-objcopy`.
    pub fn tool(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.tools.join(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(format!("no {name} in {}", self.tools.display()))
        }
    }

    /// A cargo of the same toolchain that inherits nothing of the outer build's settings but where
    /// cargo's home, registry and network are.
    pub fn nested_cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for (name, _) in env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            let of_cargo = name.starts_with("CARGO") && !KEPT.iter().any(|k| name.starts_with(k));
            let of_rustc = name.starts_with("RUSTC") || name.ends_with("RUSTFLAGS");
            if of_cargo || of_rustc || REMOVED.contains(&name) {
                command.env_remove(name);
            }
        }
        // The kernel and `-Zbuild-std` use unstable features.
        command.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

/// Runs a command to its end; its standard error is shown, its standard output is not.
pub fn run(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

/// Runs a command and returns its standard output without the last line's end.
pub fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let result = command.output().map_err(|e| format!("cannot run {program}: {e}"))?;
    let errors = String::from_utf8_lossy(&result.stderr);
    eprint!("{errors}");
    if !result.status.success() {
        // The first error says it; what follows is in the build script's full output.
        let line = errors.lines().find(|l| l.starts_with("error")).unwrap_or("no error message");
        return Err(format!("{program} failed ({}): {line}", result.status));
    }
    let text = String::from_utf8(result.stdout).map_err(|e| format!("{program}: {e}"))?;
    Ok(text.trim_end().to_owned())
}

/// `rust-lld` and the directory of the LLVM tools.
fn find_tools(sysroot: &Path, host: &str) -> Result<(PathBuf, PathBuf), String> {
    let in_toolchain = sysroot.join("lib/rustlib").join(host).join("bin");
    if in_toolchain.join("rust-lld").is_file() && in_toolchain.join("llvm-objcopy").is_file() {
        return Ok((in_toolchain.join("rust-lld"), in_toolchain));
    }
    // Debian: /usr/bin/rust-lld → lld-NN → ../lib/llvm-NN/bin/lld
    let linker = sysroot.join("bin/rust-lld");
    let tools = fs::canonicalize(&linker)
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .filter(|dir| dir.join("llvm-objcopy").is_file());
    match tools {
        Some(tools) => Ok((linker, tools)),
        None => Err(format!(
            "no rust-lld with llvm-objcopy beside it in {}: install the component llvm-tools \
             (Debian: the lld-NN and llvm-NN that bin/rust-lld links to)",
            sysroot.display()
        )),
    }
}

/// The `96` of `rustc 1.96.0 (…)`.
pub fn minor_version(version: &str) -> Option<u32> {
    version.split_whitespace().nth(1)?.split('.').nth(1)?.parse().ok()
}

/// The first release that the edits were made for; `std` for Hermit moved much before it.
const OLDEST_MINOR: u32 = 96;

/// Prefixes of cargo's own settings that the nested cargo shares.
const KEPT: &[&str] =
    &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];

/// Set by cargo for build scripts, and read as settings by some tools.
const REMOVED: &[&str] =
    &["DEBUG", "HOST", "NUM_JOBS", "OPT_LEVEL", "OUT_DIR", "PROFILE", "TARGET"];
