//! brotli (RFC 7932).

use super::{Decoded, Decoder};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

/// Windows up to 16 MiB: those beyond are no brotli by the RFC.
pub struct Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>);

impl Brotli {
    pub fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
    }
}

impl Decoder for Brotli {
    fn decode(&mut self, input: &mut &[u8], _end: bool, out: &mut [u8]) -> Result<Decoded, String> {
        let (mut available_in, mut used) = (input.len(), 0);
        let (mut available_out, mut put, mut total) = (out.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut used,
            input,
            &mut available_out,
            &mut put,
            out,
            &mut total,
            &mut self.0,
        );
        *input = &input[used..];
        match result {
            BrotliResult::ResultFailure => Err("br: the content is damaged".into()),
            BrotliResult::ResultSuccess if put == 0 => Ok(Decoded::End),
            _ => Ok(Decoded::Octets(put)),
        }
    }
}
