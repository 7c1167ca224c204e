//! The servers that scenarios talk to: real ones on this host's loopback, started when first named and ended
//! by their process number.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::files::Files;
use super::git::{self, Repositories};
use super::relay::Mischief;
use super::trixie::Trixie;
use super::{sshd, threads};
use crate::certificate::{Authority, Dates, Leaf, NAMES};
use crate::guard;
use crate::manifest::Target;
use crate::scratch::Scratch;

/// All peers of one run of the tests.
#[derive(Debug)]
pub struct Peers {
    scratch: Scratch,
    files: Files,
    repositories: Repositories,
    authority: Authority,
    leaves: BTreeMap<&'static str, Leaf>,
    ports: BTreeMap<String, u16>,
    servers: Vec<Server>,
    /// Made when first named.
    keys: Option<sshd::Keys>,
}

/// The servers' certificates by what is right or wrong with them.
const CERTIFICATES: [&str; 7] =
    ["valid", "expired", "not-yet-valid", "wrong-name", "self-signed", ASKS, CLIENT];

/// Valid, and the server wants to know who its clients are.
const ASKS: &str = "asks";
/// A client's.
const CLIENT: &str = "client";

impl Peers {
    /// None started yet.
    pub fn new() -> Result<Self> {
        Scratch::sweep();
        let scratch = Scratch::new("test").context("cannot make a directory for the tests")?;
        let www = scratch.path().join("www");
        fs::create_dir(&www)?;
        let authority = Authority::new("the tests' private authority")?;
        let mut leaves = BTreeMap::new();
        for kind in CERTIFICATES {
            let leaf = match kind {
                "expired" => authority.sign(&NAMES, Dates::Expired)?,
                "not-yet-valid" => authority.sign(&NAMES, Dates::NotYetValid)?,
                "wrong-name" => authority.sign(&["other.test"], Dates::Valid)?,
                "self-signed" => Leaf::self_signed(&NAMES)?,
                _ => authority.sign(&NAMES, Dates::Valid)?,
            };
            fs::write(scratch.path().join(format!("{kind}.pem")), leaf.pem())?;
            leaves.insert(kind, leaf);
        }
        fs::write(scratch.path().join("authority.pem"), authority.pem())?;
        let files = Files::new(&www);
        let repositories = Repositories::new(scratch.path().join("git"));
        let (ports, servers) = (BTreeMap::new(), Vec::new());
        let keys = None;
        Ok(Self { scratch, files, repositories, authority, leaves, ports, servers, keys })
    }

    /// The files that they serve.
    pub fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// What `{name}` stands for on `target`: see the scenarios' README. Starts the peer that is named.
    pub fn value(&mut self, name: &str, target: Target) -> Result<String> {
        let host = host(target);
        match name {
            "host" => return Ok(host.into()),
            "unreachable" => return Ok(unreachable(target).into()),
            "repositories" => return Ok(self.repositories.directory()?.display().to_string()),
            "trust" => return Ok(self.authority.authenticator()),
            "user" => return sshd::user(),
            "client-cert" => return Ok(self.leaves[CLIENT].certificate_word()),
            "client-key" => return Ok(self.leaves[CLIENT].key_word()),
            "client-pem" => return Ok(self.leaves[CLIENT].pem()),
            "other-key" => return Ok(self.leaves["valid"].key_word()),
            _ => {}
        }
        if let Some(key) = name.strip_prefix("ssh-key:") {
            return self.keys()?.private(key);
        }
        let (name, part) = name.split_once('.').unwrap_or((name, ""));
        // the answer depends on who asks
        let peer = if name == "dns" { format!("dns-{target}") } else { name.to_owned() };
        let port = self.port(&peer)?;
        let leaves = &self.leaves;
        let leaf = || {
            let (_, kind) = certificate_of(name);
            leaves.get(kind).with_context(|| format!("{name} has no certificate"))
        };
        match part {
            "" => Ok(format!("{host}:{port}")),
            "port" => Ok(port.to_string()),
            "pin" => self.keys()?.fingerprint(name),
            "digest" => self.keys()?.digest(name),
            "line" => self.keys()?.line(name),
            "large" => {
                self.repositories.large()?;
                Ok(format!("{host}:{port}"))
            }
            "key" => Ok(leaf()?.key_authenticator()),
            "cert" => Ok(leaf()?.certificate_authenticator()),
            _ => bail!("a peer has no `{part}`"),
        }
    }

    /// A peer's port; starts it if it was not.
    fn port(&mut self, peer: &str) -> Result<u16> {
        if let Some(port) = self.ports.get(peer) {
            return Ok(*port);
        }
        let port = match peer.split_once('~') {
            Some((honest, mischief)) => Mischief::named(mischief)?.start(self.port(honest)?),
            None => self.start(peer),
        };
        let port = port.with_context(|| format!("cannot start the peer {peer}"))?;
        self.ports.insert(peer.into(), port);
        Ok(port)
    }

    fn keys(&mut self) -> Result<&sshd::Keys> {
        match &mut self.keys {
            Some(keys) => Ok(keys),
            slot => Ok(slot.insert(sshd::Keys::new(&self.scratch.path().join("ssh"))?)),
        }
    }

    fn start(&mut self, name: &str) -> Result<u16> {
        if let Some(peer) = threads::Peer::named(name) {
            return peer.start(&self.leaves["valid"]);
        }
        if let Some(port) = threads::start_script(name, &self.leaves["valid"])? {
            return Ok(port);
        }
        if let Some(port) = threads::start_hostile(name)? {
            return Ok(port);
        }
        if name == "tinysshd-strict" {
            let trixie = Trixie::get()?;
            return self.keys()?.tiny_of(trixie);
        }
        if name == "tinysshd" {
            return self.keys()?.tiny();
        }
        let port = free_port()?;
        let mut command = match name {
            "nghttpd" | "nghttpd-valid" => self.nghttpd(name, port),
            "haproxy" | "haproxy-tls" => self.haproxy(name, port)?,
            "tinyproxy" => self.tinyproxy(port)?,
            "python" => {
                let mut python = guard::command("python3");
                python.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
                python.arg(self.files.directory()).arg(port.to_string());
                python
            }
            "git" => self.repositories.daemon(guard::command, "127.0.0.1", port)?,
            "dns-unix" | "dns-qemu" => {
                let target = if name == "dns-unix" { Target::Unix } else { Target::Qemu };
                self.dnsmasq(port, host(target))
            }
            _ if sshd::NEWER.contains(&name) => {
                let trixie = Trixie::get()?;
                self.keys()?.server_of(trixie, name, port)?
            }
            "dropbear" => self.keys()?.dropbear(port)?,
            _ if name.starts_with("sshd") => self.keys()?.server(name, port)?,
            _ => match certificate_of(name) {
                ("nginx", kind) => {
                    // `nginx-git`, `nginx-git-valid`: with repositories
                    let (is_git, kind) = match kind.strip_prefix("git") {
                        Some(kind) => (true, kind.strip_prefix('-').unwrap_or(kind)),
                        None => (false, kind),
                    };
                    let locations = if is_git { self.repositories()? } else { String::new() };
                    self.nginx(name, kind, &locations, port)?
                }
                ("openssl", _) => self.openssl(name, port),
                _ => bail!("there is no peer of that name"),
            },
        };
        let log = fs::File::create(self.scratch.path().join(format!("{name}.log")))?;
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        let mut server = Server { child };
        let ready = match name {
            _ if name.starts_with("dns") => wait_for_dns(port, &mut server),
            _ => wait_for_tcp(port, &mut server),
        };
        if let Err(error) = ready {
            let log = fs::read_to_string(self.scratch.path().join(format!("{name}.log")));
            bail!("{error:#}; it said: {}", log.unwrap_or_default().trim());
        }
        self.servers.push(server);
        Ok(port)
    }

    /// Places of nginx with the git repositories; what serves these is started.
    fn repositories(&mut self) -> Result<String> {
        let (socket, users) =
            (self.scratch.path().join("git.sock"), self.scratch.path().join("users"));
        if !socket.exists() {
            let mut command = git::gateway(&socket);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut server = Server { child: command.spawn()? };
            wait(&mut server, || socket.exists())?;
            self.servers.push(server);
        }
        self.repositories.locations(&socket, &users)
    }

    /// `nginx`, or `nginx-CERTIFICATE[-tlsVERSION]`. One process without workers: nothing outlives it.
    fn nginx(&self, name: &str, kind: &str, locations: &str, port: u16) -> Result<Command> {
        let directory = self.scratch.path().join(name);
        fs::create_dir_all(&directory)?;
        let (listen, tls) = match kind {
            "" => ("", String::new()),
            kind => {
                let versions = match tls_version(name) {
                    Some("12") => "TLSv1.2",
                    Some("13") => "TLSv1.3",
                    _ => "TLSv1.2 TLSv1.3",
                };
                let pem = self.pem(kind);
                let asks = match kind {
                    ASKS => {
                        let authority = self.pem("authority");
                        format!(" ssl_verify_client on; ssl_client_certificate {authority};")
                    }
                    _ => String::new(),
                };
                let tls = format!(
                    "ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols {versions};{asks}"
                );
                (if name.ends_with("-h2") { " ssl http2" } else { " ssl" }, tls)
            }
        };
        let www = self.files.directory().display();
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let text = format!(
            "{user} daemon off; master_process off; worker_processes 1; pid nginx.pid;\n\
             error_log stderr warn;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; default_type application/octet-stream; sendfile on;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             gzip on; gzip_types *; gzip_min_length 1; client_max_body_size 0;\n\
             server {{ listen 127.0.0.1:{port}{listen}; root {www}; {tls}\n\
             location = /token {{ return 200 $http_x_token; }}\n\
             location = /sent {{ return 200 \"$request_method $server_protocol $host $http_authorization $http_cookie\"; }}\n\
             location = /to {{ return 302 $arg_to; }}\n\
             location = /kept {{ return 307 $arg_to; }}\n\
             location = /none {{ return 204; }}\n{locations} }} }}\n"
        );
        fs::write(directory.join("nginx.conf"), text)?;
        let program =
            if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = guard::command(program);
        command.arg("-p").arg(&directory).args(["-e", "stderr", "-c", "nginx.conf"]);
        Ok(command)
    }

    /// `nghttpd` in clear text, `nghttpd-valid` under TLS: HTTP/2 alone, by another hand than nginx's.
    fn nghttpd(&self, name: &str, port: u16) -> Command {
        let mut command = guard::command("nghttpd");
        command.args(["--address=127.0.0.1", "--echo-upload", "--trailer=x-end: reached"]);
        command.arg("-d").arg(self.files.directory());
        if name == "nghttpd" {
            command.arg("--no-tls").arg(port.to_string());
        } else {
            let pem = self.pem("valid");
            command.args([&port.to_string(), &pem, &pem]);
        }
        command
    }

    /// `haproxy` in clear text, `haproxy-tls` with both versions by ALPN: in front of nginx.
    fn haproxy(&mut self, name: &str, port: u16) -> Result<Command> {
        let behind = self.port("nginx")?;
        let tls = match name {
            "haproxy" => String::new(),
            _ => format!(" ssl crt {} alpn h2,http/1.1", self.pem("valid")),
        };
        let text = format!(
            "global\n maxconn 64\n tune.ssl.default-dh-param 2048\n\
             defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend in\n bind 127.0.0.1:{port}{tls}\n default_backend out\n\
             backend out\n server nginx 127.0.0.1:{behind}\n"
        );
        let file = self.scratch.path().join(format!("{name}.cfg"));
        fs::write(&file, text)?;
        let program =
            if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" };
        let mut command = guard::command(program);
        command.args(["-db", "-f"]).arg(file);
        Ok(command)
    }

    /// A proxy that tunnels (`CONNECT`) for `me` with the password `hush`.
    fn tinyproxy(&self, port: u16) -> Result<Command> {
        let file = self.scratch.path().join("tinyproxy.conf");
        let text = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth me hush\n");
        fs::write(&file, text)?;
        let mut command = guard::command("tinyproxy");
        command.args(["-d", "-c"]).arg(file);
        Ok(command)
    }

    /// `openssl-CERTIFICATE[-tlsVERSION]`: sends every line back reversed.
    fn openssl(&self, name: &str, port: u16) -> Command {
        let (_, kind) = certificate_of(name);
        let pem = self.pem(kind);
        let mut command = guard::command("openssl");
        command.args(["s_server", "-quiet", "-rev", "-accept", &format!("127.0.0.1:{port}")]);
        command.args(["-cert", &pem, "-key", &pem]);
        if kind == ASKS {
            command.args(["-Verify", "1", "-verify_return_error"]);
            command.args(["-CAfile", &self.pem("authority")]);
        }
        match tls_version(name) {
            Some("12") => command.arg("-tls1_2"),
            Some("13") => command.arg("-tls1_3"),
            _ => &mut command,
        };
        command
    }

    /// Knows `web.test`, and that nothing else under `test` exists.
    fn dnsmasq(&self, port: u16, host: &str) -> Command {
        let program =
            if Path::new("/usr/sbin/dnsmasq").exists() { "/usr/sbin/dnsmasq" } else { "dnsmasq" };
        let mut command = guard::command(program);
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="]);
        command.args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--local=/test/"]);
        command.args([format!("--port={port}"), format!("--address=/web.test/{host}")]);
        command.arg("--listen-address=127.0.0.1");
        if rustix::process::geteuid().is_root() {
            command.arg("--user=root");
        }
        command
    }

    fn pem(&self, kind: &str) -> String {
        self.scratch.path().join(format!("{kind}.pem")).display().to_string()
    }
}

/// `nginx-wrong-name-tls12` is the server `nginx` with the certificate `wrong-name`.
fn certificate_of(name: &str) -> (&str, &str) {
    let name = name.split("-tls").next().unwrap_or(name);
    let name = name.strip_suffix("-h2").unwrap_or(name);
    name.split_once('-').unwrap_or((name, ""))
}

fn tls_version(name: &str) -> Option<&str> {
    name.split_once("-tls").map(|(_, version)| version.strip_suffix("-h2").unwrap_or(version))
}

/// How a target reaches this host's loopback.
fn host(target: Target) -> &'static str {
    match target {
        Target::Unix => "127.0.0.1",
        Target::Qemu | Target::Microvm | Target::Uhyve => "10.0.2.2",
    }
}

/// An address where nobody is: none of QEMU's own on the machine's network, and for a process one that the
/// kernel refuses before any packet leaves.
fn unreachable(target: Target) -> &'static str {
    match target {
        Target::Unix => "255.255.255.255",
        Target::Qemu | Target::Microvm | Target::Uhyve => "10.0.2.77",
    }
}

/// A server process; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts one and waits until it takes connections at `port` of 127.0.0.1.
    pub fn start(mut command: Command, port: u16) -> Result<Self> {
        let mut server = Self { child: command.spawn()? };
        wait_for_tcp(port, &mut server)?;
        Ok(server)
    }

    fn is_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended at once ({status})"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended by itself; the scenarios have told so
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that nobody has, and that nobody gets by asking the kernel for any.
pub fn free_port() -> Result<u16> {
    /// Below those that Linux gives to whoever wants any (`ip_local_port_range`, 32768 on).
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // other runs of the tests begin elsewhere
    let start = std::process::id().wrapping_mul(251) % u32::from(COUNT);
    for _ in 0..COUNT {
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + ((start + number) % u32::from(COUNT)) as u16;
        // two sockets, so that the port is free for both kinds
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        if listener.is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1")
}

fn wait_for_tcp(port: u16, server: &mut Server) -> Result<()> {
    wait(server, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
}

fn wait_for_dns(port: u16, server: &mut Server) -> Result<()> {
    // the root's name servers: any answer will do
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01";
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    wait(server, || socket.send(query).is_ok() && socket.recv(&mut [0; 512]).is_ok())
}

fn wait(server: &mut Server, mut ready: impl FnMut() -> bool) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(20);
    while !ready() {
        server.is_running()?;
        if Instant::now() > limit {
            bail!("it does not answer");
        }
        thread::sleep(Duration::from_millis(10));
    }
    server.is_running()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_server_certificate_and_version() {
        assert_eq!(certificate_of("nginx"), ("nginx", ""));
        assert_eq!(certificate_of("nginx-valid"), ("nginx", "valid"));
        assert_eq!(certificate_of("nginx-wrong-name-tls12"), ("nginx", "wrong-name"));
        assert_eq!(tls_version("openssl-valid-tls13"), Some("13"));
        assert_eq!(tls_version("nginx-valid"), None);
    }

    #[test]
    fn values_without_a_server() {
        let mut peers = Peers::new().unwrap();
        assert_eq!(peers.value("host", Target::Qemu).unwrap(), "10.0.2.2");
        assert_eq!(peers.value("host", Target::Unix).unwrap(), "127.0.0.1");
        assert!(peers.value("trust", Target::Unix).unwrap().starts_with("trust-anchor:"));
        assert!(peers.value("nobody", Target::Unix).is_err());
        let closed = peers.value("closed", Target::Unix).unwrap();
        assert!(TcpStream::connect(closed).is_err());
    }
}
