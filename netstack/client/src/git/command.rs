//! What `--git` names: one command over one flow, its result as text or octets.

use super::packets::{Context, Transport};
use super::remote::{Fetched, Progress, Remote, Want};
use super::walk::Walk;
use super::{Action, Options, archive};
use crate::error::{Cause, Error};
use crate::sink::{self, Output};
use core::fmt::Display;
use proto::git::object::{Kind, Mode};
use proto::git::pack::Limits;
use proto::git::refs::{self, Ref};
use proto::git::store::{Store, Tip};
use proto::git::{Error as Git, ObjectId};
use sha2::{Digest as _, Sha256};

/// Does what the options say; writes the result out.
///
/// # Errors
/// Those of [`Remote`]; there is no such reference, path or kind of object ([`Cause::Name`]); the output takes no
/// more.
pub async fn run(
    transport: impl Transport,
    options: &Options,
    context: Context,
    output: &mut Output,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let mut remote = Remote::greet(transport, context.clone()).await?;
    let action = options.action.unwrap_or_default();
    if action == Action::LsRemote {
        ls_remote(&mut remote, options, output).await?;
        remote.close().await;
        return sink::flush(output).await;
    }
    let mut store = Store::new(remote.format());
    // one commit is enough for one tree
    let one = (action != Action::Clone && remote.advertisement().can_cut()).then_some(1);
    let depth = options.depth.or(one);
    let want = Want { reference: options.reference.clone(), depth };
    let fetched = remote.fetch(&want, &mut store, Limits::default(), progress).await?;
    remote.close().await;
    let tip = match (&fetched.tip, action) {
        (None, Action::Clone) => None,
        (None, _) => return Err(context.fail(Cause::Name("the repository is empty".into()))),
        (Some(id), _) => Some((*id, store.tip(id).map_err(|error| context.wrong(&error))?)),
    };
    match (action, tip) {
        (Action::Archive, Some((_, tip))) => {
            let path = options.path.as_deref();
            if let Some(path) = path {
                entry(&store, &tip, path, &context)?;
            }
            archive::write(&store, &tip, path, output, &context).await
        }
        (Action::Cat, Some((_, tip))) => cat(&store, &tip, options, &context, output).await,
        (_, tip) => {
            let text = summary(&store, &fetched, tip.as_ref().map(|(_, tip)| tip));
            let text = text.map_err(|error| context.wrong(&error))?;
            sink::write(output, &text).await?;
            sink::flush(output).await
        }
    }
}

/// As `git ls-remote` prints references.
async fn ls_remote(
    remote: &mut Remote<'_>,
    options: &Options,
    output: &mut Output,
) -> Result<(), Error> {
    let meanings = options.reference.as_deref().map(refs::meanings);
    let prefixes = meanings.as_ref().map(|it| it.to_vec()).unwrap_or_default();
    let listed = remote.ls_refs(&prefixes).await?;
    let is_meant =
        |it: &&Ref| meanings.as_ref().is_none_or(|names| names.iter().any(|name| it.is(name)));
    for it in listed.iter().filter(is_meant) {
        sink::write(output, &line(it)).await?;
    }
    Ok(())
}

/// A reference and what its tag names, a line each.
fn line(it: &Ref) -> Vec<u8> {
    let mut text = Vec::new();
    let mut add = |id: ObjectId, end: &[u8]| {
        text.extend(format!("{id}\t").bytes());
        text.extend(&it.name);
        text.extend(end);
    };
    if let Some(id) = it.id {
        add(id, b"\n");
    }
    if let Some(id) = it.peeled {
        add(id, b"^{}\n");
    }
    text
}

fn entry(
    store: &Store,
    tip: &Tip,
    path: &str,
    context: &Context,
) -> Result<(Mode, ObjectId), Error> {
    let found = store.at_path(tip.tree, path).map_err(|error| context.wrong(&error))?;
    found.ok_or_else(|| {
        let text = format!("the tree has no `{path}`");
        context.fail(Cause::Name(text))
    })
}

/// A file's content.
async fn cat(
    store: &Store,
    tip: &Tip,
    options: &Options,
    context: &Context,
    output: &mut Output,
) -> Result<(), Error> {
    let path = options.path.as_deref().unwrap_or_default();
    let (mode, id) = entry(store, tip, path, context)?;
    let what = match mode {
        Mode::Tree => Some("a directory"),
        Mode::Submodule => Some("a submodule"),
        Mode::File | Mode::Executable | Mode::Link => None,
    };
    if let Some(what) = what {
        let text = format!("`{path}` is {what}, not a file (--path names the file)");
        return Err(context.fail(Cause::Name(text)));
    }
    let content = store.read_as(Kind::Blob, &id).map_err(|error| context.wrong(&error))?;
    sink::write(output, &content).await?;
    sink::flush(output).await
}

/// What a clone prints: the references, then a line each for what came and for the tip's tree.
///
/// `names` is the digest of all objects' names in order, a line each, as `sort | sha256sum` gives it.
fn summary(store: &Store, fetched: &Fetched, tip: Option<&Tip>) -> Result<Vec<u8>, Git> {
    let mut text = Vec::new();
    for it in &fetched.refs {
        text.extend(line(it));
    }
    let kinds = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
    let mut counts = [0; 4];
    let mut digest = Sha256::new();
    for pack in store.packs() {
        for id in pack.ids() {
            digest.update(format!("{id}\n"));
            let kind = pack.kind(&id);
            let at = kinds.iter().position(|known| Some(*known) == kind);
            counts[at.expect("the pack has the object, of one of four kinds")] += 1;
        }
    }
    let hex: String = digest.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
    let mut say = |key: &str, value: &dyn Display| text.extend(format!("{key} {value}\n").bytes());
    say("objects", &store.len());
    for (kind, count) in kinds.iter().zip(counts) {
        say(&format!("{}s", kind.name()), &count);
    }
    say("names", &format_args!("sha256:{hex}"));
    let octets: u64 = store.packs().iter().map(|pack| pack.octets()).sum();
    let deltas: usize = store.packs().iter().map(|pack| pack.deltas()).sum();
    say("pack", &format_args!("{octets} octets, {deltas} deltas"));
    if !store.shallow().is_empty() {
        say("shallow", &store.shallow().len());
    }
    let Some(tip) = tip else { return Ok(text) };
    if let Some((id, commit)) = &tip.commit {
        say("tip", &format_args!("{id} {}", commit.subject));
    }
    say("tree", &tip.tree);
    let [mut directories, mut files, mut links, mut submodules] = [0; 4];
    for found in Walk::new(store, tip.tree, None)? {
        let (_, mode, _) = found?;
        *match mode {
            Mode::Tree => &mut directories,
            Mode::File | Mode::Executable => &mut files,
            Mode::Link => &mut links,
            Mode::Submodule => &mut submodules,
        } += 1;
    }
    say("files", &files);
    say("directories", &directories);
    say("links", &links);
    say("submodules", &submodules);
    Ok(text)
}
