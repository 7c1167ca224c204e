//! Connections whose owner has gone: what was accepted is still sent, for a bounded time.

use core::net::SocketAddr;
use core::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::socket::tcp::State as TcpState;

use super::{Connection, Role};
use crate::Instant;
use crate::smol::state::{Id, State, earliest};

/// Oldest first.
pub(in crate::smol) type Graves = Vec<Grave>;

/// A connection without an owner.
pub(in crate::smol) struct Grave {
    handle: SocketHandle,
    pub(in crate::smol) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Until when the peer has to make progress.
    until: Instant,
    /// State and octets not acknowledged when last looked at: a change is progress.
    seen: (TcpState, usize),
}

impl Grave {
    pub(super) fn new(handle: SocketHandle, connection: &Connection, until: Instant) -> Self {
        let (local, remote) = (connection.local, connection.remote);
        Self { handle, local, remote, until, seen: (TcpState::Closed, usize::MAX) }
    }
}

impl State {
    /// Takes a connection out of its owner's hands. It ends with a FIN after what was accepted for
    /// sending; with a reset when `reset`, or when received octets were left unread (RFC 2525
    /// §2.17); without a word when the peer has not answered yet.
    pub(super) fn bury(&mut self, id: Id, reset: bool, now: Instant) -> Option<Connection> {
        let mut connection = self.connections.remove(&id)?;
        if let Some(handle) = connection.handle.take() {
            let socket = self.sockets.get_mut::<tcp::Socket>(handle);
            let over = socket.remote_endpoint().is_none();
            match socket.state() {
                TcpState::Closed | TcpState::Listen | TcpState::SynSent
                    if over || socket.state() == TcpState::SynSent =>
                {
                    self.sockets.remove(handle);
                    self.ended.push((connection.local, connection.remote));
                    if matches!(connection.role, Role::Opening { .. }) {
                        self.rest_port(connection.local, now);
                    }
                    return Some(connection);
                }
                _ if reset || socket.can_recv() => socket.abort(),
                _ => socket.close(),
            }
            let until = now + self.tcp.linger;
            self.graves.push(Grave::new(handle, &connection, until));
        }
        Some(connection)
    }

    /// Removes what has ended or made no progress for too long.
    pub(in crate::smol) fn tend_graves(&mut self, now: Instant) {
        let mut gone = Vec::new();
        let mut resting = self
            .graves
            .iter()
            .filter(|g| self.is_in_time_wait(g))
            .count()
            .saturating_sub(MAX_TIME_WAIT);
        let mut graves = core::mem::take(&mut self.graves);
        graves.retain_mut(|grave| {
            let socket = self.sockets.get_mut::<tcp::Socket>(grave.handle);
            if socket.state() == TcpState::Closed && socket.remote_endpoint().is_none() {
                gone.push((grave.handle, grave.local, grave.remote));
                return false;
            }
            // Buffers are what costs; a late FIN of this peer is then answered by a reset.
            if socket.state() == TcpState::TimeWait && resting > 0 {
                resting -= 1;
                gone.push((grave.handle, grave.local, grave.remote));
                return false;
            }
            // Octets that nobody will read.
            if socket.can_recv() && socket.state() != TcpState::TimeWait {
                socket.abort();
            }
            let seen = (socket.state(), socket.send_queue());
            if seen != grave.seen {
                grave.seen = seen;
                let patience =
                    if seen.0 == TcpState::Closed { RESET_PATIENCE } else { self.tcp.linger };
                grave.until = now + patience;
            } else if grave.until <= now {
                if seen.0 == TcpState::Closed {
                    gone.push((grave.handle, grave.local, grave.remote));
                    return false;
                }
                socket.abort();
                grave.seen = (TcpState::Closed, socket.send_queue());
                grave.until = now + RESET_PATIENCE;
            }
            true
        });
        self.graves = graves;
        for (handle, local, remote) in gone {
            self.sockets.remove(handle);
            self.ended.push((local, remote));
            self.rest_port(local, now);
        }
    }

    pub(in crate::smol) fn graves_deadline(&self) -> Option<Instant> {
        self.graves.iter().fold(None, |min, g| earliest(min, Some(g.until)))
    }

    /// Whether every connection without an owner has delivered what it had: octets and FIN are
    /// acknowledged, or the reset is sent.
    pub(in crate::smol) fn is_settled(&self) -> bool {
        self.graves.iter().all(|g| {
            let state = self.sockets.get::<tcp::Socket>(g.handle).state();
            matches!(state, TcpState::FinWait2 | TcpState::TimeWait)
        })
    }

    fn is_in_time_wait(&self, grave: &Grave) -> bool {
        self.sockets.get::<tcp::Socket>(grave.handle).state() == TcpState::TimeWait
    }
}

/// How many sockets may sit in TIME-WAIT with their buffers.
const MAX_TIME_WAIT: usize = 4;
/// How long a reset may wait for its next hop's hardware address.
const RESET_PATIENCE: Duration = Duration::from_secs(4);
