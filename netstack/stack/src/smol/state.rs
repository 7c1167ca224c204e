//! Everything behind the lock: smoltcp's interface and sockets, and who waits for what.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::wire::{EthernetAddress, HardwareAddress};

use super::config::{Config, Random, TcpOptions};
use super::configure::Addressing;
use super::datagram::Datagrams;
use super::neighbors::question;
use super::raw::Raws;
use super::stack::Turn;
use super::tcp::{Connections, Graves, Listeners};
use super::timers::Timers;
use super::watch::{Transport, Watch};
use crate::{Error, Instant};

/// The state of one interface.
pub(super) struct State {
    pub(super) iface: Interface,
    pub(super) sockets: SocketSet<'static>,
    /// There is no device: the interface is a dummy.
    pub(super) absent: bool,
    pub(super) addressing: Addressing,
    pub(super) tcp: TcpOptions,
    pub(super) connections: Connections,
    pub(super) listeners: Listeners,
    pub(super) graves: Graves,
    pub(super) datagrams: Datagrams,
    pub(super) raws: Raws,
    pub(super) timers: Timers,
    pub(super) waiting_for_address: Vec<Waker>,
    pub(super) waiting_for_graves: Vec<Waker>,
    /// Connections whose socket is gone.
    pub(super) ended: Vec<(SocketAddr, SocketAddr)>,
    /// The device gave a frame when it was last asked. It promises an interrupt only when it gives none twice.
    received: bool,
    random: Random,
    /// Ports of connections that ended lately, and until when not to use them again.
    resting_ports: VecDeque<(u16, Instant)>,
    next_id: u64,
}

/// Sockets are named by numbers that are never used twice.
pub(super) type Id = u64;

impl State {
    /// `config` has been validated against the device.
    pub(super) fn new<D: Device>(
        mut config: Config,
        device: Option<&mut Watch<D>>,
        now: Instant,
    ) -> Self {
        let seed = random_u64(&mut config.random);
        let absent = device.is_none();
        let (mut iface, mtu) = match device {
            Some(device) => {
                let iface = interface(config.hardware_addr, seed, device, now);
                (iface, device.capabilities().ip_mtu())
            }
            None => (interface([2, 0, 0, 0, 0, 0], seed, &mut Nothing, now), 1500),
        };
        let mut sockets = SocketSet::new(vec![]);
        let addressing = Addressing::new(&mut config, mtu, seed, now, &mut iface, &mut sockets);
        Self {
            iface,
            sockets,
            absent,
            addressing,
            tcp: config.tcp,
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            graves: Vec::new(),
            datagrams: BTreeMap::new(),
            raws: BTreeMap::new(),
            timers: Timers::default(),
            waiting_for_address: Vec::new(),
            waiting_for_graves: Vec::new(),
            ended: Vec::new(),
            received: false,
            random: config.random,
            resting_ports: VecDeque::new(),
            next_id: 0,
        }
    }

    /// One bounded round: receive, follow up, send, follow up. Pushes the wakers of all tasks that
    /// can go on, to be called when the lock is released.
    pub(super) fn turn<D: Device>(
        &mut self,
        now: Instant,
        device: Option<&mut Watch<D>>,
        wakers: &mut Vec<Waker>,
    ) -> Turn {
        let mut turn = Turn { more: false, deadline: None };
        if let Some(device) = device {
            self.drive(now, device, wakers, &mut turn);
        }
        self.timers.fire(now, wakers);
        turn.deadline = earliest(turn.deadline, self.timers.next_deadline());
        turn
    }

    fn drive<D: Device>(
        &mut self,
        now: Instant,
        device: &mut Watch<D>,
        wakers: &mut Vec<Waker>,
        turn: &mut Turn,
    ) {
        let timestamp = timestamp(now);
        device.set_now(now);
        self.iface.poll_maintenance(timestamp);
        turn.more = true;
        for _ in 0..FRAMES_PER_TURN {
            if self.iface.poll_ingress_single(timestamp, device, &mut self.sockets)
                == PollIngressSingleResult::None
            {
                turn.more = core::mem::take(&mut self.received);
                break;
            }
            self.received = true;
            // A burst of SYNs needs a listening socket each.
            if !self.listeners.is_empty() {
                self.refill_listeners();
            }
        }
        self.check_connections(now, Phase::Received);
        for error in core::mem::take(&mut device.seen().errors) {
            match error.protocol {
                Transport::Tcp => self.fail_connecting(error.local, error.remote, error.why),
                Transport::Udp => self.fail_datagrams(error.local.port(), error.why),
            }
        }
        // Before sending, which asks silent neighbours once more.
        self.check_neighbors(now, device);
        let mut forgotten = false;
        if self.addressing.poll(now, device, &mut self.sockets) {
            if device.set_mtu(self.addressing.mtu()) {
                // smoltcp asks a device for its MTU only once. Sockets live outside the interface.
                let seed = self.random_u64();
                self.iface = interface(self.addressing.hardware_addr(), seed, device, now);
                self.addressing.forget_interface();
            }
            forgotten = self.addressing.apply(&mut self.iface);
            wakers.append(&mut self.waiting_for_address);
        }

        let mut sending = true;
        for _ in 0..ROUNDS_PER_TURN {
            sending =
                self.iface.poll_egress(timestamp, device, &mut self.sockets) != PollResult::None;
            if !sending {
                break;
            }
        }
        turn.more |= sending;
        self.ask_for_neighbors(now, device, forgotten);
        self.check_connections(now, Phase::Sent);
        self.refill_listeners();
        self.tend_graves(now);

        for (local, remote) in self.ended.drain(..) {
            device.seen().acks.forget((local.port(), remote.ip(), remote.port()));
        }
        self.collect_ready(wakers);
        if self.is_settled() {
            wakers.append(&mut self.waiting_for_graves);
        }
        let mut due = self.iface.poll_at(timestamp, &self.sockets).map(|at| {
            let at = Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0));
            // Due at once and yet nothing was sent: the transmit queue is full. Its emptying may
            // raise no interrupt, so look again soon rather than spin.
            if at <= now && !sending { now + TRANSMIT_RETRY } else { at }
        });
        due = earliest(due, self.connections_deadline());
        due = earliest(due, self.graves_deadline());
        due = earliest(due, device.seen().neighbors.next_deadline(now));
        due = earliest(due, self.addressing.next_deadline());
        if device.exhausted() {
            due = earliest(due, Some(now + TRANSMIT_RETRY));
        }
        turn.deadline = earliest(turn.deadline, due);
    }

    /// The device's link is up again.
    pub(super) fn link_returned(&mut self, absence: Duration, now: Instant) {
        self.addressing.link_returned(absence, now, &mut self.sockets);
    }

    /// Fails what waits for a neighbour that does not answer.
    fn check_neighbors<D: Device>(&mut self, now: Instant, device: &mut Watch<D>) {
        let seen = &device.seen().neighbors;
        if let Some(router) = self.addressing.gateway_v6()
            && seen.is_silent(router.into(), Instant::ZERO, now)
        {
            self.addressing.router_is_silent(router, now);
        }
        // What waits for a router goes by way of another one, if there is one left.
        let spared = self.addressing.shunned_routers();
        let is_silent = |hop, since| !spared.contains(&hop) && seen.is_silent(hop, since, now);
        self.fail_silent_connections(is_silent);
        self.fail_silent_datagrams(is_silent);
        self.fail_silent_raws(is_silent);
    }

    /// Asks for the neighbours that somebody waits for, where smoltcp does not. `forgotten`: it knows none any more, so
    /// that all connections wait.
    fn ask_for_neighbors<D: Device>(
        &mut self,
        now: Instant,
        device: &mut Watch<D>,
        forgotten: bool,
    ) {
        let mut awaited = self.hops_of_connections();
        awaited.extend(self.hops_of_datagrams());
        awaited.extend(self.hops_of_raws());
        if forgotten {
            awaited.extend(self.hops_in_use().map(|hop| (hop, true)));
        }
        for (hop, new) in awaited {
            let group = match hop {
                IpAddr::V4(hop) => hop.is_multicast() || hop.is_broadcast(),
                IpAddr::V6(hop) => hop.is_multicast(),
            };
            if group || !device.seen().neighbors.is_due(hop, new, now) {
                continue;
            }
            let Ok(source) = self.source_address(hop) else { continue };
            let mac = self.addressing.hardware_addr();
            if question(mac, source, hop).is_some_and(|frame| device.send(&frame)) {
                device.seen().neighbors.asked(hop, now);
            }
        }
    }

    /// Which of our addresses a packet to `dst` comes from.
    pub(super) fn source_address(&self, dst: IpAddr) -> Result<IpAddr, Error> {
        match dst {
            IpAddr::V4(_) => self.iface.get_source_address(&dst.into()).map(IpAddr::from),
            IpAddr::V6(dst) => self.addressing.source_v6(dst).map(IpAddr::V6),
        }
        .ok_or(Error::NoAddress)
    }

    fn collect_ready(&mut self, wakers: &mut Vec<Waker>) {
        self.ready_connections(wakers);
        self.ready_listeners(wakers);
        self.ready_datagrams(wakers);
        self.ready_raws(wakers);
    }

    /// A new name for a socket.
    pub(super) fn next_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id
    }

    /// 64 unpredictable bits.
    pub(super) fn random_u64(&mut self) -> u64 {
        random_u64(&mut self.random)
    }

    /// Our source address and an unused port for a connection to, or datagrams to, anywhere: random
    /// in the dynamic range (RFC 6335 §6), as RFC 6056 §3.3.1 has it.
    pub(super) fn free_port(&mut self, now: Instant) -> Result<u16, Error> {
        while self.resting_ports.front().is_some_and(|(_, until)| *until <= now) {
            self.resting_ports.pop_front();
        }
        for _ in 0..PORT_TRIES {
            let port = FIRST_PORT + (self.random_u64() % u64::from(u16::MAX - FIRST_PORT)) as u16;
            let taken = self.resting_ports.iter().any(|(resting, _)| *resting == port)
                || self.is_port_taken(port);
            if !taken {
                return Ok(port);
            }
        }
        Err(Error::AddressInUse(0))
    }

    /// Keeps a port from being used again for a while (RFC 9293 §3.3.2, TIME-WAIT).
    pub(super) fn rest_port(&mut self, local: SocketAddr, now: Instant) {
        if self.resting_ports.len() == MAX_RESTING_PORTS {
            self.resting_ports.pop_front();
        }
        self.resting_ports.push_back((local.port(), now + PORT_REST));
    }

    fn is_port_taken(&self, port: u16) -> bool {
        self.connections.values().any(|c| c.local.port() == port)
            || self.graves.iter().any(|g| g.local.port() == port)
            || self.listeners.values().any(|l| l.port == port)
            || self.datagrams.values().any(|d| d.port == port)
    }
}

/// When connections are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// After receiving: what closed, the peer closed.
    Received,
    /// After sending: what closed, timed out or lost its address.
    Sent,
}

/// An interface with a strongly seeded generator.
pub(super) fn interface(
    hardware_addr: [u8; 6],
    seed: u64,
    device: &mut impl Device,
    now: Instant,
) -> Interface {
    let hardware_addr = HardwareAddress::Ethernet(EthernetAddress(hardware_addr));
    let mut config = smoltcp::iface::Config::new(hardware_addr);
    config.random_seed = seed;
    Interface::new(config, device, timestamp(now))
}

/// smoltcp's form of an instant.
pub(super) fn timestamp(now: Instant) -> smoltcp::time::Instant {
    let micros = i64::try_from(now.as_micros()).expect("Instant stays in smoltcp's range");
    smoltcp::time::Instant::from_micros(micros)
}

/// The earlier of two deadlines.
pub(super) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Remembers a task that waits for an event, once. A clone that is not needed comes back, to be
/// dropped without a lock held.
pub(super) fn enlist(waiting: &mut Vec<Waker>, waker: Waker) -> Option<Waker> {
    if waiting.iter().any(|w| w.will_wake(&waker)) {
        return Some(waker);
    }
    waiting.push(waker);
    None
}

fn random_u64(random: &mut Random) -> u64 {
    let mut octets = [0; 8];
    random(&mut octets);
    u64::from_ne_bytes(octets)
}

/// Stands in where there is no device, and for interfaces that only lend their generator.
pub(super) struct Nothing;

/// A token for a frame that never comes or goes.
pub(super) struct NoToken;

impl Device for Nothing {
    type RxToken<'a> = NoToken;
    type TxToken<'a> = NoToken;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(NoToken, NoToken)> {
        None
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<NoToken> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

impl RxToken for NoToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&[])
    }
}

impl TxToken for NoToken {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        f(&mut vec![0; len])
    }
}

/// Frames received before tasks get their turn: enough for one acknowledgement to cover many
/// segments, few enough that a flood does not keep the tasks waiting.
const FRAMES_PER_TURN: usize = 64;
/// Rounds of sending, a packet a socket each.
const ROUNDS_PER_TURN: usize = 256;
const TRANSMIT_RETRY: Duration = Duration::from_micros(500);
const FIRST_PORT: u16 = 49152;
const PORT_TRIES: usize = 1000;
const PORT_REST: Duration = Duration::from_secs(60);
const MAX_RESTING_PORTS: usize = 1024;
