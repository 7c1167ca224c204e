//! Everything of the public interface can be sent between threads.
use mimic::{Ctx, Key, Policy, Registry};

fn sendable<T: Send>(value: T) -> T {
    value
}

#[test]
fn futures_and_types_are_send() {
    let (registry, ctx, policy) = (Registry::new(), Ctx::new(), Policy::default());
    drop(sendable(registry.resolve(&ctx, &policy)));
    drop(sendable(registry.plan(&ctx, &policy)));
    fn shared<T: Send + Sync>() {}
    shared::<Ctx>();
    shared::<Registry>();
    shared::<Policy>();
    shared::<Key<core::cell::Cell<u8>>>();
    shared::<mimic::Plan>();
    shared::<mimic::Report>();
    shared::<mimic::ResolveError>();
}
