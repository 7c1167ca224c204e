//! The host tool behind `cargo image`: builds images, boots them, tests and measures them.
//!
//! | module | what it knows |
//! |---|---|
//! | [`options`], [`manifest`], [`secret`] | what is asked: the command line and `images/NAME.toml` |
//! | [`toolchain`], [`compile`], [`fresh`], [`pack`] | from sources to one bootable file, only when something changed |
//! | [`machine`], [`accel`], [`words`] | QEMU's command line and the kernel's |
//! | [`mod@uhyve`] | another hypervisor: its command line, its streams, where it comes from |
//! | [`tap`] | interfaces that machines reach this host and its networks by |
//! | [`process`], [`guard`], [`input`], [`bar`], [`status`] | one child: streams, limits, signals, exit code |
//! | [`mod@format`] | the image as a file for fleets: ELF, CD, disk, container image |
//! | [`project`] | unikernels of one's own: `cargo image new`, and where they are |
//! | [`describe`] | what an image contains, and its arguments |
//! | [`linux`] | a Linux machine made on the spot |
//! | [`check`] | the tests: groups, the table of scenarios, the peers |
//! | [`mod@bench`] | the image beside Linux and curl |
//! | [`demo`] | the HTTPS server of `scripts/run` without arguments |
#![forbid(unsafe_code)]

mod accel;
mod bar;
mod bench;
mod certificate;
mod check;
mod compile;
mod demo;
mod describe;
mod failure;
mod format;
mod fresh;
mod guard;
mod input;
mod install;
mod linux;
mod machine;
mod manifest;
mod options;
mod pack;
mod process;
mod project;
mod run;
mod scratch;
mod secret;
mod status;
mod tap;
mod toolchain;
mod uhyve;
mod vsock;
mod words;
mod workspace;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use failure::{Failure, code};
use workspace::Workspace;

/// `run` for the tests: with what is built already, whatever has changed since.
const RUN_BUILT: &str = "run-built";

const HELP: &str = "\
Builds, boots, tests and measures the images described by images/*.toml.

usage: cargo image build [IMAGE] [RUN OPTIONS]        build the image (with --target unix: the process)
       cargo image build [IMAGE] --format elf|iso|qcow2|oci|containerdisk [URI [BOOT ARGUMENTS]]
       cargo image run [IMAGE] [RUN OPTIONS] [URI [BOOT ARGUMENTS]]
       cargo image tap up|down NAME [OPTIONS]         a tap interface for machines (root)
       cargo image test [GROUP...]                    lint, unit, host, boot, net, kvm, fleet (default: all)
       cargo image bench boot|throughput              against Linux and curl on the same machine
       cargo image bench git|ssh                      against git and OpenSSH at the same servers
       cargo image new NAME [--path DIR]              a project of one's own in DIR (default: NAME)
       cargo image describe [IMAGE] [--path DIR]      what the image contains, and its arguments

`cargo image run --help` lists the run options.
";

fn main() -> ExitCode {
    match command() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let failure = error.downcast_ref::<Failure>();
            ExitCode::from(failure.map_or(code::SOFTWARE, |failure| failure.code))
        }
    }
}

fn command() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let workspace = Workspace::find();
    match command.to_str() {
        Some(guard::COMMAND) => Err(guard::become_program(arguments).into()),
        Some("build") => format::build(&workspace, arguments),
        Some("run") => run::run(&workspace, arguments, run::Build::IfChanged),
        Some(RUN_BUILT) => run::run(&workspace, arguments, run::Build::Never),
        Some("bench") => bench::bench(&workspace, arguments),
        Some("describe") => describe::describe(&workspace, arguments),
        Some("new") => project::new(&workspace, arguments),
        Some("tap") => tap::tap(arguments),
        Some("test") => check::test(&workspace, arguments),
        Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("{HELP}");
            let given = command.to_string_lossy();
            Err(Failure::usage(format!(
                "`{given}` is not a command: build, run, test, bench, tap, new or describe"
            ))
            .into())
        }
    }
}
