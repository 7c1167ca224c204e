//! What derivations are made from and what they give back.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod sim;

use std::fmt;
use std::sync::Arc;

use mimic::report::{InputKind, Outcome};
use mimic::{Ctx, Handle, Key, Plan, PlanError, Policy, Registry, default, map, opt, req};
use sim::{End, Scripted, Sim, good, now};

fn tcp() -> (Registry, Handle<Scripted>) {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    (registry, tcp)
}

fn plan(registry: &Registry, ctx: &Ctx) -> Result<Plan, PlanError> {
    now(registry.plan(ctx, &Policy::default()))
}

fn first(registry: &Registry, ctx: &Ctx) -> String {
    plan(registry, ctx).unwrap().candidates()[0].endpoint.to_string()
}

#[test]
fn req_passes_the_newest_value() {
    let (registry, tcp) = tcp();
    let port = Key::<u16>::shown("port");
    let ctx = Ctx::new().add(&port, 80).add(&port, 443).fold(
        tcp.endpoint(),
        (req(&port),),
        |(port,)| async move { Some(good(&port.to_string())) },
    );
    assert_eq!(first(&registry, &ctx), "443");
}

#[test]
fn a_missing_req_keeps_the_function_from_being_applied() {
    let (registry, tcp) = tcp();
    let port = Key::<u16>::shown("port");
    let ctx =
        Ctx::new().fold(tcp.endpoint(), req(&port), |_| async { unreachable!() as Option<End> });
    let error = plan(&registry, &ctx).unwrap_err();
    assert!(matches!(&error.report.derivations[0].outcome, Outcome::Lacked(key) if *key == "port"));
}

#[test]
fn opt_passes_what_there_is() {
    let (registry, tcp) = tcp();
    let name = Key::<&str>::shown("name");
    let ctx = Ctx::new().fold(tcp.endpoint(), opt(&name), |name| async move {
        Some(good(name.as_deref().unwrap_or(&"nobody")))
    });
    assert_eq!(first(&registry, &ctx), "nobody");
    assert_eq!(first(&registry, &ctx.add(&name, "somebody")), "somebody");
}

#[test]
fn default_passes_the_value_or_its_own() {
    let (registry, tcp) = tcp();
    let port = Key::<u16>::shown("port");
    let ctx = Ctx::new().fold(tcp.endpoint(), default(&port, 8080), |port| async move {
        Some(good(&port.to_string()))
    });
    let defaulted = plan(&registry, &ctx).unwrap();
    assert_eq!(defaulted.candidates()[0].endpoint.to_string(), "8080");
    assert_eq!(defaulted.report().derivations[0].inputs[0].kind, InputKind::Defaulted);
    let given = plan(&registry, &ctx.add(&port, 80)).unwrap();
    assert_eq!(given.candidates()[0].endpoint.to_string(), "80");
    assert_eq!(given.report().derivations[0].inputs[0].kind, InputKind::Default);
}

/// OCaml's mimic 0.0.9 gives the whole derivation up in the first and third case, and runs for
/// ever in the second when the circle is nested.
#[test]
fn a_default_applies_whenever_its_key_cannot_be_produced() {
    let (registry, tcp) = tcp();
    let (port, other) = (Key::<u16>::shown("port"), Key::<u16>::shown("other"));
    let base = Ctx::new().fold(tcp.endpoint(), default(&port, 9), |port| async move {
        Some(good(&port.to_string()))
    });
    let unsolvable = base.fold(&port, req(&other), |other| async move { Some(*other) });
    let cyclic = unsolvable.fold(&other, req(&port), |port| async move { Some(*port) });
    let nested = base.fold(&port, map(req(&port), |port| *port), |port| async move { Some(port) });
    let nothing = base.fold(&port, (), |()| async { None::<u16> });
    let failing = base.fold(&port, (), |()| async { "x".parse::<u16>() });
    for ctx in [&base, &unsolvable, &cyclic, &nested, &nothing, &failing] {
        assert_eq!(first(&registry, ctx), "9", "{}", ctx.dump());
    }
    // the same for an optional argument
    let optional = |ctx: &Ctx| {
        ctx.remove(tcp.endpoint()).fold(tcp.endpoint(), opt(&port), |port| async move {
            Some(good(&format!("{port:?}")))
        })
    };
    for ctx in [&base, &unsolvable, &cyclic, &nested, &nothing, &failing] {
        assert_eq!(first(&registry, &optional(ctx)), "None", "{}", ctx.dump());
    }
}

#[test]
fn map_passes_what_its_function_makes_of_its_own_arguments() {
    let (registry, tcp) = tcp();
    let (host, port) = (Key::<&str>::shown("host"), Key::<u16>::shown("port"));
    let address = || map((req(&host), default(&port, 80)), |(host, port)| format!("{host}:{port}"));
    let deep =
        map((address(), map((), |()| "!"), map(opt(&port), |port| port.is_some())), |parts| {
            format!("{}{}{}", parts.0, parts.1, parts.2)
        });
    let ctx = Ctx::new().fold(tcp.endpoint(), (deep, req(&host)), |(text, host)| async move {
        Some(good(&format!("{text} {host}")))
    });
    assert_eq!(first(&registry, &ctx.add(&host, "h")), "h:80!false h");
    assert_eq!(first(&registry, &ctx.add(&host, "h").add(&port, 1)), "h:1!true h");
    // a required key that lacks inside stops the whole
    let error = plan(&registry, &ctx).unwrap_err();
    assert!(matches!(&error.report.derivations[0].outcome, Outcome::Lacked(key) if *key == "host"));
}

#[test]
fn up_to_eight_arguments_and_nested_tuples() {
    let (registry, tcp) = tcp();
    let keys: Vec<Key<usize>> = (0..10).map(|n| Key::shown(format!("k{n}"))).collect();
    let values = keys.iter().enumerate().fold(Ctx::new(), |ctx, (n, key)| ctx.add(key, n));
    let r = |n: usize| req(&keys[n]);
    let ctx = values.fold(
        tcp.endpoint(),
        (r(0), r(1), r(2), r(3), r(4), r(5), r(6), (r(7), (r(8), r(9)), ())),
        |(a, b, c, d, e, f, g, (h, (i, j), ()))| async move {
            Some(good(&[a, b, c, d, e, f, g, h, i, j].map(|value| value.to_string()).concat()))
        },
    );
    assert_eq!(first(&registry, &ctx), "0123456789");
}

#[test]
fn one_key_may_be_asked_for_twice() {
    let (registry, tcp) = tcp();
    let port = Key::<u16>::shown("port");
    let ctx = Ctx::new().fold(&port, (), |()| async { Some(1) }).fold(
        tcp.endpoint(),
        (req(&port), opt(&port), default(&port, 2)),
        |(a, b, c)| async move { Some(good(&format!("{a}{b:?}{c}"))) },
    );
    assert_eq!(first(&registry, &ctx), "1Some(1)1");
}

#[derive(Debug)]
struct NoSuchHost;

impl fmt::Display for NoSuchHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such host")
    }
}

impl std::error::Error for NoSuchHost {}

/// OCaml's mimic 0.0.9 has no errors here: an exception escapes, and one of them means `None`.
#[test]
fn an_error_is_nothing_produced_and_is_kept() {
    let (registry, tcp) = tcp();
    let ctx = Ctx::new().fold(tcp.endpoint(), (), |()| async { Some(good("older")) }).fold(
        tcp.endpoint(),
        (),
        |()| async { Err::<End, _>(NoSuchHost) },
    );
    let plan = plan(&registry, &ctx).unwrap();
    assert_eq!(plan.candidates().len(), 1);
    let Outcome::Failed(error) = &plan.report().derivations[0].outcome else { panic!() };
    assert!(error.downcast_ref::<NoSuchHost>().is_some());
    assert_eq!(plan.report().missing[0].to_string(), "tcp: no such host");
}

#[test]
fn values_are_shared_and_not_copied() {
    struct NotClone(u8);
    let (registry, tcp) = tcp();
    let key = Key::<NotClone>::new("big");
    let ctx =
        Ctx::new().add(&key, NotClone(7)).fold(tcp.endpoint(), req(&key), |value| async move {
            let held: Arc<NotClone> = value;
            Some(good(&held.0.to_string()))
        });
    assert_eq!(first(&registry, &ctx), "7");
}
