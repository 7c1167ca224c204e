//! From a protocol that knows no transport to one that has two: a tutorial.
//!
//! The code on this page is compiled and run with the crate's tests. It uses an executor,
//! `futures_lite::future::block_on`; any other will do.
//!
//! # 1. Write the protocol over an abstract flow
//!
//! Ping-pong: a client sends lines, a server answers them. Neither knows what carries them: all
//! they see is a [`BoxFlow`](crate::BoxFlow).
//!
//! ```
#![doc = include_str!("tutorial/ping_pong.rs")]
//! # fn main() {}
//! ```
//!
//! # 2. Write a transport
//!
//! A [`Protocol`](crate::Protocol) says what it needs to connect (its endpoint), what it makes (a
//! [`Flow`](crate::Flow)) and why it may fail. It is written once, by whoever knows TCP, and
//! usually comes from a library.
//!
//! ```
#![doc = include_str!("tutorial/tcp.rs")]
//! # fn main() {}
//! ```
//!
//! # 3. Bring them together
//!
//! Where the program begins, and only there, somebody chooses: which protocols there are (the
//! [`Registry`](crate::Registry)), what users may give (the [`Key`](crate::Key)s), and how an
//! endpoint follows from that (the derivations of a [`Ctx`](crate::Ctx)). The rest of the program
//! gets a flow.
//!
//! A derivation can fail; then other ways are tried, and when there are none the error says what
//! lacks.
//!
//! ```
//! # mod ping_pong { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tutorial/ping_pong.rs")); }
//! # mod tcp { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tutorial/tcp.rs")); }
#![doc = include_str!("tutorial/first.rs")]
//! ```
//!
//! # 4. Add another transport
//!
//! One that lies over TCP, as TLS does. A real one would do a handshake in `connect`; this one
//! masks each octet, which shows the same and protects nothing.
//!
//! ```
#![doc = include_str!("tutorial/masked.rs")]
//! # fn main() {}
//! ```
//!
//! It is registered beside TCP with a priority, so it comes first wherever both have an endpoint.
//! Here they never do: each makes its endpoint for its own scheme only, since who asks for the
//! protected flow must not get the bare one when the former fails. `ping_pong` did not change,
//! `tcp` did not change, and neither will need to for the next one.
//!
//! Each part brings its own derivations, and [`merge`](crate::Ctx::merge) puts them together.
//!
//! ```
//! # mod ping_pong { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tutorial/ping_pong.rs")); }
//! # mod tcp { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tutorial/tcp.rs")); }
//! # mod masked { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tutorial/masked.rs")); }
#![doc = include_str!("tutorial/second.rs")]
//! ```
//!
//! # 5. Where to go from here
//!
//! * [`Registry::plan`](crate::Registry::plan) finds the candidates and connects none: print
//!   [`Plan`](crate::Plan), and see what would be tried, in which order and why.
//! * [`Connected::report`](crate::Connected::report) and every error hold a
//!   [`Report`](crate::Report) of what was tried, with causes and, given a
//!   [`Timer`](crate::Timer), times.
//! * [`Policy`](crate::Policy) sets a deadline for the whole, and lets candidates of equal
//!   priority race.
//! * [`Registry::over`](crate::Registry::over) makes a layer of a registry, in which a test can
//!   put a protocol of its own beside or, with [`unregister`](crate::Registry::unregister), in
//!   place of another one.
