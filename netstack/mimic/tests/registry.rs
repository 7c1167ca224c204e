//! The registry as a value: layers, unregistering, injected and downcast flows.

mod sim;

use mimic::report::AttemptResult;
use mimic::{BoxFlow, Ctx, Policy, Registry};
use sim::{Pipe, Scripted, Sim, bad, good, now};

/// OCaml's mimic 0.0.9 has one table for the whole process, and nothing leaves it.
#[test]
fn registries_do_not_know_of_one_another() {
    let protocol = Scripted::new(&Sim::new());
    let (mut one, mut two) = (Registry::new(), Registry::new());
    let tcp = one.register("tcp", None, protocol.clone());
    two.register("tcp", None, protocol);
    let ctx = Ctx::new().add(tcp.endpoint(), good("a"));
    assert!(now(one.resolve(&ctx, &Policy::default())).is_ok());
    assert!(now(two.resolve(&ctx, &Policy::default())).is_err());
}

#[test]
fn a_layer_adds_to_its_parent_and_leaves_it_alone() {
    let protocol = Scripted::new(&Sim::new());
    let mut parent = Registry::new();
    let tcp = parent.register("tcp", None, protocol.clone());
    let mut layer = Registry::over(&parent);
    let tls = layer.register("tls", 10, protocol.clone());
    let ctx = Ctx::new().add(tcp.endpoint(), good("tcp")).add(tls.endpoint(), good("tls"));
    let through = |registry: &Registry| {
        now(registry.resolve(&ctx, &Policy::default())).map(|connected| connected.protocol)
    };
    assert_eq!(through(&layer).unwrap(), "tls");
    assert_eq!(through(&parent).unwrap(), "tcp");
    assert_eq!((parent.len(), layer.len()), (1, 2));

    // what a layer takes out is still in the parent, and the reverse
    assert!(layer.unregister(&tls));
    assert!(layer.unregister(&tcp));
    assert!(layer.is_empty());
    assert_eq!(through(&parent).unwrap(), "tcp");
    let layer = Registry::over(&parent);
    assert!(parent.unregister(&tcp));
    assert_eq!(through(&layer).unwrap(), "tcp");
    assert!(through(&parent).is_err());
}

#[test]
fn an_unregistered_protocol_is_not_planned_for() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    let tls = registry.register("tls", 10, protocol);
    let ctx = Ctx::new().add(tcp.endpoint(), good("tcp")).add(tls.endpoint(), good("tls"));
    assert!(registry.unregister(&tls));
    assert!(!registry.unregister(&tls), "it is there no more");
    let connected = now(registry.resolve(&ctx, &Policy::default())).unwrap();
    assert_eq!(connected.protocol, "tcp");
    assert_eq!(connected.report.plan.len(), 1);
}

#[test]
fn a_plan_passes_over_what_was_unregistered_since() {
    let sim = Sim::new();
    let protocol = Scripted::new(&sim);
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    let tls = registry.register("tls", 10, protocol.clone());
    let ctx = Ctx::new()
        .add(tcp.endpoint(), good("tcp"))
        .add(tls.endpoint(), good("tls"))
        .add(tls.endpoint(), good("tls too"));
    for stagger in [None, Some(sim::MS)] {
        let mut registry = Registry::over(&registry);
        let policy = Policy { stagger, ..sim.policy() };
        let plan = sim.run(registry.plan(&ctx, &policy)).unwrap();
        registry.unregister(&tls);
        let connected = sim.run(registry.connect(&plan, &policy)).unwrap();
        assert_eq!(connected.protocol, "tcp");
        use AttemptResult::{Connected, Unregistered};
        let results: Vec<_> = connected.report.attempts.iter().map(|a| &a.result).collect();
        assert!(matches!(results[..], [Unregistered, Unregistered, Connected]));
    }
    registry.unregister(&tcp);
    registry.unregister(&tls);
    assert_eq!(protocol.dialed(), ["tcp", "tcp"]);
}

#[test]
fn a_connected_flow_can_be_downcast_by_its_handle_only() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    let twin = registry.register("tcp", None, protocol);
    let ctx = Ctx::new().add(tcp.endpoint(), good("a"));
    let mut flow = now(registry.resolve(&ctx, &Policy::default())).unwrap().flow;
    assert_eq!(flow.protocol(), "tcp");
    assert_eq!(format!("{flow} {flow:?}"), "pipe a BoxFlow(pipe a)");
    // the same type, another registration
    assert!(twin.downcast_ref(&flow).is_none());
    assert!(twin.downcast_mut(&mut flow).is_none());
    let mut flow = twin.downcast(flow).unwrap_err();
    tcp.downcast_mut(&mut flow).unwrap().label.push('!');
    assert_eq!(tcp.downcast_ref(&flow).unwrap().label, "a!");
    assert_eq!(tcp.clone().downcast(flow).unwrap().label, "a!");
}

/// The server's side: an accepted connection goes through the same code as a resolved one.
#[test]
fn an_accepted_flow_is_injected() {
    async fn ping(flow: &mut BoxFlow) -> Vec<u8> {
        let mut buf = [0; 16];
        flow.write_all(b"ping").await.unwrap();
        let count = flow.read(&mut buf).await.unwrap();
        buf[..count].to_vec()
    }
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
    let mut accepted = tcp.inject(Pipe::new("accepted"));
    assert_eq!(accepted.protocol(), tcp.name());
    assert_eq!(now(ping(&mut accepted)), b"ping");
    assert_eq!(tcp.downcast(accepted).unwrap().calls, ["write", "read"]);
}

#[test]
fn a_protocol_without_endpoint_is_no_hindrance() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    registry.register("ssh", 0, protocol.clone());
    let tcp = registry.register("tcp", None, protocol);
    let ctx = Ctx::new().add(tcp.endpoint(), bad("old")).add(tcp.endpoint(), good("new"));
    let report = now(registry.resolve(&ctx, &Policy::default())).unwrap().report;
    assert_eq!(report.missing[0].to_string(), "ssh: not given");
    assert_eq!(format!("{registry:?}"), "[\"ssh\", \"tcp\"]");
}
