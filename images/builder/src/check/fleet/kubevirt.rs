//! The KubeVirt manifests against KubeVirt's own API: its types for TypeScript, which are generated from it and refuse
//! a field that they do not know.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, ensure};

use super::deploy::yaml;
use crate::check::Skip;
use crate::check::host_tool::Test;
use crate::check::peers::Peers;
use crate::check::runner::{Feed, Output};
use crate::guard;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 1] =
    [("deploy: KubeVirt's API knows every field of the machines", fields)];

fn fields(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let packages = packages(workspace)?;
    for name in ["kernel", "disk"] {
        let machine = yaml(workspace, &format!("kubevirt/vmi-{name}.yaml"))?.to_string();
        let said = check(&packages, &machine)?;
        ensure!(said.is_empty(), "vmi-{name}.yaml: {said}");
        // it does look
        for (right, wrong, cause) in [
            (r#""rng":{}"#, r#""random":{}"#, "'\"random\"' does not exist in type 'V1Devices'"),
            (r#""guest":"64Mi""#, r#""guest":64"#, "not assignable to type 'string'"),
        ] {
            ensure!(machine.contains(right), "vmi-{name}.yaml has no {right}");
            let said = check(&packages, &machine.replace(right, wrong))?;
            ensure!(said.contains(cause), "{wrong} is taken in vmi-{name}.yaml: {said:?}");
        }
    }
    Ok(())
}

/// What TypeScript has to say against this machine, in JSON.
fn check(packages: &Path, machine: &str) -> Result<String> {
    let scratch = Scratch::new("machine")?;
    // the compiler looks for packages beside what it compiles
    symlink(packages.join(MODULES), scratch.path().join(MODULES))?;
    let file = scratch.path().join("machine.ts");
    let text = format!(
        "import type {{ V1VirtualMachineInstance }} from \"@kubevirt-ui-ext/kubevirt-api/kubevirt\";\n\
         export const machine: V1VirtualMachineInstance = {machine};\n"
    );
    fs::write(&file, text)?;
    let mut command = guard::command("node");
    command.arg(packages.join(MODULES).join("typescript/bin/tsc"));
    command.args(["--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"]);
    command.args(["--module", "nodenext", "--target", "es2022"]).arg(&file);
    command.stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
    ensure!((output.exit == Some(0)) == said.is_empty(), "exit {:?}: {said}", output.exit);
    Ok(said)
}

/// A directory with the types and the compiler in it, 13 MB from the registry the first time.
fn packages(workspace: &Workspace) -> Result<PathBuf> {
    let directory = workspace.tools().join("kubevirt");
    // written last
    let mark = directory.join(MARK);
    if mark.is_file() {
        return Ok(directory);
    }
    let mut fill = guard::command("npm");
    fill.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    fill.arg("--prefix").arg(&directory).args(PACKAGES).stdin(Stdio::null());
    fs::create_dir_all(&directory)?;
    let output = Output::of(fill, Feed::Nothing)?;
    if output.exit != Some(0) {
        let last = output.stderr.lines().last().unwrap_or_default();
        return Err(Skip(format!("no types from npm's registry: {last}")).into());
    }
    fs::write(mark, "")?;
    Ok(directory)
}

/// Where npm puts them.
const MODULES: &str = "node_modules";
/// KubeVirt's API, by the release of KubeVirt, and the compiler.
const PACKAGES: [&str; 2] = ["@kubevirt-ui-ext/kubevirt-api@1.7.0", "typescript@5.9.3"];
/// Changes with the packages.
const MARK: &str = "has-1.7.0-5.9.3";
