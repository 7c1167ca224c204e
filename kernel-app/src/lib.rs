//! From boot words to a flow to an output: the composition of everything below it, for the program
//! of the image `default` and for anybody's own.
//!
//! ```text
//!  backend::words ─► args::parse ─► Config ─► backend::run ─► registry ─► Application ─► exit code
//! ```
//!
//! The same source is a Hermit unikernel with its own TCP/IP stack and a Unix program on host sockets;
//! `backend` is the one place that knows which. A unikernel of one's own is an [`Application`]:
//!
//! ```no_run
//! use client::{Error, sink};
//! use kernel_app::{Application, Call};
//!
//! struct Greeter;
//!
//! impl Application for Greeter {
//!     async fn speak(&self, mut call: Call<'_>) -> Result<(), Error> {
//!         let mut answer = [0; 64];
//!         call.flow.write_all(b"hello\n").await.map_err(|error| call.failed(&error))?;
//!         let len = call.flow.read(&mut answer).await.map_err(|error| call.failed(&error))?;
//!         sink::write(call.stdout, &answer[..len]).await
//!     }
//! }
//!
//! fn main() {
//!     kernel_app::boot(&Greeter);
//! }
//! ```
#![forbid(unsafe_code)]

mod app;
mod application;
mod args;
mod backend;
pub mod config;
mod discard;
mod explain;
mod logger;
mod program;
mod report;
#[cfg(feature = "git")]
mod repositories;
#[cfg(test)]
mod simulated;
mod teller;
#[cfg(feature = "http")]
mod web;

pub use application::{Application, Call, Connector, Opening};
pub use config::Config;
pub use program::Program;
#[cfg(feature = "git")]
pub use repositories::Repositories;
#[cfg(feature = "http")]
pub use web::Registry as HttpConnector;

use client::Exit;

/// Reads the boot words, finds the flow, has the application speak over it, and ends the machine
/// (or the process) with the exit code.
pub fn boot(application: &(impl Application + Sync)) -> ! {
    backend::exit(start(application));
}

fn start(application: &(impl Application + Sync)) -> u8 {
    let words = match backend::words() {
        Ok(words) => words,
        Err(text) => return refuse(&text),
    };
    match args::parse_among(words, backend::asides(), backend::is_of_host) {
        Ok(config) => {
            logger::start(&config.run);
            backend::run(&config, |machine| app::run(application, &config, machine))
        }
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(text: &str) -> u8 {
    eprintln!("error: {text}");
    Exit::Usage.code()
}
