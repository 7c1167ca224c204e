//! Inflating entries: from a stream that comes in parts, and from a pack that is there.

use super::super::error::Error;
use super::super::memory;
use super::segments::Segments;
use core::ops::Range;
use flate2::{Decompress, FlushDecompress, Status};

/// Inflates one entry after the other.
pub struct Inflater {
    state: Decompress,
}

/// What a part of a stream gave.
pub struct Part {
    /// How many octets of it were used.
    pub taken: usize,
    /// How many octets came out.
    pub given: usize,
    /// Whether the stream is at its end.
    pub ends: bool,
}

const BROKEN: &str = "an entry is not deflated";
const LONGER: &str = "an entry is longer than it says";
const SHORTER: &str = "an entry is shorter than it says";

impl Default for Inflater {
    fn default() -> Self {
        Self { state: Decompress::new(true) }
    }
}

impl Inflater {
    /// Begins the next entry.
    pub fn reset(&mut self) {
        self.state.reset(true);
    }

    /// Inflates from the front of `octets` into `out`.
    ///
    /// # Errors
    /// [`Error::Pack`], without its place.
    pub fn part(&mut self, octets: &[u8], out: &mut [u8]) -> Result<Part, Error> {
        let (taken, given) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(octets, out, FlushDecompress::None);
        let status = status.map_err(|_| wrong(BROKEN))?;
        let part = Part {
            taken: (self.state.total_in() - taken) as usize,
            given: (self.state.total_out() - given) as usize,
            ends: status == Status::StreamEnd,
        };
        match part.taken == 0 && part.given == 0 && !part.ends && !octets.is_empty() {
            true => Err(wrong(BROKEN)),
            false => Ok(part),
        }
    }

    /// All of an entry that inflates to `size` octets.
    ///
    /// # Errors
    /// [`Error::Pack`], without its place; [`Error::Memory`].
    pub fn all(&mut self, from: &Segments, range: Range<u64>, size: u64) -> Result<Vec<u8>, Error> {
        self.reset();
        let len = range.end.saturating_sub(range.start);
        // one more than needed: an entry that is too long shows
        let mut out = memory::octets(size + 1)?;
        for piece in from.range(range) {
            // an entry in one piece goes straight into `out`, without the window of a stream
            let flush = match piece.len() as u64 == len {
                true => FlushDecompress::Finish,
                false => FlushDecompress::None,
            };
            let status = self.state.decompress_vec(piece, &mut out, flush);
            if status.map_err(|_| wrong(BROKEN))? == Status::StreamEnd {
                break;
            }
        }
        match (out.len() as u64).cmp(&size) {
            core::cmp::Ordering::Less => Err(wrong(SHORTER)),
            core::cmp::Ordering::Equal => Ok(out),
            core::cmp::Ordering::Greater => Err(wrong(LONGER)),
        }
    }
}

/// An error whose place the caller knows.
fn wrong(reason: &'static str) -> Error {
    Error::Pack { offset: 0, reason }
}

/// What is wrong with an entry that inflated to `given` octets and ended, or has not.
pub fn held_to_size(given: u64, size: u64, ends: bool) -> Result<(), &'static str> {
    match given > size {
        true => Err(LONGER),
        false if ends && given < size => Err(SHORTER),
        false => Ok(()),
    }
}
