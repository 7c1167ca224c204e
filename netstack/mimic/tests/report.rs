//! What the report tells, as data and as text.

mod sim;

use std::fmt;

use mimic::report::{InputKind, Lack, Origin};
use mimic::{Ctx, Key, Policy, Registry, default, map, opt, req};
use sim::{End, MS, Scripted, Sim, bad, good, now};

#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("handshake failed")
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("certificate\x1b[31m\nexpired")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl std::error::Error for Inner {}

#[test]
fn a_missing_requirement_names_the_chain() {
    let mut registry = Registry::new();
    let tls = registry.register("tls", None, Scripted::new(&Sim::new()));
    let config = Key::<u8>::new("tls-config");
    let authenticator = Key::<u8>::new("authenticator");
    let ctx = Ctx::new().fold(tls.endpoint(), req(&config), |_| async { Some(good("tls")) }).fold(
        &config,
        map(req(&authenticator), |a| *a),
        |a| async move { Some(a) },
    );
    let report = now(registry.plan(&ctx, &Policy::default())).unwrap_err().report;
    let missing = &report.missing[0];
    let text = "tls needs tls-config ← authenticator: not given";
    assert_eq!(missing.to_string(), text);
    assert_eq!(missing.chain, ["tls", "tls-config", "authenticator"]);
    assert!(matches!(missing.cause, Lack::NotGiven));
    assert_eq!((missing.elided, missing.derivation), (0, Some(0)));

    let nothing = ctx.fold(&authenticator, (), |()| async { None::<u8> });
    let report = now(registry.plan(&nothing, &Policy::default())).unwrap_err().report;
    let text = "tls needs tls-config ← authenticator: its derivation produced nothing";
    assert_eq!(report.missing[0].to_string(), text);
    let failed = nothing.fold(&authenticator, (), |()| async { "x".parse::<u8>() });
    let report = now(registry.plan(&failed, &Policy::default())).unwrap_err().report;
    let text = "tls needs tls-config ← authenticator: invalid digit found in string";
    assert_eq!(report.missing[0].to_string(), text);
}

#[test]
fn a_report_is_readable_at_a_glance() {
    let sim = Sim::new();
    let protocol = Scripted::new(&sim);
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    let tls = registry.register("tls", 10, protocol.clone());
    registry.register("ssh", 20, protocol);
    let host = Key::<&str>::shown("host");
    let port = Key::<u16>::shown("port");
    let token = Key::<&str>::secret("token");
    let address = Key::<[u8; 4]>::described("address", |a, f| {
        write!(f, "{}.{}.{}.{}", a[0], a[1], a[2], a[3])
    });
    let config = Key::<u8>::new("tls-config");
    let clock = sim.clone();
    let ctx = Ctx::new()
        .add(&host, "example.com")
        .add(&token, "hunter2")
        .add(tcp.endpoint(), bad("backup:80").after(MS * 3))
        .fold(&address, req(&host), move |_| {
            let wait = clock.wait(MS * 12);
            async move {
                wait.await;
                Some([10, 0, 2, 2])
            }
        })
        .fold(&config, (), |()| async { Err::<u8, _>(Outer(Inner)) })
        .fold(
            tcp.endpoint(),
            (req(&address), default(&port, 80), opt(&token)),
            |(address, port, _)| async move {
                let label = format!("{}.0.2.2:{port}", address[0]);
                Some(good(&label).after(std::time::Duration::from_micros(1234)))
            },
        )
        .fold(tls.endpoint(), (req(&config), req(&address)), |_| async { None::<End> });
    let report = sim.run(registry.resolve(&ctx, &sim.policy())).unwrap().report;
    let expected = "\
values
  host   example.com
  token  (redacted)
  tcp    backup:80
derivations
  tls         not run without tls-config
  tcp         0 ms  10.0.2.2:80  from address = 10.0.2.2, port = 80 by default, token = (redacted)
  tls-config  0 ms  handshake failed: certificate\\u{1b}[31m\\nexpired
  address     12 ms  10.0.2.2  from host = example.com
plan
  1. tcp backup:80    no priority, given
  2. tcp 10.0.2.2:80  no priority, derived
  -  tls              priority 10: tls needs tls-config: handshake failed: certificate\\u{1b}[31m\\nexpired
  -  ssh              priority 20: ssh: not given
attempts
  tcp backup:80    12 ms–15 ms  backup:80 refused
  tcp 10.0.2.2:80  15 ms–16 ms  connected
connected: tcp 10.0.2.2:80 after 16 ms";
    assert_eq!(report.to_string(), expected);
    for text in [report.to_string(), format!("{report:?}"), format!("{report:#?}")] {
        assert!(!text.contains("hunter2"));
    }
}

#[test]
fn a_report_without_clock_has_no_times() {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    let ctx = Ctx::new()
        .add(tcp.endpoint(), bad("old"))
        .fold(tcp.endpoint(), (), |()| async { Some(bad("derived")) })
        .add(tcp.endpoint(), bad("new"));
    let error = now(registry.resolve(&ctx, &Policy::default())).unwrap_err();
    let expected = "\
values
  tcp  new
  tcp  old
derivations
  tcp  derived
plan
  1. tcp new      no priority, given
  2. tcp old      no priority, given, 1 newer
  3. tcp derived  no priority, derived
attempts
  tcp new      new refused
  tcp old      old refused
  tcp derived  derived refused
not connected";
    assert_eq!(error.report().to_string(), expected);
    let origins: Vec<Origin> = error.report().plan.iter().map(|c| c.origin).collect();
    assert_eq!(origins, [Origin::Value(0), Origin::Value(1), Origin::Derivation(0)]);
}

#[test]
fn a_cyclic_configuration_is_named() {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    let (name, address) = (Key::<u8>::shown("name"), Key::<u8>::shown("address"));
    let ctx = Ctx::new()
        .fold(&name, req(&address), |a| async move { Some(*a) })
        .fold(&address, req(&name), |n| async move { Some(*n) })
        .fold(tcp.endpoint(), req(&address), |_| async { Some(good("x")) });
    let error = now(registry.plan(&ctx, &Policy::default())).unwrap_err();
    let expected = "\
derivations
  tcp      not run without address
  address  not run, it leads back to itself
  name     not run, it leads back to itself
plan
  -  tcp  no priority: tcp needs address: cycle address → name → address
cycles
  address → name → address
not connected";
    assert_eq!(error.report.to_string(), expected);
    assert_eq!(error.report.derivations[0].inputs[0].kind, InputKind::Required);
}
