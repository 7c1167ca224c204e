//! `cargo image describe`: what an image contains, on what it boots, and the arguments that it takes.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::compile;
use crate::failure::Failure;
use crate::manifest::{Manifest, Net, Rng};
use crate::options::Options;
use crate::project;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

const HELP: &str = "\
Prints what an image contains, the machine it boots on, and its boot arguments with their defaults.

usage: cargo image describe [IMAGE] [--path DIR]      (default: the image `default`, or of DIR `image`)
";

/// `cargo image describe`.
pub fn describe(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode> {
    let options = Options::parse(workspace, arguments)?;
    if options.help {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(word) = options.words.first() {
        return Err(Failure::usage(format!("`{word}` is no image's name")).into());
    }
    let workspace = &project::of(workspace, &options)?;
    let name = &options.image;
    let manifest =
        Manifest::read(workspace, name).map_err(|error| Failure::usage(format!("{error:#}")))?;
    let facts = Facts::gather(workspace, name, &manifest)?;
    print!("{}", text(name, &manifest, &facts));
    match boot_arguments(workspace, name, &manifest, options.verbose) {
        Ok(table) => print!("\nBOOT ARGUMENTS of the program\n\n{table}"),
        Err(error) => eprintln!("note: no table of boot arguments: {error:#}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known of an image beside its manifest.
#[derive(Debug, Default)]
struct Facts {
    manifest: PathBuf,
    version: String,
    features: Vec<String>,
    file: PathBuf,
    built: Option<Built>,
    toolchain: String,
    kernel: String,
}

/// The file that is booted.
#[derive(Debug)]
struct Built {
    length: u64,
    digest: [u8; 32],
}

impl Facts {
    fn gather(workspace: &Workspace, name: &str, manifest: &Manifest) -> Result<Self> {
        let package = package(workspace, &manifest.package)?;
        let file = workspace.image(name);
        let built = fs::read(&file).ok().map(|octets| Built {
            length: octets.len() as u64,
            digest: Sha256::digest(&octets).into(),
        });
        Ok(Self {
            manifest: workspace.manifest(name),
            version: package.package.version(workspace),
            features: package.selected(manifest),
            file,
            built,
            toolchain: toolchain(workspace).unwrap_or_else(|error| format!("none: {error:#}")),
            kernel: kernel(workspace)?,
        })
    }
}

/// The first part: everything but the program's own table.
fn text(name: &str, manifest: &Manifest, facts: &Facts) -> String {
    let mut out = String::new();
    let mut line = |what: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(out, "{what:<10} {value}");
    };
    let or_none = |list: Vec<String>| match list.is_empty() {
        true => "none".into(),
        false => list.join(", "),
    };
    line("image", &format!("{name} ({})", facts.manifest.display()));
    line("package", &format!("{} {}", manifest.package, facts.version));
    line("program", &manifest.program());
    line("features", &or_none(facts.features.clone()));
    line("target", &manifest.target);
    let machine = &manifest.machine;
    line("memory", &machine.memory);
    line("cpu", &format!("1, {} (under KVM the host's own)", machine.cpu));
    line("devices", &or_none(devices(manifest)));
    match &facts.built {
        Some(Built { length, digest }) => {
            line("file", &facts.file.display());
            line("size", &format!("{length} octets"));
            line("sha-256", &digest.iter().map(|it| format!("{it:02x}")).collect::<String>());
        }
        None => line("file", &format!("{}: not built yet", facts.file.display())),
    }
    line("toolchain", &facts.toolchain);
    line("kernel", &facts.kernel);
    line("arguments", &or_none(manifest.words()));
    let secrets = manifest.secrets.iter();
    line(
        "secrets",
        &or_none(secrets.map(|(name, file)| format!("{name} from {}", file.display())).collect()),
    );
    out
}

fn devices(manifest: &Manifest) -> Vec<String> {
    let machine = &manifest.machine;
    let further = manifest.networks.iter().map(|(name, net)| (format!(" ({name})"), net));
    let nets = machine.net.iter().map(|net| (String::new(), net)).chain(further);
    let nets = nets.enumerate().map(|(index, (name, net))| match net {
        Net::User => format!("net {index}: user{name}"),
        Net::Tap(tap) => format!("net {index}: tap {tap}{name}"),
    });
    let rng = (machine.rng == Rng::Virtio).then(|| "rng".to_owned());
    nets.chain(rng).chain(["console".to_owned()]).collect()
}

/// What the unix program prints of its arguments.
fn boot_arguments(
    workspace: &Workspace,
    name: &str,
    manifest: &Manifest,
    verbose: bool,
) -> Result<String> {
    let program = compile::unix_program(workspace, name, manifest, verbose)?;
    let output =
        Command::new(program).args(manifest.words()).arg("--help").stdin(Stdio::null()).output()?;
    match output.status.success() && !output.stdout.is_empty() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => bail!("the unix program prints none ({})", output.status),
    }
}

fn toolchain(workspace: &Workspace) -> Result<String> {
    let rustc = Toolchain::find(workspace)?.rustc();
    let output = Command::new(&rustc).arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(format!("{version} ({})", rustc.display()))
}

/// The version of the kernel that `images/hermit` builds.
fn kernel(workspace: &Workspace) -> Result<String> {
    let file = workspace.root().join("images/hermit/kernel/Cargo.toml");
    let table: toml::Table = read(&file)?;
    let version = table
        .get("dependencies")
        .and_then(|it| it.get("hermit-kernel"))
        .and_then(|it| it.as_str().or_else(|| it.get("version")?.as_str()))
        .with_context(|| format!("no hermit-kernel in {}", file.display()))?;
    Ok(format!("hermit-kernel {}", version.trim_start_matches('=')))
}

/// What is read of a package's `Cargo.toml`.
#[derive(Debug, Deserialize)]
struct Package {
    package: About,
    #[serde(default)]
    features: toml::Table,
}

#[derive(Debug, Deserialize)]
struct About {
    name: String,
    version: Option<toml::Value>,
}

impl About {
    /// The version, which may be the workspace's.
    fn version(&self, workspace: &Workspace) -> String {
        let of_workspace = || {
            let table: toml::Table = read(&workspace.packages().join("Cargo.toml")).ok()?;
            Some(table.get("workspace")?.get("package")?.get("version")?.as_str()?.to_owned())
        };
        match &self.version {
            Some(toml::Value::String(version)) => version.clone(),
            Some(_) => of_workspace().unwrap_or_default(),
            None => "0.0.0".into(),
        }
    }
}

impl Package {
    /// The package's features that the manifest selects, and those that they select, in order of name.
    fn selected(&self, manifest: &Manifest) -> Vec<String> {
        let mut open = manifest.features.clone();
        if manifest.default_features {
            open.push("default".into());
        }
        let mut selected = std::collections::BTreeSet::new();
        while let Some(name) = open.pop() {
            let more = self.features.get(&name).and_then(|it| it.as_array());
            let is_new = more.is_some() && selected.insert(name);
            if let Some(more) = more.filter(|_| is_new) {
                open.extend(more.iter().filter_map(|it| it.as_str().map(String::from)));
            }
        }
        selected.remove("default");
        selected.into_iter().collect()
    }
}

/// The package of that name: a member of the workspace, or the project itself.
fn package(workspace: &Workspace, name: &str) -> Result<Package> {
    let root = workspace.packages();
    let table: toml::Table = read(&root.join("Cargo.toml"))?;
    let members = table.get("workspace").and_then(|it| it.get("members")?.as_array());
    let members = members.into_iter().flatten().filter_map(|it| it.as_str());
    for directory in members.chain(table.contains_key("package").then_some(".")) {
        let package: Package = read(&root.join(directory).join("Cargo.toml"))?;
        if package.package.name == name {
            return Ok(package);
        }
    }
    bail!("there is no package {name} in {}", root.display())
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<T> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_known_has_a_line() {
        let text_of_manifest = "package = 'x'\nprogram = 'y'\narguments = ['--timeout=5s']\n\
            [secrets]\nheader = 'token'\n[machine]\nmemory = '32M'\nnet = ['user', 'tap=t0']\n\
            [networks]\nadmin = 'user'";
        let manifest = Manifest::parse(text_of_manifest).unwrap();
        let facts = Facts {
            manifest: "images/z.toml".into(),
            version: "1.2.3".into(),
            features: vec!["raw".into(), "tls".into()],
            file: "target/images/z".into(),
            built: Some(Built { length: 6, digest: [0xab; 32] }),
            toolchain: "rustc 1.96.0 (/usr/bin/rustc)".into(),
            kernel: "hermit-kernel 0.11.0".into(),
        };
        let expected = "\
image      z (images/z.toml)
package    x 1.2.3
program    y
features   raw, tls
target     qemu
memory     32M
cpu        1, max (under KVM the host's own)
devices    net 0: user, net 1: tap t0, net 2: user (admin), rng, console
file       target/images/z
size       6 octets
sha-256    abababababababababababababababababababababababababababababababab
toolchain  rustc 1.96.0 (/usr/bin/rustc)
kernel     hermit-kernel 0.11.0
arguments  --networks=admin, --timeout=5s
secrets    header from token
";
        assert_eq!(text("z", &manifest, &facts), expected);
        let unbuilt = text("z", &Manifest::parse("package = 'x'").unwrap(), &Facts::default());
        assert!(unbuilt.contains(": not built yet\n") && unbuilt.contains("secrets    none\n"));
    }

    #[test]
    fn the_workspaces_images_are_known() {
        let workspace = Workspace::find();
        for name in ["default", "selftest"] {
            let manifest = Manifest::read(&workspace, name).unwrap();
            let facts = Facts::gather(&workspace, name, &manifest).unwrap();
            assert!(facts.kernel.starts_with("hermit-kernel 0.") && !facts.version.is_empty());
        }
        assert!(package(&workspace, "nobody").is_err());
        let plain = Manifest::read(&workspace, "plain").unwrap();
        let facts = Facts::gather(&workspace, "plain", &plain).unwrap();
        assert_eq!(facts.features, ["http", "udp"]);
    }

    #[test]
    fn features_select_others() {
        let package: Package = toml::from_str(
            "[package]\nname = 'x'\n[features]\ndefault = ['a']\na = ['b', 'dep:y']\nb = []\nc = []",
        )
        .unwrap();
        let selected = |text: &str| {
            package.selected(&Manifest::parse(&format!("package = 'x'\n{text}")).unwrap())
        };
        assert_eq!(selected(""), ["a", "b"]);
        assert_eq!(selected("features = ['c']"), ["a", "b", "c"]);
        assert_eq!(selected("features = ['b']\ndefault-features = false"), ["b"]);
        assert!(selected("default-features = false").is_empty());
    }
}
