//! A point in time on a backend's own clock.
//!
//! Not the wall clock: it only grows, starts near zero and says nothing about dates. Backends hand
//! it out (`Net::now`), the reactor and the simulated wire make it.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// Microseconds since the backend's clock started (boot, creation of the backend, start of a
/// simulation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);
    /// The end of the clock, about 292 000 years after its start (the range of smoltcp's clock).
    pub const FAR: Self = Self(i64::MAX as u64);

    /// `micros` microseconds after the start; values beyond [`Self::FAR`] become it.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        if micros > Self::FAR.0 { Self::FAR } else { Self(micros) }
    }

    /// `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self + duration`, rounded up to a microsecond so that a timer never fires early, at most
    /// [`Self::FAR`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = duration.as_nanos().div_ceil(1000);
        Self::from_micros(self.0.saturating_add(u64::try_from(micros).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = self.saturating_add(duration);
    }
}

/// Saturates: the difference to a later instant is zero.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Seconds with six decimals: `12.000345`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        let deadline = Instant::from_micros(5) + Duration::from_nanos(1);
        assert_eq!(deadline.as_micros(), 6);
    }

    #[test]
    fn the_ends_saturate() {
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::FAR);
        assert_eq!(Instant::from_micros(u64::MAX), Instant::FAR);
        assert_eq!(Instant::from_millis(1) - Instant::from_millis(2), Duration::ZERO);
    }

    #[test]
    fn prints_seconds() {
        assert_eq!(Instant::from_micros(12_000_345).to_string(), "12.000345");
    }
}
