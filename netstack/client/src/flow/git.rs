//! `git://` as a flow: TCP, and the line that asks a git daemon for a repository. What follows is the smart protocol.
//!
//! Every flow that speaks it begins so, whichever way it goes: the server's first words can be read at once, and
//! [`crate::git`] never learns which flow it has. The keys that say what is asked for are here; where commands can be run
//! (`ssh`), the command that serves the repository is derived from them.

use crate::error::Error;
use crate::features;
use crate::flow::lower::{Lower, through};
#[cfg(feature = "ssh")]
use crate::flow::ssh::Exec;
use crate::flow::tcp;
use crate::flows::Flows;
use crate::options;
use core::fmt;
use mimic::{BoxFlow, Ctx, Handle, Key, Registry, opt, req};
pub use proto::git::advertisement::Service;
use proto::git::advertisement::daemon_request;
#[cfg(feature = "ssh")]
use proto::git::advertisement::{shell_command, version_parameter};
use proto::target::{Host, Scheme, Target};
use std::sync::Arc;

/// What the `git` protocol connects to.
pub struct Endpoint {
    /// Opens the flow to the daemon.
    pub lower: Lower,
    /// The daemon's host and, where it is not the usual one, port.
    pub authority: String,
    /// The repository at the daemon.
    pub path: String,
    /// What is done there.
    pub service: Service,
}

/// The protocol `git`.
pub struct Git;

impl mimic::Protocol for Git {
    type Endpoint = Endpoint;
    type Flow = BoxFlow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<BoxFlow, Error> {
        let mut flow = (endpoint.lower)().await?;
        let request = daemon_request(endpoint.service, &endpoint.path, &endpoint.authority);
        let sent = flow.write_all(&request).await;
        let stage = crate::Stage::Handshake;
        sent.map_err(|error| Error {
            stage,
            target: endpoint.authority.clone(),
            cause: crate::Cause::of(&error),
        })?;
        Ok(flow)
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", endpoint.authority, endpoint.path)
    }
}

/// What serves the repository over SSH. Servers that take the variable from nobody answer in protocol 0.
#[cfg(feature = "ssh")]
fn command(service: Service, path: &str) -> Exec {
    let version = version_parameter(service).map(|it| ("GIT_PROTOCOL".to_owned(), it.to_owned()));
    Exec {
        command: shell_command(service, path).into_bytes(),
        environment: version.into_iter().collect(),
    }
}

/// Host and, where it is not the daemon's own, port.
fn authority(host: &Host, port: u16) -> String {
    match Some(port) == Scheme::Git.default_port() {
        true => host.to_string(),
        false => format!("{host}:{port}"),
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// The repository's place at its host; with it every flow to the smart protocol is derived.
    pub path: Key<String>,
    /// What is done there.
    pub service: Key<Service>,
    /// Turns flows into this protocol's own.
    pub handle: Handle<Git>,
}

impl Entry {
    /// `ctx` with the repository that `target` names, to be asked for by any flow that can.
    #[must_use]
    pub fn ask(&self, ctx: Ctx, target: &Target, service: Service) -> Ctx {
        let ctx = ctx.replace(&self.service, service);
        match target.repository() {
            Some(path) => ctx.replace(&self.path, path),
            // another's path is none of this one's
            None => ctx.remove(&self.path),
        }
    }
}

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self {
            path: Key::shown("git-path"),
            service: Key::new("git-service"),
            handle: registry.register("git", None, Git),
        }
    }

    /// Where a repository is asked for, it is the target's own from now on.
    fn aim(&self, ctx: Ctx, target: &Target, _: options::Flows<'_>) -> Ctx {
        match ctx.get(&self.service) {
            Some(service) => self.ask(ctx, target, *service),
            None => ctx,
        }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        let place = (req(&flows.scheme), req(&flows.dialer), req(&flows.host), req(&flows.port));
        let repository = || (req(&self.path), req(&self.service));
        let handle = flows.tcp.handle.clone();
        #[cfg(feature = "ssh")]
        let ctx = &ctx.fold(&flows.ssh.exec, repository(), |(path, service)| async move {
            Some(command(*service, &path))
        });
        ctx.fold(
            self.handle.endpoint(),
            (place, repository(), opt(&flows.tunnel)),
            move |((scheme, dialer, host, port), (path, service), tunnel)| {
                let ours = *scheme == Scheme::Git && features::serves(&scheme);
                let tcp = tcp::Endpoint::new(&dialer, &host, *port);
                let endpoint = ours.then(|| Endpoint {
                    lower: through(tunnel, handle.clone(), tcp),
                    authority: authority(&host, *port),
                    path: (*path).clone(),
                    service: *service,
                });
                async move { endpoint }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_target_has_a_repository_of_its_own() {
        let flows = Flows::register(&mut Registry::new());
        let (ssh, tls) = Default::default();
        let options = options::Flows { ssh: &ssh, tls: &tls };
        let target = |text: &str| text.parse::<Target>().unwrap();
        let path = |ctx: &Ctx| ctx.get(&flows.git.path).map(|path| (*path).clone());
        let one = target("git://h/one");
        let ctx = flows.aim(&flows.derive(&Ctx::new()), &one, options);
        assert_eq!(path(&ctx), None, "nobody asked");
        let ctx = flows.ask_repository(ctx, &one);
        assert_eq!(path(&ctx).as_deref(), Some("/one"));
        let ctx = flows.aim(&ctx, &target("git://h/two"), options);
        assert_eq!(path(&ctx).as_deref(), Some("/two"));
        let ctx = flows.aim(&ctx, &target("git://h/"), options);
        assert_eq!(path(&ctx), None, "the other's path is none of this one's");
        let ctx = flows.git.ask(ctx, &target("git://h/three"), Service::ReceivePack);
        let service = ctx.get(&flows.git.service).map(|service| *service);
        assert_eq!((path(&ctx).as_deref(), service), (Some("/three"), Some(Service::ReceivePack)));
    }
}
