//! The kernel's source: fetched by cargo, verified, unpacked and edited.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::edits::{ADDITIONS, EDITS, Edit};
use crate::toolchain::{self, Toolchain};

/// Brings the kernel's archive and returns the directory of its edited source under `workshop`.
///
/// A file is only written where its content changed, so that the nested cargo sees nothing new after
/// a change of something else.
pub fn prepare(toolchain: &Toolchain, manifest: &Path, workshop: &Path) -> Result<PathBuf, String> {
    let path = fetch(toolchain, manifest)?;
    let archive = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    verify(&archive).map_err(|e| format!("{}: {e}", path.display()))?;

    let mut files = unpack(&archive).map_err(|e| format!("{}: {e}", path.display()))?;
    for edit in EDITS {
        apply(edit, &mut files)?;
    }
    for (name, content) in ADDITIONS {
        files.retain(|(file, _)| file != Path::new(name));
        files.push((PathBuf::from(name), content.as_bytes().to_vec()));
    }

    let tree = workshop.join(NAME);
    for (name, content) in &files {
        write_if_changed(&tree.join(name), content)?;
    }
    Ok(tree)
}

/// Lets cargo download the archive, at the checksum of the lock file, and finds it in cargo's cache.
fn fetch(toolchain: &Toolchain, manifest: &Path) -> Result<PathBuf, String> {
    let mut cargo = toolchain.nested_cargo();
    cargo.args(["fetch", "--quiet", "--locked", "--target", "x86_64-unknown-none"]);
    toolchain::run(cargo.arg("--manifest-path").arg(manifest))?;

    let mut cargo = toolchain.nested_cargo();
    cargo.args(["metadata", "--quiet", "--locked", "--format-version=1"]);
    cargo.args(["--filter-platform", "x86_64-unknown-none", "--manifest-path"]);
    let metadata = toolchain::output(cargo.arg(manifest))?;
    // One path is all that is wanted of this JSON, and paths need no unescaping here.
    let unpacked = metadata
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find_map(|path| path.strip_suffix(&format!("/{NAME}/Cargo.toml")))
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo metadata names no {NAME}"))?;
    // CARGO_HOME/registry/src/INDEX/NAME is unpacked from CARGO_HOME/registry/cache/INDEX/NAME.crate.
    let cached = unpacked.file_name().zip(unpacked.parent().and_then(Path::parent));
    let archive = cached
        .map(|(index, registry)| registry.join("cache").join(index).join(format!("{NAME}.crate")));
    archive
        .filter(|path| path.is_file())
        .ok_or_else(|| format!("no {NAME}.crate in cargo's cache beside {}", unpacked.display()))
}

/// Compares the archive's SHA-256 with the one that is expected.
pub fn verify(archive: &[u8]) -> Result<(), String> {
    let digest = Sha256::digest(archive);
    let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    if found == SHA256 { Ok(()) } else { Err(format!("its SHA-256 is {found}, expected {SHA256}")) }
}

/// The archive's files, by their path inside the package.
fn unpack(archive: &[u8]) -> Result<Vec<(PathBuf, Vec<u8>)>, std::io::Error> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.into_owned();
        let Ok(path) = path.strip_prefix(NAME) else { continue };
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push((path.to_owned(), content));
    }
    Ok(files)
}

/// Makes one edit, or says why it does not fit.
pub fn apply(edit: &Edit, files: &mut [(PathBuf, Vec<u8>)]) -> Result<(), String> {
    let fail = |what: String| {
        Err(format!("the edit \"{}\" does not fit {NAME}: {what} in {}", edit.reason, edit.file))
    };
    let Some((_, content)) = files.iter_mut().find(|(name, _)| name == Path::new(edit.file)) else {
        return fail("no such file".into());
    };
    let Ok(text) = std::str::from_utf8(content) else { return fail("no UTF-8".into()) };
    match text.matches(edit.anchor).count() {
        1 => *content = text.replacen(edit.anchor, edit.replacement, 1).into_bytes(),
        count => return fail(format!("its anchor {:?} occurs {count} times", edit.anchor)),
    }
    Ok(())
}

fn write_if_changed(path: &Path, content: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let fail = |e| format!("{}: {e}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fs::write(path, content).map_err(fail)
}

const NAME: &str = "hermit-kernel-0.11.0";

/// Of the archive, as the registry's index has it.
const SHA256: &str = "e5a914a929e843e539267f5f8d1b6b53add9587db6caa5547b7bff16edba8e03";
