//! Questions to a DNS server and their answers: RFC 1035, with EDNS (RFC 6891) and HTTPS records (RFC 9460).
//!
//! The octets are simple-dns's; what stands here is what a stub resolver must know beyond them: which answers
//! belong to a question (RFC 5452 §9.1), where a chain of aliases leads, how long an answer holds, and the bounds
//! that keep a hostile message cheap.
//!
//! Implemented: A, AAAA and HTTPS questions, 0x20 spelling, EDNS with padding (RFC 7830), CNAME chains inside an
//! answer and the name at which to ask on, negative answers (RFC 2308), truncation.
//! **Not** here: sockets, time, randomness, caching, DNSSEC, AliasMode chains of HTTPS records.

mod answer;
mod question;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Data, Error, MAX_ADDRESSES, MAX_ALIASES, MAX_RECORDS, Mismatch};
pub use question::{InvalidName, Kind, Query, Question, UDP_PAYLOAD};
pub use server::{InvalidServer, Server, Transport};
pub use service::{MAX_SERVICES, Service};
