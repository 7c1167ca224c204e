//! A machine's sockets against a scripted other side.

use super::connection::BUFFER;
use super::packet::{Address, HEAD, Head, NO_RECEIVE, NO_SEND, Operation};
use super::sockets::{PacketDevice, Sockets};
use super::{Vsock as _, VsockStream};
use crate::Error;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use futures_io::{AsyncRead as _, AsyncWrite as _};
use proptest::prelude::*;
use spin::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Octets that a packet of the fake device holds.
const CAPACITY: usize = 100;
const CID: u64 = 3;

/// What is between the machine and the other side.
#[derive(Default)]
struct Wire {
    to_machine: VecDeque<Vec<u8>>,
    to_peer: VecDeque<Vec<u8>>,
    /// Packets that the device holds before the peer takes them.
    slots: usize,
    lost: bool,
}

struct Fake(Arc<Mutex<Wire>>);

impl PacketDevice for Fake {
    fn cid(&self) -> u64 {
        CID
    }

    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        let packet = self.0.lock().to_machine.pop_front();
        packet.as_deref().map(take).is_some()
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn can_send(&mut self) -> bool {
        let wire = self.0.lock();
        wire.to_peer.len() < wire.slots
    }

    fn send(&mut self, head: &[u8], payload: &[u8]) {
        assert!(self.can_send(), "only where there is room");
        assert!(payload.len() <= CAPACITY);
        self.0.lock().to_peer.push_back([head, payload].concat());
    }

    fn announce(&mut self) {}

    fn arm(&mut self, _: bool) -> bool {
        !self.0.lock().to_machine.is_empty()
    }

    fn is_idle(&mut self) -> bool {
        self.0.lock().to_peer.is_empty()
    }

    fn has_lost(&mut self) -> bool {
        core::mem::take(&mut self.0.lock().lost)
    }
}

struct World {
    wire: Arc<Mutex<Wire>>,
    sockets: Sockets<Fake>,
    /// What the other side says of itself in each packet.
    buf_alloc: u32,
    fwd_cnt: u32,
}

const PEER: Address = Address { cid: 2, port: 5000 };

impl World {
    fn new() -> Self {
        let wire = Arc::new(Mutex::new(Wire { slots: 8, ..Wire::default() }));
        let sockets = Sockets::new(Fake(wire.clone()), 70000);
        Self { wire, sockets, buf_alloc: 1000, fwd_cnt: 0 }
    }

    /// The other side's next packet, after a turn of the machine.
    fn next(&self) -> Option<(Head, Vec<u8>)> {
        self.sockets.poll();
        let packet = self.wire.lock().to_peer.pop_front()?;
        let (head, payload) = Head::parse(&packet).expect("the machine sends packets");
        Some((head, payload.to_vec()))
    }

    fn operation(&self) -> Option<(Operation, u32)> {
        self.next().map(|(head, _)| (head.operation, head.flags))
    }

    fn say(&self, port: u32, operation: Operation, flags: u32, payload: &[u8]) {
        let head = Head {
            src: PEER,
            dst: Address { cid: CID, port },
            len: payload.len() as u32,
            operation,
            flags,
            buf_alloc: self.buf_alloc,
            fwd_cnt: self.fwd_cnt,
        };
        self.wire.lock().to_machine.push_back([&head.octets()[..], payload].concat());
        self.sockets.poll();
    }

    /// A connection, and its port here.
    fn open(&self) -> (Box<dyn VsockStream>, u32) {
        let mut connecting = self.sockets.connect(2, PEER.port);
        assert!(poll(connecting.as_mut()).is_pending());
        let (head, _) = self.next().unwrap();
        assert_eq!((head.operation, head.dst, head.src.cid), (Operation::Request, PEER, CID));
        assert_eq!(head.buf_alloc, BUFFER);
        self.say(head.src.port, Operation::Response, 0, b"");
        let Poll::Ready(stream) = poll(connecting.as_mut()) else { panic!("the peer answered") };
        (stream.unwrap(), head.src.port)
    }
}

fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn read(stream: &mut Box<dyn VsockStream>, len: usize) -> Poll<Result<Vec<u8>, Error>> {
    let mut octets = vec![0; len];
    let read = Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut octets);
    read.map(|read| {
        octets.truncate(read.map_err(Error::from_io)?);
        Ok(octets)
    })
}

fn write(stream: &mut Box<dyn VsockStream>, octets: &[u8]) -> Poll<Result<usize, Error>> {
    let written = Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), octets);
    written.map_err(Error::from_io)
}

fn close(stream: &mut Box<dyn VsockStream>) {
    let closed = Pin::new(stream).poll_close(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(closed, Poll::Ready(Ok(()))));
}

#[test]
fn octets_go_both_ways() {
    let world = World::new();
    let (mut stream, port) = world.open();
    assert_eq!((port, stream.peer()), (70000, (2, 5000)));
    assert_eq!(write(&mut stream, b"ping"), Poll::Ready(Ok(4)));
    let (head, payload) = world.next().unwrap();
    assert_eq!((head.operation, head.len, payload.as_slice()), (Operation::Data, 4, &b"ping"[..]));
    assert!(read(&mut stream, 10).is_pending());
    world.say(port, Operation::Data, 0, b"pong");
    assert_eq!(read(&mut stream, 3), Poll::Ready(Ok(b"pon".to_vec())));
    assert_eq!(read(&mut stream, 3), Poll::Ready(Ok(b"g".to_vec())));
    // no packet for so little; the next one tells it
    assert_eq!(world.next(), None);
    assert_eq!(write(&mut stream, b"!"), Poll::Ready(Ok(1)));
    assert_eq!(world.next().unwrap().0.fwd_cnt, 4);
}

#[test]
fn a_peer_without_room_is_waited_for() {
    let mut world = World::new();
    world.buf_alloc = 150;
    let (mut stream, port) = world.open();
    assert_eq!(write(&mut stream, &[7; 400]), Poll::Ready(Ok(150)));
    assert_eq!(world.next().unwrap().0.len, 100);
    assert_eq!(world.next().unwrap().0.len, 50);
    assert!(write(&mut stream, &[7; 250]).is_pending());
    assert_eq!(world.operation(), Some((Operation::CreditRequest, 0)));
    assert_eq!(world.next(), None, "it is asked once");
    world.fwd_cnt = 20;
    world.say(port, Operation::CreditUpdate, 0, b"");
    assert_eq!(write(&mut stream, &[7; 250]), Poll::Ready(Ok(20)));
    // it takes back what it allowed: nothing is sent, and nothing wraps
    world.buf_alloc = 10;
    world.say(port, Operation::CreditUpdate, 0, b"");
    assert!(write(&mut stream, &[7; 230]).is_pending());
}

#[test]
fn counters_go_round() {
    let mut world = World::new();
    world.buf_alloc = u32::MAX;
    let (mut stream, port) = world.open();
    world.buf_alloc = 64;
    world.fwd_cnt = u32::MAX - 9;
    world.say(port, Operation::CreditUpdate, 0, b"");
    // ten octets before its counter goes round, none are away by ours: 10 of 64 are
    assert_eq!(write(&mut stream, &[1; 100]), Poll::Ready(Ok(54)));
}

#[test]
fn the_peer_is_told_what_was_read_and_held_to_it() {
    let world = World::new();
    let (mut stream, port) = world.open();
    for _ in 0..BUFFER / 64 {
        world.say(port, Operation::Data, 0, &[1; 64]);
    }
    assert_eq!(world.next(), None);
    let mut left = BUFFER / 4;
    while left > 0 {
        let Poll::Ready(Ok(part)) = read(&mut stream, 4096) else { panic!("it is there") };
        left -= part.len() as u32;
    }
    let (head, _) = world.next().unwrap();
    assert_eq!((head.operation, head.fwd_cnt), (Operation::CreditUpdate, BUFFER / 4));
    world.say(port, Operation::CreditRequest, 0, b"");
    assert_eq!(world.operation(), Some((Operation::CreditUpdate, 0)));
    for _ in 0..BUFFER / 4 / 64 {
        world.say(port, Operation::Data, 0, &[1; 64]);
    }
    assert_eq!(world.next(), None);
    world.say(port, Operation::Data, 0, &[1]);
    assert_eq!(world.operation(), Some((Operation::Reset, 0)));
    assert_eq!(write(&mut stream, b"a"), Poll::Ready(Err(Error::Reset)));
}

#[test]
fn a_refusal_is_one() {
    let world = World::new();
    let mut connecting = world.sockets.connect(2, PEER.port);
    assert!(poll(connecting.as_mut()).is_pending());
    let (head, _) = world.next().unwrap();
    world.say(head.src.port, Operation::Reset, 0, b"");
    let Poll::Ready(Err(error)) = poll(connecting.as_mut()) else { panic!("it is refused") };
    assert_eq!(error, Error::Refused);
    drop(connecting);
    assert_eq!(world.next(), None);
    assert!(poll(world.sockets.settle().as_mut()).is_ready());
}

#[test]
fn a_connection_given_up_is_ended() {
    let world = World::new();
    let mut connecting = world.sockets.connect(2, PEER.port);
    assert!(poll(connecting.as_mut()).is_pending());
    drop(connecting);
    assert_eq!(world.next(), None, "the peer was not even asked");
    let mut connecting = world.sockets.connect(2, PEER.port);
    assert!(poll(connecting.as_mut()).is_pending());
    assert_eq!(world.operation(), Some((Operation::Request, 0)));
    drop(connecting);
    assert_eq!(world.operation(), Some((Operation::Reset, 0)));
    assert!(poll(world.sockets.settle().as_mut()).is_ready());
}

#[test]
fn half_closes_end_one_direction() {
    let world = World::new();
    let (mut stream, port) = world.open();
    close(&mut stream);
    assert_eq!(world.operation(), Some((Operation::Shutdown, NO_SEND)));
    assert_eq!(write(&mut stream, b"a"), Poll::Ready(Err(Error::Closed)));
    world.say(port, Operation::Data, 0, b"late");
    world.say(port, Operation::Shutdown, NO_SEND, b"");
    assert_eq!(read(&mut stream, 10), Poll::Ready(Ok(b"late".to_vec())));
    assert_eq!(read(&mut stream, 10), Poll::Ready(Ok(Vec::new())));
    drop(stream);
    assert_eq!(world.operation(), Some((Operation::Shutdown, NO_SEND | NO_RECEIVE)));
    assert!(poll(world.sockets.settle().as_mut()).is_pending());
    world.say(port, Operation::Reset, 0, b"");
    assert!(poll(world.sockets.settle().as_mut()).is_ready());
}

#[test]
fn an_end_of_both_is_answered_and_what_came_stays() {
    let world = World::new();
    let (mut stream, port) = world.open();
    world.say(port, Operation::Data, 0, b"last");
    world.say(port, Operation::Shutdown, NO_SEND | NO_RECEIVE, b"");
    assert_eq!(world.operation(), Some((Operation::Reset, 0)));
    assert_eq!(read(&mut stream, 10), Poll::Ready(Ok(b"last".to_vec())));
    assert_eq!(read(&mut stream, 10), Poll::Ready(Ok(Vec::new())));
    assert_eq!(write(&mut stream, b"a"), Poll::Ready(Err(Error::Reset)));
    drop(stream);
    assert_eq!(world.next(), None);
}

#[test]
fn a_cut_is_no_end() {
    for lost in [false, true] {
        let world = World::new();
        let (mut stream, port) = world.open();
        world.say(port, Operation::Data, 0, b"some");
        match lost {
            true => {
                world.wire.lock().lost = true;
                world.sockets.poll();
            }
            false => world.say(port, Operation::Reset, 0, b""),
        }
        assert_eq!(read(&mut stream, 10), Poll::Ready(Ok(b"some".to_vec())));
        assert_eq!(read(&mut stream, 10), Poll::Ready(Err(Error::Reset)));
        assert_eq!(world.next(), None);
    }
}

#[test]
fn strangers_are_refused_once() {
    let world = World::new();
    world.say(9, Operation::Request, 0, b"");
    let (head, _) = world.next().unwrap();
    assert_eq!((head.operation, head.dst, head.src.port), (Operation::Reset, PEER, 9));
    world.say(9, Operation::Reset, 0, b"");
    assert_eq!(world.next(), None);
    world.wire.lock().to_machine.push_back(vec![0; HEAD]);
    assert_eq!(world.next(), None);
}

#[test]
fn a_reader_that_stops_says_so() {
    let world = World::new();
    let (mut stream, port) = world.open();
    world.say(port, Operation::Data, 0, b"unread");
    stream.shutdown_read();
    assert_eq!(world.operation(), Some((Operation::Shutdown, NO_RECEIVE)));
    assert_eq!(read(&mut stream, 10), Poll::Ready(Ok(Vec::new())));
    world.say(port, Operation::Data, 0, b"more");
    assert_eq!(write(&mut stream, b"a"), Poll::Ready(Ok(1)));
    assert_eq!(world.next().unwrap().0.fwd_cnt, 10);
}

proptest! {
    /// What one side sends the other gets, in whatever pieces, with however little room.
    #[test]
    fn octets_arrive_as_they_were_sent(
        pieces in proptest::collection::vec(1..300_usize, 1..40),
        room in 1..500_u32,
        slots in 1..5_usize,
    ) {
        let mut world = World::new();
        world.buf_alloc = room;
        let (mut stream, port) = world.open();
        world.wire.lock().slots = slots;
        let total: usize = pieces.iter().sum();
        let sent: Vec<u8> = (0..total).map(|at| (at * 7 + at / 251) as u8).collect();
        let (mut echoed, mut at, mut turns) = (Vec::new(), 0, 0);
        let mut piece = pieces.iter().cycle();
        while echoed.len() < total {
            turns += 1;
            prop_assert!(turns < 100 * total, "it goes on");
            let len = (*piece.next().unwrap()).min(total - at);
            if let Poll::Ready(written) = write(&mut stream, &sent[at..at + len]) {
                at += written.unwrap();
            }
            while let Some((head, payload)) = world.next() {
                if head.operation == Operation::Data {
                    world.fwd_cnt = world.fwd_cnt.wrapping_add(head.len);
                    world.say(port, Operation::Data, 0, &payload);
                } else {
                    world.say(port, Operation::CreditUpdate, 0, b"");
                }
            }
            if let Poll::Ready(part) = read(&mut stream, len.max(1)) {
                echoed.extend(part.unwrap());
            }
        }
        prop_assert_eq!(echoed, sent);
    }
}
