use std::fmt;
use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll};

use mimic::{Flow, Protocol, Shutdown, flow};

pub struct Tcp;

impl Protocol for Tcp {
    type Endpoint = SocketAddr;
    type Flow = TcpFlow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<SocketAddr>) -> Result<TcpFlow, Error> {
        TcpStream::connect(*endpoint).map(TcpFlow)
    }

    fn describe(endpoint: &SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{endpoint}")
    }
}

/// A socket that blocks, which keeps the tutorial short. One that does not would return
/// `Poll::Pending` and see to it that the task is woken.
pub struct TcpFlow(pub TcpStream);

impl Flow for TcpFlow {
    fn poll_read(
        &mut self,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, flow::Error>> {
        Poll::Ready(self.0.read(buf).map_err(flow::Error::failed))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, flow::Error>> {
        Poll::Ready(self.0.write(buf).map_err(flow::Error::failed))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        Poll::Ready(self.0.flush().map_err(flow::Error::failed))
    }

    fn poll_shutdown(
        &mut self,
        _: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), flow::Error>> {
        let how = match how {
            Shutdown::Read => std::net::Shutdown::Read,
            Shutdown::Write => std::net::Shutdown::Write,
            Shutdown::Both => std::net::Shutdown::Both,
        };
        Poll::Ready(self.0.shutdown(how).map_err(flow::Error::failed))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        // the peer may have closed before: then there is nothing left to do
        self.poll_shutdown(cx, Shutdown::Both).map(|_| Ok(()))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.peer_addr() {
            Ok(peer) => write!(f, "tcp {peer}"),
            Err(_) => f.write_str("tcp"),
        }
    }
}
