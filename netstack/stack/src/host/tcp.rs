//! TCP connections of the host.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::net::{Shutdown, TcpStream};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

use super::error;
use super::turn::Turn;
use crate::{Error, IpVersion};

/// An open connection.
pub(super) struct Stream {
    /// `None` after an abort.
    socket: Option<Async<TcpStream>>,
    local: SocketAddr,
    remote: SocketAddr,
    read_shut: bool,
    write_shut: bool,
    turn: Turn,
}

impl Stream {
    pub(super) async fn connect(remote: SocketAddr) -> Result<Self, Error> {
        let socket = Async::<TcpStream>::connect(remote).await.map_err(|e| match e.kind() {
            // No address of that family on this host.
            io::ErrorKind::AddrNotAvailable => Error::AddressFamily(IpVersion::of(remote.ip())),
            _ => error(e),
        })?;
        // As in the smoltcp backend: callers write whole messages.
        socket.get_ref().set_nodelay(true).map_err(error)?;
        let local = socket.get_ref().local_addr().map_err(error)?;
        let (read_shut, write_shut, turn) = (false, false, Turn::default());
        Ok(Self { socket: Some(socket), local, remote, read_shut, write_shut, turn })
    }

    fn socket(&mut self) -> Result<Pin<&mut Async<TcpStream>>, Error> {
        self.socket.as_mut().map(Pin::new).ok_or(Error::Closed)
    }
}

fn wrap(e: io::Error) -> io::Error {
    if e.kind() == io::ErrorKind::Interrupted { e } else { error(e).into() }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.read_shut {
            return Poll::Ready(Ok(0));
        }
        ready!(self.turn.poll(cx));
        self.socket()?.poll_read(cx, buf).map_err(wrap)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_shut {
            return Poll::Ready(Err(Error::Closed.into()));
        }
        ready!(self.turn.poll(cx));
        self.socket()?.poll_write(cx, buf).map_err(wrap)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_shut {
            return Poll::Ready(Ok(()));
        }
        let result = match self.socket()?.get_ref().shutdown(Shutdown::Write) {
            // The peer has closed or reset the connection before.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Err(Error::Reset.into()),
            result => result.map_err(wrap),
        };
        self.write_shut = true;
        Poll::Ready(result)
    }
}

impl crate::TcpStream for Stream {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn peer_addr(&self) -> SocketAddr {
        self.remote
    }

    fn shutdown_read(&mut self) {
        self.read_shut = true;
        if let Some(socket) = &self.socket {
            // It fails only when there is no connection any more.
            let _ = socket.get_ref().shutdown(Shutdown::Read);
        }
    }

    fn abort(&mut self) {
        self.read_shut = false;
        if let Some(socket) = self.socket.take() {
            // Closing with no time to linger sends a reset; without the option it would be a FIN.
            let _ = SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO));
        }
    }
}
