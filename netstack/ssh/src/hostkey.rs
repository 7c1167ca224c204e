//! Host keys: what they look like on the wire, whether a signature is theirs, and how they are shown.

use crate::algorithm::SignatureAlgorithm;
use crate::der;
use crate::error::Error;
use crate::wire::Fields;
use core::fmt;
use graviola::hashing::{Hash as _, Sha256, Sha384};
use graviola::signing::{ecdsa, eddsa, rsa};

/// Bits of an RSA modulus that are accepted (RFC 8332 §5 asks for 2048; graviola ends at 8192).
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

/// Octets of an RSA exponent; in use are three (65537).
const RSA_EXPONENT: usize = 8;

/// A server's public key, as it showed it and proved to hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    blob: Vec<u8>,
    kind: &'static str,
}

impl HostKey {
    /// The key in the form of the wire (RFC 4253 §6.6), which a known_hosts line holds in base64.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The name of its kind: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ecdsa-sha2-nistp384` or `ssh-rsa`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// SHA-256 of the key.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(Sha256::hash(&self.blob).as_ref());
        digest
    }

    /// As OpenSSH prints it: `SHA256:` and the digest in base64.
    pub fn fingerprint(&self) -> String {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(self.digest());
        format!("SHA256:{base64}")
    }

    /// Checks that the key is one for `algorithm`, and that `signature` over `message` is its own.
    pub(crate) fn verify(
        blob: &[u8],
        algorithm: SignatureAlgorithm,
        signature: &[u8],
        message: &[u8],
    ) -> Result<Self, Error> {
        let unusable = |_| Error::HostKeyUnusable;
        let wrong = |_| Error::Signature;
        let mut key = Fields::inside(blob, crate::message::KEX_ECDH_REPLY);
        let mut signature = Fields::inside(signature, crate::message::KEX_ECDH_REPLY);
        let kind = kind(algorithm);
        if key.string().map_err(unusable)? != kind.as_bytes() {
            return Err(Error::HostKeyUnusable);
        }
        if signature.string()? != algorithm.name().as_bytes() {
            return Err(Error::Signature);
        }
        let octets = signature.string()?;
        match algorithm {
            SignatureAlgorithm::Ed25519 => {
                eddsa::Ed25519VerifyingKey::from_bytes(key.string().map_err(unusable)?)
                    .map_err(|_| Error::HostKeyUnusable)?
                    .verify(octets, message)
                    .map_err(|_| Error::Signature)?;
            }
            SignatureAlgorithm::EcdsaNistP256 => {
                let point = point(&mut key, "nistp256").map_err(unusable)?;
                let fixed = fixed::<32>(octets).map_err(wrong)?;
                ecdsa::VerifyingKey::<ecdsa::P256>::from_x962_uncompressed(point)
                    .map_err(|_| Error::HostKeyUnusable)?
                    .verify::<Sha256>(&[message], fixed.as_flattened())
                    .map_err(|_| Error::Signature)?;
            }
            SignatureAlgorithm::EcdsaNistP384 => {
                let point = point(&mut key, "nistp384").map_err(unusable)?;
                let fixed = fixed::<48>(octets).map_err(wrong)?;
                ecdsa::VerifyingKey::<ecdsa::P384>::from_x962_uncompressed(point)
                    .map_err(|_| Error::HostKeyUnusable)?
                    .verify::<Sha384>(&[message], fixed.as_flattened())
                    .map_err(|_| Error::Signature)?;
            }
            SignatureAlgorithm::RsaSha512 | SignatureAlgorithm::RsaSha256 => {
                let exponent = key.positive().map_err(unusable)?;
                let modulus = key.positive().map_err(unusable)?;
                let bits = modulus.len() * 8
                    - modulus.first().map_or(0, |top| top.leading_zeros() as usize);
                if !RSA_BITS.contains(&bits) || exponent.len() > RSA_EXPONENT {
                    return Err(Error::HostKeyUnusable);
                }
                let public = der::sequence(&[modulus, exponent]);
                let public = rsa::VerifyingKey::from_pkcs1_der(&public)
                    .map_err(|_| Error::HostKeyUnusable)?;
                // RFC 8332 §3 leaves leading zeroes away from nothing: the length is the modulus'
                let verified = match algorithm {
                    SignatureAlgorithm::RsaSha512 => public.verify_pkcs1_sha512(octets, message),
                    _ => public.verify_pkcs1_sha256(octets, message),
                };
                verified.map_err(|_| Error::Signature)?;
            }
        }
        match key.rest().is_empty() && signature.rest().is_empty() {
            true => Ok(Self { blob: blob.to_vec(), kind }),
            false => Err(Error::HostKeyUnusable),
        }
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.fingerprint())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kind of key that makes such signatures: RSA's differ by hash function, its keys do not.
pub(crate) fn kind(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha512 => "ssh-rsa",
        other => other.name(),
    }
}

fn point<'a>(key: &mut Fields<'a>, curve: &str) -> Result<&'a [u8], Error> {
    match key.string()? == curve.as_bytes() {
        true => key.string(),
        false => Err(Error::HostKeyUnusable),
    }
}

/// An ECDSA signature's two numbers (RFC 5656 §3.1.2), each as long as the curve's.
fn fixed<const N: usize>(octets: &[u8]) -> Result<[[u8; N]; 2], Error> {
    let mut fields = Fields::inside(octets, crate::message::KEX_ECDH_REPLY);
    let mut numbers = [[0; N]; 2];
    for number in &mut numbers {
        let octets = fields.positive()?;
        let start = N.checked_sub(octets.len()).ok_or(Error::Signature)?;
        number[start..].copy_from_slice(octets);
    }
    match fields.rest().is_empty() {
        true => Ok(numbers),
        false => Err(Error::Signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;
    use crate::wire::Message;

    #[test]
    fn the_numbers_of_an_rsa_key_have_their_limits() {
        let key = PrivateKey::from_openssh(include_str!("../tests/keys/rsa"), None).unwrap();
        let mut fields = Fields::inside(key.public_blob(), 0);
        let (_, exponent) = (fields.string().unwrap(), fields.positive().unwrap());
        let modulus = fields.positive().unwrap();
        let signature = Message::structure().string("rsa-sha2-512").string([1; 256]).done();
        let verify = |exponent: &[u8], modulus: &[u8]| {
            let blob = Message::structure().string("ssh-rsa").positive(exponent).positive(modulus);
            HostKey::verify(&blob.done(), SignatureAlgorithm::RsaSha512, &signature, b"").err()
        };
        assert_eq!(verify(exponent, modulus), Some(Error::Signature));
        assert_eq!(verify(&[1; 9], modulus), Some(Error::HostKeyUnusable));
        assert_eq!(verify(&[1; 100_000], modulus), Some(Error::HostKeyUnusable));
        assert_eq!(verify(exponent, &modulus[..255]), Some(Error::HostKeyUnusable));
        assert_eq!(verify(exponent, &[0xff; 1025]), Some(Error::HostKeyUnusable));
    }
}
