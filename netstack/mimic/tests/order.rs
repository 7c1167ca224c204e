//! In which order candidates are listed and connected.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod sim;

use mimic::{Ctx, Plan, Policy, Registry};
use sim::{Scripted, Sim, bad, good, now};

fn labels(plan: &Plan) -> Vec<String> {
    plan.candidates().iter().map(|candidate| candidate.endpoint.to_string()).collect()
}

fn plan(registry: &Registry, ctx: &Ctx) -> Vec<String> {
    labels(&now(registry.plan(ctx, &Policy::default())).unwrap())
}

#[test]
fn lower_priority_numbers_first_and_those_without_last() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let plain = registry.register("plain", None, protocol.clone());
    let twenty = registry.register("twenty", 20, protocol.clone());
    let zero = registry.register("zero", 0, protocol.clone());
    let ten = registry.register("ten", Some(10), protocol);
    let ctx = Ctx::new()
        .add(plain.endpoint(), good("plain"))
        .add(twenty.endpoint(), good("20"))
        .add(ten.endpoint(), good("10"))
        .add(zero.endpoint(), good("0"));
    assert_eq!(plan(&registry, &ctx), ["0", "10", "20", "plain"]);
}

#[test]
fn newest_first_within_a_key_and_older_ones_stay() {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    let ctx = Ctx::new()
        .add(tcp.endpoint(), good("v1"))
        .fold(tcp.endpoint(), (), |()| async { Some(good("d1")) })
        .add(tcp.endpoint(), good("v2"))
        .fold(tcp.endpoint(), (), |()| async { Some(good("d2")) })
        .add(tcp.endpoint(), good("v3"));
    // values beat derivations, and the same rule orders both
    assert_eq!(plan(&registry, &ctx), ["v3", "v2", "v1", "d2", "d1"]);
}

#[test]
fn ties_are_by_insertion_order_for_values_and_for_derivations() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let a = registry.register("a", None, protocol.clone());
    let b = registry.register("b", None, protocol.clone());
    let c = registry.register("c", None, protocol);
    // not the order of registration
    let values = Ctx::new()
        .add(c.endpoint(), good("c"))
        .add(a.endpoint(), good("a"))
        .add(b.endpoint(), good("b"));
    assert_eq!(plan(&registry, &values), ["c", "a", "b"]);
    let derived = Ctx::new()
        .fold(c.endpoint(), (), |()| async { Some(good("c")) })
        .fold(a.endpoint(), (), |()| async { Some(good("a")) })
        .fold(b.endpoint(), (), |()| async { Some(good("b")) });
    assert_eq!(plan(&registry, &derived), ["c", "a", "b"]);
}

#[test]
fn a_key_keeps_the_place_of_its_first_binding() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let a = registry.register("a", None, protocol.clone());
    let b = registry.register("b", None, protocol);
    let ctx = Ctx::new()
        .add(a.endpoint(), good("a1"))
        .add(b.endpoint(), good("b1"))
        .add(a.endpoint(), good("a2"));
    assert_eq!(plan(&registry, &ctx), ["a2", "a1", "b1"]);
    assert_eq!(plan(&registry, &ctx.replace(a.endpoint(), good("a3"))), ["a3", "b1"]);
    let moved = ctx.remove(a.endpoint()).add(a.endpoint(), good("a3"));
    assert_eq!(plan(&registry, &moved), ["b1", "a3"]);
}

#[test]
fn given_endpoints_come_before_derived_ones_of_the_same_priority_only() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let derived = registry.register("derived", 5, protocol.clone());
    let given = registry.register("given", 5, protocol.clone());
    let later = registry.register("later", 6, protocol);
    let ctx = Ctx::new()
        .add(later.endpoint(), good("later"))
        .fold(derived.endpoint(), (), |()| async { Some(good("derived")) })
        .add(given.endpoint(), good("given"));
    assert_eq!(plan(&registry, &ctx), ["given", "derived", "later"]);
}

#[test]
fn connecting_follows_the_plan_until_one_succeeds() {
    let sim = Sim::new();
    let protocol = Scripted::new(&sim);
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    let tls = registry.register("tls", 10, protocol.clone());
    let ctx = Ctx::new()
        .add(tcp.endpoint(), good("tcp old"))
        .add(tcp.endpoint(), good("tcp new"))
        .add(tls.endpoint(), bad("tls old"))
        .add(tls.endpoint(), bad("tls new"));
    let connected = now(registry.resolve(&ctx, &Policy::default())).unwrap();
    assert_eq!(protocol.dialed(), ["tls new", "tls old", "tcp new"]);
    assert_eq!(connected.protocol, "tcp");
    assert_eq!(connected.flow.to_string(), "pipe tcp new");
}
