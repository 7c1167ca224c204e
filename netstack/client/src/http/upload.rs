//! The content of a request on its way out.

use super::stream::Watch;
use crate::sink::Input;
use crate::trace::Trace;
use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use futures_io::AsyncRead as _;
use hyper::body::{Body, Frame, SizeHint};
use spin::Mutex;
use stack::{BoxFuture, Net};
use std::io;
use std::sync::Arc;

/// What is sent behind a request's head.
#[derive(Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    Empty,
    /// These octets; they can be sent again.
    Memory(Bytes),
    /// What comes from here, until its end; once.
    Stream(Input),
    /// A stream that was sent already.
    Spent,
}

impl Payload {
    /// A copy to send, where there can be one. A stream is taken: it is [`Payload::Spent`] afterwards.
    pub(super) fn take(&mut self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Memory(octets) => Some(Self::Memory(octets.clone())),
            Self::Stream(_) => Some(core::mem::replace(self, Self::Spent)),
            Self::Spent => None,
        }
    }

    /// Octets, where they are known; `None` for a stream.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Memory(octets) => Some(octets.len() as u64),
            Self::Stream(_) | Self::Spent => None,
        }
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Memory(text.into())
    }
}

/// A payload as hyper takes it: when it wants more, and not before `gate` is open.
pub(super) struct Upload {
    payload: Payload,
    gate: Option<Gate>,
    buf: Vec<u8>,
    watch: Watch,
    trace: Trace,
}

/// Octets read from a stream at once.
const CHUNK: usize = 64 * 1024;

impl Upload {
    pub(super) fn new(payload: Payload, gate: Option<Gate>, watch: Watch, trace: Trace) -> Self {
        Self { payload, gate, buf: Vec::new(), watch, trace }
    }

    /// The payload, of which nothing was sent yet.
    pub(super) fn into_payload(self) -> Payload {
        self.payload
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { payload, gate, buf, watch, trace } = &mut *self;
        if let Some(gate) = gate {
            ready!(gate.poll_open(cx))?;
        }
        let octets = match payload {
            Payload::Empty | Payload::Spent => return Poll::Ready(None),
            Payload::Memory(octets) => {
                let octets = core::mem::take(octets);
                *payload = Payload::Spent;
                octets
            }
            Payload::Stream(input) => {
                buf.resize(CHUNK, 0);
                let len = ready!(Pin::new(input).poll_read(cx, buf))?;
                Bytes::copy_from_slice(&buf[..len])
            }
        };
        if octets.is_empty() {
            *payload = Payload::Spent;
            return Poll::Ready(None);
        }
        watch.touch();
        trace.sent(octets.len());
        Poll::Ready(Some(Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.payload, Payload::Empty | Payload::Spent)
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.length().map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// Holds a content back until the server says that it wants it (RFC 9110 §10.1.1), or says nothing for a while.
pub(super) struct Gate {
    state: Arc<Mutex<State>>,
    patience: BoxFuture<'static, ()>,
}

/// The side of the gate that hears the server.
#[derive(Clone)]
pub(super) struct Keeper(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    verdict: Verdict,
    waker: Option<Waker>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing was said yet; patience runs.
    #[default]
    Open,
    /// The content goes out.
    Granted,
    /// The answer is there without it: it stays, and so does the connection until the answer is read.
    Held,
    /// It will never go out.
    Refused,
}

/// How long the server may think about an expectation; curl's time.
const PATIENCE: Duration = Duration::from_secs(1);

impl Gate {
    pub(super) fn new(net: &Arc<dyn Net>) -> (Self, Keeper) {
        let state = Arc::<Mutex<State>>::default();
        (Self { state: state.clone(), patience: net.sleep(PATIENCE) }, Keeper(state))
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if state.verdict == Verdict::Open && self.patience.as_mut().poll(cx).is_ready() {
            state.verdict = Verdict::Granted;
        }
        match state.verdict {
            Verdict::Granted => Poll::Ready(Ok(())),
            Verdict::Refused => Poll::Ready(Err(io::Error::other("the content is not wanted"))),
            Verdict::Open | Verdict::Held => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Keeper {
    /// The server wants the content.
    pub(super) fn grant(&self) {
        self.decide(Verdict::Open, Verdict::Granted);
    }

    /// The answer is there: what was not let out stays.
    pub(super) fn hold(&self) {
        self.decide(Verdict::Open, Verdict::Held);
    }

    /// The answer has been read: what was not let out never goes. Whether that is so.
    pub(super) fn refuse(&self) -> bool {
        self.decide(Verdict::Held, Verdict::Refused)
    }

    fn decide(&self, from: Verdict, to: Verdict) -> bool {
        let mut state = self.0.lock();
        if state.verdict != from {
            return false;
        }
        state.verdict = to;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        true
    }
}
