//! A git client over any flow that speaks the smart protocol: references, objects, changes.
//!
//! ```text
//!  connect ─► Repository ─► ls_refs, fetch ─► Store ─► trees, blobs, archive
//!     │           └► push         └ progress
//!     └► Connector ─► Transport (a flow, HTTP) ─► Remote: one exchange
//! ```
//!
//! ```no_run
//! # async fn example(connector: &dyn client::git::Connector, context: client::git::Context) -> Result<(), client::Error> {
//! use client::git::{self, Want};
//!
//! // or USER@HOST:PATH, or git://…: which flow serves, the registry says
//! let target = "https://example.org/repository.git".parse().expect("a URI");
//! let mut repository = git::connect(connector, &target, &Default::default(), context).await?;
//! let want = Want { reference: Some("main".into()), depth: Some(1) };
//! let fetched = repository.fetch(&want, None).await?;
//! let tip = repository.tip(&fetched.tip.expect("a reference that was found has one"))?;
//! let readme = repository.file(tip.tree, "README.md")?;
//! println!("{}", String::from_utf8_lossy(&readme));
//! # Ok(())
//! # }
//! ```
//!
//! Everything is held in memory; what a server can make it hold is bounded by [`proto::git::pack::Limits`] of the [`Context`],
//! [`proto::git::refs::MOST`] and the other constants there. Protocol 2 is asked for first, 1 and 0 are understood.
//! **Not** here: a working tree, merges, submodules' repositories, large file storage, attributes (`export-ignore` and
//! `export-subst` of archives among them), signed pushes.

pub mod archive;
pub mod command;
#[cfg(feature = "http")]
mod http;
mod pace;
mod packets;
mod remote;
mod repository;
mod tar;
mod walk;

#[cfg(feature = "http")]
pub use http::Http;
pub use packets::{Context, Step, Transport};
pub use remote::{Fetched, Progress, Remote, Want};
pub use repository::{Connector, Opening, Repository, connect};
pub use walk::{Found, Walk};

pub use crate::flow::git::Service;
pub use crate::options::{Git as Options, GitAction as Action};
