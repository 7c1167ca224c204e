//! Tests of projects of one's own, and of what stands in files beside the command line.

use std::fs;
use std::process::Stdio;

use anyhow::{Result, ensure};

use super::host_tool::Test;
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use crate::guard;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 2] = [
    ("new: a fresh project is built and speaks with its peer", fresh),
    ("run: a secret's file that is missing is named", missing_secret),
];

/// As its user would: the command makes it in an empty place, and the next one builds and boots it.
fn fresh(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("project")?;
    let directory = scratch.path().join("speaker");
    let mut new = guard::command("/proc/self/exe");
    new.args(["new", "speaker", "--path"]).arg(&directory).stdin(Stdio::null());
    let made = Output::of(new, Feed::Nothing)?;
    ensure!(made.exit == Some(0), "exit {:?}: {}", made.exit, made.stderr);

    let mut run = guard::command("/proc/self/exe");
    run.arg("run").arg(format!("--target={target}")).arg("--kill-after=60s");
    run.arg("--path").arg(&directory).arg(format!("tcp://{}", peers.value("echo", target)?));
    run.arg("--send=a line of its own").stdin(Stdio::null());
    let output = Output::of(run, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said == "a line of its own\n", "it printed {said:?}");

    // the same line, now from a file that the manifest names
    let manifest = directory.join("image.toml");
    let text = fs::read_to_string(&manifest)?;
    fs::write(&manifest, text.replace("[secrets]\n", "[secrets]\nsend = 'line'\n"))?;
    fs::write(directory.join("line"), "a line of the file")?;
    let mut run = guard::command("/proc/self/exe");
    run.arg("run").arg(format!("--target={target}")).arg("--kill-after=60s");
    run.arg("--path").arg(&directory).arg(format!("tcp://{}", peers.value("echo", target)?));
    run.args(["--explain", "--logs=trace"]).stdin(Stdio::null());
    let output = Output::of(run, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said == "a line of the file\n", "it printed {said:?}");
    ensure!(!output.stderr.contains("a line of the file"), "it told: {}", output.stderr);
    Ok(())
}

fn missing_secret(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    let mut command = run_command();
    command.arg(format!("--target={target}")).arg("--secret=header=/nowhere/token");
    command.arg("http://192.0.2.1/").stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(64), "exit {:?}: {}", output.exit, output.stderr);
    let told = "cannot read the secret header from /nowhere/token";
    let lines = output.stderr.lines().count();
    ensure!(lines == 1 && output.stderr.contains(told), "it said: {}", output.stderr);
    Ok(())
}
