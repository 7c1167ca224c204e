//! Peers that behave in ways no real server does when asked nicely: silence, cuts, garbage.
//!
//! Each is a thread on a listener of its own; they end with the process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketType};

use crate::certificate::Leaf;

/// What a peer does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Sends back what it gets, until the end.
    Echo,
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
}

impl Peer {
    /// The peer of that name in a scenario.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
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
            _ => return None,
        })
    }

    /// Starts it and returns its port on 127.0.0.1.
    pub fn start(self, leaf: &Leaf) -> Result<u16> {
        if self == Self::Closed {
            return closed_port();
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
            Self::Closed => {}
        }
        Ok(())
    }
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

/// A port that refuses: bound, so that nobody else gets it, and never listened on.
fn closed_port() -> Result<u16> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().context("a socket without an address")?.port();
    std::mem::forget(listener);
    Ok(port)
}
