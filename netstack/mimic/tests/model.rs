//! Random contexts against a small independent model of the rules.
//!
//! 10 000 cases; `MIMIC_CASES=1000000` for as many as one likes.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod model {
    pub mod rules;
}
mod sim;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mimic::report::{AttemptResult, Lack, Outcome, Report};
use mimic::{
    Arg, Ctx, Key, PlanFailure, Policy, Protocol, Registry, ResolveError, default, map, opt, req,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use model::rules::{self, Behave, Bound, Fate, Fold, Kind, Model, Tree};
use sim::{Live, Pipe, Refused, Sim};

const ROOTS: usize = 3;
const KEYS: usize = 9;

#[derive(Clone, Debug)]
enum Op {
    Add(usize),
    Fold(usize, Vec<Tree>, Behave, u64),
    Replace(usize),
    Remove(usize),
    /// With what the context was after this many steps.
    Merge(usize),
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let kind = prop_oneof![
        4 => Just(Kind::Req),
        2 => Just(Kind::Opt),
        2 => (0..100_u64).prop_map(Kind::Default),
    ];
    let need = (0..KEYS, kind).prop_map(|(key, kind)| Tree::Need(key, kind));
    let tree = need
        .prop_recursive(2, 6, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Tree::Map));
    prop::collection::vec(tree, 0..4)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let behave = prop_oneof![
        5 => Just(Behave::Always),
        1 => Just(Behave::Nothing),
        1 => Just(Behave::Error),
        2 => Just(Behave::Odd),
    ];
    let op = prop_oneof![
        4 => (0..KEYS).prop_map(Op::Add),
        14 => (0..KEYS, trees(), behave, prop_oneof![Just(0), 1..1_000_000_000_u64])
            .prop_map(|(key, args, behave, takes)| Op::Fold(key, args, behave, takes)),
        1 => (0..KEYS).prop_map(Op::Replace),
        1 => (0..KEYS).prop_map(Op::Remove),
        1 => (0..20_usize).prop_map(Op::Merge),
    ];
    prop::collection::vec(op, 0..18)
}

/// What a protocol does with an endpoint: how long it takes, and whether it works.
fn dials(endpoint: u64) -> (u64, bool) {
    (endpoint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24, endpoint % 4 == 1)
}

struct Dial {
    sim: Sim,
    live: Arc<AtomicUsize>,
}

impl Protocol for Dial {
    type Endpoint = u64;
    type Flow = Pipe;
    type Error = Refused;

    async fn connect(&self, endpoint: Arc<u64>) -> Result<Pipe, Refused> {
        let _live = Live::new(&self.live);
        let (takes, works) = dials(*endpoint);
        self.sim.wait(Duration::from_nanos(takes)).await;
        let name = endpoint.to_string();
        if works { Ok(Pipe::new(&name)) } else { Err(Refused(name)) }
    }

    fn describe(endpoint: &u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{endpoint}")
    }
}

/// The real thing, built alongside the model.
struct World {
    sim: Sim,
    live: Arc<AtomicUsize>,
    /// How often each derivation ran.
    runs: Arc<Mutex<BTreeMap<u64, usize>>>,
    keys: Vec<Key<u64>>,
    registry: Registry,
}

impl World {
    fn new(priorities: &[Option<u32>]) -> Self {
        let (sim, live) = (Sim::new(), Arc::default());
        let mut registry = Registry::new();
        let mut keys: Vec<Key<u64>> = Vec::new();
        for (root, priority) in priorities.iter().enumerate() {
            let dial = Dial { sim: sim.clone(), live: Arc::clone(&live) };
            keys.push(registry.register(NAMES[root], *priority, dial).endpoint().clone());
        }
        keys.extend(NAMES[ROOTS..].iter().map(|name| Key::shown(*name)));
        Self { sim, live, runs: Arc::default(), keys, registry }
    }

    fn arg(&self, tree: &Tree) -> Box<dyn Arg<Value = Vec<Option<u64>>>> {
        match tree {
            Tree::Need(key, Kind::Req) => {
                Box::new(map(req(&self.keys[*key]), |value| vec![Some(*value)]))
            }
            Tree::Need(key, Kind::Opt) => {
                Box::new(map(opt(&self.keys[*key]), |value| vec![value.map(|value| *value)]))
            }
            Tree::Need(key, Kind::Default(value)) => {
                Box::new(map(default(&self.keys[*key], *value), |value| vec![Some(*value)]))
            }
            Tree::Map(trees) => {
                let args: Vec<_> = trees.iter().map(|tree| self.arg(tree)).collect();
                Box::new(map(args, |values| values.concat()))
            }
        }
    }

    fn fold(&self, ctx: &Ctx, key: usize, fold: &Fold) -> Ctx {
        let args: Vec<_> = fold.args.iter().map(|tree| self.arg(tree)).collect();
        let (run, sim, runs) = (fold.clone(), self.sim.clone(), Arc::clone(&self.runs));
        let run = move |inputs: Vec<Vec<Option<u64>>>| {
            *runs.lock().unwrap().entry(run.id).or_default() += 1;
            let product = run.run(&inputs.concat());
            let wait = (run.takes > 0).then(|| sim.wait(Duration::from_nanos(run.takes)));
            async move {
                if let Some(wait) = wait {
                    wait.await;
                }
                product
            }
        };
        let key = &self.keys[key];
        match fold.behave {
            Behave::Error => ctx.fold(key, args, move |inputs| {
                let run = run(inputs);
                async { run.await.ok_or(Refused("derivation".into())) }
            }),
            _ => ctx.fold(key, args, run),
        }
    }
}

const NAMES: [&str; KEYS] = ["r0", "r1", "r2", "a", "b", "c", "d", "e", "f"];

fn build(world: &World, ops: &[Op]) -> (Ctx, rules::Ctx) {
    let mut steps = vec![(Ctx::new(), rules::Ctx::default())];
    for (id, op) in ops.iter().enumerate() {
        let id = id as u64 * 7 + 1;
        let (ctx, model) = steps.last().unwrap();
        let (mut ctx, mut model) = (ctx.clone(), model.clone());
        match op {
            Op::Add(key) => {
                ctx = ctx.add(&world.keys[*key], id);
                model.add(*key, id, Bound::Value(id));
            }
            Op::Fold(key, args, behave, takes) => {
                let fold = Fold { id, args: args.clone(), behave: *behave, takes: *takes };
                ctx = world.fold(&ctx, *key, &fold);
                model.add(*key, id, Bound::Fold(fold));
            }
            Op::Replace(key) => {
                ctx = ctx.replace(&world.keys[*key], id);
                model.replace(*key, id, id);
            }
            Op::Remove(key) => {
                ctx = ctx.remove(&world.keys[*key]);
                model.remove(*key);
            }
            Op::Merge(step) => {
                let (other, other_model) = &steps[step % steps.len()];
                ctx = ctx.merge(other);
                model.merge(other_model);
            }
        }
        steps.push((ctx, model));
    }
    steps.pop().unwrap()
}

fn key(name: &str) -> usize {
    NAMES.iter().position(|other| *other == name).unwrap()
}

/// Whether some derivation of `from` asks for `to`.
fn leads(ctx: &rules::Ctx, from: usize, to: usize) -> bool {
    ctx.folds(from).iter().any(|fold| fold.needs().iter().any(|(need, _)| *need == to))
}

fn check_report(report: &Report, ctx: &rules::Ctx, model: &Model<'_>) {
    for derived in &report.derivations {
        let key = key(&derived.key);
        let fate = model.fates.get(&(key, derived.rank)).unwrap_or(&Fate::Open);
        match (&derived.outcome, fate) {
            (Outcome::Produced(shown), Fate::Produced(value)) => {
                assert_eq!(shown.to_string(), value.to_string());
            }
            (Outcome::Nothing | Outcome::Failed(_), Fate::Nothing) => {}
            (Outcome::Lacked(name), Fate::Lacked) => {
                let lacked = self::key(name);
                assert!(leads(ctx, key, lacked) && model.key(lacked).is_none_or(|k| k.is_none()));
            }
            (Outcome::Cyclic(cycle), Fate::Cyclic) => assert!(*cycle < report.cycles.len()),
            (Outcome::Unfinished, _) => assert!(key >= ROOTS, "all of a root key are done"),
            (outcome, fate) => {
                panic!("{} {}: {outcome:?}, not {fate:?}", derived.key, derived.rank)
            }
        }
    }
    for cycle in &report.cycles {
        let keys: Vec<usize> = cycle.keys.iter().map(|name| key(name)).collect();
        for (at, from) in keys.iter().enumerate() {
            assert!(leads(ctx, *from, keys[(at + 1) % keys.len()]), "{cycle}");
        }
    }
    for missing in &report.missing {
        let chain: Vec<usize> = missing.chain.iter().map(|name| key(name)).collect();
        assert!(chain.windows(2).all(|pair| leads(ctx, pair[0], pair[1])), "{missing}");
        let last = chain[chain.len() - 1];
        let has = |wanted: Fate| model.fates.iter().any(|((k, _), f)| *k == last && *f == wanted);
        match missing.cause {
            Lack::NotGiven => assert!(!ctx.is_bound(last)),
            Lack::Nothing | Lack::Failed(_) => assert!(has(Fate::Nothing)),
            Lack::Cyclic(_) => assert!(has(Fate::Cyclic)),
            _ => panic!("{missing}"),
        }
    }
}

fn check(priorities: &[Option<u32>], ops: &[Op], stagger: Option<u64>) -> Result<(), Infallible> {
    let world = World::new(priorities);
    let (ctx, model_ctx) = build(&world, ops);
    let roots: Vec<usize> = (0..ROOTS).collect();
    let model = Model::solve(&model_ctx, &roots);
    let by_root = (0..ROOTS).zip(priorities.iter().copied()).collect();
    let candidates = model.candidates(&by_root);

    let policy = Policy { stagger: stagger.map(Duration::from_nanos), ..world.sim.policy() };
    let resolved = world.sim.run(world.registry.resolve(&ctx, &policy));
    let (report, planned) = match &resolved {
        Ok(connected) => (&connected.report, true),
        Err(ResolveError::Connect(error)) => (&*error.report, true),
        Err(ResolveError::Plan(error)) => {
            let cyclic = error.report.missing.iter().any(|m| matches!(m.cause, Lack::Cyclic(_)));
            let kind = if cyclic { PlanFailure::Cycle } else { PlanFailure::NoCandidate };
            assert_eq!(error.kind, kind);
            (&*error.report, false)
        }
        Err(_) => unreachable!(),
    };
    let plan: Vec<(usize, u64)> = (report.plan.iter())
        .map(|candidate| (key(candidate.protocol), candidate.endpoint.to_string().parse().unwrap()))
        .collect();
    assert_eq!(plan, candidates);
    assert_eq!(planned, !candidates.is_empty());
    check_report(report, &model_ctx, &model);
    assert!(world.runs.lock().unwrap().values().all(|runs| *runs == 1), "at most once");

    let racers: Vec<(Option<u32>, u64, bool)> = (candidates.iter())
        .map(|(root, endpoint)| (priorities[*root], dials(*endpoint).0, dials(*endpoint).1))
        .collect();
    let tries = rules::race(&racers, stagger);
    let begin = report.attempts.first().map_or(0, |attempt| attempt.span.start.as_nanos() as u64);
    let attempts: Vec<rules::Try> = (report.attempts.iter())
        .map(|attempt| {
            let result = match attempt.result {
                AttemptResult::Connected => Some(true),
                AttemptResult::Failed(_) => Some(false),
                _ => None,
            };
            let span = attempt.span;
            (span.start.as_nanos() as u64 - begin, span.end.as_nanos() as u64 - begin, result)
        })
        .collect();
    assert_eq!(attempts, tries);
    assert_eq!(resolved.is_ok(), tries.iter().any(|attempt| attempt.2 == Some(true)));
    assert_eq!((world.live.load(Ordering::SeqCst), world.sim.alarms()), (0, 0), "nothing stays");
    Ok(())
}

#[test]
fn resolutions_follow_the_rules() {
    let cases = std::env::var("MIMIC_CASES").map_or(10_000, |text| text.parse().unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let priority = prop_oneof![Just(None), (0..2_u32).prop_map(Some)];
    let stagger = prop_oneof![Just(None), (1..1_u64 << 38).prop_map(Some)];
    let input = (prop::collection::vec(priority, ROOTS), ops(), stagger);
    TestRunner::new(config)
        .run(&input, |(priorities, ops, stagger)| {
            let Ok(()) = check(&priorities, &ops, stagger);
            Ok(())
        })
        .unwrap();
}
