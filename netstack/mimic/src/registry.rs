//! Protocols and the registry that holds them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::pin::Pin;

use crate::flow::{BoxFlow, Flow};
use crate::key::{Key, Name, Value};
use crate::map::Map;

/// A way to make a flow: what [`Registry::register`] takes.
pub trait Protocol: Send + Sync + 'static {
    /// All that is needed to connect; the type of the protocol's key.
    type Endpoint: Send + Sync + 'static;
    /// What it makes.
    type Flow: Flow;
    /// Why it could not.
    type Error: Error + Send + Sync + 'static;

    /// Connects to `endpoint`. Dropping the future must free all that it holds.
    ///
    /// # Errors
    /// What the user is to read about this attempt; the next candidate is tried after it.
    fn connect(
        &self,
        endpoint: Arc<Self::Endpoint>,
    ) -> impl Future<Output = Result<Self::Flow, Self::Error>> + Send;

    /// Writes `endpoint` for dumps and reports, such as `10.0.2.2:80`. By default `…`: a protocol
    /// that writes more sees to it that no secret is in it.
    ///
    /// # Errors
    /// Those of the formatter.
    fn describe(endpoint: &Self::Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = endpoint;
        f.write_str("…")
    }
}

/// Which protocols there are. A value, not a global: a clone is a registry of its own.
///
/// Cheap to clone; [`over`](Self::over) makes a layer that adds to what its parent has.
#[derive(Clone)]
pub struct Registry {
    entries: Map<Arc<Entry>>,
    /// The place of the next registration.
    next: u64,
}

impl Registry {
    /// A registry without protocols.
    pub const fn new() -> Self {
        Self { entries: Map::new(), next: 0 }
    }

    /// A layer over `parent`: all protocols that the parent has now, and those registered here.
    /// What is registered or unregistered in a layer does not touch the parent, nor the reverse.
    #[must_use]
    pub fn over(parent: &Self) -> Self {
        parent.clone()
    }

    /// Adds a protocol. Candidates of a lower `priority` come first, those without one last.
    ///
    /// Registering one protocol twice makes two, each with its own key.
    pub fn register<P: Protocol>(
        &mut self,
        name: &'static str,
        priority: impl Into<Option<u32>>,
        protocol: P,
    ) -> Handle<P> {
        let endpoint = Key::described(Name::from(name), P::describe);
        let entry = Entry {
            name,
            priority: priority.into(),
            place: self.next,
            dial: Box::new(Registered { protocol, endpoint: endpoint.clone(), name }),
            endpoint: Arc::clone(endpoint.meta()),
        };
        self.next += 1;
        self.entries = self.entries.insert(endpoint.id(), Arc::new(entry));
        Handle { endpoint, name }
    }

    /// Takes a protocol out again: whether it was there. Plans made before still list it, but
    /// [`connect`](Self::connect) passes it over.
    pub fn unregister<P: Protocol>(&mut self, handle: &Handle<P>) -> bool {
        let there = self.entries.get(handle.endpoint.id()).is_some();
        self.entries = self.entries.remove(handle.endpoint.id());
        there
    }

    /// How many protocols there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no protocols.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    pub(crate) fn entry(&self, id: crate::key::Id) -> Option<&Arc<Entry>> {
        self.entries.get(id)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.values().map(|entry| entry.name)).finish()
    }
}

/// What [`Registry::register`] gives: the endpoint's key, and the way between the protocol's own
/// flow and the opaque one. A clone is of the same registration.
pub struct Handle<P: Protocol> {
    endpoint: Key<P::Endpoint>,
    name: &'static str,
}

impl<P: Protocol> Handle<P> {
    /// The key under which a context holds endpoints of this protocol.
    pub fn endpoint(&self) -> &Key<P::Endpoint> {
        &self.endpoint
    }

    /// The name of the registration.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// An opaque flow of this protocol, from one that was connected or accepted elsewhere.
    pub fn inject(&self, flow: P::Flow) -> BoxFlow {
        BoxFlow::new(flow, self.name, self.endpoint.id())
    }

    /// The protocol's own flow.
    ///
    /// # Errors
    /// The flow itself, when another registration made it, be it of the same protocol.
    pub fn downcast(&self, flow: BoxFlow) -> Result<P::Flow, BoxFlow> {
        if self.downcast_ref(&flow).is_none() {
            return Err(flow);
        }
        match flow.concrete().downcast() {
            Ok(flow) => Ok(*flow),
            Err(_) => unreachable!("the type was checked on the line before"),
        }
    }

    /// A look at the protocol's own flow; `None` when another registration made it.
    pub fn downcast_ref<'a>(&self, flow: &'a BoxFlow) -> Option<&'a P::Flow> {
        flow.concrete_ref().downcast_ref().filter(|_| flow.made_by(self.endpoint.id()))
    }

    /// As [`downcast_ref`](Self::downcast_ref), to change it.
    pub fn downcast_mut<'a>(&self, flow: &'a mut BoxFlow) -> Option<&'a mut P::Flow> {
        if !flow.made_by(self.endpoint.id()) {
            return None;
        }
        flow.concrete_mut().downcast_mut()
    }
}

impl<P: Protocol> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self { endpoint: self.endpoint.clone(), name: self.name }
    }
}

impl<P: Protocol> fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.name).finish()
    }
}

/// A registered protocol, its types hidden.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) priority: Option<u32>,
    /// Ascending in the order of registration.
    pub(crate) place: u64,
    pub(crate) endpoint: Arc<crate::key::Meta>,
    dial: Box<dyn Dial>,
}

impl Entry {
    /// `None` when `endpoint` is of another type, which the key's type forbids.
    pub(crate) fn connect(self: &Arc<Self>, endpoint: &Value) -> Option<Dialing<'_>> {
        self.dial.dial(endpoint)
    }
}

trait Dial: Send + Sync {
    fn dial(&self, endpoint: &Value) -> Option<Dialing<'_>>;
}

/// An attempt at work.
pub(crate) type Dialing<'a> = Pin<Box<dyn Future<Output = Dialed> + Send + 'a>>;

pub(crate) type Dialed = Result<BoxFlow, Arc<dyn Error + Send + Sync>>;

struct Registered<P: Protocol> {
    protocol: P,
    endpoint: Key<P::Endpoint>,
    name: &'static str,
}

impl<P: Protocol> Dial for Registered<P> {
    fn dial(&self, endpoint: &Value) -> Option<Dialing<'_>> {
        let endpoint = endpoint.typed::<P::Endpoint>()?;
        Some(Box::pin(async move {
            match self.protocol.connect(endpoint).await {
                Ok(flow) => Ok(BoxFlow::new(flow, self.name, self.endpoint.id())),
                Err(error) => Err(Arc::new(error) as Arc<dyn Error + Send + Sync>),
            }
        }))
    }
}
