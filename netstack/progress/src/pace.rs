//! When to tell.

use crate::Event;
use core::time::Duration;

/// Between two events, at least; the first and the last are told at once.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Picks the moments at which an event is told, out of many at which it could be.
///
/// Call [`Self::handle_octets`] for each octet that was moved, then [`Self::end`]. The clock is any that does not go back.
#[derive(Debug, Default)]
pub struct Pace {
    /// What is known, from the first octet on.
    last: Option<Event>,
    /// When the next event may be told.
    next: Duration,
    is_over: bool,
}

impl Pace {
    /// So many octets are there at `now`, of so many. Nothing is told before the first octet.
    pub fn handle_octets(
        &mut self,
        now: Duration,
        octets: u64,
        total: Option<u64>,
    ) -> Option<Event> {
        if self.is_over || (octets == 0 && self.last.is_none()) {
            return None;
        }
        let event = Event { octets, total, is_last: false };
        let is_due = self.last.replace(event).is_none() || now >= self.next;
        if is_due {
            self.next = now.saturating_add(INTERVAL);
        }
        is_due.then_some(event)
    }

    /// Nothing more comes. `None` where nothing was told, or the end was.
    pub fn end(&mut self) -> Option<Event> {
        if core::mem::replace(&mut self.is_over, true) {
            return None;
        }
        self.last.map(|event| Event { is_last: true, ..event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(octets: u64) -> Option<Event> {
        Some(Event { octets, total: Some(9), is_last: false })
    }

    #[test]
    fn the_first_and_the_last_are_always_told() {
        let mut pace = Pace::default();
        let start = Duration::from_secs(100);
        assert_eq!(pace.handle_octets(start, 1, Some(9)), at(1));
        assert_eq!(pace.handle_octets(start, 9, Some(9)), None);
        assert_eq!(pace.end(), Some(Event { octets: 9, total: Some(9), is_last: true }));
        assert_eq!(pace.end(), None);
        assert_eq!(pace.handle_octets(start + INTERVAL, 10, Some(9)), None);
    }

    #[test]
    fn between_them_ten_a_second_are_told() {
        let mut pace = Pace::default();
        let told = (0..=10_000).filter(|now| {
            let now = Duration::from_micros(*now * 100);
            pace.handle_octets(now, 1 + now.as_micros() as u64, None).is_some()
        });
        assert_eq!(told.collect::<Vec<_>>(), (0..=10).map(|n| n * 1000).collect::<Vec<_>>());
    }

    #[test]
    fn without_an_octet_nothing_is_told() {
        let mut pace = Pace::default();
        assert_eq!(pace.handle_octets(Duration::ZERO, 0, Some(9)), None);
        assert_eq!(pace.end(), None);
        assert_eq!(Pace::default().end(), None);
    }

    #[test]
    fn the_end_of_time_is_one_more_moment() {
        let mut pace = Pace::default();
        assert_eq!(pace.handle_octets(Duration::MAX, 1, Some(9)), at(1));
        assert_eq!(pace.handle_octets(Duration::MAX, 2, Some(9)), at(2));
    }
}
