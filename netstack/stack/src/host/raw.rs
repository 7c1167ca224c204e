//! Raw IP sockets of the host, and Linux's ping sockets where those are not permitted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::{Context, Poll, ready};
use std::io;
use std::net::UdpSocket;

use async_io::Async;
use socket2::{Domain, Protocol, Type};

use super::error;
use super::turn::Turn;
use crate::{Error, IpVersion, Received};

/// A socket for packets of one protocol.
pub(super) struct Socket {
    /// A raw or ping socket; the standard library's type only lends its calls, which fit any socket
    /// of an IP family.
    socket: Async<UdpSocket>,
    family: IpVersion,
    /// The system hands out IPv4 packets with their header.
    header_included: bool,
    identifier: Option<u16>,
    turn: Turn,
}

impl Socket {
    pub(super) fn open(protocol: u8, family: IpVersion) -> Result<Self, Error> {
        let icmp = matches!((protocol, family), (1, IpVersion::V4) | (58, IpVersion::V6));
        match socket(Type::RAW, protocol, family) {
            Ok(socket) => {
                let header_included = family == IpVersion::V4;
                let socket = Async::new(socket).map_err(error)?;
                let turn = Turn::default();
                Ok(Self { socket, family, header_included, identifier: None, turn })
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && icmp => {
                Self::ping(protocol, family)
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::NotPermitted(MEND_RAW))
            }
            Err(e) => Err(error(e)),
        }
    }

    /// Linux's ICMP datagram socket: only echo requests out and their replies in, with an
    /// identifier of the system's choice.
    fn ping(protocol: u8, family: IpVersion) -> Result<Self, Error> {
        let open = || {
            let socket = socket(Type::DGRAM, protocol, family)?;
            let identifier = socket.local_addr()?.port();
            Ok::<_, io::Error>((Async::new(socket)?, identifier))
        };
        match open() {
            Ok((socket, identifier)) => {
                let (identifier, turn) = (Some(identifier), Turn::default());
                Ok(Self { socket, family, header_included: false, identifier, turn })
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied) => {
                Err(Error::NotPermitted(MEND_PING))
            }
            Err(e) => Err(error(e)),
        }
    }
}

fn socket(kind: Type, protocol: u8, family: IpVersion) -> io::Result<UdpSocket> {
    let (domain, any) = match family {
        IpVersion::V4 => (Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
        IpVersion::V6 => (Domain::IPV6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
    };
    let socket = socket2::Socket::new(domain, kind, Some(Protocol::from(i32::from(protocol))))?;
    if kind == Type::DGRAM {
        // Chooses the identifier.
        socket.bind(&any.into())?;
    }
    Ok(UdpSocket::from(socket))
}

impl crate::RawIp for Socket {
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        dst: IpAddr,
    ) -> Poll<Result<(), Error>> {
        if IpVersion::of(dst) != self.family {
            return Poll::Ready(Err(Error::AddressFamily(IpVersion::of(dst))));
        }
        if payload.len() > MAX_PAYLOAD {
            let len = payload.len();
            return Poll::Ready(Err(Error::MessageTooLarge { len, max: MAX_PAYLOAD }));
        }
        ready!(self.turn.poll(cx));
        loop {
            match self.socket.get_ref().send_to(payload, (dst, 0)) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_writable(cx)).map_err(error)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(error(e))),
            }
        }
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<Received, Error>> {
        if !self.header_included {
            let (len, src) = ready!(self.poll_packet(cx, buf))?;
            return Poll::Ready(Ok(Received { len, src, hop_limit: None }));
        }
        let mut packet = vec![0; buf.len() + MAX_HEADER];
        let (len, src) = ready!(self.poll_packet(cx, &mut packet))?;
        let (hop_limit, payload) = strip_header(&packet[..len]);
        let len = payload.len().min(buf.len());
        buf[..len].copy_from_slice(&payload[..len]);
        Poll::Ready(Ok(Received { len, src, hop_limit }))
    }

    fn echo_identifier(&self) -> Option<u16> {
        self.identifier
    }
}

impl Socket {
    fn poll_packet(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<(usize, IpAddr), Error>> {
        ready!(self.turn.poll(cx));
        loop {
            match self.socket.get_ref().recv_from(buf) {
                Ok((len, src)) => return Poll::Ready(Ok((len, src.ip()))),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_readable(cx)).map_err(error)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(error(e))),
            }
        }
    }
}

/// Time to live and payload of an IPv4 packet (RFC 791 §3.1).
fn strip_header(packet: &[u8]) -> (Option<u8>, &[u8]) {
    let header_len = usize::from(packet.first().copied().unwrap_or(0) & 0x0f) * 4;
    (packet.get(8).copied(), packet.get(header_len..).unwrap_or_default())
}

const MAX_HEADER: usize = 60;
/// Octets behind the header in the largest IPv4 packet.
const MAX_PAYLOAD: usize = 65_515;
const MEND_RAW: &str =
    "raw IP needs CAP_NET_RAW: run it as root, or `setcap cap_net_raw+ep` the program";
const MEND_PING: &str = "ping needs CAP_NET_RAW (run it as root, or `setcap cap_net_raw+ep` the \
     program) or a group within `sysctl net.ipv4.ping_group_range`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_options_and_without() {
        let mut packet = vec![0; 30];
        packet[0] = 0x46;
        packet[8] = 61;
        packet[24..].copy_from_slice(b"abcdef");
        assert_eq!(strip_header(&packet), (Some(61), &b"abcdef"[..]));
        assert_eq!(strip_header(&packet[..22]), (Some(61), &b""[..]));
        assert_eq!(strip_header(&[]), (None, &b""[..]));
    }
}
