//! Whose turn it is: a socket on which something always is must not keep a task's other futures from theirs.

use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll};

/// Counts the calls of one socket. Who reads in a loop waits only when there is nothing to read: with a peer that is
/// never silent, time limits beside the loop would never be looked at.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU32);

/// Calls in a row. One call moves 64 KiB at most as the program reads, so that time is looked at every 4 MiB.
const CALLS: u32 = 64;

impl Turn {
    /// To be asked before each call: pending once after [`CALLS`] of them, and awake again at once.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.fetch_add(1, Ordering::Relaxed) < CALLS {
            return Poll::Ready(());
        }
        self.0.store(0, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::Waker;

    #[test]
    fn every_so_often_it_is_over() {
        let (turn, mut cx) = (Turn::default(), Context::from_waker(Waker::noop()));
        let mut count = || (0..1000).take_while(|_| turn.poll(&mut cx).is_ready()).count();
        assert_eq!([count(), count()], [CALLS as usize; 2]);
    }
}
