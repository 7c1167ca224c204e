//! TCP: connections that someone owns, attempts, listeners, and what lingers after its owner.
//!
//! ```text
//!   connect ──▶ Opening ──▶ Open ──────────────▶ (owner gone) ──▶ grave ──▶ nothing
//!                  │          ▲ accept
//!   listen ──▶ Offered ───────┘
//! ```

mod connect;
mod linger;
mod listen;
mod stream;

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use std::collections::BTreeMap;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::socket::tcp::State as TcpState;
use smoltcp::wire::IpEndpoint;

pub(super) use connect::Connect;
pub(super) use linger::Graves;
pub use listen::Listener;
pub(super) use listen::Listeners;
pub use stream::TcpStream;

use super::config::TcpOptions;
use super::state::{Id, Phase, State, earliest};
use crate::{Error, Instant, Unreachable};

/// All connections that someone owns, and those that a listener offers.
pub(super) type Connections = BTreeMap<Id, Connection>;

/// A connection with an owner.
pub(super) struct Connection {
    /// smoltcp's socket; `None` when it is no longer needed.
    handle: Option<SocketHandle>,
    role: Role,
    pub(super) local: SocketAddr,
    remote: SocketAddr,
    /// Why it ended, when it was not by agreement.
    failure: Option<Error>,
    /// Octets received by a connection that has already ended.
    tail: Vec<u8>,
    tail_read: usize,
    /// Everything that the peer sent, FIN included, has been received and `tail` is what is left.
    finished: bool,
    read_shut: bool,
    write_shut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// We have sent, or are about to send, a SYN by way of `next_hop`.
    Opening {
        since: Instant,
        until: Instant,
        next_hop: IpAddr,
        /// No turn has passed.
        new: bool,
    },
    /// Listening or answering a SYN, for that listener.
    Offered(Id),
    Open,
}

impl Connection {
    fn new(handle: SocketHandle, role: Role, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            handle: Some(handle),
            role,
            local,
            remote,
            failure: None,
            tail: Vec::new(),
            tail_read: 0,
            finished: false,
            read_shut: false,
            write_shut: false,
            reader: None,
            writer: None,
        }
    }
}

impl State {
    /// Follows the state changes of all connections.
    pub(super) fn check_connections(&mut self, now: Instant, phase: Phase) {
        let mut vanished = Vec::new();
        for (&id, connection) in &mut self.connections {
            let Some(handle) = connection.handle else { continue };
            let socket = self.sockets.get_mut::<tcp::Socket>(handle);
            match socket.state() {
                TcpState::Closed if matches!(connection.role, Role::Offered(_)) => {
                    vanished.push(id);
                }
                TcpState::Closed if connection.failure.is_none() => {
                    let opening = matches!(connection.role, Role::Opening { .. });
                    connection.failure = Some(match phase {
                        Phase::Received if opening => Error::Refused,
                        Phase::Received => Error::Reset,
                        Phase::Sent if !self.iface.has_ip_addr(connection.local.ip()) => {
                            Error::NoAddress
                        }
                        Phase::Sent => Error::TimedOut,
                    });
                }
                TcpState::TimeWait => {
                    // smoltcp throws unread octets away when TIME-WAIT ends, so take them out.
                    while let Ok(n @ 1..) = socket.recv(|octets| {
                        connection.tail.extend_from_slice(octets);
                        (octets.len(), octets.len())
                    }) {
                        debug_assert!(n > 0);
                    }
                    connection.finished = true;
                    connection.handle = None;
                    self.graves.push(linger::Grave::new(handle, connection, now + self.tcp.linger));
                }
                TcpState::Established | TcpState::CloseWait => {
                    if let Role::Offered(listener) = connection.role {
                        offered_is_open(connection, socket);
                        if let Some(listener) = self.listeners.get_mut(&listener) {
                            listener.ready.push_back(id);
                        }
                    }
                    // smoltcp's time limit would also end a connection on which nothing is due.
                    if socket.send_queue() == 0 {
                        socket.set_timeout(None);
                    }
                }
                _ => {}
            }
            if connection.read_shut
                && let Some(handle) = connection.handle
            {
                let socket = self.sockets.get_mut::<tcp::Socket>(handle);
                while let Ok(1..) = socket.recv(|octets| (octets.len(), octets.len())) {}
            }
        }
        for id in vanished {
            let Some(connection) = self.connections.remove(&id) else { continue };
            self.ended.push((connection.local, connection.remote));
            if let Some(handle) = connection.handle {
                self.sockets.remove(handle);
            }
        }
        let late: Vec<Id> = self
            .connections
            .iter()
            .filter(|(_, c)| matches!(c.role, Role::Opening { until, .. } if until <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.fail_attempt(id, Error::TimedOut);
        }
    }

    /// An ICMP error ends an attempt; it is only a hint to an open connection (RFC 5461 §4).
    pub(super) fn fail_connecting(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        why: Unreachable,
    ) {
        let ids: Vec<Id> = self
            .connections
            .iter()
            .filter(|(_, c)| matches!(c.role, Role::Opening { .. }))
            .filter(|(_, c)| c.local == local && c.remote == remote)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.fail_attempt(id, Error::Unreachable(why));
        }
    }

    /// The next hops of all attempts, and whether each is a new one, which none is the next time.
    pub(super) fn hops_of_connections(&mut self) -> Vec<(IpAddr, bool)> {
        let hop = |connection: &mut Connection| match &mut connection.role {
            Role::Opening { next_hop, new, .. } => Some((*next_hop, core::mem::take(new))),
            _ => None,
        };
        self.connections.values_mut().filter_map(hop).collect()
    }

    /// The next hops of all connections, those without an owner included.
    pub(super) fn hops_in_use(&self) -> impl Iterator<Item = IpAddr> {
        let owned = self.connections.values().filter(|c| c.handle.is_some()).map(|c| c.remote);
        let all = owned.chain(self.graves.iter().map(|grave| grave.remote));
        all.filter_map(|remote| self.addressing.next_hop(remote.ip()).ok())
    }

    /// Fails the attempts whose next hop is silent.
    pub(super) fn fail_silent_connections(&mut self, is_silent: impl Fn(IpAddr, Instant) -> bool) {
        let silent: Vec<(Id, IpAddr)> = self
            .connections
            .iter()
            .filter_map(|(id, c)| match c.role {
                Role::Opening { next_hop, since, .. } if is_silent(next_hop, since) => {
                    Some((*id, next_hop))
                }
                _ => None,
            })
            .collect();
        for (id, next_hop) in silent {
            self.fail_attempt(id, Error::Unreachable(Unreachable::NoNeighbor(next_hop)));
        }
    }

    /// Ends an attempt that has not been answered, without a word to the peer.
    fn fail_attempt(&mut self, id: Id, why: Error) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(handle) = connection.handle else { return };
        if self.sockets.get::<tcp::Socket>(handle).state() != TcpState::SynSent {
            return;
        }
        connection.failure.get_or_insert(why);
        connection.handle = None;
        self.ended.push((connection.local, connection.remote));
        self.sockets.remove(handle);
    }

    pub(super) fn connections_deadline(&self) -> Option<Instant> {
        self.connections
            .values()
            .filter(|c| c.handle.is_some())
            .filter_map(|c| match c.role {
                Role::Opening { until, .. } => Some(until),
                _ => None,
            })
            .fold(None, |min, until| earliest(min, Some(until)))
    }

    /// Takes the wakers of tasks that can go on.
    pub(super) fn ready_connections(&mut self, wakers: &mut Vec<Waker>) {
        for connection in self.connections.values_mut() {
            if connection.reader.is_none() && connection.writer.is_none() {
                continue;
            }
            let socket = connection.handle.map(|h| self.sockets.get::<tcp::Socket>(h));
            let (readable, writable) = match (&connection.role, socket) {
                (_, None) => (true, true),
                (Role::Opening { .. } | Role::Offered(_), Some(socket)) => {
                    let waits = matches!(socket.state(), TcpState::SynSent | TcpState::SynReceived);
                    (false, !waits)
                }
                (Role::Open, Some(socket)) => (
                    connection.read_shut || socket.can_recv() || !socket.may_recv(),
                    socket.can_send() || !socket.may_send(),
                ),
            };
            if readable {
                wakers.extend(connection.reader.take());
            }
            if writable {
                wakers.extend(connection.writer.take());
            }
        }
    }
}

fn offered_is_open(connection: &mut Connection, socket: &mut tcp::Socket<'_>) {
    connection.role = Role::Open;
    if let (Some(local), Some(remote)) = (socket.local_endpoint(), socket.remote_endpoint()) {
        connection.local = socket_addr(local);
        connection.remote = socket_addr(remote);
    }
}

/// A closed socket with buffers and house settings.
fn socket(options: &TcpOptions) -> tcp::Socket<'static> {
    let mut socket = tcp::Socket::new(
        tcp::SocketBuffer::new(vec![0; options.receive_buffer]),
        tcp::SocketBuffer::new(vec![0; options.send_buffer]),
    );
    socket.set_congestion_control(tcp::CongestionControl::Cubic);
    // Acknowledgements stay as smoltcp has them: 10 ms late at most, at once after a full segment.
    // They leave when a turn's frames have been taken in, so that one covers up to a turn's worth.
    // Callers write whole messages; holding the last segment of one back (RFC 9293 §3.7.4) would
    // cost a round trip.
    socket.set_nagle_enabled(false);
    socket
}

fn socket_addr(endpoint: IpEndpoint) -> SocketAddr {
    SocketAddr::new(endpoint.addr.into(), endpoint.port)
}
