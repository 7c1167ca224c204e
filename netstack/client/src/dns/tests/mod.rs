//! The resolver against scripted servers over the simulated wire, on its virtual clock.

mod datagrams;
mod dial;
mod names;
#[cfg(feature = "tls")]
mod secure;
mod streams;
mod thousand;
mod world;
