//! Hosts and servers that several tests use.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::SocketAddr;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use stack::sim::{Host, Link, Network};
use stack::smol::TcpStream;

/// A network with a server at 10.0.0.1 and a client at 10.0.0.2.
pub fn pair(seed: u64, link: Link) -> (Network, Host, Host) {
    let mut network = Network::new(seed);
    let server = network.host("10.0.0.1/24", link.clone());
    let client = network.host("10.0.0.2/24", link);
    (network, server, client)
}

/// A port of the server.
pub fn remote(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

/// Repeatable octets.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

/// Sends back what it gets until end of file.
pub async fn echo(mut stream: TcpStream) {
    let mut buf = vec![0; 8192];
    loop {
        match stream.read(&mut buf).await {
            Ok(0) | Err(_) => break,
            Ok(n) => {
                if stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = stream.close().await;
}
