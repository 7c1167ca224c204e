//! Builds the Hermit kernel and links it to the program that uses this package.
//!
//! For a target other than Hermit this does nothing. For Hermit: the kernel's archive is fetched by
//! cargo ([`source`]), checked, edited ([`edits`]), built by a nested cargo ([`toolchain`]) and
//! reduced to one object whose only visible symbols are the system calls and the entry.

#[path = "build/edits.rs"]
mod edits;
#[path = "build/source.rs"]
mod source;
#[path = "build/toolchain.rs"]
mod toolchain;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use toolchain::Toolchain;

fn main() -> ExitCode {
    // Only what is named here makes the script run again.
    for path in ["build.rs", "build", "kernel"] {
        println!("cargo::rerun-if-changed={path}");
    }
    if env::var_os("CARGO_CFG_TARGET_OS").is_none_or(|os| os != "hermit") {
        return ExitCode::SUCCESS;
    }
    match build_and_link() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={}", error.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn build_and_link() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={LOG_LEVEL}");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if arch != "x86_64" {
        return Err(format!("the kernel is built for x86_64 only, not for {arch}"));
    }
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);

    let toolchain = Toolchain::find()?;
    let manifest = package.join("kernel/Cargo.toml");
    let workshop = workshop(&out);
    let _alone = lock(&workshop).map_err(|e| format!("{}: {e}", workshop.display()))?;
    let tree = source::prepare(&toolchain, &manifest, &workshop)?;
    let archive = build_kernel(&toolchain, &tree, &workshop)?;
    hide_symbols(&toolchain, &archive, &out)?;

    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=hermit-kernel");
    Ok(())
}

/// Where source and kernel are kept: one place for all that is built in a target directory. Clippy, rustdoc and each workspace that
/// depends on this package have an `OUT_DIR` of their own, and the kernel takes a minute.
fn workshop(out: &Path) -> PathBuf {
    let build = out.ancestors().find(|directory| directory.ends_with("build"));
    build.and_then(Path::parent).unwrap_or(out).join("hermit-kernel")
}

/// Keeps others out of the workshop as long as the file is open.
fn lock(workshop: &Path) -> io::Result<File> {
    fs::create_dir_all(workshop)?;
    let file = File::create(workshop.join("lock"))?;
    file.lock()?;
    Ok(file)
}

/// Builds the kernel's static library from the edited source and returns its path.
fn build_kernel(toolchain: &Toolchain, tree: &Path, workshop: &Path) -> Result<PathBuf, String> {
    let target_dir = workshop.join("target");
    let level = env::var(LOG_LEVEL).unwrap_or_else(|_| "warn".into());
    let mut cargo = toolchain.nested_cargo();
    cargo
        .current_dir(tree)
        .args(["rustc", "--quiet", "--lib", "--crate-type=staticlib", "--profile=release"])
        .args(["--locked", "--no-default-features", "--features", FEATURES])
        .args(["--target", KERNEL_TARGET])
        .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
        .arg("--target-dir")
        .arg(&target_dir)
        .env(LOG_LEVEL, level)
        // The console may be a file: no colours in it.
        .env("NO_COLOR", "1")
        // Upstream's warnings are not ours to see at every build.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Awarnings")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    toolchain::run(&mut cargo).map_err(|error| {
        format!("the kernel does not build with {}: {error}", toolchain.version())
    })?;
    Ok(target_dir.join(KERNEL_TARGET).join("release/libhermit.a"))
}

/// Links the kernel's archive to one object, makes every symbol but the system calls and the entry
/// local, so that the kernel's `core` and `alloc` cannot meet the program's, and archives it again.
fn hide_symbols(toolchain: &Toolchain, archive: &Path, out: &Path) -> Result<(), String> {
    let object = out.join("hermit-kernel.o");
    let keep = out.join("hermit-kernel.symbols");
    let library = out.join("libhermit-kernel.a");

    toolchain::run(
        Command::new(toolchain.linker())
            .args(["-flavor", "gnu", "-r", "--whole-archive"])
            .arg(archive)
            .arg("-o")
            .arg(&object),
    )?;
    fs::write(&keep, VISIBLE.join("\n")).map_err(|e| format!("{}: {e}", keep.display()))?;
    toolchain::run(
        Command::new(toolchain.tool("llvm-objcopy")?)
            .arg("--wildcard")
            .arg(format!("--keep-global-symbols={}", keep.display()))
            .arg("--strip-debug")
            .arg(&object),
    )?;
    // `ar` only adds to what is there.
    if library.exists() {
        fs::remove_file(&library).map_err(|e| format!("{}: {e}", library.display()))?;
    }
    toolchain::run(Command::new(toolchain.tool("llvm-ar")?).arg("rcs").arg(&library).arg(&object))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}

const LOG_LEVEL: &str = "HERMIT_LOG_LEVEL_FILTER";

/// No `smp`: one thread drives everything, and booting further processors costs start time. No
/// `pci` and none of the network features: the program has its own drivers and its own stack, and
/// without `tcp` the kernel has no sockets. No `fsgsbase`, for older processors boot as well.
const FEATURES: &str = "acpi";

const KERNEL_TARGET: &str = "x86_64-unknown-none";

/// What the program and the loader may see of the kernel. `runtime_entry` is the program's, called
/// by the kernel. The memory functions are not among them: the program has better ones, see
/// `src/memory.rs`.
const VISIBLE: &[&str] = &["_start", "__bss_start", "mcount", "runtime_entry", "sys_*"];
