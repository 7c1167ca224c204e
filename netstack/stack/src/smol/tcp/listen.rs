//! Accepting connections.

use core::future::poll_fn;
use core::net::{Ipv4Addr, SocketAddr};
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smoltcp::socket::tcp;
use smoltcp::socket::tcp::State as TcpState;

use super::{Connection, Role, TcpStream, socket};
use crate::Error;
use crate::smol::stack::Shared;
use crate::smol::state::{Id, State};

/// All listeners.
pub(in crate::smol) type Listeners = BTreeMap<Id, Listening>;

/// A listener, behind the lock.
pub(in crate::smol) struct Listening {
    pub(in crate::smol) port: u16,
    backlog: usize,
    /// Open connections that nobody has accepted yet.
    pub(super) ready: VecDeque<Id>,
    waker: Option<Waker>,
}

/// A TCP port that accepts connections, on all our addresses.
///
/// Connections beyond the backlog are refused. Dropping it resets those not accepted.
pub struct Listener {
    shared: Arc<Shared>,
    id: Id,
    port: u16,
}

impl Listener {
    pub(in crate::smol) fn bind(
        shared: Arc<Shared>,
        port: u16,
        backlog: usize,
    ) -> Result<Self, Error> {
        let mut state = shared.lock();
        if state.absent {
            return Err(Error::NoDevice);
        }
        let taken = port == 0
            || state.listeners.values().any(|l| l.port == port)
            || state.connections.values().any(|c| c.local.port() == port);
        if taken {
            return Err(Error::AddressInUse(port));
        }
        let id = state.next_id();
        let backlog = backlog.clamp(1, MAX_BACKLOG);
        let listening = Listening { port, backlog, ready: VecDeque::new(), waker: None };
        state.listeners.insert(id, listening);
        state.refill_listeners();
        drop(state);
        Ok(Self { shared, id, port })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the next connection. One task may wait at a time.
    ///
    /// # Errors
    /// None yet; the type leaves room.
    pub async fn accept(&self) -> Result<TcpStream, Error> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Takes the next connection, see [`Self::accept`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<TcpStream, Error>> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        let listening =
            state.listeners.get_mut(&self.id).expect("listening as long as the listener exists");
        if let Some(id) = listening.ready.pop_front() {
            drop(state);
            return Poll::Ready(Ok(TcpStream::new(self.shared.clone(), id)));
        }
        let old = listening.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        let listening = state.listeners.remove(&self.id);
        let ready = listening.as_ref().map(|l| l.ready.clone()).unwrap_or_default();
        let offered = state
            .connections
            .iter()
            .filter(|(_, c)| c.role == Role::Offered(self.id))
            .map(|(id, _)| *id);
        let ids: Vec<Id> = offered.chain(ready).collect();
        let buried: Vec<_> = ids.into_iter().filter_map(|id| state.bury(id, true, now)).collect();
        drop(state);
        drop((listening, buried));
    }
}

impl State {
    /// Keeps as many sockets listening as the backlogs have room.
    pub(in crate::smol) fn refill_listeners(&mut self) {
        let mut missing = Vec::new();
        let mut surplus = Vec::new();
        for (id, listener) in &self.listeners {
            let room = listener.backlog.saturating_sub(listener.ready.len());
            let mut listening = 0;
            let mut half_open = 0;
            for (offered, connection) in &self.connections {
                if connection.role != Role::Offered(*id) {
                    continue;
                }
                let state = connection.handle.map(|h| self.sockets.get::<tcp::Socket>(h).state());
                if state != Some(TcpState::Listen) {
                    half_open += 1;
                } else if listening == room {
                    surplus.push(*offered);
                } else {
                    listening += 1;
                }
            }
            if half_open < MAX_HALF_OPEN {
                missing.extend(core::iter::repeat_n((*id, listener.port), room - listening));
            }
        }
        for id in surplus {
            if let Some(Connection { handle: Some(handle), .. }) = self.connections.remove(&id) {
                self.sockets.remove(handle);
            }
        }
        for (listener, port) in missing {
            let mut socket = socket(&self.tcp);
            socket.listen(port).expect("a new socket and a port that is not zero");
            // An answered SYN that is never completed must not stay for ever.
            socket.set_timeout(Some(HALF_OPEN));
            let handle = self.sockets.add(socket);
            let id = self.next_id();
            let local = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            let connection = Connection::new(handle, Role::Offered(listener), local, local);
            self.connections.insert(id, connection);
        }
    }

    /// Takes the wakers of tasks that can accept.
    pub(in crate::smol) fn ready_listeners(&mut self, wakers: &mut Vec<Waker>) {
        for listener in self.listeners.values_mut().filter(|l| !l.ready.is_empty()) {
            wakers.extend(listener.waker.take());
        }
    }

    /// Sockets that wait for a SYN.
    pub(in crate::smol) fn idle_listening_sockets(&self) -> usize {
        self.sockets
            .iter()
            .filter_map(|(_, socket)| match socket {
                smoltcp::socket::Socket::Tcp(socket) => Some(socket),
                _ => None,
            })
            .filter(|socket: &&tcp::Socket<'_>| socket.state() == TcpState::Listen)
            .count()
    }
}

const MAX_BACKLOG: usize = 64;
/// Handshakes under way at a listener; a flood of SYNs gets no further.
const MAX_HALF_OPEN: usize = 64;
const HALF_OPEN: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(60);
