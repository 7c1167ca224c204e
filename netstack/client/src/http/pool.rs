//! The connections that are there, by origin: those in use are counted, those that rest are lent again.
//!
//! ```text
//!  HTTP/1.1   one request at a time: rests in `idle` between two
//!  HTTP/2     all requests share one: stays in `shared`
//! ```

use super::connection::Sender;
use crate::options::HttpVersion;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use proto::target::{Host, Scheme, Target};
use spin::Mutex;
use stack::Instant;
use std::collections::HashMap;
use std::sync::Arc;

/// Connections to one origin at once; further requests wait for one of these. The browsers' number.
pub const MOST_CONNECTIONS: usize = 6;
/// How long a connection may rest: servers close theirs after 5 s to 75 s, and a request that meets the end fails.
pub const MOST_REST: Duration = Duration::from_secs(30);

/// Whom a connection may serve (RFC 9110 §4.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin(Scheme, Host, Option<u32>);

impl Origin {
    pub(super) fn of(target: &Target) -> Self {
        Self(target.scheme.clone(), target.host.clone(), target.port_or_default())
    }
}

/// All connections of one client.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<HashMap<Origin, Place>>>);

#[derive(Default)]
struct Place {
    idle: Vec<(Sender, Instant)>,
    shared: Option<Sender>,
    /// Connections that are open or being opened.
    open: usize,
    /// One is being opened, and may turn out to serve all.
    opening: bool,
    /// What the last one spoke.
    version: Option<HttpVersion>,
    waiting: Vec<Waker>,
}

/// What a request gets.
pub(super) enum Lent {
    /// A connection that has served before.
    Used(Lease),
    /// Leave to open one.
    Fresh(Permit),
}

impl Pool {
    /// A connection, or leave to open one; waits where all are in use.
    pub(super) async fn lend(&self, origin: &Origin, now: impl Fn() -> Instant) -> Lent {
        poll_fn(|cx| {
            let mut places = self.0.lock();
            let place = places.entry(origin.clone()).or_default();
            if let Some(lent) = place.take(now()) {
                let permit = Permit { pool: self.clone(), origin: origin.clone(), kept: false };
                return Poll::Ready(match lent {
                    Some(sender) => Lent::Used(Lease::new(permit, sender)),
                    None => Lent::Fresh(permit),
                });
            }
            // it may have been asked before
            if !place.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                place.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Forgets all connections that rest: they end.
    pub(super) fn clear(&self) {
        // dropped behind the lock
        let places = core::mem::take(&mut *self.0.lock());
        drop(places);
    }

    fn with<T>(&self, origin: &Origin, act: impl FnOnce(&mut Place) -> T) -> T {
        let (outcome, waiting) = {
            let mut places = self.0.lock();
            let place = places.entry(origin.clone()).or_default();
            let outcome = (act(place), core::mem::take(&mut place.waiting));
            if place.open == 0 {
                places.remove(origin);
            }
            outcome
        };
        waiting.into_iter().for_each(Waker::wake);
        outcome
    }
}

impl Place {
    /// `Some(None)`: leave to open one; `None`: wait.
    fn take(&mut self, now: Instant) -> Option<Option<Sender>> {
        if let Some(shared) = self.shared.take_if(|shared| shared.is_closed()) {
            drop(shared);
            self.open = self.open.saturating_sub(1);
        }
        if let Some(sender) = self.shared.as_ref().and_then(Sender::share) {
            return Some(Some(sender));
        }
        while let Some((sender, since)) = self.idle.pop() {
            if !sender.is_closed() && now - since < MOST_REST {
                return Some(Some(sender));
            }
            self.open = self.open.saturating_sub(1);
        }
        let may_share = self.opening && self.version != Some(HttpVersion::Http1);
        if may_share || self.open >= MOST_CONNECTIONS {
            return None;
        }
        self.opening = true;
        self.open += 1;
        Some(None)
    }
}

/// Leave to open one connection; without one, dropping it gives the place back.
pub(super) struct Permit {
    pool: Pool,
    origin: Origin,
    kept: bool,
}

impl Permit {
    /// The connection is there.
    pub(super) fn opened(mut self, sender: Sender) -> Lease {
        self.kept = true;
        self.pool.with(&self.origin, |place| {
            place.opening = false;
            place.version = Some(sender.version());
            place.shared = sender.share();
        });
        let permit = Self { pool: self.pool.clone(), origin: self.origin.clone(), kept: true };
        Lease::new(permit, sender)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.kept {
            self.pool.with(&self.origin, |place| {
                place.opening = false;
                place.open = place.open.saturating_sub(1);
            });
        }
    }
}

/// A connection lent for one request.
pub(super) struct Lease {
    pool: Pool,
    origin: Origin,
    /// `None` once given back.
    sender: Option<Sender>,
}

impl Lease {
    fn new(mut permit: Permit, sender: Sender) -> Self {
        permit.kept = true;
        Self { pool: permit.pool.clone(), origin: permit.origin.clone(), sender: Some(sender) }
    }

    pub(super) fn sender(&mut self) -> &mut Sender {
        self.sender.as_mut().expect("only `give_back` takes it, and the lease with it")
    }

    /// The connection gets no further requests; those that it has go on.
    pub(super) fn retire(mut self) {
        let sender = self.sender.take();
        if !matches!(sender, Some(Sender::One(..))) {
            let shared = self.pool.with(&self.origin, |place| {
                let shared = place.shared.take();
                place.open = place.open.saturating_sub(usize::from(shared.is_some()));
                shared
            });
            // behind the lock
            drop(shared);
        }
        self.sender = sender;
    }

    /// The request has its whole answer: the connection can serve the next.
    pub(super) fn give_back(mut self, now: Instant) {
        if let Some(sender @ Sender::One(..)) = self.sender.take() {
            self.pool.with(&self.origin, |place| place.idle.push((sender, now)));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // a connection of HTTP/1.1 in the middle of an answer is of no use to anybody
        if let Some(Sender::One(..)) = self.sender.take() {
            self.pool.with(&self.origin, |place| place.open = place.open.saturating_sub(1));
        }
    }
}

/// Something that happens once, for one who waits.
#[derive(Default)]
pub(super) struct Signal(Mutex<(bool, Option<Waker>)>);

impl Signal {
    pub(super) fn notify(&self) {
        let mut state = self.0.lock();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    pub(super) async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
