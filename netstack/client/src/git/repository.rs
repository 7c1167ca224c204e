//! A repository at a server, whichever way leads there: connect, ask, fetch, read, push.

use super::packets::{Context, Transport};
use super::remote::{Fetched, Progress, Remote, Want};
use crate::error::{Cause, Error};
use crate::flow::git::Service;
use crate::options::Http as HttpOptions;
use core::pin::Pin;
use mimic::BoxFlow;
use proto::git::advertisement::Version;
use proto::git::object::{Kind, Mode, TreeEntry};
use proto::git::push::{Command, Status};
use proto::git::refs::Ref;
use proto::git::store::{Store, Tip};
use proto::git::{Format, ObjectId, object};
use proto::target::Target;

/// A flow on its way; it need not move between threads.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<BoxFlow, Error>> + 'a>>;

/// Opens flows to repositories: by the registry, so that the target's values decide which.
pub trait Connector {
    /// A new flow to `service` of the repository that `target` names. Where web servers have it, [`Self::web`] is asked.
    fn open<'a>(&'a self, target: &'a Target, service: Service) -> Opening<'a>;

    /// Opens connections for requests.
    #[cfg(feature = "http")]
    fn web(&self) -> &dyn crate::http::Connector;
}

/// A repository, and what was fetched of it.
///
/// Everything is held in memory, within the limits of the [`Context`]. A connection that the server has ended, as old
/// protocols do behind each answer, is made anew when it is needed.
pub struct Repository<'c> {
    place: Option<Place<'c>>,
    remote: Option<Remote<'c>>,
    context: Context,
    store: Store,
}

/// Where it is, and how connections to it are made.
struct Place<'c> {
    connector: &'c dyn Connector,
    target: &'c Target,
    http: HttpOptions,
}

/// Connects to the repository that `target` names. `http` is what requests say, should it lie behind a web server.
///
/// # Errors
/// No flow; the server refuses, speaks something else, or does not go on.
pub async fn connect<'c>(
    connector: &'c dyn Connector,
    target: &'c Target,
    http: &HttpOptions,
    context: Context,
) -> Result<Repository<'c>, Error> {
    let place = Place { connector, target, http: http.clone() };
    let remote = place.greet(Service::UploadPack, &context).await?;
    let store = Store::new(remote.format());
    Ok(Repository { place: Some(place), remote: Some(remote), context, store })
}

impl<'c> Place<'c> {
    async fn greet(&self, service: Service, context: &Context) -> Result<Remote<'c>, Error> {
        #[cfg(feature = "http")]
        if self.target.scheme.is_web() {
            let client =
                crate::http::Client::new(&context.net, self.connector.web(), &context.trace)
                    .with_idle_limit(context.idle)
                    .with_version(self.http.version);
            let http = super::Http::open(client, self.target, &self.http, service, context).await?;
            return Remote::greet(http, context.clone()).await;
        }
        #[cfg(not(feature = "http"))]
        let _ = &self.http;
        Remote::greet(self.connector.open(self.target, service).await?, context.clone()).await
    }
}

impl<'c> Repository<'c> {
    /// One over a transport that is there, and cannot be made anew.
    ///
    /// # Errors
    /// Those of [`Remote::greet`].
    pub async fn over(transport: impl Transport + 'c, context: Context) -> Result<Self, Error> {
        let remote = Remote::greet(transport, context.clone()).await?;
        let store = Store::new(remote.format());
        Ok(Self { place: None, remote: Some(remote), context, store })
    }

    /// The hash that it names its objects by.
    pub fn format(&self) -> Format {
        self.store.format()
    }

    /// What its exchanges need, and their limits.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What was fetched.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The same, to add what is to be pushed.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// References, sorted by name: those whose names begin with one of `prefixes`, all where there are none.
    ///
    /// # Errors
    /// Those of [`Remote::ls_refs`], and of a connection.
    pub async fn ls_refs(&mut self, prefixes: &[String]) -> Result<Vec<Ref>, Error> {
        self.remote().await?.ls_refs(prefixes).await
    }

    /// Whether the server can send a part of the history.
    ///
    /// # Errors
    /// Those of a connection.
    pub async fn can_cut(&mut self) -> Result<bool, Error> {
        Ok(self.remote().await?.advertisement().can_cut())
    }

    /// Fetches what is wanted and not there yet, with everything that it leads to.
    ///
    /// # Errors
    /// Those of [`Remote::fetch`], and of a connection; what was fetched before is as it was.
    pub async fn fetch(&mut self, want: &Want, progress: Progress<'_>) -> Result<Fetched, Error> {
        self.remote().await?;
        let remote = self.remote.as_mut().expect("it was connected above");
        let fetched = remote.fetch(want, &mut self.store, progress).await;
        // what failed in the middle of an answer says nothing more that makes sense
        if fetched.is_err() {
            self.remote = None;
        } else if remote.advertisement().version != Version::Two {
            self.hang_up().await;
        }
        fetched
    }

    /// What a name leads to: a commit and its tree.
    ///
    /// # Errors
    /// It was not fetched, makes no sense, or is a file's content ([`Cause::Name`]).
    pub fn tip(&self, id: &ObjectId) -> Result<Tip, Error> {
        let tip = self.store.tip(id).map_err(|error| self.context.wrong(&error))?;
        tip.ok_or_else(|| {
            let text = format!("{id} is a file's content: it has no tree");
            self.context.fail(Cause::Name(text))
        })
    }

    /// Calls `each` with the entries of a tree, in order.
    ///
    /// # Errors
    /// It was not fetched, or makes no sense.
    pub fn tree(&self, id: &ObjectId, mut each: impl FnMut(TreeEntry<'_>)) -> Result<(), Error> {
        let wrong = |error| self.context.wrong(&error);
        let content = self.store.read_as(Kind::Tree, id).map_err(wrong)?;
        for entry in object::tree(self.format(), &content) {
            each(entry.map_err(wrong)?);
        }
        Ok(())
    }

    /// A file's content.
    ///
    /// # Errors
    /// It was not fetched, or is no file's.
    pub fn blob(&self, id: &ObjectId) -> Result<Vec<u8>, Error> {
        self.store.read_as(Kind::Blob, id).map_err(|error| self.context.wrong(&error))
    }

    /// The entry at `path` below a tree; an empty path is the tree itself.
    ///
    /// # Errors
    /// There is none ([`Cause::Name`]); a tree on the way makes no sense.
    pub fn at_path(&self, tree: ObjectId, path: &str) -> Result<(Mode, ObjectId), Error> {
        let found = self.store.at_path(tree, path).map_err(|error| self.context.wrong(&error))?;
        found.ok_or_else(|| self.context.fail(Cause::Name(format!("the tree has no `{path}`"))))
    }

    /// The content of the file at `path` below a tree.
    ///
    /// # Errors
    /// There is none ([`Cause::Name`]); a tree on the way makes no sense.
    pub fn file(&self, tree: ObjectId, path: &str) -> Result<Vec<u8>, Error> {
        let (mode, id) = self.at_path(tree, path)?;
        let what = match mode {
            Mode::Tree => "a directory",
            Mode::Submodule => "a submodule",
            Mode::File | Mode::Executable | Mode::Link => return self.blob(&id),
        };
        let text = format!("`{path}` is {what}, not a file (--path names the file)");
        Err(self.context.fail(Cause::Name(text)))
    }

    /// Asks the server to change references; the objects that were added to the store are sent. What became of each
    /// reference is in the answer.
    ///
    /// # Errors
    /// Those of [`Remote::push`], and of a connection.
    pub async fn push(&mut self, commands: &[Command]) -> Result<Vec<Status>, Error> {
        let Some(place) = &self.place else {
            let text = "there is no way to a service that takes changes".to_owned();
            return Err(self.context.fail(Cause::Unable(text)));
        };
        let mut remote = place.greet(Service::ReceivePack, &self.context).await?;
        let statuses = remote.push(commands, &self.store).await;
        remote.close().await;
        // the references that it told of are old
        self.hang_up().await;
        statuses
    }

    /// Takes leave.
    pub async fn close(mut self) {
        self.hang_up().await;
    }

    /// Takes leave; the next question connects anew.
    pub async fn hang_up(&mut self) {
        if let Some(remote) = self.remote.take() {
            remote.close().await;
        }
    }

    async fn remote(&mut self) -> Result<&mut Remote<'c>, Error> {
        let remote = match (self.remote.take(), &self.place) {
            (Some(remote), _) => remote,
            (None, Some(place)) => place.greet(Service::UploadPack, &self.context).await?,
            (None, None) => {
                let text = "the exchange is over".to_owned();
                return Err(self.context.fail(Cause::Unable(text)));
            }
        };
        Ok(self.remote.insert(remote))
    }
}
