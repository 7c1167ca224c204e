//! Packets: framed, padded, encrypted and authenticated (RFC 4253 §6), both directions.
//!
//! | | length | padding to | authenticated |
//! |---|---|---|---|
//! | clear | plain | 8 | no |
//! | GCM (RFC 5647) | plain | 16, without length | length, ciphertext |
//! | ChaCha20 | encrypted by a key of its own | 8, without length | number, length, ciphertext |
//! | CTR, code over plaintext | encrypted | 16, with length | number, plaintext |
//! | CTR, code over ciphertext | plain | 16, without length | number, length, ciphertext |

use crate::algorithm::{Cipher, Mac};
use crate::error::Error;
use crate::exchange::Keys;
use core::ops::Range;
use ctr::Ctr128BE;
use graviola::aead::AesGcm;
use graviola::hashing::hmac::Hmac;
use graviola::hashing::{Sha256, Sha512};
use ssh_cipher::aead::{AeadInOut as _, KeyInit as _};
use ssh_cipher::cipher::{KeyIvInit as _, StreamCipher as _};
use ssh_cipher::{ChaCha20, ChaCha20Poly1305, ChaChaKey, ChaChaNonce};
use std::sync::Arc;

/// The largest packet that is accepted, without its length and authentication code. RFC 4253 §6.1 asks for 35000;
/// OpenSSH sends up to this.
pub(crate) const MAX_PACKET: usize = 256 * 1024;
/// More octets than any packet has around its payload: length, padding and code.
pub(crate) const OVERHEAD: usize = 4 + 1 + 255 + 64;

const LENGTH: usize = 4;
const MIN_PADDING: usize = 4;
const TAG: usize = 16;
const BLOCK: usize = 16;

/// Seals packets, in order.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(crate) struct Sealer {
    engine: Engine,
    sequence: u32,
}

/// Opens packets, in order.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(crate) struct Opener {
    engine: Engine,
    sequence: u32,
    /// Of the packet that is coming, once read: a stream cipher decrypts it but once.
    length: Option<usize>,
}

/// What [`Opener::open`] found.
pub(crate) enum Opened {
    /// So many octets are needed, from the packet's first on.
    Short(usize),
    /// A packet.
    Packet {
        /// Its number, which [`crate::message::UNIMPLEMENTED`] names.
        sequence: u32,
        /// Where its payload is now in the clear.
        payload: Range<usize>,
        /// Its octets on the wire.
        total: usize,
    },
}

impl Sealer {
    pub(crate) fn clear() -> Self {
        Self { engine: Engine::Clear, sequence: 0 }
    }

    /// New keys; under strict key exchange the packets are numbered anew.
    pub(crate) fn rekey(&mut self, keys: &Keys, restart: bool) {
        self.engine = Engine::new(keys);
        if restart {
            self.sequence = 0;
        }
    }

    /// Appends a packet to `out` whose payload is `parts` in a row.
    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, parts: &[&[u8]]) {
        self.seal_to(1, out, parts);
    }

    /// The same, padded to a multiple of `multiple`, which a block goes into or which goes into a block; at most 128.
    pub(crate) fn seal_to(&mut self, multiple: usize, out: &mut Vec<u8>, parts: &[&[u8]]) {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        let (block, counts_length) = self.engine.alignment();
        let block = block.max(multiple);
        let framed = 1 + payload + if counts_length { LENGTH } else { 0 };
        let mut padding = block - framed % block;
        if padding < MIN_PADDING {
            padding += block;
        }
        let length = 1 + payload + padding;
        let start = out.len();
        out.reserve(length + OVERHEAD);
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.push(padding as u8);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        // RFC 4253 §6 asks for random octets, which hides what is known of the plaintext where a cipher needs that; no
        // cipher here does, and OpenSSH's peers never see them
        out.resize(start + LENGTH + length, 0);
        self.engine.seal(out, start, self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
    }
}

impl Opener {
    pub(crate) fn clear() -> Self {
        Self { engine: Engine::Clear, sequence: 0, length: None }
    }

    /// As [`Sealer::rekey`].
    pub(crate) fn rekey(&mut self, keys: &Keys, restart: bool) {
        self.engine = Engine::new(keys);
        if restart {
            self.sequence = 0;
        }
    }

    /// How many packets there have been since the numbers began.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Opens the packet that `input` starts with, in place.
    pub(crate) fn open(&mut self, input: &mut [u8]) -> Result<Opened, Error> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let head = self.engine.head();
                let Some(first) = input.get_mut(..head) else { return Ok(Opened::Short(head)) };
                let length = self.engine.length(first, self.sequence);
                let (block, counts_length) = self.engine.alignment();
                let framed = length as usize + if counts_length { LENGTH } else { 0 };
                // padding's length, a payload of one octet, padding
                let is_possible =
                    length as usize > 1 + MIN_PADDING && length as usize <= MAX_PACKET;
                if !is_possible || !framed.is_multiple_of(block) {
                    return Err(Error::PacketLength { length });
                }
                *self.length.insert(length as usize)
            }
        };
        let total = LENGTH + length + self.engine.code_len();
        let Some(packet) = input.get_mut(..total) else { return Ok(Opened::Short(total)) };
        self.engine.open(packet, length, self.sequence)?;
        let padding = usize::from(packet[LENGTH]);
        if padding < MIN_PADDING || padding + 1 >= length {
            return Err(Error::PacketLength { length: length as u32 });
        }
        let payload = LENGTH + 1..LENGTH + length - padding;
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.length = None;
        Ok(Opened::Packet { sequence, payload, total })
    }
}

#[cfg_attr(any(test, fuzzing), derive(Clone))]
enum Engine {
    Clear,
    Gcm { key: Arc<AesGcm>, nonce: [u8; 12] },
    ChaCha { length: ChaChaKey, body: ChaCha20Poly1305 },
    Ctr { stream: Box<Stream>, code: Box<Code>, is_etm: bool },
}

enum Stream {
    Aes128(Ctr128BE<aes::Aes128>),
    Aes256(Ctr128BE<aes::Aes256>),
}

#[cfg(any(test, fuzzing))]
impl Clone for Stream {
    fn clone(&self) -> Self {
        unreachable!("what is copied, the fuzz targets' server, agrees to GCM")
    }
}

#[cfg_attr(any(test, fuzzing), derive(Clone))]
enum Code {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Engine {
    fn new(keys: &Keys) -> Self {
        const FITS: &str = "keys are derived as long as their cipher wants them";
        let Keys { sealing, iv, key, mac } = keys;
        let stream = match sealing.cipher {
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => {
                let nonce = iv.as_slice().try_into().expect(FITS);
                return Self::Gcm { key: Arc::new(AesGcm::new(key)), nonce };
            }
            Cipher::ChaCha20Poly1305 => {
                let (body, length) = key.split_at(key.len() / 2);
                let body = ChaCha20Poly1305::new_from_slice(body).expect(FITS);
                return Self::ChaCha { length: length.try_into().expect(FITS), body };
            }
            Cipher::Aes128Ctr => Stream::Aes128(Ctr128BE::new_from_slices(key, iv).expect(FITS)),
            Cipher::Aes256Ctr => Stream::Aes256(Ctr128BE::new_from_slices(key, iv).expect(FITS)),
        };
        let code = match sealing.mac {
            Some(Mac::HmacSha512 | Mac::HmacSha512Etm) => Code::Sha512(Hmac::new(mac)),
            _ => Code::Sha256(Hmac::new(mac)),
        };
        let is_etm = sealing.mac.is_some_and(Mac::is_etm);
        Self::Ctr { stream: Box::new(stream), code: Box::new(code), is_etm }
    }

    /// What lengths are multiples of, and whether the length field is part of them.
    fn alignment(&self) -> (usize, bool) {
        match self {
            Self::Clear => (8, true),
            Self::Gcm { .. } => (BLOCK, false),
            Self::ChaCha { .. } => (8, false),
            Self::Ctr { is_etm, .. } => (BLOCK, !is_etm),
        }
    }

    /// Octets that are needed to know a packet's length.
    fn head(&self) -> usize {
        match self {
            Self::Ctr { is_etm: false, .. } => BLOCK,
            _ => LENGTH,
        }
    }

    fn code_len(&self) -> usize {
        match self {
            Self::Clear => 0,
            Self::Gcm { .. } | Self::ChaCha { .. } => TAG,
            Self::Ctr { code, .. } => code.len(),
        }
    }

    /// The length that a packet's `head` octets say; where the cipher goes over the length they are decrypted.
    fn length(&mut self, head: &mut [u8], sequence: u32) -> u32 {
        if let Self::Ctr { stream, is_etm: false, .. } = self {
            stream.apply(head);
        }
        let mut length = [head[0], head[1], head[2], head[3]];
        if let Self::ChaCha { length: key, .. } = self {
            // left encrypted where it stands: that is what is authenticated
            ChaCha20::new(key, &nonce(sequence)).apply_keystream(&mut length);
        }
        u32::from_be_bytes(length)
    }

    /// Encrypts the packet that `out` ends with, from `start` on, and appends its code.
    fn seal(&mut self, out: &mut Vec<u8>, start: usize, sequence: u32) {
        let packet = &mut out[start..];
        let (length, body) = packet.split_at_mut(LENGTH);
        match self {
            Self::Clear => {}
            Self::Gcm { key, nonce } => {
                let mut tag = [0; TAG];
                key.encrypt(nonce, length, body, &mut tag);
                advance(nonce);
                out.extend_from_slice(&tag);
            }
            Self::ChaCha { length: key, body: cipher } => {
                let nonce = nonce(sequence);
                ChaCha20::new(key, &nonce).apply_keystream(length);
                let tag = cipher
                    .encrypt_inout_detached(&nonce, length, body.into())
                    .expect("the associated data is four octets");
                out.extend_from_slice(&tag);
            }
            Self::Ctr { stream, code, is_etm: true } => {
                stream.apply(body);
                let tag = code.over(sequence, packet);
                out.extend_from_slice(tag.as_ref());
            }
            Self::Ctr { stream, code, is_etm: false } => {
                let tag = code.over(sequence, packet);
                stream.apply(packet);
                out.extend_from_slice(tag.as_ref());
            }
        }
    }

    /// Checks and decrypts a whole packet whose length has been read.
    fn open(&mut self, packet: &mut [u8], length: usize, sequence: u32) -> Result<(), Error> {
        let (framed, tag) = packet.split_at_mut(LENGTH + length);
        match self {
            Self::Clear => Ok(()),
            Self::Gcm { key, nonce } => {
                let (length, body) = framed.split_at_mut(LENGTH);
                let opened = key.decrypt(nonce, length, body, tag);
                advance(nonce);
                opened.map_err(|_| Error::Integrity)
            }
            Self::ChaCha { body: cipher, .. } => {
                let (length, body) = framed.split_at_mut(LENGTH);
                let tag = (&*tag).try_into().map_err(|_| Error::Integrity)?;
                cipher
                    .decrypt_inout_detached(&nonce(sequence), length, body.into(), tag)
                    .map_err(|_| Error::Integrity)
            }
            Self::Ctr { stream, code, is_etm: true } => {
                code.check(sequence, framed, tag)?;
                stream.apply(&mut framed[LENGTH..]);
                Ok(())
            }
            Self::Ctr { stream, code, is_etm: false } => {
                // the first block was decrypted for the length
                stream.apply(&mut framed[BLOCK..]);
                code.check(sequence, framed, tag)
            }
        }
    }
}

impl Stream {
    fn apply(&mut self, octets: &mut [u8]) {
        match self {
            Self::Aes128(stream) => stream.apply_keystream(octets),
            Self::Aes256(stream) => stream.apply_keystream(octets),
        }
    }
}

impl Code {
    fn len(&self) -> usize {
        match self {
            Self::Sha256(_) => 32,
            Self::Sha512(_) => 64,
        }
    }

    fn over(&self, sequence: u32, packet: &[u8]) -> graviola::hashing::HashOutput {
        match self {
            Self::Sha256(hmac) => {
                let mut hmac = hmac.clone();
                hmac.update(sequence.to_be_bytes());
                hmac.update(packet);
                hmac.finish()
            }
            Self::Sha512(hmac) => {
                let mut hmac = hmac.clone();
                hmac.update(sequence.to_be_bytes());
                hmac.update(packet);
                hmac.finish()
            }
        }
    }

    /// In constant time.
    fn check(&self, sequence: u32, packet: &[u8], tag: &[u8]) -> Result<(), Error> {
        match self.over(sequence, packet).ct_equal(tag) {
            true => Ok(()),
            false => Err(Error::Integrity),
        }
    }
}

/// The packet's number, big-endian, as OpenSSH's ChaCha20 has it.
fn nonce(sequence: u32) -> ChaChaNonce {
    let mut nonce = ChaChaNonce::default();
    nonce[4..].copy_from_slice(&sequence.to_be_bytes());
    nonce
}

/// The invocation counter, the last eight octets of the nonce (RFC 5647 §7.1).
fn advance(nonce: &mut [u8; 12]) {
    let counter = nonce.last_chunk_mut::<8>().expect("12 is more than 8");
    *counter = u64::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
}

#[cfg(test)]
mod tests;
