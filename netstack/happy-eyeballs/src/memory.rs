//! What earlier calls found out about addresses and families.

use crate::network::Family;
use crate::report::{Outcome, Report};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// An attempt that was outrun by one that began this much later had its chance.
const CHANCE: Duration = Duration::from_millis(100);

/// So many silent attempts in a row, with none that worked between, make a family doubtful.
const DOUBT: u8 = 2;

/// Which addresses worked and which did not: a small value that a call reads and that learns from
/// its report.
///
/// - An address that worked comes before its equals, nearer ones first (RFC 8305 §4), and its round
///   trip time decides how soon the next attempt follows (§5).
/// - An address that failed or stayed silent counts as known to be unreachable (RFC 6724 §6, rule
///   1), and so does every address of a family that stayed silent twice in a row while the other
///   one worked.
///
/// Both are forgotten after a while, so that callers with different pasts come to behave alike
/// (§4). A memory belongs to one network: [`clear`](Self::clear) it when the machine moves to
/// another one.
#[derive(Debug, Clone)]
pub struct Memory {
    capacity: usize,
    worked_for: Duration,
    failed_for: Duration,
    /// The oldest first.
    addresses: Vec<Remembered>,
    /// IPv4's and IPv6's: how often silent in a row, and when last.
    silent: [(u8, Duration); 2],
}

#[derive(Debug, Clone)]
struct Remembered {
    address: IpAddr,
    at: Duration,
    /// `None`: it failed.
    round_trip: Option<Duration>,
}

/// 64 addresses; what worked for 10 minutes, what failed for 1 minute.
impl Default for Memory {
    fn default() -> Self {
        Self::new(64, Duration::from_secs(600), Duration::from_secs(60))
    }
}

impl Memory {
    /// A memory for `capacity` addresses (0: it learns nothing of addresses), which keeps that one
    /// worked and that one failed for so long.
    pub fn new(capacity: usize, worked_for: Duration, failed_for: Duration) -> Self {
        let silent = [(0, Duration::ZERO); 2];
        Self { capacity, worked_for, failed_for, addresses: Vec::new(), silent }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.addresses.clear();
        self.silent = [(0, Duration::ZERO); 2];
    }

    /// Learns what a call found out; its times and those of later calls are of the same clock.
    pub fn learn<E>(&mut self, report: &Report<E>) {
        let won = |outcome: &Outcome<E>| matches!(outcome, Outcome::Connected);
        let winner = report.attempts.iter().find(|attempt| won(&attempt.outcome));
        for attempt in &report.attempts {
            let address = attempt.remote.ip();
            let silent = match (&attempt.outcome, winner) {
                (Outcome::Connected, _) => {
                    self.silent[slot(address)] = (0, attempt.ended);
                    let round_trip = attempt.ended.saturating_sub(attempt.started);
                    self.remember(address, attempt.ended, Some(round_trip));
                    continue;
                }
                (Outcome::Failed(_), _) => false,
                (Outcome::Unanswered, _) => true,
                (Outcome::Outrun, Some(winner)) if winner.started >= attempt.started + CHANCE => {
                    true
                }
                // it hardly began, or the caller lost patience: says nothing
                (Outcome::Outrun | Outcome::Abandoned, _) => continue,
            };
            self.remember(address, attempt.ended, None);
            // one host that is down says nothing of a family, unless the other family worked beside
            // it
            let beside = winner.is_some_and(|winner| slot(winner.remote.ip()) != slot(address));
            if silent && beside {
                let (times, at) = &mut self.silent[slot(address)];
                *times = times.saturating_add(1);
                *at = attempt.ended;
            }
        }
    }

    fn remember(&mut self, address: IpAddr, at: Duration, round_trip: Option<Duration>) {
        // one address on several ports: that it worked on one is what counts
        let known = self.addresses.iter().position(|known| known.address == address);
        if let Some(known) = known {
            let before = self.addresses.remove(known);
            if round_trip.is_none() && before.round_trip.is_some() && before.at >= at {
                self.addresses.push(before);
                return;
            }
        }
        if self.capacity > 0 {
            if self.addresses.len() >= self.capacity {
                self.addresses.remove(0);
            }
            self.addresses.push(Remembered { address, at, round_trip });
        }
    }

    /// How long connecting to `address` took when it last worked.
    pub fn round_trip(&self, address: IpAddr, now: Duration) -> Option<Duration> {
        let known = self.addresses.iter().find(|known| known.address == address)?;
        known.round_trip.filter(|_| now.saturating_sub(known.at) < self.worked_for)
    }

    /// Whether `address` is known not to work: it, or its family as far as nothing better is known
    /// of it.
    pub fn avoids(&self, address: IpAddr, now: Duration) -> bool {
        let fresh = |at| now.saturating_sub(at) < self.failed_for;
        match self.addresses.iter().find(|known| known.address == address) {
            Some(known) if known.round_trip.is_none() && fresh(known.at) => true,
            Some(known) if known.round_trip.is_some() => false,
            _ => self.doubts(Family::of(address), now),
        }
    }

    /// Whether `family` stayed silent too often.
    pub(crate) fn doubts(&self, family: Family, now: Duration) -> bool {
        let (times, at) = self.silent[family as usize];
        times >= DOUBT && now.saturating_sub(at) < self.failed_for
    }
}

fn slot(address: IpAddr) -> usize {
    Family::of(address) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Attempt;
    use alloc::vec;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn report(attempts: &[(&str, u64, u64, Outcome<()>)]) -> Report<()> {
        let attempts = attempts
            .iter()
            .map(|(address, started, ended, outcome)| Attempt {
                remote: (ip(address), 443).into(),
                started: ms(*started),
                ended: ms(*ended),
                outcome: outcome.clone(),
            })
            .collect();
        Report {
            name: None,
            started: ms(0),
            ended: ms(0),
            queries: vec![],
            attempts,
            untried: vec![],
            skipped: vec![],
        }
    }

    #[test]
    fn what_worked_is_known_for_a_while() {
        let mut memory = Memory::default();
        memory.learn(&report(&[("2600::1", 10, 40, Outcome::Connected)]));
        assert_eq!(memory.round_trip(ip("2600::1"), ms(40)), Some(ms(30)));
        assert_eq!(memory.round_trip(ip("2600::1"), ms(600_039)), Some(ms(30)));
        assert_eq!(memory.round_trip(ip("2600::1"), ms(600_040)), None);
        assert_eq!(memory.round_trip(ip("2600::2"), ms(40)), None);
        memory.clear();
        assert_eq!(memory.round_trip(ip("2600::1"), ms(40)), None);
    }

    #[test]
    fn what_failed_is_avoided_for_a_shorter_while() {
        let mut memory = Memory::default();
        memory.learn(&report(&[
            ("2600::1", 0, 5, Outcome::Failed(())),
            ("2600::2", 10, 500, Outcome::Unanswered),
            ("2600::3", 20, 500, Outcome::Abandoned),
        ]));
        assert!(memory.avoids(ip("2600::1"), ms(60_004)));
        assert!(!memory.avoids(ip("2600::1"), ms(60_005)));
        assert!(memory.avoids(ip("2600::2"), ms(500)));
        assert!(!memory.avoids(ip("2600::3"), ms(500)), "the caller gave up, not the address");
    }

    #[test]
    fn only_a_loser_that_had_its_chance_is_avoided() {
        let mut memory = Memory::default();
        memory.learn(&report(&[
            ("2600::1", 0, 260, Outcome::Outrun),
            ("2600::2", 200, 260, Outcome::Outrun),
            ("192.0.2.1", 250, 260, Outcome::Connected),
        ]));
        assert!(memory.avoids(ip("2600::1"), ms(300)));
        assert!(!memory.avoids(ip("2600::2"), ms(300)));
    }

    #[test]
    fn a_family_is_doubted_after_two_silences_beside_the_other_one() {
        let black_hole = |v6: &str, at: u64| {
            report(&[
                (v6, at, at + 260, Outcome::Outrun),
                ("192.0.2.1", at + 250, at + 260, Outcome::Connected),
            ])
        };
        let mut memory = Memory::default();
        memory.learn(&black_hole("2600::1", 0));
        assert!(!memory.avoids(ip("2600::9"), ms(300)), "once is chance");
        memory.learn(&black_hole("2600::2", 1000));
        assert!(memory.avoids(ip("2600::9"), ms(1300)));
        assert!(memory.doubts(Family::V6, ms(1300)) && !memory.doubts(Family::V4, ms(1300)));
        assert!(!memory.doubts(Family::V6, ms(61_260)), "forgotten");
        memory.learn(&report(&[("2600::9", 2000, 2010, Outcome::Connected)]));
        assert!(!memory.doubts(Family::V6, ms(2300)), "it works again");
    }

    #[test]
    fn a_host_that_is_down_makes_no_family_doubtful() {
        let mut memory = Memory::default();
        for address in ["2600::1", "2600::2", "2600::3"] {
            memory.learn(&report(&[(address, 0, 9000, Outcome::Unanswered)]));
            memory.learn(&report(&[(address, 0, 9000, Outcome::Failed(()))]));
        }
        assert!(!memory.doubts(Family::V6, ms(9000)));
    }

    #[test]
    fn the_oldest_address_is_forgotten_first() {
        let mut memory = Memory::new(2, ms(1000), ms(1000));
        for (index, address) in ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3"].iter().enumerate()
        {
            let at = index as u64;
            memory.learn(&report(&[(address, at, at + 1, Outcome::Connected)]));
        }
        assert_eq!(memory.round_trip(ip("10.0.0.2"), ms(9)), None);
        assert!(memory.round_trip(ip("10.0.0.1"), ms(9)).is_some());
        let mut none = Memory::new(0, ms(1000), ms(1000));
        none.learn(&report(&[("10.0.0.1", 0, 1, Outcome::Connected)]));
        assert_eq!(none.round_trip(ip("10.0.0.1"), ms(1)), None);
    }

    #[test]
    fn one_port_that_worked_outweighs_another_that_did_not() {
        let mut memory = Memory::default();
        memory.learn(&report(&[
            ("10.0.0.1", 0, 300, Outcome::Connected),
            ("10.0.0.1", 10, 300, Outcome::Failed(())),
        ]));
        assert!(!memory.avoids(ip("10.0.0.1"), ms(300)));
    }
}
