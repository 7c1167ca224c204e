//! Tests of streams to the host: a machine without any network, served by vhost-device-vsock.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::files::Content;
use super::host_tool::Test;
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use crate::guard;
use crate::install::Package;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them; they are about machines only.
pub const TESTS: [(&str, Test); 6] = [
    ("vsock: octets both ways as they are, without a network", both_ways),
    ("vsock: the same on microvm", on_microvm),
    ("vsock: a peer that ends first ends it", ended),
    ("vsock: a port that does not answer is waited for as long as said", silent),
    ("vsock: a machine without the device says how to add one", absent),
    ("vsock: a machine that ends before it connects ends the test's peer", never_connected),
];

/// What serves the device.
const DEVICE: Package = Package { name: "vhost-device-vsock", release: "0.3.0" };
/// Where the host's programs listen.
const PORT: u32 = 5000;

/// A device, and the host's end of one port.
struct Host {
    scratch: Scratch,
    device: Child,
    listener: UnixListener,
}

impl Host {
    fn start(workspace: &Workspace) -> Result<Self> {
        let program = DEVICE.program(workspace);
        if !program.is_file() {
            DEVICE.install(workspace, "the tests of vsock need vhost-device-vsock", false)?;
        }
        let scratch = Scratch::new("vsock")?;
        let ports = ports(&scratch);
        let listener = UnixListener::bind(format!("{}_{PORT}", ports.display()))?;
        let mut command = guard::command(program);
        command.arg("--guest-cid=3").arg("--uds-path").arg(ports);
        command.arg("--socket").arg(socket(&scratch));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut device = command.spawn().context("cannot start vhost-device-vsock")?;
        let limit = Instant::now() + Duration::from_secs(20);
        while !socket(&scratch).exists() {
            if let Some(status) = device.try_wait()? {
                bail!("vhost-device-vsock ended with {status}");
            }
            ensure!(Instant::now() < limit, "vhost-device-vsock makes no socket");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { scratch, device, listener })
    }

    /// Runs the image on `target` with these words while `peer` speaks with what connects.
    fn run<T: Send>(
        &self,
        target: Target,
        words: &[&str],
        stdin: impl Into<Stdio>,
        peer: impl FnOnce(UnixStream) -> Result<T> + Send,
    ) -> Result<(Output, T)> {
        thread::scope(|scope| {
            let (sender, accepted) = mpsc::channel();
            let peer = scope.spawn(move || {
                let stream = self.listener.accept()?.0;
                // nobody listens any more once the machine has ended
                let _ = sender.send(());
                peer(stream)
            });
            let uri = format!("vsock://2:{PORT}");
            let mut command = self.command(target, &[&[uri.as_str()], words].concat());
            command.stdin(stdin);
            let output = Output::of(command, Feed::Nothing);
            // a machine that never connected leaves the peer where only a connection ends it
            if accepted.try_recv().is_err() {
                drop(UnixStream::connect(self.port())?);
            }
            let said = peer.join().expect("the peer's thread does not panic");
            let output = output?;
            ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
            Ok((output, said?))
        })
    }

    /// Where the host's end of the port listens.
    fn port(&self) -> String {
        format!("{}_{PORT}", ports(&self.scratch).display())
    }

    /// Runs the image with the device, no network and these words.
    fn command(&self, target: Target, words: &[&str]) -> Command {
        let mut command = without_network(target);
        command.arg(format!("--vsock=socket={}", socket(&self.scratch).display()));
        command.arg("--").args(words);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // it ends with its machine or not at all
        let _ = self.device.kill();
        let _ = self.device.wait();
    }
}

fn socket(scratch: &Scratch) -> PathBuf {
    scratch.path().join("device")
}

/// What the paths of ports begin with.
fn ports(scratch: &Scratch) -> PathBuf {
    scratch.path().join("port")
}

fn both_ways(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    exchange(workspace, peers, Target::Qemu)
}

fn on_microvm(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    exchange(workspace, peers, Target::Microvm)
}

fn exchange(workspace: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let host = Host::start(workspace)?;
    let (path, sent) = peers.files().make("10M")?;
    let (answer, printed) = peers.files().make("16M")?;
    let (output, seen) = host.run(target, &[], File::open(path)?, |mut stream| {
        let (mut writer, mut answer) = (stream.try_clone()?, File::open(answer)?);
        let write = thread::spawn(move || std::io::copy(&mut answer, &mut writer));
        // until then the machine may send no more than there is room for
        thread::sleep(Duration::from_millis(300));
        let mut digest = Sha256::new();
        // the device passes no half-close on: the length says where the end is
        let length = std::io::copy(&mut (&mut stream).take(sent.length), &mut digest)?;
        write.join().expect("it only copies")?;
        Ok(Content { length, digest: digest.finalize().into() })
    })?;
    ensure!(seen == sent, "what the machine sent is not what it was given: {seen:?}");
    ensure!(output.content == printed, "what the machine printed is not what it was sent");
    Ok(())
}

fn ended(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let host = Host::start(workspace)?;
    let words = ["--send=hello", "--report=json"];
    let (output, ()) = host.run(Target::Qemu, &words, Stdio::null(), |mut stream| {
        let mut said = [0; 5];
        stream.read_exact(&mut said)?;
        ensure!(&said == b"hello", "it said {said:?}");
        stream.write_all(b"goodbye")?;
        Ok(())
    })?;
    ensure!(output.stdout == b"goodbye", "not what the peer said");
    ensure!(output.stderr.contains("\"vsock\""), "no step of vsock: {}", output.stderr);
    Ok(())
}

fn silent(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let host = Host::start(workspace)?;
    // this device does not refuse a port on which nobody listens
    let command = host.command(Target::Qemu, &["vsock://2:5001", "--connect-timeout=500ms"]);
    told(command, 75, "connect 2:5001: no answer within 500ms")
}

fn absent(_: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let mut command = without_network(Target::Qemu);
    command.args(["--", "vsock://2:5000"]);
    told(command, 69, "--vsock")
}

fn never_connected(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let host = Host::start(workspace)?;
    let refused = host.run(Target::Qemu, &["--no-such-argument"], Stdio::null(), |_| Ok(()));
    let error = refused.err().context("a machine that refuses its arguments passed")?.to_string();
    ensure!(error.starts_with("exit Some(64)"), "{error}");
    Ok(())
}

fn without_network(target: Target) -> Command {
    let mut command = run_command();
    command.arg(format!("--target={target}")).args(["--net=none", "--kill-after=60s"]);
    command
}

fn told(mut command: Command, exit: i32, text: &str) -> Result<()> {
    command.stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(exit), "exit {:?}: {}", output.exit, output.stderr);
    let lines = output.stderr.lines().count();
    ensure!(lines == 1 && output.stderr.contains(text), "it said: {}", output.stderr);
    Ok(())
}
