//! From a configuration to a flow to an output: the composition of everything below.

use crate::backend::Machine;
use crate::config::{Config, Output as Where};
use crate::discard::Discard;
use crate::{args, explain};
use client::deadline::{within, within_some};
use client::dialer::Dialer;
use client::flow::tls;
use client::flows::Flows;
use client::messages::{self, Messages};
use client::resolver::Resolver;
use client::sink::{self, Input, Output};
use client::trace::Trace;
use client::{Cause, Error, Exit, Stage, bytes, http, ping};
use core::pin::Pin;
use core::time::Duration;
use mimic::report::AttemptResult;
use mimic::{BoxFlow, Ctx, Policy, Registry, ResolveError, Timer};
use proto::target::{Scheme, Target};
use stack::Net;
use std::sync::Arc;

/// How long closed connections may still speak with their peers before the machine ends.
const SETTLE: Duration = Duration::from_millis(500);

/// Does what the configuration says; gives the exit code.
pub async fn run(config: &Config, machine: Machine) -> u8 {
    let Machine { net, stdin, mut stdout } = machine;
    let done = within_some(&*net, config.limits.whole, act(config, &net, stdin, &mut stdout)).await;
    let done = done.unwrap_or_else(|| {
        let target = config.target.as_ref().map(ToString::to_string).unwrap_or_default();
        let after = config.limits.whole.unwrap_or_default();
        Err(Error { stage: Stage::Exchange, target, cause: Cause::Limit { limit: "timeout", after } })
    });
    // what was accepted for output goes out, whatever else went wrong
    let flushed = sink::flush(&mut stdout).await;
    let exit = match done.and(flushed.map(|()| Exit::Ok)) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit()
        }
    };
    within(&*net, SETTLE, net.settle()).await;
    exit as u8
}

async fn act(config: &Config, net: &Arc<dyn Net>, stdin: Input, stdout: &mut Output) -> Result<Exit, Error> {
    if config.run.help {
        sink::write(stdout, args::help::text().as_bytes()).await?;
        return Ok(Exit::Ok);
    }
    if config.run.version {
        sink::write(stdout, concat!("mimic ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()).await?;
        return Ok(Exit::Ok);
    }
    let Some(target) = &config.target else { return Ok(Exit::Usage) };
    if !config.run.delay.is_zero() {
        net.sleep(config.run.delay).await;
    }
    match config.run.output {
        Where::Stdout => Run::new(config, net, target).go(stdin, stdout).await,
        Where::Discard => {
            let discard = Discard::default();
            let mut output: Output = Box::new(discard.clone());
            let exit = Run::new(config, net, target).go(stdin, &mut output).await?;
            sink::write(stdout, format!("{discard}\n").as_bytes()).await?;
            Ok(exit)
        }
    }
}

/// One run: the registry, and the context that the target and the arguments fill.
struct Run<'a> {
    config: &'a Config,
    net: &'a Arc<dyn Net>,
    target: &'a Target,
    registry: Registry,
    flows: Flows,
    ctx: Ctx,
    trace: Trace,
}

impl<'a> Run<'a> {
    fn new(config: &'a Config, net: &'a Arc<dyn Net>, target: &'a Target) -> Self {
        let mut registry = Registry::new();
        let flows = Flows::register(&mut registry);
        let trace = Trace::default();
        let resolver = Resolver {
            servers: config.dns.servers.clone(),
            timeout: config.dns.timeout,
            hosts: config.dns.hosts.clone(),
        };
        let dialer = Dialer {
            net: net.clone(),
            resolver: Arc::new(resolver),
            limit: config.limits.connect,
            trace: trace.clone(),
        };
        let mut ctx = flows.aim(&flows.derive(&Ctx::new()), target);
        ctx = ctx.add(&flows.dialer, dialer).add(&flows.handshake_limit, config.limits.handshake);
        if matches!(target.scheme, Scheme::Https | Scheme::Tls) {
            let options = tls::Options {
                authenticators: config.tls.authenticators.clone(),
                only_1_3: config.tls.only_1_3,
                alpn: config.tls.alpn.clone(),
            };
            ctx = ctx.add(&flows.tls_settings, tls::Settings::new(&options));
        }
        if let Some(name) = &config.tls.name {
            ctx = ctx.add(&flows.tls_name, name.clone());
        }
        Self { config, net, target, registry, flows, ctx, trace }
    }

    async fn go(&self, stdin: Input, output: &mut Output) -> Result<Exit, Error> {
        let policy = Policy::with_timer(Arc::new(Clock(self.net.clone())));
        if self.config.run.check {
            return self.check(&policy, output).await;
        }
        let resolved = self.registry.resolve(&self.ctx, &policy).await;
        let report = match &resolved {
            Ok(connected) => &connected.report,
            Err(error) => error.report(),
        };
        let explanation = self.config.run.explain.then(|| explain::text(report, &self.trace));
        let outcome = match resolved {
            Ok(connected) => self.speak(connected.flow, stdin, output).await,
            Err(error) => Err(self.failure(&error)),
        };
        if let Some(explanation) = explanation {
            eprint!("{explanation}");
        }
        outcome
    }

    /// Plans, prints the values and the plan, connects to nothing.
    async fn check(&self, policy: &Policy, output: &mut Output) -> Result<Exit, Error> {
        let plan = self.registry.plan(&self.ctx, policy).await;
        let plan = plan.map_err(|error| self.failure(&ResolveError::Plan(error)))?;
        sink::write(output, format!("{}\n", plan.report()).as_bytes()).await?;
        Ok(Exit::Ok)
    }

    /// The registry's error in our words: the last attempt's own error, or what lacks for any attempt.
    fn failure(&self, error: &ResolveError) -> Error {
        let attempts = error.report().attempts.iter().rev();
        let ours = attempts.filter_map(|attempt| match &attempt.result {
            AttemptResult::Failed(error) => client::error::find_as::<Error>(&**error),
            _ => None,
        });
        match ours.into_iter().next() {
            Some(error) => error.clone(),
            None => Error {
                stage: Stage::Connect,
                target: self.target.to_string(),
                cause: Cause::NoFlow(error.to_string()),
            },
        }
    }

    async fn speak(&self, flow: BoxFlow, stdin: Input, output: &mut Output) -> Result<Exit, Error> {
        let input = match &self.config.bytes.send {
            Some(octets) => Box::new(futures_lite::io::Cursor::new(octets.clone())) as Input,
            None => stdin,
        };
        let limits = &self.config.limits;
        match self.target.scheme {
            Scheme::Http | Scheme::Https => {
                let http = &self.config.http;
                let request = http::Request {
                    target: self.target.clone(),
                    method: http.method.clone(),
                    headers: http.headers.clone(),
                    data: http.data.clone(),
                    include: http.include,
                    fail: http.fail,
                    idle: limits.idle,
                };
                http::exchange(self.net, flow, &request, output).await?;
            }
            Scheme::Icmp => {
                let mut identifier = [0; 2];
                getrandom::fill(&mut identifier)
                    .map_err(|_| self.failed(Cause::Unable(tls::no_entropy())))?;
                let options = ping::Options {
                    count: self.config.bytes.count,
                    wait: self.config.bytes.wait,
                    identifier: u16::from_ne_bytes(identifier),
                };
                let flow = self.flows.raw.downcast(flow).map_err(|flow| {
                    self.failed(Cause::NoFlow(format!("{flow} carries no echo requests")))
                })?;
                ping::ping(self.net, flow, &options, output).await?;
            }
            Scheme::Udp | Scheme::Raw => {
                let messages = match &self.config.bytes.send {
                    Some(octets) => Messages::One(octets.clone()),
                    None => Messages::Lines(input),
                };
                messages::exchange(self.net, flow, messages, output, self.config.bytes.wait).await?;
            }
            _ => {
                bytes::exchange(self.net, flow, input, output, limits.idle).await?;
            }
        }
        Ok(Exit::Ok)
    }

    fn failed(&self, cause: Cause) -> Error {
        Error { stage: Stage::Exchange, target: self.target.to_string(), cause }
    }
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
