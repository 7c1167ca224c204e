//! Contents as they were before a server encoded them (RFC 9110 §8.4): octets pushed in, octets pulled out, with a
//! bounded memory between.
//!
//! | coding | library | memory |
//! |---|---|---|
//! | gzip, deflate | flate2 over miniz_oxide | 32 KiB |
//! | br | brotli-decompressor | up to 16 MiB, as the content says (RFC 7932 §9.1), and half of that while it grows |
//! | zstd | ruzstd | up to [`zstd::WINDOW`] and a block, and as much again twice while it grows |
//!
//! A content that wants more than the machine has is refused. (Of `br` and `zstd` there is one in a chain at most.)

mod brotli;
mod deflate;
mod zstd;

use bytes::Bytes;
use proto::coding::Coding;

/// A content may grow to this many times its size …
pub const MOST_EXPANSION: u64 = 200;
/// … and to this many octets anyway: what is small harms nobody.
pub const ANY_SIZE: u64 = 16 << 20;
/// Memory that a large window leaves to everything else. A machine without any ends, which no content may bring about.
const LEFT: usize = 4 << 20;
/// Windows from here on are large.
const LARGE: usize = 1 << 20;
/// Octets decoded at once.
const CHUNK: usize = 64 * 1024;
/// Octets between two decoders.
const BETWEEN: usize = 16 * 1024;

/// Whether there is memory for so many octets, and some more.
fn fits(octets: usize) -> bool {
    octets < LARGE || Vec::<u8>::new().try_reserve_exact(octets.saturating_add(LEFT)).is_ok()
}

fn too_large(coding: &str) -> String {
    format!(
        "{coding}: the content wants a larger window than there is memory for: give the machine more"
    )
}

/// One decoder: takes octets from the front of `input`, puts octets at the front of `out`.
trait Decoder: Send {
    /// How many octets it put, and whether the content has ended. Takes or puts something if it can; `end`: nothing
    /// follows behind `input`.
    fn decode(&mut self, input: &mut &[u8], end: bool, out: &mut [u8]) -> Result<Decoded, String>;
}

/// What came of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoded {
    /// So many octets; 0: it needs more.
    Octets(usize),
    /// The content has ended.
    End,
}

/// What [`Chain::pull`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Pull {
    /// Decoded octets, at least one.
    Octets(Bytes),
    /// The encoded octets are used up: push more, then pull again.
    Hungry,
    /// The content has ended. Octets behind it were left out.
    End,
}

/// The decoders of one content, the wire's first.
pub struct Chain {
    stages: Vec<Stage>,
    pushed: u64,
    pulled: u64,
}

struct Stage {
    decoder: Box<dyn Decoder>,
    input: Bytes,
    end: bool,
}

impl Stage {
    /// What the decoder could not use yet stays in front.
    fn feed(&mut self, octets: Bytes) {
        self.input = match self.input.is_empty() {
            true => octets,
            false => [&self.input[..], &octets].concat().into(),
        };
    }
}

impl Chain {
    /// `codings` in the order in which they were applied.
    pub fn new(codings: &[Coding]) -> Self {
        let stage = |coding: &Coding| Stage {
            decoder: match coding {
                Coding::Brotli => Box::new(brotli::Brotli::new()),
                Coding::Deflate => Box::new(deflate::Deflate::default()),
                Coding::Gzip => Box::new(deflate::Gzip::default()),
                Coding::Zstd => Box::new(zstd::Zstd::new()),
            },
            input: Bytes::new(),
            end: false,
        };
        Self { stages: codings.iter().rev().map(stage).collect(), pushed: 0, pulled: 0 }
    }

    /// Encoded octets, or their end; to be called when [`Self::pull`] is hungry.
    pub fn push(&mut self, octets: Option<Bytes>) {
        let first = self.stages.first_mut().expect("a chain has at least one coding");
        match octets {
            None => first.end = true,
            Some(octets) => {
                self.pushed += octets.len() as u64;
                first.feed(octets);
            }
        }
    }

    /// Decoded octets; `bounded`: no more than a content may grow to.
    ///
    /// # Errors
    /// What is wrong with the content.
    pub fn pull(&mut self, bounded: bool) -> Result<Pull, String> {
        // nothing at all is the encoding of nothing, as some servers have it
        if self.pushed == 0 && self.stages.first().is_some_and(|stage| stage.end) {
            return Ok(Pull::End);
        }
        let mut out = vec![0; CHUNK];
        let pull = pull(&mut self.stages, &mut out)?;
        let Some(len) = pull else { return Ok(Pull::Hungry) };
        if len == 0 {
            return Ok(Pull::End);
        }
        self.pulled += len as u64;
        let most = self.pushed.saturating_mul(MOST_EXPANSION).max(ANY_SIZE);
        if bounded && self.pulled > most {
            return Err(format!(
                "the content grows beyond {MOST_EXPANSION} times its size: {} octets came of {} (--max-size=SIZE takes it up to that size)",
                self.pulled, self.pushed
            ));
        }
        out.truncate(len);
        Ok(Pull::Octets(out.into()))
    }
}

/// From the last of `stages`; `None`: the first one needs more, 0: the end.
fn pull(stages: &mut [Stage], out: &mut [u8]) -> Result<Option<usize>, String> {
    let (stage, before) = stages.split_last_mut().expect("a chain has at least one coding");
    loop {
        let mut input = &stage.input[..];
        let had = input.len();
        let decoded = stage.decoder.decode(&mut input, stage.end, out)?;
        let used = had - input.len();
        stage.input = stage.input.slice(used..);
        match decoded {
            Decoded::End => return Ok(Some(0)),
            Decoded::Octets(0) if used > 0 => {}
            Decoded::Octets(0) if stage.end => {
                return Err("the content ends before its encoding does".into());
            }
            Decoded::Octets(0) if before.is_empty() => return Ok(None),
            Decoded::Octets(0) => {
                let mut between = vec![0; BETWEEN];
                match pull(before, &mut between)? {
                    None => return Ok(None),
                    Some(0) => stage.end = true,
                    Some(len) => {
                        between.truncate(len);
                        stage.feed(between.into());
                    }
                }
            }
            Decoded::Octets(len) => return Ok(Some(len)),
        }
    }
}

#[cfg(test)]
mod tests;
