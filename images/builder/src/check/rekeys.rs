//! Keys exchanged anew in the middle of 64 MiB each way through OpenSSH's server, at the wish of either side, and counted.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use ssh::{
    ChannelId, Config, Connection, Credential, Event, Exec, Exit, NoRandomness, Pin, PrivateKey,
    Stream,
};

use super::files::Content;
use super::host_tool::Test;
use super::peers::Peers;
use super::runner::{Feed, Output, run_command};
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// Of the program on each target.
pub const TESTS: [(&str, Test); 1] =
    [("ssh: keys are exchanged anew at the server's wish", at_theirs)];

/// Of the library, on this host alone: no boot argument sets after how many octets.
pub const OWN: [(&str, Test); 1] = [("ssh: keys are exchanged anew at the client's wish", at_ours)];

const FILE: &str = "64M";
/// Fewer than one each MiB: the server counts what is on its way as well.
const LEAST: usize = 32;

/// The server's `RekeyLimit` is 1M.
fn at_theirs(_: &Workspace, peers: &mut Peers, target: Target) -> Result<()> {
    let scratch = Scratch::new("rekeys")?;
    let key = scratch.path().join("key");
    fs::write(&key, peers.value("ssh-key:ed25519", target)?)?;
    let (path, content) = peers.files().make(FILE)?;
    let mut command = run_command();
    command.arg(format!("--target={target}")).arg(format!("--secret=ssh-key={}", key.display()));
    let user = peers.value("user", target)?;
    command.args(["--kill-after=240s", "--"]);
    command.arg(format!("ssh://{user}@{}/", peers.value("sshd-rekey", target)?));
    command.arg(format!("--ssh-authenticator={}", peers.value("sshd-rekey.pin", target)?));
    command.args(["--exec=cat", "--explain"]).stdin(File::open(path)?);
    let output = Output::of(command, Feed::Nothing)?;
    ensure!(output.exit == Some(0), "exit {:?}: {}", output.exit, output.stderr);
    ensure!(output.content == content, "{} octets of output are wrong", output.content.length);
    let (_, count) = output.stderr.split_once("keys exchanged anew: ").context("none is told")?;
    let count: usize = count.lines().next().unwrap_or_default().trim().parse()?;
    ensure!(count >= LEAST, "only {count}: {}", output.stderr);
    Ok(())
}

/// Ours is a MiB.
fn at_ours(_: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let pin: Pin = peers.value("sshd.pin", Target::Unix)?.parse()?;
    let key = PrivateKey::from_openssh(&peers.value("ssh-key:ed25519", Target::Unix)?, None)?;
    let config = Config {
        user: peers.value("user", Target::Unix)?,
        credentials: vec![Credential::Key(key.into())],
        rekey_octets: 1 << 20,
        ..Config::default()
    };
    let (path, content) = peers.files().make(FILE)?;
    let tcp = TcpStream::connect(peers.value("sshd", Target::Unix)?)?;
    tcp.set_nonblocking(true)?;
    let random =
        |octets: &mut [u8]| File::open("/dev/urandom").and_then(|mut it| it.read_exact(octets));
    let begin = Instant::now();
    let random = Box::new(move |octets: &mut [u8]| random(octets).map_err(|_| NoRandomness));
    let mut client = Client {
        connection: Connection::new(config, random, begin.elapsed())?,
        tcp,
        begin,
        input: Vec::new(),
        exchanges: 0,
        channel: None,
        exit: None,
    };
    let (length, digest) = client.echo(&pin, &fs::read(path)?)?;
    ensure!(Content { length, digest } == content, "{length} octets of output are wrong");
    ensure!(client.exit == Some(Exit::Status(0)), "{:?}", client.exit);
    ensure!(client.exchanges >= LEAST, "only {}", client.exchanges);
    Ok(())
}

/// A connection, and what is known of it.
struct Client {
    connection: Connection,
    tcp: TcpStream,
    begin: Instant,
    input: Vec<u8>,
    /// Of keys, the first one apart.
    exchanges: usize,
    channel: Option<ChannelId>,
    exit: Option<Exit>,
}

impl Client {
    /// Sends all of `data` through `cat`: length and digest of what comes back.
    fn echo(&mut self, pin: &Pin, data: &[u8]) -> Result<(u64, [u8; 32])> {
        const LIMIT: Duration = Duration::from_secs(240);
        let (mut digest, mut length, mut rest) = (Sha256::new(), 0, data);
        let mut buf = vec![0; 64 << 10];
        while self.begin.elapsed() < LIMIT {
            let mut moved = self.step(pin)?;
            if let Some(channel) = self.channel {
                let written = self.connection.write(channel, rest);
                rest = &rest[written..];
                if rest.is_empty() && written > 0 {
                    self.connection.finish(channel);
                }
                moved |= written > 0;
                match self.connection.read(channel, Stream::Stdout, &mut buf) {
                    Some(0) if self.exit.is_some() => {
                        return Ok((length, digest.finalize().into()));
                    }
                    Some(0) | None => {}
                    Some(len) => {
                        digest.update(&buf[..len]);
                        length += len as u64;
                        moved = true;
                    }
                }
            }
            if !moved {
                thread::sleep(Duration::from_millis(1));
            }
        }
        bail!("not done after {LIMIT:?}: {length} octets, {} left", rest.len())
    }

    /// Moves what can be moved between connection and socket.
    fn step(&mut self, pin: &Pin) -> Result<bool> {
        let now = self.begin.elapsed();
        let out = self.connection.poll_output();
        let sent = match out.is_empty() {
            true => 0,
            false => none_if_blocked(self.tcp.write(out))?,
        };
        self.connection.handle_sent(sent);
        let mut buf = [0; 64 << 10];
        let got = none_if_blocked(self.tcp.read(&mut buf))?;
        self.input.extend_from_slice(&buf[..got]);
        let used = self.connection.handle_input(now, &self.input)?;
        self.input.drain(..used);
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::HostKey(key) if pin.accepts(&key) => self.connection.accept_host_key(now)?,
                Event::HostKey(key) => bail!("the host key is {key}"),
                Event::Authenticated(_) => {
                    let cat = Exec { command: b"cat".to_vec(), ..Exec::default() };
                    self.connection.exec(cat).context("no channel")?;
                }
                Event::Agreed(_) if self.channel.is_some() => self.exchanges += 1,
                Event::Started(channel) => self.channel = Some(channel),
                Event::Exited(_, exit) => self.exit = Some(exit),
                _ => {}
            }
        }
        Ok(sent + got + used > 0)
    }
}

fn none_if_blocked(moved: std::io::Result<usize>) -> Result<usize> {
    match moved {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        moved => Ok(moved?),
    }
}
