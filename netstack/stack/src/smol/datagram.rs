//! UDP sockets.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use super::stack::Shared;
use super::state::{Id, State};
use crate::{Error, Instant, IpVersion, Unreachable};

/// All UDP sockets.
pub(super) type Datagrams = BTreeMap<Id, Port>;

/// A UDP socket, behind the lock.
pub(super) struct Port {
    handle: SocketHandle,
    pub(super) port: u16,
    /// Errors to report on receiving, at most [`MAX_ERRORS`].
    errors: VecDeque<Error>,
    /// The neighbour that everything queued goes to, and since when it waits. smoltcp sends strictly in order, so a silent
    /// neighbour would hold up datagrams to others.
    next_hop: Option<(IpAddr, Instant)>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A UDP socket in its owner's hands.
pub(super) struct Datagram {
    shared: Arc<Shared>,
    id: Id,
    port: u16,
    family: IpVersion,
}

impl Datagram {
    pub(super) fn bind(
        shared: Arc<Shared>,
        port: Option<u16>,
        family: IpVersion,
    ) -> Result<Self, Error> {
        let now = shared.now();
        let mut state = shared.lock();
        state.check_usable(family)?;
        let port = match port {
            Some(port) => port,
            None => state.free_port(now)?,
        };
        if port == 0 || state.datagrams.values().any(|d| d.port == port) {
            return Err(Error::AddressInUse(port));
        }
        let buffer = |packets, octets| {
            udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; packets], vec![0; octets])
        };
        let mut socket = udp::Socket::new(buffer(64, 64 * 1024), buffer(16, SEND_BUFFER));
        socket.bind(port).expect("a new socket and a port that is not zero");
        let handle = state.sockets.add(socket);
        let id = state.next_id();
        let entry = Port {
            handle,
            port,
            errors: VecDeque::new(),
            next_hop: None,
            reader: None,
            writer: None,
        };
        state.datagrams.insert(id, entry);
        drop(state);
        Ok(Self { shared, id, port, family })
    }
}

impl crate::Datagram for Datagram {
    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        remote: SocketAddr,
    ) -> Poll<Result<(), Error>> {
        if IpVersion::of(remote.ip()) != self.family {
            return Poll::Ready(Err(Error::AddressFamily(IpVersion::of(remote.ip()))));
        }
        let waker = cx.waker().clone();
        let now = self.shared.now();
        let mut state = self.shared.lock();
        let max = (state.addressing.mtu() - ip_header(self.family) - 8).min(SEND_BUFFER);
        if payload.len() > max {
            return Poll::Ready(Err(Error::MessageTooLarge { len: payload.len(), max }));
        }
        let next_hop = state.addressing.next_hop(remote.ip())?;
        let source = state.source_address(remote.ip())?;
        if remote.port() == 0 {
            return Poll::Ready(Err(Error::Unreachable(Unreachable::Port)));
        }
        let State { datagrams, sockets, .. } = &mut *state;
        let port = datagrams.get_mut(&self.id).expect("a port lives as long as its socket");
        let socket = sockets.get_mut::<udp::Socket>(port.handle);
        if socket.send_queue() == 0 {
            port.next_hop = None;
        }
        let remote = IpEndpoint::new(IpAddress::from(remote.ip()), remote.port());
        let mut remote = udp::UdpMetadata::from(remote);
        remote.local_address = Some(source.into());
        if port.next_hop.is_none_or(|(hop, _)| hop == next_hop)
            && socket.send_slice(payload, remote).is_ok()
        {
            port.next_hop.get_or_insert((next_hop, now));
            return Poll::Ready(Ok(()));
        }
        let old = port.writer.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr), Error>> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        let State { datagrams, sockets, .. } = &mut *state;
        let port = datagrams.get_mut(&self.id).expect("a port lives as long as its socket");
        if let Some(error) = port.errors.pop_front() {
            return Poll::Ready(Err(error));
        }
        let socket = sockets.get_mut::<udp::Socket>(port.handle);
        while let Ok((payload, meta)) = socket.recv() {
            let remote = SocketAddr::new(meta.endpoint.addr.into(), meta.endpoint.port);
            if IpVersion::of(remote.ip()) != self.family {
                continue;
            }
            let n = payload.len().min(buf.len());
            buf[..n].copy_from_slice(&payload[..n]);
            return Poll::Ready(Ok((n, remote)));
        }
        let old = port.reader.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    fn local_addr(&self) -> SocketAddr {
        let addr = match self.family {
            IpVersion::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpVersion::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        SocketAddr::new(addr, self.port)
    }
}

impl Drop for Datagram {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let port = state.datagrams.remove(&self.id);
        if let Some(port) = &port {
            state.sockets.remove(port.handle);
        }
        drop(state);
        drop(port);
    }
}

impl State {
    /// Whether a socket of that family can be opened now.
    pub(super) fn check_usable(&self, family: IpVersion) -> Result<(), Error> {
        if self.absent {
            return Err(Error::NoDevice);
        }
        self.addressing.check_family(family)?;
        let has_address = self.iface.ip_addrs().iter().any(|cidr| {
            IpVersion::of(cidr.address().into()) == family && !cidr.address().is_unspecified()
        });
        if has_address { Ok(()) } else { Err(Error::NoAddress) }
    }

    /// An ICMP error about a datagram sent from `local_port`.
    pub(super) fn fail_datagrams(&mut self, local_port: u16, why: Unreachable) {
        for port in self.datagrams.values_mut().filter(|d| d.port == local_port) {
            port.push_error(Error::Unreachable(why));
        }
    }

    /// The next hops of what waits in queues.
    pub(super) fn hops_of_datagrams(&self) -> Vec<(IpAddr, bool)> {
        let ports = self.datagrams.values();
        let waits = |port: &&Port| self.sockets.get::<udp::Socket>(port.handle).send_queue() > 0;
        ports.filter(waits).filter_map(|port| Some((port.next_hop?.0, true))).collect()
    }

    /// Throws away what waits for a silent neighbour, and says so.
    pub(super) fn fail_silent_datagrams(&mut self, is_silent: impl Fn(IpAddr, Instant) -> bool) {
        for port in self.datagrams.values_mut() {
            let socket = self.sockets.get_mut::<udp::Socket>(port.handle);
            if let Some((hop, since)) = port.next_hop
                && socket.send_queue() > 0
                && is_silent(hop, since)
            {
                // Closing is smoltcp's way to empty the queue; datagrams received meanwhile go too.
                socket.close();
                socket.bind(port.port).expect("closed, and the port is not zero");
                port.next_hop = None;
                port.push_error(Error::Unreachable(Unreachable::NoNeighbor(hop)));
            }
        }
    }

    /// Takes the wakers of tasks that can go on.
    pub(super) fn ready_datagrams(&mut self, wakers: &mut Vec<Waker>) {
        for port in self.datagrams.values_mut() {
            let socket = self.sockets.get_mut::<udp::Socket>(port.handle);
            if socket.can_recv() || !port.errors.is_empty() {
                wakers.extend(port.reader.take());
            }
            // A queue that holds datagrams may still be the wrong one; see `Port::next_hop`.
            if socket.send_queue() == 0 {
                wakers.extend(port.writer.take());
            }
        }
    }
}

impl Port {
    fn push_error(&mut self, error: Error) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push_back(error);
        }
    }
}

/// Octets of an IP header without options.
pub(super) fn ip_header(family: IpVersion) -> usize {
    match family {
        IpVersion::V4 => 20,
        IpVersion::V6 => 40,
    }
}

const SEND_BUFFER: usize = 32 * 1024;
const MAX_ERRORS: usize = 8;
