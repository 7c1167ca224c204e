//! What a resolution and a lookup cost, by the number of bindings: `cargo bench -p mimic`.
//!
//! Per shape of the context, 10 to 10 000 bindings: the time to resolve must grow no faster than n log n, and the
//! time of a lookup with log n. (That a lookup does not allocate is `tests/scale.rs`.)

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use mimic::{
    Ctx, Flow, Handle, Key, Policy, Protocol, Registry, Shutdown, default, flow, opt, req,
};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = typical, by_bindings
}
criterion_main!(benches);

/// Every shape with more and more bindings.
fn by_bindings(criterion: &mut Criterion) {
    for (name, build) in SHAPES {
        let mut group = criterion.benchmark_group(name);
        for count in [10, 100, 1_000, 10_000] {
            let (registry, tcp) = registry();
            let keys: Vec<Key<usize>> = (0..count).map(|_| Key::new("k")).collect();
            let ctx = build(&keys, &tcp);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new("resolve", count), |bencher| {
                bencher.iter(|| resolve(&registry, &ctx));
            });
            let middle = &keys[count / 2];
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new("get", count), |bencher| {
                bencher.iter(|| black_box(&ctx).get(black_box(middle)));
            });
        }
        group.finish();
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
fn typical(criterion: &mut Criterion) {
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
    criterion.bench_function("a typical resolution of 8 bindings", |bencher| {
        bencher.iter(|| resolve(&registry, &ctx));
    });
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
