//! Hostile servers made of honest ones: a relay before a peer that spoils what the peer sends, at one place.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

/// What is done to what a peer sends. Places are counted in octets from the start of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// It ends there.
    Cut(u64),
    /// A bit of the octet there is another.
    Flip(u64),
    /// Behind SSH's first packet comes one more, which nobody protects yet.
    Inject,
}

impl Mischief {
    /// `cut=N`, `flip=N` or `inject`.
    pub fn named(text: &str) -> Result<Self> {
        let place = |it: &str| it.parse().context("a place is a number of octets");
        match text.split_once('=') {
            Some(("cut", it)) => Ok(Self::Cut(place(it)?)),
            Some(("flip", it)) => Ok(Self::Flip(place(it)?)),
            None if text == "inject" => Ok(Self::Inject),
            _ => anyhow::bail!("there is no mischief `{text}`"),
        }
    }

    /// Starts the relay before the peer on `port`; gives its own port.
    pub fn start(self, port: u16) -> Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let own = listener.local_addr()?.port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // either end may go away at any time
                thread::spawn(move || drop(self.relay(client, port)));
            }
        });
        Ok(own)
    }

    fn relay(self, mut client: TcpStream, port: u16) -> Result<()> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        let up = thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        if self == Self::Inject {
            first_packet(&mut server, &mut client)?;
            client.write_all(&IGNORE)?;
        }
        let (mut buf, mut place) = (vec![0; 16 * 1024], 0);
        loop {
            let len = server.read(&mut buf)?;
            let octets = &mut buf[..len];
            // where the spoiled place is in what was read
            let at = |it: u64| it.checked_sub(place).filter(|it| *it < len as u64);
            let mut rest = len;
            match self {
                Self::Cut(it) => rest = at(it).map_or(len, |it| it as usize),
                Self::Flip(it) => {
                    if let Some(it) = at(it) {
                        octets[it as usize] ^= 0x10;
                    }
                }
                Self::Inject => {}
            }
            client.write_all(&octets[..rest])?;
            place += len as u64;
            if rest < len || len == 0 {
                break;
            }
        }
        client.shutdown(Shutdown::Write)?;
        let _ = up.join();
        Ok(())
    }
}

/// SSH_MSG_IGNORE with nothing in it, as a packet without encryption (RFC 4253 §6).
const IGNORE: [u8; 16] = [0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Passes the server's version and its KEXINIT on.
fn first_packet(server: &mut TcpStream, client: &mut TcpStream) -> Result<()> {
    let mut said = Vec::new();
    while said.last() != Some(&b'\n') {
        let mut octet = [0];
        server.read_exact(&mut octet)?;
        said.push(octet[0]);
    }
    let mut length = [0; 4];
    server.read_exact(&mut length)?;
    said.extend(length);
    let start = said.len();
    said.resize(start + u32::from_be_bytes(length) as usize, 0);
    server.read_exact(&mut said[start..])?;
    Ok(client.write_all(&said)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes through a relay before a server that says `said`.
    fn relayed(mischief: &str, said: &'static [u8]) -> Vec<u8> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || listener.accept().unwrap().0.write_all(said).unwrap());
        let port = Mischief::named(mischief).unwrap().start(port).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        server.join().unwrap();
        got
    }

    #[test]
    fn one_place_is_spoiled() {
        assert_eq!(relayed("cut=3", b"abcdef"), b"abc");
        assert_eq!(relayed("cut=9", b"abcdef"), b"abcdef");
        assert_eq!(relayed("flip=1", b"abc"), b"arc");
        let injected = relayed("inject", b"SSH-2.0-x\r\n\0\0\0\x01zrest");
        assert_eq!(injected, [b"SSH-2.0-x\r\n\0\0\0\x01z", &IGNORE[..], b"rest"].concat());
        assert!(Mischief::named("cut=x").is_err() && Mischief::named("x").is_err());
    }
}
