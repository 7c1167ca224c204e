//! SSH as a flow: a command's standard input and output, over any flow.
//!
//! ```text
//!   client above          standard input │ output │ error
//!   ───────────────  poll_write / poll_read / poll_receive  ───────────────
//!   Flow (ssh)            ssh::Connection: packets, keys, authentication, one channel
//!   ───────────────  poll_read / poll_write  ───────────────
//!   Flow below            whatever the endpoint's `lower` opens (tcp, TLS, …)
//! ```
//!
//! Without a word on the host key no server is believed: the error has the key's fingerprint and the argument that accepts it.

mod session;

use crate::deadline::within;
use crate::error::{Cause, Error, Stage, no_entropy};
use crate::features;
use crate::flow::lower::{self, Lower};
use crate::flows::Flows;
use crate::options;
use crate::primitives;
use crate::trace::{Step, Trace};
use ::ssh::algorithm::Algorithms;
use ::ssh::{Config, Connection, Credential, HostKey, KeyError, NoRandomness, Pin, PrivateKey};
pub use ::ssh::{Exec, Exit, Stream};
use core::fmt;
use core::time::Duration;
use mimic::{Ctx, Handle, Key, Registry, default, opt, req};
use proto::target::{Scheme, Target};
pub use session::{Flow, Received};
use stack::{Instant, Net};
use std::sync::Arc;

/// How servers are known and know us: checked against the machine, which has the instructions and the entropy.
#[derive(Clone)]
pub struct Settings {
    pins: Vec<Pin>,
    credentials: Vec<Credential>,
}

impl Settings {
    /// Checks the machine and the options. Nothing of SSH starts where this fails.
    pub fn new(options: &options::Ssh) -> Result<Self, Cause> {
        primitives::check("SSH")?;
        let pins =
            options.authenticators.iter().map(|text| pins(text)).collect::<Result<Vec<_>, _>>();
        let pins = pins?.concat();
        let mut credentials = Vec::new();
        let passphrase = options.passphrase.as_ref().map(|it| it.0.as_str());
        if let Some(key) = &options.key {
            let key = private_key(&key.0, passphrase).map_err(|error| {
                Cause::Argument(match error {
                    KeyError::Encrypted => format!("--ssh-key: {error} (--ssh-passphrase)"),
                    KeyError::Passphrase => format!("--ssh-passphrase: {error}"),
                    error => format!("--ssh-key: {error}"),
                })
            })?;
            credentials.push(Credential::Key(Arc::new(key)));
        }
        if let Some(password) = &options.password {
            credentials.push(Credential::Password(password.0.clone().into()));
        }
        Ok(Self { pins, credentials })
    }

    /// What is offered to a server, kinds of keys that are pinned before others.
    fn algorithms(&self) -> Algorithms {
        let mut algorithms = Algorithms::default();
        let is_pinned = |kind: &_| self.pins.iter().any(|pin| pin.names(*kind));
        let kinds = core::mem::take(&mut algorithms.host_keys).into_iter();
        let (pinned, mut others): (Vec<_>, Vec<_>) = kinds.partition(is_pinned);
        algorithms.host_keys = pinned;
        algorithms.host_keys.append(&mut others);
        algorithms
    }

    /// `kinds`: those that the server has.
    fn judge(&self, key: &HostKey, kinds: &[&str]) -> Result<(), Cause> {
        if self.pins.iter().any(|pin| pin.accepts(key)) {
            return Ok(());
        }
        if self.pins.is_empty() {
            let fingerprint = key.fingerprint();
            return Err(Cause::Refused(format!(
                "the host key is not known: the server has {key}; --ssh-authenticator={fingerprint} accepts it"
            )));
        }
        let mut said = format!(
            "the host key is none of those that --ssh-authenticator gives: the server has {key}; it was given a new one, or \
             somebody stands between"
        );
        // a bare fingerprint does not say which of several keys to ask for
        let is_bare = |pin: &Pin| matches!(pin, Pin::Fingerprint { kind: "", .. });
        let others: Vec<_> = kinds.iter().copied().filter(|kind| *kind != key.kind()).collect();
        if self.pins.iter().any(is_bare) && !others.is_empty() {
            let others = others.join(", ");
            said += &format!(
                "; a fingerprint of its other keys ({others}) needs its kind: ed25519:…, ecdsa:… or rsa:… in place of SHA256:…"
            );
        }
        Err(Cause::Refused(said))
    }
}

/// The pins of a text, one a line; lines without one, as files of known hosts have them, mean nothing.
fn pins(text: &str) -> Result<Vec<Pin>, Cause> {
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut lines: Vec<_> = text.lines().map(str::trim).filter(is_said).collect();
    if lines.is_empty() {
        lines.push("");
    }
    let pin = |line: &str| {
        line.parse()
            .map_err(|error| Cause::Argument(format!("--ssh-authenticator={line}: {error}")))
    };
    lines.into_iter().map(pin).collect()
}

/// A key as `--ssh-key` takes it.
fn private_key(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    let octets =
        |base64: &str| proto::authenticator::octets(base64.trim()).map_err(|_| KeyError::Malformed);
    match text.split_once(':') {
        Some(("ed25519", base64)) => PrivateKey::from_ed25519(&octets(base64)?),
        Some(("rsa", base64)) => PrivateKey::from_rsa_der(&octets(base64)?),
        _ => PrivateKey::from_openssh(text, passphrase),
    }
}

/// What the `ssh` protocol connects to.
pub struct Endpoint {
    /// The clock.
    pub net: Arc<dyn Net>,
    /// Opens the flow below.
    pub lower: Lower,
    /// The checked settings, or why SSH cannot start here.
    pub settings: Result<Settings, Cause>,
    /// Who to be there.
    pub user: String,
    /// The server's name, for messages.
    pub host: String,
    /// What to run.
    pub exec: Option<Exec>,
    /// For all from the first octet to the running command.
    pub limit: Duration,
    /// Where the steps are noted.
    pub trace: Trace,
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// The settings checked against the machine, or why SSH cannot start here.
    pub settings: Key<Result<Settings, Cause>>,
    /// Who to be at the server; by default `root`.
    pub user: Key<String>,
    /// The command to run.
    pub exec: Key<Exec>,
    /// Opens the flow that SSH runs over; by default TCP to host and port.
    pub lower: Key<Lower>,
    /// Turns flows into this protocol's own.
    pub handle: Handle<Ssh>,
}

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const USER: &str = "root";
/// Before TCP, so that where both can be derived the encrypted one is taken.
const PRIORITY: u32 = 10;

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self {
            settings: Key::new("ssh-settings"),
            user: Key::shown("ssh-user"),
            exec: Key::new("ssh-exec"),
            lower: Key::new("ssh-lower"),
            handle: registry.register("ssh", PRIORITY, Ssh),
        }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        lower::derive(ctx, &self.lower, flows).fold(
            self.handle.endpoint(),
            (
                (req(&flows.scheme), req(&flows.dialer), req(&flows.host)),
                req(&self.lower),
                req(&self.settings),
                default(&self.user, USER.to_string()),
                opt(&self.exec),
                default(&flows.handshake_limit, HANDSHAKE_LIMIT),
            ),
            |((scheme, dialer, host), lower, settings, user, exec, limit)| async move {
                is_ours(&scheme).then(|| Endpoint {
                    net: dialer.net.clone(),
                    lower: (*lower).clone(),
                    settings: (*settings).clone(),
                    user: (*user).clone(),
                    host: host.to_string(),
                    exec: exec.map(|exec| (*exec).clone()),
                    limit: *limit,
                    trace: dialer.trace.clone(),
                })
            },
        )
    }

    fn aim(&self, mut ctx: Ctx, target: &Target, options: options::Flows<'_>) -> Ctx {
        if !is_ours(&target.scheme) {
            return ctx;
        }
        let mut said = options.ssh.clone();
        said.password = said.password.or_else(|| target.password.clone().map(options::Secret));
        ctx = ctx.add(&self.settings, Settings::new(&said));
        // who one is at a host is nothing to another
        ctx = match &target.user {
            Some(user) => ctx.replace(&self.user, user.clone()),
            None => ctx.remove(&self.user),
        };
        match said.exec {
            Some(command) => {
                ctx.add(&self.exec, Exec { command: command.into_bytes(), ..Exec::default() })
            }
            None => ctx,
        }
    }
}

fn is_ours(scheme: &Scheme) -> bool {
    matches!(scheme, Scheme::Scp | Scheme::Ssh) && features::serves(scheme)
}

/// The protocol `ssh`.
pub struct Ssh;

impl mimic::Protocol for Ssh {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let name = format!("{}@{}", endpoint.user, endpoint.host);
        let fail = |cause| Error { stage: Stage::Handshake, target: name.clone(), cause };
        let settings = endpoint.settings.clone().map_err(fail)?;
        let exec = endpoint.exec.clone();
        let exec = exec.ok_or_else(|| {
            fail(Cause::Argument(
                "what is to run there? --exec=COMMAND, or --git for a repository".into(),
            ))
        })?;
        let config = Config {
            user: endpoint.user.clone(),
            credentials: settings.credentials.clone(),
            algorithms: settings.algorithms(),
            ..Config::default()
        };
        let random = |octets: &mut [u8]| getrandom::fill(octets).map_err(|_| NoRandomness);
        let lower = (endpoint.lower)().await?;
        let start = endpoint.net.now();
        let connection = Connection::new(config, Box::new(random), start - Instant::ZERO)
            .map_err(|error| fail(cause(error)))?;
        let net = endpoint.net.clone();
        let judge = |key: &HostKey, kinds: &[&str]| settings.judge(key, kinds);
        let trace = endpoint.trace.clone();
        let flow = session::start(net, lower, connection, &name, exec, judge, trace);
        let outcome = match within(&*endpoint.net, endpoint.limit, flow).await {
            Some(outcome) => outcome.map_err(fail),
            None => Err(fail(Cause::Limit { limit: "handshake-timeout", after: endpoint.limit })),
        };
        endpoint.trace.push(Step {
            kind: "ssh",
            subject: name.clone(),
            start,
            end: endpoint.net.now(),
            outcome: match &outcome {
                Ok(flow) => Ok(flow.agreed().into()),
                Err(error) => Err(error.cause.to_string()),
            },
        });
        outcome
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", endpoint.user, endpoint.host)
    }
}

/// An error of the connection in our words.
fn cause(error: ::ssh::Error) -> Cause {
    use ::ssh::Error as Ssh;
    match error {
        Ssh::CutShort => Cause::CutShort(error.to_string()),
        Ssh::NoRandomness => Cause::Unable(no_entropy()),
        Ssh::Silent { .. } => Cause::Net(stack::Error::TimedOut),
        Ssh::Dismissed { .. }
        | Ssh::HostKeyChanged
        | Ssh::HostKeyRefused
        | Ssh::HostKeyUnusable
        | Ssh::NotAuthenticated { .. }
        | Ssh::Signature => Cause::Refused(error.to_string()),
        error => Cause::Protocol(format!("SSH: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn every_line_of_a_text_is_a_pin() {
        let file = format!("# a file\n\nhost {KEY} me@here\r\n  none\n");
        assert_eq!(pins(&file).unwrap().len(), 2);
        assert_eq!(pins(&file).unwrap()[1], Pin::Any);
        for wrong in ["", "# nothing", "none\n@revoked host", "none\nSHA256:AAAA"] {
            let Err(Cause::Argument(said)) = pins(wrong) else { panic!("{wrong:?} is a pin") };
            assert!(said.starts_with("--ssh-authenticator="), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        let revoked = format!("host {KEY}\n@revoked host {KEY}");
        assert!(pins(&revoked).is_err());
    }
}
