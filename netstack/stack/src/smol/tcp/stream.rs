//! An open connection in its owner's hands.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use smoltcp::socket::tcp;

use super::Connection;
use crate::Error;
use crate::smol::stack::Shared;
use crate::smol::state::{Id, State};

/// A TCP connection over smoltcp; see [`crate::TcpStream`] for what its methods promise.
pub struct TcpStream {
    shared: Arc<Shared>,
    id: Id,
    local: SocketAddr,
    remote: SocketAddr,
}

impl TcpStream {
    pub(super) fn new(shared: Arc<Shared>, id: Id) -> Self {
        let state = shared.lock();
        let connection = &state.connections[&id];
        let (local, remote) = (connection.local, connection.remote);
        drop(state);
        Self { shared, id, local, remote }
    }

    /// Runs `f` on the connection and its socket, if smoltcp still has one.
    fn with<R>(
        &self,
        f: impl FnOnce(&mut Connection, Option<&mut tcp::Socket<'static>>) -> R,
    ) -> R {
        let mut state = self.shared.lock();
        let State { connections, sockets, .. } = &mut *state;
        let connection =
            connections.get_mut(&self.id).expect("a connection lives as long as its stream");
        let socket = connection.handle.map(|handle| sockets.get_mut::<tcp::Socket>(handle));
        f(connection, socket)
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let waker = cx.waker().clone();
        // The closure hands back a waker to drop, so that no waker is dropped inside the lock.
        let (result, _old) = self.with(|connection, socket| {
            if connection.read_shut {
                return (Poll::Ready(Ok(0)), Some(waker));
            }
            let Some(socket) = socket else {
                return (Poll::Ready(connection.read_tail(buf)), Some(waker));
            };
            match socket.recv_slice(buf) {
                Ok(0) => (Poll::Pending, connection.reader.replace(waker)),
                Ok(n) => (Poll::Ready(Ok(n)), Some(waker)),
                Err(tcp::RecvError::Finished) => (Poll::Ready(Ok(0)), Some(waker)),
                Err(tcp::RecvError::InvalidState) => {
                    (Poll::Ready(Err(connection.why_closed())), Some(waker))
                }
            }
        });
        result.map_err(io::Error::from)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let waker = cx.waker().clone();
        let user_timeout = self.shared.user_timeout();
        let (result, _old) = self.with(|connection, socket| {
            let socket = match socket {
                Some(socket) if !connection.write_shut && socket.may_send() => socket,
                _ => return (Poll::Ready(Err(connection.why_closed())), Some(waker)),
            };
            match socket.send_slice(buf) {
                Ok(0) if !buf.is_empty() => (Poll::Pending, connection.writer.replace(waker)),
                Ok(n) => {
                    if n > 0 {
                        socket.set_timeout(Some(user_timeout));
                    }
                    (Poll::Ready(Ok(n)), Some(waker))
                }
                Err(tcp::SendError::InvalidState) => {
                    (Poll::Ready(Err(connection.why_closed())), Some(waker))
                }
            }
        });
        result.map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The next poll of the stack sends whatever the peer's window takes.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.with(|connection, socket| {
            if let Some(failure) = &connection.failure
                && !connection.write_shut
            {
                return Err(failure.clone());
            }
            connection.write_shut = true;
            if let Some(socket) = socket {
                socket.close();
            }
            Ok(())
        });
        Poll::Ready(result.map_err(io::Error::from))
    }
}

impl crate::TcpStream for TcpStream {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn peer_addr(&self) -> SocketAddr {
        self.remote
    }

    fn shutdown_read(&mut self) {
        self.with(|connection, socket| {
            connection.read_shut = true;
            connection.tail = Vec::new();
            if let Some(socket) = socket {
                while let Ok(1..) = socket.recv(|octets| (octets.len(), octets.len())) {}
            }
        });
    }

    fn abort(&mut self) {
        let (reader, writer) = self.with(|connection, socket| {
            connection.failure = Some(Error::Closed);
            connection.tail = Vec::new();
            connection.finished = false;
            if let Some(socket) = socket {
                // Unread octets would still be readable: they are not wanted any more.
                while let Ok(1..) = socket.recv(|octets| (octets.len(), octets.len())) {}
                socket.abort();
            }
            (connection.reader.take(), connection.writer.take())
        });
        reader.into_iter().chain(writer).for_each(core::task::Waker::wake);
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let now = self.shared.now();
        let buried = self.shared.lock().bury(self.id, false, now);
        drop(buried);
    }
}

impl core::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "TcpStream({} → {})", self.local, self.remote)
    }
}

impl Connection {
    /// Reads what was taken out of smoltcp's socket when it went into TIME-WAIT.
    fn read_tail(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let rest = &self.tail[self.tail_read.min(self.tail.len())..];
        if rest.is_empty() {
            return if self.finished { Ok(0) } else { Err(self.why_closed()) };
        }
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.tail_read += n;
        Ok(n)
    }

    fn why_closed(&self) -> Error {
        match &self.failure {
            Some(failure) if !self.write_shut => failure.clone(),
            // A reset is worth knowing about after our own FIN, too: the peer may not have read.
            Some(failure @ (Error::Reset | Error::TimedOut | Error::NoAddress)) => failure.clone(),
            _ => Error::Closed,
        }
    }
}
