//! Unikernels of one's own: a small project beside the workspace or outside of it, with an image manifest.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use lexopt::{Arg, ValueExt};

use crate::failure::Failure;
use crate::options::Options;
use crate::workspace::Workspace;

const HELP: &str = "\
Makes a unikernel project: a program of a few lines, its image manifest, and how to build and boot it.

usage: cargo image new NAME [--path DIR]      in DIR, which must not exist or be empty (default: NAME)
";

/// The files of a project; `{name}` and `{root}` in them are filled in.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("../template/manifest.toml")),
    ("image.toml", include_str!("../template/image.toml")),
    ("src/main.rs", include_str!("../template/main.rs")),
    ("README.md", include_str!("../template/README.md")),
    (".gitignore", include_str!("../template/gitignore")),
    (".cargo/config.toml", include_str!("../template/config.toml")),
];

/// Packages that the project depends on, and names that cargo refuses.
const TAKEN: [&str; 10] = [
    "alloc",
    "client",
    "core",
    "hermit",
    "kernel-app",
    "mimic",
    "proc-macro",
    "proto",
    "std",
    "test",
];

/// `cargo image new`.
pub fn new(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut name, mut directory) = (None, None);
    while let Some(argument) = parser.next().map_err(Failure::usage)? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("path") => {
                directory = Some(PathBuf::from(parser.value().map_err(Failure::usage)?));
            }
            Arg::Value(word) if name.is_none() => {
                name = Some(word.string().map_err(Failure::usage)?);
            }
            other => return Err(Failure::usage(other.unexpected()).into()),
        }
    }
    let name = name.ok_or_else(|| Failure::usage("no name: cargo image new NAME [--path DIR]"))?;
    let directory = directory.unwrap_or_else(|| PathBuf::from(&name));
    create(workspace, &name, &directory)?;
    let shown = directory.display();
    eprintln!("made {shown}: cargo image run --path {shown} tcp://HOST:PORT boots it");
    Ok(ExitCode::SUCCESS)
}

/// Makes the project `name` in `directory`.
pub fn create(workspace: &Workspace, name: &str, directory: &Path) -> Result<()> {
    if !is_name(name) {
        return Err(Failure::usage(format!(
            "`{name}` cannot name a project: a letter, then letters, digits, `-` and `_`; and no package used in it"
        ))
        .into());
    }
    let in_use = fs::read_dir(directory).map_or(directory.exists(), |mut it| it.next().is_some());
    if in_use {
        let shown = directory.display();
        return Err(Failure::usage(format!("{shown} exists already and is not empty")).into());
    }
    let root = fs::canonicalize(workspace.root()).context("the workspace is not there")?;
    let shown = root.to_str().filter(|root| !root.contains(['"', '\\', ' '])).ok_or_else(|| {
        let root = root.display();
        Failure::usage(format!("the workspace's path {root} cannot be written into a manifest"))
    })?;
    for (file, template) in FILES {
        let text = template.replace("{name}", name).replace("{root}", shown);
        write(&directory.join(file), text.as_bytes())?;
    }
    // the very versions of the crates below that the workspace is tested with
    let lock =
        fs::read(root.join("Cargo.lock")).context("cannot read the workspace's Cargo.lock")?;
    write(&directory.join("Cargo.lock"), &lock)
}

/// The workspace, for the project that `--path` names.
pub fn of(workspace: &Workspace, options: &Options) -> Result<Workspace, Failure> {
    let Some(directory) = &options.path else { return Ok(workspace.clone()) };
    fs::canonicalize(directory).map(|directory| workspace.with_project(directory)).map_err(
        |error| {
            Failure::usage(format!("--path={}: no project is there: {error}", directory.display()))
        },
    )
}

fn write(file: &Path, content: &[u8]) -> Result<()> {
    let directory = file.parent().unwrap_or(file);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(file, content))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'))
        && !TAKEN.contains(&text.replace('_', "-").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::scratch::Scratch;

    #[test]
    fn a_project_is_whole_and_never_overwrites() {
        let workspace = Workspace::find();
        let scratch = Scratch::new("project").unwrap();
        let directory = scratch.path().join("below/hello");
        create(&workspace, "hello", &directory).unwrap();
        let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
        for (file, _) in FILES {
            assert!(!read(file).contains("{name}") && !read(file).contains("{root}"), "{file}");
        }
        assert!(read("Cargo.lock").contains("smoltcp"));
        let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
        for (name, dependency) in manifest["dependencies"].as_table().unwrap() {
            let path = dependency["path"].as_str().unwrap();
            assert!(Path::new(path).join("Cargo.toml").is_file(), "{name}");
        }
        let image = Manifest::read(&workspace.with_project(directory.clone()), "image").unwrap();
        assert_eq!(image.program(), "hello");

        let failure = create(&workspace, "hello", &directory).unwrap_err();
        assert!(failure.to_string().contains("not empty"));
    }

    #[test]
    fn the_program_is_short() {
        assert!(include_str!("../template/main.rs").lines().count() <= 30);
    }

    #[test]
    fn it_is_built_like_the_workspace() {
        let profiles = |text: &str| {
            let mut table: toml::Table = toml::from_str(text).unwrap();
            let mut profiles = table.remove("profile").unwrap();
            // the developers' own
            profiles.as_table_mut().unwrap().retain(|name, _| !matches!(name, "dev" | "test"));
            profiles
        };
        let ours = include_str!("../../../Cargo.toml");
        assert_eq!(profiles(include_str!("../template/manifest.toml")), profiles(ours));
    }

    #[test]
    fn names_are_those_of_packages() {
        for name in ["hello", "a-b_2", "Hello"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "2x", "-x", "a.b", "a/b", "..", "kernel-app", "kernel_app", "test"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
