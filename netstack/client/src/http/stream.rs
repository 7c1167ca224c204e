//! A flow as hyper wants it, and what is seen of it on the way.

use crate::error::Cause;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_lite::future;
use hyper::rt::{Read, ReadBufCursor, Write};
use mimic::{BoxFlow, Flow as _, Shutdown};
use spin::Mutex;
use stack::{Instant, Net};
use std::io;
use std::sync::Arc;

const READ_AT_ONCE: usize = 64 * 1024;

/// Reads pass through `scratch`: hyper's own buffer takes octets only by copy where no `unsafe` may stand.
pub struct Io {
    flow: BoxFlow,
    scratch: Box<[u8]>,
    watch: Watch,
}

impl Io {
    /// `watch` sees all that goes over the flow.
    pub fn new(flow: BoxFlow, watch: Watch) -> Self {
        Self { flow, scratch: vec![0; READ_AT_ONCE].into(), watch }
    }
}

/// When something last happened on a connection, and the head of an answer as it came.
#[derive(Clone)]
pub struct Watch {
    net: Arc<dyn Net>,
    seen: Arc<Seen>,
    kept: Arc<Mutex<Kept>>,
    /// Whether octets are a sign of life. In HTTP/2 they may be of the connection's own frames, with
    /// which a peer could go on for ever.
    octets_count: bool,
}

/// What was seen of a connection.
#[derive(Default)]
struct Seen {
    /// When something last happened, in microseconds of the clock.
    last: AtomicU64,
    /// Octets that came since, where octets are no sign of life.
    idle_octets: AtomicU64,
    /// There were more of these than [`MOST_IDLE_OCTETS`].
    flooded: AtomicBool,
}

/// Of HTTP/2: what may come before a request has anything of it. A window of content that nobody has read yet is all
/// that an honest server sends, and a little of its own frames.
const MOST_IDLE_OCTETS: u64 = super::CONNECTION_WINDOW as u64 + (1 << 20);

/// Octets that are kept for `-i`.
#[derive(Default)]
struct Kept {
    /// Octets may still be added: what follows the head is not wanted.
    open: bool,
    octets: Vec<u8>,
}

impl Watch {
    /// Nothing happened yet.
    pub fn new(net: Arc<dyn Net>, octets_count: bool) -> Self {
        Self { net, seen: Arc::default(), kept: Arc::default(), octets_count }
    }

    /// Something happened.
    pub fn touch(&self) {
        let now = self.net.now() - Instant::ZERO;
        self.seen.last.store(now.as_micros() as u64, Ordering::Relaxed);
        self.seen.idle_octets.store(0, Ordering::Relaxed);
    }

    /// From now on keeps what is read, where that is a head: frames tell nobody anything.
    pub fn keep(&self) {
        *self.kept.lock() = Kept { open: self.octets_count, octets: Vec::new() };
    }

    /// What was read since.
    pub fn kept(&self) -> Vec<u8> {
        core::mem::take(&mut *self.kept.lock()).octets
    }

    /// The future's output; `None` when nothing happens for `limit` before it is there.
    pub async fn wait<F: Future>(&self, limit: Option<Duration>, future: F) -> Option<F::Output> {
        let Some(limit) = limit else { return Some(future.await) };
        let start = self.net.now();
        let clock = async {
            loop {
                let last = Instant::ZERO + self.seen.last();
                let quiet = self.net.now() - last.max(start);
                match limit.checked_sub(quiet) {
                    Some(left) if !left.is_zero() => self.net.sleep(left).await,
                    _ => break None,
                }
            }
        };
        // the future first: an answer that is there when the limit runs out is an answer
        future::or(async { Some(future.await) }, clock).await
    }

    /// What an error of the connection comes from: the library in between keeps no more of ours than its text.
    pub fn blame(&self, cause: Cause) -> Cause {
        match self.seen.flooded.load(Ordering::Relaxed) {
            true => Cause::Protocol(flood()),
            false => cause,
        }
    }

    fn read(&self, octets: &[u8]) -> io::Result<()> {
        let len = octets.len() as u64;
        if !self.octets_count {
            let idle = self.seen.idle_octets.fetch_add(len, Ordering::Relaxed) + len;
            if idle > MOST_IDLE_OCTETS {
                self.seen.flooded.store(true, Ordering::Relaxed);
                return Err(io::Error::other(flood()));
            }
        } else if len > 0 {
            self.touch();
        }
        let mut kept = self.kept.lock();
        if kept.open {
            let space = super::READ_BUFFER.saturating_sub(kept.octets.len());
            kept.octets.extend_from_slice(&octets[..octets.len().min(space)]);
        }
        Ok(())
    }
}

impl Seen {
    fn last(&self) -> Duration {
        Duration::from_micros(self.last.load(Ordering::Relaxed))
    }
}

fn flood() -> String {
    format!("HTTP/2: the server sent {MOST_IDLE_OCTETS} octets without a piece of an answer")
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { flow, scratch, watch } = &mut *self;
        let space = buf.remaining().min(scratch.len());
        let len = ready!(flow.poll_read(cx, &mut scratch[..space])).map_err(io::Error::from)?;
        watch.read(&scratch[..len])?;
        buf.put_slice(&scratch[..len]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(self.flow.poll_write(cx, buf)).map_err(io::Error::from)?;
        if self.watch.octets_count {
            self.watch.touch();
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flow.poll_flush(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flow.poll_shutdown(cx, Shutdown::Write).map_err(io::Error::from)
    }
}
