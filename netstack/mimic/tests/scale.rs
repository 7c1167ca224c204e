//! What a lookup and a resolution cost in allocations, which no machine's load disturbs.

mod sim;

use allocation_counter::measure;
use mimic::{Ctx, Key, Policy, Registry, req};
use sim::{Scripted, Sim, good};

fn keys(count: usize) -> Vec<Key<usize>> {
    (0..count).map(|n| Key::shown(format!("k{n}"))).collect()
}

#[test]
fn a_lookup_does_not_allocate() {
    let keys = keys(1000);
    let ctx = keys.iter().enumerate().fold(Ctx::new(), |ctx, (n, key)| ctx.add(key, n));
    let absent = Key::<usize>::new("absent");
    let info = measure(|| {
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(ctx.get(key).as_deref(), Some(&n));
            assert!(ctx.get(&absent).is_none());
        }
        drop(ctx.clone());
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn an_addition_copies_a_path_and_not_the_context() {
    let keys = keys(10_001);
    let mut ctx = keys[..10_000].iter().fold(Ctx::new(), |ctx, key| ctx.add(key, 1));
    let info = measure(|| ctx = ctx.add(&keys[10_000], 1));
    assert!(info.count_total < 30, "{info:?}");
    // a value, a cell and a slot, and the nodes of the path
    let info = measure(|| ctx = ctx.add(&keys[0], 2));
    assert!(info.count_total < 30, "{info:?}");
}

#[test]
fn allocations_of_a_resolution_grow_with_what_is_derived() {
    let count = |bindings: usize, derived: usize| {
        let mut registry = Registry::new();
        let tcp = registry.register("tcp", None, Scripted::new(&Sim::new()));
        let keys = keys(bindings);
        let mut ctx = keys.iter().fold(Ctx::new(), |ctx, key| ctx.add(key, 1));
        for key in &keys[..derived] {
            ctx = ctx.fold(tcp.endpoint(), req(key), |_| async { Some(good("x")) });
        }
        let ctx = ctx.add(tcp.endpoint(), good("x"));
        let policy = Policy::default();
        let info = measure(|| drop(sim::now(registry.resolve(&ctx, &policy))));
        info.count_total
    };
    // values cost a share of three growing lists, and nothing each
    assert!(count(1000, 0) < count(10, 0) + 40);
    // a derivation costs a constant number
    let (few, many) = (count(1000, 10), count(1000, 110));
    assert!(many - few < 100 * 25, "{few} {many}");
}
