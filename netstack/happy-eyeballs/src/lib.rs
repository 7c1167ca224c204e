//! RFC 8305 as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod endpoints;
mod machine;
mod memory;
mod nat64;
mod network;
mod policy;
mod query;
mod report;
mod request;

pub use config::{ATTEMPT_FLOOR, Config, Invalid, MAX_PORTS};
pub use machine::{AttemptId, HappyEyeballs, Output, QueryId, State};
pub use memory::Memory;
pub use nat64::Nat64;
pub use network::{Family, Network, Source};
pub use policy::{Policy, Row};
pub use report::{Answer, Attempt, Connected, Error, Outcome, Query, Reason, Report, Skip};
pub use request::{Kind, Request, Service, Target};
