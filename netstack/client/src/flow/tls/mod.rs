//! TLS 1.2 and 1.3 over any flow: rustls with graviola's primitives.
//!
//! ```text
//!   client above          plaintext
//!   ───────────────  poll_read / poll_write  ───────────────
//!   Flow (tls)            rustls: records, handshake, alerts
//!   ───────────────  poll_read / poll_write  ───────────────
//!   Flow below            whatever the endpoint's `lower` opens (tcp, a proxy, TLS again)
//! ```
//!
//! Verification is on unless an authenticator says `none`. An end of the lower flow without `close_notify` is an
//! error of kind [`std::io::ErrorKind::UnexpectedEof`], never an end of file (RFC 8446 §6.1).

mod verify;

use crate::deadline::within;
use crate::error::{self, Cause, Error, Stage};
use crate::features;
use crate::flow::lower;
pub use crate::flow::lower::Lower;
use crate::flows::Flows;
use crate::options;
pub use crate::options::Tls as Options;
use crate::primitives;
use crate::trace::{Step, Trace};
use core::fmt;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::ServerName;
use mimic::flow::FromIo;
use mimic::{BoxFlow, Ctx, Handle, Key, Registry, Shutdown, default, opt, req};
use proto::target::{Host, Scheme, Target};
use rustls::{ClientConfig, HandshakeKind};
use spin::Mutex;
use stack::Net;
use std::io;
use std::sync::Arc;
pub use verify::{Refusal, Verifier};

/// A configuration checked against the machine: it has the instructions and the entropy that TLS needs.
#[derive(Clone)]
pub struct Settings {
    config: Arc<ClientConfig>,
}

impl Settings {
    /// Checks the machine and the options. Nothing of TLS starts where this fails.
    pub fn new(options: &Options) -> Result<Self, Cause> {
        Self::checked(options, true)
    }

    /// As [`Self::new`], for a peer that is known by its address: a pinned key or certificate suffices, whatever name is
    /// in it; a chain must still be for the address.
    pub fn nameless(options: &Options) -> Result<Self, Cause> {
        Self::checked(options, false)
    }

    /// A handshake on a stream that is connected.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        TlsConnector::from(self.config).connect(name, stream).await
    }

    fn checked(options: &Options, pins_need_name: bool) -> Result<Self, Cause> {
        primitives::check("TLS")?;
        let provider = Arc::new(rustls_graviola::default_provider());
        let verifier =
            verify::Verifier::new(&options.authenticators, pins_need_name, provider.clone())
                .map_err(|text| Cause::Argument(format!("--tls-authenticator: {text}")))?;
        let versions: &[_] = match options.only_1_3 {
            true => &[&rustls::version::TLS13],
            false => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| Cause::Unable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &options.key {
            None => config.with_no_client_auth(),
            Some(key) => {
                let chain = options.certificates.iter().map(|it| it.clone().into()).collect();
                let unusable = |error: &dyn fmt::Display| {
                    Cause::Argument(format!("--client-key cannot be used: {error}"))
                };
                let key = key.der().to_vec().try_into().map_err(|error| unusable(&error))?;
                config.with_client_auth_cert(chain, key).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => Cause::Argument(
                        "--client-key is not the key of the first certificate of --client-cert"
                            .into(),
                    ),
                    rustls::Error::InvalidCertificate(_) => {
                        Cause::Argument("--client-cert: the first is no certificate".into())
                    }
                    error => unusable(&error),
                })?
            }
        };
        config.alpn_protocols = options.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Self { config: Arc::new(config) })
    }
}

/// What the `tls` protocol connects to.
pub struct Endpoint {
    /// The clock for the limit of time.
    pub net: Arc<dyn Net>,
    /// Opens the flow below.
    pub lower: Lower,
    /// The checked configuration, or why TLS cannot start here.
    pub settings: Result<Settings, Cause>,
    /// The name to ask for (SNI) and to check.
    pub name: String,
    /// For the handshake.
    pub limit: Duration,
    /// Where the steps are noted.
    pub trace: Trace,
}

/// The name that a host is checked by: without brackets and final dot.
pub fn name_of(host: &Host) -> String {
    match host {
        Host::Ip(address) => address.to_string(),
        Host::Name(name) => name.strip_suffix('.').unwrap_or(name).into(),
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// TLS checked against the machine, or why it cannot start here.
    pub settings: Key<Result<Settings, Cause>>,
    /// The name to ask for and to check; by default the host's.
    pub name: Key<String>,
    /// Opens the flow that TLS runs over; by default TCP to host and port.
    pub lower: Key<Lower>,
    /// Turns flows into this protocol's own.
    pub handle: Handle<Tls>,
    /// The settings made last, and of what: a run's connections share them, and so one resumes another's session
    /// (RFC 8446 §2.2).
    made: Arc<Mutex<Option<(options::Tls, Settings)>>>,
}

impl Entry {
    fn settings_of(&self, tls: &options::Tls) -> Result<Settings, Cause> {
        let mut made = self.made.lock();
        if let Some((options, settings)) = &*made
            && options == tls
        {
            return Ok(settings.clone());
        }
        let settings = Settings::new(tls)?;
        *made = Some((tls.clone(), settings.clone()));
        Ok(settings)
    }
}

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Before TCP, so that where both can be derived the encrypted one is taken.
const PRIORITY: u32 = 10;

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self {
            settings: Key::new("tls-settings"),
            name: Key::shown("tls-name"),
            lower: Key::new("lower"),
            handle: registry.register("tls", PRIORITY, Tls),
            made: Arc::default(),
        }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        lower::derive(ctx, &self.lower, flows).fold(
            self.handle.endpoint(),
            (
                req(&flows.scheme),
                req(&flows.dialer),
                req(&flows.host),
                req(&self.lower),
                req(&self.settings),
                opt(&self.name),
                default(&flows.handshake_limit, HANDSHAKE_LIMIT),
            ),
            |(scheme, dialer, host, lower, settings, name, limit)| async move {
                is_ours(&scheme).then(|| Endpoint {
                    net: dialer.net.clone(),
                    lower: (*lower).clone(),
                    settings: (*settings).clone(),
                    name: name.map_or_else(|| name_of(&host), |name| (*name).clone()),
                    limit: *limit,
                    trace: dialer.trace.clone(),
                })
            },
        )
    }

    fn aim(&self, mut ctx: Ctx, target: &Target, options: options::Flows<'_>) -> Ctx {
        let tls = options.tls;
        if is_ours(&target.scheme) {
            ctx = ctx.add(&self.settings, self.settings_of(tls));
        }
        match &tls.name {
            Some(name) => ctx.add(&self.name, name.clone()),
            // one that an earlier target had says nothing of this one
            None => ctx.remove(&self.name),
        }
    }
}

fn is_ours(scheme: &Scheme) -> bool {
    matches!(scheme, Scheme::Https | Scheme::Tls) && features::serves(scheme)
}

/// The protocol `tls`.
pub struct Tls;

impl mimic::Protocol for Tls {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let fail = |cause| Error { stage: Stage::Handshake, target: endpoint.name.clone(), cause };
        let settings = endpoint.settings.clone().map_err(fail)?;
        let name = ServerName::try_from(endpoint.name.clone()).map_err(|_| {
            fail(Cause::Unable("not a name that a certificate can hold (--tls-name)".into()))
        })?;
        let lower = (endpoint.lower)().await?;
        let start = endpoint.net.now();
        let handshake = settings.handshake(name, lower);
        let outcome = match within(&*endpoint.net, endpoint.limit, handshake).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(error)) => Err(fail(Cause::of(&error))),
            None => Err(fail(Cause::Limit { limit: "handshake-timeout", after: endpoint.limit })),
        };
        endpoint.trace.push(Step {
            kind: "tls",
            subject: endpoint.name.clone(),
            start,
            end: endpoint.net.now(),
            outcome: match &outcome {
                Ok(stream) => Ok(agreed(stream)),
                Err(error) => Err(error.cause.to_string()),
            },
        });
        outcome.map(|stream| Flow {
            description: format!("tls {}", endpoint.name),
            alpn: stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec),
            io: FromIo::new(stream, "tls"),
            failure: None,
        })
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&endpoint.name)
    }
}

/// Version, cipher suite, key exchange and application protocol, in words.
fn agreed(stream: &TlsStream<BoxFlow>) -> String {
    let (_, session) = stream.get_ref();
    let mut text = String::new();
    if let Some(version) = session.protocol_version() {
        text += &format!("{version:?}");
    }
    if let Some(suite) = session.negotiated_cipher_suite() {
        text += &format!(" {:?}", suite.suite());
    }
    if let Some(group) = session.negotiated_key_exchange_group() {
        text += &format!(" {:?}", group.name());
    }
    if let Some(protocol) = session.alpn_protocol() {
        text += &format!(" {}", String::from_utf8_lossy(protocol));
    }
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        text += " resumed";
    }
    text
}

/// An error that passed through rustls, in our words; `None` where TLS has no part in it.
pub fn cause(error: &(dyn core::error::Error + 'static)) -> Option<Cause> {
    use rustls::{AlertDescription, CertificateError, Error as Tls};
    Some(match error::find_as::<Tls>(error)? {
        // our own verifier says `Other` and has said why
        Tls::InvalidCertificate(CertificateError::Other(other)) => {
            Cause::Certificate(other.to_string())
        }
        Tls::InvalidCertificate(error) => {
            Cause::Certificate(format!("the certificate is refused: {error}"))
        }
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            let text = "the server wants to know who we are (--client-cert and --client-key)";
            Cause::Certificate(text.into())
        }
        // what OpenSSL before TLS 1.3 says to a client without a certificate, and for much else
        Tls::AlertReceived(AlertDescription::HandshakeFailure) => Cause::Protocol(
            "the server ended it with alert HandshakeFailure: it shares no way to encrypt or sign with us, or it wants a \
             certificate (--client-cert)"
                .into(),
        ),
        Tls::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate),
        ) => Cause::Certificate(format!("the server refuses us: alert {alert:?} (--client-cert)")),
        Tls::AlertReceived(alert) => {
            Cause::Protocol(format!("the server ended it with alert {alert:?}"))
        }
        error => Cause::Protocol(format!("TLS: {error}")),
    })
}

/// Octets after which a read looks for no further record. Two of the largest, half of what comes without window scaling:
/// the peer goes on sending while they are opened.
const READ_AT_ONCE: usize = 32 << 10;

/// A TLS connection's plaintext.
pub struct Flow {
    io: FromIo<TlsStream<BoxFlow>>,
    /// What came after octets that were read at the same time.
    failure: Option<mimic::flow::Error>,
    alpn: Option<Vec<u8>>,
    description: String,
}

impl Flow {
    /// The application protocol that the server chose.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }
}

impl mimic::Flow for Flow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, mimic::flow::Error>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        let mut len = ready!(self.io.poll_read(cx, buf))?;
        // rustls gives out a record at a time, for each of which all above would have its turn
        while (1..READ_AT_ONCE.min(buf.len())).contains(&len) {
            match self.io.poll_read(cx, &mut buf[len..]) {
                // the end comes again
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Ok(more)) => len += more,
                Poll::Ready(Err(failure)) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        Poll::Ready(Ok(len))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, mimic::flow::Error>> {
        self.io.poll_write(cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), mimic::flow::Error>> {
        self.io.poll_flush(cx)
    }

    fn poll_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), mimic::flow::Error>> {
        self.io.poll_shutdown(cx, how)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), mimic::flow::Error>> {
        self.io.poll_close(cx)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

#[cfg(test)]
mod tests;
