//! Where uhyve comes from: the user's own if it is of the right version, else the registry.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::failure::{Failure, code};
use crate::toolchain;
use crate::workspace::Workspace;

/// The release that is installed. Its device and its files are what the program knows.
const RELEASE: &str = "0.10.0";
/// What versions of the user's own begin with that will do as well.
const SERIES: &str = "0.10.";

/// A uhyve that will do, if there is one: installed by us, or in PATH.
pub fn find(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let installed = directory(workspace).join("bin/uhyve");
    if installed.is_file() {
        return Ok(installed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut others = Vec::new();
    for directory in std::env::split_paths(&path) {
        let program = directory.join("uhyve");
        match program.is_file().then(|| version(&program)).flatten() {
            Some(version) if version.starts_with(SERIES) => return Ok(program),
            Some(version) => others.push(format!("{} is {version}", program.display())),
            None => {}
        }
    }
    let others = others.iter().map(|other| format!(" ({other})")).collect::<String>();
    Err(Failure::new(code::SOFTWARE, format!("there is no uhyve {SERIES}x{others}")))
}

/// One that will do; installed from the registry if there is none.
pub fn find_or_install(workspace: &Workspace, verbose: bool) -> Result<PathBuf> {
    let missing = match find(workspace) {
        Ok(program) => return Ok(program),
        Err(missing) => missing,
    };
    eprintln!("{missing}: installing {RELEASE} from the registry");
    let directory = directory(workspace);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut cargo = toolchain::host_cargo();
    cargo.args(["install", "--locked", "uhyve", "--version", RELEASE, "--root"]).arg(&directory);
    if !verbose {
        cargo.arg("--quiet");
    }
    let status = cargo
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        let cause = format!(
            "{missing}, and cargo could not install it; try: cargo install --locked uhyve --version {RELEASE}"
        );
        return Err(Failure::new(code::SOFTWARE, cause).into());
    }
    Ok(find(workspace)?)
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("uhyve")
}

/// What it says of itself: `uhyve 0.10.0`.
fn version(program: &PathBuf) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().nth(1)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_of_the_series() {
        assert!(RELEASE.starts_with(SERIES));
        assert_eq!(version(&"/no/such/uhyve".into()), None);
    }
}
