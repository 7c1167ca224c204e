//! The example `fifo`: a scheme of a user's own works on a Unix host, and takes few lines.
#![allow(clippy::unwrap_used)] // tests

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Cargo builds the examples with the tests, two directories beside this very program.
fn example() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let example = program.ancestors().nth(2).unwrap().join("examples/fifo");
    assert!(example.is_file(), "`cargo test -p kernel-app` builds {}", example.display());
    example
}

struct Pipes(PathBuf);

impl Pipes {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("mimic-fifo-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let made = Command::new("mkfifo").args(["p.in", "p.out"]).current_dir(&directory).status();
        assert!(made.unwrap().success());
        Self(directory)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_scheme_of_ones_own_works() {
    let pipes = Pipes::new();
    let child = Command::new(example())
        .arg(format!("fifo://{}", pipes.path().join("p").display()))
        .args(["--send=hello", "--timeout=30s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = File::open(pipes.path().join("p.out")).unwrap();
    let mut input = File::options().write(true).open(pipes.path().join("p.in")).unwrap();
    output.read_to_string(&mut said).unwrap();
    input.write_all(b"well, hello\n").unwrap();
    drop(input);
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), said.as_str()), (Some(0), "hello"), "{errors}");
    assert_eq!(ended.stdout, b"well, hello\n", "{errors}");
}

#[test]
fn it_takes_less_than_40_lines() {
    let text = include_str!("../examples/fifo.rs");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = text.lines().filter(is_code).count();
    assert!(lines < 40, "{lines}");
}
