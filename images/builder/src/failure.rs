//! How a command of the builder fails: one line and an exit code.

use std::fmt;

/// The exit codes of interface.md that the host itself gives.
pub mod code {
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// What the machine is to be connected with is in use.
    pub const UNAVAILABLE: u8 = 69;
    /// Our fault: the machine or the program broke down, or the build failed.
    pub const SOFTWARE: u8 = 70;
    /// `--kill-after` ended it.
    pub const KILLED: u8 = 124;
}

/// A failure whose exit code is known; any other error of the builder exits with [`code::SOFTWARE`].
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    message: String,
}

impl Failure {
    /// A failure with exit code `code` that prints `message`.
    pub fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(code::USAGE, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
