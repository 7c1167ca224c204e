//! One network of a test: a namespace with the interface `tap0`, and what serves in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::check::Skip;
use crate::guard;
use crate::scratch::Scratch;

/// This side's address on the tap.
pub const HOST: &str = "10.9.0.1";
/// Another one of its own.
pub const HOST_2: &str = "10.9.0.2";
/// This side's IPv6 address. Of the prefix for documentation: it counts as global, so that RFC 6724 puts it
/// before any IPv4 address, which it would not do with a unique local one.
pub const HOST_V6: &str = "2001:db8:9::1";
/// This side's link-local address.
pub const HOST_LOCAL: &str = "fe80::1";
/// Nobody has it, though it is on the link.
pub const DEAD_V6: &str = "2001:db8:9::66";

/// A namespace with servers; dropping it ends them and removes it.
///
/// The processes in it end with the thread that starts them at the latest (see [`guard`]), so that thread must
/// be the one which keeps the network.
#[derive(Debug)]
pub struct Network {
    name: String,
    scratch: Scratch,
    servers: Vec<Server>,
    /// The other ends are with our own servers' threads, which end when this is closed.
    running: (UnixStream, UnixStream),
}

#[derive(Debug)]
struct Server {
    child: Child,
    log: PathBuf,
}

impl Network {
    /// A namespace whose `tap0` has both [`HOST`] and [`HOST_V6`]; [`Skip`] where none can be made.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let network = Self {
            name: format!("{PREFIX}{}-{number}", process::id()),
            scratch: Scratch::new("net")?,
            servers: Vec::new(),
            running: UnixStream::pair()?,
        };
        // without the right to make namespaces, in a chroot, where they cannot be mounted, or without IPv6
        let skip = |error| Skip(format!("no network namespace can be made here: {error:#}"));
        ip(&["netns", "add", &network.name]).map_err(skip)?;
        network.enter(|| Ok(())).map_err(skip)?;
        network.ip("link set lo up").map_err(skip)?;
        network.ip("tuntap add tap0 mode tap").map_err(skip)?;
        // never one that a machine of QEMU's could have
        network.ip("link set tap0 address 02:00:00:00:00:01")?;
        // no waiting for duplicates of addresses that are ours alone, and none but those below
        network.sysctl("ipv6/conf/tap0/accept_dad", "0").map_err(skip)?;
        network.sysctl("ipv6/conf/tap0/addr_gen_mode", "1").map_err(skip)?;
        network.ip(&format!("address add {HOST}/24 dev tap0"))?;
        network.ip(&format!("address add {HOST_2}/24 dev tap0"))?;
        network.ip(&format!("address add {HOST_V6}/64 dev tap0 nodad"))?;
        network.ip(&format!("address add {HOST_LOCAL}/64 dev tap0 nodad"))?;
        network.ip("link set tap0 up")?;
        Ok(network)
    }

    /// Removes the namespaces that processes have left which were killed.
    pub fn sweep() {
        let Ok(entries) = fs::read_dir(NAMES) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if owner(name).is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                // it may be going away at this moment
                let _ = ip(&["netns", "delete", name]);
            }
        }
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A directory for the servers' files.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// `program` inside; the process is the program's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = guard::command("nsenter");
        command.env("PATH", path());
        command.arg(format!("--net={NAMES}/{}", self.name)).arg(program);
        command
    }

    /// What `ip` does with these words, inside.
    pub fn ip(&self, words: &str) -> Result<()> {
        ip(&["-n", &self.name].into_iter().chain(words.split(' ')).collect::<Vec<_>>())
    }

    /// Sets a variable below /proc/sys/net.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.enter(|| fs::write(format!("/proc/sys/net/{name}"), value).context("no such sysctl"))
            .with_context(|| format!("cannot set {name}"))
    }

    /// Adds rules of nftables for the packets that come in, such as `tcp dport 80 drop`; [`Skip`] where the kernel
    /// has none.
    pub fn filter(&self, rules: &[&str]) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let skip = |error| Skip(format!("no nftables here: {error:#}"));
        self.nft("table inet test { }\n").map_err(skip)?;
        let rules = rules.join("\n");
        let hook = "type filter hook input priority 0; policy accept;";
        self.nft(&format!("table inet test {{ chain input {{ {hook}\n{rules}\n}}\n}}\n"))
    }

    fn nft(&self, text: &str) -> Result<()> {
        let mut command = self.command("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child.stdin.take().context("no pipe to nft")?.write_all(text.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "nft does not take {text:?}: {}", said.trim());
        Ok(())
    }

    /// Does `work` in a thread inside. The sockets that it makes stay inside, whoever uses them later.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let space = File::open(format!("{NAMES}/{}", self.name))?;
        let inside = move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        thread::scope(|scope| {
            scope.spawn(inside).join().unwrap_or_else(|_| Err(anyhow!("a thread inside panicked")))
        })
    }

    /// What becomes readable at the network's end.
    pub fn end(&self) -> Result<UnixStream> {
        Ok(self.running.1.try_clone()?)
    }

    /// Starts a server and waits until `ready` succeeds inside.
    pub fn start(
        &mut self,
        name: &str,
        mut command: Command,
        ready: impl Fn() -> Result<()> + Sync,
    ) -> Result<()> {
        let log = self.scratch.path().join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let mut server = Server { child, log };
        let limit = Instant::now() + Duration::from_secs(20);
        while self.enter(&ready).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended at once ({status}): {}", server.said().trim());
            }
            ensure!(Instant::now() < limit, "{name} does not answer: {}", server.said().trim());
            thread::sleep(Duration::from_millis(10));
        }
        self.servers.push(server);
        Ok(())
    }

    /// What the server `name` has said so far.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path().join(format!("{name}.log"))).unwrap_or_default()
    }
}

impl Server {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // one that has ended by itself is no longer there to be ended
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
        // never made where namespaces cannot be
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.env("PATH", path()).args(words).stdin(Stdio::null());
    let output = command.output().context("no ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}

/// The servers are where root's programs are, which need not be in the path of one who became root.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// The process number in the name of a namespace of ours.
fn owner(name: &str) -> Option<&str> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    (is_number(pid) && is_number(number)).then_some(pid)
}

const PREFIX: &str = "image-test-";
/// Where `ip` keeps the names of namespaces.
const NAMES: &str = "/run/netns";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_ours_have_an_owner() {
        assert_eq!(owner("image-test-123-0"), Some("123"));
        for name in ["image-test-123", "image-test-x-0", "image-test--1", "docker-1-2"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
