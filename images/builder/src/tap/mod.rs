//! Tap interfaces: one end in this host's network, the other a machine's. `scripts/tap` makes and removes them.
//!
//! | option | by |
//! |---|---|
//! | `--address` | `ip`: this host's address on the interface, or the interface a port of `--bridge` |
//! | `--nat` | forwarding switched on, and a table of nftables that masquerades (`nat`) |
//! | `--dhcp`, `--ra` | dnsmasq for this interface alone (`server`) |
//!
//! The interface belongs to the user who asked (by sudo), who then boots machines on it without being root. Interfaces
//! that are no taps are left as they are, and what fails leaves what was there before.

mod access;
mod link;
mod nat;
mod server;
mod wish;

use std::ffi::OsString;
use std::fs::File;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use rustix::process::{geteuid, getuid};

use crate::failure::{Failure, code};
use link::{Link, ip};
use wish::Wish;

pub use access::check;

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

Only tap interfaces are touched. One that is there gets what is asked for in addition; one of another owner is made
anew, with what is asked for. What --nat switches on stays on after `down`: forwarding (net.ipv4.ip_forward,
net.ipv6.conf.all.forwarding), and accept_ra=2 on interfaces that took a router's advertisements (accept_ra=1), which
else they would no longer do.
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

/// Whether the kernel can carry frames between a machine and a tap interface by itself.
pub fn has_vhost() -> bool {
    File::options().read(true).write(true).open("/dev/vhost-net").is_ok()
}

fn up(wish: &Wish) -> Result<()> {
    let name = wish.name.as_str();
    let mut link = Link::of(name)?;
    if let Some(there) = &link
        && let Some(owner) = wish.owner()
        && !is_of(there, &owner)?
    {
        if there.is_busy {
            let cause = format!("{name} is in use by a machine: end it, then it can be {owner}'s");
            return Err(Failure::new(code::UNAVAILABLE, cause).into());
        }
        // the owner of one that is there cannot be changed by `ip`
        down(name)?;
        link = None;
    }
    let mut made = Vec::new();
    if link.is_none() {
        let owner = wish.owner().unwrap_or_else(|| getuid().as_raw().to_string());
        ip(&["tuntap", "add", "dev", name, "mode", "tap", "user", &owner])?;
        made.push(Made::Interface);
    }
    let arranged = arrange(wish, &link.unwrap_or_default(), &mut made);
    if arranged.is_err() {
        // half of it is of no use; what cannot be undone is not what went wrong
        for part in made.into_iter().rev() {
            let _ = part.undo(name);
        }
    }
    arranged
}

/// What one call has made, and takes back when it cannot make the rest.
#[derive(Debug)]
enum Made {
    Interface,
    Address(String),
    /// A port of another bridge than before, or of one at all.
    Port(Option<String>),
    Table,
}

impl Made {
    fn undo(&self, name: &str) -> Result<()> {
        match self {
            Self::Interface => ip(&["link", "delete", name]),
            Self::Address(text) => ip(&["address", "delete", text, "dev", name]),
            Self::Port(None) => ip(&["link", "set", name, "nomaster"]),
            Self::Port(Some(bridge)) => ip(&["link", "set", name, "master", bridge]),
            Self::Table => {
                nat::end(name);
                Ok(())
            }
        }
    }
}

/// Whether the interface is for this user's machines alone.
fn is_of(link: &Link, owner: &str) -> Result<bool> {
    let Some(user) = link.user.as_deref().filter(|_| link.group.is_none()) else {
        return Ok(false);
    };
    Ok(user_number(user)? == user_number(owner)?)
}

fn user_number(user: &str) -> Result<u32> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let text = link::run(Command::new("id").args(["-u", user]));
    let text = text.map_err(|_| Failure::usage(format!("there is no user {user}")))?;
    text.trim().parse().context("what id says is no number")
}

/// `there`: the interface before.
fn arrange(wish: &Wish, there: &Link, made: &mut Vec<Made>) -> Result<()> {
    let name = wish.name.as_str();
    for cidr in &wish.addresses {
        let text = cidr.text();
        let mut words = vec!["address", "replace", &text, "dev", name];
        // nobody else is there yet to have the same address
        words.extend(cidr.address.is_ipv6().then_some("nodad"));
        ip(&words)?;
        if !there.addresses.contains(&text) {
            made.push(Made::Address(text));
        }
    }
    if let Some(bridge) = &wish.bridge {
        ip(&["link", "set", name, "master", bridge])?;
        made.push(Made::Port(there.bridge.clone()));
    }
    ip(&["link", "set", name, "up"])?;
    if wish.nat {
        let is_new = !nat::is_there(name);
        nat::masquerade(wish)?;
        made.extend(is_new.then_some(Made::Table));
    }
    if wish.dhcp || wish.ra {
        server::start(wish)?;
    }
    Ok(())
}

fn down(name: &str) -> Result<()> {
    let link = Link::of(name)?;
    server::end(name)?;
    nat::end(name);
    if link.is_some() {
        ip(&["link", "delete", name])?;
    }
    Ok(())
}
