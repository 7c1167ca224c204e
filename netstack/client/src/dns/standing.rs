//! What is remembered of servers: which failed of late, and what they do not understand. No clock: the time comes in.

use core::time::Duration;
use proto::dns::Server;
use stack::Instant;
use std::net::SocketAddr;

/// For so long a server that failed is asked after the others.
const DISTRUST: Duration = Duration::from_secs(30);
/// So many servers are remembered; more come only from a network that changes its mind often.
const MAX_KNOWN: usize = 32;

/// What a server does not understand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manners {
    /// It does not repeat a name's spelling.
    pub folds_case: bool,
    /// It refuses questions with EDNS.
    pub lacks_edns: bool,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Standing {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    transport: &'static str,
    address: SocketAddr,
    manners: Manners,
    failed: Option<Instant>,
}

impl Standing {
    /// The servers in the order in which they are to be asked: as given, those that failed of late behind.
    pub fn order(&self, servers: &[Server], now: Instant) -> Vec<Server> {
        let distrusted = |server: &&Server| self.is_distrusted(server, now);
        let mut order: Vec<Server> =
            servers.iter().filter(|server| !distrusted(server)).cloned().collect();
        order.extend(servers.iter().filter(distrusted).cloned());
        order
    }

    /// What the server does not understand.
    pub fn manners(&self, server: &Server) -> Manners {
        self.find(server).map(|known| known.manners).unwrap_or_default()
    }

    /// Changes what is known of its manners.
    pub fn learn(&mut self, server: &Server, change: impl FnOnce(&mut Manners)) {
        change(&mut self.entry(server).manners);
    }

    /// It failed, or was silent for longer than another one took.
    pub fn failed(&mut self, server: &Server, now: Instant) {
        self.entry(server).failed = Some(now);
    }

    /// It answered.
    pub fn answered(&mut self, server: &Server) {
        if self.find(server).is_some_and(|known| known.failed.is_some()) {
            self.entry(server).failed = None;
        }
    }

    fn is_distrusted(&self, server: &Server, now: Instant) -> bool {
        let failed = self.find(server).and_then(|known| known.failed);
        failed.is_some_and(|failed| now < failed + DISTRUST)
    }

    fn find(&self, server: &Server) -> Option<&Known> {
        self.known.iter().find(|known| known.is(server))
    }

    fn entry(&mut self, server: &Server) -> &mut Known {
        let index = self.known.iter().position(|known| known.is(server)).unwrap_or_else(|| {
            if self.known.len() >= MAX_KNOWN {
                self.known.remove(0);
            }
            self.known.push(Known {
                transport: server.transport.name(),
                address: server.address,
                manners: Manners::default(),
                failed: None,
            });
            self.known.len() - 1
        });
        &mut self.known[index]
    }
}

impl Known {
    fn is(&self, server: &Server) -> bool {
        self.address == server.address && self.transport == server.transport.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(word: &str) -> Server {
        word.parse().unwrap()
    }

    #[test]
    fn a_server_that_failed_is_asked_last_for_a_while() {
        let servers = ["udp:10.0.0.1", "udp:10.0.0.2", "tcp:10.0.0.1"].map(server);
        let mut standing = Standing::default();
        let order = |standing: &Standing, seconds: u64| {
            let order = standing.order(&servers, Instant::from_millis(seconds * 1000));
            order.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let given = "udp:10.0.0.1:53 udp:10.0.0.2:53 tcp:10.0.0.1:53";
        assert_eq!(order(&standing, 0), given);
        standing.failed(&servers[0], Instant::ZERO);
        assert_eq!(order(&standing, 29), "udp:10.0.0.2:53 tcp:10.0.0.1:53 udp:10.0.0.1:53");
        assert_eq!(order(&standing, 30), given);
        standing.failed(&servers[0], Instant::from_millis(30_000));
        standing.answered(&servers[0]);
        assert_eq!(order(&standing, 31), given);
    }

    #[test]
    fn little_is_remembered() {
        let mut standing = Standing::default();
        for last in 0..=255_u8 {
            let server = Server::udp([10, 0, 0, last].into());
            standing.learn(&server, |manners| manners.lacks_edns = true);
            assert!(standing.manners(&server).lacks_edns);
        }
        assert_eq!(standing.known.len(), MAX_KNOWN);
        assert_eq!(standing.manners(&server("udp:10.0.0.1")), Manners::default());
    }
}
