//! The chain against encoders of others, cut into pieces of all sizes, and against damage.

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write as _;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zlib(octets: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn raw(octets: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zstd(octets: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(octets, CompressionLevel::Fastest)
}

/// Pseudo-random text that encoders find something in.
fn text(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut out = Vec::new();
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(format!("{} words and {} ", state % 97, state % 13).bytes());
    }
    out.truncate(len);
    out
}

fn decode(codings: &[Coding], octets: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let mut chain = Chain::new(codings);
    let mut pieces = octets.chunks(piece);
    let mut out = Vec::new();
    loop {
        match chain.pull(true)? {
            Pull::Octets(octets) => out.extend_from_slice(&octets),
            Pull::End => return Ok(out),
            Pull::Hungry => chain.push(pieces.next().map(Bytes::copy_from_slice)),
        }
    }
}

#[test]
fn contents_come_back_whatever_the_pieces() {
    let plain = text(200_000);
    // made by brotli's own tool of b"hello hello hello hello\n"
    for (codings, encoded) in [
        (vec![Coding::Gzip], gzip(&plain)),
        (vec![Coding::Deflate], zlib(&plain)),
        (vec![Coding::Deflate], raw(&plain)),
        (vec![Coding::Zstd], zstd(&plain)),
        (vec![Coding::Gzip, Coding::Zstd], zstd(&gzip(&plain))),
        (vec![Coding::Zstd, Coding::Gzip], gzip(&zstd(&plain))),
    ] {
        for piece in [1, 7, 1000, 65_536, usize::MAX] {
            let decoded = decode(&codings, &encoded, piece);
            assert!(
                decoded.as_ref() == Ok(&plain),
                "{codings:?} in pieces of {piece}: {:?}",
                decoded.map(|d| d.len())
            );
        }
    }
}

#[test]
fn several_members_are_one_content() {
    let both = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(decode(&[Coding::Gzip], &both, 5).unwrap(), b"one two");
    let skipped =
        [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(b"one "), &zstd(b"two")]
            .concat();
    assert_eq!(decode(&[Coding::Zstd], &skipped, 4).unwrap(), b"one two");
}

#[test]
fn brotli_of_others_is_read() {
    // RFC 7932: a stored meta-block, then the last empty one
    let stored = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
    for piece in [1, 3, 9] {
        assert_eq!(decode(&[Coding::Brotli], &stored, piece).unwrap(), b"hello");
    }
    assert!(decode(&[Coding::Brotli], &stored[..6], 9).is_err());
}

#[test]
fn an_early_end_is_an_error() {
    let plain = text(10_000);
    for (coding, encoded) in [
        (Coding::Gzip, gzip(&plain)),
        (Coding::Deflate, zlib(&plain)),
        (Coding::Zstd, zstd(&plain)),
    ] {
        for cut in [1, 3, encoded.len() / 2, encoded.len() - 1] {
            let error = decode(&[coding], &encoded[..cut], 999).unwrap_err();
            assert!(error.contains("ends before"), "{coding:?} cut at {cut}: {error}");
        }
    }
}

#[test]
fn damage_is_an_error() {
    let plain = text(50_000);
    for (coding, mut encoded) in [(Coding::Gzip, gzip(&plain)), (Coding::Zstd, zstd(&plain))] {
        let middle = encoded.len() / 2;
        for octet in &mut encoded[middle..middle + 8] {
            *octet ^= 0x55;
        }
        assert!(decode(&[coding], &encoded, 4096).is_err(), "{coding:?}");
    }
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        assert!(decode(&[coding], b"this is no encoding at all", 5).is_err(), "{coding:?}");
    }
}

#[test]
fn a_bomb_goes_off_early() {
    let zeros = vec![0; 64 << 20];
    let mut chain = Chain::new(&[Coding::Gzip]);
    let mut pieces = gzip(&zeros);
    let mut taken = 0;
    let error = loop {
        match chain.pull(true) {
            Ok(Pull::Octets(octets)) => {
                assert!(octets.len() <= CHUNK);
                taken += octets.len() as u64;
            }
            Ok(Pull::Hungry) => chain.push(Some(core::mem::take(&mut pieces).into())),
            Ok(Pull::End) => panic!("it went through"),
            Err(error) => break error,
        }
    };
    assert!(error.contains("--max-size"), "{error}");
    assert!(taken <= ANY_SIZE.max(64 * 1024 * MOST_EXPANSION), "{taken}");

    // a block of 3 octets that stands for 128 KiB, over and over
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for _ in 0..2000 {
        zstd.extend([2, 0, 16, 0]);
    }
    assert!(decode(&[Coding::Zstd], &zstd, usize::MAX).unwrap_err().contains("--max-size"));
}
