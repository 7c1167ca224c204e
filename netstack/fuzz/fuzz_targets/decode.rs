//! Contents of any coding in any pieces: decoded or refused, a bounded piece at a time, never without an end.
#![no_main]

use client::http::decode::{Chain, Pull};
use proto::coding::Coding;

const CODINGS: [Coding; 4] = [Coding::Brotli, Coding::Deflate, Coding::Gzip, Coding::Zstd];

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some(([kind, piece], content)) = octets.split_first_chunk::<2>() else { return };
    let mut codings = vec![CODINGS[usize::from(kind & 3)]];
    if kind & 4 != 0 {
        codings.push(CODINGS[usize::from(kind >> 3 & 3)]);
    }
    let mut chain = Chain::new(&codings);
    let mut pieces = content.chunks(usize::from(*piece) + 1);
    let mut ended = false;
    loop {
        match chain.pull(true) {
            Ok(Pull::Octets(octets)) => assert!(!octets.is_empty() && octets.len() <= 1 << 16),
            Ok(Pull::Hungry) => {
                assert!(!ended, "hungry behind the end");
                let next = pieces.next();
                ended = next.is_none();
                chain.push(next.map(|piece| piece.to_vec().into()));
            }
            Ok(Pull::End) | Err(_) => break,
        }
    }
});
