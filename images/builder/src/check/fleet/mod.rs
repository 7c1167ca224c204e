//! The group `fleet`: the image as the files that fleets take, booted or checked by the programs that take them.

mod containers;
mod deploy;
mod kubevirt;
mod libvirt;
mod media;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::host_tool::Test;
use super::runner::{Feed, Output};
use super::{Selection, Tally};
use crate::guard;
use crate::workspace::Workspace;

/// What `--only` and the count call it.
pub const GROUP: &str = "fleet";

/// The tests that were asked for.
pub fn selected(selection: &Selection) -> Vec<(&'static str, Test)> {
    let all = media::TESTS.into_iter().chain(containers::TESTS);
    let all = all.chain(deploy::TESTS).chain(kubevirt::TESTS);
    all.filter(|(name, _)| selection.has(name)).collect()
}

/// Runs them. The image is built.
pub fn run(
    workspace: &Workspace,
    peers: &mut super::Peers,
    tests: &[(&str, Test)],
    tally: &mut Tally,
) {
    for (name, test) in tests {
        let start = std::time::Instant::now();
        let outcome = test(workspace, peers, crate::manifest::Target::Qemu);
        tally.ended(GROUP, name, start, outcome.map(|()| String::new()));
    }
}

/// Builds the image in `format` with `words`, as its user would; the file is `directory`/image.FORMAT.
fn build(directory: &Path, format: &str, words: &[&str]) -> Result<PathBuf> {
    let file = directory.join(format!("image.{format}"));
    let mut command = guard::command("/proc/self/exe");
    command.args(["build", "default", "--format", format, "--output"]).arg(&file).args(words);
    command.stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.trim_end() == file.to_string_lossy(), "it printed {said:?}");
    fs::metadata(&file).with_context(|| format!("no {}", file.display()))?;
    Ok(file)
}
