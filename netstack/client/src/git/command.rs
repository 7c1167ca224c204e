//! What `--git` names: one command at one repository, its result as text or octets.

use super::pace::Pace;
use super::remote::{Fetched, Progress, Want};
use super::repository::Repository;
use super::walk::Walk;
use super::{Action, Options, archive};
use crate::error::{Cause, Error};
use crate::sink::{self, Output};
use core::fmt::Display;
use proto::git::object::{Kind, Mode};
use proto::git::refs::{self, Ref};
use proto::git::{Error as Git, ObjectId};
use sha2::{Digest as _, Sha256};

/// What an object's name is in octets of work.
const NAME: u64 = 128;

/// Does what the options say; writes the result out.
///
/// # Errors
/// Those of [`Repository`]; there is no such reference, path or kind of object ([`Cause::Name`]); the output takes no
/// more.
pub async fn run(
    mut repository: Repository<'_>,
    options: &Options,
    output: &mut Output,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let action = options.action.unwrap_or_default();
    if action == Action::LsRemote {
        ls_remote(&mut repository, options, output).await?;
        repository.close().await;
        return sink::flush(output).await;
    }
    // one commit is enough for one tree
    let one = (action != Action::Clone && repository.can_cut().await?).then_some(1);
    let depth = options.depth.or(one);
    let want = Want { reference: options.reference.clone(), depth };
    let fetched = repository.fetch(&want, progress).await?;
    repository.hang_up().await;
    if action == Action::Clone {
        summary(&repository, &fetched, output).await?;
        return sink::flush(output).await;
    }
    let Some(id) = fetched.tip else {
        return Err(repository.context().fail(Cause::Name(no_tip(&fetched))));
    };
    let tip = repository.tip(&id)?;
    let path = options.path.as_deref();
    if action == Action::Cat {
        let content = repository.file(tip.tree, path.unwrap_or_default())?;
        sink::write(output, &content).await?;
        return sink::flush(output).await;
    }
    if let Some(path) = path {
        repository.at_path(tip.tree, path)?;
    }
    archive::write(repository.store(), &tip, path, output, repository.context()).await
}

/// Why there is nothing to take a tree of.
fn no_tip(fetched: &Fetched) -> String {
    if fetched.is_empty {
        return "the repository is empty".into();
    }
    let head = fetched.refs.iter().find(|it| it.is("HEAD")).and_then(|it| it.symref.as_deref());
    let leads = match head {
        Some(name) => format!(", to `{}` that is not there", String::from_utf8_lossy(name)),
        None => String::new(),
    };
    format!("the repository's HEAD leads nowhere{leads} (--ref names another)")
}

/// As `git ls-remote` prints references.
async fn ls_remote(
    repository: &mut Repository<'_>,
    options: &Options,
    output: &mut Output,
) -> Result<(), Error> {
    let meanings = options.reference.as_deref().map(refs::meanings);
    let prefixes = meanings.as_ref().map(|it| it.to_vec()).unwrap_or_default();
    let listed = repository.ls_refs(&prefixes).await?;
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

/// What a clone prints: the references, then a line each for what came and for the tip's tree.
///
/// `names` is the digest of all objects' names in order, a line each, as `sort | sha256sum` gives it.
async fn summary(
    repository: &Repository<'_>,
    fetched: &Fetched,
    output: &mut Output,
) -> Result<(), Error> {
    let (store, context) = (repository.store(), repository.context());
    let wrong = |error: Git| context.wrong(&error);
    let mut pace = Pace::default();
    let kinds = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
    let mut counts = [0; 4];
    let mut digest = Sha256::new();
    for pack in store.packs() {
        for (id, kind) in pack.objects() {
            digest.update(format!("{id}\n"));
            let at = kinds.iter().position(|known| *known == kind);
            counts[at.expect("an object is of one of four kinds")] += 1;
            pace.did(NAME).await;
        }
    }
    // a tree that makes no sense is told before anything is printed
    let tip = fetched.tip.map(|id| store.tip(&id)).transpose().map_err(wrong)?.flatten();
    let [mut directories, mut files, mut links, mut submodules] = [0; 4];
    if let Some(tip) = &tip {
        let mut walk = Walk::new(store, tip.tree, None).map_err(wrong)?;
        let mut before = 0;
        while let Some(found) = walk.next() {
            let (_, mode, _) = found.map_err(wrong)?;
            *match mode {
                Mode::Tree => &mut directories,
                Mode::File | Mode::Executable => &mut files,
                Mode::Link => &mut links,
                Mode::Submodule => &mut submodules,
            } += 1;
            pace.did(walk.work() - before + NAME).await;
            before = walk.work();
        }
    }
    for it in &fetched.refs {
        sink::write(output, &line(it)).await?;
    }
    let hex: String = digest.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
    let mut text = Vec::new();
    let mut say = |key: &str, value: &dyn Display| text.extend(format!("{key} {value}\n").bytes());
    say("objects", &store.len());
    for (kind, count) in kinds.iter().zip(counts) {
        say(&format!("{}s", kind.name()), &count);
    }
    say("names", &format_args!("sha256:{hex}"));
    let octets: u64 = store.packs().iter().map(|pack| pack.octets()).sum();
    let deltas: usize = store.packs().iter().map(|pack| pack.deltas()).sum();
    say("pack", &format_args!("{octets} octets, {deltas} deltas"));
    sink::write(output, &text).await?;
    for id in store.shallow() {
        sink::write(output, format!("shallow {id}\n").as_bytes()).await?;
    }
    let Some(tip) = tip else { return Ok(()) };
    let mut text = Vec::new();
    let mut say = |key: &str, value: &dyn Display| text.extend(format!("{key} {value}\n").bytes());
    if let Some((id, commit)) = &tip.commit {
        say("tip", &format_args!("{id} {}", commit.subject));
    }
    say("tree", &tip.tree);
    say("files", &files);
    say("directories", &directories);
    say("links", &links);
    say("submodules", &submodules);
    sink::write(output, &text).await
}
