//! SSH 2, the client's side, as a pure state machine: octets, times and random octets come in as arguments; octets, events
//! and the next deadline go out. Commands over session channels (`exec`), nothing else.
//!
//! # Scope
//! Implemented: RFC 4251 to 4254, 4344 (counter mode), 5647 (GCM with OpenSSH's names), 5656, 6668, 8308 (extensions), 8332
//! (RSA with SHA-2), 8709 (Ed25519), 8731 (Curve25519), the hybrid with ML-KEM-768, OpenSSH's strict key exchange, its
//! ChaCha20-Poly1305 and its codes over ciphertext (both under strict key exchange only), key exchange anew by octets, time and
//! at the server's wish, keep-alive both ways.
//!
//! **Not** implemented: servers, shells and pseudo-terminals, subsystems, forwarding of ports, agents and X11, compression,
//! certificates, `hostbased`, SHA-1 anywhere, CBC, finite field Diffie-Hellman, DSA, P-521.
//!
//! # Driving it
//! ```no_run
//! use ssh::{Config, Connection, Credential, Event, Exec, Pin, Stream};
//! # use std::io::{Read as _, Write as _};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut tcp = std::net::TcpStream::connect("host:22")?;
//! # let begin = std::time::Instant::now();
//! # fn fill(_: &mut [u8]) -> Result<(), ssh::NoRandomness> { Ok(()) }
//! let pin: Pin = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".parse()?;
//! let password = Credential::Password("secret".to_string().into());
//! let config = Config { user: "me".into(), credentials: vec![password], ..Config::default() };
//! let mut connection = Connection::new(config, Box::new(fill), begin.elapsed())?;
//! let (mut input, mut buf) = (Vec::new(), [0; 4096]);
//! loop {
//!     let used = connection.handle_input(begin.elapsed(), &input)?;
//!     input.drain(..used);
//!     while let Some(event) = connection.poll_event() {
//!         match event {
//!             Event::HostKey(key) if pin.accepts(&key) => connection.accept_host_key(begin.elapsed())?,
//!             Event::HostKey(_) => connection.refuse_host_key(),
//!             Event::Authenticated(_) => {
//!                 connection.exec(Exec { command: b"uptime".to_vec(), ..Exec::default() });
//!             }
//!             Event::Started(channel) => connection.finish(channel),
//!             Event::Closed(channel) => {
//!                 while let Some(len @ 1..) = connection.read(channel, Stream::Stdout, &mut buf) {
//!                     std::io::stdout().write_all(&buf[..len])?;
//!                 }
//!                 return Ok(());
//!             }
//!             _ => {}
//!         }
//!     }
//!     let len = tcp.write(connection.poll_output())?;
//!     connection.handle_sent(len);
//!     if input.is_empty() && connection.poll_output().is_empty() {
//!         let len = tcp.read(&mut buf)?;
//!         input.extend_from_slice(&buf[..len]);
//!     }
//! }
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod algorithm;
mod auth;
mod channel;
mod connection;
mod der;
mod error;
mod event;
mod exchange;
mod hostkey;
mod key;
mod message;
mod packet;
mod pin;
#[cfg(any(test, fuzzing, feature = "server"))]
pub mod server;
mod version;
mod wire;

pub use auth::Credential;
pub use channel::{ChannelId, Exec, MAX_CHANNELS, Stream, WINDOW};
pub use connection::{Config, Connection};
pub use error::Error;
pub use event::{Event, Exit};
pub use hostkey::HostKey;
pub use key::{KeyError, PrivateKey};
pub use pin::{Pin, PinError};

/// Fills what it is given with octets that nobody can foretell.
pub type Random = Box<dyn FnMut(&mut [u8]) -> Result<(), NoRandomness> + Send>;

/// The same to keep.
struct Source(Random);

/// A copy for the next run of a fuzz target draws the same octets as every other.
#[cfg(any(test, fuzzing))]
impl Clone for Source {
    fn clone(&self) -> Self {
        Self(server::counting())
    }
}

/// The source of randomness has nothing to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness;
