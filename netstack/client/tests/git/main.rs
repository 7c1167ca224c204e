//! The git client against the `git` command behind a daemon on the simulated wire, and against one that lies.
#![cfg(feature = "git")]
#![allow(clippy::unwrap_used)] // tests

mod hostile;
mod world;

use client::flow::git::Service;
use client::git::{self, Action, Options, Remote, Step, Transport, Want, command};
use client::sink::Output;
use client::trace::{Payload, Trace};
use client::{Error, Exit};
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_lite::AsyncWrite;
use mimic::BoxFlow;
use proto::git::object::Kind;
use proto::git::push::Command;
use proto::git::store::Store;
use proto::git::{Format, ObjectId};
use std::io;
use std::sync::{Arc, Mutex};
use world::{Repository, Tamper, World, said};

/// The daemon's answers as they are.
fn honest() -> Tamper {
    Arc::new(|_, answer| Some(answer))
}

/// An output that is kept.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl AsyncWrite for Captured {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Does what `--git` would; gives what is printed.
fn printed(world: &mut World, options: &Options) -> Result<Vec<u8>, Error> {
    let flow = world.flow(Service::UploadPack)?;
    let captured = Captured::default();
    let mut output: Output = Box::new(captured.clone());
    let context = world.context.clone();
    let run = async {
        let repository = git::Repository::over(flow, context).await?;
        command::run(repository, options, &mut output, None).await
    };
    world.network.run(run).unwrap()?;
    let octets = captured.0.lock().unwrap().clone();
    Ok(octets)
}

fn does(action: Action) -> Options {
    Options { action: Some(action), ..Options::default() }
}

/// Fetches; gives the store, and what the server said meanwhile.
fn fetched(world: &mut World, want: &Want) -> Result<(Store, Vec<String>), Error> {
    let flow = world.flow(Service::UploadPack)?;
    let context = world.context.clone();
    let work = async {
        let mut remote = Remote::greet(flow, context).await?;
        let mut store = Store::new(remote.format());
        let mut lines = Vec::new();
        let mut each = |line: &str| lines.push(line.to_owned());
        remote.fetch(want, &mut store, Some(&mut each)).await?;
        remote.close().await;
        Ok((store, lines))
    };
    world.network.run(work).unwrap()
}

fn ids(store: &Store) -> Vec<String> {
    let mut ids: Vec<_> = store.ids().map(|id| id.to_string()).collect();
    ids.sort();
    ids
}

const FORMATS: [&[&str]; 2] = [&[], &["--object-format=sha256"]];

#[test]
fn references_are_printed_as_git_prints_them() {
    for format in FORMATS {
        let repository = Repository::filled(format);
        let expected = repository.git(&["ls-remote", "."]);
        for protocol in 0..3 {
            let mut world = World::new(&repository, protocol, honest());
            assert_eq!(printed(&mut world, &does(Action::LsRemote)).unwrap(), expected);
            let one = Options { reference: Some("v1".into()), ..does(Action::LsRemote) };
            let text = String::from_utf8(printed(&mut world, &one).unwrap()).unwrap();
            assert!(text.contains("refs/tags/v1^{}\n") && text.lines().count() == 2, "{text}");
        }
    }
}

#[test]
fn every_object_is_fetched() {
    for format in FORMATS {
        let repository = Repository::filled(format);
        for protocol in 0..3 {
            let mut world = World::new(&repository, protocol, honest());
            let (store, lines) = fetched(&mut world, &Want::default()).unwrap();
            assert_eq!(ids(&store), repository.objects(&["--all"]), "protocol {protocol}");
            assert!(lines.iter().any(|line| line.starts_with("Total ")), "{lines:?}");
            let want = Want { reference: Some("v1".into()), depth: None };
            let (store, _) = fetched(&mut world, &want).unwrap();
            assert_eq!(ids(&store), repository.objects(&["v1"]), "protocol {protocol}");
            let want = Want { depth: Some(2), ..Want::default() };
            let (store, _) = fetched(&mut world, &want).unwrap();
            assert_eq!(store.shallow().len(), 1);
            let head = ObjectId::from_hex(repository.text(&["rev-parse", "HEAD^"]).as_bytes());
            assert!(store.shallow().contains(&head.unwrap()) && store.contains(&head.unwrap()));
        }
    }
}

/// A flow whose octets somebody else counts.
struct Counted(BoxFlow);

impl Transport for Counted {
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Step<'a, ()> {
        Transport::send(&mut self.0, octets)
    }

    fn receive<'a>(&'a mut self, buf: &'a mut [u8]) -> Step<'a, usize> {
        Transport::receive(&mut self.0, buf)
    }

    fn close(&mut self) -> Step<'_, ()> {
        Transport::close(&mut self.0)
    }

    fn counts(&self) -> bool {
        true
    }
}

#[test]
fn octets_are_counted_once_and_the_pack_is_the_payload() {
    let repository = Repository::filled(&[]);
    let mut world = World::new(&repository, 2, honest());
    let watched = Arc::new(Mutex::new(0));
    let of_watch = watched.clone();
    let watch = move |_, payload: Payload| *of_watch.lock().unwrap() = payload.octets;
    world.context.trace.watch(Box::new(watch));
    printed(&mut world, &does(Action::LsRemote)).unwrap();
    assert_eq!(*watched.lock().unwrap(), 0, "references are no payload");
    let before = world.context.trace.traffic();
    assert!(before.sent > 0 && before.received > 0);
    printed(&mut world, &does(Action::Clone)).unwrap();
    let counted = world.context.trace.traffic().received - before.received;
    let payload = *watched.lock().unwrap();
    assert!((1000..counted).contains(&payload), "{payload} of {counted}");

    world.context.trace = Trace::default();
    let flow = Counted(world.flow(Service::UploadPack).unwrap());
    let mut output: Output = Box::<Captured>::default();
    let options = does(Action::Clone);
    let context = world.context.clone();
    let run = async {
        let repository = git::Repository::over(flow, context).await?;
        command::run(repository, &options, &mut output, None).await
    };
    world.network.run(run).unwrap().unwrap();
    let traffic = world.context.trace.traffic();
    assert_eq!((traffic.sent, traffic.received), (0, 0));
}

#[test]
fn a_second_fetch_brings_what_is_new() {
    for protocol in 0..3 {
        let repository = Repository::filled(&[]);
        let mut world = World::new(&repository, protocol, honest());
        let (mut store, _) = fetched(&mut world, &Want::default()).unwrap();
        let before = store.len();
        let fetch = |world: &mut World, store: &mut Store| {
            let flow = world.flow(Service::UploadPack).unwrap();
            let context = world.context.clone();
            let work = async {
                let mut remote = Remote::greet(flow, context).await?;
                remote.fetch(&Want::default(), store, None).await?;
                remote.close().await;
                Ok::<_, Error>(())
            };
            world.network.run(work).unwrap().unwrap();
        };
        fetch(&mut world, &mut store);
        assert_eq!(store.len(), before, "nothing new");
        repository.write("new", "new\n");
        repository.git(&["add", "new"]);
        repository.git(&["commit", "-q", "-m", "new"]);
        fetch(&mut world, &mut store);
        assert_eq!((store.len(), ids(&store)), (before + 3, repository.objects(&["--all"])));
    }
}

#[test]
fn an_empty_repository_has_nothing() {
    for protocol in 0..3 {
        let repository = Repository::new(&[]);
        let mut world = World::new(&repository, protocol, honest());
        assert_eq!(printed(&mut world, &does(Action::LsRemote)).unwrap(), b"");
        let text = printed(&mut world, &does(Action::Clone)).unwrap();
        assert!(text.starts_with(b"objects 0\ncommits 0\n"));
        let error = printed(&mut world, &does(Action::Archive)).unwrap_err();
        assert_eq!(error.exit(), Exit::Name, "{error}");
    }
}

#[test]
fn archives_are_those_of_git_to_the_octet() {
    for format in FORMATS {
        let repository = Repository::filled(format);
        let mut world = World::new(&repository, 2, honest());
        let long = format!("{}/{}", "l".repeat(80), "m".repeat(90));
        for (reference, path) in [
            (None, None),
            (Some("v1"), None),
            (Some("light"), Some("dir")),
            (None, Some("dir/deep/file")),
            (None, Some("module")),
            (None, Some(long.as_str())),
        ] {
            let options = Options {
                reference: reference.map(Into::into),
                path: path.map(Into::into),
                ..does(Action::Archive)
            };
            let expected = [&["archive", reference.unwrap_or("HEAD")], path.as_slice()].concat();
            let octets = printed(&mut world, &options).unwrap();
            assert!(octets == repository.git(&expected), "{expected:?}");
        }
    }
}

#[test]
fn a_time_that_no_header_holds_is_written_as_git_writes_it() {
    let repository = Repository::new(&[]);
    repository.write("file", "content\n");
    repository.git(&["add", "file"]);
    // behind 8¹¹ seconds, and the last second before
    for date in ["99999999999", "8589934592", "8589934591"] {
        repository.git_at(date, &["commit", "-q", "--allow-empty", "-m", date]);
        let mut world = World::new(&repository, 2, honest());
        let expected = repository.git(&["archive", "HEAD"]);
        assert!(String::from_utf8_lossy(&expected).contains("pax_global_header"));
        assert!(printed(&mut world, &does(Action::Archive)).unwrap() == expected, "{date}");
    }
}

/// A repository whose tree has these entries: mode, name, and the content of a file, a link or a tree's one file.
fn with_entries(entries: &[(&str, &str)]) -> Repository {
    let repository = Repository::new(&[]);
    let object = |kind: &str, content: &[u8]| {
        let arguments = ["hash-object", "-w", "--literally", "-t", kind, "--stdin"];
        let id = repository.git_with(&arguments, "", content);
        ObjectId::from_hex(id.trim_ascii()).unwrap()
    };
    let blob = object("blob", b"/tmp");
    let inner = object("tree", &[b"100644 x\0", blob.octets()].concat());
    let mut tree = Vec::new();
    for (mode, name) in entries {
        let id = if *mode == "40000" { inner } else { blob };
        tree.extend([mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.octets()].concat());
    }
    let tree = object("tree", &tree).to_string();
    let commit = repository.text(&["commit-tree", "-m", "x", &tree]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
    repository
}

#[test]
fn a_tree_that_leads_elsewhere_makes_no_archive() {
    let right = with_entries(&[("120000", "a"), ("40000", "b")]);
    let mut world = World::new(&right, 2, honest());
    let expected = right.git(&["archive", "HEAD"]);
    assert!(printed(&mut world, &does(Action::Archive)).unwrap() == expected);
    for entries in [
        // what lies in the directory would go where the link leads
        &[("120000", "a"), ("40000", "a")][..],
        &[("120000", "a"), ("100644", "a.b"), ("40000", "a")],
        &[("100644", "b"), ("100644", "a")],
        &[("40000", "..")],
        &[("40000", ".GIT")],
        &[("40000", "git~1")],
        &[("40000", ".g\u{200c}it")],
    ] {
        let wrong = with_entries(entries);
        let mut world = World::new(&wrong, 2, honest());
        for action in [Action::Archive, Action::Clone] {
            let (exit, text) = said(&printed(&mut world, &does(action)).unwrap_err());
            assert_eq!(exit, Exit::Malformed, "{entries:?}: {text}");
        }
    }
}

#[test]
fn a_head_that_leads_nowhere_is_not_an_empty_repository() {
    let repository = Repository::filled(&[]);
    repository.git(&["symbolic-ref", "HEAD", "refs/heads/none"]);
    for protocol in 0..3 {
        let mut world = World::new(&repository, protocol, honest());
        let (exit, text) = said(&printed(&mut world, &does(Action::Archive)).unwrap_err());
        assert!(exit == Exit::Name && text.contains("HEAD leads nowhere"), "{text}");
        assert!(protocol < 2 || text.contains("to `refs/heads/none`"), "{text}");
        let text = String::from_utf8(printed(&mut world, &does(Action::Clone)).unwrap()).unwrap();
        assert!(text.contains("\trefs/heads/main\n") && !text.contains("\ntip "), "{text}");
        let main = Options { reference: Some("main".into()), ..does(Action::Archive) };
        assert!(printed(&mut world, &main).unwrap() == repository.git(&["archive", "main"]));
    }
}

#[test]
fn a_tag_may_name_a_files_content() {
    let repository = Repository::filled(&[]);
    repository.git(&["tag", "-a", "-m", "x", "content", "HEAD:run"]);
    let mut world = World::new(&repository, 2, honest());
    let of = |action| Options { reference: Some("content".into()), ..does(action) };
    let text = String::from_utf8(printed(&mut world, &of(Action::Clone)).unwrap()).unwrap();
    assert!(text.contains("objects 2\n") && !text.contains("\ntree "), "{text}");
    let (exit, text) = said(&printed(&mut world, &of(Action::Archive)).unwrap_err());
    assert!(exit == Exit::Name && text.ends_with("is a file's content: it has no tree"), "{text}");
}

#[test]
fn a_part_of_a_history_is_cloned() {
    let whole = Repository::filled(&[]);
    let at = format!("file://{}", whole.directory.display());
    let part = Repository::new(&[]);
    part.git(&["fetch", "-q", "--depth=2", &at, "main"]);
    part.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    let boundary = ObjectId::from_hex(part.text(&["rev-parse", "HEAD^"]).as_bytes()).unwrap();
    for protocol in 0..3 {
        let mut world = World::new(&part, protocol, honest());
        let (store, _) = fetched(&mut world, &Want::default()).unwrap();
        assert_eq!(ids(&store), part.objects(&["--all"]), "protocol {protocol}");
        assert_eq!(store.shallow(), [boundary], "protocol {protocol}");
    }
}

#[test]
fn files_are_printed() {
    let repository = Repository::filled(&[]);
    let mut world = World::new(&repository, 2, honest());
    let cat = |path: &str| Options { path: Some(path.into()), ..does(Action::Cat) };
    for path in ["dir/deep/file", "run", "dir/link"] {
        let expected = repository.git(&["cat-file", "blob", &format!("HEAD:{path}")]);
        assert_eq!(printed(&mut world, &cat(path)).unwrap(), expected);
    }
    for (path, says) in
        [("none", "has no `none`"), ("dir", "is a directory"), ("module", "is a submodule")]
    {
        let error = printed(&mut world, &cat(path)).unwrap_err();
        assert!(error.exit() == Exit::Name && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn an_object_can_be_asked_for_by_its_name() {
    let repository = Repository::filled(&[]);
    let mut world = World::new(&repository, 2, honest());
    let commit = repository.text(&["rev-parse", "HEAD~1"]);
    let options = Options { reference: Some(commit.clone()), ..does(Action::Archive) };
    let octets = printed(&mut world, &options).unwrap();
    assert!(octets == repository.git(&["archive", &commit]));
}

#[test]
fn references_are_made_moved_and_deleted() {
    let repository = Repository::filled(&[]);
    repository.git(&["config", "receive.denyDeletes", "false"]);
    let mut world = World::new(&repository, 2, honest());
    let (mut store, _) = fetched(&mut world, &Want::default()).unwrap();
    let id = |name: &str| ObjectId::from_hex(repository.text(&["rev-parse", name]).as_bytes());
    let blob = store.add(Kind::Blob, b"pushed\n".to_vec()).unwrap();
    let entry = [b"100644 file\0", blob.octets()].concat();
    let tree = store.add(Kind::Tree, entry).unwrap();
    let person = "A <a@example.org> 1700000009 +0000";
    let parent = id("HEAD").unwrap();
    let text =
        format!("tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n\npushed\n");
    let commit = store.add(Kind::Commit, text.into_bytes()).unwrap();
    let mut push = |name: &str, old, new| {
        let flow = world.flow(Service::ReceivePack).unwrap();
        let command = Command { name: name.into(), old, new };
        let context = world.context.clone();
        let work = async {
            let mut remote = Remote::greet(flow, context).await?;
            assert_eq!(remote.format(), Format::Sha1);
            let statuses = remote.push(&[command], &store).await?;
            remote.close().await;
            Ok::<_, Error>(statuses)
        };
        world.network.run(work).unwrap().unwrap().remove(0)
    };
    let made = push("refs/heads/new", None, Some(commit));
    assert_eq!((made.name.as_str(), made.outcome), ("refs/heads/new", Ok(())));
    assert_eq!(repository.git(&["show", "new:file"]), b"pushed\n");
    assert_eq!(push("refs/heads/new", Some(commit), Some(parent)).outcome, Ok(()), "moved");
    assert_eq!(id("new"), Some(parent));
    let stale = push("refs/heads/new", Some(commit), Some(commit));
    assert!(stale.outcome.is_err(), "it has moved since");
    assert_eq!(push("refs/heads/new", Some(parent), None).outcome, Ok(()), "deleted");
    assert_eq!(id("refs/heads/new"), None);
}

#[test]
fn what_is_not_there_is_named() {
    let repository = Repository::filled(&[]);
    let mut world = World::new(&repository, 2, honest());
    let options = Options { reference: Some("nope".into()), ..does(Action::Clone) };
    let (exit, text) = said(&printed(&mut world, &options).unwrap_err());
    assert_eq!(exit, Exit::Name);
    assert_eq!(text, "exchange git://10.0.0.2/r: the repository has no reference `nope`");
}
