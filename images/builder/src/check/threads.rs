//! Peers that behave in ways no real server does when asked nicely: silence, cuts, garbage.
//!
//! Each is a thread on a listener of its own; they end with the process.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketType};
use scripted::{Script, Step};
use ssh::server::hostile::Hostile;

use crate::certificate::Leaf;

/// What a peer does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Sends back what it gets, until the end.
    Echo,
    /// UDP: answers each datagram with its length and itself, a line.
    UdpEcho,
    /// Answers each line `ping` with `pong`.
    Pong,
    /// The same over TLS.
    TlsPong,
    /// Takes what it gets and never answers.
    Silent,
    /// There is none: the port is taken, but nobody listens.
    Closed,
    /// Answers with what is no HTTP.
    Garbage,
    /// Promises more octets than it sends.
    Short,
    /// Ends an answer of unknown length as TLS says: with close_notify.
    TlsClosed,
    /// Cuts an answer of unknown length without close_notify.
    TlsCut,
    /// Cuts a chunked answer in the middle.
    ChunkCut,
    /// Answers 404 with a body.
    NotFound,
    /// An SSH server that says more and more lines before it says that it is one.
    SshFlood,
    /// Sends octets without end, whatever comes.
    Flood,
    /// An SSH server whose first packet would be 4 GiB long.
    SshHuge,
    /// A server of SSH 1.
    SshOld,
    /// An SSH server that says goodbye at once, with octets that a terminal would take for its own.
    SshGoodbye,
}

impl Peer {
    /// The peer of that name in a scenario.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
            "udp-echo" => Self::UdpEcho,
            "pong" => Self::Pong,
            "tls-pong" => Self::TlsPong,
            "silent" => Self::Silent,
            "closed" => Self::Closed,
            "garbage" => Self::Garbage,
            "short" => Self::Short,
            "tls-closed" => Self::TlsClosed,
            "tls-cut" => Self::TlsCut,
            "chunk-cut" => Self::ChunkCut,
            "not-found" => Self::NotFound,
            "ssh-flood" => Self::SshFlood,
            "flood" => Self::Flood,
            "ssh-huge" => Self::SshHuge,
            "ssh-old" => Self::SshOld,
            "ssh-goodbye" => Self::SshGoodbye,
            _ => return None,
        })
    }

    /// Starts it and returns its port on 127.0.0.1.
    pub fn start(self, leaf: &Leaf) -> Result<u16> {
        match self {
            Self::Closed => return closed_port(),
            Self::UdpEcho => return datagrams(),
            _ => {}
        }
        let config = Arc::new(leaf.server(&[])?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = config.clone();
                // a client that goes away is what some scenarios are about
                thread::spawn(move || drop(self.answer(stream, config)));
            }
        });
        Ok(port)
    }

    fn answer(self, mut stream: TcpStream, config: Arc<rustls::ServerConfig>) -> Result<()> {
        match self {
            Self::Echo => {
                std::io::copy(&mut stream.try_clone()?, &mut stream)?;
                stream.shutdown(Shutdown::Write)?;
                drain(&mut stream);
            }
            Self::Pong => pong(stream)?,
            Self::TlsPong => {
                pong(rustls::StreamOwned::new(rustls::ServerConnection::new(config)?, stream))?;
            }
            Self::Silent => {
                drain(&mut stream);
                // not even an end of its own
                loop {
                    thread::park();
                }
            }
            Self::Garbage => respond(stream, b"220 ready when you are\r\n")?,
            Self::Short => {
                respond(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort\n")?
            }
            Self::ChunkCut => respond(
                stream,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nshort\n\r\n",
            )?,
            Self::NotFound => {
                respond(stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnothing\n")?;
            }
            Self::TlsClosed | Self::TlsCut => {
                let mut session = rustls::ServerConnection::new(config)?;
                let mut tls = rustls::Stream::new(&mut session, &mut stream);
                read_request(&mut tls)?;
                tls.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello\n")?;
                tls.flush()?;
                if self == Self::TlsClosed {
                    session.send_close_notify();
                    session.write_tls(&mut stream)?;
                }
                stream.shutdown(Shutdown::Write)?;
                drain(&mut stream);
            }
            Self::SshFlood => while stream.write_all(b"more to come\r\n").is_ok() {},
            Self::Flood => while stream.write_all(&[b'x'; 65_536]).is_ok() {},
            Self::SshHuge => say(stream, b"SSH-2.0-x\r\n\xff\xff\xff\xff\x04\x14")?,
            Self::SshOld => say(stream, b"SSH-1.5-x\r\n")?,
            Self::SshGoodbye => say(stream, GOODBYE)?,
            Self::Closed | Self::UdpEcho => {}
        }
        Ok(())
    }
}

/// SSH_MSG_DISCONNECT (RFC 4253 §11.1) with a text of two lines, one of them coloured.
const GOODBYE: &[u8] =
    b"SSH-2.0-x\r\n\0\0\0\x2c\x0a\x01\0\0\0\x02\0\0\0\x14go\x1b[31m away\nat once\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Says all of it before anything is asked.
fn say(mut stream: TcpStream, octets: &[u8]) -> Result<()> {
    stream.write_all(octets)?;
    drain(&mut stream);
    Ok(())
}

/// Answers pings until the end, or until something else comes.
fn pong(mut stream: impl Read + Write) -> Result<()> {
    let mut line = [0; 5];
    while stream.read_exact(&mut line).is_ok() && line == *b"ping\n" {
        stream.write_all(b"pong\n")?;
        stream.flush()?;
    }
    Ok(())
}

/// Starts the hostile SSH server of that name, where there is one, and returns its port on 127.0.0.1.
pub fn start_hostile(name: &str) -> Result<Option<u16>> {
    if Hostile::named(name).is_none() {
        return Ok(None);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let name = name.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Hostile::named(&name);
            // a client that has had enough is what these are about
            thread::spawn(move || server.map(|server| misbehave(server, stream)));
        }
    });
    Ok(Some(port))
}

fn misbehave(mut server: Hostile, mut stream: TcpStream) -> Result<()> {
    let mut buf = [0; 16 * 1024];
    loop {
        stream.write_all(&server.output())?;
        if !server.has_more() {
            match stream.read(&mut buf)? {
                0 => return Ok(()),
                len => server.handle(&buf[..len]),
            }
        }
    }
}

/// Starts the script of that name, where there is one (`NAME-tls` under TLS, which agrees to what the name says),
/// and returns its port on 127.0.0.1.
pub fn start_script(name: &str, leaf: &Leaf) -> Result<Option<u16>> {
    let plain = name.strip_suffix("-tls").unwrap_or(name);
    if Script::named(plain).is_none() {
        return Ok(None);
    }
    let protocol: &[u8] = if plain.starts_with("h2-") { b"h2" } else { b"http/1.1" };
    let tls = (plain != name).then(|| leaf.server(&[protocol])).transpose()?.map(Arc::new);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let plain = plain.to_owned();
    thread::spawn(move || {
        for (before, stream) in listener.incoming().flatten().enumerate() {
            let (tls, script) = (tls.clone(), Script::named(&plain));
            thread::spawn(move || script.map(|script| play(script.behind(before), stream, tls)));
        }
    });
    Ok(Some(port))
}

/// Does what a script says until the client has gone.
fn play(
    script: Script,
    mut stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Result<()> {
    let both = stream.try_clone()?;
    match tls {
        None => play_over(script, &mut stream, &both)?,
        Some(config) => {
            let mut session = rustls::ServerConnection::new(config)?;
            play_over(script, &mut rustls::Stream::new(&mut session, &mut stream), &both)?;
            session.send_close_notify();
            session.write_tls(&mut stream)?;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    drain(&mut stream);
    Ok(())
}

/// `socket` is below `stream`.
fn play_over(
    mut script: Script,
    stream: &mut (impl Read + Write),
    socket: &TcpStream,
) -> Result<()> {
    let mut buf = [0; 16 * 1024];
    loop {
        let len = stream.read(&mut buf)?;
        if len == 0 {
            return Ok(());
        }
        for step in script.handle(&buf[..len]) {
            match step {
                Step::Send(octets) => stream.write_all(&octets)?,
                Step::Repeat(octets, times) => {
                    (0..times).try_for_each(|_| stream.write_all(&octets))?;
                }
                Step::Flood(octets) => {
                    let mut unread = socket.try_clone()?;
                    thread::spawn(move || drain(&mut unread));
                    loop {
                        stream.write_all(&octets)?;
                    }
                }
                Step::Drip(octets, every) => {
                    for octet in octets {
                        stream.write_all(&[octet])?;
                        stream.flush()?;
                        thread::sleep(every);
                    }
                }
                Step::Hold => {
                    stream.flush()?;
                    while stream.read(&mut buf).is_ok_and(|len| len > 0) {}
                    return Ok(());
                }
                Step::Relay(place) => {
                    stream.flush()?;
                    // as a machine names it; the peers are all here
                    let port = place.rsplit(':').next().context("no port")?.parse::<u16>()?;
                    return relay(stream, socket, TcpStream::connect((Ipv4Addr::LOCALHOST, port))?);
                }
                Step::Close => return Ok(()),
            }
        }
        stream.flush()?;
    }
}

/// Hands octets on, both ways and in turns, until either side has ended.
fn relay(stream: &mut (impl Read + Write), socket: &TcpStream, mut other: TcpStream) -> Result<()> {
    const TURN: Duration = Duration::from_millis(2);
    socket.set_read_timeout(Some(TURN))?;
    other.set_read_timeout(Some(TURN))?;
    let mut buf = vec![0; 256 << 10];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => other.shutdown(Shutdown::Write)?,
            Ok(len) => other.write_all(&buf[..len])?,
            Err(error) if is_turn_over(&error) => {}
            Err(error) => return Err(error.into()),
        }
        match other.read(&mut buf) {
            Ok(0) => break,
            Ok(len) => stream.write_all(&buf[..len])?,
            Err(error) if is_turn_over(&error) => {}
            Err(error) => return Err(error.into()),
        }
        stream.flush()?;
    }
    socket.set_read_timeout(None)?;
    Ok(())
}

fn is_turn_over(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Reads the request's head, sends `answer` and closes.
fn respond(mut stream: TcpStream, answer: &[u8]) -> Result<()> {
    read_request(&mut stream)?;
    stream.write_all(answer)?;
    stream.shutdown(Shutdown::Write)?;
    drain(&mut stream);
    Ok(())
}

fn read_request(stream: &mut impl Read) -> Result<()> {
    let mut head = Vec::new();
    let mut buf = [0; 1024];
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        match stream.read(&mut buf)? {
            0 => break,
            len => head.extend_from_slice(&buf[..len]),
        }
    }
    Ok(())
}

/// Reads to the end, so that closing sends no reset.
fn drain(stream: &mut TcpStream) {
    let mut buf = [0; 4096];
    while stream.read(&mut buf).is_ok_and(|len| len > 0) {}
}

/// Answers datagrams, on a port of its own.
fn datagrams() -> Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || {
        let mut buf = vec![0; 1 << 16];
        // a client that has gone makes the next call fail
        loop {
            let Ok((len, from)) = socket.recv_from(&mut buf) else { continue };
            let answer = [format!("{len} ").as_bytes(), &buf[..len], b"\n"].concat();
            let _ = socket.send_to(&answer, from);
        }
    });
    Ok(port)
}

/// A port that refuses: bound, so that nobody else gets it, and never listened on.
fn closed_port() -> Result<u16> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().context("a socket without an address")?.port();
    std::mem::forget(listener);
    Ok(port)
}
