//! The methods of key exchange, and the keys made from what they agree on.
//!
//! `curve25519-sha256` is RFC 8731, `ecdh-sha2-*` RFC 5656, `mlkem768x25519-sha256` draft-ietf-sshm-mlkem-hybrid-kex.

use crate::Random;
use crate::algorithm::{Cipher, KeyExchange, Mac, Sealing};
use crate::error::Error;
use crate::wire::Message;
use graviola::hashing::{Hash as _, HashContext as _, Sha256, Sha384};
use graviola::key_agreement::{mlkem768, p256, p384, x25519};
use zeroize::Zeroizing;

/// Octets of an ML-KEM-768 ciphertext (FIPS 203 §8).
const MLKEM_CIPHERTEXT: usize = 1088;
/// Draws until a number is below the order of a curve: one does it but for one time in 2^32.
const DRAWS: usize = 8;

/// Our half: the private keys of one exchange.
pub(crate) enum Private {
    MlKem768X25519(Box<mlkem768::DecapKey>, x25519::StaticPrivateKey),
    Curve25519(x25519::StaticPrivateKey),
    EcdhNistP256(p256::StaticPrivateKey),
    EcdhNistP384(p384::StaticPrivateKey),
}

/// What both sides know after an exchange, encoded as it goes into hashes: an `mpint`, or a `string` where the method
/// says so.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

impl Private {
    pub(crate) fn draw(method: KeyExchange, random: &mut Random) -> Result<Self, Error> {
        let mut fill = |octets: &mut [u8]| random(octets).map_err(|_| Error::NoRandomness);
        let mut seed = Zeroizing::new([0; 64]);
        fill(&mut *seed)?;
        let (low, high) = seed.split_first_chunk::<32>().expect("64 is more than 32");
        Ok(match method {
            KeyExchange::MlKem768X25519 => {
                let mut seed = Zeroizing::new([0; 64]);
                fill(&mut *seed)?;
                // FIPS 203's name for the deterministic half of the generation of keys (algorithm 16)
                let kem = Box::new(mlkem768::DecapKey::keygen_internal(&seed));
                Self::MlKem768X25519(kem, x25519::StaticPrivateKey::from_array(low))
            }
            KeyExchange::Curve25519 | KeyExchange::Curve25519Libssh => {
                Self::Curve25519(x25519::StaticPrivateKey::from_array(low))
            }
            KeyExchange::EcdhNistP256 => {
                let mut scalar = Zeroizing::new(*low);
                for _ in 0..DRAWS {
                    if let Ok(key) = p256::StaticPrivateKey::from_bytes(&*scalar) {
                        return Ok(Self::EcdhNistP256(key));
                    }
                    fill(&mut *scalar)?;
                }
                return Err(Error::NoRandomness);
            }
            KeyExchange::EcdhNistP384 => {
                let mut scalar = Zeroizing::new([0; 48]);
                scalar[..32].copy_from_slice(low);
                scalar[32..].copy_from_slice(&high[..16]);
                for _ in 0..DRAWS {
                    if let Ok(key) = p384::StaticPrivateKey::from_bytes(&*scalar) {
                        return Ok(Self::EcdhNistP384(key));
                    }
                    fill(&mut *scalar)?;
                }
                return Err(Error::NoRandomness);
            }
        })
    }

    /// What the peer is sent.
    pub(crate) fn public(&self) -> Vec<u8> {
        match self {
            Self::MlKem768X25519(kem, key) => {
                [&kem.encapsulation_key().as_bytes()[..], &key.public_key().as_bytes()].concat()
            }
            Self::Curve25519(key) => key.public_key().as_bytes().to_vec(),
            Self::EcdhNistP256(key) => key.public_key_uncompressed().to_vec(),
            Self::EcdhNistP384(key) => key.public_key_uncompressed().to_vec(),
        }
    }

    /// The secret, from the peer's half.
    pub(crate) fn agree(&self, theirs: &[u8]) -> Result<Secret, Error> {
        Ok(match self {
            Self::MlKem768X25519(kem, key) => {
                let (ciphertext, public) =
                    theirs.split_first_chunk::<MLKEM_CIPHERTEXT>().ok_or(Error::KeyExchange)?;
                let quantum = kem.decaps_internal(&(*ciphertext).into());
                let classic = over_x25519(key, public)?;
                let mut hash = Sha256::new();
                hash.update(quantum.as_ref());
                hash.update(&classic.0);
                Zeroizing::new(Message::structure().string(hash.finish()).done())
            }
            Self::Curve25519(key) => number(&over_x25519(key, theirs)?.0),
            Self::EcdhNistP256(key) => {
                let theirs = p256::PublicKey::from_x962_uncompressed(theirs);
                let secret = theirs.and_then(|theirs| key.diffie_hellman(&theirs));
                number(&secret.map_err(|_| Error::KeyExchange)?.0)
            }
            Self::EcdhNistP384(key) => {
                let theirs = p384::PublicKey::from_x962_uncompressed(theirs);
                let secret = theirs.and_then(|theirs| key.diffie_hellman(&theirs));
                number(&secret.map_err(|_| Error::KeyExchange)?.0)
            }
        })
    }
}

fn over_x25519(
    key: &x25519::StaticPrivateKey,
    theirs: &[u8],
) -> Result<x25519::SharedSecret, Error> {
    // refuses the secret zero, which a public key of low order makes (RFC 8731 §3)
    x25519::PublicKey::try_from_slice(theirs)
        .and_then(|theirs| key.diffie_hellman(&theirs))
        .map_err(|_| Error::KeyExchange)
}

fn number(secret: &[u8]) -> Secret {
    Zeroizing::new(Message::structure().positive(secret).done())
}

/// The hash function of a method.
pub(crate) fn hash(method: KeyExchange, parts: &[&[u8]]) -> Vec<u8> {
    match method {
        KeyExchange::EcdhNistP384 => hash_with::<Sha384>(parts),
        _ => hash_with::<Sha256>(parts),
    }
}

fn hash_with<H: graviola::hashing::Hash>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = H::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finish().as_ref().to_vec()
}

/// What the exchange's hash is over (RFC 4253 §8, RFC 5656 §4).
pub(crate) struct Transcript<'a> {
    pub(crate) client_version: &'a [u8],
    pub(crate) server_version: &'a [u8],
    pub(crate) client_kexinit: &'a [u8],
    pub(crate) server_kexinit: &'a [u8],
    pub(crate) host_key: &'a [u8],
    pub(crate) client_public: &'a [u8],
    pub(crate) server_public: &'a [u8],
}

impl Transcript<'_> {
    pub(crate) fn hash(&self, method: KeyExchange, secret: &Secret) -> Vec<u8> {
        let strings = Message::structure()
            .string(self.client_version)
            .string(self.server_version)
            .string(self.client_kexinit)
            .string(self.server_kexinit)
            .string(self.host_key)
            .string(self.client_public)
            .string(self.server_public)
            .done();
        hash(method, &[&strings, secret])
    }
}

/// The keys of one direction.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(crate) struct Keys {
    pub(crate) sealing: Sealing,
    pub(crate) iv: Zeroizing<Vec<u8>>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) mac: Zeroizing<Vec<u8>>,
}

/// Which way keys serve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

impl Keys {
    /// RFC 4253 §7.2.
    pub(crate) fn derive(
        method: KeyExchange,
        sealing: Sealing,
        direction: Direction,
        secret: &Secret,
        exchange_hash: &[u8],
        session: &[u8],
    ) -> Self {
        let key = |letter: u8, len: usize| {
            let first = hash(method, &[secret, exchange_hash, &[letter], session]);
            let mut key = Zeroizing::new(first);
            while key.len() < len {
                let mut more = hash(method, &[secret, exchange_hash, &key]);
                key.append(&mut more);
            }
            key.truncate(len);
            key
        };
        let [iv, cipher, mac] = match direction {
            Direction::ToServer => *b"ACE",
            Direction::ToClient => *b"BDF",
        };
        let (key_len, iv_len) = match sealing.cipher {
            Cipher::Aes128Gcm => (16, 12),
            Cipher::Aes256Gcm => (32, 12),
            Cipher::Aes128Ctr => (16, 16),
            Cipher::Aes256Ctr => (32, 16),
            Cipher::ChaCha20Poly1305 => (64, 0),
        };
        let mac_len = match sealing.mac {
            None => 0,
            Some(Mac::HmacSha256 | Mac::HmacSha256Etm) => 32,
            Some(Mac::HmacSha512 | Mac::HmacSha512Etm) => 64,
        };
        Self { sealing, iv: key(iv, iv_len), key: key(cipher, key_len), mac: key(mac, mac_len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server;

    #[test]
    fn both_sides_of_every_method_agree() {
        for &method in KeyExchange::ALL {
            let mut random = server::counting();
            let ours = Private::draw(method, &mut random).unwrap();
            let (public, secret) = server::answer(method, &ours.public(), &mut random);
            assert_eq!(*ours.agree(&public).unwrap(), *secret, "{}", method.name());
        }
    }

    /// The secret of RFC 7748 §6.1 as an mpint.
    #[test]
    fn x25519_is_that_of_the_rfc() {
        let alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let secret = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        let key = x25519::StaticPrivateKey::try_from_slice(&alice).unwrap();
        let agreed = Private::Curve25519(key).agree(&bob).unwrap();
        assert_eq!(*agreed, [&[0, 0, 0, 32], secret.as_slice()].concat());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for &method in KeyExchange::ALL {
            let ours = Private::draw(method, &mut server::counting()).unwrap();
            for theirs in
                [vec![], vec![0; 32], vec![4; 65], vec![0; 97], vec![0; MLKEM_CIPHERTEXT + 32]]
            {
                assert_eq!(
                    ours.agree(&theirs).unwrap_err(),
                    Error::KeyExchange,
                    "{}",
                    method.name()
                );
            }
        }
    }

    #[test]
    fn a_source_without_randomness_is_said() {
        let mut random: Random = Box::new(|_| Err(crate::NoRandomness));
        for &method in KeyExchange::ALL {
            assert!(matches!(Private::draw(method, &mut random), Err(Error::NoRandomness)));
        }
        let mut zeroes: Random = Box::new(|octets| {
            octets.fill(0);
            Ok(())
        });
        let drawn = Private::draw(KeyExchange::EcdhNistP256, &mut zeroes);
        assert!(matches!(drawn, Err(Error::NoRandomness)));
    }

    /// Longer keys than the hash go on from what there is (RFC 4253 §7.2).
    #[test]
    fn keys_are_stretched() {
        let secret: Secret = Zeroizing::new(vec![1, 2, 3]);
        let sealing = Sealing { cipher: Cipher::ChaCha20Poly1305, mac: None };
        let keys = Keys::derive(
            KeyExchange::Curve25519,
            sealing,
            Direction::ToServer,
            &secret,
            b"H",
            b"S",
        );
        let first = hash(KeyExchange::Curve25519, &[&secret, b"H", b"C", b"S"]);
        let second = hash(KeyExchange::Curve25519, &[&secret, b"H", &first]);
        assert_eq!(*keys.key, [first, second].concat());
        assert!(keys.iv.is_empty() && keys.mac.is_empty());
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }
}
