//! Work in pieces: what a peer made large holds up nothing else, limits of time least of all.

use futures_lite::future;

/// Counts work, and lets others run every so often.
#[derive(Default)]
pub struct Pace {
    octets: u64,
}

/// Octets of work at once.
pub const AT_ONCE: u64 = 1 << 20;

impl Pace {
    /// So many octets were worked on.
    pub async fn did(&mut self, octets: u64) {
        self.octets = self.octets.saturating_add(octets);
        if self.octets >= AT_ONCE {
            self.octets = 0;
            future::yield_now().await;
        }
    }
}
