//! How keys are looked up in a resolution: what is tried, how often, and at the same time as what.

mod sim;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mimic::report::Outcome;
use mimic::{Ctx, Handle, Key, Policy, Registry, default, opt, req};
use sim::{End, MS, Scripted, Sim, good, now};

fn tcp() -> (Registry, Handle<Scripted>) {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    (registry, tcp)
}

#[test]
fn values_beat_derivations_even_newer_ones() {
    let (registry, tcp) = tcp();
    let port = Key::<u16>::shown("port");
    let ctx = Ctx::new()
        .add(&port, 1)
        .fold(&port, (), |()| async { unreachable!() as Option<u16> })
        .fold(tcp.endpoint(), req(&port), |port| async move { Some(good(&port.to_string())) });
    let plan = now(registry.plan(&ctx, &Policy::default())).unwrap();
    assert_eq!(plan.candidates()[0].endpoint.to_string(), "1");
    assert_eq!(plan.get(&port).as_deref(), Some(&1));
}

/// OCaml's mimic 0.0.9 tries the newest one only.
#[test]
fn when_the_newest_derivation_yields_nothing_the_next_is_tried() {
    let (registry, tcp) = tcp();
    let (port, absent) = (Key::<u16>::shown("port"), Key::<u16>::shown("absent"));
    let ctx = Ctx::new()
        .fold(&port, (), |()| async { unreachable!() as Option<u16> })
        .fold(&port, (), |()| async { Some(4) })
        .fold(&port, (), |()| async { None::<u16> })
        .fold(&port, (), |()| async { "x".parse::<u16>() })
        .fold(&port, req(&absent), |absent| async move { Some(*absent) })
        .fold(tcp.endpoint(), req(&port), |port| async move { Some(good(&port.to_string())) });
    let plan = now(registry.plan(&ctx, &Policy::default())).unwrap();
    assert_eq!(plan.candidates()[0].endpoint.to_string(), "4");
    assert_eq!(plan.get(&port).as_deref(), Some(&4));
    let tried: Vec<&Outcome> = plan
        .report()
        .derivations
        .iter()
        .filter(|derived| derived.key == "port")
        .map(|derived| &derived.outcome)
        .collect();
    assert!(matches!(
        tried[..],
        [Outcome::Lacked(_), Outcome::Failed(_), Outcome::Nothing, Outcome::Produced(_)]
    ));
}

/// OCaml's mimic 0.0.9 runs a producer of nothing once for each of those who ask.
#[test]
fn a_derivation_runs_at_most_once_whatever_comes_of_it() {
    for produced in [Some(1), None] {
        let (registry, tcp) = tcp();
        let runs = Arc::new(AtomicUsize::new(0));
        let keys: Vec<Key<u8>> = (0..5).map(|n| Key::shown(format!("k{n}"))).collect();
        let count = Arc::clone(&runs);
        let mut ctx = Ctx::new().fold(&keys[0], (), move |()| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { produced }
        });
        // each key asks for all before it, twice
        for n in 1..5 {
            for below in &keys[..n] {
                ctx = ctx.fold(
                    &keys[n],
                    (opt(below), default(&keys[0], 9)),
                    |(below, _)| async move { below.map(|below| *below) },
                );
            }
        }
        let ctx = ctx.fold(tcp.endpoint(), opt(&keys[4]), |_| async { Some(good("one")) }).fold(
            tcp.endpoint(),
            req(&keys[0]),
            |_| async { Some(good("two")) },
        );
        let plan = now(registry.plan(&ctx, &Policy::default())).unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        let looked = plan.report().derivations.iter().filter(|derived| derived.key == "k0");
        assert_eq!(looked.count(), 1);
    }
}

#[test]
fn what_nobody_asks_for_is_not_derived() {
    let (registry, tcp) = tcp();
    let (port, idle) = (Key::<u16>::shown("port"), Key::<u16>::shown("idle"));
    let ctx = Ctx::new()
        .add(&port, 1)
        .fold(&idle, req(&port), |_| async { unreachable!() as Option<u16> })
        .fold(tcp.endpoint(), req(&port), |_| async { Some(good("tcp")) });
    let plan = now(registry.plan(&ctx, &Policy::default())).unwrap();
    assert_eq!(plan.report().derivations.len(), 1);
    assert_eq!(plan.get(&idle), None);
}

#[test]
fn what_cannot_help_is_not_derived() {
    // the other argument is slow to derive, and in vain when the first one has no binding
    let (registry, tcp) = tcp();
    let (absent, slow) = (Key::<u16>::shown("absent"), Key::<u16>::shown("slow"));
    let ctx = Ctx::new().fold(&slow, (), |()| async { unreachable!() as Option<u16> }).fold(
        tcp.endpoint(),
        (req(&slow), req(&absent)),
        |_| async { None::<End> },
    );
    let error = now(registry.plan(&ctx, &Policy::default())).unwrap_err();
    assert_eq!(error.report.missing[0].to_string(), "tcp needs absent: not given");
}

#[test]
fn independent_derivations_run_at_the_same_time() {
    let sim = Sim::new();
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&sim));
    let keys: Vec<Key<u32>> = (0..100).map(|n| Key::shown(format!("k{n}"))).collect();
    let mut ctx = Ctx::new();
    for (n, key) in keys.iter().enumerate() {
        let sim = sim.clone();
        ctx = ctx.fold(key, (), move |()| {
            let wait = sim.wait(MS * (n as u32 + 1));
            async move {
                wait.await;
                Some(n as u32)
            }
        });
        ctx = ctx.fold(tcp.endpoint(), req(key), |key| async move { Some(good(&key.to_string())) });
    }
    let plan = sim.run(registry.plan(&ctx, &sim.policy())).unwrap();
    assert_eq!(sim.time(), MS * 100, "all waits overlap");
    let listed: Vec<String> =
        plan.candidates().iter().map(|candidate| candidate.endpoint.to_string()).collect();
    let newest_first: Vec<String> = (0..100).rev().map(|n| n.to_string()).collect();
    assert_eq!(listed, newest_first, "and the order is not that of the results");
}

#[test]
fn dependent_derivations_and_those_of_one_key_wait_for_one_another() {
    let sim = Sim::new();
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&sim));
    let (low, high) = (Key::<u32>::shown("low"), Key::<u32>::shown("high"));
    let log = Arc::new(Mutex::new(Vec::new()));
    let step = |name: &'static str, output: Option<u32>| {
        let (sim, log) = (sim.clone(), Arc::clone(&log));
        move || {
            log.lock().unwrap().push((name, sim.time()));
            let wait = sim.wait(MS);
            async move {
                wait.await;
                output
            }
        }
    };
    let (older, newer, second) =
        (step("older", Some(1)), step("newer", None), step("high", Some(2)));
    let ctx = Ctx::new()
        .fold(&low, (), move |()| older())
        .fold(&low, (), move |()| newer())
        .fold(&high, req(&low), move |_| second())
        .fold(tcp.endpoint(), (req(&high), req(&low)), |_| async { Some(good("tcp")) });
    sim.run(registry.plan(&ctx, &sim.policy())).unwrap();
    assert_eq!(*log.lock().unwrap(), [("newer", Duration::ZERO), ("older", MS), ("high", MS * 2)]);
}

#[test]
fn a_plan_is_ready_when_its_candidates_are() {
    // a derivation that only a lost cause waits for does not hold the plan up
    let sim = Sim::new();
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&sim));
    let (slow, nothing) = (Key::<u32>::shown("slow"), Key::<u32>::shown("nothing"));
    let clock = sim.clone();
    let ctx = Ctx::new()
        .fold(&slow, (), move |()| {
            let wait = clock.wait(MS * 1000);
            async move {
                wait.await;
                Some(1)
            }
        })
        .fold(&nothing, (), |()| async { None::<u32> })
        .fold(tcp.endpoint(), (req(&slow), req(&nothing)), |_| async { Some(good("lost")) })
        .add(tcp.endpoint(), good("given"));
    let plan = sim.run(registry.plan(&ctx, &sim.policy())).unwrap();
    assert_eq!(sim.time(), Duration::ZERO);
    assert_eq!(plan.candidates().len(), 1);
    let slow = plan.report().derivations.iter().find(|derived| derived.key == "slow").unwrap();
    assert!(matches!(slow.outcome, Outcome::Unfinished));
    assert_eq!(sim.alarms(), 0);
}

#[test]
fn a_protocols_key_can_be_asked_for_by_others() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", 1, protocol.clone());
    let tls = registry.register("tls", 0, protocol);
    let ctx = Ctx::new()
        .fold(tcp.endpoint(), (), |()| async { Some(good("older")) })
        .fold(tcp.endpoint(), (), |()| async { Some(good("newer")) })
        .fold(tls.endpoint(), req(tcp.endpoint()), |tcp| async move {
            Some(good(&format!("tls over {}", tcp.label)))
        });
    let plan = now(registry.plan(&ctx, &Policy::default())).unwrap();
    let labels: Vec<String> =
        plan.candidates().iter().map(|candidate| candidate.endpoint.to_string()).collect();
    assert_eq!(labels, ["tls over newer", "newer", "older"]);
}

#[test]
fn deep_chains_are_followed_without_recursion() {
    const DEPTH: usize = 100_000;
    let (registry, tcp) = tcp();
    let keys: Vec<Key<usize>> = (0..DEPTH).map(|n| Key::shown(format!("k{n}"))).collect();
    let mut ctx = Ctx::new();
    for pair in keys.windows(2) {
        ctx = ctx.fold(&pair[1], req(&pair[0]), |below| async move { Some(*below + 1) });
    }
    let ctx = ctx.fold(tcp.endpoint(), req(&keys[DEPTH - 1]), |depth| async move {
        Some(good(&depth.to_string()))
    });
    let plan = now(registry.plan(&ctx.add(&keys[0], 1), &Policy::default())).unwrap();
    assert_eq!(plan.candidates()[0].endpoint.to_string(), DEPTH.to_string());
    // and when the last of them is missing, the middle of the chain is left out
    let error = now(registry.plan(&ctx, &Policy::default())).unwrap_err();
    let missing = &error.report.missing[0];
    assert_eq!(missing.chain.len(), 32);
    assert_eq!(missing.elided, DEPTH + 1 - 32);
    assert_eq!(*missing.chain[31], *"k0");
    assert!(missing.to_string().ends_with("… 99969 more … ← k0: not given"), "{missing}");
}

#[test]
fn derivations_may_be_woken_by_other_threads() {
    use std::task::{Poll, Waker};
    for _ in 0..50 {
        let (registry, tcp) = tcp();
        let mut ctx = Ctx::new();
        let mut threads = Vec::new();
        for n in 0..70 {
            let state = Arc::new(Mutex::new((false, None::<Waker>)));
            let (shared, key) = (Arc::clone(&state), Key::<u32>::shown("k"));
            ctx = ctx
                .fold(&key, (), move |()| {
                    let shared = Arc::clone(&shared);
                    std::future::poll_fn(move |cx| {
                        let mut state = shared.lock().unwrap();
                        state.1 = Some(cx.waker().clone());
                        if state.0 { Poll::Ready(Some(n)) } else { Poll::Pending }
                    })
                })
                .fold(tcp.endpoint(), req(&key), |n| async move { Some(good(&n.to_string())) });
            threads.push(move || {
                let mut state = state.lock().unwrap();
                state.0 = true;
                if let Some(waker) = state.1.take() {
                    waker.wake();
                }
            });
        }
        let (policy, half) = (Policy::default(), threads.split_off(35));
        let plan = std::thread::scope(|scope| {
            for some in [threads, half] {
                scope.spawn(|| some.into_iter().for_each(|thread| thread()));
            }
            futures_lite::future::block_on(registry.plan(&ctx, &policy)).unwrap()
        });
        assert_eq!(plan.candidates().len(), 70);
    }
}
