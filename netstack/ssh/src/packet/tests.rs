use super::*;
use crate::algorithm::{KeyExchange, Sealing};
use crate::exchange::Direction;
use zeroize::Zeroizing;

fn sealings() -> Vec<Sealing> {
    let aead = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
    let mut all: Vec<_> = aead.map(|cipher| Sealing { cipher, mac: None }).to_vec();
    for cipher in [Cipher::Aes128Ctr, Cipher::Aes256Ctr] {
        all.extend(Mac::ALL.iter().map(|&mac| Sealing { cipher, mac: Some(mac) }));
    }
    all
}

fn pair(sealing: Sealing) -> (Sealer, Opener) {
    let secret = Zeroizing::new(b"secret".to_vec());
    let keys =
        Keys::derive(KeyExchange::Curve25519, sealing, Direction::ToServer, &secret, b"h", b"s");
    let (mut sealer, mut opener) = (Sealer::clear(), Opener::clear());
    sealer.rekey(&keys, false);
    opener.rekey(&keys, false);
    (sealer, opener)
}

fn open(opener: &mut Opener, input: &mut [u8]) -> Result<Option<(Vec<u8>, usize)>, Error> {
    Ok(match opener.open(input)? {
        Opened::Short(_) => None,
        Opened::Packet { payload, total, .. } => Some((input[payload].to_vec(), total)),
    })
}

#[test]
fn packets_of_every_size_come_through_every_sealing() {
    for sealing in sealings() {
        let (mut sealer, mut opener) = pair(sealing);
        let mut wire = Vec::new();
        for len in 1..70 {
            sealer.seal(&mut wire, &[&vec![len; usize::from(len) - 1], &[9]]);
        }
        let mut rest = &mut wire[..];
        for len in 1..70 {
            let (payload, total) = open(&mut opener, rest).unwrap().unwrap();
            assert_eq!(payload.len(), len, "{sealing}");
            assert_eq!(payload.last(), Some(&9));
            rest = &mut rest[total..];
        }
        assert!(rest.is_empty());
    }
}

#[test]
fn a_packet_may_come_octet_by_octet() {
    for sealing in sealings() {
        let (mut sealer, mut opener) = pair(sealing);
        let mut wire = Vec::new();
        sealer.seal(&mut wire, &[b"payload"]);
        let whole = wire.len();
        for len in 0..whole {
            let Opened::Short(needed) = opener.open(&mut wire[..len]).unwrap() else {
                panic!("{sealing}: a packet of {len} octets");
            };
            assert!(needed > len && needed <= whole, "{sealing}: {needed} at {len}");
        }
        let (payload, total) = open(&mut opener, &mut wire).unwrap().unwrap();
        assert_eq!((payload.as_slice(), total), (b"payload".as_slice(), whole));
    }
}

#[test]
fn a_changed_octet_is_noticed() {
    for sealing in sealings() {
        let mut wire = Vec::new();
        pair(sealing).0.seal(&mut wire, &[b"payload"]);
        for index in 0..wire.len() {
            let mut changed = wire.clone();
            changed[index] ^= 1;
            // a changed length may ask for more: that never comes, or is no packet either
            changed.resize(MAX_PACKET + OVERHEAD, 0);
            let error = open(&mut pair(sealing).1, &mut changed).unwrap_err();
            let is_named = matches!(error, Error::Integrity | Error::PacketLength { .. });
            assert!(is_named, "{sealing}: {index}: {error}");
        }
    }
}

#[test]
fn a_packet_counts_once_and_in_order() {
    for sealing in sealings() {
        let (mut sealer, mut opener) = pair(sealing);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        sealer.seal(&mut first, &[b"first"]);
        sealer.seal(&mut second, &[b"second"]);
        assert!(open(&mut pair(sealing).1, &mut second.clone()).is_err(), "{sealing}: swapped");
        open(&mut opener, &mut first.clone()).unwrap();
        assert!(open(&mut opener, &mut first).is_err(), "{sealing}: again");
    }
}

#[test]
fn impossible_lengths_are_refused_at_once() {
    for length in [0_u32, 1, 4, 5, 13, MAX_PACKET as u32 + 4, u32::MAX] {
        let mut wire = [length.to_be_bytes().as_slice(), &[0; 4]].concat();
        let error = open(&mut Opener::clear(), &mut wire).unwrap_err();
        assert_eq!(error, Error::PacketLength { length });
    }
    // padding that leaves no payload, and too little of it
    for padding in [0, 3, 11, 255] {
        let mut wire = [0, 0, 0, 12, padding, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let error = open(&mut Opener::clear(), &mut wire).unwrap_err();
        assert_eq!(error, Error::PacketLength { length: 12 }, "{padding}");
    }
}

/// OpenSSH's PROTOCOL.chacha20poly1305: the first half of the key is for the body, the second for the length.
#[test]
fn chachas_length_has_its_own_key() {
    let sealing = Sealing { cipher: Cipher::ChaCha20Poly1305, mac: None };
    let secret = Zeroizing::new(b"secret".to_vec());
    let keys =
        Keys::derive(KeyExchange::Curve25519, sealing, Direction::ToServer, &secret, b"h", b"s");
    let mut wire = Vec::new();
    pair(sealing).0.seal(&mut wire, &[b"payload"]);
    let key: ChaChaKey = keys.key[32..].try_into().unwrap();
    ChaCha20::new(&key, &nonce(0)).apply_keystream(&mut wire[..4]);
    assert_eq!(wire[..4], 16_u32.to_be_bytes());
}

/// A packet of RFC 4344's counter mode: NIST SP 800-38A F.5.1's first block, as a check of the counter's direction.
#[test]
fn counters_count_big_endian() {
    let key = [
        0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f,
        0x3c,
    ];
    let iv: Vec<u8> = (0xf0..=0xff).collect();
    let mut stream = Stream::Aes128(Ctr128BE::new_from_slices(&key, &iv).unwrap());
    let mut blocks = [
        0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17,
        0x2a, //
        0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e,
        0x51,
    ];
    stream.apply(&mut blocks);
    assert_eq!(blocks[..4], [0x87, 0x4d, 0x61, 0x91]);
    assert_eq!(blocks[16..20], [0x98, 0x06, 0xf6, 0x6b]);
}
