//! Questions over one TCP or TLS connection for each server: opened when it is needed, pipelined, opened again once when
//! the server closed it (RFC 7766 §6.2).
//!
//! Nothing runs in the background: whoever waits for an answer moves the connection's octets for all. A connection that
//! was idle for long is closed when the next question finds it so, or with the resolver.

use super::fault::Fault;
use super::pipeline::{MAX_OUTSTANDING, Pipeline, Token};
use super::secure;
use super::shared::Waiters;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use futures_io::{AsyncRead, AsyncWrite};
use proto::dns::{Answer, Error, Query, Server, Transport};
use spin::Mutex;
use stack::{BoxFuture, Instant, Net};
use std::sync::Arc;

/// A connection on which nothing was said for so long is not used again: servers close theirs.
pub const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// One that owes an answer for so long, and has said nothing since, is replaced.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(4);

/// How much is read at once.
const CHUNK: usize = 4096;

/// What a connection runs over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The way to one server.
pub struct Link {
    server: Server,
    current: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    /// Not yet connected.
    pub fn new(server: Server) -> Self {
        Self { server, current: Mutex::new(None) }
    }

    /// Whose link it is.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Asks until there is an answer or the connection fails. The query's identifier is chosen here.
    pub async fn ask(&self, net: &Arc<dyn Net>, query: &mut Query) -> Result<Answer, Fault> {
        let message = query.octets();
        let mut again = true;
        loop {
            let connection = self.connection(net)?;
            match connection.ask(net, message.clone()).await {
                Ok((id, octets)) => {
                    query.id = id;
                    return query.read(&octets).map_err(|error| {
                        Fault::Answer(match error {
                            // nobody else could have said it
                            Error::Foreign(_) | Error::Truncated => Error::Malformed,
                            error => error,
                        })
                    });
                }
                Err(Fault::Closed) if again => again = false,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The connection in use, or a new one.
    fn connection(&self, net: &Arc<dyn Net>) -> Result<Arc<Connection>, Fault> {
        let now = net.now();
        let mut current = self.current.lock();
        if let Some(connection) = current.as_ref().filter(|connection| connection.is_usable(now)) {
            return Ok(connection.clone());
        }
        let mut first_id = [0; 2];
        getrandom::fill(&mut first_id).map_err(|_| Fault::NoEntropy)?;
        let connection = Connection {
            inner: Mutex::new(Inner {
                state: State::Opening(self.open(net.clone())),
                pipeline: Pipeline::new(u16::from_ne_bytes(first_id)),
                heard: now,
                asked: now,
            }),
            waiters: Arc::default(),
        };
        Ok(current.insert(Arc::new(connection)).clone())
    }

    fn open(&self, net: Arc<dyn Net>) -> BoxFuture<'static, Result<Box<dyn Wire>, Fault>> {
        let address = self.server.address;
        match self.server.transport.clone() {
            Transport::Tls { name, authenticators } => {
                Box::pin(secure::connect(net, address, name, authenticators))
            }
            Transport::Tcp | Transport::Udp => Box::pin(async move {
                let stream = net.tcp_connect(address).await.map_err(Fault::Net)?;
                Ok(Box::new(stream) as Box<dyn Wire>)
            }),
        }
    }
}

struct Connection {
    inner: Mutex<Inner>,
    waiters: Arc<Waiters>,
}

struct Inner {
    state: State,
    pipeline: Pipeline,
    /// When something last came; the beginning, before that.
    heard: Instant,
    /// When something was last asked.
    asked: Instant,
}

enum State {
    Opening(BoxFuture<'static, Result<Box<dyn Wire>, Fault>>),
    Open(Box<dyn Wire>),
    Failed(Fault),
}

impl Connection {
    /// The answer to one question and its identifier.
    async fn ask(&self, net: &Arc<dyn Net>, message: Vec<u8>) -> Result<(u16, Vec<u8>), Fault> {
        let mut inner = self.inner.lock();
        let now = net.now();
        if inner.pipeline.outstanding() == 0 {
            // the silence of one who was not asked is none
            inner.heard = now;
        }
        inner.asked = now;
        let token = inner.pipeline.submit(message);
        drop(inner);
        let asking = Asking { connection: self, token, place: self.waiters.enter() };
        poll_fn(|cx| {
            self.waiters.wait(asking.place, cx.waker());
            let mut inner = self.inner.lock();
            let waker = Waker::from(self.waiters.clone());
            let answered = inner.drive(&mut Context::from_waker(&waker), net.now());
            let outcome = match (inner.pipeline.take(token), &inner.state) {
                (Some(answer), _) => Poll::Ready(Ok(answer)),
                (None, State::Failed(fault)) => Poll::Ready(Err(fault.clone())),
                _ => Poll::Pending,
            };
            drop(inner);
            if answered {
                self.waiters.wake_all();
            }
            outcome
        })
        .await
    }

    fn is_usable(&self, now: Instant) -> bool {
        let inner = self.inner.lock();
        let last = inner.heard.max(inner.asked);
        match inner.state {
            State::Failed(_) => false,
            State::Opening(_) => now - inner.heard < SILENCE_LIMIT,
            State::Open(_) if inner.pipeline.outstanding() == 0 => now - last < IDLE_LIMIT,
            State::Open(_) => {
                now - inner.heard < SILENCE_LIMIT
                    && inner.pipeline.forgotten() < MAX_OUTSTANDING / 2
            }
        }
    }
}

/// A question on its way, which is given up when it is dropped.
struct Asking<'a> {
    connection: &'a Connection,
    token: Token,
    place: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.connection.waiters.leave(self.place);
        self.connection.inner.lock().pipeline.forget(self.token);
    }
}

impl Inner {
    /// Moves what can be moved. Whether others have something to see.
    fn drive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        match self.turn(cx, now) {
            Ok(answered) => answered,
            Err(fault) => {
                self.state = State::Failed(fault);
                true
            }
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Fault> {
        let io = match &mut self.state {
            State::Failed(_) => return Ok(false),
            State::Opening(opening) => match opening.as_mut().poll(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(io) => {
                    self.state = State::Open(io?);
                    self.heard = now;
                    return self.turn(cx, now);
                }
            },
            State::Open(io) => io,
        };
        let mut buf = [0; CHUNK];
        let mut answered = false;
        loop {
            let mut written = false;
            while !self.pipeline.outgoing().is_empty() {
                match Pin::new(&mut *io).poll_write(cx, self.pipeline.outgoing()) {
                    Poll::Ready(Ok(len)) if len > 0 => {
                        self.pipeline.written(len);
                        written = true;
                    }
                    Poll::Ready(_) => return Err(Fault::Closed),
                    Poll::Pending => break,
                }
            }
            if written || self.pipeline.outstanding() > 0 {
                // TLS may still hold records back
                if let Poll::Ready(Err(_)) = Pin::new(&mut *io).poll_flush(cx) {
                    return Err(Fault::Closed);
                }
            }
            match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(len)) if len > 0 => {
                    self.heard = now;
                    answered |= !self.pipeline.received(&buf[..len]).is_empty();
                }
                Poll::Ready(_) if answered => return Ok(true),
                Poll::Ready(_) => return Err(Fault::Closed),
                Poll::Pending => return Ok(answered),
            }
        }
    }
}
