//! The git smart protocol and what it carries, without I/O: octets in, checked values out.
//!
//! ```text
//!  octets ─► pkt ─► Greeting ─► Advertisement ─┐
//!                                              ├─► request ─► octets
//!                   refs, fetch, report ◄──────┘
//!                     │
//!                     └ sideband ─► pack::Receiver ─► pack::Resolver ─► Pack ─► Store ─► object
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`pkt`] | pkt-line: the framing of everything before and after a pack |
//! | [`advertisement`] | the server's first words in protocol 2, 1 and 0 |
//! | [`refs`] | references, as advertised and as `ls-refs` lists them |
//! | [`fetch`] | asking for objects, and the answer up to the pack |
//! | [`sideband`] | pack, progress and errors on one stream |
//! | [`push`] | asking a server to change references, and its report |
//! | [`oid`] | names of objects: SHA-1, with its known collisions refused, and SHA-256 |
//! | [`object`] | commits, trees and tags, as far as a client reads them |
//! | [`delta`] | one object as a difference from another |
//! | [`pack`] | packs: received as a stream, indexed, resolved within limits, read, written |
//! | [`names`] | names that a tree must not have, and the order of those that it has |
//! | [`store`] | objects by name: packs and single ones |
//!
//! Protocol 2 as gitprotocol-v2(5) says, 1 and 0 as gitprotocol-pack(5), packs as gitformat-pack(5).
//! **Not** here: several rounds of negotiation (all haves go with `done`), thin packs, filters, bundle and pack
//! URIs, push certificates, push options, a server's side.

pub mod advertisement;
pub mod delta;
mod error;
pub mod fetch;
mod memory;
pub mod names;
pub mod object;
pub mod oid;
pub mod pack;
pub mod pkt;
pub mod push;
pub mod refs;
pub mod sideband;
pub mod store;

pub use error::Error;
pub use oid::{Format, ObjectId};
