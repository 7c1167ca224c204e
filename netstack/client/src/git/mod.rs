//! A git client over any flow that speaks the smart protocol: references, objects, changes.
//!
//! ```text
//!  Transport ─► Remote::greet ─► ls_refs ─► fetch ─► Store ─► trees, blobs, archive
//!  (a flow, HTTP)    │                        └ progress
//!                    └─► push
//! ```
//!
//! ```no_run
//! # async fn example(flow: mimic::BoxFlow, context: client::git::Context) -> Result<(), client::Error> {
//! use client::git::{Remote, Want};
//! use proto::git::pack::Limits;
//! use proto::git::store::Store;
//!
//! let mut remote = Remote::greet(flow, context).await?;
//! let want = Want { reference: Some("main".into()), depth: Some(1) };
//! let mut store = Store::new(remote.format());
//! let fetched = remote.fetch(&want, &mut store, Limits::default(), None).await?;
//! for reference in &fetched.refs {
//!     println!("{reference:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything is held in memory; what a server can make it hold is bounded by [`proto::git::pack::Limits`],
//! [`proto::git::refs::MOST`] and the other constants there. Protocol 2 is asked for first, 1 and 0 are understood.
//! **Not** here: a working tree, merges, submodules' repositories, large file storage, attributes (`export-ignore` and
//! `export-subst` of archives among them), signed pushes.

pub mod archive;
pub mod command;
#[cfg(feature = "http")]
mod http;
mod packets;
mod remote;
mod tar;
mod walk;

#[cfg(feature = "http")]
pub use http::Http;
pub use packets::{Context, Step, Transport};
pub use remote::{Fetched, Progress, Remote, Want};
pub use walk::{Found, Walk};

pub use crate::flow::git::Service;
pub use crate::options::{Git as Options, GitAction as Action};
