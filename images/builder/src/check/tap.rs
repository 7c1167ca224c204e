//! A tap interface in a network namespace of the test's own, with real peers at its other end.

use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Skip;
use super::host_tool::Test;
use super::peers::Peers;
use super::runner::{Feed, Output};
use crate::guard;
use crate::manifest::Target;
use crate::workspace::Workspace;

/// All of them; they are about machines only.
pub const TESTS: [(&str, Test); 1] = [("run: --net tap=… reaches a real network, by DHCP", dhcp)];

fn dhcp(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let (_, content) = peers.files().make("10M")?;
    let mut network = Network::new()?;
    let directory = peers.files().directory().to_owned();
    let mut python = network.command("python3");
    python.args(["-m", "http.server", "--bind", ADDRESS, "8000", "--directory"]).arg(directory);
    network.start(python)?;
    let mut dnsmasq = network.command("/usr/sbin/dnsmasq");
    dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"]);
    dnsmasq.args(["--no-resolv", "--no-hosts", "--no-ping", "--leasefile-ro"]);
    dnsmasq.args(["--interface=tap0", "--bind-interfaces", "--dhcp-range=10.9.0.10,10.9.0.20"]);
    dnsmasq.arg(format!("--address=/web.test/{ADDRESS}"));
    network.start(dnsmasq)?;
    network.wait_for("8000")?;

    let this = std::env::current_exe().context("where this program is")?;
    let mut command = network.command(this);
    command.args([crate::RUN_BUILT, &format!("--target={target}"), "--net=tap=tap0"]);
    // the name server comes with the lease
    command.args(["--kill-after=60s", "--", "http://web.test:8000/10M"]).stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    ensure!(output.content == content, "{} octets came", output.content.length);
    Ok(())
}

/// This host's address on the tap.
const ADDRESS: &str = "10.9.0.1";

/// A namespace with the interface `tap0` and the servers in it; dropping it ends them and removes it.
struct Network {
    name: String,
    servers: Vec<Child>,
}

impl Network {
    fn new() -> Result<Self> {
        let name = format!("image-test-{}", process::id());
        let network = Self { name, servers: Vec::new() };
        // without the right to make namespaces, or in a chroot, where they cannot be entered
        let skip = |error| Skip(format!("no network namespace can be made here: {error}"));
        ip(&["netns", "add", &network.name]).map_err(skip)?;
        for words in [
            &["link", "set", "lo", "up"][..],
            &["tuntap", "add", "tap0", "mode", "tap"],
            &["address", "add", &format!("{ADDRESS}/24"), "dev", "tap0"],
            &["link", "set", "tap0", "up"],
        ] {
            ip(&[&["-n", network.name.as_str()], words].concat()).map_err(skip)?;
        }
        Ok(network)
    }

    /// `program` inside; `ip` becomes it, so the process is the program's.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = guard::command("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    fn start(&mut self, mut command: Command) -> Result<()> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.push(command.spawn()?);
        Ok(())
    }

    fn wait_for(&self, port: &str) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(20);
        let connect = format!("import socket; socket.create_connection(('{ADDRESS}', {port}))");
        loop {
            let mut probe = self.command("python3");
            let output = probe.args(["-c", &connect]).stdin(Stdio::null()).output()?;
            if output.status.success() {
                return Ok(());
            }
            ensure!(Instant::now() < limit, "the server in the namespace does not answer");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // one that has ended by itself is no longer there to be ended
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output().context("no ip")?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
