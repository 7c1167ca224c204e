//! `images/deploy`: libvirt's domains are started, the manifests of the others checked against their schemas, or
//! as far as they can be without them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build;
use super::libvirt::Daemon;
use super::media::{PAGE, page};
use crate::check::Skip;
use crate::check::host_tool::Test;
use crate::check::peers::Peers;
use crate::check::runner::{Feed, Output};
use crate::format::KERNEL;
use crate::guard;
use crate::manifest::Target;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 5] = [
    ("deploy: libvirt starts the domain with the kernel", kernel_domain),
    ("deploy: libvirt starts the domain with the disk", disk_domain),
    ("deploy: Kubernetes' schemas know every field of the manifests", kubernetes),
    ("deploy: the KubeVirt machines fit themselves and the image", kubevirt),
    ("deploy: the Nomad job is HCL and hands the URI over", nomad),
];

fn kernel_domain(workspace: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    domain(workspace, &page(peers, target)?, "kernel", |directory| {
        fs::copy(workspace.image("default"), directory.join("default"))?;
        Ok(())
    })
}

fn disk_domain(workspace: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    domain(workspace, &page(peers, target)?, "disk", |directory| {
        let file = build(directory, "qcow2", &[])?;
        Ok(fs::rename(file, directory.join("default.qcow2"))?)
    })
}

/// Starts images/deploy/libvirt/NAME.xml as it is, but for its files, its target and KVM.
fn domain(
    workspace: &Workspace,
    uri: &str,
    name: &str,
    prepare: impl Fn(&Path) -> Result<()>,
) -> Result<()> {
    let given = file(workspace, &format!("libvirt/{name}.xml"));
    let mut validate = guard::command("virt-xml-validate");
    validate.arg(&given).arg("domain").stdin(Stdio::null());
    let output = Output::of(validate, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "not valid: {}", output.stderr);

    let daemon = Daemon::start()?;
    let directory = daemon.directory();
    prepare(directory)?;
    let text = fs::read_to_string(&given)?;
    let changes = [
        ("<domain type='kvm'>", "<domain type='qemu'>"),
        ("/var/lib/libvirt/images/mimic", directory.to_str().context("no text")?),
        ("https://example.com/", uri),
    ];
    let text = changes.iter().try_fold(text, |text, (old, new)| {
        ensure!(text.contains(old), "there is no {old} in {name}.xml");
        Ok(text.replace(old, new))
    })?;
    let own = directory.join("domain.xml");
    fs::write(&own, text)?;
    daemon.run_domain(&own, &format!("mimic-{name}"))?;
    let payload = fs::read_to_string(directory.join("payload"))?;
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    ensure!(payload.contains(PAGE), "the payload is {payload:?}: {log}");
    ensure!(log.is_empty(), "it says: {log}");
    Ok(())
}

fn kubernetes(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let mut command = guard::command(python(workspace)?.with_file_name("kubernetes-validate"));
    command.arg("--strict").stdin(Stdio::null());
    for name in ["runtimeclass", "job", "cronjob"] {
        command.arg(file(workspace, &format!("kubernetes/{name}.yaml")));
    }
    let output = Output::of(command, Feed::Nothing)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
    ensure!(output.exit == Some(0), "{said}");
    ensure!(said.matches(" passed ").count() == 3, "{said}");
    for path in ["job", "cronjob"] {
        let manifest = yaml(workspace, &format!("kubernetes/{path}.yaml"))?;
        let job = if path == "job" { &manifest } else { &manifest["spec"]["jobTemplate"] };
        let pod = &job["spec"]["template"]["spec"];
        ensure!(pod["runtimeClassName"] == "urunc", "{path}: another runtime");
        ensure!(pod["containers"][0]["args"][0] == "https://example.com/", "{path}: no URI");
    }
    Ok(())
}

fn kubevirt(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let kernel = yaml(workspace, "kubevirt/vmi-kernel.yaml")?;
    let disk = yaml(workspace, "kubevirt/vmi-disk.yaml")?;
    for machine in [&kernel, &disk] {
        ensure!(machine["apiVersion"] == "kubevirt.io/v1", "{machine}");
        ensure!(machine["kind"] == "VirtualMachineInstance", "{machine}");
        let devices = &machine["spec"]["domain"]["devices"];
        let network = &machine["spec"]["networks"][0]["name"];
        ensure!(devices["interfaces"][0]["name"] == *network && network.is_string(), "{machine}");
    }
    let boot = &kernel["spec"]["domain"]["firmware"]["kernelBoot"];
    ensure!(boot["container"]["kernelPath"] == format!("/{KERNEL}"), "{boot}");
    ensure!(boot["kernelArgs"].as_str().is_some_and(|it| it.contains("://")), "{boot}");
    let volume = &disk["spec"]["volumes"][0];
    ensure!(disk["spec"]["domain"]["devices"]["disks"][0]["name"] == volume["name"], "{disk}");
    ensure!(volume["containerDisk"]["path"] == "/disk/disk.qcow2", "{volume}");
    Ok(())
}

fn nomad(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let text = convert(workspace, "nomad/mimic.nomad.hcl", "import hcl2; value = hcl2.load(file)")?;
    let text = text.to_string();
    for part in ["qemu", "name=opt/mimic/target,string=${NOMAD_META_uri}"] {
        ensure!(text.contains(part), "it lacks {part}: {text}");
    }
    Ok(())
}

fn file(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root().join("images/deploy").join(name)
}

pub(super) fn yaml(workspace: &Workspace, name: &str) -> Result<Value> {
    convert(workspace, name, "import yaml; value = yaml.safe_load(file)")
}

/// What `statement`, in Python, makes of `file`.
fn convert(workspace: &Workspace, name: &str, statement: &str) -> Result<Value> {
    let program = format!(
        "import sys, json; file = open(sys.argv[1]); {statement}; print(json.dumps(value))"
    );
    let mut command = guard::command(python(workspace)?);
    command.args(["-c", &program]).arg(file(workspace, name)).stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "{}", output.stderr);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A Python of our own with the schemas in it, 22 MB from the registry the first time.
fn python(workspace: &Workspace) -> Result<PathBuf> {
    let directory = workspace.tools().join("python");
    let python = directory.join("bin/python");
    // written last
    let mark = directory.join(MARK);
    if mark.is_file() {
        return Ok(python);
    }
    let mut make = guard::command("python3");
    make.args(["-m", "venv", "--clear"]).arg(&directory);
    let mut fill = guard::command(&python);
    fill.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    for mut command in [make, fill] {
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        if output.exit != Some(0) {
            let last = output.stderr.lines().last().unwrap_or_default();
            return Err(Skip(format!("no schemas from the registry: {last}")).into());
        }
    }
    fs::write(mark, "")?;
    Ok(python)
}

/// The schemas of Kubernetes, and a reader of HCL.
const PACKAGES: [&str; 2] = ["kubernetes-validate==1.37.0", "python-hcl2==8.1.4"];
/// Changes with the packages.
const MARK: &str = "has-1.37.0-8.1.4";
