//! Tap interfaces: one end in this host's network, the other a machine's. `scripts/tap` makes and removes them.
//!
//! | option | by |
//! |---|---|
//! | `--address` | `ip`: this host's address on the interface, or the interface a port of `--bridge` |
//! | `--nat` | forwarding switched on, and a table of nftables that masquerades |
//! | `--dhcp`, `--ra` | dnsmasq for this interface alone |
//!
//! The interface belongs to the user who asked (by sudo), who then boots machines on it without being root.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, getuid};

use crate::failure::Failure;
use crate::manifest::Net;

const HELP: &str = "\
Makes and removes tap interfaces, by which machines reach this host: scripts/run --net tap=NAME (as root or by sudo).

usage: scripts/tap up NAME [OPTIONS]
       scripts/tap down NAME             ends its servers and removes it

  --address ADDRESS/PREFIX   this host's address on it, IPv4 or IPv6, repeatable
  --bridge BRIDGE            a port of a bridge that is there already
  --nat                      machines reach what this host reaches: switches forwarding on, and masquerades
  --dhcp                     dnsmasq gives IPv4 addresses of --address's network, and answers for names
  --ra                       dnsmasq advertises the prefix of --address's IPv6 network
  --owner USER               who may boot machines on it (default: who called sudo, else root)
";

/// `cargo image tap`.
pub fn tap(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode> {
    let Some(wish) = Wish::parse(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    if !geteuid().is_root() {
        let cause = "interfaces are root's to make: call it by sudo; machines then need no root";
        return Err(Failure::usage(cause).into());
    }
    match wish.up {
        true => up(&wish)?,
        false => down(&wish.name)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a machine of this user can be put on the interface `name`; the error says what to do.
pub fn check(name: &str) -> Result<(), Failure> {
    if !exists(name) {
        return Err(Failure::usage(format!(
            "there is no interface {name}: as root, `scripts/tap up {name} --address 10.10.0.1/24 --dhcp` makes one"
        )));
    }
    let entry = Path::new("/sys/class/net").join(name);
    if entry.exists() && !entry.join("tun_flags").exists() {
        return Err(Failure::usage(format!("{name} is no tap interface")));
    }
    if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
        return Err(Failure::usage(format!("/dev/net/tun does not open: {error}")));
    }
    let owner = fs::read_to_string(entry.join("owner"));
    let user = geteuid().as_raw().to_string();
    if !geteuid().is_root() && owner.is_ok_and(|owner| owner.trim() != user) {
        return Err(Failure::usage(format!(
            "{name} is not of this user, {user}: make it by `sudo scripts/tap up {name}`"
        )));
    }
    Ok(())
}

/// Whether there is an interface of that name. Sysfs shows the network of whoever mounted it, procfs that of
/// this process.
fn exists(name: &str) -> bool {
    let known = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    known.lines().any(|line| line.trim_start().starts_with(&format!("{name}:")))
}

/// Whether the kernel can carry frames between a machine and a tap interface by itself.
pub fn has_vhost() -> bool {
    File::options().read(true).write(true).open("/dev/vhost-net").is_ok()
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    up: bool,
    name: String,
    addresses: Vec<Cidr>,
    bridge: Option<String>,
    nat: bool,
    dhcp: bool,
    ra: bool,
    owner: Option<String>,
}

impl Wish {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, ValueExt};
        let mut wish = Self::default();
        let mut words = Vec::new();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(Failure::usage)? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("nat") => wish.nat = true,
                Arg::Long("dhcp") => wish.dhcp = true,
                Arg::Long("ra") => wish.ra = true,
                Arg::Long(option @ ("address" | "bridge" | "owner")) => {
                    let option = option.to_owned();
                    let value = parser.value().and_then(ValueExt::string);
                    let value = value.map_err(Failure::usage)?;
                    match option.as_str() {
                        "address" => wish.addresses.push(Cidr::parse(&value)?),
                        "bridge" => wish.bridge = Some(value),
                        _ => wish.owner = Some(value),
                    }
                }
                Arg::Value(word) => words.push(word.to_string_lossy().into_owned()),
                other => return Err(Failure::usage(other.unexpected())),
            }
        }
        let [verb, name] = &words[..] else {
            return Err(Failure::usage("scripts/tap up|down NAME; --help lists the options"));
        };
        wish.up = match verb.as_str() {
            "up" => true,
            "down" => false,
            _ => return Err(Failure::usage(format!("`{verb}` is neither up nor down"))),
        };
        // the same names as for `--net`
        Net::parse(&format!("tap={name}")).map_err(Failure::usage)?;
        wish.name = name.clone();
        wish.checked().map(Some)
    }

    fn checked(self) -> Result<Self, Failure> {
        if !self.up && self != (Self { name: self.name.clone(), ..Self::default() }) {
            return Err(Failure::usage("down takes no options"));
        }
        let has = |v4: bool| self.addresses.iter().any(|cidr| cidr.address.is_ipv4() == v4);
        for (given, v4, option) in [(self.dhcp, true, "--dhcp"), (self.ra, false, "--ra")] {
            if given && !has(v4) {
                let family = if v4 { "IPv4" } else { "IPv6" };
                return Err(Failure::usage(format!("{option} needs an {family} --address")));
            }
        }
        if self.nat && self.addresses.is_empty() {
            return Err(Failure::usage("--nat needs an --address"));
        }
        Ok(self)
    }

    fn owner(&self) -> String {
        let sudo = || std::env::var("SUDO_UID").ok();
        self.owner.clone().or_else(sudo).unwrap_or_else(|| getuid().as_raw().to_string())
    }
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, Failure> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let cidr = Self { address: address.parse().ok()?, prefix: prefix.parse().ok()? };
            let longest = if cidr.address.is_ipv4() { 30 } else { 127 };
            (1..=longest).contains(&cidr.prefix).then_some(cidr)
        };
        parse().ok_or_else(|| {
            Failure::usage(format!("`{text}` is no address of a network, such as 10.10.0.1/24"))
        })
    }

    /// The first and the last address to give away: all hosts of the network but this one, up to 200.
    fn range(self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let IpAddr::V4(address) = self.address else { return None };
        let own = address.to_bits();
        let network = own & u32::MAX << (32 - self.prefix);
        let last = network + (u32::MAX >> self.prefix) - 1;
        // what is below us or above us, whichever is more
        let (first, last) =
            if own - network > last - own { (network + 1, own - 1) } else { (own + 1, last) };
        Some((first.into(), last.min(first + 199).into()))
    }

    fn text(self) -> String {
        format!("{}/{}", self.address, self.prefix)
    }
}

fn up(wish: &Wish) -> Result<()> {
    let name = wish.name.as_str();
    if !exists(name) {
        ip(&["tuntap", "add", "dev", name, "mode", "tap", "user", &wish.owner()])?;
    }
    let made = arrange(wish);
    if made.is_err() {
        // half of it is of no use
        let _ = down(name);
    }
    made
}

fn arrange(wish: &Wish) -> Result<()> {
    let name = wish.name.as_str();
    for cidr in &wish.addresses {
        let text = cidr.text();
        let mut words = vec!["address", "replace", &text, "dev", name];
        // nobody else is there yet to have the same address
        words.extend(cidr.address.is_ipv6().then_some("nodad"));
        ip(&words)?;
    }
    if let Some(bridge) = &wish.bridge {
        ip(&["link", "set", name, "master", bridge])?;
    }
    ip(&["link", "set", name, "up"])?;
    if wish.nat {
        masquerade(wish)?;
    }
    if wish.dhcp || wish.ra {
        serve(wish)?;
    }
    Ok(())
}

fn masquerade(wish: &Wish) -> Result<()> {
    let name = &wish.name;
    let (table, mut rules) = (table(name), String::new());
    for cidr in &wish.addresses {
        let (family, switch) = match cidr.address {
            IpAddr::V4(_) => ("ip", "ipv4/ip_forward"),
            IpAddr::V6(_) => ("ip6", "ipv6/conf/all/forwarding"),
        };
        fs::write(Path::new("/proc/sys/net").join(switch), "1")
            .with_context(|| format!("cannot set net/{switch}"))?;
        let network = cidr.text();
        rules += &format!("{family} saddr {network} oifname != \"{name}\" masquerade\n");
    }
    let text = format!(
        "add table inet {table}\ndelete table inet {table}\ntable inet {table} {{ chain out {{ \
         type nat hook postrouting priority 100; policy accept;\n{rules}}}\n}}\n"
    );
    let mut nft = Command::new("nft");
    let mut child = nft
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("there is no nft: install nftables")?;
    child.stdin.take().context("no pipe to nft")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft: {}", said.trim());
    Ok(())
}

/// Our table's name: dashes and dots mean something to nft.
fn table(name: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
    format!("mimic_{}", name.chars().map(plain).collect::<String>())
}

/// dnsmasq for this interface alone; it puts itself into the background once it serves.
fn serve(wish: &Wish) -> Result<()> {
    let name = &wish.name;
    end_server(name);
    let mut dnsmasq = Command::new("dnsmasq");
    dnsmasq.args(["--conf-file=/dev/null", "--bind-interfaces", "--except-interface=lo"]);
    dnsmasq.args([format!("--interface={name}"), format!("--pid-file={}", note(name).display())]);
    dnsmasq.args(["--user=root", "--leasefile-ro", "--dhcp-authoritative", "--no-hosts"]);
    for cidr in &wish.addresses {
        match (cidr.range(), wish.dhcp, wish.ra) {
            (Some((first, last)), true, _) => {
                dnsmasq.arg(format!("--dhcp-range={first},{last},1h"));
            }
            (None, _, true) => {
                dnsmasq.arg("--enable-ra");
                dnsmasq.arg(format!("--dhcp-range=::,constructor:{name},ra-only,{}", cidr.prefix));
            }
            _ => {}
        }
    }
    let output = dnsmasq.stdin(Stdio::null()).output();
    let output = output.context("there is no dnsmasq: install dnsmasq-base")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}

fn down(name: &str) -> Result<()> {
    end_server(name);
    let mut nft = Command::new("nft");
    // there is one only after --nat
    let _ = nft.args(["delete", "table", "inet", &table(name)]).stderr(Stdio::null()).status();
    if exists(name) {
        ip(&["link", "delete", name])?;
    }
    Ok(())
}

/// Ends the interface's dnsmasq, if the noted process is one.
fn end_server(name: &str) {
    let note = note(name);
    let Ok(text) = fs::read_to_string(&note) else { return };
    let program = fs::read_to_string(format!("/proc/{}/comm", text.trim())).unwrap_or_default();
    if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw)
        && program.trim() == "dnsmasq"
    {
        // it may be ending by itself
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    let _ = fs::remove_file(note);
}

fn note(name: &str) -> PathBuf {
    Path::new("/run").join(format!("mimic-tap-{name}.pid"))
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output();
    let output = output.context("there is no ip: install iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Wish, Failure> {
        Ok(Wish::parse(words.split(' ').map(OsString::from))?.expect("no help was asked for"))
    }

    #[test]
    fn wishes_are_read() {
        let wish = parse("up t0 --address 10.10.0.1/24 --dhcp --nat --owner=me").unwrap();
        let address = Cidr { address: IpAddr::from([10, 10, 0, 1]), prefix: 24 };
        assert_eq!(
            (wish.up, wish.name.as_str(), wish.addresses.clone()),
            (true, "t0", vec![address])
        );
        assert!(wish.dhcp && wish.nat && !wish.ra && wish.owner() == "me");
        assert!(!parse("down t0").unwrap().up);
    }

    #[test]
    fn wrong_wishes_are_explained() {
        for (words, cause) in [
            ("up", "up|down NAME"),
            ("make t0", "neither"),
            ("up t/0", "tap=IFNAME"),
            ("down t0 --nat", "no options"),
            ("up t0 --dhcp", "IPv4"),
            ("up t0 --ra --address 10.0.0.1/24", "IPv6"),
            ("up t0 --nat", "--address"),
            ("up t0 --address 10.0.0.1", "10.10.0.1/24"),
            ("up t0 --address 10.0.0.1/31", "10.10.0.1/24"),
        ] {
            let failure = parse(words).unwrap_err();
            assert!(failure.to_string().contains(cause), "{words}: {failure}");
        }
    }

    #[test]
    fn the_larger_side_of_a_network_is_given_away() {
        let range = |text| Cidr::parse(text).unwrap().range().unwrap();
        let addresses = |first: [u8; 4], last: [u8; 4]| (first.into(), last.into());
        assert_eq!(range("10.0.0.1/24"), addresses([10, 0, 0, 2], [10, 0, 0, 201]));
        assert_eq!(range("10.0.0.254/24"), addresses([10, 0, 0, 1], [10, 0, 0, 200]));
        assert_eq!(range("10.0.0.1/30"), addresses([10, 0, 0, 2], [10, 0, 0, 2]));
        assert_eq!(Cidr::parse("fd00::1/64").unwrap().range(), None);
    }

    #[test]
    fn an_interface_that_is_not_there_or_no_tap_is_refused() {
        assert!(check("nosuchif0").unwrap_err().to_string().contains("scripts/tap up nosuchif0"));
        assert!(check("lo").unwrap_err().to_string().contains("no tap"));
    }

    #[test]
    fn a_table_has_a_plain_name() {
        assert_eq!(table("tap-0.1"), "mimic_tap_0_1");
    }
}
