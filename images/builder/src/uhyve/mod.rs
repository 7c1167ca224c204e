//! The uhyve hypervisor: its command line, how its streams are wired, and where it comes from.
//!
//! | the machine's | is |
//! |---|---|
//! | `/root/stdout`, a pipe | standard output: the payload |
//! | `/root/input`, a directory | standard input, piece by piece when asked for |
//! | uhyve's output | standard error: logs and reports |
//! | `/root/arguments/NAME` | the file of a secret |
//! | uhyve's exit code | the exit code |
//!
//! kernel-app/src/backend/uhyve.rs is the other end.

mod files;
mod install;
mod tag;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::guard;
use crate::manifest::{Memory, Net};
use crate::secret::Secret;
use crate::tap;
use crate::words;

pub use files::{Files, is_broken};
pub use install::{find, find_or_install, installed};
pub use tag::tagged;

/// Everything that decides uhyve's command line.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The hypervisor.
    pub program: PathBuf,
    /// The tagged ELF file to boot, see [`tagged`].
    pub image: PathBuf,
    /// Main memory.
    pub memory: Memory,
    /// The tap interface, if it has a network.
    pub tap: Option<String>,
    /// Files that the program finds by name.
    pub secrets: Vec<Secret>,
    /// What the program gets as arguments.
    pub words: Vec<String>,
}

/// The one network that uhyve can give, if these are what was asked for.
pub fn network(nets: &[Net]) -> Result<Option<String>, Failure> {
    match nets {
        [] => Ok(None),
        [Net::Tap(name)] => tap::check(name).map(|()| Some(name.clone())),
        [Net::User] => Err(Failure::usage(
            "uhyve reaches a network through a tap interface only: give --net tap=NAME (as root, scripts/tap up \
             NAME makes one) or --net none",
        )),
        _ => Err(Failure::usage("uhyve has one network device: give one --net tap=NAME")),
    }
}

impl Machine {
    /// The command that runs it, with these files for its streams.
    pub fn command(&self, files: &Files) -> Result<Command, Failure> {
        let mut command = guard::command(&self.program);
        command.arg("--tempdir").arg(files.temporary());
        for (host, guest) in files.mappings() {
            command.arg("--file-mapping").arg(mapping(&host, guest)?);
        }
        for secret in &self.secrets {
            let guest = format!("/root/arguments/{}", secret.name);
            command.arg("--file-mapping").arg(mapping(&secret.file, &guest)?);
        }
        if !self.secrets.is_empty() {
            let names = self.secrets.iter().map(|secret| secret.name.to_string());
            let names = names.collect::<Vec<_>>().join(",");
            command.arg("--env-vars").arg(format!("MIMIC_ARGUMENTS={names}"));
        }
        command.arg("--memory-size").arg(format!("{}KiB", self.memory.0 >> 10));
        command.args(self.tap.iter().map(|name| format!("--net=tap:{name}")));
        let image = fs::canonicalize(&self.image).map_err(|error| {
            Failure::usage(format!("cannot find {}: {error}", self.image.display()))
        })?;
        // the first `--` ends uhyve's options, the second one the kernel's
        command.arg(image).args(["--", "--"]).arg(self.line()?);
        // a file uhyve.toml where we happen to be, or in the user's directory, would change the machine
        command.current_dir(files.temporary()).env_remove("XDG_CONFIG_HOME");
        for name in ["MEMORY_SIZE", "CPU_COUNT", "CONFIG", "GDB_PORT"] {
            command.env_remove(format!("HERMIT_{name}"));
        }
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "error");
        }
        Ok(command)
    }

    /// uhyve joins its arguments with spaces, and the kernel splits them.
    fn line(&self) -> Result<String, Failure> {
        let line = words::join(&self.words);
        match line.len() {
            0..=LONGEST_LINE => Ok(line),
            length => Err(Failure::usage(format!(
                "uhyve hands over at most {LONGEST_LINE} octets of boot arguments, and these are {length}: give \
                 long values as --secret NAME=FILE"
            ))),
        }
    }
}

/// uhyve's `HOST:GUEST`.
fn mapping(host: &Path, guest: &str) -> Result<OsString, Failure> {
    if host.as_os_str().as_encoded_bytes().contains(&b':') {
        return Err(Failure::usage(format!(
            "uhyve opens no file with a colon in its name: {}",
            host.display()
        )));
    }
    // relative to where we are, not to where uhyve will be
    let host = std::path::absolute(host).unwrap_or_else(|_| host.into());
    let mut mapping = host.into_os_string();
    mapping.push(":");
    mapping.push(guest);
    Ok(mapping)
}

/// Octets of boot arguments that fit in the page which uhyve has for them, beside what else is in it.
const LONGEST_LINE: usize = 3000;

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            program: "uhyve".into(),
            image: "/proc/self/exe".into(),
            memory: Memory(64 << 20),
            tap: Some("t0".into()),
            secrets: vec![],
            words: vec!["http://h/".into(), "it's a".into()],
        }
    }

    fn line(machine: &Machine) -> Result<String, Failure> {
        let command = machine.command(&Files::new().unwrap())?;
        let words = command.get_args().map(|word| word.to_str().unwrap().to_owned());
        Ok(words.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_words_are_one_argument() {
        let text = line(&machine()).unwrap();
        assert!(text.ends_with("--\n--\nhttp://h/ it\\'s\\ a"), "{text}");
        assert!(text.contains("--memory-size\n65536KiB\n--net=tap:t0\n"));
    }

    #[test]
    fn secrets_are_files() {
        let secret = Secret { name: "header".parse().unwrap(), file: "/f".into() };
        let text = line(&Machine { secrets: vec![secret.clone()], ..machine() }).unwrap();
        assert!(text.contains("--file-mapping\n/f:/root/arguments/header\n"));
        assert!(text.contains("--env-vars\nMIMIC_ARGUMENTS=header\n"));
        let secret = Secret { file: "/a:b".into(), ..secret };
        let failure = line(&Machine { secrets: vec![secret], ..machine() }).unwrap_err();
        assert!(failure.to_string().contains("/a:b"));
    }

    #[test]
    fn what_uhyve_cannot_do_is_said() {
        let long = Machine { words: vec!["x".repeat(4000)], ..machine() };
        assert!(line(&long).unwrap_err().to_string().contains("--secret"));
        assert!(network(&[Net::User]).unwrap_err().to_string().contains("scripts/tap up"));
        let two = [Net::Tap("a".into()), Net::Tap("b".into())];
        assert!(network(&two).unwrap_err().to_string().contains("one network device"));
        assert_eq!(network(&[]).unwrap(), None);
    }
}
