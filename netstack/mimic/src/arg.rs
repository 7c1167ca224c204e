//! What a derivation is made from: its arguments, and what it gives back.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::pin::Pin;

use crate::key::{Key, Meta, Value};

/// The value of `key`; without it the derivation is not run and produces nothing.
pub fn req<T: Send + Sync + 'static>(key: &Key<T>) -> Req<T> {
    Req { key: key.clone() }
}

/// The value of `key`, or `None` when it cannot be produced.
pub fn opt<T: Send + Sync + 'static>(key: &Key<T>) -> Opt<T> {
    Opt { key: key.clone() }
}

/// The value of `key`, or `value` when it cannot be produced for any reason: it is not given, its
/// derivations produce nothing or fail, or they lead in a circle.
pub fn default<T: Send + Sync + 'static>(key: &Key<T>, value: T) -> Default<T> {
    Default { key: key.clone(), value: Arc::new(value) }
}

/// What `f` makes of other arguments. A required key that lacks among them stops the whole
/// derivation, as if it stood outside.
pub fn map<A, F, R>(args: A, f: F) -> Map<A, F>
where
    A: Arg,
    F: Fn(A::Value) -> R + Send + Sync + 'static,
{
    Map { args, f }
}

/// An argument of a derivation, or several: a tuple of up to eight, or a `Vec`. They nest.
///
/// Made by [`req`], [`opt`], [`default`] and [`map`]; it cannot be implemented elsewhere.
pub trait Arg: Send + Sync + 'static {
    /// What the derivation's function gets for it.
    type Value;

    #[doc(hidden)]
    fn needs(&self, needs: &mut Needs);

    #[doc(hidden)]
    fn take(&self, inputs: &mut Inputs<'_>) -> Option<Self::Value>;
}

/// Made by [`req`].
pub struct Req<T> {
    key: Key<T>,
}

impl<T: Send + Sync + 'static> Arg for Req<T> {
    type Value = Arc<T>;

    fn needs(&self, needs: &mut Needs) {
        needs.push(&self.key, NeedKind::Required);
    }

    fn take(&self, inputs: &mut Inputs<'_>) -> Option<Arc<T>> {
        inputs.next()?.typed()
    }
}

/// Made by [`opt`].
pub struct Opt<T> {
    key: Key<T>,
}

impl<T: Send + Sync + 'static> Arg for Opt<T> {
    type Value = Option<Arc<T>>;

    fn needs(&self, needs: &mut Needs) {
        needs.push(&self.key, NeedKind::Optional);
    }

    fn take(&self, inputs: &mut Inputs<'_>) -> Option<Option<Arc<T>>> {
        Some(inputs.next().and_then(Value::typed))
    }
}

/// Made by [`default`].
pub struct Default<T> {
    key: Key<T>,
    value: Arc<T>,
}

impl<T: Send + Sync + 'static> Arg for Default<T> {
    type Value = Arc<T>;

    fn needs(&self, needs: &mut Needs) {
        needs.push(&self.key, NeedKind::Default(Value::share(Arc::clone(&self.value))));
    }

    fn take(&self, inputs: &mut Inputs<'_>) -> Option<Arc<T>> {
        Some(inputs.next().and_then(Value::typed).unwrap_or_else(|| Arc::clone(&self.value)))
    }
}

/// Made by [`map`].
pub struct Map<A, F> {
    args: A,
    f: F,
}

impl<A, F, R> Arg for Map<A, F>
where
    A: Arg,
    F: Fn(A::Value) -> R + Send + Sync + 'static,
{
    type Value = R;

    fn needs(&self, needs: &mut Needs) {
        self.args.needs(needs);
    }

    fn take(&self, inputs: &mut Inputs<'_>) -> Option<R> {
        self.args.take(inputs).map(&self.f)
    }
}

/// Arguments whose number is known at run time only.
impl<A: Arg> Arg for Vec<A> {
    type Value = Vec<A::Value>;

    fn needs(&self, needs: &mut Needs) {
        self.iter().for_each(|arg| arg.needs(needs));
    }

    fn take(&self, inputs: &mut Inputs<'_>) -> Option<Self::Value> {
        self.iter().map(|arg| arg.take(inputs)).collect()
    }
}

/// An argument whose kind is known at run time only.
impl<V: 'static> Arg for Box<dyn Arg<Value = V>> {
    type Value = V;

    fn needs(&self, needs: &mut Needs) {
        (**self).needs(needs);
    }

    fn take(&self, inputs: &mut Inputs<'_>) -> Option<V> {
        (**self).take(inputs)
    }
}

impl Arg for () {
    type Value = ();

    fn needs(&self, _: &mut Needs) {}

    fn take(&self, _: &mut Inputs<'_>) -> Option<()> {
        Some(())
    }
}

macro_rules! tuple {
    ($($arg:ident $index:tt),+) => {
        impl<$($arg: Arg),+> Arg for ($($arg,)+) {
            type Value = ($($arg::Value,)+);

            fn needs(&self, needs: &mut Needs) {
                $(self.$index.needs(needs);)+
            }

            fn take(&self, inputs: &mut Inputs<'_>) -> Option<Self::Value> {
                Some(($(self.$index.take(inputs)?,)+))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// What the function of a derivation gives back: `Option<T>`, or `Result<T, E>` with any error.
///
/// `None` and `Err` both mean "I cannot produce this key" and let the next derivation be tried;
/// the error is kept for the report.
pub trait Product<T> {
    #[doc(hidden)]
    fn into_outcome(self) -> Produced<T>;
}

impl<T> Product<T> for Option<T> {
    fn into_outcome(self) -> Produced<T> {
        self.ok_or(None)
    }
}

impl<T, E: Error + Send + Sync + 'static> Product<T> for Result<T, E> {
    fn into_outcome(self) -> Produced<T> {
        self.map_err(|error| Some(Arc::new(error) as Arc<dyn Error + Send + Sync>))
    }
}

/// A value, or why there is none where the function said it.
pub type Produced<T> = Result<T, Option<Arc<dyn Error + Send + Sync>>>;

/// The keys that a derivation asks for, in the order of its arguments.
#[derive(core::default::Default)]
pub struct Needs(Vec<Need>);

impl Needs {
    fn push<T>(&mut self, key: &Key<T>, kind: NeedKind) {
        self.0.push(Need { meta: Arc::clone(key.meta()), kind });
    }
}

pub(crate) struct Need {
    pub(crate) meta: Arc<Meta>,
    pub(crate) kind: NeedKind,
}

pub(crate) enum NeedKind {
    Required,
    Optional,
    Default(Value),
}

/// What was found for a derivation's needs, in the same order.
pub struct Inputs<'a>(core::slice::Iter<'a, Option<Value>>);

impl<'a> Inputs<'a> {
    fn next(&mut self) -> Option<&'a Value> {
        self.0.next()?.as_ref()
    }
}

/// One way to derive a key: which keys it needs, and a function of them.
pub(crate) struct Derivation {
    pub(crate) needs: Box<[Need]>,
    start: Box<Start>,
}

type Start = dyn Fn(&mut Inputs<'_>) -> Option<Running> + Send + Sync;

/// A derivation at work.
pub(crate) type Running = Pin<Box<dyn Future<Output = Produced<Value>> + Send>>;

impl Derivation {
    pub(crate) fn new<T, A, F, Fut>(args: A, f: F) -> Self
    where
        T: Send + Sync + 'static,
        A: Arg,
        F: Fn(A::Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Product<T>> + Send + 'static,
    {
        let mut needs = Needs::default();
        args.needs(&mut needs);
        let start = move |inputs: &mut Inputs<'_>| {
            let product = f(args.take(inputs)?);
            Some(Box::pin(async move { product.await.into_outcome().map(Value::new) }) as Running)
        };
        Self { needs: needs.0.into(), start: Box::new(start) }
    }

    /// Starts the function on what was found; `None` when a required input is not there.
    pub(crate) fn start(&self, found: &[Option<Value>]) -> Option<Running> {
        (self.start)(&mut Inputs(found.iter()))
    }
}
