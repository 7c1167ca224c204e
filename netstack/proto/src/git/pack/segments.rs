//! Octets that only grow, in pieces that stay where they are: no copy is made when there are more, and none is needed
//! at once of a size that a full machine may not have in one piece.

use super::super::error::Error;
use super::super::memory;
use core::ops::Range;

/// Octets in pieces of one size.
#[derive(Default)]
pub struct Segments {
    pieces: Vec<Vec<u8>>,
    len: u64,
}

const PIECE: usize = 256 * 1024;

impl Segments {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds octets at the end.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn push(&mut self, mut octets: &[u8]) -> Result<(), Error> {
        while !octets.is_empty() {
            let room = match self.pieces.last() {
                Some(piece) if piece.len() < PIECE => PIECE - piece.len(),
                _ => {
                    memory::push(&mut self.pieces, memory::octets(PIECE as u64)?)?;
                    PIECE
                }
            };
            let (now, later) = octets.split_at(room.min(octets.len()));
            let last = self.pieces.last_mut().expect("one was added where none had room");
            last.extend_from_slice(now);
            self.len += now.len() as u64;
            octets = later;
        }
        Ok(())
    }

    /// The range, piece by piece; what is beyond the end is left out.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let end = range.end.min(self.len);
        let mut at = range.start;
        core::iter::from_fn(move || {
            (at < end).then(|| {
                let (piece, start) = ((at / PIECE as u64) as usize, (at % PIECE as u64) as usize);
                let len = (end - at).min((PIECE - start) as u64);
                at += len;
                &self.pieces[piece][start..start + len as usize]
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_run_over_pieces() {
        let octets: Vec<u8> = (0..3 * PIECE + 17).map(|index| (index % 251) as u8).collect();
        let mut segments = Segments::default();
        for part in octets.chunks(100_003) {
            segments.push(part).unwrap();
        }
        assert_eq!(segments.len(), octets.len() as u64);
        let piece = PIECE as u64;
        for range in [0..0, 5..9, piece - 1..piece + 1, 0..piece, 1..segments.len()] {
            let read: Vec<u8> = segments.range(range.clone()).flatten().copied().collect();
            assert_eq!(read, octets[range.start as usize..range.end as usize], "{range:?}");
        }
        assert_eq!(segments.range(segments.len() - 1..u64::MAX).flatten().count(), 1);
    }
}
