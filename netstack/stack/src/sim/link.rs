//! What a cable does to frames.

use core::time::Duration;

use super::random::Generator;
use crate::Instant;

/// The cable between a port and the switch, the same in both directions.
///
/// A frame crosses two links: its sender's and its receiver's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// Time that every frame takes.
    pub latency: Duration,
    /// Most that a frame takes longer, by chance; frames overtake each other when it exceeds the
    /// time between them.
    pub jitter: Duration,
    /// Octets a second; `None` = without limit.
    pub bandwidth: Option<u64>,
    /// Octets that wait for a link of limited bandwidth; what exceeds it is lost.
    pub queue: u64,
    /// Chance of a frame to be lost, 0 to 1.
    pub loss: f64,
    /// Chance of a frame to arrive twice.
    pub duplicate: f64,
    /// Chance of one bit of an IP packet to arrive flipped.
    pub corrupt: f64,
    /// The port's device computes checksums and cuts segments (TSO).
    pub offload: bool,
}

impl Default for Link {
    /// 100 µs, without limits or faults.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100),
            jitter: Duration::ZERO,
            bandwidth: None,
            queue: 256 * 1024,
            loss: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            offload: false,
        }
    }
}

impl Link {
    /// A link of that latency and loss.
    #[must_use]
    pub fn new(latency: Duration, loss: f64) -> Self {
        Self { latency, loss, ..Self::default() }
    }

    /// With that jitter.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// With that bandwidth in octets a second and that queue in octets.
    #[must_use]
    pub fn bandwidth(self, bandwidth: u64, queue: u64) -> Self {
        Self { bandwidth: Some(bandwidth), queue, ..self }
    }

    /// With that chance of a frame to arrive twice.
    #[must_use]
    pub fn duplicate(self, duplicate: f64) -> Self {
        Self { duplicate, ..self }
    }

    /// With that chance of a bit to flip.
    #[must_use]
    pub fn corrupt(self, corrupt: f64) -> Self {
        Self { corrupt, ..self }
    }

    /// With a device that computes checksums and cuts segments.
    #[must_use]
    pub fn offload(self) -> Self {
        Self { offload: true, ..self }
    }

    /// Loses everything.
    #[must_use]
    pub fn cut() -> Self {
        Self { loss: 1.0, ..Self::default() }
    }
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    busy_until: Instant,
}

/// How a frame comes out of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) at: Instant,
    pub(super) corrupt: bool,
}

impl Lane {
    /// Sends a frame of `len` octets into the lane at `now`: it comes out never, once or twice.
    pub(super) fn pass(
        &mut self,
        link: &Link,
        now: Instant,
        len: usize,
        chance: &mut Generator,
    ) -> impl Iterator<Item = Passage> + use<> {
        let mut sent = now;
        let mut full = false;
        if let Some(bandwidth) = link.bandwidth {
            let start = now.max(self.busy_until);
            let waiting = (start - now).as_micros() * u128::from(bandwidth) / 1_000_000;
            full = waiting > u128::from(link.queue);
            if !full {
                let micros = (len as u64 * 1_000_000).div_ceil(bandwidth.max(1));
                self.busy_until = start + Duration::from_micros(micros);
                sent = self.busy_until;
            }
        }
        let lost = chance.happens(link.loss) || full;
        let twice = chance.happens(link.duplicate);
        let jitter = u64::try_from(link.jitter.as_micros()).unwrap_or(u64::MAX);
        let mut passage = || Passage {
            at: sent + link.latency + Duration::from_micros(chance.below(jitter)),
            corrupt: chance.happens(link.corrupt),
        };
        let first = passage();
        let second = passage();
        [(!lost).then_some(first), (!lost && twice).then_some(second)].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_spaces_frames_and_the_queue_ends() {
        let link = Link::default().bandwidth(1_000_000, 2500);
        let mut lane = Lane::default();
        let mut chance = Generator::new(1);
        let arrivals: Vec<u64> = (0..6)
            .flat_map(|_| lane.pass(&link, Instant::ZERO, 1000, &mut chance))
            .map(|p| p.at.as_micros())
            .collect();
        assert_eq!(arrivals, [1100, 2100, 3100]);
    }

    #[test]
    fn loss_and_duplication() {
        let mut chance = Generator::new(2);
        let mut count = |link: Link| {
            let mut lane = Lane::default();
            (0..1000).flat_map(|_| lane.pass(&link, Instant::ZERO, 100, &mut chance)).count()
        };
        assert_eq!(count(Link::default()), 1000);
        assert_eq!(count(Link::cut()), 0);
        assert!((850..950).contains(&count(Link::new(Duration::ZERO, 0.1))));
        assert!((1050..1150).contains(&count(Link::default().duplicate(0.1))));
    }
}
