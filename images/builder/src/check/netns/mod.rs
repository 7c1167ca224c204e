//! The group `net`: the default image behind a tap device, in a network namespace of each test's own, with real
//! peers at the other end.
//!
//! What is asserted of time is what the wire and the report say, against bounds that the protocols' own timers
//! dominate; the figures are printed.

mod addresses;
mod capture;
mod dns;
mod link;
mod names;
mod network;
mod outcome;
mod race;
mod repository;
mod servers;
mod taps;
mod web;

use std::time::Instant;

use anyhow::Result;

use super::files::Files;
use super::{Selection, Tally, interfaces};
use crate::certificate::Authority;
use crate::scratch::Scratch;
use network::Network;

/// What the tests have in common.
#[derive(Debug)]
pub struct Lab {
    files: Files,
    authority: Authority,
    _scratch: Scratch,
}

/// A test: `Ok` may hold figures worth printing.
pub type Test = Box<dyn Fn(&mut Lab) -> Result<String>>;

fn test(
    name: &'static str,
    test: impl Fn(&mut Lab) -> Result<String> + 'static,
) -> (&'static str, Test) {
    (name, Box::new(test))
}

/// The tests that were asked for.
pub fn selected(selection: &Selection) -> Vec<(&'static str, Test)> {
    let all = [
        addresses::tests(),
        dns::tests(),
        link::tests(),
        race::tests(),
        repository::tests(),
        taps::tests(),
    ];
    all.into_iter().flatten().filter(|(name, _)| selection.has(name)).collect()
}

/// Runs them. The image is built.
pub fn run(tests: &[(&str, Test)], tally: &mut Tally) -> Result<()> {
    Scratch::sweep();
    Network::sweep();
    interfaces::sweep();
    let scratch = Scratch::new("net")?;
    let files = Files::new(scratch.path());
    let authority = Authority::new("the tests' private authority")?;
    let mut lab = Lab { files, authority, _scratch: scratch };
    for (name, test) in tests {
        let start = Instant::now();
        tally.ended(GROUP, name, start, test(&mut lab));
    }
    Ok(())
}

/// What `--only` and the count call it.
pub const GROUP: &str = "net";
