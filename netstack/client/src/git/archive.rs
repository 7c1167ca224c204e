//! A tree as a tar stream: the same octets as `git archive` writes, attributes apart.

use super::pace::Pace;
use super::packets::Context;
use super::tar::Tar;
use super::walk::Walk;
use crate::error::Error;
use crate::sink::Output;
use proto::git::object::{Kind, Mode};
use proto::git::pack::Work;
use proto::git::store::{Store, Tip};

/// What an entry is in octets of work, beside its content: its block in the archive.
const ENTRY: u64 = 512;

/// Writes the tree of `tip`, or what of it lies at `path` or below.
///
/// # Errors
/// An object makes no sense; the output takes no more.
pub async fn write(
    store: &Store,
    tip: &Tip,
    path: Option<&str>,
    output: &mut Output,
    context: &Context,
) -> Result<(), Error> {
    let (commit, time) = match &tip.commit {
        Some((id, commit)) => (Some(*id), commit.time),
        None => (None, 0),
    };
    let wrong = |error: proto::git::Error| context.wrong(&error);
    let mut tar = Tar::new(output, commit, time).await?;
    let mut walk = Walk::new(store, tip.tree, path).map_err(wrong)?;
    let mut pace = Pace::default();
    loop {
        let before = walk.work();
        let Some(found) = walk.next() else { break };
        let (path, mode, id) = found.map_err(wrong)?;
        let mut work = Work::new(context.limits.work);
        match mode {
            Mode::Tree | Mode::Submodule => tar.directory(&path, &id).await?,
            mode => {
                let content = store.read_as_within(Kind::Blob, &id, &mut work).map_err(wrong)?;
                tar.file(&path, mode, &id, &content).await?;
            }
        }
        pace.did(walk.work() - before + work.done() + ENTRY).await;
    }
    tar.finish().await
}
