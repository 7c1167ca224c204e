//! Timers of tasks: a map ordered by deadline, from which a dropped timer is really removed.

use std::collections::BTreeMap;

use core::task::Waker;

use crate::Instant;

/// Timers that have not fired.
#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<Key, Waker>,
    next: u64,
}

/// Names one timer; the number tells timers of the same deadline apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Instant, u64);

impl Timers {
    /// Adds a timer that wakes `waker` at `deadline`.
    pub(super) fn insert(&mut self, deadline: Instant, waker: Waker) -> Key {
        let key = Key(deadline, self.next);
        self.next += 1;
        self.waiting.insert(key, waker);
        key
    }

    /// Lets a timer wake another task. The former waker comes back, to be dropped without a lock
    /// held; `Err` with the new one when the timer has fired.
    pub(super) fn replace(&mut self, key: Key, waker: Waker) -> Result<Waker, Waker> {
        match self.waiting.get_mut(&key) {
            Some(old) => Ok(core::mem::replace(old, waker)),
            None => Err(waker),
        }
    }

    /// Removes a timer, if it has not fired.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        self.waiting.remove(&key)
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes the wakers of all timers due at `now`, earliest first.
    pub(super) fn fire(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            wakers.push(entry.remove());
        }
    }

    /// How many timers wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_only_what_is_due() {
        let mut timers = Timers::default();
        for millis in [30, 10, 20, 10] {
            timers.insert(Instant::from_millis(millis), Waker::noop().clone());
        }
        let mut wakers = Vec::new();
        timers.fire(Instant::from_millis(9), &mut wakers);
        assert_eq!((wakers.len(), timers.next_deadline()), (0, Some(Instant::from_millis(10))));
        timers.fire(Instant::from_millis(20), &mut wakers);
        assert_eq!((wakers.len(), timers.next_deadline()), (3, Some(Instant::from_millis(30))));
    }

    #[test]
    fn a_removed_timer_leaves_nothing() {
        let mut timers = Timers::default();
        let key = timers.insert(Instant::from_millis(1), Waker::noop().clone());
        assert!(timers.remove(key).is_some());
        assert!(timers.remove(key).is_none());
        assert!(timers.replace(key, Waker::noop().clone()).is_err());
        assert_eq!((timers.len(), timers.next_deadline()), (0, None));
    }
}
