//! Hot-connect of a transmission protocol from dynamic values.
//!
//! A program that speaks a protocol wants a flow of octets, and should not care which transport
//! carries it: TCP, TLS, SSH, a socket of the host, memory in a test. Which one it is follows
//! from *values* that are known only when it runs: a URI, arguments, keys, a resolver. This crate
//! finds it out. It is modelled on MirageOS's `mimic`.
//!
//! ```text
//!    values  ──add──▶ ┌───────┐               ┌──────┐  candidates in   ┌──────────────┐
//!                     │  Ctx  │ ────plan────▶ │ Plan │ ────connect────▶ │  BoxFlow     │
//! derivations ─fold─▶ └───────┘               └──────┘  order, or race  │  and Report  │
//!                         ▲                      ▲                      └──────────────┘
//!                         │ keys of endpoints    │ which there are            ▲
//!                     ┌───┴──────────────────────┴─────┐                      │
//!  protocols ───────▶ │            Registry            │ ◀──inject / downcast─┘
//!           register  └────────────────────────────────┘    by the Handle
//! ```
//!
//! * A [`Key`] names a value of one type. It is unique by identity.
//! * A [`Ctx`] is an immutable set of bindings of keys: to values ([`Ctx::add`]) and to
//!   derivations, async functions of other keys ([`Ctx::fold`]).
//! * A [`Protocol`] makes a [`Flow`] from its endpoint. [`Registry::register`] gives the endpoint
//!   a key, so that contexts can hold endpoints, or ways to derive them.
//! * [`Registry::plan`] lists every endpoint that the context gives or can derive;
//!   [`Registry::connect`] connects them in order until one succeeds; [`Registry::resolve`] does
//!   both. All of them say what they did in a [`Report`].
//!
//! ```
//! # struct Tcp; struct Stream;
//! # impl mimic::Protocol for Tcp {
//! #     type Endpoint = (&'static str, u16); type Flow = Stream; type Error = std::fmt::Error;
//! #     async fn connect(&self, _: std::sync::Arc<(&'static str, u16)>) -> Result<Stream, Self::Error> { Ok(Stream) }
//! # }
//! # use std::task::{Context, Poll}; use mimic::flow::Error;
//! # impl mimic::Flow for Stream {
//! #     fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<Result<usize, Error>> { Poll::Ready(Ok(0)) }
//! #     fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> { Poll::Ready(Ok(buf.len())) }
//! #     fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> { Poll::Ready(Ok(())) }
//! #     fn poll_shutdown(&mut self, _: &mut Context<'_>, _: mimic::Shutdown) -> Poll<Result<(), Error>> { Poll::Ready(Ok(())) }
//! #     fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> { Poll::Ready(Ok(())) }
//! #     fn describe(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("tcp") }
//! # }
//! use mimic::{Ctx, Key, Policy, Registry, default, req};
//!
//! # futures_lite::future::block_on(async {
//! let mut registry = Registry::new();
//! let tcp = registry.register("tcp", None, Tcp);
//!
//! let host = Key::<&str>::shown("host");
//! let port = Key::<u16>::shown("port");
//! let ctx = Ctx::new()
//!     .fold(tcp.endpoint(), (req(&host), default(&port, 80)), |(host, port)| async move {
//!         Some((*host, *port))
//!     })
//!     .add(&host, "example.com");
//!
//! let mut connected = registry.resolve(&ctx, &Policy::default()).await?;
//! assert_eq!(connected.protocol, "tcp");
//! connected.flow.write_all(b"hello").await?;
//!
//! let nothing = registry.resolve(&ctx.remove(&host), &Policy::default()).await;
//! let text = "no protocol has an endpoint: tcp needs host: not given";
//! assert_eq!(nothing.unwrap_err().to_string(), text);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! The [`tutorial`] goes from there to a second transport.
//!
//! # The rules
//!
//! **What a key comes to.** Its newest value; without values, what its newest derivation
//! produces; when that produces nothing, the next older one, and so on. Values beat derivations,
//! whichever was bound later. Where a derivation asks for a key it gets this one result: older
//! values of an *ordinary* key are never tried, since each has the right to hide the ones before.
//!
//! **Which candidates there are.** For each protocol all values of its endpoint's key, and what
//! each of its derivations produces: of these, the older ones *are* tried when connecting the
//! newer ones fails.
//!
//! **In which order.** By these criteria, each deciding where the ones before it are equal; they
//! are the same for values and for derivations:
//!
//! 1. the protocol's priority: lower numbers first, protocols without one last;
//! 2. given endpoints before derived ones;
//! 3. between keys, the order of insertion: that of the key's first binding in the context. As in
//!    a dictionary that remembers it, binding a bound key again does not move it, removing it and
//!    binding it anew does. [`Ctx::merge`] appends the keys that only the right side has. (To
//!    order single bindings that way would contradict the next rule: of a₁, b₁, a₂ the first must
//!    come before the second, the second before the third and the third before the first.)
//! 4. within a key, the newest binding first.
//!
//! **What is run.** The derivations of protocols' endpoints, and what they need, and nothing
//! else. Each at most once in a resolution, whatever it gives; those that do not need one another
//! at the same time. One that requires a key without bindings is not run, and does not cause
//! anything to be run. When all endpoints are settled, what still runs is dropped.
//!
//! **What an argument comes to.** [`req`]: the value, and when the key cannot be produced the
//! derivation is not run and produces nothing. [`opt`] and [`default`]: the value, and when the
//! key cannot be produced for whatever reason `None`, or the default. [`map()`] passes what a
//! function makes of other arguments, which count as if they stood outside.
//!
//! **Circles.** Derivations that need one another's keys are a cycle, which the report names. It
//! is opened by the first of these that helps, applied to all who take part alike, so that it
//! does not matter who asked first: an optional or defaulted argument in the circle is left
//! empty; a key with an older derivation goes on to that; otherwise none of the keys can be
//! produced. A value of any of the keys means that there is no circle.
//!
//! **Connecting.** In order, until one succeeds; with [`Policy::stagger`] candidates of equal
//! priority race. No error is swallowed: what failed stands in the report with its cause and its
//! times. [`Policy::deadline`] ends the whole, and dropping the future does; then everything
//! below is dropped too.
//!
//! # What it costs
//!
//! `cargo bench -p mimic` (criterion) prints the table, per shape of the context. On one core of a busy machine, medians:
//!
//! | bindings | 10 | 100 | 1 000 | 10 000 |
//! | --- | --- | --- | --- | --- |
//! | resolve: values of many keys | 1.7 µs | 7.2 µs | 53 µs | 0.73 ms |
//! | resolve: a chain of derivations | 4.2 µs | 39 µs | 0.42 ms | 6.8 ms |
//! | resolve: independent derivations | 7.7 µs | 77 µs | 0.70 ms | 15 ms |
//! | resolve: a circle with a way out | 4.1 µs | 39 µs | 0.40 ms | 5.9 ms |
//! | look one key up | 18 ns | 20 ns | 20 ns | 23 ns |
//!
//! A typical resolution (8 bindings, two protocols) takes 4.3 µs. A lookup allocates nothing.
//!
//! # Scope
//!
//! In scope: choosing, deriving, connecting, reporting. **Not** in scope: any protocol, any
//! executor or timer, accepting connections ([`Handle::inject`] takes an accepted one), pooling
//! or reconnecting, trying combinations of older values of ordinary keys, and catching panics of
//! derivations and protocols.
//!
//! `no_std` with `alloc`, without unsafe code and without dependencies. The feature `futures-io`
//! needs `std`; it makes [`BoxFlow`] an `AsyncRead + AsyncWrite`, and any such stream a [`Flow`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arg;
mod connect;
mod ctx;
mod error;
pub mod flow;
#[cfg(feature = "futures-io")]
mod io;
mod join;
#[cfg(feature = "futures-io")]
mod joined;
mod key;
mod list;
mod map;
mod opaque;
mod plan;
mod policy;
mod registry;
pub mod report;
mod solve;
pub mod tutorial;

pub use arg::{Arg, Product, default, map, opt, req};
pub use connect::Connected;
pub use ctx::{Binding, Ctx, Dump, Kind};
pub use error::{ConnectError, ConnectFailure, PlanError, PlanFailure, ResolveError};
pub use flow::{BoxFlow, Flow, Shutdown};
pub use key::{Key, Name, Shown};
pub use plan::Plan;
pub use policy::{Policy, Timer};
pub use registry::{Handle, Protocol, Registry};
pub use report::Report;
