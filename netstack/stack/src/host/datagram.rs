//! UDP sockets of the host.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::{Context, Poll, ready};
use std::io;
use std::net::UdpSocket;

use async_io::Async;
use socket2::{Domain, Protocol, Type};

use super::error;
use super::turn::Turn;
use crate::{Error, IpVersion};

/// A UDP socket on all addresses of one family.
pub(super) struct Socket {
    socket: Async<UdpSocket>,
    local: SocketAddr,
    family: IpVersion,
    turn: Turn,
}

impl Socket {
    pub(super) fn bind(local_port: Option<u16>, family: IpVersion) -> Result<Self, Error> {
        if local_port == Some(0) {
            return Err(Error::AddressInUse(0));
        }
        let port = local_port.unwrap_or(0);
        let local = match family {
            IpVersion::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            IpVersion::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        };
        let open = || {
            let domain = Domain::for_address(local);
            let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            if family == IpVersion::V6 {
                socket.set_only_v6(true)?;
            }
            socket.bind(&local.into())?;
            Async::new(UdpSocket::from(socket))
        };
        let socket = open().map_err(|e: io::Error| match e.kind() {
            io::ErrorKind::AddrInUse => Error::AddressInUse(port),
            io::ErrorKind::AddrNotAvailable => Error::AddressFamily(family),
            _ => error(e),
        })?;
        let local = socket.get_ref().local_addr().map_err(error)?;
        Ok(Self { socket, local, family, turn: Turn::default() })
    }
}

impl crate::Datagram for Socket {
    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        remote: SocketAddr,
    ) -> Poll<Result<(), Error>> {
        if IpVersion::of(remote.ip()) != self.family {
            return Poll::Ready(Err(Error::AddressFamily(IpVersion::of(remote.ip()))));
        }
        if payload.len() > MAX_PAYLOAD {
            let len = payload.len();
            return Poll::Ready(Err(Error::MessageTooLarge { len, max: MAX_PAYLOAD }));
        }
        ready!(self.turn.poll(cx));
        loop {
            match self.socket.get_ref().send_to(payload, remote) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_writable(cx)).map_err(error)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(error(e))),
            }
        }
    }

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr), Error>> {
        ready!(self.turn.poll(cx));
        loop {
            match self.socket.get_ref().recv_from(buf) {
                Ok(received) => return Poll::Ready(Ok(received)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_readable(cx)).map_err(error)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(error(e))),
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// Octets of UDP payload in the largest IPv4 packet; IPv6 takes 20 more.
const MAX_PAYLOAD: usize = 65_507;
