//! Connections over one device: packets to and from them, and the tasks that wait.

use super::connection::Connection;
use super::packet::{Address, Head, NO_RECEIVE, NO_SEND, Operation};
use super::{Vsock, VsockStream};
use crate::{BoxFuture, Error};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use futures_io::{AsyncRead, AsyncWrite};
use spin::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// A device that carries whole packets.
pub trait PacketDevice: Send + 'static {
    /// The machine's own context.
    fn cid(&self) -> u64;

    /// Hands the next packet that came to `take`; false where there is none.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool;

    /// Octets of payload that one packet holds at most.
    fn capacity(&self) -> usize;

    /// Whether there is room for another packet.
    fn can_send(&mut self) -> bool;

    /// Queues a packet; only where there is room for one.
    fn send(&mut self, head: &[u8], payload: &[u8]);

    /// Tells the other side of what was queued and taken.
    fn announce(&mut self);

    /// Asks for an interrupt when a packet comes or, with `writes`, when there is room for one. True: look again, there
    /// is something already.
    fn arm(&mut self, writes: bool) -> bool;

    /// Whether the other side has taken all that was sent.
    fn is_idle(&mut self) -> bool;

    /// Whether the device has lost its connections since this was last asked, or works no more.
    fn has_lost(&mut self) -> bool;
}

/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// Refusals that wait for room; of more packets that nobody expects, none is answered.
const MAX_REFUSALS: usize = 64;
/// Packets taken in one turn.
const BURST: usize = 256;
/// Where local ports begin: the ones below are privileged elsewhere.
const FIRST_PORT: u32 = 1024;

/// The connections over a device. Cheap to clone; all clones are one.
pub struct Sockets<D>(Arc<Mutex<Shared<D>>>);

struct Shared<D> {
    device: D,
    connections: Vec<Entry>,
    refusals: VecDeque<Head>,
    /// The next local port.
    port: u32,
    settling: Vec<Waker>,
}

struct Entry {
    connection: Connection,
    /// Whether a stream or a connecting future holds it.
    is_held: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<D> Clone for Sockets<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: PacketDevice> Sockets<D> {
    /// Connections over `device`; local ports are counted from `random`, so that a machine which boots anew does not meet
    /// its old connections.
    pub fn new(device: D, random: u32) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            device,
            connections: Vec::new(),
            refusals: VecDeque::new(),
            port: random.max(FIRST_PORT),
            settling: Vec::new(),
        })))
    }

    /// Moves packets, wakes tasks. True: there is more to do; otherwise an interrupt comes when there is.
    pub fn poll(&self) -> bool {
        let (more, wakers) = self.0.lock().poll();
        wakers.into_iter().for_each(Waker::wake);
        more
    }
}

impl<D: PacketDevice> Shared<D> {
    fn poll(&mut self) -> (bool, Vec<Waker>) {
        let more = self.turn();
        let mut wakers = Vec::new();
        for entry in &mut self.connections {
            if entry.connection.can_read() {
                wakers.extend(entry.reader.take());
            }
            // whoever waits for an answer is a writer, too
            let is_answered = entry.connection.opened().is_some();
            let has_room = match entry.connection.room() {
                Ok(room) => room > 0 && self.device.can_send(),
                Err(_) => true,
            };
            if is_answered && has_room {
                wakers.extend(entry.writer.take());
            }
        }
        if self.is_settled() {
            wakers.append(&mut self.settling);
        }
        let writers = self.connections.iter().any(|entry| entry.writer.is_some());
        let writes = writers || !self.settling.is_empty() || self.owes();
        (more || self.device.arm(writes), wakers)
    }

    /// Takes what came, sends what is owed; true where the burst ended it.
    fn turn(&mut self) -> bool {
        let Self { device, connections, refusals, .. } = self;
        if device.has_lost() {
            connections.iter_mut().for_each(|entry| entry.connection.lose());
            refusals.clear();
        }
        let mut count = 0;
        while count < BURST && device.receive(&mut |packet| take(connections, refusals, packet)) {
            count += 1;
        }
        while device.can_send()
            && let Some(head) = refusals.pop_front()
        {
            device.send(&head.octets(), &[]);
        }
        for entry in connections.iter_mut() {
            while device.can_send()
                && let Some(head) = entry.connection.owed()
            {
                device.send(&head.octets(), &[]);
            }
        }
        connections.retain(|entry| entry.is_held || !entry.connection.is_over());
        device.announce();
        count == BURST
    }

    fn owes(&self) -> bool {
        !self.refusals.is_empty() || self.connections.iter().any(|entry| entry.connection.owes())
    }

    fn is_settled(&mut self) -> bool {
        let left = self.connections.iter().any(|entry| !entry.is_held);
        !left && !self.owes() && self.device.is_idle()
    }

    /// An unused local port.
    fn next_port(&mut self) -> u32 {
        loop {
            let port = self.port;
            // the highest is "any port" elsewhere (vsock(7))
            self.port = if port >= u32::MAX - 1 { FIRST_PORT } else { port + 1 };
            if self.connections.iter().all(|entry| entry.connection.ours().port != port) {
                return port;
            }
        }
    }

    fn entry(&mut self, port: u32) -> Option<&mut Entry> {
        self.connections.iter_mut().find(|entry| entry.connection.ours().port == port)
    }

    fn connect(&mut self, peer: Address) -> Result<u32, Error> {
        if self.connections.len() == MAX_CONNECTIONS {
            return Err(io::Error::other("too many vsock connections").into());
        }
        let port = self.next_port();
        let ours = Address { cid: self.device.cid(), port };
        let connection = Connection::new(ours, peer);
        self.connections.push(Entry { connection, is_held: true, reader: None, writer: None });
        Ok(port)
    }
}

fn take(connections: &mut [Entry], refusals: &mut VecDeque<Head>, packet: &[u8]) {
    let Some((head, payload)) = Head::parse(packet) else {
        log::debug!("vsock: a packet that makes no sense");
        return;
    };
    let meant = connections.iter_mut().find(|entry| entry.connection.is_meant(&head));
    match meant {
        Some(entry) => entry.connection.handle(&head, payload),
        None if head.operation != Operation::Reset && refusals.len() < MAX_REFUSALS => {
            refusals.push_back(head.refusal());
        }
        None => {}
    }
}

impl<D: PacketDevice> Vsock for Sockets<D> {
    fn connect(
        &self,
        cid: u32,
        port: u32,
    ) -> BoxFuture<'static, Result<Box<dyn VsockStream>, Error>> {
        let sockets = self.clone();
        Box::pin(async move {
            let peer = Address { cid: cid.into(), port };
            let local = sockets.0.lock().connect(peer)?;
            // from here on dropping it ends the connection
            let stream = Stream { sockets, local, peer: (cid, port) };
            poll_fn(|cx| {
                stream.with(|entry| match entry.connection.opened() {
                    Some(result) => Poll::Ready(result),
                    None => {
                        entry.writer = Some(cx.waker().clone());
                        Poll::Pending
                    }
                })
            })
            .await?;
            Ok(Box::new(stream) as Box<dyn VsockStream>)
        })
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        let sockets = self.clone();
        Box::pin(poll_fn(move |cx| {
            let mut shared = sockets.0.lock();
            if shared.is_settled() {
                return Poll::Ready(());
            }
            shared.settling.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

struct Stream<D: PacketDevice> {
    sockets: Sockets<D>,
    /// Our port, by which the connection is found.
    local: u32,
    peer: (u32, u32),
}

impl<D: PacketDevice> Stream<D> {
    fn with<T>(&self, act: impl FnOnce(&mut Entry) -> T) -> T {
        act(self.sockets.0.lock().entry(self.local).expect("a held connection stays"))
    }
}

impl<D: PacketDevice> AsyncRead for Stream<D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|entry| match entry.connection.read(out) {
            Some(read) => Poll::Ready(read.map_err(io::Error::from)),
            None => {
                entry.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }
}

impl<D: PacketDevice> AsyncWrite for Stream<D> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.sockets.0.lock();
        let Shared { device, connections, .. } = &mut *shared;
        let held = connections.iter_mut().find(|it| it.connection.ours().port == self.local);
        let entry = held.expect("a held connection stays");
        let mut written = 0;
        while written < octets.len() {
            let room = entry.connection.room().map_err(io::Error::from)?;
            let len = room.min(device.capacity()).min(octets.len() - written);
            if len == 0 || !device.can_send() {
                break;
            }
            let head = entry.connection.data(len);
            device.send(&head.octets(), &octets[written..written + len]);
            written += len;
        }
        if written > 0 || octets.is_empty() {
            device.announce();
            return Poll::Ready(Ok(written));
        }
        if entry.connection.room().is_ok_and(|room| room == 0) {
            entry.connection.ask_for_credit();
        }
        entry.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|entry| entry.connection.shut(NO_SEND));
        Poll::Ready(Ok(()))
    }
}

impl<D: PacketDevice> VsockStream for Stream<D> {
    fn peer(&self) -> (u32, u32) {
        self.peer
    }

    fn shutdown_read(&mut self) {
        self.with(|entry| entry.connection.shut(NO_RECEIVE));
    }
}

impl<D: PacketDevice> Drop for Stream<D> {
    fn drop(&mut self) {
        self.with(|entry| {
            entry.connection.shut(NO_SEND | NO_RECEIVE);
            entry.is_held = false;
        });
    }
}
