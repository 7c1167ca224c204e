//! The context: which values are known, and how others follow from them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::arg::{Arg, Derivation, Product};
use crate::key::{Id, Key, Meta, Name, Shown, Value};
use crate::list::List;
use crate::map::Map;

/// An immutable set of bindings, each of a key to a value or to a derivation of one.
///
/// Every operation gives a new context and leaves the old one as it was; a clone costs one
/// counted reference, an added binding a copied path of log n steps.
#[derive(Clone)]
pub struct Ctx {
    slots: Map<Arc<Slot>>,
    /// The place of the next new key.
    next: u64,
}

impl Ctx {
    /// A context without bindings.
    pub const fn new() -> Self {
        Self { slots: Map::new(), next: 0 }
    }

    /// This context with `value` as the newest value of `key`. Older values stay, and are tried
    /// after it where the key is a protocol's endpoint.
    #[must_use]
    pub fn add<T: Send + Sync + 'static>(&self, key: &Key<T>, value: T) -> Self {
        self.update(key.meta(), |slot| slot.values = slot.values.with(Value::new(value)))
    }

    /// This context with a derivation of `key`: `f` of the values that `args` ask for.
    ///
    /// It is run when the key is needed and has no value, at most once in a resolution. The
    /// newest derivation is tried first, the older ones when it produces nothing.
    ///
    /// `f` gives a future of an `Option<T>` or of a `Result<T, E>`; see [`Product`].
    #[must_use]
    pub fn fold<T, A, F, Fut>(&self, key: &Key<T>, args: A, f: F) -> Self
    where
        T: Send + Sync + 'static,
        A: Arg,
        F: Fn(A::Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Product<T>> + Send + 'static,
    {
        let derivation = Arc::new(Derivation::new(args, f));
        self.update(key.meta(), |slot| slot.derivations = slot.derivations.with(derivation))
    }

    /// This context with `value` in place of all values of `key`. Its derivations stay.
    #[must_use]
    pub fn replace<T: Send + Sync + 'static>(&self, key: &Key<T>, value: T) -> Self {
        self.update(key.meta(), |slot| slot.values = List::new().with(Value::new(value)))
    }

    /// This context without any binding of `key`, value or derivation.
    #[must_use]
    pub fn remove<T>(&self, key: &Key<T>) -> Self {
        Self { slots: self.slots.remove(key.id()), next: self.next }
    }

    /// The newest value of `key`. Derivations are not run: that is [`Registry::plan`]'s work.
    ///
    /// [`Registry::plan`]: crate::Registry::plan
    pub fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Option<Arc<T>> {
        self.slot(key.id())?.values.newest()?.typed()
    }

    /// The bindings of both contexts; where both bind a key, those of `other` are the newer ones.
    ///
    /// A binding that both have, since both come from one context that had it, is not doubled: it
    /// counts as one of `other`'s. Keys that only `other` binds come after all others.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for slot in other.in_order() {
            merged = merged.update(&slot.meta, |mine| mine.adopt(slot));
        }
        merged
    }

    /// How many keys have a binding.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bindings as plain data, to be printed: keys in the order of their places, the bindings
    /// of a key in the order in which they are tried.
    pub fn dump(&self) -> Dump {
        let mut bindings = Vec::new();
        for slot in self.in_order() {
            for value in slot.values.iter() {
                let shown = Shown { meta: Arc::clone(&slot.meta), value: value.clone() };
                bindings.push(Binding { key: slot.meta.name.clone(), kind: Kind::Value(shown) });
            }
            for derivation in slot.derivations.iter() {
                let needs = derivation.needs.iter().map(|need| need.meta.name.clone());
                let kind = Kind::Derivation { from: needs.collect() };
                bindings.push(Binding { key: slot.meta.name.clone(), kind });
            }
        }
        Dump { bindings }
    }

    pub(crate) fn slot(&self, id: Id) -> Option<&Slot> {
        self.slots.get(id).map(|slot| &**slot)
    }

    /// The bound keys, by the place of their first binding.
    pub(crate) fn in_order(&self) -> Vec<&Slot> {
        let mut slots: Vec<&Slot> = self.slots.values().map(|slot| &**slot).collect();
        slots.sort_unstable_by_key(|slot| slot.place);
        slots
    }

    fn update(&self, meta: &Arc<Meta>, change: impl FnOnce(&mut Slot)) -> Self {
        let (mut slot, next) = match self.slot(meta.id) {
            Some(slot) => (slot.clone(), self.next),
            None => (Slot::new(Arc::clone(meta), self.next), self.next + 1),
        };
        change(&mut slot);
        Self { slots: self.slots.insert(meta.id, Arc::new(slot)), next }
    }
}

impl core::default::Default for Ctx {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dump().bindings).finish()
    }
}

/// All bindings of one key.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) meta: Arc<Meta>,
    /// Ascending in the order of the keys' first bindings.
    pub(crate) place: u64,
    pub(crate) values: List<Value>,
    pub(crate) derivations: List<Arc<Derivation>>,
}

impl Slot {
    fn new(meta: Arc<Meta>, place: u64) -> Self {
        Self { meta, place, values: List::new(), derivations: List::new() }
    }

    /// Takes the bindings of `other` as the newer ones.
    fn adopt(&mut self, other: &Self) {
        self.values = stack(&self.values, &other.values, Value::address);
        self.derivations = stack(&self.derivations, &other.derivations, |derivation| {
            Arc::as_ptr(derivation).addr()
        });
    }
}

/// `upper` on top of `lower`. A binding that both have, since both contexts come from one that
/// had it, is kept once, where `upper` has it: merging must not make anything be tried twice.
fn stack<T: Clone>(lower: &List<T>, upper: &List<T>, address: impl Fn(&T) -> usize) -> List<T> {
    if upper.extends(lower) {
        return upper.clone();
    }
    let mut taken: Vec<usize> = upper.iter().map(&address).collect();
    taken.sort_unstable();
    let only_lower = lower.iter().filter(|item| taken.binary_search(&address(item)).is_err());
    let items: Vec<&T> = upper.iter().chain(only_lower).collect();
    items.into_iter().rev().fold(List::new(), |list, item| list.with(item.clone()))
}

/// The bindings of a context as plain data; its `Display` writes one a line.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The bindings in the order of [`Ctx::dump`].
    pub bindings: Vec<Binding>,
}

/// One binding of a [`Dump`].
#[derive(Clone, Debug)]
pub struct Binding {
    /// The key that is bound.
    pub key: Name,
    /// What it is bound to.
    pub kind: Kind,
}

/// What a key is bound to.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A value.
    Value(Shown),
    /// A function of other keys.
    Derivation {
        /// The keys of its arguments, in order, with those of nested ones.
        from: Vec<Name>,
    },
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, binding) in self.bindings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            binding.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Value(value) => write!(f, "{} = {value}", self.key),
            Kind::Derivation { from } => {
                write!(f, "{} from (", self.key)?;
                for (index, name) in from.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name}")?;
                }
                f.write_str(")")
            }
        }
    }
}
