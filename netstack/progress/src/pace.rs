//! When to tell.

use crate::Event;
use core::time::Duration;

/// Between two events, at least; the first and the last are told at once.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Picks the moments at which an event is told, out of many at which it could be.
///
/// Call [`Self::handle_octets`] whenever octets were moved, [`Self::handle_time`] an [`INTERVAL`] after it is
/// [behind](Self::is_behind), lest a pause begin with what was not told, and [`Self::end`]. The clock is any that does not go back.
#[derive(Debug, Default)]
pub struct Pace {
    /// What is known, from the first octet on.
    last: Option<Event>,
    /// When the next event may be told.
    next: Duration,
    is_behind: bool,
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
        let is_first = self.last.replace(Event { octets, total, is_last: false }).is_none();
        self.is_behind = true;
        if is_first {
            self.next = now;
        }
        self.handle_time(now)
    }

    /// Whether more is there than was told.
    pub fn is_behind(&self) -> bool {
        self.is_behind && !self.is_over
    }

    /// What is to be told at `now`, though nothing came.
    pub fn handle_time(&mut self, now: Duration) -> Option<Event> {
        if !self.is_behind() || now < self.next {
            return None;
        }
        self.next = now.saturating_add(INTERVAL);
        self.is_behind = false;
        self.last
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
    fn what_came_last_before_a_pause_is_told() {
        let mut pace = Pace::default();
        let start = Duration::from_secs(100);
        assert_eq!(pace.handle_octets(start, 1, Some(9)), at(1));
        assert!(!pace.is_behind());
        assert_eq!(pace.handle_octets(start, 2, Some(9)), None);
        assert!(pace.is_behind());
        assert_eq!(pace.handle_time(start), None);
        assert_eq!(pace.handle_time(start + INTERVAL), at(2));
        assert!(!pace.is_behind());
        assert_eq!(pace.handle_time(start + 2 * INTERVAL), None);
        assert_eq!(pace.handle_octets(start + 2 * INTERVAL, 3, Some(9)), at(3));
        assert_eq!(pace.handle_octets(start + 2 * INTERVAL, 4, Some(9)), None);
        assert!(pace.end().is_some() && !pace.is_behind());
        assert_eq!(pace.handle_time(start + 9 * INTERVAL), None);
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
