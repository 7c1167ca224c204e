//! Default routers (RFC 4861 §6.3.4 to §6.3.6, RFC 4191 §3.2), and things that last a while.

use core::net::Ipv6Addr;
use core::time::Duration;

use super::advertisement::{FOREVER, Preference};
use crate::Instant;

/// Routers that advertised themselves, at most [`MAX_ROUTERS`].
#[derive(Default)]
pub(super) struct Routers(Vec<Router>);

struct Router {
    addr: Ipv6Addr,
    until: Instant,
    preference: Preference,
    /// Did not answer lately: others are preferred until then.
    shunned_until: Instant,
}

impl Routers {
    /// Follows an advertisement.
    pub(super) fn advertised(
        &mut self,
        addr: Ipv6Addr,
        lifetime: u16,
        preference: Preference,
        now: Instant,
    ) {
        let known = self.0.iter_mut().find(|r| r.addr == addr);
        let until = now + Duration::from_secs(lifetime.into());
        match known {
            _ if lifetime == 0 => self.0.retain(|r| r.addr != addr),
            Some(router) => {
                (router.until, router.preference) = (until, preference);
                router.shunned_until = Instant::ZERO;
            }
            None => {
                // A full list keeps what it has, but for a better one.
                if self.0.len() == MAX_ROUTERS {
                    let worst = self.0.iter().rposition(|r| r.preference < preference);
                    let Some(worst) = worst else { return };
                    self.0.remove(worst);
                }
                let shunned_until = Instant::ZERO;
                self.0.push(Router { addr, until, preference, shunned_until });
            }
        }
    }

    /// Prefers others from now on, for a while.
    pub(super) fn shun(&mut self, addr: Ipv6Addr, now: Instant) {
        if let Some(router) = self.0.iter_mut().find(|r| r.addr == addr) {
            router.shunned_until = now + SHUN;
        }
    }

    /// Routers that do not answer while others are left, or might.
    pub(super) fn shunned(&self, now: Instant) -> impl Iterator<Item = Ipv6Addr> {
        let all = self.0.iter().all(|r| r.shunned_until > now);
        self.0.iter().filter(move |r| !all && r.shunned_until > now).map(|r| r.addr)
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|r| r.until > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, the best first: those that answer, the preferred, those heard first.
    pub(super) fn ranked(&self, now: Instant) -> Vec<Ipv6Addr> {
        let mut ranked: Vec<&Router> = self.0.iter().collect();
        ranked.sort_by_key(|r| (r.shunned_until > now, core::cmp::Reverse(r.preference)));
        ranked.into_iter().map(|r| r.addr).collect()
    }

    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let ends = self.0.iter().map(|r| r.until);
        ends.chain(self.0.iter().map(|r| r.shunned_until)).filter(|at| *at > now).min()
    }
}

/// Things that routers told, each until its time is over; at most so many.
pub(super) struct Lasting<T> {
    things: Vec<(T, Instant)>,
    max: usize,
}

impl<T: Clone + PartialEq> Lasting<T> {
    pub(super) fn new(max: usize) -> Self {
        Self { things: Vec::new(), max }
    }

    /// Follows RFC 8106 §6.1 and §6.2: lifetime 0 ends it at once, and in a full list what would
    /// end first makes room.
    pub(super) fn told(&mut self, thing: T, lifetime: u32, now: Instant) {
        let until = end(lifetime, now);
        let known = self.things.iter().position(|(t, _)| *t == thing);
        match known {
            Some(at) if lifetime == 0 => drop(self.things.remove(at)),
            Some(at) => self.things[at].1 = until,
            None if lifetime == 0 => {}
            None => {
                if self.things.len() == self.max {
                    let first = (0..self.max).min_by_key(|at| self.things[*at].1);
                    let Some(first) = first.filter(|at| self.things[*at].1 < until) else { return };
                    self.things.remove(first);
                }
                self.things.push((thing, until));
            }
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.things.retain(|(_, until)| *until > now);
    }

    pub(super) fn list(&self) -> Vec<T> {
        self.things.iter().map(|(thing, _)| thing.clone()).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.things.iter().map(|(_, until)| *until).filter(|at| *at < Instant::FAR).min()
    }
}

/// When a lifetime in seconds ends.
pub(super) fn end(lifetime: u32, now: Instant) -> Instant {
    if lifetime == FOREVER { Instant::FAR } else { now + Duration::from_secs(lifetime.into()) }
}

const MAX_ROUTERS: usize = 4;
const SHUN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n)
    }

    #[test]
    fn the_best_router_comes_first() {
        let now = Instant::from_millis(1000);
        let mut routers = Routers::default();
        for (n, preference) in [(1, Preference::Low), (2, Preference::High), (3, Preference::High)]
        {
            routers.advertised(addr(n), 10, preference, now);
        }
        assert_eq!(routers.ranked(now), [addr(2), addr(3), addr(1)]);
        routers.shun(addr(2), now);
        assert_eq!(routers.ranked(now), [addr(3), addr(1), addr(2)]);
        assert_eq!(routers.shunned(now).collect::<Vec<_>>(), [addr(2)]);
        routers.advertised(addr(2), 20, Preference::High, now);
        routers.advertised(addr(3), 0, Preference::High, now);
        assert_eq!(routers.ranked(now), [addr(2), addr(1)]);
        assert_eq!(routers.next_deadline(now), Some(Instant::from_millis(11_000)));
        routers.expire(Instant::from_millis(11_000));
        assert_eq!(routers.ranked(now), [addr(2)]);
    }

    #[test]
    fn a_full_list_yields_to_a_better_router_only() {
        let now = Instant::ZERO;
        let mut routers = Routers::default();
        for n in 1..=9 {
            routers.advertised(addr(n), 10, Preference::Medium, now);
        }
        assert_eq!(routers.ranked(now), [addr(1), addr(2), addr(3), addr(4)]);
        routers.advertised(addr(9), 10, Preference::High, now);
        assert_eq!(routers.ranked(now), [addr(9), addr(1), addr(2), addr(3)]);
    }

    #[test]
    fn what_would_end_first_makes_room() {
        let now = Instant::ZERO;
        let mut lasting = Lasting::new(2);
        lasting.told('a', 10, now);
        lasting.told('b', FOREVER, now);
        lasting.told('c', 5, now);
        assert_eq!(lasting.list(), ['a', 'b']);
        lasting.told('d', 20, now);
        assert_eq!(lasting.list(), ['b', 'd']);
        lasting.told('b', 0, now);
        lasting.told('e', 0, now);
        assert_eq!((lasting.list(), lasting.next_deadline()), (vec!['d'], Some(end(20, now))));
        lasting.expire(end(20, now));
        assert_eq!((lasting.list(), lasting.next_deadline()), (vec![], None));
    }
}
