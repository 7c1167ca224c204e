//! Keys and contexts: what each operation does, and that none changes what was there.

mod sim;

use mimic::{Ctx, Key, Registry, req};
use sim::{Scripted, Sim, good};

#[test]
fn keys_are_unique_by_identity_and_not_by_name() {
    let (a, b) = (Key::<u16>::new("port"), Key::<u16>::new("port"));
    assert!(a == a.clone() && a != b);
    assert_eq!(a.name(), b.name());
    // keys of other types can be compared too, and differ
    assert!(a != Key::<String>::new("port"));
    let ctx = Ctx::new().add(&a, 1);
    assert_eq!(ctx.get(&a).as_deref(), Some(&1));
    assert_eq!(ctx.get(&b), None);
}

#[test]
fn a_protocol_registered_twice_has_two_keys() {
    let protocol = Scripted::new(&Sim::new());
    let mut registry = Registry::new();
    let one = registry.register("tcp", None, protocol.clone());
    let two = registry.register("tcp", None, protocol);
    assert!(one.endpoint() != two.endpoint());
    assert_eq!(Ctx::new().add(one.endpoint(), good("x")).get(two.endpoint()), None);
}

#[test]
fn get_gives_the_newest_value_as_a_resolution_does() {
    let key = Key::<&str>::new("name");
    let ctx = Ctx::new().add(&key, "old").add(&key, "new");
    assert_eq!(ctx.get(&key).as_deref(), Some(&"new"));
}

#[test]
fn get_does_not_run_derivations() {
    let key = Key::<u8>::new("derived");
    let ctx = Ctx::new().fold(&key, (), |()| async { Some(1) });
    assert_eq!(ctx.get(&key), None);
}

#[test]
fn every_operation_leaves_the_context_as_it_was() {
    let (a, b) = (Key::<u8>::shown("a"), Key::<u8>::shown("b"));
    let ctx = Ctx::new().add(&a, 1);
    let before = ctx.dump().to_string();
    let other = ctx.add(&a, 2).add(&b, 3).fold(&b, (req(&a),), |(a,)| async move { Some(*a) });
    drop((ctx.replace(&a, 4), ctx.remove(&a), ctx.merge(&other)));
    assert_eq!(ctx.dump().to_string(), before);
    assert_eq!(other.dump().to_string(), "a = 2\na = 1\nb = 3\nb from (a)");
}

#[test]
fn replace_drops_all_values_and_keeps_the_derivations() {
    let (a, b) = (Key::<u8>::shown("a"), Key::<u8>::shown("b"));
    let ctx = Ctx::new()
        .add(&b, 1)
        .fold(&b, (req(&a),), |(a,)| async move { Some(*a) })
        .add(&b, 2)
        .replace(&b, 3);
    assert_eq!(ctx.dump().to_string(), "b = 3\nb from (a)");
    // of an absent key it is an addition
    assert_eq!(Ctx::new().replace(&a, 1).dump().to_string(), "a = 1");
}

#[test]
fn remove_drops_values_and_derivations() {
    let (a, b) = (Key::<u8>::shown("a"), Key::<u8>::shown("b"));
    let ctx = Ctx::new().add(&a, 1).fold(&a, (), |()| async { Some(2) }).add(&b, 3).remove(&a);
    assert_eq!(ctx.dump().to_string(), "b = 3");
    assert_eq!(ctx.len(), 1);
    assert!(ctx.remove(&b).remove(&b).is_empty());
}

#[test]
fn merge_takes_the_right_values_as_the_newer_ones() {
    let (a, b, c) = (Key::<u8>::shown("a"), Key::<u8>::shown("b"), Key::<u8>::shown("c"));
    let left = Ctx::new().add(&a, 1).add(&a, 2).fold(&a, (), |()| async { Some(0) }).add(&b, 3);
    let right =
        Ctx::new().add(&c, 4).add(&a, 5).fold(&a, (req(&c),), |(c,)| async move { Some(*c) });
    let merged = left.merge(&right);
    let text = "a = 5\na = 2\na = 1\na from (c)\na from ()\nb = 3\nc = 4";
    assert_eq!(merged.dump().to_string(), text);
    assert_eq!(merged.get(&a).as_deref(), Some(&5));
    assert_eq!(right.merge(&left).get(&a).as_deref(), Some(&2));
    // the parts stay
    assert_eq!(left.get(&a).as_deref(), Some(&2));
}

#[test]
fn merging_contexts_of_one_origin_doubles_nothing() {
    let (a, b) = (Key::<u8>::shown("a"), Key::<u8>::shown("b"));
    let base = Ctx::new().add(&a, 1).fold(&b, (), |()| async { Some(0) });
    let merged = base.add(&a, 2).merge(&base.add(&a, 3).fold(&b, (), |()| async { Some(1) }));
    // what both took from `base` stands once, where the right side has it
    assert_eq!(merged.dump().to_string(), "a = 3\na = 1\na = 2\nb from ()\nb from ()");
    assert_eq!(base.merge(&base).dump().to_string(), base.dump().to_string());
    // equal values of different origin are two bindings all the same
    let twice = Ctx::new().add(&a, 1).merge(&Ctx::new().add(&a, 1));
    assert_eq!(twice.dump().to_string(), "a = 1\na = 1");
}

#[test]
fn dump_names_kinds_and_redacts_secrets() {
    let plain = Key::<Vec<u8>>::new("plain");
    let shown = Key::<u16>::shown("port");
    let secret = Key::<String>::secret("password");
    let told = Key::<[u8; 2]>::described("pair", |[a, b], f| write!(f, "{a}+{b}"));
    let ctx = Ctx::new()
        .add(&plain, vec![1])
        .add(&shown, 80)
        .add(&secret, "hunter2".to_owned())
        .add(&told, [1, 2])
        .fold(&shown, (req(&plain), req(&secret)), |_| async { Some(1) });
    let dump = ctx.dump();
    let text =
        "plain = …\nport = 80\nport from (plain, password)\npassword = (redacted)\npair = 1+2";
    assert_eq!(dump.to_string(), text);
    for text in [format!("{dump:?}"), format!("{ctx:?}"), format!("{ctx:#?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn names_can_be_made_at_run_time() {
    let key = Key::<u8>::shown(format!("port-{}", 7));
    assert_eq!(*key.name(), "port-7");
    assert_eq!(format!("{key}, {key:?}"), "port-7, Key(\"port-7\")");
}

#[test]
fn long_histories_are_dropped_without_recursion() {
    let key = Key::<u32>::new("n");
    let mut ctx = Ctx::new();
    for n in 0..1_000_000 {
        ctx = ctx.add(&key, n);
    }
    assert_eq!(ctx.get(&key).as_deref(), Some(&999_999));
}

#[test]
fn many_keys_keep_their_order_and_values() {
    let keys: Vec<Key<usize>> = (0..1000).map(|n| Key::shown(format!("{n}"))).collect();
    // neither the order of creation nor its reverse
    let order: Vec<usize> = (0..1000).map(|n| n * 377 % 1000).collect();
    let mut ctx = Ctx::new();
    for n in &order {
        ctx = ctx.add(&keys[*n], n * 2);
    }
    for n in (0..1000).step_by(3) {
        ctx = ctx.remove(&keys[n]);
    }
    let kept: Vec<String> =
        order.iter().filter(|n| **n % 3 != 0).map(|n| format!("{n} = {}", n * 2)).collect();
    assert_eq!(ctx.dump().to_string(), kept.join("\n"));
    assert_eq!(ctx.len(), kept.len());
    for (n, key) in keys.iter().enumerate() {
        let expected = (n % 3 != 0).then_some(n * 2);
        assert_eq!(ctx.get(key).map(|value| *value), expected);
    }
}
