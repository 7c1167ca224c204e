//! What cannot be done is told in one line, and how to mend it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::lab::{HOST, Lab};
use crate::check::runner::{Feed, Output, run_command, without_settings};
use crate::guard;
use crate::manifest::Target;

/// Interfaces that are not there, that are no taps, and one that a machine has already.
pub fn taps(lab: &mut Lab) -> Result<String> {
    let refused = |mut command: Command, exit, text: &str| {
        command.stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(exit), "{text}: exit {:?}: {}", output.exit, output.stderr);
        let lines = output.stderr.lines().count();
        ensure!(lines == 1 && output.stderr.contains(text), "it said: {}", output.stderr);
        Ok(())
    };
    let targets = [Target::Qemu, Target::Uhyve];
    for target in targets {
        let named = |tap: &str| {
            let mut command = run_command();
            command.args([format!("--target={target}"), "--accel=kvm".into()]);
            command.args([&format!("--net=tap={tap}"), "--", "http://h/"]);
            command
        };
        refused(named("nosuch0"), 64, "scripts/tap up nosuch0")?;
        refused(named("lo"), 64, "lo is no tap")?;
    }
    let mut command = lab.command(Target::Qemu, &[]);
    command.args([&format!("icmp://{HOST}"), "--count=60"]).stdout(Stdio::null());
    let machine = lab.start(command)?;
    let limit = Instant::now() + Duration::from_secs(30);
    while !machine.is_there() {
        ensure!(Instant::now() < limit, "no machine is on the interface");
        thread::sleep(Duration::from_millis(20));
    }
    for target in targets {
        let mut command = lab.command(target, &[]);
        command.arg(format!("http://{HOST}/"));
        refused(command, 69, "is in use")?;
    }
    Ok(String::new())
}

/// One whose files and device are others', and no way to another.
pub fn old_uhyve(lab: &mut Lab) -> Result<String> {
    let directory = lab.directory().join("old");
    fs::create_dir(&directory)?;
    let program = directory.join("uhyve");
    fs::write(&program, "#!/bin/sh\necho uhyve 0.4.0\n")?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let old = format!("({} is 0.4.0)", program.display());
    let run = |word: &str| -> Result<(Option<i32>, String)> {
        let mut command = guard::command("/proc/self/exe");
        without_settings(&mut command);
        command.args([word, "--target=uhyve", "--net=none", "--", "http://h/"]);
        // no other one is in the path, none was installed, and no cargo can
        command.env("PATH", &directory).env("CARGO", "/bin/false");
        command.env("CARGO_TARGET_DIR", &directory).stdin(Stdio::null());
        let output = Output::of(command, Feed::Nothing)?;
        Ok((output.exit, output.stderr))
    };
    let (exit, said) = run(crate::RUN_BUILT)?;
    ensure!(exit == Some(70) && said.lines().count() == 1, "exit {exit:?}: {said}");
    let (exit, tried) = run("run")?;
    let last = tried.lines().last().context("nothing was said")?;
    ensure!(exit == Some(70) && tried.contains("installing"), "exit {exit:?}: {tried}");
    for line in [said.as_str(), last] {
        let told = [old.as_str(), "cargo install --locked uhyve"].map(|text| line.contains(text));
        ensure!(told == [true; 2], "it said: {line}");
    }
    Ok(String::new())
}
