//! zstd (RFC 8878): frame by frame, block by block.
//!
//! The library decodes blocks that are whole, as many as it is given; one at a time keeps what it holds to a window
//! and a block, however small their encodings are.

use super::{Decoded, Decoder, fits, too_large};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Read as _;

/// The largest window that a content on the web may have (RFC 9659 §3).
pub const WINDOW: u64 = 8 << 20;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// RFC 8878 §3.1.2: frames that hold nothing have one of 16 numbers.
const SKIPPABLE: u32 = 0x184d_2a50;
const CHECKSUM: usize = 4;

/// Frames, one behind the other.
pub struct Zstd {
    decoder: FrameDecoder,
    /// Encoded octets, those before `at` used already: pieces are small, and to move the rest for each takes long.
    buf: Vec<u8>,
    at: usize,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before the first frame.
    Start,
    /// Behind a frame.
    Between,
    /// In a frame, which may have a checksum at its end.
    Blocks { checksum: bool },
    /// In a frame that holds nothing: so many octets are left of it.
    Skipped(u64),
}

/// What a frame begins with.
enum Header {
    Frame { len: usize, checksum: bool, window: u64 },
    Skippable { len: usize, content: u64 },
}

impl Zstd {
    pub fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { decoder, buf: Vec::new(), at: 0, part: Part::Start }
    }

    /// Does one piece; `false`: it is not whole yet.
    fn advance(&mut self) -> Result<bool, String> {
        let failed = |error: &dyn core::fmt::Display| format!("zstd: {error}");
        let buf = &self.buf[self.at..];
        let used = match self.part {
            Part::Start | Part::Between => match header(buf)? {
                None => return Ok(false),
                Some(Header::Frame { len, checksum, window }) => {
                    // the decoder doubles it when the first block is added, and holds both meanwhile
                    if window <= WINDOW && !fits(3 * window as usize) {
                        return Err(too_large("zstd"));
                    }
                    self.decoder.init(&buf[..len]).map_err(|error| failed(&error))?;
                    self.part = Part::Blocks { checksum };
                    len
                }
                Some(Header::Skippable { len, content }) => {
                    self.part = Part::Skipped(content);
                    len
                }
            },
            Part::Blocks { checksum } => {
                let Some(len) = block_len(buf, checksum) else { return Ok(false) };
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&buf[..len], one);
                if decoded.map_err(|error| failed(&error))? {
                    self.part = Part::Between;
                }
                len
            }
            Part::Skipped(0) => {
                self.part = Part::Between;
                0
            }
            Part::Skipped(_) if buf.is_empty() => return Ok(false),
            Part::Skipped(left) => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                self.part = Part::Skipped(left - len as u64);
                len
            }
        };
        self.at += used;
        Ok(true)
    }

    /// Whether the frame that has just ended is what its checksum says.
    fn check(&self) -> Result<(), String> {
        let said = self.decoder.get_checksum_from_data();
        match said.is_none() || said == self.decoder.get_calculated_checksum() {
            true => Ok(()),
            false => Err("zstd: the content is not what its checksum says".into()),
        }
    }
}

impl Decoder for Zstd {
    fn decode(&mut self, input: &mut &[u8], end: bool, out: &mut [u8]) -> Result<Decoded, String> {
        loop {
            let len = self.decoder.read(out).map_err(|error| format!("zstd: {error}"))?;
            if len > 0 {
                return Ok(Decoded::Octets(len));
            }
            if self.part == Part::Between {
                self.check()?;
                if end && self.buf.len() == self.at && input.is_empty() {
                    return Ok(Decoded::End);
                }
            }
            if !self.advance()? {
                if input.is_empty() {
                    return Ok(Decoded::Octets(0));
                }
                self.buf.drain(..self.at);
                self.at = 0;
                self.buf.extend_from_slice(input);
                *input = &[];
            }
        }
    }
}

/// RFC 8878 §3.1.1; `None`: more is needed.
fn header(octets: &[u8]) -> Result<Option<Header>, String> {
    let Some((magic, rest)) = octets.split_first_chunk::<4>() else { return Ok(None) };
    if u32::from_le_bytes(*magic) & !0xf == SKIPPABLE {
        let content = rest.first_chunk::<4>().map(|content| u32::from_le_bytes(*content));
        return Ok(content.map(|content| Header::Skippable { len: 8, content: content.into() }));
    }
    if *magic != MAGIC {
        return Err("zstd: the content does not begin as one".into());
    }
    let Some(descriptor) = rest.first() else { return Ok(None) };
    let single = descriptor >> 5 & 1 == 1;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    let len = 5 + window + dictionary + size;
    let checksum = descriptor >> 2 & 1 == 1;
    if octets.len() < len {
        return Ok(None);
    }
    let window = match single {
        false => {
            let (exponent, mantissa) = (rest[1] >> 3, u64::from(rest[1] & 7));
            let base = 1_u64 << (10 + exponent);
            base + base / 8 * mantissa
        }
        // all of the content, whose size in two octets counts from 256
        true => {
            let field = &octets[len - size..len];
            let size = field.iter().rev().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
            size.saturating_add(if field.len() == 2 { 256 } else { 0 })
        }
    };
    Ok(Some(Header::Frame { len, checksum, window }))
}

/// The octets of a block, and of the checksum behind the last; `None`: more is needed. RFC 8878 §3.1.1.2.
fn block_len(octets: &[u8], checksum: bool) -> Option<usize> {
    let header = octets.first_chunk::<3>()?;
    let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, header >> 3);
    // a block of one octet many times
    let content = if kind == 1 { 1 } else { size as usize };
    let len = 3 + content + if is_last && checksum { CHECKSUM } else { 0 };
    (octets.len() >= len).then_some(len)
}
