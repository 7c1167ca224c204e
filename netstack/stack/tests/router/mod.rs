//! A scripted IPv6 router.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex};

use smoltcp::wire::Icmpv6Packet;
use stack::Instant;
use stack::sim::{Link, Network, PortId};

/// A router of that number on the wire: at fe80::N, Ethernet address 02:ee::N. It resolves, and
/// notes all that it hears.
#[derive(Clone)]
pub struct Router {
    pub number: u8,
    pub port: PortId,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heard: Vec<(Instant, Vec<u8>)>,
    /// What a solicitation is answered with.
    answer: Option<Vec<u8>>,
    silent: bool,
}

impl Router {
    pub fn new(network: &mut Network, number: u8) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let script = move |now: Instant, frame: &[u8]| {
            let mut state = shared.lock().unwrap();
            state.heard.push((now, frame.to_vec()));
            if state.silent {
                return vec![];
            }
            match icmp_type(frame) {
                Some(133) => state.answer.clone().into_iter().collect(),
                Some(135) if frame[62..78] == addr(number).octets() => {
                    vec![neighbor_advertisement(frame, number)]
                }
                _ => vec![],
            }
        };
        let port = network.peer(script, Link::default());
        Self { number, port, state }
    }

    /// Answers solicitations from now on.
    pub fn answer(&self, ra: &Ra) {
        self.state.lock().unwrap().answer = Some(ra.frame(self.number));
    }

    /// Says nothing any more by itself, or does again.
    pub fn set_silent(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
    }

    /// Advertises now, unasked.
    pub fn advertise(&self, network: &mut Network, ra: &Ra) {
        network.send(self.port, ra.frame(self.number));
        network.run_for(std::time::Duration::from_millis(1)).unwrap();
    }

    /// What it has heard and not told yet.
    pub fn take_heard(&self) -> Vec<(Instant, Vec<u8>)> {
        std::mem::take(&mut self.state.lock().unwrap().heard)
    }
}

/// A router advertisement.
#[derive(Clone)]
pub struct Ra {
    pub message: Vec<u8>,
}

impl Ra {
    pub fn new(lifetime: u16) -> Self {
        let [a, b] = lifetime.to_be_bytes();
        Self { message: vec![134, 0, 0, 0, 64, 0, a, b, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    pub fn flags(mut self, flags: u8) -> Self {
        self.message[5] = flags;
        self
    }

    /// A prefix of 64 bits, on the link and autonomous.
    pub fn prefix(self, prefix: &str, valid: u32, preferred: u32) -> Self {
        self.prefix_with(prefix, 64, 0xc0, valid, preferred)
    }

    pub fn prefix_with(self, prefix: &str, len: u8, flags: u8, valid: u32, lasts: u32) -> Self {
        let mut option = vec![3, 4, len, flags];
        option.extend_from_slice(&valid.to_be_bytes());
        option.extend_from_slice(&lasts.to_be_bytes());
        option.extend_from_slice(&[0; 4]);
        option.extend_from_slice(&prefix.parse::<Ipv6Addr>().unwrap().octets());
        self.option(&option)
    }

    pub fn mtu(self, mtu: u32) -> Self {
        let [a, b, c, d] = mtu.to_be_bytes();
        self.option(&[5, 1, 0, 0, a, b, c, d])
    }

    pub fn servers(self, servers: &[&str], lifetime: u32) -> Self {
        let mut option = vec![25, 1 + 2 * servers.len() as u8, 0, 0];
        option.extend_from_slice(&lifetime.to_be_bytes());
        for server in servers {
            option.extend_from_slice(&server.parse::<Ipv6Addr>().unwrap().octets());
        }
        self.option(&option)
    }

    pub fn domain(self, domain: &str, lifetime: u32) -> Self {
        let mut option = vec![31, 0, 0, 0];
        option.extend_from_slice(&lifetime.to_be_bytes());
        for label in domain.split('.') {
            option.push(label.len() as u8);
            option.extend_from_slice(label.as_bytes());
        }
        option.push(0);
        option.resize(option.len().next_multiple_of(8), 0);
        option[1] = (option.len() / 8) as u8;
        self.option(&option)
    }

    pub fn option(mut self, option: &[u8]) -> Self {
        self.message.extend_from_slice(option);
        self
    }

    /// The frame in which router `number` sends it.
    pub fn frame(&self, number: u8) -> Vec<u8> {
        icmpv6_frame(mac(number), addr(number), all_nodes(), 255, &self.message)
    }
}

pub fn icmpv6_frame(
    mac: [u8; 6],
    src: Ipv6Addr,
    dst: Ipv6Addr,
    hop_limit: u8,
    message: &[u8],
) -> Vec<u8> {
    let [a, b] = (message.len() as u16).to_be_bytes();
    let mut frame = vec![0x33, 0x33];
    frame.extend_from_slice(&dst.octets()[12..]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, a, b, 58, hop_limit]);
    frame.extend_from_slice(&src.octets());
    frame.extend_from_slice(&dst.octets());
    frame.extend_from_slice(message);
    if message.len() >= 4 {
        Icmpv6Packet::new_unchecked(&mut frame[54..]).fill_checksum(&src, &dst);
    }
    frame
}

fn neighbor_advertisement(solicitation: &[u8], number: u8) -> Vec<u8> {
    let mut message = vec![136, 0, 0, 0, 0xe0, 0, 0, 0];
    message.extend_from_slice(&addr(number).octets());
    message.extend_from_slice(&[2, 1]);
    message.extend_from_slice(&mac(number));
    let asker = Ipv6Addr::from(<[u8; 16]>::try_from(&solicitation[22..38]).unwrap());
    let mut frame = icmpv6_frame(mac(number), addr(number), asker, 255, &message);
    frame[..6].copy_from_slice(&solicitation[6..12]);
    frame
}

pub fn icmp_type(frame: &[u8]) -> Option<u8> {
    let icmp = frame.len() > 54 && frame[12..14] == [0x86, 0xdd] && frame[20] == 58;
    icmp.then(|| frame[54])
}

pub fn addr(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into())
}

pub fn mac(number: u8) -> [u8; 6] {
    [2, 0xee, 0, 0, 0, number]
}

pub fn all_nodes() -> Ipv6Addr {
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
}
