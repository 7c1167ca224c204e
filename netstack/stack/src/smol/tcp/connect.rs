//! An attempt to connect.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use smoltcp::socket::tcp;
use smoltcp::socket::tcp::State as TcpState;
use smoltcp::wire::IpEndpoint;

use super::{Connection, Role, TcpStream, socket};
use crate::smol::stack::Shared;
use crate::smol::state::{Id, Nothing, State, interface};
use crate::{Error, Instant, Unreachable};

/// The future of [`crate::Net::tcp_connect`].
pub(in crate::smol) struct Connect {
    shared: Arc<Shared>,
    remote: SocketAddr,
    id: Option<Id>,
}

impl Connect {
    pub(in crate::smol) fn new(shared: Arc<Shared>, remote: SocketAddr) -> Self {
        Self { shared, remote, id: None }
    }

    /// `Ok(None)` while the peer has not answered.
    fn advance(&mut self, cx: &Context<'_>) -> Poll<Result<Id, Error>> {
        let now = self.shared.now();
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        let id = match self.id {
            Some(id) => id,
            None => {
                let id = state.connect(self.remote, now)?;
                self.id = Some(id);
                id
            }
        };
        let State { connections, sockets, .. } = &mut *state;
        let connection = connections.get_mut(&id).expect("an attempt lives as long as its future");
        if let Some(failure) = &connection.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        let waits = connection.handle.is_some_and(|handle| {
            let state = sockets.get::<tcp::Socket>(handle).state();
            matches!(state, TcpState::SynSent | TcpState::SynReceived)
        });
        if waits {
            let old = connection.writer.replace(waker);
            drop(state);
            drop(old);
            return Poll::Pending;
        }
        connection.role = Role::Open;
        self.id = None;
        Poll::Ready(Ok(id))
    }
}

impl Future for Connect {
    type Output = Result<Box<dyn crate::TcpStream>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.advance(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(id)) => {
                Poll::Ready(Ok(Box::new(TcpStream::new(this.shared.clone(), id))))
            }
        }
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let now = self.shared.now();
            let buried = self.shared.lock().bury(id, true, now);
            drop(buried);
        }
    }
}

impl State {
    fn connect(&mut self, remote: SocketAddr, now: Instant) -> Result<Id, Error> {
        if self.absent {
            return Err(Error::NoDevice);
        }
        let next_hop = self.addressing.next_hop(remote.ip())?;
        let dst = smoltcp::wire::IpAddress::from(remote.ip());
        if !dst.is_unicast() || self.addressing.is_ours(remote.ip()) {
            return Err(Error::Unreachable(Unreachable::NoRoute));
        }
        // No host has a port 0 to listen on.
        if remote.port() == 0 {
            return Err(Error::Refused);
        }
        let source = self.source_address(remote.ip())?;
        let port = self.free_port(now)?;

        // The initial sequence number comes from the context's generator, which is not a
        // cryptographic one (RFC 6528 wants unpredictable ones): lend it a context whose generator
        // is freshly seeded and used once.
        let mut lent = interface([2, 0, 0, 0, 0, 0], self.random_u64(), &mut Nothing, now);
        let mut socket = socket(&self.tcp);
        let endpoint = IpEndpoint::new(dst, remote.port());
        socket
            .connect(lent.context(), endpoint, (smoltcp::wire::IpAddress::from(source), port))
            .expect("a new socket, ports that are not zero, addresses of one family");

        let handle = self.sockets.add(socket);
        let until = now + self.tcp.connect_timeout;
        let local = SocketAddr::new(source, port);
        let id = self.next_id();
        let role = Role::Opening { since: now, until, next_hop, new: true };
        self.connections.insert(id, Connection::new(handle, role, local, remote));
        Ok(id)
    }
}
