//! The host's sockets as a [`Net`], over `async-io`.
//!
//! # Scope
//! Implemented: TCP, UDP, raw IP (or, for ICMP without the privilege, Linux's ping sockets), timers,
//! name servers and domain from `/etc/resolv.conf`. **Not** implemented: ICMP errors on UDP sockets
//! (the system tells them only to connected ones), hop limits of IPv6 and ping sockets.

mod datagram;
mod raw;
mod tcp;
mod turn;
mod vsock;

pub use vsock::HostVsock;

use core::future::{Future, ready};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;

use crate::smol::{Clock, SystemClock};
use crate::{
    BoxFuture, Configuration, Datagram, Error, Instant, IpVersion, Net, RawIp, TcpStream,
    Unreachable,
};

/// The host system's network.
#[derive(Clone, Debug, Default)]
pub struct HostNet {
    clock: SystemClock,
}

impl HostNet {
    /// Its clock starts now.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Runs a future on this thread, and the I/O of [`HostNet`] beside it.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_io::block_on(future)
}

impl Net for HostNet {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let timer = async_io::Timer::after(duration);
        Box::pin(async move {
            timer.await;
        })
    }

    fn ready(&self) -> BoxFuture<'static, Result<Configuration, Error>> {
        let configuration = self.configuration();
        Box::pin(async { Ok(configuration) })
    }

    fn configuration(&self) -> Configuration {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        resolv_conf(&text)
    }

    fn tcp_connect(
        &self,
        remote: SocketAddr,
    ) -> BoxFuture<'static, Result<Box<dyn TcpStream>, Error>> {
        Box::pin(async move {
            let stream = tcp::Stream::connect(remote).await?;
            Ok(Box::new(stream) as Box<dyn TcpStream>)
        })
    }

    fn udp_bind(
        &self,
        local_port: Option<u16>,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn Datagram>, Error>> {
        Box::pin(async move {
            let socket = datagram::Socket::bind(local_port, family)?;
            Ok(Box::new(socket) as Box<dyn Datagram>)
        })
    }

    fn raw_open(
        &self,
        protocol: u8,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn RawIp>, Error>> {
        Box::pin(async move {
            let socket = raw::Socket::open(protocol, family)?;
            Ok(Box::new(socket) as Box<dyn RawIp>)
        })
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        // The system finishes what a program leaves behind.
        Box::pin(ready(()))
    }
}

/// What an error of a socket call means, in the kinds that the smoltcp backend reports.
fn error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Error::Reset,
        io::ErrorKind::TimedOut => Error::TimedOut,
        io::ErrorKind::NetworkUnreachable => Error::Unreachable(Unreachable::Network),
        io::ErrorKind::HostUnreachable => Error::Unreachable(Unreachable::Host),
        io::ErrorKind::PermissionDenied => Error::NotPermitted(
            "the system's firewall, routes or privileges refuse it (see `ip route get`, `nft list ruleset`)",
        ),
        _ => Error::from_io(error),
    }
}

/// Reads resolver settings (resolv.conf(5)): `nameserver`, and the last of `domain` and `search`.
fn resolv_conf(text: &str) -> Configuration {
    let mut configuration = Configuration::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                // A scope (`fe80::1%eth0`) means nothing outside the host's own resolver.
                let server = words.next().and_then(|server| server.parse::<IpAddr>().ok());
                configuration.dns_servers.extend(server);
            }
            Some("domain" | "search") => {
                let domains = words.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
                configuration.search_domains = domains.filter(|name| !name.is_empty()).collect();
                configuration.domain = configuration.search_domains.first().cloned();
            }
            _ => {}
        }
    }
    configuration
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resolver_settings() {
        let configuration = resolv_conf(
            "# a comment\nnameserver 192.0.2.1\nnameserver\nnameserver fe80::1%eth0\n\
             search Corp.example. other\nnameserver 2001:db8::1\noptions ndots:2\n",
        );
        let servers: Vec<String> =
            configuration.dns_servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(configuration.domain.as_deref(), Some("corp.example"));
        assert_eq!(configuration.search_domains, ["corp.example", "other"]);
        assert_eq!(resolv_conf(""), Configuration::default());
    }

    #[test]
    fn errors_have_the_same_kinds_as_elsewhere() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, Error::Refused),
            (io::ErrorKind::BrokenPipe, Error::Reset),
            (io::ErrorKind::TimedOut, Error::TimedOut),
            (io::ErrorKind::HostUnreachable, Error::Unreachable(Unreachable::Host)),
            (io::ErrorKind::NetworkUnreachable, Error::Unreachable(Unreachable::Network)),
        ] {
            assert_eq!(error(kind.into()), expected);
        }
    }
}
