//! From a configuration to a flow to an output: the composition of everything below.

use crate::application::{Application, Call, Connector, Opening};
use crate::backend::Machine;
use crate::config::{Config, Output as Where};
use crate::discard::Discard;
use crate::teller::Teller;
use crate::{args, explain, report};
use client::deadline::{within, within_some};
use client::dialer::Dialer;
use client::dns::Resolver;
#[cfg(feature = "git")]
use client::flow::git::Service;
use client::flows::Flows;
use client::sink::{self, Input, Output};
use client::trace::Trace;
use client::{Cause, Error, Exit, Stage, features, options};
use core::pin::Pin;
use core::time::Duration;
use futures_lite::future;
use mimic::report::AttemptResult;
use mimic::{BoxFlow, Ctx, Policy, Registry, Report, ResolveError, Timer};
use proto::target::Target;
use spin::Mutex;
use stack::Net;
use stack::vsock::Vsock;
use std::io::Write;
use std::sync::Arc;

/// How long closed connections may still speak with their peers before the machine ends, and what was accepted for output
/// may take to go out when the time is up.
const SETTLE: Duration = Duration::from_millis(500);

/// Does what the configuration says; gives the exit code.
pub async fn run(application: &impl Application, config: &Config, machine: Machine) -> u8 {
    let Machine { net, vsock, networks, stdin, mut stdout, mut stderr, progress, memory, boot } =
        machine;
    let start = net.now();
    let target = config.target.as_ref();
    let run = target.map(|target| Run {
        memory,
        ..Run::new(application, config, (&net, &vsock), &networks, target)
    });
    let teller = Teller::new(progress.filter(|_| config.run.progress));
    if let Some(run) = &run {
        teller.watch(&run.trace);
    }
    let act = act(config, &net, run.as_ref(), &teller, stdin, &mut stdout, &mut *stderr);
    let act = future::or(act, async { match teller.keep(&*net).await {} });
    let late = |stage| {
        let target = config.target.as_ref().map(ToString::to_string).unwrap_or_default();
        let after = config.limits.whole.unwrap_or_default();
        Err(Error { stage, target, cause: Cause::Limit { limit: "timeout", after } })
    };
    let done = within_some(&*net, config.limits.whole, act).await;
    let done = done.unwrap_or_else(|| late(Stage::Exchange));
    teller.end(&*net).await;
    // what was accepted for output goes out, whatever else went wrong; a reader that takes nothing has its limit, too
    let left = config.limits.whole.map(|limit| limit.saturating_sub(net.now() - start).max(SETTLE));
    let flushed = within_some(&*net, left, sink::flush(&mut stdout)).await;
    let flushed = flushed.unwrap_or_else(|| late(Stage::Output));
    let outcome = done.and(flushed);
    let exit = outcome.as_ref().map_or_else(Error::exit, |()| Exit::Ok);
    let mut said =
        run.map(|run| run.reports(boot, exit, outcome.as_ref().err())).unwrap_or_default();
    // a command's exit status is its own word, and all that it says; who reads no more wants to hear nothing
    let is_said =
        |error: &&Error| !matches!(error.cause, Cause::RemoteStatus(_) | Cause::ReaderGone);
    if let Some(error) = outcome.as_ref().err().filter(is_said) {
        said += &format!("error: {error}\n");
    }
    if let Err(error) = stderr.write_all(said.as_bytes()).and_then(|()| stderr.flush()) {
        log::debug!("standard error takes nothing: {error}");
    }
    within(&*net, SETTLE, future::zip(net.settle(), vsock.settle())).await;
    exit.code()
}

async fn act(
    config: &Config,
    net: &Arc<dyn Net>,
    run: Option<&Run<'_, impl Application>>,
    teller: &Teller,
    stdin: Input,
    stdout: &mut Output,
    stderr: &mut (dyn Write + Send),
) -> Result<(), Error> {
    if config.run.help {
        return sink::write(stdout, args::help::text(config).as_bytes()).await;
    }
    if config.run.version {
        let version = concat!("mimic ", env!("CARGO_PKG_VERSION"), "\n");
        return sink::write(stdout, version.as_bytes()).await;
    }
    // the arguments refuse to be without a target otherwise
    let Some(run) = run else { return Ok(()) };
    if !config.run.delay.is_zero() {
        net.sleep(config.run.delay).await;
    }
    match config.run.output {
        Where::Stdout => run.go(stdin, stdout, stderr).await,
        Where::Discard => {
            let discard = Discard::default();
            let mut output: Output = Box::new(discard.clone());
            let done = run.go(stdin, &mut output, stderr).await;
            // a bar may stand where this line goes
            teller.end(&**net).await;
            done?;
            sink::write(stdout, format!("{discard}\n").as_bytes()).await
        }
    }
}

/// One run: the registry, and the context that the target and the arguments fill.
struct Run<'a, A> {
    application: &'a A,
    config: &'a Config,
    net: &'a Arc<dyn Net>,
    networks: &'a [(String, Arc<dyn Net>)],
    target: &'a Target,
    memory: Option<u64>,
    registry: Registry,
    flows: Flows,
    ctx: Ctx,
    trace: Trace,
    /// What the registry did, once it is known.
    resolution: Mutex<Option<Report>>,
}

impl<'a, A: Application> Run<'a, A> {
    fn new(
        application: &'a A,
        config: &'a Config,
        (net, vsock): (&'a Arc<dyn Net>, &Arc<dyn Vsock>),
        networks: &'a [(String, Arc<dyn Net>)],
        target: &'a Target,
    ) -> Self {
        let mut registry = Registry::new();
        let flows = Flows::register(&mut registry);
        let trace = Trace::default();
        let dialer = Dialer {
            net: net.clone(),
            race: config.race.clone(),
            only: config.only(),
            memory: Arc::default(),
            resolver: Resolver::new(config.dns.clone()),
            limit: config.limits.connect,
            trace: trace.clone(),
        };
        let tls = offering(&config.tls, || application.protocols(config, target));
        let said = options::Flows { ssh: &config.ssh, tls: &tls };
        let ctx = flows.aim(&flows.derive(&Ctx::new()), target, said);
        let ctx =
            ctx.add(&flows.dialer, dialer).add(&flows.handshake_limit, config.limits.handshake);
        let ctx = through_proxy(&flows, ctx, config);
        let ctx = match config.git_action() {
            Some(_) => flows.ask_repository(ctx, target),
            None => ctx,
        };
        let ctx = with_vsock(&flows, ctx, vsock);
        let ctx = application.configure(&mut registry, &flows, ctx, target);
        let resolution = Mutex::new(None);
        Self {
            application,
            config,
            net,
            networks,
            target,
            memory: None,
            registry,
            flows,
            ctx,
            trace,
            resolution,
        }
    }

    async fn go(
        &self,
        stdin: Input,
        output: &mut Output,
        stderr: &mut (dyn Write + Send),
    ) -> Result<(), Error> {
        let policy = Policy::with_timer(Arc::new(Clock(self.net.clone())));
        if self.config.run.check {
            return self.check(&policy, output).await;
        }
        match self.registry.resolve(&self.ctx, &policy).await {
            Ok(connected) => {
                *self.resolution.lock() = Some(connected.report);
                let Self { config, net, networks, target, memory, ref flows, ref trace, .. } =
                    *self;
                let call = Call {
                    flow: connected.flow,
                    target,
                    config,
                    net,
                    networks,
                    connector: self,
                    flows,
                    trace,
                    memory,
                    stdin,
                    stdout: output,
                    stderr,
                };
                self.application.speak(call).await
            }
            Err(error) => {
                *self.resolution.lock() = Some(error.report().clone());
                Err(self.failure(&error, self.target))
            }
        }
    }

    /// A further flow: the same context, aimed at another target.
    async fn open(
        &self,
        target: &Target,
        protocols: &[&str],
        ask: impl FnOnce(Ctx) -> Ctx,
    ) -> Result<BoxFlow, Error> {
        let offer = || protocols.iter().map(ToString::to_string).collect();
        let mut tls = offering(&self.config.tls, offer);
        // what is given for one host says nothing of another, and who we are is nobody else's business
        if target.host != self.target.host {
            tls.name = None;
        }
        if (&target.host, target.port_or_default())
            != (&self.target.host, self.target.port_or_default())
        {
            tls.certificates.clear();
            tls.key = None;
        }
        let said = options::Flows { ssh: &self.config.ssh, tls: &tls };
        let ctx = ask(self.flows.aim(&self.ctx, target, said));
        let policy = Policy::with_timer(Arc::new(Clock(self.net.clone())));
        let resolved = self.registry.resolve(&ctx, &policy).await;
        let report = match &resolved {
            Ok(connected) => connected.report.clone(),
            Err(error) => error.report().clone(),
        };
        *self.resolution.lock() = Some(report);
        resolved.map(|connected| connected.flow).map_err(|error| self.failure(&error, target))
    }

    /// Plans; prints the configuration, the values and the plan; connects to nothing.
    async fn check(&self, policy: &Policy, output: &mut Output) -> Result<(), Error> {
        let planned = self.registry.plan(&self.ctx, policy).await;
        let (report, outcome) = match planned {
            Ok(plan) => (plan.report().clone(), Ok(())),
            Err(error) => (
                (*error.report).clone(),
                Err(self.failure(&ResolveError::Plan(error), self.target)),
            ),
        };
        let text = args::effective::text(self.config) + &explain::text(&report, &self.trace);
        sink::write(output, text.as_bytes()).await?;
        *self.resolution.lock() = Some(report);
        outcome
    }

    /// The reports that were asked for.
    fn reports(&self, boot: Option<Duration>, exit: Exit, error: Option<&Error>) -> String {
        let resolution = self.resolution.lock().take().unwrap_or_default();
        let config = &self.config.run;
        let mut out = String::new();
        if config.explain && !config.check {
            out += &explain::text(&resolution, &self.trace);
        }
        if config.report_json {
            let run = report::Run {
                target: &self.target.to_string(),
                resolution: &resolution,
                trace: &self.trace,
                boot,
                end: self.net.now(),
                exit,
                error: error.map(ToString::to_string),
            };
            out += &report::text(&run);
            out.push('\n');
        }
        out
    }

    /// The registry's error in our words: the last attempt's own error, or what lacks for any attempt.
    fn failure(&self, error: &ResolveError, target: &Target) -> Error {
        let attempts = error.report().attempts.iter().rev();
        let ours = attempts.filter_map(|attempt| match &attempt.result {
            AttemptResult::Failed(error) => client::error::find_as::<Error>(&**error),
            _ => None,
        });
        match ours.into_iter().next() {
            Some(error) => error.clone(),
            None => {
                let (scheme, served) = (&target.scheme, features::served().join(", "));
                let cause = match features::missing(scheme).as_deref() {
                    Some([]) => Cause::NoFlow(error.to_string()),
                    Some(missing) => Cause::Unable(format!(
                        "this image has no `{scheme}`: it was built without the feature {} (there are {served})",
                        missing.join(", ")
                    )),
                    None => {
                        Cause::NoFlow(format!("no flow serves `{scheme}` (there are {served})"))
                    }
                };
                Error { stage: Stage::Connect, target: target.to_string(), cause }
            }
        }
    }
}

#[cfg(feature = "vsock")]
fn with_vsock(flows: &Flows, ctx: Ctx, vsock: &Arc<dyn Vsock>) -> Ctx {
    ctx.add(&flows.vsock.sockets, vsock.clone())
}

#[cfg(not(feature = "vsock"))]
fn with_vsock(_: &Flows, ctx: Ctx, _: &Arc<dyn Vsock>) -> Ctx {
    ctx
}

impl<A: Application> Connector for Run<'_, A> {
    fn open<'a>(&'a self, target: &'a Target, protocols: &'a [&'a str]) -> Opening<'a> {
        Box::pin(self.open(target, protocols, |ctx| ctx))
    }

    #[cfg(feature = "git")]
    fn repository<'a>(&'a self, target: &'a Target, service: Service) -> Opening<'a> {
        Box::pin(self.open(target, &[], move |ctx| self.flows.git.ask(ctx, target, service)))
    }
}

/// What the user says of TLS, with `protocols` to offer where that says none.
fn offering(said: &options::Tls, protocols: impl FnOnce() -> Vec<String>) -> options::Tls {
    let mut tls = said.clone();
    if tls.alpn.is_empty() {
        tls.alpn = protocols();
    }
    tls
}

#[cfg(feature = "http")]
fn through_proxy(flows: &Flows, ctx: Ctx, config: &Config) -> Ctx {
    match config.proxy.clone() {
        Some(target) => {
            // what is given for the target says nothing of its proxy, and the other way round
            let tls = options::Tls {
                authenticators: config.proxy_authenticators.clone(),
                name: None,
                certificates: vec![],
                key: None,
                ..config.tls.clone()
            };
            ctx.add(&flows.proxy.settings, client::flow::proxy::Settings { target, tls })
        }
        None => ctx,
    }
}

#[cfg(not(feature = "http"))]
fn through_proxy(_: &Flows, ctx: Ctx, _: &Config) -> Ctx {
    ctx
}

/// The stack's clock for the registry.
struct Clock(Arc<dyn Net>);

impl Timer for Clock {
    fn now(&self) -> Duration {
        self.0.now() - stack::Instant::ZERO
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.sleep(duration)
    }
}
