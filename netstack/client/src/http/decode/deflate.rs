//! gzip (RFC 1952) and deflate (RFC 1950, RFC 1951).

use super::{Decoded, Decoder};
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};

/// gzip, of one member or several.
#[derive(Default)]
pub struct Gzip(Option<Box<MultiGzDecoder<Feed>>>);

/// What a reader that does not wait reads from.
#[derive(Default)]
struct Feed {
    octets: Vec<u8>,
    used: usize,
    end: bool,
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &self.octets[self.used..] {
            [] if !self.end => Err(io::ErrorKind::WouldBlock.into()),
            left => Ok(left),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(out)?;
        self.consume(len);
        Ok(len)
    }
}

impl Decoder for Gzip {
    fn decode(&mut self, input: &mut &[u8], end: bool, out: &mut [u8]) -> Result<Decoded, String> {
        let reader = self.0.get_or_insert_with(|| Box::new(MultiGzDecoder::new(Feed::default())));
        let feed = reader.get_mut();
        if feed.used == feed.octets.len() {
            feed.used = 0;
            feed.octets.clear();
            feed.octets.extend_from_slice(input);
            *input = &[];
        }
        feed.end = end && input.is_empty();
        match reader.read(out) {
            Ok(0) => Ok(Decoded::End),
            Ok(len) => Ok(Decoded::Octets(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Decoded::Octets(0)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err("the content ends before its encoding does".into())
            }
            Err(error) => Err(format!("gzip: {error}")),
        }
    }
}

/// deflate: in zlib's wrapping, as the RFC says, or without.
#[derive(Default)]
pub struct Deflate(Option<Decompress>);

impl Decoder for Deflate {
    fn decode(&mut self, input: &mut &[u8], end: bool, out: &mut [u8]) -> Result<Decoded, String> {
        let inflate = match &mut self.0 {
            Some(inflate) => inflate,
            None => {
                let wrapped = match input {
                    // RFC 1950 §2.2: method 8, and a check of the first two octets
                    [first, second, ..] => {
                        first & 0x0f == 8
                            && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
                    }
                    _ if !end => return Ok(Decoded::Octets(0)),
                    _ => return Err("the content ends before its encoding does".into()),
                };
                self.0.insert(Decompress::new(wrapped))
            }
        };
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(input, out, FlushDecompress::None)
            .map_err(|error| format!("deflate: {error}"))?;
        *input = &input[(inflate.total_in() - before_in) as usize..];
        match (inflate.total_out() - before_out) as usize {
            0 if status == Status::StreamEnd => Ok(Decoded::End),
            len => Ok(Decoded::Octets(len)),
        }
    }
}
