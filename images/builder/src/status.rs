//! From how a process ended to the exit code of interface.md.
//!
//! The kernel writes the program's exit code c to QEMU's isa-debug-exit device, and QEMU then exits with
//! `(c << 1) | 1`. Any other end of QEMU is the machine's breakdown or QEMU's own failure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a child ended that gave no exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// For this reason.
    Because(String),
    /// For a reason that it has told on standard error itself.
    Told,
}

/// The program's exit code, or why there is none.
///
/// `errors` is the end of the standard error that QEMU and the machine's console share: QEMU's own failures
/// exit with 1, as does the program's exit code 0, but they say so last, and not as a warning.
pub fn of_machine(status: ExitStatus, errors: &str) -> Result<u8, Fault> {
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let because = |cause: String| Err(Fault::Because(cause));
    match (status.code(), status.signal()) {
        (Some(1), _) if last.starts_with(QEMU) && !last.contains(WARNING) => Err(Fault::Told),
        (Some(code @ 0..256), _) if code & 1 == 1 => Ok((code >> 1) as u8),
        (Some(0), _) => because(RESET.into()),
        (Some(code), _) => because(format!("QEMU ended with status {code}")),
        (None, Some(signal)) => because(format!("QEMU was ended by signal {signal}")),
        (None, None) => because(format!("QEMU ended: {status}")),
    }
}

/// The program's exit code, which uhyve makes its own, or the fault that ended uhyve.
pub fn of_uhyve(status: ExitStatus, errors: &str) -> Result<u8, Fault> {
    match (status.code(), status.signal()) {
        // the code of a panic of uhyve's own, which it has told
        (Some(101), _) if errors.contains("panicked at") => Err(Fault::Told),
        (Some(code), _) => Ok(code as u8),
        (None, Some(signal)) => Err(Fault::Because(format!("uhyve was ended by signal {signal}"))),
        (None, None) => Err(Fault::Because(format!("uhyve ended: {status}"))),
    }
}

/// The exit code of the unix program, or the fault that ended it; what it said is not looked at.
pub fn of_process(status: ExitStatus, _errors: &str) -> Result<u8, Fault> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(code as u8),
        (None, Some(signal @ (SIGPIPE | SIGINT | SIGTERM | SIGHUP))) => Ok(128 + signal as u8),
        (None, Some(signal)) => {
            Err(Fault::Because(format!("the program was ended by signal {signal}")))
        }
        (None, None) => Err(Fault::Because(format!("the program ended: {status}"))),
    }
}

/// Of a machine that ended by itself, without an exit code.
pub const RESET: &str = "the machine reset or switched itself off before the program ended";

/// The exit code when the reader of our standard output has gone, as of a program that SIGPIPE ended.
pub const OF_CLOSED_OUTPUT: u8 = 128 + SIGPIPE as u8;

const QEMU: &str = "qemu-system-x86_64:";
/// What QEMU says of what it goes on with.
const WARNING: &str = ": warning: ";

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn the_programs_exit_code_comes_back() {
        for code in 0..=127 {
            assert_eq!(of_machine(exited(code << 1 | 1), "a log\n"), Ok(code as u8));
        }
    }

    #[test]
    fn every_other_end_of_qemu_is_a_fault() {
        for status in [exited(0), exited(2), exited(254), ExitStatus::from_raw(9)] {
            assert!(of_machine(status, "").is_err(), "{status}");
        }
    }

    #[test]
    fn qemus_own_failure_is_not_success() {
        let errors = "qemu-system-x86_64: -netdev tap,id=n0: could not open tap0\n\n";
        assert_eq!(of_machine(exited(1), errors), Err(Fault::Told));
        let warned = "qemu-system-x86_64: warning: no AVX\nfetched\n";
        assert_eq!(of_machine(exited(1), warned), Ok(0));
        let warned_last = "qemu-system-x86_64: -accel kvm: warning: Number of SMP cpus requested\n";
        assert_eq!(of_machine(exited(1), warned_last), Ok(0));
    }

    #[test]
    fn a_process_ends_by_code_or_fault() {
        assert_eq!(of_process(exited(77), ""), Ok(77));
        assert_eq!(of_process(ExitStatus::from_raw(SIGPIPE), ""), Ok(141));
        assert!(of_process(ExitStatus::from_raw(6), "").is_err());
    }

    #[test]
    fn uhyves_exit_code_is_the_programs_unless_it_panicked() {
        assert_eq!(of_uhyve(exited(69), "error: refused\n"), Ok(69));
        assert_eq!(of_uhyve(exited(101), ""), Ok(101));
        let panic = "thread 'main' panicked at src/vm.rs:638:23:\n";
        assert_eq!(of_uhyve(exited(101), panic), Err(Fault::Told));
        assert!(of_uhyve(ExitStatus::from_raw(9), "").is_err());
    }
}
