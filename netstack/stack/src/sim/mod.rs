//! A simulated network: smoltcp hosts and scripted peers on one switch, under a virtual clock.
//!
//! Time passes only when nobody has anything left to do, and then jumps to the next event, so that
//! minutes of network time take milliseconds. Everything that happens follows from the seed: the
//! same program sees the same frames at the same instants.
//!
//! ```
//! use futures_io::AsyncWrite;
//! use stack::Net;
//! use stack::sim::{Link, Network};
//!
//! let mut network = Network::new(1);
//! let server = network.host("10.0.0.1/24", Link::default());
//! let client = network.host("10.0.0.2/24", Link::default());
//! network.serve(&server, 80, |mut stream| async move {
//!     // … speak a protocol …
//!     let _ = std::future::poll_fn(|cx| std::pin::Pin::new(&mut stream).poll_close(cx)).await;
//! });
//! let remote = "10.0.0.1:80".parse().unwrap();
//! let stream = network.run(client.net.tcp_connect(remote)).unwrap().unwrap();
//! assert_eq!(stream.peer_addr(), remote);
//! ```
//!
//! # Scope
//! Implemented: latency, jitter (and thereby reordering), bandwidth with a bounded queue, loss,
//! duplication, corruption, segmentation and checksum offload, capture in pcap form, scripted peers
//! (frame in, frames out), a router, a DHCP server and a DNS server. **Not** implemented: more than
//! one network, links that lose in bursts, collisions.

mod executor;
mod link;
mod offload;
mod pcap;
mod peer;
mod random;
mod wire;

use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;

pub use executor::Spawner;
pub use link::Link;
pub use peer::{Dhcp, DhcpOffer, Router, Script, Verdict, serve_dns};
pub use wire::{Port, PortId, Traffic};

use crate::smol::{Clock, Config, ConfigError, Ipv4, Ipv6, Stack, TcpStream};
use crate::{Cidr, Instant};
use executor::Tasks;
use random::Generator;
use wire::Wire;

/// A network with its clock and its tasks.
pub struct Network {
    wire: Arc<Mutex<Wire>>,
    clock: VirtualClock,
    hosts: Vec<Stack<Port>>,
    scripts: Vec<(PortId, Box<dyn Script>)>,
    tasks: Tasks,
    seeds: Generator,
    limit: Duration,
}

/// A host on the network.
#[derive(Clone)]
pub struct Host {
    /// Its sockets.
    pub net: Stack<Port>,
    /// Its place at the switch.
    pub port: PortId,
}

impl Network {
    /// An empty network. All chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut seeds = Generator::new(seed);
        Self {
            wire: Arc::new(Mutex::new(Wire::new(seeds.next()))),
            clock: VirtualClock::default(),
            hosts: Vec::new(),
            scripts: Vec::new(),
            tasks: Tasks::default(),
            seeds,
            limit: Duration::from_secs(3600),
        }
    }

    /// A host with a fixed address such as `10.0.0.1/24`; with `… via 10.0.0.254` behind it, that
    /// is its default router.
    ///
    /// # Panics
    /// When `address` is not of that form.
    pub fn host(&mut self, address: &str, link: Link) -> Host {
        let config = self.config(address);
        self.host_with(config, link).expect("a configuration of the documented form")
    }

    /// The configuration that [`Self::host`] uses, to be changed and given to
    /// [`Self::host_with`].
    ///
    /// # Panics
    /// When `address` is not of the form that [`Self::host`] names.
    pub fn config(&mut self, address: &str) -> Config {
        let (address, gateway) = match address.split_once(" via ") {
            Some((address, gateway)) => (address, Some(gateway)),
            None => (address, None),
        };
        let (addr, len) = address.split_once('/').expect("an address with a prefix length");
        let cidr = addr.parse().ok().zip(len.parse().ok());
        let cidr = cidr.and_then(|(addr, len)| Cidr::new(addr, len)).expect("a CIDR");
        let gateway: Option<IpAddr> = gateway.map(|g| g.parse().expect("a router's address"));
        let mut config = self.dhcp_config();
        match (cidr.addr(), gateway) {
            (IpAddr::V4(_), Some(IpAddr::V4(gateway))) => {
                config.ipv4 = Ipv4::Static { address: cidr, gateway: Some(gateway) };
            }
            (IpAddr::V4(_), _) => config.ipv4 = Ipv4::Static { address: cidr, gateway: None },
            (IpAddr::V6(_), gateway) => {
                config.ipv4 = Ipv4::Off;
                let gateway = match gateway {
                    Some(IpAddr::V6(gateway)) => Some(gateway),
                    _ => None,
                };
                config.ipv6 = Ipv6::Static { address: cidr, gateway };
                // In use from the start, without a word on the wire.
                (config.accept_router_advertisements, config.dad_transmits) = (false, 0);
            }
        }
        config
    }

    /// A configuration for DHCP, with an Ethernet address and a (repeatable) generator of its own.
    pub fn dhcp_config(&mut self) -> Config {
        let [.., a, b] = (self.wire.lock().ports() as u16 + 1).to_be_bytes();
        let mut generator = Generator::new(self.seeds.next());
        let mut config =
            Config::new([0x02, 0, 0, 0, a, b], Box::new(move |octets| generator.fill(octets)));
        config.tcp.receive_buffer = 256 * 1024;
        config
    }

    /// A host with any configuration.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn host_with(&mut self, config: Config, link: Link) -> Result<Host, ConfigError> {
        let port = self.wire.lock().plug(Some(config.hardware_addr), link);
        let device = Port::new(self.wire.clone(), port);
        let net = Stack::new(config, Some(device), self.clock.clone())?;
        self.hosts.push(net.clone());
        Ok(Host { net, port })
    }

    /// A peer that is a script and hears every frame on the network.
    pub fn peer(&mut self, script: impl Script, link: Link) -> PortId {
        let port = self.wire.lock().plug(None, link);
        self.scripts.push((port, Box::new(script)));
        port
    }

    /// Has a peer send a frame now, of its own accord.
    pub fn send(&mut self, peer: PortId, frame: Vec<u8>) {
        let now = self.now();
        self.wire.lock().send(peer, now, frame);
    }

    /// Changes a link from now on; frames under way keep their course.
    pub fn set_link(&mut self, port: PortId, link: Link) {
        self.wire.lock().set_link(port, link);
    }

    /// Adds a task that runs whenever the network does.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawner().spawn(task);
    }

    /// A handle for tasks that add tasks.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.tasks.spawner()
    }

    /// Accepts connections on a port of `host` and runs `handler` for each, as a task of its own.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn serve<F>(
        &mut self,
        host: &Host,
        port: u16,
        mut handler: impl FnMut(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = host.net.tcp_listen(port, 8).expect("a port that is free");
        let spawner = self.spawner();
        self.spawn(async move {
            while let Ok(stream) = listener.accept().await {
                spawner.spawn(handler(stream));
            }
        });
    }

    /// Present virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Virtual time that one [`Self::run`] may take; an hour at first.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Starts recording all frames as they are sent.
    pub fn start_capture(&mut self) {
        self.wire.lock().start_capture();
    }

    /// What was recorded, as a pcap file (link type Ethernet).
    #[must_use]
    pub fn capture(&self) -> Vec<u8> {
        self.wire.lock().capture()
    }

    /// Frames counted so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.wire.lock().traffic()
    }

    /// Runs the network until `future` is complete.
    ///
    /// # Errors
    /// [`Stalled`] when it can no longer become so, or takes too long.
    pub fn run<F: Future>(&mut self, future: F) -> Result<F::Output, Stalled> {
        let end = self.now() + self.limit;
        self.drive(future, end).map_err(|why| Stalled { at: self.now(), why })
    }

    /// Runs the network for a time.
    ///
    /// # Errors
    /// [`Stalled`] when time does not pass.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Stalled> {
        let end = self.now() + duration;
        match self.drive(core::future::pending::<()>(), end) {
            Err(why @ Why::Spinning) => Err(Stalled { at: self.now(), why }),
            Ok(()) | Err(Why::Idle | Why::Late) => {
                self.clock.advance(end);
                self.deliver(end);
                Ok(())
            }
        }
    }

    fn drive<F: Future>(&mut self, future: F, end: Instant) -> Result<F::Output, Why> {
        let mut future = pin!(future);
        self.tasks.wake_main();
        let mut rounds_without_time = 0u32;
        loop {
            if let Poll::Ready(output) = self.tasks.run(future.as_mut()) {
                return Ok(output);
            }
            let mut more = false;
            let mut next = None;
            for host in &self.hosts {
                let turn = host.poll();
                more |= turn.more;
                next = [next, turn.deadline].into_iter().flatten().min();
            }
            next = [next, self.wire.lock().next_arrival()].into_iter().flatten().min();

            let now = self.now();
            let next = match next {
                _ if more || self.tasks.are_awake() => now,
                Some(next) => next.max(now),
                None => return Err(Why::Idle),
            };
            if next > end {
                return Err(Why::Late);
            }
            rounds_without_time = if next > now { 0 } else { rounds_without_time + 1 };
            if rounds_without_time > MAX_ROUNDS {
                return Err(Why::Spinning);
            }
            self.clock.advance(next);
            self.deliver(next);
        }
    }

    fn deliver(&mut self, now: Instant) {
        self.wire.lock().deliver(now);
        for (port, script) in &mut self.scripts {
            loop {
                let Some(frame) = self.wire.lock().take(*port) else { break };
                for answer in script.frame(now, &frame) {
                    self.wire.lock().send(*port, now, answer);
                }
            }
        }
    }
}

/// A simulation cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// When.
    pub at: Instant,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Idle,
    Late,
    Spinning,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Idle => "nothing is left to happen",
            Why::Late => "the time limit is over",
            Why::Spinning => "it turns without time passing",
        };
        write!(f, "the simulation stopped at {} s: {why}", self.at)
    }
}

impl core::error::Error for Stalled {}

/// The clock that all hosts share.
#[derive(Clone, Default)]
struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    fn advance(&self, to: Instant) {
        self.0.fetch_max(to.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Relaxed))
    }
}

const MAX_ROUNDS: u32 = 1_000_000;
