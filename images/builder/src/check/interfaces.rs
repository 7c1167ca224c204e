//! Names of interfaces that tests have `scripts/tap` make. What is noted of an interface is noted for the whole host, in
//! whatever network it is, so that each run has names of its own.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Stdio};

/// A name of this run's; the kernel takes up to 15 octets.
pub fn name(number: u8) -> String {
    format!("{PREFIX}{}-{number}", process::id())
}

/// Ends the servers of interfaces that runs have left which were killed.
pub fn sweep() {
    let Ok(entries) = fs::read_dir("/run") else { return };
    for entry in entries.flatten() {
        let note = entry.file_name();
        let Some((name, pid)) = note.to_str().and_then(noted) else { continue };
        if !Path::new("/proc").join(pid).exists() {
            let mut command = Command::new("/proc/self/exe");
            command.args(["tap", "down", name]).stdin(Stdio::null()).stderr(Stdio::null());
            // another run may do the same at this moment
            let _ = command.status();
        }
    }
}

/// The interface of ours that a note's name tells of, and the number of the process that made it.
fn noted(note: &str) -> Option<(&str, &str)> {
    let name = note.strip_prefix("mimic-tap-")?.strip_suffix(".pid")?;
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    (is_number(pid) && is_number(number)).then_some((name, pid))
}

const PREFIX: &str = "test";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_and_known_again() {
        // the largest process number of 64-bit Linux
        assert!(format!("{PREFIX}4194304-255").len() <= 15);
        let note = format!("mimic-tap-{}.pid", name(7));
        let (known, pid) = noted(&note).unwrap();
        assert_eq!((known, pid), (name(7).as_str(), process::id().to_string().as_str()));
        for note in ["mimic-tap-tap0.pid", "mimic-tap-test0.pid", "mimic-tap-test-1.pid", "test1-1"]
        {
            assert_eq!(noted(note), None, "{note}");
        }
    }
}
