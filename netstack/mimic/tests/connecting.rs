//! Connecting: causes, times, races, the deadline, and what is left after a drop.

mod sim;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mimic::report::{AttemptResult, Outcome};
use mimic::{ConnectFailure, Ctx, Handle, Key, PlanFailure, Policy, Registry, ResolveError, req};
use sim::{End, Live, MS, Refused, Scripted, Sim, bad, good, now};

struct World {
    sim: Sim,
    protocol: Scripted,
    registry: Registry,
    tcp: Handle<Scripted>,
}

fn world() -> World {
    let sim = Sim::new();
    let protocol = Scripted::new(&sim);
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, protocol.clone());
    World { sim, protocol, registry, tcp }
}

impl World {
    /// A context whose candidates are these, in order.
    fn ctx(&self, ends: impl IntoIterator<Item = End, IntoIter: DoubleEndedIterator>) -> Ctx {
        let newest_last = ends.into_iter().rev();
        newest_last.fold(Ctx::new(), |ctx, end| ctx.add(self.tcp.endpoint(), end))
    }

    fn live(&self) -> usize {
        self.protocol.live.load(Ordering::SeqCst)
    }
}

fn times(report: &mimic::Report) -> Vec<(String, u128, u128)> {
    let attempts = report.attempts.iter();
    attempts
        .map(|attempt| {
            let span = attempt.span;
            (attempt.endpoint.to_string(), span.start.as_millis(), span.end.as_millis())
        })
        .collect()
}

fn row(label: &str, start: u128, end: u128) -> (String, u128, u128) {
    (label.to_owned(), start, end)
}

/// OCaml's mimic 0.0.9 tells "No connection found", whatever was tried.
#[test]
fn the_error_has_every_candidate_with_cause_and_times() {
    let w = world();
    let ctx = w.ctx([bad("a").after(MS * 10), bad("b"), bad("c").after(MS * 5)]);
    let ResolveError::Connect(error) =
        w.sim.run(w.registry.resolve(&ctx, &w.sim.policy())).unwrap_err()
    else {
        panic!("there was a plan")
    };
    assert_eq!(error.kind, ConnectFailure::AllFailed);
    let report = &error.report;
    assert_eq!(times(report), [row("a", 0, 10), row("b", 10, 10), row("c", 10, 15)]);
    for (attempt, label) in report.attempts.iter().zip(["a", "b", "c"]) {
        let cause = attempt.result.error().unwrap();
        assert_eq!(cause.downcast_ref(), Some(&Refused(label.to_owned())));
        assert_eq!(report.plan[attempt.candidate].endpoint.to_string(), label);
    }
    assert_eq!(report.winner, None);
    assert_eq!(report.span.end, MS * 15);
    let text = "no candidate connected: tcp a: a refused; tcp b: b refused; tcp c: c refused";
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_first_success_wins_and_the_rest_is_not_tried() {
    let w = world();
    let ctx = w.ctx([bad("a").after(MS), good("b").after(MS * 2), good("c")]);
    let connected = w.sim.run(w.registry.resolve(&ctx, &w.sim.policy())).unwrap();
    assert_eq!(w.protocol.dialed(), ["a", "b"]);
    assert_eq!(times(&connected.report), [row("a", 0, 1), row("b", 1, 3)]);
    assert_eq!(connected.report.winner, Some(1));
    assert!(matches!(connected.report.attempts[1].result, AttemptResult::Connected));
}

#[test]
fn a_plan_can_be_connected_more_than_once() {
    let w = world();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let ctx = Ctx::new().fold(w.tcp.endpoint(), (), move |()| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Some(good("a").after(MS)) }
    });
    let policy = w.sim.policy();
    let plan = w.sim.run(w.registry.plan(&ctx, &policy)).unwrap();
    for _ in 0..3 {
        let connected = w.sim.run(w.registry.connect(&plan, &policy)).unwrap();
        assert_eq!(times(&connected.report), [row("a", 0, 1)], "from the call of connect");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(w.sim.time(), MS * 3);
}

#[test]
fn candidates_of_equal_priority_race_with_a_stagger() {
    let w = world();
    let ctx = w.ctx([good("a").after(MS * 1000), good("b").after(MS * 30), good("c").after(MS)]);
    let policy = Policy { stagger: Some(MS * 20), ..w.sim.policy() };
    let connected = w.sim.run(w.registry.resolve(&ctx, &policy)).unwrap();
    // c starts at 40 and is done at 41, b would be done at 50
    assert_eq!(times(&connected.report), [row("a", 0, 41), row("b", 20, 41), row("c", 40, 41)]);
    let results: Vec<&AttemptResult> =
        connected.report.attempts.iter().map(|attempt| &attempt.result).collect();
    use AttemptResult::{Cancelled, Connected};
    assert!(matches!(results[..], [Cancelled, Cancelled, Connected]));
    assert_eq!((w.live(), w.sim.alarms()), (0, 0), "nothing of the others stays");
}

#[test]
fn in_a_race_a_failure_starts_the_next_at_once() {
    let w = world();
    let ctx = w.ctx([
        good("a").after(MS * 100),
        bad("b").after(MS * 5),
        bad("c"),
        good("d").after(MS * 1),
        good("e"),
    ]);
    let policy = Policy { stagger: Some(MS * 20), ..w.sim.policy() };
    let connected = w.sim.run(w.registry.resolve(&ctx, &policy)).unwrap();
    let expected = [row("a", 0, 26), row("b", 20, 25), row("c", 25, 25), row("d", 25, 26)];
    assert_eq!(times(&connected.report), expected);
}

#[test]
fn candidates_of_another_priority_do_not_race() {
    let sim = Sim::new();
    let protocol = Scripted::new(&sim);
    let mut registry = Registry::new();
    let first = registry.register("first", 1, protocol.clone());
    let second = registry.register("second", 2, protocol.clone());
    let last = registry.register("last", None, protocol);
    let ctx = Ctx::new()
        .add(first.endpoint(), bad("1").after(MS * 100))
        .add(second.endpoint(), bad("2").after(MS * 100))
        .add(second.endpoint(), bad("2 too").after(MS * 100))
        .add(last.endpoint(), good("3"));
    let policy = Policy { stagger: Some(MS * 10), ..sim.policy() };
    let connected = sim.run(registry.resolve(&ctx, &policy)).unwrap();
    let expected =
        [row("1", 0, 100), row("2 too", 100, 200), row("2", 110, 210), row("3", 210, 210)];
    assert_eq!(times(&connected.report), expected);
}

#[test]
fn without_a_stagger_nothing_races() {
    let w = world();
    let ctx = w.ctx([bad("a").after(MS * 1000), good("b")]);
    let connected = w.sim.run(w.registry.resolve(&ctx, &w.sim.policy())).unwrap();
    assert_eq!(times(&connected.report), [row("a", 0, 1000), row("b", 1000, 1000)]);
}

/// A derivation that takes a while, and whose work is counted while it lives.
fn slow(ctx: &Ctx, key: &Key<u32>, sim: &Sim, live: &Arc<AtomicUsize>, after: Duration) -> Ctx {
    let (sim, live) = (sim.clone(), Arc::clone(live));
    ctx.fold(key, (), move |()| {
        let (wait, live) = (sim.wait(after), Live::new(&live));
        async move {
            wait.await;
            drop(live);
            Some(1)
        }
    })
}

#[test]
fn one_deadline_covers_derivations_and_connecting() {
    let w = world();
    let key = Key::<u32>::shown("slow");
    let live = Arc::default();
    let ctx = slow(&Ctx::new(), &key, &w.sim, &live, MS * 60).fold(
        w.tcp.endpoint(),
        req(&key),
        |_| async { Some(good("a").after(MS * 60)) },
    );
    let policy = Policy { deadline: Some(MS * 100), ..w.sim.policy() };
    let error = w.sim.run(w.registry.resolve(&ctx, &policy)).unwrap_err();
    assert!(error.is_timeout());
    let ResolveError::Connect(error) = error else { panic!("there was a plan") };
    assert_eq!(times(&error.report), [row("a", 60, 100)]);
    assert!(matches!(error.report.attempts[0].result, AttemptResult::TimedOut));
    assert_eq!(w.sim.time(), MS * 100);
    assert_eq!((w.live(), w.sim.alarms()), (0, 0));
}

#[test]
fn the_deadline_ends_derivations_too() {
    let w = world();
    let key = Key::<u32>::shown("slow");
    let live = Arc::new(AtomicUsize::new(0));
    let ctx = slow(&Ctx::new(), &key, &w.sim, &live, MS * 200)
        .fold(w.tcp.endpoint(), req(&key), |_| async { Some(good("a")) })
        .add(w.tcp.endpoint(), good("given"));
    let policy = Policy { deadline: Some(MS * 100), ..w.sim.policy() };
    let error = w.sim.run(w.registry.resolve(&ctx, &policy)).unwrap_err();
    assert!(error.is_timeout());
    let ResolveError::Plan(error) = error else { panic!("there was no plan") };
    assert_eq!(error.kind, PlanFailure::TimedOut);
    assert_eq!(error.report.plan.len(), 1, "what was known is told");
    assert!(error.report.derivations.iter().all(|d| matches!(d.outcome, Outcome::Unfinished)));
    assert_eq!(live.load(Ordering::SeqCst), 0);
    assert_eq!((w.sim.time(), w.sim.alarms()), (MS * 100, 0));
}

#[test]
fn a_result_at_the_deadline_counts() {
    let w = world();
    let policy = Policy { deadline: Some(MS * 100), ..w.sim.policy() };
    let ctx = w.ctx([good("a").after(MS * 100)]);
    assert!(w.sim.run(w.registry.resolve(&ctx, &policy)).is_ok());
    let ctx = w.ctx([good("a")]);
    let none = Policy { deadline: Some(Duration::ZERO), ..w.sim.policy() };
    assert!(w.sim.run(w.registry.resolve(&ctx, &none)).is_ok());
}

#[test]
fn a_deadline_or_stagger_without_timer_is_refused() {
    let w = world();
    let ctx = w.ctx([good("a")]);
    let plan = now(w.registry.plan(&ctx, &Policy::default())).unwrap();
    for policy in [
        Policy { deadline: Some(MS), ..Policy::default() },
        Policy { stagger: Some(MS), ..Policy::default() },
    ] {
        let error = now(w.registry.plan(&ctx, &policy)).unwrap_err();
        assert_eq!(error.kind, PlanFailure::NoTimer);
        let error = now(w.registry.connect(&plan, &policy)).unwrap_err();
        assert_eq!(error.kind, ConnectFailure::NoTimer);
        let text = "the policy has a deadline or a stagger, and no timer to keep it with";
        assert_eq!(now(w.registry.resolve(&ctx, &policy)).unwrap_err().to_string(), text);
    }
}

#[test]
fn dropping_the_resolution_drops_everything_below_it() {
    let w = world();
    let keys: Vec<Key<u32>> = (0..10).map(|n| Key::shown(format!("k{n}"))).collect();
    let live = Arc::new(AtomicUsize::new(0));
    let mut ctx = Ctx::new();
    for key in &keys {
        ctx = slow(&ctx, key, &w.sim, &live, MS * 50);
        ctx = ctx.fold(w.tcp.endpoint(), req(key), |_| async { Some(good("x").after(MS * 50)) });
    }
    let policy = Policy { deadline: Some(MS * 1000), stagger: Some(MS * 10), ..w.sim.policy() };
    // in the midst of the derivations, then in the midst of the race
    for limit in [MS * 20, MS * 75] {
        let ended = w.sim.run_for(w.sim.time() + limit, async {
            let watched = w.registry.resolve(&ctx, &policy);
            watched.await
        });
        assert!(ended.is_none());
        assert_eq!((live.load(Ordering::SeqCst), w.live(), w.sim.alarms()), (0, 0, 0));
    }
    assert!(w.protocol.dialed().len() > 1, "the second round came to the race");
}

#[test]
fn huge_times_do_no_harm() {
    let w = world();
    let policy = Policy {
        deadline: Some(Duration::from_secs(1 << 40)),
        stagger: Some(Duration::from_secs(1 << 40)),
        ..w.sim.policy()
    };
    let ctx = w.ctx([bad("a").after(MS), good("b").after(MS)]);
    assert!(w.sim.run(w.registry.resolve(&ctx, &policy)).is_ok());
}

#[test]
fn an_empty_registry_or_context_says_so() {
    let registry = Registry::new();
    let error = now(registry.resolve(&Ctx::new(), &Policy::default())).unwrap_err();
    assert_eq!(error.to_string(), "no protocol has an endpoint: none is registered");
    let w = world();
    let error = now(w.registry.resolve(&Ctx::new(), &Policy::default())).unwrap_err();
    assert_eq!(error.to_string(), "no protocol has an endpoint: tcp: not given");
}
