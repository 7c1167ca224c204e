//! What is below the program: the machine itself, or a Unix host. The only place that asks which.
//!
//! Both files give the same five things:
//!
//! | | |
//! |---|---|
//! | `is_of_host(word)` | whether a boot word that is no argument's value is the hypervisor's and not the user's |
//! | `asides()` | values of arguments that came beside the words |
//! | `run(config, main)` | sets the machine up as the configuration says, runs `main` with it, gives its exit code |
//! | `stderr()` | standard error, as anybody may write to it at any time |
//! | `exit(code)` | ends the machine or the process |

#[cfg(target_os = "hermit")]
mod hermit;
#[cfg(any(target_os = "hermit", test))]
mod hypervisor;
#[cfg(target_os = "hermit")]
mod links;
#[cfg(target_os = "hermit")]
mod uhyve;
#[cfg(not(target_os = "hermit"))]
mod unix;

#[cfg(target_os = "hermit")]
pub use hermit::{asides, exit, is_of_host, run, stderr};
#[cfg(not(target_os = "hermit"))]
pub use unix::{asides, exit, is_of_host, run, stderr};

use client::sink::{Input, Output};
use core::time::Duration;
use stack::Net;
use stack::vsock::Vsock;
use std::io::Write;
use std::sync::Arc;

/// What the program runs on.
pub struct Machine {
    /// Sockets and the clock.
    pub net: Arc<dyn Net>,
    /// Streams to the hypervisor, beside any network.
    pub vsock: Arc<dyn Vsock>,
    /// The further networks alone, with their names; [`Self::net`] is all of them.
    pub networks: Vec<(String, Arc<dyn Net>)>,
    /// Standard input; nothing is asked of it before the first read.
    pub stdin: Input,
    /// Standard output: the payload, exactly.
    pub stdout: Output,
    /// Standard error: reports and the line that says what went wrong.
    pub stderr: Box<dyn Write + Send>,
    /// Takes how far the payload is, as lines of the crate `progress`; absent where nobody would look.
    pub progress: Option<Output>,
    /// Octets of memory that are left for the program; absent where these are not the machine's alone to give.
    pub memory: Option<u64>,
    /// From the machine's start to the program's, where that is known.
    pub boot: Option<Duration>,
}

/// The boot words, the program's own name not among them: the kernel hands them on as a Unix host does.
pub fn words() -> Result<Vec<String>, String> {
    std::env::args_os()
        .skip(1)
        .map(|word| word.into_string().map_err(|word| format!("{word:?} is not UTF-8")))
        .collect()
}
