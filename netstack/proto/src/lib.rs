//! Codecs without I/O: octets and text in, checked values out.
//!
//! No clock, no socket, no randomness and no `unsafe`: whatever of these a codec needs comes in as an
//! argument. Each module knows one format:
//!
//! | module | format |
//! |---|---|
//! | [`target`] | the URI that a boot names: RFC 3986, and the scp form of git |
//! | [`authenticator`] | how a TLS peer is to be known: `none`, `key-fp:…`, `cert-fp:…`, `trust-anchor:…` |
//! | [`credential`] | certificates and private keys: PEM, or base64 of DER |
//! | [`quantity`] | times, sizes and hexadecimal octets as people type them |
//! | [`dns`] | one question to a DNS server and its answer: RFC 1035 |
//! | [`git`](mod@git) | the git smart protocol, packs and objects (feature `git`) |
//! | [`icmp`] | echo request and reply: RFC 792, RFC 4443 |
//! | [`idna`] | host names of all scripts: RFC 3492, RFC 5890 |
//! | [`redirect`] | where an HTTP answer leads, and whether to go there: RFC 9110 §15.4 |
//! | [`tunnel`] | how an HTTP proxy is asked for a tunnel: RFC 9110 §9.3.6 |
//! | [`coding`] | what an HTTP content is encoded in: RFC 9110 §8.4 |
#![forbid(unsafe_code)]

pub mod authenticator;
pub mod coding;
pub mod credential;
pub mod dns;
#[cfg(feature = "git")]
pub mod git;
pub mod icmp;
pub mod idna;
pub mod quantity;
pub mod redirect;
pub mod target;
pub mod tunnel;
