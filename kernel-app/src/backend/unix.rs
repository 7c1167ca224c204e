//! A Unix host: its sockets, its standard streams.

use super::Machine;
use crate::args::Aside;
use crate::config::Config;
use blocking::Unblock;
use core::future::Future;
use stack::Net;
use stack::host::{HostNet, HostVsock};
use std::io::{self, Read};
use std::sync::Arc;

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

/// Runs `main` on the host's sockets; the network's configuration is the host's own.
pub fn run<F: Future<Output = u8>>(config: &Config, main: impl FnOnce(Machine) -> F) -> u8 {
    let net: Arc<dyn Net> = Arc::new(HostNet::new());
    let machine = Machine {
        // the host chooses the network for each destination, whichever was meant
        networks: config.networks.iter().map(|(name, _)| (name.clone(), net.clone())).collect(),
        net,
        vsock: Arc::new(HostVsock),
        stdin: Box::new(Unblock::with_capacity(BUFFER, Stdin { ended: false })),
        stdout: Box::new(Unblock::with_capacity(BUFFER, std::io::stdout())),
        stderr: Box::new(std::io::stderr()),
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
