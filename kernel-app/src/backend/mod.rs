//! What is below the program: the machine itself, or a Unix host. The only place that asks which.
//!
//! Both files give the same four things:
//!
//! | | |
//! |---|---|
//! | `words()` | the boot words, the program's name not among them |
//! | `asides()` | values of arguments that came beside the words |
//! | `run(config, main)` | sets the machine up as the configuration says, runs `main` with it, gives its exit code |
//! | `exit(code)` | ends the machine or the process |

#[cfg(target_os = "hermit")]
mod hermit;
#[cfg(not(target_os = "hermit"))]
mod unix;

#[cfg(target_os = "hermit")]
pub use hermit::{asides, exit, run, words};
#[cfg(not(target_os = "hermit"))]
pub use unix::{asides, exit, run, words};

use client::sink::{Input, Output};
use core::time::Duration;
use stack::Net;
use std::io::Write;
use std::sync::Arc;

/// What the program runs on.
pub struct Machine {
    /// Sockets and the clock.
    pub net: Arc<dyn Net>,
    /// Standard input; nothing is asked of it before the first read.
    pub stdin: Input,
    /// Standard output: the payload, exactly.
    pub stdout: Output,
    /// Standard error: reports and the line that says what went wrong.
    pub stderr: Box<dyn Write + Send>,
    /// From the machine's start to the program's, where that is known.
    pub boot: Option<Duration>,
}
