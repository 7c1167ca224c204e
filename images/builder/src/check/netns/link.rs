//! A link that goes down in the middle and comes back: what QEMU's monitor does with `set_link`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::network::Network;
use super::{Lab, Test, test};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    vec![
        test("link: down for 2 s in the middle of a download, and DHCP asked again", flap),
        test("link: the same on microvm", on_microvm),
        test("link: the same of the second of two networks", second),
    ]
}

const PAGE: &str = "http://web.test/256M";

fn flap(lab: &mut Lab) -> Result<String> {
    survives(lab, 0, &[], &[PAGE])
}

fn on_microvm(lab: &mut Lab) -> Result<String> {
    survives(lab, 0, &["--target=microvm"], &[PAGE])
}

fn second(lab: &mut Lab) -> Result<String> {
    // QEMU's own network is the first one, on the second device
    let networks = ["--networks=files", "--interface=1", "--files-interface=0"];
    survives(lab, 1, &["--net=user"], &[&["http://10.9.0.1/256M"], &networks[..]].concat())
}

/// Boots with these run options and words, which download over the first device, and takes its link away meanwhile.
fn survives(lab: &mut Lab, number: usize, options: &[&str], words: &[&str]) -> Result<String> {
    let (_, content) = lab.files.make("256M")?;
    let mut network = Network::new()?;
    network.dnsmasq(&["--dhcp-range=10.9.0.32,10.9.0.63", "--host-record=web.test,10.9.0.1"])?;
    network.web("[::]:80", lab.files.directory())?;
    let monitor = network.directory().join("monitor");
    let option = format!("--qemu-arg=unix:{},server=on,wait=off", monitor.display());
    let network = &network;
    let outcome = thread::scope(|scope| {
        let options = [&["--qemu-arg=-monitor", &option], options].concat();
        let boot = scope.spawn(move || network.run(&options, words));
        // the beginning is there, the most of it is not
        let cut = wait(|| Ok(network.sent()? > 8 << 20)).and_then(|()| cut(&monitor));
        let outcome = boot.join().unwrap_or_else(|_| Err(anyhow!("the boot's thread panicked")));
        cut.and(outcome)
    })?;
    let link = format!("link of network {number} is");
    outcome.exits(0)?.says(&format!("{link} down"))?.says(&format!("{link} up again"))?;
    ensure!(outcome.output.content == content, "{} octets came", outcome.output.content.length);
    let log = network.log("dnsmasq");
    let leases = log.lines().filter(|line| line.contains("DHCPACK")).count();
    ensure!(leases >= 2, "{leases} leases; dnsmasq said: {log}");
    Ok(String::new())
}

/// Takes the machine's first link away for 2 s.
fn cut(monitor: &Path) -> Result<()> {
    let mut monitor = UnixStream::connect(monitor).context("no monitor")?;
    monitor.set_read_timeout(Some(Duration::from_secs(30)))?;
    prompt(&mut monitor)?;
    monitor.write_all(b"set_link n0 off\n")?;
    prompt(&mut monitor)?;
    thread::sleep(Duration::from_secs(2));
    monitor.write_all(b"set_link n0 on\n")?;
    prompt(&mut monitor)
}

/// Waits until the monitor asks for a command: the one before is done.
fn prompt(monitor: &mut UnixStream) -> Result<()> {
    let mut said = Vec::new();
    while !said.ends_with(b"(qemu) ") {
        let mut piece = [0; 256];
        match monitor.read(&mut piece).context("the monitor says nothing")? {
            0 => bail!("the monitor ended: {}", String::from_utf8_lossy(&said)),
            count => said.extend_from_slice(&piece[..count]),
        }
    }
    Ok(())
}

fn wait(mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done()? {
        ensure!(Instant::now() < limit, "nothing is sent");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

impl Network {
    /// Octets that this side has sent to the machine.
    fn sent(&self) -> Result<u64> {
        // proc(5), /proc/net/dev: behind the name eight fields of what came, then what was sent
        let text = self.enter(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("tap0:"));
        let field = line.and_then(|line| line.split_whitespace().nth(8));
        field.and_then(|field| field.parse().ok()).context("no counters of tap0")
    }
}
