//! A client and a git daemon on the simulated wire. Behind the daemon is the `git` command, asked once for each message;
//! what it answers goes through a script that may change anything.

use client::dialer::Dialer;
use client::dns::{Options, Resolver};
use client::flow::git::Service;
use client::flows::Flows;
use client::git::Context;
use client::trace::Trace;
use client::{Error, Exit};
use core::time::Duration;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use mimic::report::AttemptResult;
use mimic::{BoxFlow, Ctx, Policy, Registry};
use proto::git::Format;
use proto::git::oid::Hasher;
use proto::git::pack::Limits;
use proto::git::pkt::{self, Packet};
use stack::sim::{Host, Link, Network};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A repository of the `git` command's, in a directory that goes away with it.
pub struct Repository {
    pub directory: PathBuf,
}

impl Repository {
    pub fn new(arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("git-{}-{number}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let repository = Self { directory };
        repository.git(&[&["init", "-q", "-b", "main"], arguments].concat());
        repository
    }

    /// Three commits, two tags, a directory, a link, a submodule, names too long for a header.
    pub fn filled(arguments: &[&str]) -> Self {
        let repository = Self::new(arguments);
        let lines: String = (0..500).map(|line| format!("line {line}\n")).collect();
        repository.write("dir/deep/file", &lines);
        repository.write("run", "#!/bin/sh\n");
        repository.write(&format!("{}/{}/n", "l".repeat(80), "m".repeat(90)), "long\n");
        repository.write(&"q".repeat(180), "long\n");
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(to, repository.directory.join(at)).unwrap();
        };
        link("deep/file", "dir/link");
        link(&"q".repeat(180), "long-link");
        repository.git(&["add", "-A"]);
        repository.git(&["update-index", "--chmod=+x", "run"]);
        let hex = if arguments.is_empty() { 40 } else { 64 };
        let module = format!("160000,{},module", "1".repeat(hex));
        repository.git(&["update-index", "--add", "--cacheinfo", &module]);
        repository.git(&["commit", "-q", "-m", "first"]);
        repository.git(&["tag", "-a", "-m", "one", "v1"]);
        repository.write("dir/deep/file", &(lines + "more\n"));
        for message in ["second", "third"] {
            repository.git(&["commit", "-q", "--allow-empty", "-m", message, "dir"]);
        }
        repository.git(&["tag", "light"]);
        repository
    }

    pub fn git(&self, arguments: &[&str]) -> Vec<u8> {
        self.git_with(arguments, "", b"")
    }

    /// Runs git with protocol and input; gives its standard output.
    pub fn git_with(&self, arguments: &[&str], protocol: &str, input: &[u8]) -> Vec<u8> {
        self.run("1700000000", arguments, protocol, input)
    }

    /// Runs git at that time, in seconds since 1970.
    pub fn git_at(&self, time: &str, arguments: &[&str]) -> Vec<u8> {
        self.run(time, arguments, "", b"")
    }

    fn run(&self, time: &str, arguments: &[&str], protocol: &str, input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("git");
        for person in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{person}_NAME"), "A");
            command.env(format!("GIT_{person}_EMAIL"), "a@example.org");
            command.env(format!("GIT_{person}_DATE"), format!("@{time} +0000"));
        }
        let mut child = command
            .args(arguments)
            .current_dir(&self.directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROTOCOL", protocol)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the git command (scripts/setup installs it)");
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().unwrap().stdout
    }

    pub fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.git(arguments)).unwrap().trim().to_owned()
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The names of all objects, in order.
    pub fn objects(&self, of: &[&str]) -> Vec<String> {
        let listed = self.text(&[&["rev-list", "--objects"], of].concat());
        let mut ids: Vec<_> =
            listed.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Changes the answer to the message of that number, from 0 for the first words; `None` ends the connection there.
pub type Tamper = Arc<dyn Fn(usize, Vec<u8>) -> Option<Vec<u8>> + Send + Sync>;

pub struct World {
    pub network: Network,
    client: Host,
    registry: Registry,
    flows: Flows,
    pub context: Context,
}

impl World {
    /// With a daemon that serves `repository` in the newest protocol that is at most `protocol`.
    pub fn new(repository: &Repository, protocol: u8, tamper: Tamper) -> Self {
        let mut network = Network::new(7);
        let client = network.host("10.0.0.1/24", Link::default());
        let server = network.host("10.0.0.2/24", Link::default());
        network.set_limit(Duration::from_secs(600));
        let directory = repository.directory.clone();
        network.serve(&server, 9418, move |stream| {
            let daemon = Daemon { directory: directory.clone(), protocol, tamper: tamper.clone() };
            async move {
                let _ = daemon.serve(stream).await;
            }
        });
        let mut registry = Registry::new();
        let flows = Flows::register(&mut registry);
        let context = Context {
            net: Arc::new(client.net.clone()),
            idle: Some(Duration::from_secs(5)),
            trace: Trace::default(),
            target: "git://10.0.0.2/r".into(),
            limits: Limits::default(),
        };
        Self { network, client, registry, flows, context }
    }

    /// A flow to the repository, by the registry alone.
    pub fn flow(&mut self, service: Service) -> Result<BoxFlow, Error> {
        let target = self.context.target.parse().unwrap();
        let dialer = Dialer {
            net: Arc::new(self.client.net.clone()),
            race: Default::default(),
            only: None,
            memory: Arc::default(),
            resolver: Resolver::new(Options::default()),
            limit: Duration::from_secs(10),
            trace: Trace::default(),
        };
        let flows = &self.flows;
        let (ssh, tls) = Default::default();
        let options = client::options::Flows { ssh: &ssh, tls: &tls };
        let ctx = flows.aim(&flows.derive(&Ctx::new()), &target, options);
        let ctx = flows.git.ask(ctx.add(&flows.dialer, dialer), &target, service);
        let connect = async { self.registry.resolve(&ctx, &Policy::default()).await };
        match self.network.run(connect).unwrap() {
            Ok(connected) => Ok(connected.flow),
            Err(error) => match &error.report().attempts[0].result {
                AttemptResult::Failed(error) => {
                    Err(client::error::find_as::<Error>(&**error).unwrap().clone())
                }
                other => panic!("{other:?}"),
            },
        }
    }
}

struct Daemon {
    directory: PathBuf,
    protocol: u8,
    tamper: Tamper,
}

impl Daemon {
    async fn serve(&self, mut stream: stack::smol::TcpStream) -> std::io::Result<()> {
        let mut buf = vec![0; 64 * 1024];
        let mut message = Vec::new();
        while !message.ends_with(b"\0\0version=2\0") && !message.ends_with(b"host=10.0.0.2\0") {
            match stream.read(&mut buf).await? {
                0 => return Ok(()),
                len => message.extend_from_slice(&buf[..len]),
            }
        }
        let pushes = message[4..].starts_with(b"git-receive-pack ");
        let program = if pushes { "receive-pack" } else { "upload-pack" };
        let mut arguments = vec![program, "--http-backend-info-refs", "."];
        let mut answer = self.ask(&arguments, b"");
        arguments[1] = "--stateless-rpc";
        for number in 0.. {
            let Some(octets) = (self.tamper)(number, answer) else { break };
            stream.write_all(&octets).await?;
            stream.flush().await?;
            message.clear();
            while !is_whole(&message, pushes) {
                match stream.read(&mut buf).await? {
                    0 => return stream.close().await,
                    len => message.extend_from_slice(&buf[..len]),
                }
            }
            if message == b"0000" {
                break;
            }
            answer = self.ask(&arguments, &message);
        }
        stream.close().await
    }

    fn ask(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let repository =
            core::mem::ManuallyDrop::new(Repository { directory: self.directory.clone() });
        repository.git_with(arguments, &format!("version={}", self.protocol), input)
    }
}

/// Whether the client's message has come to its end: a flush, the last line of protocol 0, or a pack's checksum.
fn is_whole(message: &[u8], pushes: bool) -> bool {
    if !pushes {
        return message.ends_with(b"0000") || message.ends_with(b"0009done\n");
    }
    let mut deletes = true;
    let mut rest = message;
    while let Ok(Some((packet, len))) = pkt::parse(rest) {
        rest = &rest[len..];
        let Packet::Data(line) = packet else { break };
        let new = line.split(|octet| *octet == b' ').nth(1).unwrap();
        deletes &= new.iter().all(|digit| *digit == b'0');
    }
    let Some((pack, tail)) = rest.split_last_chunk::<20>() else {
        return deletes && message.ends_with(b"0000");
    };
    let mut checksum = Hasher::checksum(Format::Sha1);
    checksum.update(pack);
    checksum.finish().unwrap().octets() == tail
}

/// What a failed exchange says, and its exit code.
pub fn said(error: &Error) -> (Exit, String) {
    (error.exit(), error.to_string())
}
