//! Servers of the tests as scripts, without I/O: octets of a client in, steps out. Real servers do not make these
//! mistakes when asked nicely; the tests of the simulated wire and those of real machines drive the same scripts.
//!
//! | name | what it is |
//! |---|---|
//! | `web`, `web-…` | HTTP/1.1, one answer a path: see [`one`] |
//! | `h2-…` | HTTP/2 by prior knowledge, one behaviour a name: see [`two`] |
//! | `git-…` | a git daemon, one behaviour a name: see [`git`] |
//! | `proxy-…` | an HTTP proxy that refuses or misbehaves, or `relay`s for `me:hush`: see [`one`] |
#![forbid(unsafe_code)]

mod git;
mod one;
mod two;

use core::time::Duration;

/// What a server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends this.
    Send(Vec<u8>),
    /// Sends this, so many times.
    Repeat(Vec<u8>, usize),
    /// Sends this without end, and throws away what comes meanwhile.
    Flood(Vec<u8>),
    /// Sends this, an octet at a time.
    Drip(Vec<u8>, Duration),
    /// Says nothing more, whatever comes.
    Hold,
    /// Connects to this `HOST:PORT`, and from then on hands octets on, both ways.
    Relay(String),
    /// Ends its side.
    Close,
}

/// One connection's server.
#[derive(Debug)]
pub struct Script(Kind);

#[derive(Debug)]
enum Kind {
    Git(git::Git),
    One(one::One),
    Two(two::Two),
}

impl Script {
    /// The script of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(Self(match name.split_once('-') {
            None if name == "web" => Kind::One(one::One::default()),
            Some(("web", _)) => Kind::One(one::One::default()),
            Some(("proxy", refusal)) => Kind::One(one::One::proxy(refusal)),
            Some(("git", behaviour)) => Kind::Git(git::Git::new(behaviour)?),
            Some(("h2", behaviour)) => Kind::Two(two::Two::new(behaviour)?),
            _ => return None,
        }))
    }

    /// Of a server that has taken so many connections before.
    #[must_use]
    pub fn behind(mut self, connections: usize) -> Self {
        if let Kind::Two(two) = &mut self.0 {
            two.set_before(connections);
        }
        self
    }

    /// What it does about `octets`.
    pub fn handle(&mut self, octets: &[u8]) -> Vec<Step> {
        match &mut self.0 {
            Kind::Git(git) => git.handle(octets),
            Kind::One(one) => one.handle(octets),
            Kind::Two(two) => two.handle(octets),
        }
    }
}
