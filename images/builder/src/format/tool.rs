//! A program of the host that makes a part of an image.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::failure::{Failure, code};

/// A run of one program: silent where it succeeds.
#[derive(Debug)]
pub struct Tool {
    name: &'static str,
    package: &'static str,
    command: Command,
}

impl Tool {
    /// The program `name`, which is in Debian's package `package`.
    pub fn new(name: &'static str, package: &'static str) -> Self {
        let mut command = Command::new(name);
        // the same image from the same parts, whenever it is made: the first second that a FAT can tell
        if std::env::var_os("SOURCE_DATE_EPOCH").is_none() {
            command.env("SOURCE_DATE_EPOCH", "315532800");
        }
        // sfdisk is for administrators
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("TZ", "UTC");
        // a user's settings of mtools might know other disks
        command.env("MTOOLSRC", "/dev/null").env("MTOOLS_SKIP_CHECK", "1");
        Self { name, package, command }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds one.
    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    /// Runs it to its end.
    pub fn run(self) -> Result<()> {
        self.run_with("")
    }

    /// The same, with `input` as its standard input.
    pub fn run_with(mut self, input: &str) -> Result<()> {
        let name = self.name;
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match self.command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let cause = format!(
                    "there is no {name}: run scripts/setup formats, or install the package {}",
                    self.package
                );
                return Err(Failure::new(code::SOFTWARE, cause).into());
            }
            other => other.with_context(|| format!("cannot run {name}"))?,
        };
        let mut stdin = child.stdin.take().context("no pipe to the child")?;
        // it need not read it, and says itself what it lacks
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().with_context(|| format!("cannot run {name}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{name} failed ({}): {}", output.status, said.trim_end());
        }
        Ok(())
    }
}
