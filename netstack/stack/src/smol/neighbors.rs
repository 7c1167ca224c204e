//! Neighbours that were asked for and have not answered (ARP, RFC 826; neighbour discovery, RFC 4861
//! §7.2).
//!
//! smoltcp asks for one neighbour a second, whichever: while it waits for one that is gone, nobody
//! asks for the next. So [`Neighbors::is_due`] says when somebody who waits has to ask by himself;
//! smoltcp learns from the answer all the same.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

use super::discovery::neighbor_solicitation;
use crate::Instant;

/// Who was asked for, and when.
#[derive(Default)]
pub(super) struct Neighbors {
    /// Never more than [`MAX_PENDING`].
    pending: Vec<Pending>,
    /// The last question, about anybody.
    last: Option<Instant>,
}

struct Pending {
    addr: IpAddr,
    requests: u32,
    last: Instant,
}

impl Neighbors {
    /// Somebody asked for `addr`.
    pub(super) fn asked(&mut self, addr: IpAddr, now: Instant) {
        self.last = Some(now);
        self.pending.retain(|p| now.duration_since(p.last) < STALE);
        if let Some(pending) = self.pending.iter_mut().find(|p| p.addr == addr) {
            pending.requests += 1;
            pending.last = now;
        } else if self.pending.len() < MAX_PENDING {
            self.pending.push(Pending { addr, requests: 1, last: now });
        }
    }

    /// `addr` was heard of.
    pub(super) fn answered(&mut self, addr: IpAddr) {
        self.pending.retain(|p| p.addr != addr);
    }

    /// Whether `addr` was asked for [`REQUESTS`] times, lately and in vain, and most of that on
    /// behalf of someone who waits since `since`.
    pub(super) fn is_silent(&self, addr: IpAddr, since: Instant, now: Instant) -> bool {
        self.pending.iter().any(|p| {
            p.addr == addr
                && p.requests >= REQUESTS
                && p.last >= since + REQUEST_INTERVAL * (REQUESTS - 1)
                && (REQUEST_INTERVAL..STALE).contains(&now.duration_since(p.last))
        })
    }

    /// When [`Self::is_silent`] may next become true for some neighbour, or a question be due.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.pending.iter().map(|p| p.last + REQUEST_INTERVAL).filter(|at| *at > now).min()
    }

    /// Whether somebody who waits for `addr` has to ask now, as smoltcp will not: it has not asked
    /// for a second, or, if the wait is `new`, it is silent as it has just asked for another one.
    pub(super) fn is_due(&self, addr: IpAddr, new: bool, now: Instant) -> bool {
        let pause = |last| now.duration_since(last) < REQUEST_INTERVAL;
        match self.pending.iter().find(|p| p.addr == addr) {
            Some(pending) => !pause(pending.last),
            None => new && self.last.is_some_and(pause),
        }
    }
}

/// The frame that asks for `target`, from our address `source`; `None` when they are of two families.
pub(super) fn question(mac: [u8; 6], source: IpAddr, target: IpAddr) -> Option<Vec<u8>> {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => Some(arp_request(mac, source, target)),
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            Some(neighbor_solicitation(mac, source, target))
        }
        _ => None,
    }
}

fn arp_request(mac: [u8; 6], source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: source,
        target_hardware_addr: EthernetAddress::BROADCAST,
        target_protocol_addr: target,
    };
    let mut frame = [[0xff; 6], mac].concat();
    frame.extend_from_slice(&[8, 6]);
    let header = frame.len();
    frame.resize(header + request.buffer_len(), 0);
    request.emit(&mut ArpPacket::new_unchecked(&mut frame[header..]));
    frame
}

/// Requests without an answer after which a neighbour counts as absent: three, a second apart
/// (MAX_MULTICAST_SOLICIT and RETRANS_TIMER of RFC 4861 §10; ARP says nothing).
const REQUESTS: u32 = 3;
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// A request older than that says nothing about now.
const STALE: Duration = Duration::from_secs(5);
/// Bounds what we remember.
const MAX_PENDING: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

    #[test]
    fn a_neighbour_is_silent_after_three_requests_and_a_second() {
        let mut neighbors = Neighbors::default();
        for second in 0..3 {
            let now = Instant::from_millis(second * 1000);
            assert!(!neighbors.is_silent(HOST, Instant::ZERO, now));
            neighbors.asked(HOST, now);
        }
        let at = Instant::from_millis;
        assert!(!neighbors.is_silent(HOST, Instant::ZERO, at(2999)));
        assert_eq!(neighbors.next_deadline(at(2500)), Some(at(3000)));
        assert!(neighbors.is_silent(HOST, Instant::ZERO, at(3000)));
        assert!(!neighbors.is_silent(HOST, Instant::ZERO, at(7000)), "long ago");
        assert!(!neighbors.is_silent(HOST, at(10), at(3000)), "has not waited enough");

        neighbors.answered(HOST);
        assert!(!neighbors.is_silent(HOST, Instant::ZERO, at(3000)));
    }

    #[test]
    fn one_who_waits_asks_when_smoltcp_does_not() {
        let mut neighbors = Neighbors::default();
        let at = Instant::from_millis;
        assert!(!neighbors.is_due(HOST, true, at(0)), "smoltcp will");
        neighbors.asked(HOST, at(0));
        assert!(!neighbors.is_due(HOST, true, at(10)), "it has");
        assert!(neighbors.is_due(OTHER, true, at(250)), "it has asked for another one");
        assert!(!neighbors.is_due(OTHER, false, at(250)), "its answer may have come already");
        neighbors.asked(OTHER, at(250));
        assert!(!neighbors.is_due(OTHER, false, at(1249)));
        assert!(neighbors.is_due(OTHER, false, at(1250)), "once more");
        neighbors.answered(OTHER);
        assert!(!neighbors.is_due(OTHER, false, at(1250)));
        assert!(!neighbors.is_due(OTHER, true, at(1250)), "smoltcp may ask again");
    }
}
