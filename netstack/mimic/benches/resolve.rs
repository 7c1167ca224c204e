//! What a resolution costs, by the number of bindings: `cargo bench -p mimic`.
//!
//! Each row is the median of many runs. The last column is the time by n log₂ n: where it does
//! not grow, the time grows no faster than that.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use mimic::{
    Ctx, Flow, Handle, Key, Policy, Protocol, Registry, Shutdown, default, flow, opt, req,
};

fn main() {
    // without the argument that `cargo bench` gives, as under `cargo test`, one run is enough
    let runs = if std::env::args().any(|arg| arg == "--bench") { 301 } else { 1 };
    typical(runs);
    for (name, build) in SHAPES {
        println!("\n{name}");
        println!("{:>9} {:>12} {:>12} {:>14}", "bindings", "resolve", "get", "resolve/n·log");
        for count in [10, 100, 1_000, 10_000] {
            let (registry, tcp) = registry();
            let keys: Vec<Key<usize>> = (0..count).map(|_| Key::new("k")).collect();
            let ctx = build(&keys, &tcp);
            let runs = (runs * 10 / count).clamp(runs.min(11), runs);
            let resolve = median(runs, 1, || drop(resolve(&registry, &ctx)));
            let middle = &keys[count / 2];
            let get = median(runs, 1000, || drop(black_box(ctx.get(black_box(middle)))));
            let scale = count as f64 * (count as f64).log2();
            let by_scale = resolve.as_nanos() as f64 / scale;
            println!("{count:>9} {resolve:>12.1?} {get:>12.1?} {by_scale:>11.1} ns");
        }
    }
}

type Build = fn(&[Key<usize>], &Handle<Null>) -> Ctx;

const SHAPES: [(&str, Build); 5] = [
    ("values of many keys", |keys, tcp| {
        let ctx = keys.iter().fold(Ctx::new(), |ctx, key| ctx.add(key, 1));
        ctx.add(tcp.endpoint(), 1)
    }),
    ("values of one key", |keys, tcp| {
        keys.iter().fold(Ctx::new(), |ctx, _| ctx.add(tcp.endpoint(), 1))
    }),
    ("a chain of derivations", |keys, tcp| {
        let first = Ctx::new().add(&keys[0], 1);
        let chain = keys.windows(2).fold(first, |ctx, pair| {
            ctx.fold(&pair[1], req(&pair[0]), |below| async move { Some(*below + 1) })
        });
        chain.fold(tcp.endpoint(), req(&keys[keys.len() - 1]), |top| async move { Some(*top) })
    }),
    ("independent derivations", |keys, tcp| {
        keys.iter().fold(Ctx::new(), |ctx, key| {
            let ctx = ctx.fold(key, (), |()| async { Some(1) });
            ctx.fold(tcp.endpoint(), opt(key), |value| async move { value.map(|value| *value) })
        })
    }),
    ("a circle, and a default beside it", |keys, tcp| {
        let ring = (0..keys.len()).fold(Ctx::new(), |ctx, n| {
            let next = &keys[(n + 1) % keys.len()];
            ctx.fold(&keys[n], req(next), |next| async move { Some(*next) })
        });
        ring.fold(tcp.endpoint(), default(&keys[0], 1), |value| async move { Some(*value) })
    }),
];

/// Eight bindings as a program has them: what the user gave, and what follows from it.
fn typical(runs: usize) {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Null);
    let tls = registry.register("tls", 10, Null);
    let scheme = Key::<&str>::shown("scheme");
    let host = Key::<&str>::shown("host");
    let port = Key::<usize>::shown("port");
    let address = Key::<usize>::shown("address");
    let config = Key::<usize>::new("tls-config");
    let authenticator = Key::<usize>::new("authenticator");
    let ctx = Ctx::new()
        .add(&scheme, "https")
        .add(&host, "example.com")
        .add(&port, 443)
        .add(&authenticator, 1)
        .fold(&address, req(&host), |host| async move { Some(host.len()) })
        .fold(&config, opt(&authenticator), |value| async move { value.map(|value| *value) })
        .fold(tcp.endpoint(), (req(&address), default(&port, 80)), |(address, port)| async move {
            Some(*address + *port)
        })
        .fold(
            tls.endpoint(),
            (req(&scheme), req(&config), req(&address), default(&port, 443)),
            |(scheme, config, address, port)| async move {
                (*scheme == "https").then(|| *config + *address + *port)
            },
        );
    let time = median(runs, (runs as u32 * 10).min(1000), || drop(resolve(&registry, &ctx)));
    println!("a typical resolution of 8 bindings: {time:.2?}");
}

fn registry() -> (Registry, Handle<Null>) {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Null);
    (registry, tcp)
}

fn resolve(registry: &Registry, ctx: &Ctx) -> mimic::Connected {
    let resolved = block_on(registry.resolve(black_box(ctx), &Policy::default()));
    resolved.expect("every shape has a candidate that connects")
}

/// The median time of one call, of `runs` batches.
fn median(runs: usize, batch: u32, mut call: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            (0..batch).for_each(|_| call());
            start.elapsed() / batch
        })
        .collect();
    times.sort();
    times[runs / 2]
}

/// A protocol that connects at once to a flow without octets.
struct Null;

impl Protocol for Null {
    type Endpoint = usize;
    type Flow = Self;
    type Error = Infallible;

    async fn connect(&self, _: Arc<usize>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Flow for Null {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<Result<usize, flow::Error>> {
        Poll::Ready(Ok(0))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize, flow::Error>> {
        Poll::Ready(Err(flow::Error::Closed))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>, _: Shutdown) -> Poll<Result<(), flow::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        Poll::Ready(Ok(()))
    }

    fn describe(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("null")
    }
}
