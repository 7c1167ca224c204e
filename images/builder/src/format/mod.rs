//! `cargo image build --format`: an image as the file that a fleet's machines take.
//!
//! | format | what it is | what boots it |
//! |---|---|---|
//! | `elf` | the packed file itself | PVH (QEMU's `-kernel`, libvirt, KubeVirt's kernel boot, urunc), multiboot2 |
//! | `iso` | a CD, or a USB stick, with GRUB on it | BIOS and UEFI |
//! | `qcow2` | a disk with GPT, GRUB and an EFI system partition | BIOS and UEFI |
//! | `oci` | a container image with the packed file | urunc, KubeVirt's kernel boot |
//! | `containerdisk` | a container image with the disk | KubeVirt |
//!
//! From GRUB on, the way is [`grub`]'s: the loader by multiboot2, the program as its module.

mod disk;
mod fat;
mod grub;
mod iso;
mod oci;
mod tool;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};

use crate::compile;
use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::options::Options;
use crate::pack;
use crate::project;
use crate::run;
use crate::words;
use crate::workspace::Workspace;
use grub::Boot;

pub use oci::KERNEL;

const HELP: &str = "\
Builds an image as the file that a fleet's machines take, and prints the file's name.

usage: cargo image build [IMAGE] --format FORMAT [--output FILE] [--path DIR] [URI [BOOT ARGUMENTS]]

  elf      for PVH and multiboot2: QEMU's -kernel, libvirt's <kernel>
  iso      a CD or USB stick, for BIOS and UEFI
  qcow2    a disk, for BIOS and UEFI
  oci      a container image (an OCI layout in a tar archive) that urunc runs, and KubeVirt as a kernel
  containerdisk  a container image with the disk, for KubeVirt

The URI and the boot arguments go into the file, behind those of the manifest; without them the machine takes
the URI from QEMU's fw_cfg, opt/mimic/target. Without --format: see cargo image run --help.
";

/// The kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Elf,
    Iso,
    Qcow2,
    Oci,
    ContainerDisk,
}

impl Format {
    const ALL: [(&str, Self); 5] = [
        ("elf", Self::Elf),
        ("iso", Self::Iso),
        ("qcow2", Self::Qcow2),
        ("oci", Self::Oci),
        ("containerdisk", Self::ContainerDisk),
    ];

    /// The end of the file's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Elf => "elf",
            Self::Iso => "iso",
            Self::Qcow2 => "qcow2",
            Self::Oci => "oci.tar",
            Self::ContainerDisk => "containerdisk.tar",
        }
    }
}

impl FromStr for Format {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, it)| *it).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            Failure::usage(format!("`{text}` is not a format: {names}"))
        })
    }
}

/// `cargo image build`.
pub fn build(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode> {
    let request = Request::parse(arguments)?;
    let Some(format) = request.format else { return run::build(workspace, request.others) };
    let options = Options::parse(workspace, request.others)?;
    if options.help {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = &project::of(workspace, &options)?;
    let manifest = Manifest::read(workspace, &options.image)
        .map_err(|error| Failure::usage(format!("{error:#}")))?;
    let file = request
        .output
        .unwrap_or_else(|| workspace.image(&format!("{}.{}", options.image, format.suffix())));
    write(workspace, format, &manifest, &options, &file)?;
    println!("{}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the image to `file`, which is complete or not there.
fn write(
    workspace: &Workspace,
    format: Format,
    manifest: &Manifest,
    options: &Options,
    file: &Path,
) -> Result<()> {
    // the packed image is what says whether its parts are fresh
    compile::image(workspace, &options.image, manifest, options.verbose)?;
    let (loader, program) = compile::parts(workspace, manifest);
    let read =
        |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let (loader, program) = (read(&loader)?, read(&program)?);
    let words = words::behind(manifest.words(), options.words.clone());
    let partial = file.with_extension("partial");
    let boot = || {
        // packed without the program, for the packing tells GRUB the entry
        Boot::new(&packed(&loader, None)?, &program, &words)
    };
    match format {
        Format::Elf => fs::write(&partial, elf(&loader, &program, manifest, &options.words)?)
            .with_context(|| format!("cannot write {}", partial.display()))?,
        // the words are the container's, which whoever runs it may replace
        Format::Oci => {
            oci::unikernel(&elf(&loader, &program, manifest, &[])?, &options.words, &partial)?;
        }
        Format::ContainerDisk => {
            let boot = boot()?;
            let disk = boot.part("disk.qcow2");
            disk::write(&boot, &disk)?;
            oci::container_disk(&read(&disk)?, &partial)?;
        }
        Format::Iso => iso::write(&boot()?, &partial)?,
        Format::Qcow2 => disk::write(&boot()?, &partial)?,
    }
    fs::rename(&partial, file).with_context(|| format!("cannot write {}", file.display()))
}

/// The packed file, with the given words behind the manifest's: those of a command line win over both.
fn elf(loader: &[u8], program: &[u8], manifest: &Manifest, words: &[String]) -> Result<Vec<u8>> {
    let words = manifest.words().into_iter().chain(words.iter().cloned());
    let content = pack::Content { program, words: &words::join(words) };
    packed(loader, Some(content))
}

fn packed(loader: &[u8], content: Option<pack::Content<'_>>) -> Result<Vec<u8>> {
    pack::pack(loader, content, pack::Protocol::Pvh)
        .map_err(|error| anyhow!("cannot pack the image: {error}"))
}

/// What is this command's own on its line; the rest is [`Options`]'.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    format: Option<Format>,
    output: Option<PathBuf>,
    others: Vec<OsString>,
}

impl Request {
    /// Takes `--format` and `--output` out of what stands before the URI. There every option's value but
    /// those of these two is in the same word or is no URI, so that the first word with `:` is the URI.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut request = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (text, None),
            };
            let mut value = || {
                let value = value.clone().or_else(|| arguments.next());
                value.ok_or_else(|| Failure::usage(format!("`{name}` needs a value")))
            };
            match name {
                "--format" => request.format = Some(value()?.to_string_lossy().parse()?),
                "--output" => request.output = Some(value()?.into()),
                _ => {
                    let is_target = name == "--" || !name.starts_with('-') && name.contains(':');
                    request.others.push(argument);
                    if is_target {
                        request.others.extend(arguments.by_ref());
                    }
                }
            }
        }
        if request.output.is_some() && request.format.is_none() {
            return Err(Failure::usage("`--output` is of use with `--format` only"));
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Request, Failure> {
        Request::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn formats_are_named_before_the_uri() {
        let request =
            parse(&["default", "--format=iso", "--output", "a b", "http://h/", "--format=x"])
                .unwrap();
        assert_eq!(request.format, Some(Format::Iso));
        assert_eq!(request.output, Some("a b".into()));
        assert_eq!(request.others, ["default", "http://h/", "--format=x"]);
        let request = parse(&["--format", "qcow2", "--", "word", "--output=x"]).unwrap();
        assert_eq!(request.format, Some(Format::Qcow2));
        assert_eq!(request.others, ["--", "word", "--output=x"]);
        assert_eq!(parse(&["x", "--verbose"]).unwrap().format, None);
    }

    #[test]
    fn what_is_no_format_is_named() {
        let error = parse(&["--format=vhd"]).unwrap_err().to_string();
        assert!(
            error.contains("`vhd`") && error.contains("elf, iso, qcow2, oci, containerdisk"),
            "{error}"
        );
        assert!(parse(&["--format"]).is_err());
        assert!(parse(&["--output=x"]).is_err());
    }
}
