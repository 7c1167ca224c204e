//! The handle that everyone holds, and its [`Net`].

use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use smoltcp::phy::{Device, Medium};
use spin::{Mutex, MutexGuard};

use super::config::{Config, ConfigError};
use super::datagram::Datagram;
use super::raw::RawIp;
use super::state::{State, enlist};
use super::tcp::{Connect, Listener};
use super::timers::Key;
use super::watch::Watch;
use crate::{BoxFuture, Configuration, Error, Instant, IpVersion, Net};

/// A clock that only grows.
pub trait Clock: Send + Sync + 'static {
    /// The present, not earlier than at any call before.
    fn now(&self) -> Instant;
}

impl<F: Fn() -> Instant + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}

/// The system's monotonic clock, from its creation on.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(std::time::Instant);

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}

/// One interface with everything on it. Clones share it.
pub struct Stack<D> {
    shared: Arc<Shared>,
    device: Arc<Mutex<Option<Watch<D>>>>,
}

impl<D> Clone for Stack<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), device: self.device.clone() }
    }
}

/// What a [`Stack::poll`] leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// There was more to do than one turn allows: poll again before waiting.
    pub more: bool,
    /// When to poll again, even if nothing happens; `None` = not before something happens.
    pub deadline: Option<Instant>,
}

impl<D: Device + Send + 'static> Stack<D> {
    /// A stack on `device`, which must be an Ethernet one. Without a device timers work, and every
    /// socket fails with [`Error::NoDevice`].
    ///
    /// # Errors
    /// What is wrong with the configuration, on this device.
    ///
    /// # Panics
    /// When the device is not an Ethernet one.
    pub fn new(config: Config, device: Option<D>, clock: impl Clock) -> Result<Self, ConfigError> {
        if let Some(device) = &device {
            let caps = device.capabilities();
            assert_eq!(caps.medium, Medium::Ethernet, "smol::Stack works on Ethernet devices");
            config.validate(caps.ip_mtu())?;
        }
        let mut device = device.map(|device| Watch::new(device, config.mtu));
        let user_timeout = config.tcp.user_timeout;
        let state = State::new(config, device.as_mut(), clock.now());
        let shared = Shared { state: Mutex::new(state), clock: Box::new(clock), user_timeout };
        Ok(Self { shared: Arc::new(shared), device: Arc::new(Mutex::new(device)) })
    }

    /// Does what there is to do now, within bounds, and wakes the tasks concerned. Not to be called
    /// by a task or by the device itself.
    pub fn poll(&self) -> Turn {
        let now = self.shared.now();
        let mut wakers = Vec::new();
        let mut device = self.device.lock();
        let turn = self.shared.lock().turn(now, device.as_mut(), &mut wakers);
        drop(device);
        for waker in wakers {
            waker.wake();
        }
        turn
    }
}

impl<D> Stack<D> {
    /// The device, for what it can beside frames; `None` without one. Not to be called by the device itself.
    pub fn with_device<R>(&self, act: impl FnOnce(&mut D) -> R) -> Option<R> {
        self.device.lock().as_mut().map(|watch| act(watch.device()))
    }

    /// To be called when the device's link is up again after it was down for `absence`: DHCP servers and routers are
    /// asked again. Connections go on, if the address stays.
    pub fn link_returned(&self, absence: Duration) {
        let now = self.shared.now();
        self.shared.lock().link_returned(absence, now);
    }

    /// Accepts connections on `port` of all addresses, up to `backlog` (1 to 64) waiting ones. Each
    /// holds a connection's buffers from the start.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], also for port 0; [`Error::NoDevice`].
    pub fn tcp_listen(&self, port: u16, backlog: usize) -> Result<Listener, Error> {
        Listener::bind(self.shared.clone(), port, backlog)
    }

    /// The clock that the stack was made with.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// Sockets that exist now: open, lingering and in TIME-WAIT, without those that only listen.
    #[must_use]
    pub fn sockets(&self) -> usize {
        let state = self.shared.lock();
        let own = usize::from(state.addressing.has_client());
        state.sockets.iter().count() - state.idle_listening_sockets() - own
    }

    /// Timers that have not fired.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.shared.lock().timers.len()
    }
}

/// What sockets hold: the state does not depend on the device's type.
pub(super) struct Shared {
    state: Mutex<State>,
    clock: Box<dyn Clock>,
    user_timeout: Duration,
}

impl Shared {
    /// Only for short critical sections, in which no waker is called or dropped.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn user_timeout(&self) -> smoltcp::time::Duration {
        self.user_timeout.into()
    }
}

impl<D: Device + Send + 'static> Net for Stack<D> {
    fn now(&self) -> Instant {
        self.shared.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let deadline = self.shared.now() + duration;
        Box::pin(Sleep { shared: self.shared.clone(), deadline, key: None })
    }

    fn ready(&self) -> BoxFuture<'static, Result<Configuration, Error>> {
        let shared = self.shared.clone();
        Box::pin(poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let mut state = shared.lock();
            if state.absent {
                return Poll::Ready(Err(Error::NoDevice));
            }
            if state.addressing.is_ready() {
                return Poll::Ready(Ok(state.addressing.configuration()));
            }
            let spare = enlist(&mut state.waiting_for_address, waker);
            drop(state);
            drop(spare);
            Poll::Pending
        }))
    }

    fn configuration(&self) -> Configuration {
        self.shared.lock().addressing.configuration()
    }

    fn changed(&self, known: Configuration) -> BoxFuture<'static, Configuration> {
        let shared = self.shared.clone();
        Box::pin(poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let mut state = shared.lock();
            let configuration = state.addressing.configuration();
            if configuration != known {
                return Poll::Ready(configuration);
            }
            let spare = enlist(&mut state.waiting_for_address, waker);
            drop(state);
            drop(spare);
            Poll::Pending
        }))
    }

    fn tcp_connect(
        &self,
        remote: SocketAddr,
    ) -> BoxFuture<'static, Result<Box<dyn crate::TcpStream>, Error>> {
        Box::pin(Connect::new(self.shared.clone(), remote))
    }

    fn udp_bind(
        &self,
        local_port: Option<u16>,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn crate::Datagram>, Error>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let socket = Datagram::bind(shared, local_port, family)?;
            Ok(Box::new(socket) as Box<dyn crate::Datagram>)
        })
    }

    fn raw_open(
        &self,
        protocol: u8,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn crate::RawIp>, Error>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let socket = RawIp::open(shared, protocol, family)?;
            Ok(Box::new(socket) as Box<dyn crate::RawIp>)
        })
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        let shared = self.shared.clone();
        Box::pin(poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let mut state = shared.lock();
            if state.is_settled() {
                return Poll::Ready(());
            }
            let spare = enlist(&mut state.waiting_for_graves, waker);
            drop(state);
            drop(spare);
            Poll::Pending
        }))
    }
}

/// A timer that is removed when its future is dropped.
struct Sleep {
    shared: Arc<Shared>,
    deadline: Instant,
    key: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.shared.now() >= this.deadline {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut state = this.shared.lock();
        let spare = match this.key {
            None => {
                this.key = Some(state.timers.insert(this.deadline, waker));
                None
            }
            Some(key) => match state.timers.replace(key, waker) {
                Ok(old) => Some(old),
                Err(waker) => {
                    // Fired a little early by a coarse clock: once more.
                    this.key = Some(state.timers.insert(this.deadline, waker));
                    None
                }
            },
        };
        drop(state);
        drop(spare);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.shared.lock().timers.remove(key);
            drop(waker);
        }
    }
}
