//! A libvirt daemon of the test's own: a session's, for a user without rights, in a directory that goes with it.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::check::runner::{Feed, Output};
use crate::guard;
use crate::scratch::Scratch;

/// The daemon, while it lives.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    scratch: Scratch,
    /// The domain that it was told to run.
    domain: std::cell::RefCell<Option<String>>,
}

/// Who the daemon is where we are root: root's daemon would be the system's, with users, services and
/// networks of its own.
const NOBODY: u32 = 65534;
/// How long the daemon may take to start, and a domain to run.
const PATIENCE: Duration = Duration::from_secs(30);

impl Daemon {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let scratch = Scratch::new("libvirt")?;
        let directory = scratch.path();
        // a socket's path is short
        for name in ["run", "config/libvirt", "cache", "data"] {
            fs::create_dir_all(directory.join(name))?;
        }
        let socket = format!(
            "unix_sock_dir = \"{}\"\nauth_unix_rw = \"none\"\n",
            directory.join("run").display()
        );
        fs::write(directory.join("config/libvirt/libvirtd.conf"), socket)?;
        // no further daemon for the domains' output
        fs::write(directory.join("config/libvirt/qemu.conf"), "stdio_handler = \"file\"\n")?;
        give(directory)?;
        let log = fs::File::create(directory.join("daemon"))?;
        let child = command(directory, "libvirtd")
            .arg("--pid-file")
            .arg(directory.join("run/pid"))
            .arg("--config")
            .arg(directory.join("config/libvirt/libvirtd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start libvirtd")?;
        let mut daemon = Self { child, scratch, domain: Default::default() };
        let limit = Instant::now() + PATIENCE;
        while !daemon.socket().exists() {
            let ended = daemon.child.try_wait()?.is_some();
            if ended || Instant::now() > limit {
                bail!("libvirtd does not start: {}", daemon.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Where its domains may have their files.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs the domain in `file`, whose name is `name`, to its end.
    pub fn run_domain(&self, file: &Path, name: &str) -> Result<()> {
        give(self.directory())?;
        *self.domain.borrow_mut() = Some(name.into());
        let output = self.virsh(&["create", file.to_str().context("no text")?])?;
        ensure!(output.exit == Some(0), "{} {}", output.stderr, self.log());
        let limit = Instant::now() + PATIENCE;
        // a domain without a definition is gone when it has ended
        while self.virsh(&["domstate", name])?.exit == Some(0) {
            ensure!(Instant::now() < limit, "the domain {name} does not end");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn virsh(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = command(self.directory(), "virsh");
        command.arg("--connect");
        command.arg(format!("qemu+unix:///session?socket={}", self.socket().display()));
        command.args(arguments).stdin(Stdio::null());
        Output::of(command, Feed::Nothing)
    }

    fn socket(&self) -> PathBuf {
        self.directory().join("run/libvirt-sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory().join("daemon")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // machines outlive their daemon
        if let Some(name) = self.domain.take() {
            let _ = self.virsh(&["destroy", &name]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `program` as the daemon's user, whose home is `directory`.
fn command(directory: &Path, program: &str) -> Command {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = guard::command("setpriv");
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
        // the change of user would take the signal at our end back
        command.args(["--clear-groups", "--pdeathsig", "KILL", program]);
        command
    } else {
        guard::command(program)
    };
    command.env("PATH", path).env("HOME", directory).current_dir(directory);
    for (name, place) in
        [("RUNTIME_DIR", "run"), ("CONFIG_HOME", "config"), ("CACHE_HOME", "cache")]
    {
        command.env(format!("XDG_{name}"), directory.join(place));
    }
    command.env("XDG_DATA_HOME", directory.join("data"));
    command
}

/// Makes all in `directory` that user's.
fn give(directory: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    chown(directory, Some(NOBODY), Some(NOBODY))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => give(&entry.path())?,
            false => std::os::unix::fs::lchown(entry.path(), Some(NOBODY), Some(NOBODY))?,
        }
    }
    Ok(())
}
