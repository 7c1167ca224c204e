//! Keys: the names under which a context keeps its values.

use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The key of a value of type `T` in a [`Ctx`](crate::Ctx).
///
/// A key is unique by identity: two keys made with the same name are different keys, and the name
/// serves only to be read. A clone of a key is the same key.
///
/// ```
/// use mimic::Key;
///
/// let port = Key::<u16>::shown("port");
/// assert!(port == port.clone());
/// assert!(port != Key::<u16>::shown("port"));
/// ```
pub struct Key<T> {
    meta: Arc<Meta>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Key<T> {
    /// A key whose values are written as `…` in dumps and reports.
    pub fn new(name: impl Into<Name>) -> Self {
        Self::with(name.into(), Show::Opaque)
    }

    /// A key whose values are written with their `Display` in dumps and reports.
    pub fn shown(name: impl Into<Name>) -> Self
    where
        T: fmt::Display,
    {
        Self::described(name, |value: &T, f| value.fmt(f))
    }

    /// A key whose values are written as `(redacted)` in dumps and reports.
    ///
    /// Only the values under this key are hidden: a derivation that copies one under another key,
    /// or into the text of an error, shows it.
    pub fn secret(name: impl Into<Name>) -> Self {
        Self::with(name.into(), Show::Secret)
    }

    /// A key whose values are written by `show` in dumps and reports.
    pub fn described<F>(name: impl Into<Name>, show: F) -> Self
    where
        F: Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result + Send + Sync + 'static,
    {
        let show = move |value: &Value, f: &mut fmt::Formatter<'_>| match value.0.downcast_ref() {
            Some(value) => show(value, f),
            None => f.write_str(OPAQUE),
        };
        Self::with(name.into(), Show::Text(Arc::new(show)))
    }

    fn with(name: Name, show: Show) -> Self {
        let id = Id(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        Self { meta: Arc::new(Meta { id, name, show }), kind: PhantomData }
    }
}

impl<T> Key<T> {
    /// The name given when the key was made.
    pub fn name(&self) -> &Name {
        &self.meta.name
    }

    pub(crate) fn id(&self) -> Id {
        self.meta.id
    }

    pub(crate) fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { meta: Arc::clone(&self.meta), kind: PhantomData }
    }
}

/// Keys are equal when they are the same key, whatever their types; equal keys have equal types.
impl<T, U> PartialEq<Key<U>> for Key<T> {
    fn eq(&self, other: &Key<U>) -> bool {
        self.meta.id == other.meta.id
    }
}

impl<T> Eq for Key<T> {}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meta.id.hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.meta.name).finish()
    }
}

impl<T> fmt::Display for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.meta.name.fmt(f)
    }
}

/// What a key is called: a piece of text that is cheap to clone.
#[derive(Clone)]
pub struct Name(Text);

#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Shared(Arc<str>),
}

impl Name {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Fixed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Name {
    fn from(text: &'static str) -> Self {
        Self(Text::Fixed(text))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(Text::Shared(text.into()))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A value together with how its key wants it written: what dumps and reports hold.
///
/// Its `Display` and `Debug` write the value as the key says: as text, `…` or `(redacted)`. The
/// text is made when it is asked for, not before. There is no way back to the value.
#[derive(Clone)]
pub struct Shown {
    pub(crate) meta: Arc<Meta>,
    pub(crate) value: Value,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.meta.show {
            Show::Opaque => f.write_str(OPAQUE),
            Show::Secret => f.write_str(SECRET),
            Show::Text(show) => show(&self.value, f),
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What all clones of a key share.
pub(crate) struct Meta {
    pub(crate) id: Id,
    pub(crate) name: Name,
    show: Show,
}

enum Show {
    Opaque,
    Secret,
    Text(Arc<ShowText>),
}

type ShowText = dyn Fn(&Value, &mut fmt::Formatter<'_>) -> fmt::Result + Send + Sync;

/// The identity of a key: the how-manieth key of the program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(usize);

/// A value of any type; clones share it.
#[derive(Clone)]
pub(crate) struct Value(Arc<dyn Any + Send + Sync>);

impl Value {
    pub(crate) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Arc::new(value))
    }

    pub(crate) fn share<T: Send + Sync + 'static>(value: Arc<T>) -> Self {
        Self(value)
    }

    /// The value with its type back; `None` when it is of another type, which a key's type forbids.
    pub(crate) fn typed<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }

    /// Where the value is kept: equal for clones of one value only, as long as one of them lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>().addr()
    }
}

/// Wraps after 2^64 keys (2^32 where `usize` is that small), more than a program can make.
static NEXT_ID: AtomicUsize = AtomicUsize::new(0);

const OPAQUE: &str = "…";
const SECRET: &str = "(redacted)";
