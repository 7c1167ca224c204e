//! When which server is asked: the next one soon after a silent one, at once after one that failed. No clock.

use core::time::Duration;
use stack::Instant;

/// How long a server may be silent before the next one is asked beside it.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// The course of one question over the servers, which are numbered in their order.
#[derive(Debug)]
pub struct Schedule {
    servers: usize,
    next: usize,
    next_at: Instant,
    end: Instant,
}

impl Schedule {
    /// A question that begins now and may take `limit` in all.
    pub fn new(servers: usize, now: Instant, limit: Duration) -> Self {
        Self { servers, next: 0, next_at: now, end: now + limit }
    }

    /// The server to ask now, if there is one; call it until there is none.
    pub fn start(&mut self, now: Instant) -> Option<usize> {
        if self.is_exhausted() || now < self.next_at || self.is_over(now) {
            return None;
        }
        self.next += 1;
        self.next_at = now + PATIENCE;
        Some(self.next - 1)
    }

    /// A server failed: nothing keeps the next one waiting.
    pub fn failed(&mut self, now: Instant) {
        self.next_at = self.next_at.min(now);
    }

    /// All servers were asked.
    pub fn is_exhausted(&self) -> bool {
        self.next >= self.servers
    }

    /// The time is over.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.end
    }

    /// When to look again, if nothing happens.
    pub fn timeout(&self) -> Instant {
        if self.is_exhausted() { self.end } else { self.next_at.min(self.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn silent_servers_are_joined_by_the_next() {
        let mut schedule = Schedule::new(3, at(0), LIMIT);
        for (time, index) in [(0, 0), (500, 1), (1000, 2)] {
            assert_eq!(schedule.timeout(), at(time));
            assert_eq!(schedule.start(at(time)), Some(index));
            assert_eq!(schedule.start(at(time)), None);
        }
        assert!(schedule.is_exhausted());
        assert_eq!(schedule.timeout(), at(5000));
        assert!(schedule.is_over(at(5000)) && !schedule.is_over(at(4999)));
    }

    #[test]
    fn a_failure_brings_the_next_at_once() {
        let mut schedule = Schedule::new(2, at(0), LIMIT);
        assert_eq!(schedule.start(at(0)), Some(0));
        schedule.failed(at(10));
        assert_eq!(schedule.start(at(10)), Some(1));
        schedule.failed(at(20));
        assert_eq!(schedule.start(at(20)), None);
    }

    #[test]
    fn nothing_starts_after_the_end() {
        let mut schedule = Schedule::new(9, at(0), Duration::from_millis(600));
        assert_eq!(schedule.start(at(0)), Some(0));
        assert_eq!(schedule.start(at(600)), None);
    }
}
