//! A Unix host: its sockets, its standard streams.

use super::Machine;
use crate::args::Aside;
use crate::config::{self, Config};
use blocking::Unblock;
use client::sink::Output;
use core::future::Future;
use futures_lite::io::AssertAsync;
use progress::Screen;
use stack::Net;
use stack::host::{HostNet, HostVsock};
use std::io::{self, IsTerminal as _, Read, Write};
use std::sync::{Arc, OnceLock};

/// Standard error with a bar, where one is wanted: all that is written there has to know of it.
static SCREEN: OnceLock<Screen> = OnceLock::new();

/// Octets between the program and the thread that waits for a standard stream.
const BUFFER: usize = 512 * 1024;

/// The environment's variables `MIMIC_ARG_NAME`, for the argument `name`; `_` stands for `-`.
pub fn asides() -> Vec<Aside> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix("MIMIC_ARG_")?;
            Some((name.to_ascii_lowercase().replace('_', "-"), value.into_encoded_bytes()))
        })
        .collect()
}

/// Nobody but the user gives a process its arguments.
pub fn is_of_host(_word: &str) -> bool {
    false
}

/// Standard error; above the bar, if there is one.
pub fn stderr() -> Box<dyn Write + Send> {
    match SCREEN.get() {
        Some(screen) => Box::new(screen.above(io::stderr())),
        None => Box::new(io::stderr()),
    }
}

/// A bar only where the payload does not go to a terminal itself: it would stand in the middle of that.
fn screen(config: &Config) -> Option<&'static Screen> {
    let is_alone = config.run.output == config::Output::Discard || !io::stdout().is_terminal();
    let screen = (config.run.progress && is_alone).then(Screen::of_stderr).flatten()?;
    Some(SCREEN.get_or_init(|| screen))
}

/// Runs `main` on the host's sockets; the network's configuration is the host's own.
pub fn run<F: Future<Output = u8>>(config: &Config, main: impl FnOnce(Machine) -> F) -> u8 {
    let net: Arc<dyn Net> = Arc::new(HostNet::new());
    let screen = screen(config);
    let machine = Machine {
        // the host chooses the network for each destination, whichever was meant
        networks: config.networks.iter().map(|(name, _)| (name.clone(), net.clone())).collect(),
        net,
        vsock: Arc::new(HostVsock),
        stdin: Box::new(Unblock::with_capacity(BUFFER, Stdin { ended: false })),
        stdout: Box::new(Unblock::with_capacity(BUFFER, std::io::stdout())),
        stderr: stderr(),
        progress: screen.map(|it| Box::new(AssertAsync::new(it.events())) as Output),
        memory: None,
        boot: None,
    };
    stack::host::block_on(main(machine))
}

/// Ends the process.
pub fn exit(code: u8) -> ! {
    std::process::exit(code.into())
}

/// Standard input that stays at its end: the reader behind it asks once more after an end, and a terminal
/// would make the user type that again.
struct Stdin {
    ended: bool,
}

impl Read for Stdin {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        if self.ended || octets.is_empty() {
            return Ok(0);
        }
        let len = io::stdin().read(octets)?;
        self.ended = len == 0;
        Ok(len)
    }
}
