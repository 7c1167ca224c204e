//! One session channel: a command, its three streams, its end (RFC 4254 §5, §6).
//!
//! ```text
//!  Opening ──confirmation──► Starting ──success──► Running
//!     └─────────failure─────────┴──────failure───────► (refused)     and from each, by CLOSE both ways: closed
//! ```

use crate::event::Exit;
use std::collections::VecDeque;

/// Octets that the peer may send before we have read: what a channel can make us keep. Raised as data is read.
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// Octets of data in one packet that we ask the peer to keep to.
pub(crate) const MAX_DATA_IN: u32 = 64 * 1024;
/// Octets of data in one packet of ours, whatever the peer would take.
pub(crate) const MAX_DATA_OUT: u32 = 32 * 1024;
/// Channels at once.
pub const MAX_CHANNELS: usize = 16;

/// A channel of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) u32);

/// The streams that a command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A command to run.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// The command line, which the user's shell at the server takes apart.
    pub command: Vec<u8>,
    /// Variables for its environment; most servers take few of them (`AcceptEnv`) and say nothing.
    pub environment: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Opening,
    Starting,
    Running,
    /// The server would not.
    Refused,
}

#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(crate) struct Channel {
    pub(crate) exec: Exec,
    pub(crate) phase: Phase,
    /// The server's number for it, once confirmed.
    pub(crate) remote: u32,
    /// Octets that we may send.
    pub(crate) send_window: u32,
    /// Octets of one packet of ours.
    pub(crate) send_max: u32,
    /// Octets that the server may send.
    pub(crate) receive_window: u32,
    /// Octets read, or thrown away, that the server has not been told of.
    pub(crate) taken: u32,
    stdout: VecDeque<u8>,
    stderr: VecDeque<u8>,
    /// The server sends no more.
    pub(crate) eof_received: bool,
    pub(crate) wants_eof: bool,
    pub(crate) eof_sent: bool,
    pub(crate) wants_close: bool,
    pub(crate) close_sent: bool,
    pub(crate) close_received: bool,
    pub(crate) exit: Option<Exit>,
}

impl Channel {
    pub(crate) fn new(exec: Exec) -> Self {
        Self {
            exec,
            phase: Phase::Opening,
            remote: 0,
            send_window: 0,
            send_max: 0,
            receive_window: WINDOW,
            taken: 0,
            stdout: VecDeque::new(),
            stderr: VecDeque::new(),
            eof_received: false,
            wants_eof: false,
            eof_sent: false,
            wants_close: false,
            close_sent: false,
            close_received: false,
            exit: None,
        }
    }

    pub(crate) fn has(&self, stream: Stream) -> bool {
        !match stream {
            Stream::Stdout => self.stdout.is_empty(),
            Stream::Stderr => self.stderr.is_empty(),
        }
    }

    /// Keeps data of the server; `None` is a stream that nobody reads. False where the window does not allow it.
    pub(crate) fn receive(&mut self, stream: Option<Stream>, data: &[u8]) -> bool {
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Some(left) = self.receive_window.checked_sub(len) else { return false };
        self.receive_window = left;
        match stream {
            // nobody will read it
            _ if self.wants_close => self.taken += len,
            Some(Stream::Stdout) => self.stdout.extend(data),
            Some(Stream::Stderr) => self.stderr.extend(data),
            None => self.taken += len,
        }
        true
    }

    /// As many octets of a stream as there are and fit.
    pub(crate) fn read(&mut self, stream: Stream, buf: &mut [u8]) -> usize {
        let queue = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let (front, back) = queue.as_slices();
        let first = front.len().min(buf.len());
        buf[..first].copy_from_slice(&front[..first]);
        let second = back.len().min(buf.len() - first);
        buf[first..first + second].copy_from_slice(&back[..second]);
        queue.drain(..first + second);
        // never more than the window
        self.taken += (first + second) as u32;
        first + second
    }

    /// Throws away what nobody will read.
    pub(crate) fn discard(&mut self) {
        self.taken += (self.stdout.len() + self.stderr.len()) as u32;
        (self.stdout, self.stderr) = Default::default();
    }

    /// What to raise the window by, once a quarter of it was read; 0 before.
    pub(crate) fn adjustment(&mut self) -> u32 {
        if self.taken < WINDOW / 4 || self.eof_received || self.close_received || self.close_sent {
            return 0;
        }
        let raise = core::mem::take(&mut self.taken);
        self.receive_window += raise;
        raise
    }

    /// Nothing more comes: the end of the streams, once they are read.
    pub(crate) fn has_ended(&self) -> bool {
        self.eof_received || self.close_received || self.phase == Phase::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_bounds_what_is_kept() {
        let mut channel = Channel::new(Exec::default());
        let half = vec![1; WINDOW as usize / 2];
        assert!(channel.receive(Some(Stream::Stdout), &half));
        assert!(channel.receive(Some(Stream::Stderr), &half));
        assert!(!channel.receive(Some(Stream::Stdout), &[1]));
        assert_eq!(channel.adjustment(), 0);
        let mut buf = vec![0; WINDOW as usize];
        assert_eq!(channel.read(Stream::Stderr, &mut buf), half.len());
        assert_eq!(channel.adjustment(), WINDOW / 2);
        assert!(channel.receive(None, &half));
        assert!(!channel.receive(Some(Stream::Stdout), &[1]));
        assert_eq!(channel.adjustment(), WINDOW / 2);
        channel.discard();
        assert_eq!(channel.adjustment(), WINDOW / 2);
        assert_eq!(channel.receive_window, WINDOW);
    }

    #[test]
    fn reading_keeps_the_order() {
        let mut channel = Channel::new(Exec::default());
        let mut got = Vec::new();
        let mut buf = [0; 7];
        for round in 0..100_u8 {
            assert!(channel.receive(Some(Stream::Stdout), &[round; 5]));
            let len = channel.read(Stream::Stdout, &mut buf[..if round % 3 == 0 { 7 } else { 2 }]);
            got.extend_from_slice(&buf[..len]);
        }
        while channel.has(Stream::Stdout) {
            let len = channel.read(Stream::Stdout, &mut buf);
            got.extend_from_slice(&buf[..len]);
        }
        let sent: Vec<u8> = (0..100).flat_map(|round| [round; 5]).collect();
        assert_eq!(got, sent);
    }
}
