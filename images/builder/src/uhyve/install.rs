//! Where uhyve comes from: the user's own if it is of the right version, else the registry.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::failure::{Failure, code};
use crate::install::Package;
use crate::workspace::Workspace;

/// What is installed. Its device and its files are what the program knows.
const UHYVE: Package = Package { name: "uhyve", release: "0.10.0" };
/// What versions of the user's own begin with that will do as well.
const SERIES: &str = "0.10.";

/// A uhyve that will do, if there is one: installed by us, or in PATH.
pub fn find(workspace: &Workspace) -> Result<PathBuf, Failure> {
    look(workspace)
        .map_err(|missing| Failure::new(code::SOFTWARE, format!("{missing}; {}", UHYVE.advice())))
}

/// Where one is that was installed by us, or would be.
pub fn installed(workspace: &Workspace) -> PathBuf {
    UHYVE.program(workspace)
}

/// The error says which ones will not do.
fn look(workspace: &Workspace) -> Result<PathBuf, String> {
    let installed = installed(workspace);
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
    Err(format!("there is no uhyve {SERIES}x{others}"))
}

/// One that will do; installed from the registry if there is none.
pub fn find_or_install(workspace: &Workspace, verbose: bool) -> Result<PathBuf> {
    let missing = match look(workspace) {
        Ok(program) => return Ok(program),
        Err(missing) => missing,
    };
    UHYVE.install(workspace, &missing, verbose)?;
    Ok(find(workspace)?)
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
        assert!(UHYVE.release.starts_with(SERIES));
        assert_eq!(version(&"/no/such/uhyve".into()), None);
    }
}
