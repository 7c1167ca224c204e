//! What `scripts/tap` makes, used by machines: an interface with DHCP and NAT, and a port of a bridge; and what it
//! leaves alone.

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::network::{HOST, Network};
use super::{Lab, Test, test};
use crate::check::interfaces;

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    vec![
        test("tap: up --dhcp --nat reaches another network", nat),
        test("tap: up --ra --nat reaches another network by IPv6", nat_ipv6),
        test("tap: up --bridge, and two machines' ports on one link", bridge),
        test("tap: what is no tap interface is left as it is", no_tap),
        test("tap: what fails on an interface that was there leaves it as it was", failed),
        test("tap: one of another owner becomes the caller's", owner),
    ]
}

fn nat(lab: &mut Lab) -> Result<String> {
    let (_, content) = lab.files.make("1M")?;
    let (outside, inside) = (Network::new()?, Network::new()?);
    inside.join(&outside, "198.51.100.1/24", "198.51.100.2/24")?;
    // it knows no way back to the machine, which the address of the interface before it therefore stands for
    outside.web("198.51.100.2:80", lab.files.directory())?;
    let tap = inside.up(0, &["--address=10.10.0.1/24", "--dhcp", "--nat"])?;
    let outcome = inside.run_on(&tap.name, &[], &["http://198.51.100.2/1M"])?;
    outcome.exits(0)?.reports("network", "address", true, "DHCP from 10.10.0.1")?;
    ensure!(outcome.output.content == content, "{} octets came", outcome.output.content.length);
    let name = tap.name.clone();
    drop(tap);
    let gone = inside.ip(&format!("link show {name}")).is_err();
    ensure!(gone && inside.nft_list()?.is_empty(), "it left something: {}", inside.nft_list()?);
    Ok(String::new())
}

fn nat_ipv6(lab: &mut Lab) -> Result<String> {
    let (_, content) = lab.files.make("1M")?;
    let (outside, inside) = (Network::new()?, Network::new()?);
    inside.join(&outside, "2001:db8:100::1/64", "2001:db8:100::2/64")?;
    inside.sysctl("ipv6/conf/all/forwarding", "0")?;
    // a router's advertisements are taken at one end, at the other not
    inside.sysctl("ipv6/conf/out0/accept_ra", "1")?;
    inside.sysctl("ipv6/conf/tap0/accept_ra", "0")?;
    outside.web("[2001:db8:100::2]:80", lab.files.directory())?;
    let tap = inside.up(0, &["--address=fd00:10::1/64", "--ra", "--nat"])?;
    let words = ["http://[2001:db8:100::2]/1M", "--ipv6-only"];
    let outcome = inside.run_on(&tap.name, &[], &words)?;
    outcome.exits(0)?;
    ensure!(outcome.output.content == content, "{} octets came", outcome.output.content.length);
    // a host that forwards takes them only with 2; the machines' end must not, whatever it had
    for (interface, expected) in [("out0", "2"), ("tap0", "0")] {
        let value = inside.value(&format!("ipv6/conf/{interface}/accept_ra"))?;
        ensure!(value == expected, "accept_ra of {interface} is {value}");
    }
    let value = inside.value(&format!("ipv6/conf/{}/accept_ra", tap.name))?;
    ensure!(value != "2", "machines' advertisements are taken");
    Ok(String::new())
}

fn bridge(lab: &mut Lab) -> Result<String> {
    let network = Network::new()?;
    network.ip("link add bridge0 type bridge")?;
    network.ip("address add 10.10.0.1/24 dev bridge0")?;
    network.ip("link set bridge0 up")?;
    network.web("10.10.0.1:80", lab.files.directory())?;
    let taps = (0..2).map(|number| network.up(number, &["--bridge=bridge0"]));
    let taps = taps.collect::<Result<Vec<_>>>()?;
    for (tap, address) in taps.iter().zip(["10.10.0.2/24", "10.10.0.3/24"]) {
        let outcome = network.run_on(&tap.name, &[], &["http://10.10.0.1/", "--ipv4", address])?;
        outcome.reached("10.10.0.1")?;
    }
    drop(taps);
    network.enter(|| {
        let address = "10.10.0.1:80".parse()?;
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("the bridge is gone")
    })?;
    Ok(String::new())
}

fn no_tap(_: &mut Lab) -> Result<String> {
    let network = Network::new()?;
    network.ip("link add bridge0 type bridge")?;
    network.ip("tuntap add tun0 mode tun")?;
    for name in ["bridge0", "tun0", "lo"] {
        for words in [&["down", name][..], &["up", name, "--address=10.11.0.1/24"]] {
            let before = network.told(name)?;
            let cause = network.tap(words).err().context("it is taken for a tap")?.to_string();
            ensure!(cause.contains("no tap interface"), "{words:?}: {cause}");
            ensure!(network.told(name)? == before, "{words:?} changed it: {}", network.told(name)?);
        }
    }
    Ok(String::new())
}

fn failed(_: &mut Lab) -> Result<String> {
    let network = Network::new()?;
    let before = network.told("tap0")?;
    let more = ["--address=10.11.0.1/24", &format!("--address={HOST}/24"), "--bridge=nosuch0"];
    let cause = network.tap(&[&["up", "tap0"], &more[..]].concat());
    ensure!(cause.is_err(), "there is a bridge nosuch0");
    let after = network.told("tap0")?;
    ensure!(after == before, "{after} is not what it was: {before}");
    // and one that was not there is not there
    let name = interfaces::name(0);
    ensure!(network.tap(&[&["up", &name], &more[..]].concat()).is_err(), "it is a port");
    ensure!(network.told(&name).is_err(), "half of it is left");
    Ok(String::new())
}

fn owner(_: &mut Lab) -> Result<String> {
    let network = Network::new()?;
    let tap = network.up(0, &["--address=10.11.0.1/24", "--owner=54321"])?;
    let is_of = |owner: &str| Ok::<_, anyhow::Error>(network.told(&tap.name)?.contains(owner));
    ensure!(is_of("user 54321")?, "{}", network.told(&tap.name)?);
    // root may use it, and leaves it whose it is
    network.tap(&["up", &tap.name])?;
    ensure!(is_of("user 54321")? && is_of("10.11.0.1")?, "{}", network.told(&tap.name)?);
    network.tap(&["up", &tap.name, "--address=10.11.0.1/24", "--owner=54322"])?;
    ensure!(is_of("user 54322")? && is_of("10.11.0.1")?, "{}", network.told(&tap.name)?);
    let cause = network.tap(&["up", &tap.name, "--owner=no-such-user"]).err();
    ensure!(cause.is_some_and(|it| it.to_string().contains("no user no-such-user")), "who is it?");
    ensure!(is_of("user 54322")?, "{}", network.told(&tap.name)?);
    Ok(String::new())
}

impl Network {
    /// A link to another network, with this side's address and that side's.
    fn join(&self, other: &Self, own: &str, others: &str) -> Result<()> {
        self.ip(&format!("link add out0 type veth peer name out0 netns {}", other.name()))?;
        for (network, address) in [(self, own), (other, others)] {
            let no_waiting = if address.contains(':') { " nodad" } else { "" };
            network.ip(&format!("address add {address} dev out0{no_waiting}"))?;
            network.ip("link set out0 up")?;
        }
        Ok(())
    }

    /// An interface that `scripts/tap up` makes, inside.
    fn up(&self, number: u8, options: &[&str]) -> Result<Tap<'_>> {
        let name = interfaces::name(number);
        self.tap(&[&["up", name.as_str()], options].concat())?;
        Ok(Tap { network: self, name })
    }

    /// `scripts/tap` with these arguments, inside.
    fn tap(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(std::env::current_exe().context("where this program is")?);
        // whoever called this by sudo is not who the test is about
        command.arg("tap").args(arguments).env_remove("SUDO_UID").stdin(Stdio::null());
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tap {}: {}", arguments.join(" "), said.trim());
        Ok(())
    }

    /// What `ip` tells of an interface.
    fn told(&self, name: &str) -> Result<String> {
        let output = self.command("ip").args(["-d", "address", "show", "dev", name]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A variable below /proc/sys/net.
    fn value(&self, name: &str) -> Result<String> {
        let text = self.enter(|| Ok(std::fs::read_to_string(format!("/proc/sys/net/{name}"))?));
        Ok(text.with_context(|| format!("cannot read {name}"))?.trim().to_owned())
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
    name: String,
}

impl Drop for Tap<'_> {
    fn drop(&mut self) {
        // the test looks at what is left
        let _ = self.network.tap(&["down", &self.name]);
    }
}
