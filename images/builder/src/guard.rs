//! A process that ends with its parent.
//!
//! The builder starts every long-lived child through itself: `builder guarded PARENT PROGRAM ARGUMENT…` asks
//! the kernel for SIGKILL at the parent's death and becomes the program. However the builder ends, even by
//! SIGKILL, it leaves no machine and no server behind.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::failure::{Failure, code};

/// The command's name on the builder's own command line.
pub const COMMAND: &str = "guarded";

/// A command that runs `program` as a guarded child of this process.
///
/// The child lives no longer than the *thread* that spawns it: keep that thread until the child is reaped.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    // the link names this very file even after cargo replaced it
    let mut command = Command::new("/proc/self/exe");
    command.arg0("builder").arg(COMMAND).arg(process::id().to_string()).arg(program);
    command
}

/// The child's side: becomes the program, or says why it cannot.
pub fn become_program(mut arguments: impl Iterator<Item = OsString>) -> Failure {
    let parent = arguments.next().and_then(|pid| pid.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent.and_then(Pid::from_raw), arguments.next()) else {
        return Failure::usage("this command is the builder's own");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Failure::new(code::SOFTWARE, format!("no signal at the parent's death: {error}"));
    }
    // it may have died before the line above
    if getppid() != Some(parent) {
        return Failure::new(code::SOFTWARE, "the parent is gone");
    }
    let error = Command::new(&program).args(arguments).exec();
    Failure::new(code::SOFTWARE, format!("cannot run {}: {error}", program.to_string_lossy()))
}
