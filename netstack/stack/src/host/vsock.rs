//! Streams over the host's `AF_VSOCK` sockets (vsock(7), Linux).

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, Read, Write};
use std::net::Shutdown;

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use socket2::{Domain, SockAddr, Socket, Type};

use super::error;
use super::turn::Turn;
use crate::vsock::{Vsock, VsockStream};
use crate::{BoxFuture, Error};

/// The host's own context: of a hypervisor's host to its machines, of a machine to its hypervisor.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostVsock;

impl Vsock for HostVsock {
    fn connect(
        &self,
        cid: u32,
        port: u32,
    ) -> BoxFuture<'static, Result<Box<dyn VsockStream>, Error>> {
        Box::pin(async move {
            let stream = Stream::connect(cid, port).await.map_err(refused)?;
            Ok(Box::new(stream) as Box<dyn VsockStream>)
        })
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        // The system finishes what a program leaves behind.
        Box::pin(core::future::ready(()))
    }
}

/// What an error means while nothing is connected: the peer's reset is its refusal (virtio 1.2 §5.10.6.5).
fn refused(failed: io::Error) -> Error {
    match failed.kind() {
        io::ErrorKind::ConnectionReset => Error::Refused,
        // no such family, or no such device below it
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => Error::NoDevice,
        _ if failed.raw_os_error() == Some(ENODEV) => Error::NoDevice,
        _ => error(failed),
    }
}

/// errno(3): no transport serves that context.
const ENODEV: i32 = 19;

struct Stream {
    socket: Async<Socket>,
    peer: (u32, u32),
    read_shut: bool,
    turn: Turn,
}

impl Stream {
    async fn connect(cid: u32, port: u32) -> io::Result<Self> {
        let socket = Async::new(Socket::new(Domain::VSOCK, Type::STREAM, None)?)?;
        match socket.get_ref().connect(&SockAddr::vsock(cid, port)) {
            // it goes on without us
            Err(failed) if failed.raw_os_error() == Some(EINPROGRESS) => socket.writable().await?,
            done => done?,
        }
        match socket.get_ref().take_error()? {
            Some(failed) => Err(failed),
            None => Ok(Self { socket, peer: (cid, port), read_shut: false, turn: Turn::default() }),
        }
    }
}

/// errno(3): the connection is under way.
const EINPROGRESS: i32 = 115;

fn wrap(failed: io::Error) -> io::Error {
    error(failed).into()
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.read_shut {
            return Poll::Ready(Ok(0));
        }
        ready!(self.turn.poll(cx));
        loop {
            match self.socket.get_ref().read(buf) {
                Err(failed) if failed.kind() == io::ErrorKind::WouldBlock => {}
                Err(failed) if failed.kind() == io::ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done.map_err(wrap)),
            }
            ready!(self.socket.poll_readable(cx))?;
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.turn.poll(cx));
        loop {
            match self.socket.get_ref().write(buf) {
                Err(failed) if failed.kind() == io::ErrorKind::WouldBlock => {}
                Err(failed) if failed.kind() == io::ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done.map_err(wrap)),
            }
            ready!(self.socket.poll_writable(cx))?;
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.socket.get_ref().shutdown(Shutdown::Write) {
            // the peer has gone before
            Err(failed) if failed.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done.map_err(wrap),
        })
    }
}

impl VsockStream for Stream {
    fn peer(&self) -> (u32, u32) {
        self.peer
    }

    fn shutdown_read(&mut self) {
        self.read_shut = true;
        // It fails only when there is no connection any more.
        let _ = self.socket.get_ref().shutdown(Shutdown::Read);
    }
}
