//! What `scripts/tap` makes, used by machines: an interface with DHCP and NAT, and a port of a bridge.

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::network::Network;
use super::{Lab, Test, test};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    vec![
        test("tap: up --dhcp --nat reaches another network", nat),
        test("tap: up --bridge, and two machines' ports on one link", bridge),
    ]
}

/// What is noted of an interface is noted for the whole host, so nobody else has one of these names.
const FIRST: &str = "nettest0";
const SECOND: &str = "nettest1";

fn nat(lab: &mut Lab) -> Result<String> {
    let (_, content) = lab.files.make("1M")?;
    let (outside, inside) = (Network::new()?, Network::new()?);
    inside.join(&outside, "198.51.100.1/24", "198.51.100.2/24")?;
    // it knows no way back to the machine, which the address of the interface before it therefore stands for
    outside.web("198.51.100.2:80", lab.files.directory())?;
    let tap = inside.up(FIRST, &["--address=10.10.0.1/24", "--dhcp", "--nat"])?;
    let outcome = inside.run_on(FIRST, &[], &["http://198.51.100.2/1M"])?;
    outcome.exits(0)?.reports("network", "address", true, "DHCP from 10.10.0.1")?;
    ensure!(outcome.output.content == content, "{} octets came", outcome.output.content.length);
    drop(tap);
    let gone = inside.ip(&format!("link show {FIRST}")).is_err();
    ensure!(gone && inside.nft_list()?.is_empty(), "it left something: {}", inside.nft_list()?);
    Ok(String::new())
}

fn bridge(lab: &mut Lab) -> Result<String> {
    let network = Network::new()?;
    network.ip("link add bridge0 type bridge")?;
    network.ip("address add 10.10.0.1/24 dev bridge0")?;
    network.ip("link set bridge0 up")?;
    network.web("10.10.0.1:80", lab.files.directory())?;
    let taps = [FIRST, SECOND].map(|name| network.up(name, &["--bridge=bridge0"]));
    for (name, address) in [(FIRST, "10.10.0.2/24"), (SECOND, "10.10.0.3/24")] {
        let outcome = network.run_on(name, &[], &["http://10.10.0.1/", "--ipv4", address])?;
        outcome.reached("10.10.0.1")?;
    }
    for tap in taps {
        drop(tap?);
    }
    network.enter(|| {
        let address = "10.10.0.1:80".parse()?;
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("the bridge is gone")
    })?;
    Ok(String::new())
}

impl Network {
    /// A link to another network, with this side's address and that side's.
    fn join(&self, other: &Self, own: &str, others: &str) -> Result<()> {
        self.ip(&format!("link add out0 type veth peer name out0 netns {}", other.name()))?;
        for (network, address) in [(self, own), (other, others)] {
            network.ip(&format!("address add {address} dev out0"))?;
            network.ip("link set out0 up")?;
        }
        Ok(())
    }

    /// An interface that `scripts/tap up` makes, inside.
    fn up(&self, name: &'static str, options: &[&str]) -> Result<Tap<'_>> {
        self.tap(&[&["up", name], options].concat())?;
        Ok(Tap { network: self, name })
    }

    /// `scripts/tap` with these arguments, inside.
    fn tap(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(std::env::current_exe().context("where this program is")?);
        let output = command.arg("tap").args(arguments).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tap {}: {}", arguments.join(" "), said.trim());
        Ok(())
    }

    /// All rules of nftables.
    fn nft_list(&self) -> Result<String> {
        let output = self.command("nft").args(["list", "ruleset"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// An interface; dropping it calls `scripts/tap down`.
struct Tap<'a> {
    network: &'a Network,
    name: &'static str,
}

impl Drop for Tap<'_> {
    fn drop(&mut self) {
        // the test looks at what is left
        let _ = self.network.tap(&["down", self.name]);
    }
}
