//! Tunnels through an HTTP proxy (`CONNECT`, RFC 9110 §9.3.6), over TCP or over TLS.
//!
//! ```text
//!  --proxy ─► settings ─► tunnel ─┬─► proxy (http, tcp)
//!                                 └─► lower of tls (https, tls), of ssh (ssh)
//! ```
//!
//! Where a tunnel is there, no flow goes around it. The proxy resolves the target's name. **Not** implemented: requests
//! that a proxy forwards, SOCKS, authentication beyond Basic.

use crate::deadline::within;
use crate::dialer::Dialer;
use crate::error::{Cause, Error, Stage};
use crate::features;
use crate::flow::lower::{Lower, over_tcp};
use crate::flow::tcp;
use crate::flows::{Flows, Tunnel};
use crate::options;
use crate::trace::{Step, Trace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::task::{Context, Poll};
use core::time::Duration;
use mimic::flow::Error as FlowError;
use mimic::{BoxFlow, Ctx, Handle, Key, Registry, Shutdown, default, req};
use proto::target::{Host, Scheme, Target};
use proto::tunnel::{Answer, request};
use stack::Net;
use std::sync::Arc;

#[cfg(feature = "tls")]
use crate::flow::tls;
#[cfg(feature = "tls")]
use mimic::Protocol as _;

/// Which proxy, and how it is known.
#[derive(Clone)]
pub struct Settings {
    /// `http` or `https`, with credentials where it wants these.
    pub target: Target,
    /// How it is known where it is reached by TLS. None of it is the target's.
    pub tls: options::Tls,
}

/// What the `proxy` protocol connects to.
pub struct Endpoint {
    tunnel: Tunnel,
    host: Host,
    port: u16,
}

/// The protocol `proxy`.
pub struct Proxy;

impl mimic::Protocol for Proxy {
    type Endpoint = Endpoint;
    type Flow = Flow;
    type Error = Error;

    async fn connect(&self, endpoint: Arc<Endpoint>) -> Result<Flow, Error> {
        let flow = (endpoint.tunnel)(&endpoint.host, endpoint.port).await?;
        Ok(Flow { flow })
    }

    fn describe(endpoint: &Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", endpoint.host, endpoint.port)
    }
}

/// The protocol in the registry.
#[derive(Clone)]
pub struct Entry {
    /// The proxy; none by default.
    pub settings: Key<Settings>,
    /// Turns flows into this protocol's own.
    pub handle: Handle<Proxy>,
}

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

impl super::Entry for Entry {
    fn register(registry: &mut Registry) -> Self {
        Self { settings: Key::new("proxy"), handle: registry.register("proxy", None, Proxy) }
    }

    fn derive(&self, ctx: &Ctx, flows: &Flows) -> Ctx {
        let opener = Opener::new(flows);
        ctx.fold(
            &flows.tunnel,
            (
                req(&self.settings),
                req(&flows.dialer),
                default(&flows.handshake_limit, HANDSHAKE_LIMIT),
            ),
            move |(settings, dialer, limit)| {
                let lower = opener.lower(&settings, &dialer, *limit);
                let Dialer { net, trace, .. } = (*dialer).clone();
                let proxy = Arc::new(Open {
                    lower,
                    name: settings.target.to_string(),
                    credentials: credentials(&settings.target),
                    limit: *limit,
                    net,
                    trace,
                });
                let tunnel: Tunnel = Arc::new(move |host, port| {
                    let (proxy, host) = (proxy.clone(), host.clone());
                    Box::pin(async move { proxy.open(&host, port).await })
                });
                async move { Some(tunnel) }
            },
        )
        .fold(
            self.handle.endpoint(),
            (req(&flows.scheme), req(&flows.tunnel), req(&flows.host), req(&flows.port)),
            |(scheme, tunnel, host, port)| async move {
                let ours =
                    matches!(*scheme, Scheme::Http | Scheme::Tcp) && features::serves(&scheme);
                ours.then(|| Endpoint {
                    tunnel: (*tunnel).clone(),
                    host: (*host).clone(),
                    port: *port,
                })
            },
        )
    }
}

/// Opens the flow to the proxy itself.
#[derive(Clone)]
struct Opener {
    tcp: Handle<tcp::Tcp>,
    #[cfg(feature = "tls")]
    tls: Handle<tls::Tls>,
}

impl Opener {
    fn new(flows: &Flows) -> Self {
        Self {
            tcp: flows.tcp.handle.clone(),
            #[cfg(feature = "tls")]
            tls: flows.tls.handle.clone(),
        }
    }

    fn lower(&self, settings: &Settings, dialer: &Dialer, limit: Duration) -> Lower {
        let target = &settings.target;
        let port = target.port_or_default().and_then(|port| u16::try_from(port).ok());
        let endpoint = tcp::Endpoint::new(dialer, &target.host, port.unwrap_or_default());
        let over_tcp = over_tcp(self.tcp.clone(), Arc::new(endpoint));
        match target.scheme {
            Scheme::Https => self.over_tls(settings, dialer, limit, over_tcp),
            _ => over_tcp,
        }
    }

    #[cfg(feature = "tls")]
    fn over_tls(
        &self,
        settings: &Settings,
        dialer: &Dialer,
        limit: Duration,
        lower: Lower,
    ) -> Lower {
        let options = options::Tls { alpn: vec!["http/1.1".into()], ..settings.tls.clone() };
        let endpoint = Arc::new(tls::Endpoint {
            net: dialer.net.clone(),
            lower,
            settings: tls::Settings::new(&options),
            name: tls::name_of(&settings.target.host),
            limit,
            trace: dialer.trace.clone(),
        });
        let tls = self.tls.clone();
        Arc::new(move || {
            let (tls, endpoint) = (tls.clone(), endpoint.clone());
            Box::pin(async move {
                let flow = tls::Tls.connect(endpoint).await.map_err(of_proxy)?;
                Ok(tls.inject(flow))
            })
        })
    }

    #[cfg(not(feature = "tls"))]
    fn over_tls(&self, settings: &Settings, _: &Dialer, _: Duration, _: Lower) -> Lower {
        let target = settings.target.to_string();
        Arc::new(move || {
            let text = "this image has no TLS: it was built without the feature tls".into();
            let cause = Cause::Unable(text);
            let error = Error { stage: Stage::Connect, target: target.clone(), cause };
            Box::pin(async move { Err(error) })
        })
    }
}

/// The argument that would know the proxy is another than the target's.
#[cfg(feature = "tls")]
fn of_proxy(mut error: Error) -> Error {
    if let Cause::Certificate(text) = &mut error.cause {
        *text = text.replace("--tls-authenticator=", "--proxy-authenticator=");
    }
    error
}

fn credentials(proxy: &Target) -> Option<String> {
    let user = proxy.user.as_ref()?;
    let pair = format!("{user}:{}", proxy.password.as_deref().unwrap_or_default());
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// A proxy, ready to be asked.
struct Open {
    lower: Lower,
    /// Without its password.
    name: String,
    credentials: Option<String>,
    limit: Duration,
    net: Arc<dyn Net>,
    trace: Trace,
}

impl Open {
    async fn open(&self, host: &Host, port: u16) -> Result<BoxFlow, Error> {
        let fail = |cause| Error {
            stage: Stage::Connect,
            target: format!("{host}:{port} through the proxy {}", self.name),
            cause,
        };
        let flow = (self.lower)().await?;
        let start = self.net.now();
        let outcome = match within(&*self.net, self.limit, self.ask(flow, host, port)).await {
            Some(outcome) => outcome.map_err(fail),
            None => Err(fail(Cause::Limit { limit: "handshake-timeout", after: self.limit })),
        };
        self.trace.push(Step {
            kind: "proxy",
            subject: format!("{host}:{port}"),
            start,
            end: self.net.now(),
            outcome: match &outcome {
                Ok(_) => Ok(format!("a tunnel through {}", self.name)),
                Err(error) => Err(error.cause.to_string()),
            },
        });
        outcome
    }

    async fn ask(&self, mut flow: BoxFlow, host: &Host, port: u16) -> Result<BoxFlow, Cause> {
        let request = request(host, port, self.credentials.as_deref());
        flow.write_all(request.as_bytes()).await.map_err(|error| Cause::of(&error))?;
        flow.flush().await.map_err(|error| Cause::of(&error))?;
        let mut answer = Answer::default();
        let mut octet = [0];
        loop {
            if flow.read(&mut octet).await.map_err(|error| Cause::of(&error))? == 0 {
                return Err(Cause::CutShort("the proxy ended the connection".into()));
            }
            let status = answer.handle(octet[0]);
            match status.map_err(|error| Cause::Malformed(format!("the proxy: {error}")))? {
                None => {}
                Some(200..=299) => return Ok(flow),
                // some say so with the status of servers
                Some(status @ (401 | 407)) => {
                    let text = match self.credentials {
                        Some(_) => "refuses the user or the password",
                        None => {
                            "wants a user and a password (--proxy=http://USER:PASSWORD@HOST:PORT)"
                        }
                    };
                    return Err(Cause::Refused(format!("the proxy {text} ({status})")));
                }
                Some(status) => {
                    return Err(Cause::Unable(format!("the proxy opens no tunnel ({status})")));
                }
            }
        }
    }
}

/// What goes through a tunnel.
pub struct Flow {
    flow: BoxFlow,
}

impl mimic::Flow for Flow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, FlowError>> {
        self.flow.poll_read(cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, FlowError>> {
        self.flow.poll_write(cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        self.flow.poll_flush(cx)
    }

    fn poll_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), FlowError>> {
        self.flow.poll_shutdown(cx, how)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FlowError>> {
        self.flow.poll_close(cx)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy over {}", self.flow)
    }
}
