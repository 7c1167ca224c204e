//! How a resolution is carried out: its clock, its deadline, whether candidates race.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::task::Context;
use core::time::Duration;

/// How a resolution is carried out. The default has no clock, no deadline and no race.
#[derive(Clone, Default)]
pub struct Policy {
    /// The clock for the times in reports, for the deadline and for the stagger. Without one, all
    /// times are zero, and a deadline or stagger is refused with an error.
    pub timer: Option<Arc<dyn Timer>>,
    /// How long the whole resolution may take, derivations and connecting together. When it is
    /// over everything that is under way is dropped. `None`: as long as it takes.
    ///
    /// Given to [`Registry::plan`] and [`Registry::connect`] apart, each has the whole time.
    ///
    /// [`Registry::plan`]: crate::Registry::plan
    /// [`Registry::connect`]: crate::Registry::connect
    pub deadline: Option<Duration>,
    /// Candidates of equal priority race: each starts this long after the one before it, or when
    /// that one fails, whichever is first. The first that connects wins and the others are
    /// dropped. `None`: each starts when the one before it has failed.
    pub stagger: Option<Duration>,
}

impl Policy {
    /// A policy with a clock, without deadline and race.
    pub fn with_timer(timer: Arc<dyn Timer>) -> Self {
        Self { timer: Some(timer), ..Self::default() }
    }

    /// The policy's clock, started now.
    pub(crate) fn clock(&self) -> Clock<'_> {
        let timer = self.timer.as_deref();
        Clock { timer, start: timer.map_or(Duration::ZERO, Timer::now) }
    }

    /// Whether it asks for what only a timer can do, and has none.
    pub(crate) fn lacks_timer(&self) -> bool {
        self.timer.is_none() && (self.deadline.is_some() || self.stagger.is_some())
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("timer", &self.timer.is_some())
            .field("deadline", &self.deadline)
            .field("stagger", &self.stagger)
            .finish()
    }
}

/// A clock and its alarm.
pub trait Timer: Send + Sync {
    /// The time since a fixed but arbitrary moment; never goes back.
    fn now(&self) -> Duration;

    /// Is done after `duration`, not before. Dropping it removes the alarm.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A timer and when the resolution began on it.
#[derive(Clone, Copy)]
pub(crate) struct Clock<'a> {
    timer: Option<&'a dyn Timer>,
    start: Duration,
}

impl Clock<'_> {
    /// The time since the start; zero without a timer.
    pub(crate) fn now(&self) -> Duration {
        self.timer.map_or(Duration::ZERO, |timer| timer.now().saturating_sub(self.start))
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.timer.is_some()
    }
}

/// Rings at a moment of a clock. The timer is only asked when something has to wait.
pub(crate) struct Alarm<'a> {
    clock: Clock<'a>,
    /// Since the clock's start; `None` never rings.
    at: Option<Duration>,
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'a> Alarm<'a> {
    pub(crate) fn new(clock: Clock<'a>, at: Option<Duration>) -> Self {
        Self { clock, at, sleep: None }
    }

    /// Whether it has rung; when not, the task of `cx` is woken as it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let (Some(at), Some(timer)) = (self.at, self.clock.timer) else { return false };
        let sleep =
            self.sleep.get_or_insert_with(|| timer.sleep(at.saturating_sub(self.clock.now())));
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        (self.at, self.sleep) = (None, None);
        true
    }
}
