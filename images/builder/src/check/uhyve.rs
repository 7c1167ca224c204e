//! What `--target uhyve` says where it cannot be.

use std::process::Stdio;

use anyhow::{Result, ensure};

use super::host_tool::Test;
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use crate::accel;
use crate::manifest::Target;
use crate::options::Accel;
use crate::workspace::Workspace;

/// All of them.
pub const TESTS: [(&str, Test); 1] =
    [("uhyve: without KVM it exits with 64 and names --target qemu", without_kvm)];

fn without_kvm(_: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let mut ways = vec![&["--accel=tcg"][..]];
    // where KVM works, it cannot be taken away
    if !accel::uses_kvm(Accel::Auto)? {
        ways.extend([&["--accel=kvm"][..], &[]]);
    }
    for options in ways {
        let mut command = run_command();
        command.args(["--target=uhyve", "--net=none"]).args(options).args(["--", "http://h/"]);
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(64), "{options:?}: {:?}: {}", output.exit, output.stderr);
        let lines = output.stderr.lines().count();
        let is_told = lines == 1 && output.stderr.contains("use --target qemu");
        ensure!(is_told, "{options:?}: it said: {}", output.stderr);
    }
    Ok(())
}
