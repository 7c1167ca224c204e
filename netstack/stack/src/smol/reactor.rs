//! The reactor: one thread that serves devices, stacks and tasks, and otherwise waits.
//!
//! ```text
//!        ┌──▶ observe the interrupt counter
//!        │    service the other devices; poll the stacks: frames, timers, wakers
//!        │    was the future woken? ──yes──▶ poll it, once ──▶ (again)
//!        │    is there more to do?  ──yes──▶ (again)
//!        └─── wait until the counter moves or the deadline comes
//! ```
//!
//! No wake is lost: the counter is read before any device is looked at, so that an interrupt which
//! comes in between makes the wait return at once. Nobody starves: frames and tasks take turns, and
//! a turn of frames is bounded.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use smoltcp::phy::Device;

use super::stack::{Stack, Turn};
use super::state::earliest;

/// How the machine waits.
pub trait Idle {
    /// A counter that every interrupt of a device moves.
    fn observe(&self) -> u32;

    /// Waits until the counter differs from `seen` or `timeout` is over (`None` = without end);
    /// returns at once when the counter differs already. May return early.
    fn wait(&self, seen: u32, timeout: Option<Duration>);
}

impl<T: Idle + ?Sized> Idle for &T {
    fn observe(&self) -> u32 {
        (**self).observe()
    }

    fn wait(&self, seen: u32, timeout: Option<Duration>) {
        (**self).wait(seen, timeout);
    }
}

/// Runs `future` to its end on this thread, with `stacks`, at least one and all on one clock, below it.
///
/// `service` is called in every turn, after the counter was read: it lets devices other than the
/// network's do their work and wake their tasks (or is `|| false`). It returns whether it wants to
/// be called again before the machine waits; `false` promises that the next event raises an
/// interrupt. The same holds for the stacks' devices: that its `receive` returns `None`, twice where there
/// were frames before, must mean that a frame which comes later raises an interrupt.
///
/// The future may be woken from `service` or from within itself; a wake from another thread is
/// noticed at the next interrupt or deadline.
pub fn block_on<D, F>(
    stacks: &[Stack<D>],
    idle: &impl Idle,
    mut service: impl FnMut() -> bool,
    future: F,
) -> F::Output
where
    D: Device + Send + 'static,
    F: Future,
{
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        let seen = idle.observe();
        let service_more = service();
        let turn = poll(stacks);
        if woken.0.swap(false, Ordering::Acquire) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                // What the future queued last still goes out.
                poll(stacks);
                return output;
            }
            // It may have queued octets or set a timer: look before waiting.
            continue;
        }
        if service_more || turn.more {
            continue;
        }
        let timeout = turn.deadline.map(|deadline| deadline - stacks[0].now());
        if timeout != Some(Duration::ZERO) {
            idle.wait(seen, timeout);
        }
    }
}

/// A turn of each.
fn poll<D: Device + Send + 'static>(stacks: &[Stack<D>]) -> Turn {
    let none = Turn { more: false, deadline: None };
    stacks.iter().map(Stack::poll).fold(none, |all, turn| Turn {
        more: all.more | turn.more,
        deadline: earliest(all.deadline, turn.deadline),
    })
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}
