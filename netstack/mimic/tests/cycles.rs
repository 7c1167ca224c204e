//! Keys that lead in a circle: what is named, what is produced all the same.
//!
//! OCaml's mimic 0.0.9 declares an error for cycles and never gives it; a cycle through nested
//! arguments makes it recurse without bound.

mod sim;

use mimic::report::{Lack, Outcome};
use mimic::{
    Ctx, Handle, Key, Plan, PlanError, PlanFailure, Policy, Registry, default, map, opt, req,
};
use sim::{Scripted, Sim, good, now};

fn tcp() -> (Registry, Handle<Scripted>) {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    (registry, tcp)
}

fn plan(registry: &Registry, ctx: &Ctx) -> Result<Plan, PlanError> {
    now(registry.plan(ctx, &Policy::default()))
}

fn cycles(report: &mimic::Report) -> Vec<String> {
    report.cycles.iter().map(|cycle| cycle.to_string()).collect()
}

fn keys<const N: usize>(names: [&'static str; N]) -> [Key<u32>; N] {
    names.map(Key::shown)
}

#[test]
fn a_cycle_is_an_error_that_names_its_keys_in_order() {
    let (registry, tcp) = tcp();
    let [a, b, c] = keys(["a", "b", "c"]);
    let ctx = Ctx::new()
        .fold(tcp.endpoint(), req(&a), |_| async { Some(good("tcp")) })
        .fold(&a, req(&b), |b| async move { Some(*b) })
        .fold(&b, req(&c), |c| async move { Some(*c) })
        .fold(&c, req(&a), |a| async move { Some(*a) });
    let error = plan(&registry, &ctx).unwrap_err();
    assert_eq!(error.kind, PlanFailure::Cycle);
    assert_eq!(cycles(&error.report), ["a → b → c → a"]);
    let text = "no protocol has an endpoint: tcp needs a: cycle a → b → c → a";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_cycle_through_nested_arguments_is_found() {
    let (registry, tcp) = tcp();
    let [a, b] = keys(["a", "b"]);
    let ctx = Ctx::new()
        .fold(tcp.endpoint(), map(req(&a), |a| *a), |_| async { Some(good("tcp")) })
        .fold(&a, map(map(req(&b), |b| *b), |b| b + 1), |b| async move { Some(b) })
        .fold(&b, ((), map((req(&a),), |(a,)| *a)), |((), a)| async move { Some(a) });
    let error = plan(&registry, &ctx).unwrap_err();
    assert_eq!(error.kind, PlanFailure::Cycle);
    assert_eq!(cycles(&error.report), ["a → b → a"]);
}

#[test]
fn a_key_derived_from_itself() {
    let (registry, tcp) = tcp();
    let ctx = Ctx::new().fold(tcp.endpoint(), req(tcp.endpoint()), |tcp| async move {
        Some(sim::End::clone(&tcp))
    });
    let error = plan(&registry, &ctx).unwrap_err();
    assert_eq!(cycles(&error.report), ["tcp → tcp"]);
    assert_eq!(error.report.missing[0].to_string(), "tcp: cycle tcp → tcp");
    // a value of the key breaks it: it is what the derivation is given
    let plan = plan(&registry, &ctx.add(tcp.endpoint(), good("given"))).unwrap();
    assert_eq!(plan.candidates().len(), 2);
    assert!(plan.report().cycles.is_empty());
}

#[test]
fn a_value_anywhere_in_the_circle_is_no_cycle() {
    let (registry, tcp) = tcp();
    let [name, address] = keys(["name", "address"]);
    let ctx = Ctx::new()
        .fold(&name, req(&address), |address| async move { Some(*address + 1) })
        .fold(&address, req(&name), |name| async move { Some(*name + 10) })
        .fold(tcp.endpoint(), (req(&name), req(&address)), |(name, address)| async move {
            Some(good(&format!("{name} {address}")))
        });
    assert_eq!(plan(&registry, &ctx).unwrap_err().kind, PlanFailure::Cycle);
    let by_name = plan(&registry, &ctx.add(&name, 100)).unwrap();
    assert_eq!(by_name.candidates()[0].endpoint.to_string(), "100 110");
    let by_address = plan(&registry, &ctx.add(&address, 200)).unwrap();
    assert_eq!(by_address.candidates()[0].endpoint.to_string(), "201 200");
}

#[test]
fn another_derivation_leads_out_of_the_circle() {
    let (registry, tcp) = tcp();
    let [name, address] = keys(["name", "address"]);
    // the older derivation of `name` needs nothing
    let ctx =
        Ctx::new()
            .fold(&name, (), |()| async { Some(1) })
            .fold(&name, req(&address), |address| async move { Some(*address) })
            .fold(&address, req(&name), |name| async move { Some(*name + 1) })
            .fold(tcp.endpoint(), req(&address), |address| async move {
                Some(good(&address.to_string()))
            });
    let plan = plan(&registry, &ctx).unwrap();
    assert_eq!(plan.candidates()[0].endpoint.to_string(), "2");
    assert_eq!(cycles(plan.report()), ["address → name → address"]);
    let name: Vec<&Outcome> = plan
        .report()
        .derivations
        .iter()
        .filter(|derived| derived.key == "name")
        .map(|derived| &derived.outcome)
        .collect();
    assert!(matches!(name[..], [Outcome::Cyclic(0), Outcome::Produced(_)]));
}

#[test]
fn an_optional_argument_in_the_circle_is_left_out() {
    let (registry, tcp) = tcp();
    let [a, b] = keys(["a", "b"]);
    let ctx = Ctx::new()
        .fold(&a, opt(&b), |b| async move { Some(b.map_or(1, |b| *b)) })
        .fold(&b, req(&a), |a| async move { Some(*a + 1) })
        .fold(tcp.endpoint(), (req(&a), req(&b)), |(a, b)| async move {
            Some(good(&format!("{a} {b}")))
        });
    let plan = plan(&registry, &ctx).unwrap();
    assert_eq!(plan.candidates()[0].endpoint.to_string(), "1 2");
    assert_eq!(cycles(plan.report()), ["a → b → a"]);
}

#[test]
fn all_optional_arguments_of_a_circle_are_treated_alike() {
    let (registry, tcp) = tcp();
    let [a, b] = keys(["a", "b"]);
    let base = Ctx::new().fold(&a, default(&b, 10), |b| async move { Some(*b + 1) }).fold(
        &b,
        default(&a, 20),
        |a| async move { Some(*a + 1) },
    );
    // whichever is asked for first
    for (first, second) in [(&a, &b), (&b, &a)] {
        let ctx =
            base.fold(tcp.endpoint(), (req(first), req(second)), |_| async { Some(good("tcp")) });
        let plan = plan(&registry, &ctx).unwrap();
        assert_eq!(plan.get(&a).as_deref(), Some(&11));
        assert_eq!(plan.get(&b).as_deref(), Some(&21));
    }
}

#[test]
fn what_only_leads_into_a_circle_is_told_so() {
    let (registry, tcp) = tcp();
    let [a, b, x] = keys(["a", "b", "x"]);
    let ctx = Ctx::new()
        .fold(tcp.endpoint(), req(&x), |_| async { Some(good("tcp")) })
        .fold(&x, (default(&b, 1), req(&a)), |(_, a)| async move { Some(*a) })
        .fold(&a, req(&b), |b| async move { Some(*b) })
        .fold(&b, req(&a), |a| async move { Some(*a) });
    let error = plan(&registry, &ctx).unwrap_err();
    let missing = &error.report.missing[0];
    assert!(matches!(missing.cause, Lack::Cyclic(_)));
    assert_eq!(missing.to_string(), "tcp needs x ← a: cycle b → a → b");
}

#[test]
fn other_candidates_do_not_suffer_from_a_cycle() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    let tls = registry.register("tls", 0, protocol);
    let ctx = Ctx::new().add(tcp.endpoint(), good("tcp")).fold(
        tls.endpoint(),
        req(tls.endpoint()),
        |_| async { Some(good("tls")) },
    );
    let connected = now(registry.resolve(&ctx, &Policy::default())).unwrap();
    assert_eq!(connected.protocol, "tcp");
    assert_eq!(connected.report.missing[0].to_string(), "tls: cycle tls → tls");
}

#[test]
fn several_circles_are_all_named() {
    let (registry, tcp) = tcp();
    let [a, b, c, d] = keys(["a", "b", "c", "d"]);
    let ctx = Ctx::new()
        .fold(tcp.endpoint(), req(&a), |_| async { Some(good("tcp")) })
        .fold(tcp.endpoint(), req(&d), |_| async { Some(good("tcp")) })
        .fold(&a, (req(&b), req(&c)), |(b, c)| async move { Some(*b + *c) })
        .fold(&b, req(&a), |a| async move { Some(*a) })
        .fold(&c, req(&a), |a| async move { Some(*a) })
        .fold(&d, req(&d), |d| async move { Some(*d) });
    let error = plan(&registry, &ctx).unwrap_err();
    let mut named = cycles(&error.report);
    named.sort();
    assert_eq!(named, ["a → b → a", "a → c → a", "d → d"]);
}

#[test]
fn long_circles_and_long_chains_of_circles() {
    const LENGTH: usize = 20_000;
    let (registry, tcp) = tcp();
    let keys: Vec<Key<usize>> = (0..LENGTH).map(|n| Key::shown(format!("k{n}"))).collect();
    let root = |ctx: Ctx| ctx.fold(tcp.endpoint(), req(&keys[0]), |_| async { Some(good("tcp")) });
    let mut ring = Ctx::new();
    for n in 0..LENGTH {
        ring =
            ring.fold(&keys[n], req(&keys[(n + 1) % LENGTH]), |below| async move { Some(*below) });
    }
    let error = plan(&registry, &root(ring)).unwrap_err();
    assert_eq!(error.report.cycles.len(), 1);
    assert_eq!(error.report.cycles[0].keys.len(), LENGTH);

    // each pair is a circle that an older derivation opens, once the pair below it is settled
    let mut chain = Ctx::new();
    for n in (0..LENGTH - 2).step_by(2) {
        chain = chain
            .fold(&keys[n], req(&keys[n + 2]), |below| async move { Some(*below + 1) })
            .fold(&keys[n], (req(&keys[n + 1]), req(&keys[n + 2])), |_| async { None::<usize> })
            .fold(&keys[n + 1], req(&keys[n]), |above| async move { Some(*above) });
    }
    let chain = chain
        .fold(&keys[LENGTH - 2], (), |()| async { Some(1) })
        .fold(&keys[LENGTH - 2], req(&keys[LENGTH - 1]), |below| async move { Some(*below) })
        .fold(&keys[LENGTH - 1], req(&keys[LENGTH - 2]), |above| async move { Some(*above) });
    let plan = plan(&registry, &root(chain)).unwrap();
    assert_eq!(plan.get(&keys[0]).as_deref(), Some(&(LENGTH / 2)));
    assert_eq!(plan.report().cycles.len(), LENGTH / 2);
}
