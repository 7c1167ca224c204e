//! The program: boot words → configuration → flow → output.
//!
//! ```text
//!  backend::words ─► args::parse ─► Config ─► backend::run ─► app::run ─► exit code
//! ```
//!
//! The same source is a Hermit unikernel with its own TCP/IP stack and a Unix program on host sockets;
//! [`backend`] is the one place that knows which.
#![forbid(unsafe_code)]

mod app;
mod args;
mod backend;
mod config;
mod discard;
mod explain;
mod logger;
mod report;
#[cfg(test)]
mod simulated;

use client::Exit;

fn main() {
    backend::exit(start());
}

fn start() -> u8 {
    let words = match backend::words() {
        Ok(words) => words,
        Err(text) => return refuse(&text),
    };
    match args::parse(words, backend::asides()) {
        Ok(config) => {
            logger::start(&config.run);
            backend::run(&config, |machine| app::run(&config, machine))
        }
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(text: &str) -> u8 {
    eprintln!("error: {text}");
    Exit::Usage as u8
}
