//! brotli (RFC 7932).

use super::{Decoded, Decoder, fits, too_large};
use brotli_decompressor::{
    Allocator, BrotliDecoderErrorCode, BrotliDecompressStream, BrotliResult, BrotliState,
    StandardAlloc,
};

/// Windows up to 16 MiB: those beyond are no brotli by the RFC.
pub struct Brotli(Box<BrotliState<Windows, StandardAlloc, StandardAlloc>>);

/// Memory for windows, where there is some.
struct Windows;

impl Allocator<u8> for Windows {
    type AllocatedMemory = <StandardAlloc as Allocator<u8>>::AllocatedMemory;

    fn alloc_cell(&mut self, len: usize) -> Self::AllocatedMemory {
        // the decoder refuses what is too short
        vec![0; if fits(len) { len } else { 0 }].into()
    }

    fn free_cell(&mut self, memory: Self::AllocatedMemory) {
        drop(memory);
    }
}

impl Brotli {
    pub fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self(Box::new(BrotliState::new_strict(Windows, alloc(), alloc())))
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
            BrotliResult::ResultFailure => Err(match self.0.error_code {
                BrotliDecoderErrorCode::BROTLI_DECODER_ERROR_ALLOC_RING_BUFFER_1
                | BrotliDecoderErrorCode::BROTLI_DECODER_ERROR_ALLOC_RING_BUFFER_2 => {
                    too_large("br")
                }
                _ => "br: the content is damaged".into(),
            }),
            BrotliResult::ResultSuccess if put == 0 => Ok(Decoded::End),
            _ => Ok(Decoded::Octets(put)),
        }
    }
}
