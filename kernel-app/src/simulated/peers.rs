//! The peers that scenarios name, as scripts on a host of the simulated network.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use scripted::{Script, Step};
use sha2::{Digest as _, Sha256};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, RCODE, ResourceRecord};
use stack::sim::{Host, Link, Network};
use stack::smol::{Stack, TcpStream};
use stack::{IpVersion, Net as _};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use time::{Duration, OffsetDateTime};

/// The client, the peers' host, and what they know.
pub struct World {
    /// Both hosts and the clock.
    pub network: Network,
    client: Host,
    server: Host,
    proxy: Host,
    authority: (CertificateParams, KeyPair, Vec<u8>),
    leaves: BTreeMap<String, Arc<Leaf>>,
    ports: BTreeMap<String, u16>,
    connections: Arc<AtomicUsize>,
    flooded: Arc<AtomicUsize>,
}

struct Leaf {
    certificate: Vec<u8>,
    key: KeyPair,
}

const SERVER: &str = "10.0.2.2";
const PROXY: &str = "10.0.2.3";
const NAMES: [&str; 3] = [SERVER, PROXY, "web.test"];
const FIRST_PORT: u16 = 8000;

impl World {
    pub fn new() -> Self {
        let mut network = Network::new(1);
        let client = network.host("10.0.2.15/24 via 10.0.2.2", Link::default());
        let server = network.host("10.0.2.2/24", Link::default());
        let proxy = network.host("10.0.2.3/24", Link::default());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the simulation's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        let authority = (params, key, certificate);
        Self {
            network,
            client,
            server,
            proxy,
            authority,
            leaves: BTreeMap::new(),
            ports: BTreeMap::new(),
            connections: Arc::default(),
            flooded: Arc::default(),
        }
    }

    /// A client that asks for an address where nobody gives one.
    pub fn without_dhcp() -> Self {
        let mut world = Self::new();
        let config = world.network.dhcp_config();
        world.client = world
            .network
            .host_with(config, Link::default())
            .expect("a configuration of the network's own");
        world
    }

    pub fn client(&self) -> &Host {
        &self.client
    }

    /// `text` with the names in braces filled in; the peers that it names are started.
    pub fn fill(&mut self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("an open brace");
            filled += before;
            filled += &self.value(name);
            rest = after;
        }
        filled + rest
    }

    fn value(&mut self, name: &str) -> String {
        match name {
            "host" => return SERVER.into(),
            "user" => return "user".into(),
            "unreachable" => return "10.0.2.99".into(),
            "trust" => return format!("trust-anchor:{}", STANDARD.encode(&self.authority.2)),
            "client-cert" => return STANDARD.encode(&self.leaf("client").certificate),
            "client-key" => return STANDARD.encode(self.leaf("client").key.serialize_der()),
            "client-pem" => {
                let leaf = self.leaf("client");
                let body = STANDARD.encode(&leaf.certificate);
                return format!(
                    "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n{}",
                    leaf.key.serialize_pem()
                );
            }
            "other-key" => return STANDARD.encode(self.leaf("valid").key.serialize_der()),
            _ => {}
        }
        if let Some(size) = name.strip_prefix("file:") {
            return size.into();
        }
        let (peer, part) = name.split_once('.').unwrap_or((name, ""));
        let next = FIRST_PORT + self.ports.len() as u16;
        let port = match self.ports.get(peer) {
            Some(port) => *port,
            None => {
                self.ports.insert(peer.into(), next);
                self.start(peer, next);
                next
            }
        };
        match part {
            "" if peer.starts_with("proxy-") => format!("{PROXY}:{port}"),
            "" => format!("{SERVER}:{port}"),
            "port" => port.to_string(),
            "key" => {
                let leaf = self.leaf(kind_of(peer));
                format!(
                    "key-fp:{}",
                    STANDARD.encode(Sha256::digest(leaf.key.subject_public_key_info()))
                )
            }
            "cert" => {
                let leaf = self.leaf(kind_of(peer));
                format!("cert-fp:{}", STANDARD.encode(Sha256::digest(&leaf.certificate)))
            }
            _ => panic!("a peer has no `{part}`"),
        }
    }

    /// Connections that peers have taken so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Octets that scripts could send of what has no end.
    pub fn flooded(&self) -> usize {
        self.flooded.load(Ordering::Relaxed)
    }

    fn start(&mut self, peer: &str, port: u16) {
        if Script::named(plain(peer)).is_some() {
            return self.start_script(peer, port);
        }
        let kind = kind_of(peer);
        let tls = self.acceptor(if kind.is_empty() { "valid" } else { kind }, peer);
        let server = self.server.clone();
        match peer {
            "closed" => {}
            "dns" => self.network.spawn(dns(server, port)),
            "nginx" | "python" => {
                self.network.serve(&server, port, |stream| quietly(files(stream)))
            }
            "echo" => self.network.serve(&server, port, |stream| quietly(echo(stream))),
            "silent" => self.network.serve(&server, port, |stream| quietly(silent(stream))),
            "flood" => self.network.serve(&server, port, |stream| quietly(flood(stream))),
            "garbage" => self.answer(port, b"220 ready when you are\r\n"),
            "short" => self.answer(port, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort\n"),
            "chunk-cut" => {
                self.answer(
                    port,
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nshort\n\r\n",
                );
            }
            "not-found" => {
                self.answer(port, b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnothing\n")
            }
            "tls-closed" | "tls-cut" => {
                let notify = peer == "tls-closed";
                self.network
                    .serve(&server, port, move |stream| quietly(end(tls.clone(), stream, notify)));
            }
            _ if peer.starts_with("nginx-") => self.network.serve(&server, port, move |stream| {
                let tls = tls.clone();
                quietly(async move { files(tls.accept(stream).await?).await })
            }),
            _ if peer.starts_with("openssl-") => self.network.serve(&server, port, move |stream| {
                let tls = tls.clone();
                quietly(async move { reverse(tls.accept(stream).await?).await })
            }),
            _ => panic!("there is no peer `{peer}`"),
        }
    }

    /// `NAME` in clear text, `NAME-tls` under TLS, which agrees to what the name says.
    fn start_script(&mut self, peer: &str, port: u16) {
        let name = plain(peer).to_owned();
        let tls = (name != peer).then(|| {
            let protocol = if name.starts_with("h2-") { "h2" } else { "http/1.1" };
            self.acceptor_for("valid", "", &[protocol])
        });
        // a proxy reaches the peers from a machine of its own
        let host = if name.starts_with("proxy-") { &self.proxy } else { &self.server };
        let (server, net, count) = (host.clone(), host.net.clone(), self.connections.clone());
        let flooded = self.flooded.clone();
        let before = AtomicUsize::new(0);
        self.network.serve(&server, port, move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            let before = before.fetch_add(1, Ordering::Relaxed);
            let script = Script::named(&name).expect("it was asked for before").behind(before);
            let (net, tls, flooded) = (net.clone(), tls.clone(), flooded.clone());
            quietly(async move {
                match tls {
                    Some(tls) => play(script, tls.accept(stream).await?, &net, &flooded).await,
                    None => play(script, stream, &net, &flooded).await,
                }
            })
        });
    }

    fn answer(&mut self, port: u16, answer: &'static [u8]) {
        let server = self.server.clone();
        self.network.serve(&server, port, move |mut stream| {
            quietly(async move {
                request(&mut stream).await?;
                stream.write_all(answer).await?;
                stream.close().await?;
                drain(stream).await
            })
        });
    }

    fn acceptor(&mut self, kind: &str, peer: &str) -> TlsAcceptor {
        self.acceptor_for(kind, peer, &[])
    }

    fn acceptor_for(&mut self, kind: &str, peer: &str, protocols: &[&str]) -> TlsAcceptor {
        let versions: &[&'static SupportedProtocolVersion] = match peer {
            _ if peer.ends_with("-tls12") => &[&version::TLS12],
            _ if peer.ends_with("-tls13") => &[&version::TLS13],
            _ => &[&version::TLS12, &version::TLS13],
        };
        let leaf = self.leaf(kind);
        let key = leaf.key.serialize_der().try_into().unwrap();
        let provider = Arc::new(rustls_graviola::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap();
        let config = match kind {
            "asks" => {
                let mut roots = RootCertStore::empty();
                roots.add(self.authority.2.clone().into()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
            _ => config.with_no_client_auth(),
        };
        let mut config =
            config.with_single_cert(vec![leaf.certificate.clone().into()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn leaf(&mut self, kind: &str) -> Arc<Leaf> {
        if let Some(leaf) = self.leaves.get(kind) {
            return leaf.clone();
        }
        let names: &[&str] = if kind == "wrong-name" { &["other.test"] } else { &NAMES };
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap();
        params.distinguished_name.push(DnType::CommonName, kind);
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = match kind {
            "expired" => (now - Duration::days(30), now - Duration::days(2)),
            "not-yet-valid" => (now + Duration::days(2), now + Duration::days(30)),
            _ => (now - Duration::days(1), now + Duration::days(30)),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = match kind {
            "self-signed" => params.self_signed(&key).unwrap(),
            _ => params
                .signed_by(&key, &Issuer::from_params(&self.authority.0, &self.authority.1))
                .unwrap(),
        };
        let leaf = Arc::new(Leaf { certificate: certificate.der().to_vec(), key });
        self.leaves.insert(kind.into(), leaf.clone());
        leaf
    }
}

/// The certificate in a peer's name: `nginx-wrong-name-tls13` → `wrong-name`; `tls-cut` has the valid one.
fn kind_of(peer: &str) -> &str {
    let kind = peer.strip_prefix("nginx-").or_else(|| peer.strip_prefix("openssl-")).unwrap_or("");
    kind.strip_suffix("-tls12").or_else(|| kind.strip_suffix("-tls13")).unwrap_or(kind)
}

/// A script's name without `-tls`.
fn plain(peer: &str) -> &str {
    peer.strip_suffix("-tls").unwrap_or(peer)
}

/// Does what a script says until the client has gone.
async fn play(
    mut script: Script,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    net: &Stack<stack::sim::Port>,
    flooded: &AtomicUsize,
) -> io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        let len = stream.read(&mut buf).await?;
        if len == 0 {
            return stream.close().await;
        }
        for step in script.handle(&buf[..len]) {
            match step {
                Step::Send(octets) => stream.write_all(&octets).await?,
                Step::Repeat(octets, times) => {
                    for _ in 0..times {
                        stream.write_all(&octets).await?;
                    }
                }
                Step::Flood(octets) => {
                    let (reads, mut writes) = futures_lite::io::split(stream);
                    let flood = async {
                        loop {
                            writes.write_all(&octets).await?;
                            flooded.fetch_add(octets.len(), Ordering::Relaxed);
                        }
                    };
                    return futures_lite::future::or(drain(reads), flood).await;
                }
                Step::Drip(octets, every) => {
                    for octet in octets {
                        stream.write_all(&[octet]).await?;
                        stream.flush().await?;
                        net.sleep(every).await;
                    }
                }
                Step::Hold => {
                    stream.flush().await?;
                    return drain(stream).await;
                }
                Step::Relay(place) => {
                    stream.flush().await?;
                    let place = place.parse().map_err(io::Error::other)?;
                    let other = net.tcp_connect(place).await.map_err(io::Error::other)?;
                    return relay(stream, other).await;
                }
                Step::Close => {
                    stream.close().await?;
                    return drain(stream).await;
                }
            }
        }
        stream.flush().await?;
    }
}

/// Hands octets on, both ways, until either side has ended.
async fn relay(
    one: impl AsyncRead + AsyncWrite + Unpin,
    other: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (one_reads, mut one_writes) = futures_lite::io::split(one);
    let (other_reads, mut other_writes) = futures_lite::io::split(other);
    let there = async {
        futures_lite::io::copy(one_reads, &mut other_writes).await?;
        other_writes.close().await?;
        core::future::pending().await
    };
    let back = async {
        futures_lite::io::copy(other_reads, &mut one_writes).await?;
        one_writes.close().await
    };
    futures_lite::future::or(back, there).await
}

/// The file of this name, which is its size.
pub fn file(name: &str) -> Vec<u8> {
    let size = proto::quantity::size(name).expect("files are named by their size");
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ size;
    let mut octets = Vec::with_capacity(size as usize + 8);
    while (octets.len() as u64) < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend(state.to_le_bytes());
    }
    octets.truncate(size as usize);
    octets
}

/// A peer whose client goes away has done its work.
async fn quietly(work: impl Future<Output = io::Result<()>>) {
    if let Err(error) = work.await {
        log::debug!("peer: {error}");
    }
}

/// Reads a request's head.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    let mut buf = [0; 1024];
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        match stream.read(&mut buf).await? {
            0 => break,
            len => head.extend_from_slice(&buf[..len]),
        }
        // no method of HTTP begins so
        if !head[0].is_ascii_uppercase() {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn drain(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buf = [0; 4096];
    while stream.read(&mut buf).await? > 0 {}
    Ok(())
}

async fn files(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let head = request(&mut stream).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    // the random octets of a TLS hello may hold a path, too
    let is_http = head.starts_with(|first: char| first.is_ascii_uppercase());
    let Some(name) = path.strip_prefix('/').filter(|_| is_http) else {
        // not HTTP: a TLS hello, say
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
        stream.close().await?;
        return drain(stream).await;
    };
    let token = || {
        let field =
            |line: &str| line.to_ascii_lowercase().strip_prefix("x-token: ").map(str::to_owned);
        head.lines().find_map(field).unwrap_or_default().into_bytes()
    };
    let body = if name == "token" { token() } else { file(name) };
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.close().await?;
    drain(stream).await
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buf).await? {
            0 => return stream.close().await,
            len => stream.write_all(&buf[..len]).await?,
        }
    }
}

async fn silent(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 4096];
    while stream.read(&mut buf).await? > 0 {}
    core::future::pending().await
}

async fn flood(mut stream: TcpStream) -> io::Result<()> {
    loop {
        stream.write_all(&[b'x'; 16_384]).await?;
    }
}

/// Every line comes back reversed, as `openssl s_server -rev` does.
async fn reverse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut line = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet).await? > 0 {
        if octet[0] != b'\n' {
            line.push(octet[0]);
            continue;
        }
        line.reverse();
        line.push(b'\n');
        stream.write_all(&line).await?;
        line.clear();
    }
    stream.close().await
}

/// An answer of unknown length over TLS, ended with close_notify or without.
async fn end(tls: TlsAcceptor, stream: TcpStream, notify: bool) -> io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    request(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello\n").await?;
    stream.flush().await?;
    if notify {
        stream.close().await?;
        return drain(stream).await;
    }
    let (mut lower, _) = stream.into_inner();
    lower.close().await?;
    drain(lower).await
}

/// Knows `web.test` and nothing else.
async fn dns(host: Host, port: u16) {
    let socket = host.net.udp_bind(Some(port), IpVersion::V4).await.expect("a free port");
    let mut buf = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut buf).await {
        let Ok(query) = Packet::parse(&buf[..len]) else { continue };
        let known = query
            .questions
            .iter()
            .any(|question| question.qname.to_string().eq_ignore_ascii_case("web.test"));
        let name = query.questions.first().map(|question| question.qname.clone());
        let mut reply = query.clone().into_reply();
        match name {
            Some(name) if known => {
                let address = A { address: u32::from_be_bytes([10, 0, 2, 2]) };
                reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, RData::A(address)));
            }
            _ => *reply.rcode_mut() = RCODE::NameError,
        }
        if let Ok(octets) = reply.build_bytes_vec() {
            let _ = socket.send_to(&octets, from).await;
        }
    }
}
