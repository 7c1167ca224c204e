//! HTTP/1.1 and HTTP/2 over any flow, by hyper.
//!
//! ```text
//!  exchange ──► Client::request ──► Pool ──► Sender (HTTP/1.1 │ HTTP/2) ──► Io ──► BoxFlow
//!  (redirects,      │                 └ empty: Connector::connect, through the registry
//!   printing)       └► Response { head, Body: limits, decoding, trailers }
//! ```
//!
//! Implemented: any method, fields and content, streamed both ways with the reader's pace; user information as Basic
//! credentials (RFC 7617); redirects (RFC 9110 §15.4); `Expect: 100-continue`; trailers; connections that serve
//! again, by origin, and all requests of an origin over one where it speaks HTTP/2; gzip, deflate, brotli and zstd.
//! **Not** implemented: caches, cookies that a server sets, digest authentication, upgrades, server push, HTTP/3.

mod client;
mod connection;
#[cfg(feature = "compression")]
pub mod decode;
mod exchange;
pub mod head;
mod pool;
mod request;
mod response;
mod stream;
mod upload;

pub use crate::options::Http as Options;
pub use client::{Client, Connector, Opening};
pub use connection::{Connected, offer};
pub use exchange::{exchange, follow, prepare};
pub use pool::{MOST_CONNECTIONS, MOST_REST};
pub use request::{Invalid, Request, field, method};
pub use response::{Body, Response};
pub use upload::Payload;

use crate::error::{Cause, find_as};
use async_executor::Executor;
use core::error::Error as _;
use futures_lite::future;
use std::io;

/// hyper's buffer grows up to it; a response's head must fit.
const READ_BUFFER: usize = 256 * 1024;
/// Of HTTP/2: what all streams of a connection together may have on the way that nobody has read.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The future's output; meanwhile the connections' tasks run. As [`Executor::run`] does, which makes a queue of its own
/// first: too much for every piece of a content.
async fn run<F: Future>(executor: &Executor<'_>, future: F) -> F::Output {
    /// Tasks that run before the machine below gets its turn, and limits of time theirs.
    const AT_ONCE: usize = 32;
    let tasks = async {
        loop {
            for _ in 0..AT_ONCE {
                executor.tick().await;
            }
            future::yield_now().await;
        }
    };
    future::or(future, tasks).await
}

/// hyper's error in our words.
fn cause(error: &hyper::Error) -> Cause {
    if error.is_parse() {
        return Cause::Malformed(format!("not an HTTP answer: {}", chain(error)));
    }
    if let Some(cause) = Cause::below(error) {
        return cause;
    }
    // chunks that are none
    let kind = find_as::<io::Error>(error).map(io::Error::kind);
    if matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)) {
        return Cause::Malformed(format!("not an HTTP answer: {}", chain(error)));
    }
    match Cause::of(error) {
        Cause::Protocol(_) if error.is_incomplete_message() => {
            Cause::CutShort("the connection ended in the middle of the answer".into())
        }
        Cause::Protocol(_) => Cause::Protocol(format!("HTTP: {}", chain(error))),
        cause => cause,
    }
}

/// An error and what is behind it.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text += &format!(": {more}");
        }
        source = error.source();
    }
    text
}
