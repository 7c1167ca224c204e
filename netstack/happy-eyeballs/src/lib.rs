//! Happy eyeballs, version 2, as a pure state machine: from a name to the first connection that
//! works, over IPv6 or IPv4 ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)).
//!
//! The machine asks for answers and attempts and is told what came of them. It has no socket, no
//! clock, no thread and no randomness: the same events give the same outputs, and a test of ten
//! seconds takes none.
//!
//! ```text
//!                    name │                       │ addresses
//!                         ▼                       │
//!       silence:   ┌───────────┐                  │
//!      ask again ┌─│ Resolving │◄────────┐        │
//!                └►└───────────┘         │        │
//!                   │    │   ▲           │        │
//!   other family's  │    │   │ hints     │ all failed,
//!   addresses first │    │   │ withdrawn │ a query is open
//!                   ▼    │   │           │        │
//!            ┌──────────┐│   │           │        │
//!            │ Delaying │┼───┘           │        │
//!            └──────────┘│               │        │
//!  preferred family      │ preferred     │        │
//!  answered, or 50 ms    │ family first  │        │
//!                   ▼    ▼               │        ▼
//!                  ┌────────────┐────────┘
//!    250 ms over, or│ Connecting │◄─ the next address of the
//!    one failed:    └────────────┘   other family, and so on
//!                     │        │
//!     one connected:  ▼        ▼  all failed, time is up, given up
//!     cancel the rest
//!              ┌───────────┐ ┌────────┐
//!              │ Connected │ │ Failed │   (Failed: from every state)
//!              └───────────┘ └────────┘
//! ```
//!
//! The same as a graph, with every edge: `states.dot` beside the sources, which the tests hold to
//! the code.
//!
//! # Driving it
//!
//! ```
//! use core::time::Duration;
//! use happy_eyeballs::{Config, HappyEyeballs, Kind, Memory, Network, Output, Request};
//!
//! // A scripted world: A and AAAA are answered after 10 and 30 ms, IPv6 leads nowhere, IPv4 connects.
//! enum Event {
//!     Answer(happy_eyeballs::QueryId, Kind),
//!     Connected(happy_eyeballs::AttemptId),
//! }
//! let mut world: Vec<(Duration, Event)> = Vec::new();
//! let mut now = Duration::ZERO;
//!
//! let memory = Memory::default();
//! let request = Request::name("host.example", 443);
//! let mut machine: HappyEyeballs<std::io::Error> =
//!     HappyEyeballs::new(Config::default(), request, Network::default(), &memory, now)?;
//!
//! let result = loop {
//!     // 1. do what the machine says
//!     let mut result = None;
//!     while let Some(output) = machine.poll_output() {
//!         match output {
//!             Output::Query { query, kind, .. } => {
//!                 let delay = Duration::from_millis(if kind == Kind::A { 10 } else { 30 });
//!                 world.push((now + delay, Event::Answer(query, kind)));
//!             }
//!             Output::Connect { attempt, remote, .. } if remote.is_ipv4() => {
//!                 world.push((now + Duration::from_millis(20), Event::Connected(attempt)));
//!             }
//!             Output::Connect { .. } => {} // the SYN is lost
//!             Output::Cancel { .. } => {}  // drop the attempt: no further packet
//!             Output::Done(done) => result = Some(done),
//!         }
//!     }
//!     if let Some(result) = result {
//!         break result;
//!     }
//!     // 2. wait for the first event or the timer
//!     let timer = machine.poll_timeout().expect("there is a timer until the end");
//!     let first = (0..world.len()).min_by_key(|&index| world[index].0);
//!     match first.filter(|&index| world[index].0 <= timer) {
//!         None => {
//!             now = timer;
//!             machine.handle_timeout(now);
//!         }
//!         // 3. tell the machine
//!         Some(index) => {
//!             let (time, event) = world.remove(index);
//!             now = time;
//!             match event {
//!                 Event::Answer(query, Kind::A) => {
//!                     machine.handle_addresses(now, query, &["192.0.2.1".parse()?]);
//!                 }
//!                 Event::Answer(query, _) => {
//!                     machine.handle_addresses(now, query, &["2600::1".parse()?]);
//!                 }
//!                 Event::Connected(attempt) => machine.handle_connected(now, attempt),
//!             }
//!         }
//!     }
//! };
//! let connected = result?;
//! assert_eq!(connected.remote.to_string(), "192.0.2.1:443");
//! // 30 ms for AAAA, 250 ms for IPv6, 20 ms for IPv4
//! assert_eq!(now, Duration::from_millis(300));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Scope
//!
//! - AAAA and A asked at once, AAAA first; silence asked again at an even pace (RFC 8305 §3)
//! - the resolution delay, for the preferred family and for service records (§3)
//! - families without a local address are neither asked for nor tried (§3, RFC 6724 §6 rule 1)
//! - RFC 6724: policy table, source address and destination order by scope, label, precedence,
//!   longest prefix
//! - families in turns with a first family count (§4); several ports; each address and port at most
//!   once
//! - attempts in parallel, a delay apart, the next at once after a failure, never within 10 ms (§5)
//! - answers that come late take part (§3, §5)
//! - HTTPS and SVCB records: hints, port, ALPN, priorities, targets of another name (RFC 9460)
//! - NAT64: literals and, as the last resort, A records through its prefix (§7.1, §7.2; RFC 6052)
//! - [`Memory`] of what worked: nearer and used addresses first, the attempt delay from the round
//!   trip time
//! - every query and attempt with its times and its cause in the [`Report`], of failure and of
//!   success
//!
//! **Not** here: DNS itself (its servers, caching, search domains, AliasMode chains), sockets, the
//! discovery of the NAT64's prefix (RFC 7050, RFC 8781), a choice between interfaces, encrypted
//! client hello.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod endpoints;
mod machine;
mod memory;
mod nat64;
mod network;
mod output;
mod policy;
mod query;
mod report;
mod request;

pub use config::{ATTEMPT_FLOOR, Config, Invalid, MAX_PORTS};
pub use machine::HappyEyeballs;
pub use memory::Memory;
pub use nat64::Nat64;
pub use network::{Family, Network, Source};
pub use output::{AttemptId, Output, QueryId, State};
pub use policy::{Policy, Row};
pub use report::{Answer, Attempt, Connected, Error, Outcome, Query, Reason, Report, Skip};
pub use request::{Kind, Request, Service, Target};
