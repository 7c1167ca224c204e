//! The seam between everything that speaks a protocol and everything that moves octets.
//!
//! Whoever holds an `Arc<dyn Net>` can open TCP, UDP and raw IP sockets and sleep, without knowing
//! whether smoltcp, the host's sockets or a simulated wire is below.

use core::fmt;
use core::future::{Future, poll_fn};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

use crate::{Error, Instant};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A network: sockets and a clock.
///
/// Every future returned here is lazy (nothing happens before its first poll) and is cancelled by
/// dropping it.
pub trait Net: Send + Sync + 'static {
    /// The backend's clock.
    fn now(&self) -> Instant;

    /// Completes `duration` after this call, never before. Dropping it removes the timer.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Completes when the machine has an address, of either family, with the configuration as it is
    /// then; on the host at once. Without an answering DHCP server or router it waits for ever: put
    /// a time limit around it. The other family's address may come later, see [`Self::changed`].
    ///
    /// # Errors
    /// [`Error::NoDevice`] at once when there is none.
    fn ready(&self) -> BoxFuture<'static, Result<Configuration, Error>>;

    /// The configuration as it is now.
    fn configuration(&self) -> Configuration;

    /// Completes when the configuration is not `known` (any longer), with the new one: addresses,
    /// routers and name servers come, change and go. On the host never, as it tells nothing.
    fn changed(&self, known: Configuration) -> BoxFuture<'static, Configuration> {
        drop(known);
        Box::pin(core::future::pending())
    }

    /// Connects to `remote` from a random local port. Dropping the future aborts the attempt: no
    /// further segment of it is sent, but for a reset if the peer had answered.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`], [`Error::TimedOut`], [`Error::AddressFamily`],
    /// [`Error::NoAddress`], [`Error::NoDevice`].
    fn tcp_connect(
        &self,
        remote: SocketAddr,
    ) -> BoxFuture<'static, Result<Box<dyn TcpStream>, Error>>;

    /// Opens a UDP socket on `local_port`, or on a random one.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::AddressFamily`], [`Error::NoAddress`],
    /// [`Error::NoDevice`].
    fn udp_bind(
        &self,
        local_port: Option<u16>,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn Datagram>, Error>>;

    /// Opens a socket for IP packets of `protocol` (an IANA protocol number; 1 = ICMP, 58 =
    /// ICMPv6). The IP header is added on sending and removed on receiving.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] on a host that forbids it, [`Error::AddressFamily`],
    /// [`Error::NoAddress`], [`Error::NoDevice`].
    fn raw_open(
        &self,
        protocol: u8,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn RawIp>, Error>>;

    /// Completes when all sockets that were closed or dropped have finished with their peers (data
    /// and FIN acknowledged), or have given up: to be awaited before the machine is ended. On the
    /// host at once, where the system does it.
    fn settle(&self) -> BoxFuture<'static, ()>;
}

impl dyn Net {
    /// As [`Net::ready`], and then waits until the configuration is as `wanted`, while it may still
    /// become so (see [`Configuration::pending`]); gives it as it is in the end.
    ///
    /// # Errors
    /// As [`Net::ready`].
    pub async fn ready_with(
        &self,
        wanted: impl Fn(&Configuration) -> bool,
    ) -> Result<Configuration, Error> {
        let mut configuration = self.ready().await?;
        while !wanted(&configuration) && !configuration.pending.is_empty() {
            configuration = self.changed(configuration).await;
        }
        Ok(configuration)
    }
}

/// A TCP connection.
///
/// Reading yields 0 after the peer's FIN, and an [`std::io::Error`] that holds an [`Error`] (see
/// [`Error::from_io`]) after a reset. Writing accepts octets into a buffer; `poll_flush` does not
/// wait for their acknowledgement. `poll_close` sends FIN after the accepted octets and completes
/// at once; reading goes on.
///
/// Dropping sends what was accepted and FIN, in the background; or RST if received octets were left
/// unread (RFC 2525 §2.17).
///
/// One task may wait for reading and one for writing at a time.
pub trait TcpStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Our address and port.
    fn local_addr(&self) -> SocketAddr;

    /// The peer's address and port.
    fn peer_addr(&self) -> SocketAddr;

    /// Stops reading: later reads yield 0, and octets that the peer still sends are thrown away.
    fn shutdown_read(&mut self);

    /// Ends the connection at once with a reset; octets not yet sent are lost. Later reads and
    /// writes fail with [`Error::Closed`].
    fn abort(&mut self);
}

/// A UDP socket (RFC 768). One task may wait for sending and one for receiving at a time.
pub trait Datagram: Send + Sync {
    /// Queues one datagram.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`], [`Error::AddressFamily`], [`Error::Unreachable`].
    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        remote: SocketAddr,
    ) -> Poll<Result<(), Error>>;

    /// Takes one datagram: the octets put into `buf` and the sender. What does not fit into `buf`
    /// is cut off.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when an ICMP message says that an earlier datagram of this socket
    /// could not be delivered; the socket stays usable.
    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr), Error>>;

    /// Our address (unspecified when it depends on the destination) and port.
    fn local_addr(&self) -> SocketAddr;
}

impl dyn Datagram {
    /// Sends one datagram, see [`Datagram::poll_send_to`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_to(&self, payload: &[u8], remote: SocketAddr) -> Result<(), Error> {
        poll_fn(|cx| self.poll_send_to(cx, payload, remote)).await
    }

    /// Receives one datagram, see [`Datagram::poll_recv_from`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        poll_fn(|cx| self.poll_recv_from(cx, buf)).await
    }
}

/// A socket for the payloads of IP packets of one protocol. One task may wait for sending and one
/// for receiving at a time.
pub trait RawIp: Send + Sync {
    /// Queues one packet; `payload` starts after the IP header. Checksums inside the payload are
    /// the caller's, except that of ICMPv6, which may be left zero (RFC 3542 §3.1).
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`], [`Error::AddressFamily`], [`Error::Unreachable`].
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        dst: IpAddr,
    ) -> Poll<Result<(), Error>>;

    /// Takes one packet; its payload goes to the start of `buf`, and what does not fit is cut off.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<Received, Error>>;

    /// The identifier that the system puts into our ICMP echo requests in place of ours, where it
    /// does that (the unprivileged ICMP sockets of Linux); `None` = requests leave as given.
    fn echo_identifier(&self) -> Option<u16> {
        None
    }
}

impl dyn RawIp {
    /// Sends one packet, see [`RawIp::poll_send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, payload: &[u8], dst: IpAddr) -> Result<(), Error> {
        poll_fn(|cx| self.poll_send(cx, payload, dst)).await
    }

    /// Receives one packet, see [`RawIp::poll_recv`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv(&self, buf: &mut [u8]) -> Result<Received, Error> {
        poll_fn(|cx| self.poll_recv(cx, buf)).await
    }
}

/// What [`RawIp::poll_recv`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets put into the buffer.
    pub len: usize,
    /// The sender.
    pub src: IpAddr,
    /// The packet's TTL or hop limit, where the system tells it.
    pub hop_limit: Option<u8>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpVersion {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

impl IpVersion {
    /// The family of `addr`.
    #[must_use]
    pub const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An address and the length of its network prefix, `192.0.2.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    addr: IpAddr,
    prefix_len: u8,
}

impl Cidr {
    /// `None` when `prefix_len` exceeds the address's 32 or 128 bits.
    #[must_use]
    pub const fn new(addr: IpAddr, prefix_len: u8) -> Option<Self> {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        if prefix_len > max { None } else { Some(Self { addr, prefix_len }) }
    }

    /// The address.
    #[must_use]
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// Bits of the network prefix, 0 to 32 or 128.
    #[must_use]
    pub const fn prefix_len(self) -> u8 {
        self.prefix_len
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

/// How the machine is connected; lists are in order of preference and empty when not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Configuration {
    /// Our addresses. Empty on the host backend, where the system chooses. An IPv6 address of
    /// prefix length 128 may belong to a larger prefix that is not on the link.
    pub addresses: Vec<Cidr>,
    /// Addresses that were to be ours, but that another machine uses (RFC 4862 §5.4.5).
    pub duplicates: Vec<IpAddr>,
    /// Default routers.
    pub gateways: Vec<IpAddr>,
    /// Name servers: given, then learnt by DHCP, then from routers (RFC 8106); or the host's.
    pub dns_servers: Vec<IpAddr>,
    /// The first of `search_domains`, or the host's first search domain.
    pub domain: Option<String>,
    /// Domains to complete short names with, in order: those of DHCP (option 119, else 15), then those
    /// that routers name (RFC 8106 §5.2).
    pub search_domains: Vec<String>,
    /// The largest IP packet, in octets.
    pub mtu: Option<usize>,
    /// The device's Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// The DHCP server that assigned the IPv4 address.
    pub dhcp_server: Option<Ipv4Addr>,
    /// Families that are still being configured: a DHCP server or routers have been asked and have
    /// not answered, or an address is being checked, so that an address and name servers may come
    /// yet. Silence counts as an answer after six seconds (what comes later is followed all the same).
    pub pending: Vec<IpVersion>,
}

impl Configuration {
    /// Whether we have an address of that family, be it a link-local one.
    #[must_use]
    pub fn has(&self, family: IpVersion) -> bool {
        self.addresses.iter().any(|cidr| IpVersion::of(cidr.addr()) == family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_fits_its_family() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(Cidr::new(v4, 33), None);
        assert_eq!(Cidr::new(v4, 32).map(|c| c.to_string()).as_deref(), Some("127.0.0.1/32"));
        let v6 = IpAddr::V6(core::net::Ipv6Addr::LOCALHOST);
        assert!(Cidr::new(v6, 128).is_some());
        assert!(Cidr::new(v6, 129).is_none());
    }
}
