//! smoltcp as a [`Net`](crate::Net) over any device, driven by one thread.
//!
//! ```text
//!   tasks ── TcpStream, Datagram, RawIp, sleep ──┐ short critical sections
//!                                                ▼
//!   reactor ── Stack::poll ──▶ State: smoltcp's interface and sockets, timers, who waits for what,
//!                                     addresses (DHCP, Discovery)
//!                                                ▲
//!                                        Watch ──┘  frames: ARP, ICMP and router
//!                                          │     advertisements are noticed on the way
//!                                          │
//!                                        Device
//! ```
//!
//! Nothing happens on its own: whoever owns the thread ([`block_on`], or [`crate::sim`]) calls
//! [`Stack::poll`] after every event and sleeps until the deadline that it returns. Wakers are
//! called with no lock held, and a task that is ready is woken in every poll until it has looked, so
//! that no wake can be lost.
//!
//! # Scope
//! Implemented: IPv4 by DHCP or static, IPv6 link-local, static and by router advertisements, with
//! duplicate address detection (see `discovery`), both families at once, TCP (both ways; CUBIC,
//! window scaling, selective acknowledgements sent), UDP, raw IP, answers to echo requests,
//! segmentation and checksum offload where the device has it, ICMP errors reported to connecting
//! TCP and to UDP sockets, several neighbours asked for at a time (see `neighbors`), lingering of closed connections, acknowledgements that a peer accepts
//! while we repeat ourselves (smoltcp's own are not, see `acks`).
//! **Not** implemented: DHCPv6, duplicate address detection for IPv4, IP fragmentation on sending,
//! path MTU discovery, multicast membership, urgent data, routes other than a default route a
//! family, a loopback interface. A [`Listener`]'s initial sequence numbers come from smoltcp's
//! generator, seeded strongly but not a cryptographic one; those of outgoing connections are drawn
//! from [`Config::random`] each.

mod acks;
mod config;
mod configure;
mod datagram;
mod discovery;
mod membership;
mod neighbors;
mod raw;
mod reactor;
mod search;
mod stack;
mod state;
mod tcp;
mod timers;
mod watch;

pub use config::{Config, ConfigError, Ipv4, Ipv6, Random, TcpOptions};
pub use reactor::{Idle, block_on};
pub use stack::{Clock, Stack, SystemClock, Turn};
pub use tcp::{Listener, TcpStream};
