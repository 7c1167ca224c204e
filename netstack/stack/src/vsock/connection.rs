//! One connection as a pure state machine: no device, no clock, no waking.

use super::packet::{Address, Head, NO_RECEIVE, NO_SEND, Operation};
use crate::Error;
use std::collections::VecDeque;

/// Octets that are kept for the program: what the peer may send beyond what was read.
pub const BUFFER: u32 = 256 * 1024;
/// Octets read before the peer is told unasked.
const TELL: u32 = BUFFER / 4;

pub struct Connection {
    ours: Address,
    peer: Address,
    phase: Phase,
    received: VecDeque<u8>,
    /// Octets that the program took, and how many of these the peer knows of; modulo 2³².
    forwarded: u32,
    told: u32,
    /// Octets sent, and what the peer last said: what it can hold, what its program took.
    sent: u32,
    peer_room: u32,
    peer_forwarded: u32,
    /// What the peer said to do no more.
    peer_shut: u32,
    /// What we do no more.
    shut: u32,
    owes: Owes,
}

/// How far it is. An ended one sends nothing but what it owes.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Connecting,
    Open,
    Ended(Option<Error>),
}

/// Packets that are to be sent when there is room.
#[derive(Clone, Copy, Default)]
struct Owes {
    request: bool,
    credit_update: bool,
    credit_request: bool,
    shutdown: bool,
    reset: bool,
}

impl Connection {
    /// A connection that will be asked for.
    pub fn new(ours: Address, peer: Address) -> Self {
        Self {
            ours,
            peer,
            phase: Phase::Connecting,
            received: VecDeque::new(),
            forwarded: 0,
            told: 0,
            sent: 0,
            peer_room: 0,
            peer_forwarded: 0,
            peer_shut: 0,
            shut: 0,
            owes: Owes { request: true, ..Owes::default() },
        }
    }

    /// Whether a packet is of this connection.
    pub fn is_meant(&self, head: &Head) -> bool {
        head.src == self.peer && head.dst == self.ours
    }

    pub fn ours(&self) -> Address {
        self.ours
    }

    /// Takes a packet of the peer.
    pub fn handle(&mut self, head: &Head, payload: &[u8]) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        (self.peer_room, self.peer_forwarded) = (head.buf_alloc, head.fwd_cnt);
        match (head.operation, &self.phase) {
            (Operation::Response, Phase::Connecting) => self.phase = Phase::Open,
            (Operation::Reset, Phase::Connecting) => self.end(Some(Error::Refused)),
            (Operation::Reset, _) => {
                // the answer to an end that both know of; anything else was cut
                let is_clean = self.peer_shut & NO_SEND != 0 || self.is_shut();
                self.end((!is_clean).then_some(Error::Reset));
            }
            (Operation::Shutdown, Phase::Open) => {
                self.peer_shut |= head.flags & (NO_RECEIVE | NO_SEND);
                if self.peer_shut == NO_RECEIVE | NO_SEND {
                    // all that it sent came before this
                    self.owes.reset = true;
                    self.end(None);
                }
            }
            (Operation::Data, Phase::Open) => self.take(payload),
            (Operation::CreditUpdate, Phase::Open) => {}
            (Operation::CreditRequest, Phase::Open) => self.owes.credit_update = true,
            // a request for what is there, or anything but an answer to ours
            _ => {
                self.owes.reset = true;
                self.end(Some(Error::Reset));
            }
        }
    }

    fn take(&mut self, payload: &[u8]) {
        if self.shut & NO_RECEIVE != 0 {
            self.forwarded = self.forwarded.wrapping_add(payload.len() as u32);
            return;
        }
        let is_late = self.peer_shut & NO_SEND != 0;
        if is_late || self.received.len() + payload.len() > BUFFER as usize {
            log::debug!("vsock {:?}: more than was allowed", self.peer);
            self.owes.reset = true;
            return self.end(Some(Error::Reset));
        }
        self.received.extend(payload);
    }

    /// The device has lost the connection.
    pub fn lose(&mut self) {
        if !matches!(self.phase, Phase::Ended(_)) {
            self.end(Some(Error::Reset));
        }
        self.owes = Owes::default();
    }

    fn end(&mut self, error: Option<Error>) {
        self.phase = Phase::Ended(error);
        self.owes = Owes { reset: self.owes.reset, ..Owes::default() };
    }

    fn is_shut(&self) -> bool {
        self.shut == NO_RECEIVE | NO_SEND
    }

    /// Whether the peer has answered, and how.
    pub fn opened(&self) -> Option<Result<(), Error>> {
        match &self.phase {
            Phase::Connecting => None,
            Phase::Open | Phase::Ended(None) => Some(Ok(())),
            Phase::Ended(Some(error)) => Some(Err(error.clone())),
        }
    }

    /// What came, 0 at its end; `None` while nothing is there.
    pub fn read(&mut self, out: &mut [u8]) -> Option<Result<usize, Error>> {
        if self.received.is_empty() || out.is_empty() {
            let is_over = out.is_empty() || (self.peer_shut | self.shut_for_us()) & NO_SEND != 0;
            return match &self.phase {
                Phase::Ended(Some(error)) => Some(Err(error.clone())),
                Phase::Ended(None) => Some(Ok(0)),
                _ => is_over.then_some(Ok(0)),
            };
        }
        let mut len = 0;
        while len < out.len() && !self.received.is_empty() {
            let (front, _) = self.received.as_slices();
            let part = front.len().min(out.len() - len);
            out[len..len + part].copy_from_slice(&front[..part]);
            self.received.drain(..part);
            len += part;
        }
        self.forwarded = self.forwarded.wrapping_add(len as u32);
        let is_open = self.phase == Phase::Open && self.peer_shut & NO_SEND == 0;
        if is_open && self.forwarded.wrapping_sub(self.told) >= TELL {
            self.owes.credit_update = true;
        }
        Some(Ok(len))
    }

    /// That we receive no more, as if the peer had said that it sends no more.
    fn shut_for_us(&self) -> u32 {
        if self.shut & NO_RECEIVE != 0 { NO_SEND } else { 0 }
    }

    pub fn can_read(&self) -> bool {
        !self.received.is_empty()
            || self.phase != Phase::Open
            || (self.peer_shut | self.shut_for_us()) & NO_SEND != 0
    }

    /// How many octets may be sent now.
    ///
    /// # Errors
    /// None may be sent any more.
    pub fn room(&self) -> Result<usize, Error> {
        match &self.phase {
            Phase::Connecting => Ok(0),
            Phase::Ended(error) => Err(error.clone().unwrap_or(Error::Reset)),
            Phase::Open if self.shut & NO_SEND != 0 => Err(Error::Closed),
            Phase::Open if self.peer_shut & NO_RECEIVE != 0 => Err(Error::Reset),
            Phase::Open => {
                let away = self.sent.wrapping_sub(self.peer_forwarded);
                Ok(self.peer_room.saturating_sub(away) as usize)
            }
        }
    }

    /// The peer is asked how much room it has: to be called where there is none.
    pub fn ask_for_credit(&mut self) {
        self.owes.credit_request |= self.phase == Phase::Open;
    }

    /// The head of a packet with `len` octets, not more than there is room for.
    pub fn data(&mut self, len: usize) -> Head {
        self.sent = self.sent.wrapping_add(len as u32);
        self.head(Operation::Data, len as u32, 0)
    }

    /// `flags`: we receive, or send, no more.
    pub fn shut(&mut self, flags: u32) {
        let more = flags & !self.shut;
        self.shut |= flags;
        if more & NO_RECEIVE != 0 {
            let len = self.received.len() as u32;
            self.received = VecDeque::new();
            self.forwarded = self.forwarded.wrapping_add(len);
        }
        match self.phase {
            // the peer may not know of it yet
            Phase::Connecting if self.is_shut() => {
                self.owes.reset = !self.owes.request;
                self.end(None);
            }
            Phase::Open => self.owes.shutdown |= more != 0,
            _ => {}
        }
    }

    /// The next packet that is owed; it counts as sent.
    pub fn owed(&mut self) -> Option<Head> {
        let owes = &mut self.owes;
        let take = core::mem::take::<bool>;
        let (operation, flags) = if take(&mut owes.request) {
            (Operation::Request, 0)
        } else if take(&mut owes.credit_update) {
            (Operation::CreditUpdate, 0)
        } else if take(&mut owes.credit_request) {
            (Operation::CreditRequest, 0)
        } else if take(&mut owes.shutdown) {
            (Operation::Shutdown, self.shut)
        } else if take(&mut owes.reset) {
            (Operation::Reset, 0)
        } else {
            return None;
        };
        Some(self.head(operation, 0, flags))
    }

    /// Whether a packet is to be sent.
    pub fn owes(&self) -> bool {
        let Owes { request, credit_update, credit_request, shutdown, reset } = self.owes;
        request || credit_update || credit_request || shutdown || reset
    }

    /// Whether nothing is to be sent or awaited any more.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended(_)) && !self.owes()
    }

    fn head(&mut self, operation: Operation, len: u32, flags: u32) -> Head {
        self.told = self.forwarded;
        Head {
            src: self.ours,
            dst: self.peer,
            len,
            operation,
            flags,
            buf_alloc: BUFFER,
            fwd_cnt: self.forwarded,
        }
    }
}
