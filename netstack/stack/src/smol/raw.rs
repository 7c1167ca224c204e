//! Raw IP sockets.

use core::net::IpAddr;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::sync::Arc;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::raw;
use smoltcp::wire::{
    Icmpv6Packet, IpAddress, IpProtocol, IpRepr, IpVersion as SmolVersion, Ipv4Packet, Ipv6Packet,
};

use super::datagram::ip_header;
use super::stack::Shared;
use super::state::{Id, State};
use crate::{Error, Instant, IpVersion, Received, Unreachable};

/// All raw sockets.
pub(super) type Raws = BTreeMap<Id, Raw>;

/// A raw socket, behind the lock.
pub(super) struct Raw {
    handle: SocketHandle,
    protocol: u8,
    family: IpVersion,
    /// The neighbour that everything queued goes to and since when, see `datagram::Port`.
    next_hop: Option<(IpAddr, Instant)>,
    /// To report on receiving.
    error: Option<Error>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A raw socket in its owner's hands.
pub(super) struct RawIp {
    shared: Arc<Shared>,
    id: Id,
    family: IpVersion,
    protocol: u8,
}

impl RawIp {
    pub(super) fn open(
        shared: Arc<Shared>,
        protocol: u8,
        family: IpVersion,
    ) -> Result<Self, Error> {
        let mut state = shared.lock();
        state.check_usable(family)?;
        let handle = state.sockets.add(socket(protocol, family));
        let id = state.next_id();
        let entry = Raw {
            handle,
            protocol,
            family,
            next_hop: None,
            error: None,
            reader: None,
            writer: None,
        };
        state.raws.insert(id, entry);
        drop(state);
        Ok(Self { shared, id, family, protocol })
    }
}

impl crate::RawIp for RawIp {
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        dst: IpAddr,
    ) -> Poll<Result<(), Error>> {
        if IpVersion::of(dst) != self.family {
            return Poll::Ready(Err(Error::AddressFamily(IpVersion::of(dst))));
        }
        let waker = cx.waker().clone();
        let now = self.shared.now();
        let mut state = self.shared.lock();
        let max = (state.addressing.mtu() - ip_header(self.family)).min(MAX_PAYLOAD);
        if payload.len() > max {
            return Poll::Ready(Err(Error::MessageTooLarge { len: payload.len(), max }));
        }
        let next_hop = state.addressing.next_hop(dst)?;
        let src = IpAddress::from(state.source_address(dst)?);
        let dst = IpAddress::from(dst);
        let State { raws, sockets, .. } = &mut *state;
        let entry = raws.get_mut(&self.id).expect("a socket lives as long as its owner");
        let socket = sockets.get_mut::<raw::Socket>(entry.handle);
        if socket.send_queue() == 0 {
            entry.next_hop = None;
        }
        let protocol = IpProtocol::from(self.protocol);
        let header = IpRepr::new(src, dst, protocol, payload.len(), HOP_LIMIT);
        let header_len = header.header_len();
        if entry.next_hop.is_none_or(|(hop, _)| hop == next_hop)
            && let Ok(packet) = socket.send(header_len + payload.len())
        {
            // smoltcp computes the header's checksum when it sends the packet.
            header.emit(&mut *packet, &smoltcp::phy::ChecksumCapabilities::ignored());
            packet[header_len..].copy_from_slice(payload);
            if let (IpAddress::Ipv6(src), IpAddress::Ipv6(dst)) = (src, dst)
                && protocol == IpProtocol::Icmpv6
                && payload.len() >= 4
            {
                Icmpv6Packet::new_unchecked(&mut packet[header_len..]).fill_checksum(&src, &dst);
            }
            entry.next_hop.get_or_insert((next_hop, now));
            return Poll::Ready(Ok(()));
        }
        let old = entry.writer.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<Received, Error>> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        let State { raws, sockets, addressing, .. } = &mut *state;
        let entry = raws.get_mut(&self.id).expect("a socket lives as long as its owner");
        if let Some(error) = entry.error.take() {
            return Poll::Ready(Err(error));
        }
        let socket = sockets.get_mut::<raw::Socket>(entry.handle);
        while let Ok(packet) = socket.recv() {
            let Some((src, dst, hop_limit, payload)) = parse(packet) else { continue };
            // smoltcp shows raw sockets everything that the device lets through.
            if !addressing.is_ours(dst) {
                continue;
            }
            let len = payload.len().min(buf.len());
            buf[..len].copy_from_slice(&payload[..len]);
            return Poll::Ready(Ok(Received { len, src, hop_limit: Some(hop_limit) }));
        }
        let old = entry.reader.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for RawIp {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let entry = state.raws.remove(&self.id);
        if let Some(entry) = &entry {
            state.sockets.remove(entry.handle);
        }
        drop(state);
        drop(entry);
    }
}

impl State {
    /// The next hops of what waits in queues.
    pub(super) fn hops_of_raws(&self) -> Vec<(IpAddr, bool)> {
        let entries = self.raws.values();
        let waits = |entry: &&Raw| self.sockets.get::<raw::Socket>(entry.handle).send_queue() > 0;
        entries.filter(waits).filter_map(|entry| Some((entry.next_hop?.0, true))).collect()
    }

    /// Throws away what waits for a silent neighbour, and says so.
    pub(super) fn fail_silent_raws(&mut self, is_silent: impl Fn(IpAddr, Instant) -> bool) {
        for entry in self.raws.values_mut() {
            if let Some((hop, since)) = entry.next_hop
                && self.sockets.get::<raw::Socket>(entry.handle).send_queue() > 0
                && is_silent(hop, since)
            {
                self.sockets.remove(entry.handle);
                entry.handle = self.sockets.add(socket(entry.protocol, entry.family));
                entry.next_hop = None;
                entry.error = Some(Error::Unreachable(Unreachable::NoNeighbor(hop)));
            }
        }
    }

    /// Takes the wakers of tasks that can go on.
    pub(super) fn ready_raws(&mut self, wakers: &mut Vec<Waker>) {
        for entry in self.raws.values_mut() {
            let socket = self.sockets.get::<raw::Socket>(entry.handle);
            if socket.can_recv() || entry.error.is_some() {
                wakers.extend(entry.reader.take());
            }
            if socket.send_queue() == 0 {
                wakers.extend(entry.writer.take());
            }
        }
    }
}

fn socket(protocol: u8, family: IpVersion) -> raw::Socket<'static> {
    let version = match family {
        IpVersion::V4 => SmolVersion::Ipv4,
        IpVersion::V6 => SmolVersion::Ipv6,
    };
    let buffer = |packets, octets| {
        raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; packets], vec![0; octets])
    };
    raw::Socket::new(
        Some(version),
        Some(IpProtocol::from(protocol)),
        buffer(64, 64 * 1024),
        buffer(16, 32 * 1024),
    )
}

/// Source, destination, hop limit and payload of a packet with its IP header.
fn parse(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    match SmolVersion::of_packet(packet).ok()? {
        SmolVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            let (src, dst) = (packet.src_addr().into(), packet.dst_addr().into());
            Some((src, dst, packet.hop_limit(), packet.payload()))
        }
        SmolVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            let (src, dst) = (packet.src_addr().into(), packet.dst_addr().into());
            Some((src, dst, packet.hop_limit(), packet.payload()))
        }
    }
}

const HOP_LIMIT: u8 = 64;
const MAX_PAYLOAD: usize = 16 * 1024;
