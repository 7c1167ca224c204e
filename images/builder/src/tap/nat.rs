//! What lets machines reach what this host reaches: forwarding, and a table of nftables that masquerades.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::wish::Wish;

/// Forwards and masquerades what comes from the interface's networks.
pub fn masquerade(wish: &Wish) -> Result<()> {
    let name = &wish.name;
    let (table, mut rules) = (table(name), String::new());
    if wish.addresses.iter().any(|cidr| cidr.address.is_ipv4()) {
        set(Path::new("ipv4/ip_forward"), "1")?;
    }
    if wish.addresses.iter().any(|cidr| cidr.address.is_ipv6()) {
        forward_ipv6(name)?;
    }
    for cidr in &wish.addresses {
        let family = if cidr.address.is_ipv4() { "ip" } else { "ip6" };
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

/// Switches forwarding on. A host that forwards takes no router's advertisements unless told to
/// (Documentation/networking/ip-sysctl.rst, accept_ra), and would lose its own way out by and by: interfaces that
/// took them go on, all but our own, where machines are.
fn forward_ipv6(name: &str) -> Result<()> {
    let forwarding = Path::new("ipv6/conf/all/forwarding");
    if get(forwarding)? == "1" {
        return Ok(());
    }
    for entry in fs::read_dir(Path::new(SYSCTL).join("ipv6/conf"))?.flatten() {
        let interface = entry.file_name();
        let accept = Path::new("ipv6/conf").join(&interface).join("accept_ra");
        let is_ours = ["all", "default", "lo", name].iter().any(|other| interface == *other);
        // before: with forwarding the routes that it has learned would go
        if !is_ours && get(&accept).is_ok_and(|value| value == "1") {
            set(&accept, "2")?;
        }
    }
    set(forwarding, "1")
}

fn get(name: &Path) -> Result<String> {
    let text = fs::read_to_string(path(name));
    Ok(text.with_context(|| format!("cannot read net/{}", name.display()))?.trim().to_owned())
}

fn set(name: &Path, value: &str) -> Result<()> {
    fs::write(path(name), value).with_context(|| format!("cannot set net/{}", name.display()))
}

fn path(name: &Path) -> PathBuf {
    Path::new(SYSCTL).join(name)
}

const SYSCTL: &str = "/proc/sys/net";

/// Whether the interface's table is there.
pub fn is_there(name: &str) -> bool {
    let mut nft = Command::new("nft");
    nft.args(["list", "table", "inet", &table(name)]).stdout(Stdio::null()).stderr(Stdio::null());
    nft.status().is_ok_and(|status| status.success())
}

/// Removes the interface's table; forwarding stays, since others may need it by now.
pub fn end(name: &str) {
    let mut nft = Command::new("nft");
    // there is one only after --nat
    let _ = nft.args(["delete", "table", "inet", &table(name)]).stderr(Stdio::null()).status();
}

/// Our table's name: dashes and dots mean something to nft.
fn table(name: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
    format!("mimic_{}", name.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_plain_name() {
        assert_eq!(table("tap-0.1"), "mimic_tap_0_1");
    }
}
