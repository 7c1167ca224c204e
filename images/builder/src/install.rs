//! Programs of the registry that some targets and tests need, installed once, under the workspace's own directory.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::failure::{Failure, code};
use crate::toolchain;
use crate::workspace::Workspace;

/// A package whose program has its name.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// The release that is installed.
    pub release: &'static str,
}

impl Package {
    /// Where it is, or would be.
    pub fn program(self, workspace: &Workspace) -> PathBuf {
        self.directory(workspace).join("bin").join(self.name)
    }

    /// Installs it; `missing` says in an error why that was needed.
    pub fn install(self, workspace: &Workspace, missing: &str, verbose: bool) -> Result<()> {
        let Self { name, release } = self;
        eprintln!("{missing}: installing {release} from the registry");
        let directory = self.directory(workspace);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let mut cargo = toolchain::host_cargo();
        cargo.args(["install", "--locked", name, "--version", release, "--root"]).arg(&directory);
        if !verbose {
            cargo.arg("--quiet");
        }
        let status = cargo
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()))
            .status();
        if !status.is_ok_and(|status| status.success()) {
            let cause = format!("{missing}, and cargo could not install it; {}", self.advice());
            return Err(Failure::new(code::SOFTWARE, cause).into());
        }
        Ok(())
    }

    /// What to do where nothing is to be installed, or cannot be.
    pub fn advice(self) -> String {
        format!("try: cargo install --locked {} --version {}", self.name, self.release)
    }

    /// Of this release: another one is not what was tested with.
    fn directory(self, workspace: &Workspace) -> PathBuf {
        workspace.tools().join(format!("{}-{}", self.name, self.release))
    }
}
