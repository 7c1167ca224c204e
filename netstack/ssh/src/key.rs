//! Private keys for authentication: OpenSSH's key files, seeds and DER, and the signatures made with them.

use crate::algorithm::SignatureAlgorithm;
use crate::der;
use crate::error::Error;
use crate::hostkey::kind;
use crate::wire::Message;
use core::fmt;
use graviola::hashing::{Sha256, Sha384};
use graviola::signing::{ecdsa, eddsa, rsa};
use ssh_key::private::{EcdsaKeypair, KeypairData, RsaKeypair};
use zeroize::Zeroizing;

/// A private key. Nothing of its secret is ever printed.
pub struct PrivateKey {
    secret: Secret,
    /// The public key as it goes over the wire.
    blob: Vec<u8>,
}

enum Secret {
    Ed25519(Box<eddsa::Ed25519SigningKey>),
    EcdsaNistP256(Box<ecdsa::SigningKey<ecdsa::P256>>),
    EcdsaNistP384(Box<ecdsa::SigningKey<ecdsa::P384>>),
    Rsa(Box<rsa::SigningKey>),
}

impl PrivateKey {
    /// Reads the text of a file that `ssh-keygen` made (`-----BEGIN OPENSSH PRIVATE KEY-----`).
    ///
    /// # Errors
    /// [`KeyError::Encrypted`] asks for the passphrase, [`KeyError::Passphrase`] for a better one.
    pub fn from_openssh(text: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let key =
            ssh_key::PrivateKey::from_openssh(text.trim()).map_err(|_| KeyError::Malformed)?;
        let key = match (key.is_encrypted(), passphrase) {
            (false, _) => key,
            (true, None) => return Err(KeyError::Encrypted),
            (true, Some(passphrase)) => {
                key.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?
            }
        };
        match key.key_data() {
            KeypairData::Ed25519(pair) => Self::from_ed25519(&pair.private.to_bytes()),
            KeypairData::Ecdsa(pair @ EcdsaKeypair::NistP256 { .. }) => {
                let scalar = Zeroizing::new(pair.private_key_bytes().to_vec());
                let private_key =
                    graviola::key_agreement::p256::StaticPrivateKey::from_bytes(&scalar)
                        .map_err(|_| KeyError::Malformed)?;
                let point = private_key.public_key_uncompressed();
                let secret = Secret::EcdsaNistP256(Box::new(ecdsa::SigningKey { private_key }));
                Ok(Self { secret, blob: ecdsa_blob("nistp256", &point) })
            }
            KeypairData::Ecdsa(pair @ EcdsaKeypair::NistP384 { .. }) => {
                let scalar = Zeroizing::new(pair.private_key_bytes().to_vec());
                let private_key =
                    graviola::key_agreement::p384::StaticPrivateKey::from_bytes(&scalar)
                        .map_err(|_| KeyError::Malformed)?;
                let point = private_key.public_key_uncompressed();
                let secret = Secret::EcdsaNistP384(Box::new(ecdsa::SigningKey { private_key }));
                Ok(Self { secret, blob: ecdsa_blob("nistp384", &point) })
            }
            KeypairData::Rsa(pair) => Self::from_rsa_der(&pkcs1(pair)?),
            _ => Err(KeyError::Kind),
        }
    }

    /// An Ed25519 key from its seed of 32 octets; the 64 that OpenSSH keeps (seed, public key) do, too.
    pub fn from_ed25519(secret: &[u8]) -> Result<Self, KeyError> {
        let (seed, public) = secret.split_at_checked(32).ok_or(KeyError::Malformed)?;
        let key = eddsa::Ed25519SigningKey::from_bytes(seed).map_err(|_| KeyError::Malformed)?;
        let point = key.public_key().as_bytes();
        if !public.is_empty() && public != point {
            return Err(KeyError::Malformed);
        }
        let blob = Message::structure().string("ssh-ed25519").string(point).done();
        Ok(Self { secret: Secret::Ed25519(Box::new(key)), blob })
    }

    /// An RSA key in DER: PKCS #1 or PKCS #8.
    pub fn from_rsa_der(octets: &[u8]) -> Result<Self, KeyError> {
        let key = rsa::SigningKey::from_pkcs1_der(octets)
            .or_else(|_| rsa::SigningKey::from_pkcs8_der(octets))
            .map_err(|_| KeyError::Malformed)?;
        let mut buf = [0; MAX_RSA_PUBLIC];
        let public = key.public_key();
        let public = public.to_pkcs1_der(&mut buf).map_err(|_| KeyError::Malformed)?;
        let numbers = der::numbers(public).ok_or(KeyError::Malformed)?;
        let &[modulus, exponent] = numbers.as_slice() else { return Err(KeyError::Malformed) };
        let blob =
            Message::structure().string("ssh-rsa").positive(exponent).positive(modulus).done();
        Ok(Self { secret: Secret::Rsa(Box::new(key)), blob })
    }

    /// The public key as it goes over the wire.
    pub fn public_blob(&self) -> &[u8] {
        &self.blob
    }

    /// The signatures that it makes, the preferred first.
    pub(crate) fn algorithms(&self) -> &'static [SignatureAlgorithm] {
        match self.secret {
            Secret::Ed25519(_) => &[SignatureAlgorithm::Ed25519],
            Secret::EcdsaNistP256(_) => &[SignatureAlgorithm::EcdsaNistP256],
            Secret::EcdsaNistP384(_) => &[SignatureAlgorithm::EcdsaNistP384],
            Secret::Rsa(_) => &[SignatureAlgorithm::RsaSha512, SignatureAlgorithm::RsaSha256],
        }
    }

    /// A signature as it goes over the wire.
    pub(crate) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::NoRandomness;
        let mut buf = [0; MAX_RSA_PUBLIC];
        let signature = match &self.secret {
            Secret::Ed25519(key) => key.sign(message).to_vec(),
            // graviola adds its own randomness to the message's number, against faults
            Secret::EcdsaNistP256(key) => {
                numbers(key.sign::<Sha256>(&[message], &mut buf).map_err(failed)?)
            }
            Secret::EcdsaNistP384(key) => {
                numbers(key.sign::<Sha384>(&[message], &mut buf).map_err(failed)?)
            }
            Secret::Rsa(key) => {
                let buf = &mut buf[..key.modulus_len_bytes()];
                let signed = match algorithm {
                    SignatureAlgorithm::RsaSha256 => key.sign_pkcs1_sha256(buf, message),
                    _ => key.sign_pkcs1_sha512(buf, message),
                };
                signed.map_err(failed)?.to_vec()
            }
        };
        Ok(Message::structure().string(algorithm.name()).string(signature).done())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind(self.algorithms()[0]))
    }
}

/// Octets of the largest RSA modulus and what DER puts around it.
const MAX_RSA_PUBLIC: usize = 1024 + 64;

fn ecdsa_blob(curve: &str, point: &[u8]) -> Vec<u8> {
    Message::structure().string(format!("ecdsa-sha2-{curve}")).string(curve).string(point).done()
}

/// r and s, each half of `fixed`, as RFC 5656 §3.1.2 has them.
fn numbers(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    Message::structure().positive(r).positive(s).done()
}

/// An RSA key in PKCS #1: OpenSSH leaves the two exponents of the remainder theorem away.
fn pkcs1(pair: &RsaKeypair) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (public, private) = (pair.public(), pair.private());
    let positive = |number: &'_ ssh_key::Mpint| {
        number
            .as_positive_bytes()
            .map(|octets| Zeroizing::new(octets.to_vec()))
            .ok_or(KeyError::Malformed)
    };
    let (n, e, d) = (positive(public.n())?, positive(public.e())?, positive(private.d())?);
    let (p, q, inverse) =
        (positive(private.p())?, positive(private.q())?, positive(private.iqmp())?);
    let is_too_long = [&n, &d, &p, &q].iter().any(|number| number.len() > MAX_RSA_PUBLIC);
    if is_too_long
        || p.last().is_none_or(|low| low % 2 == 0)
        || q.last().is_none_or(|low| low % 2 == 0)
    {
        return Err(KeyError::Malformed);
    }
    let (dp, dq) = (remainder(&d, &p), remainder(&d, &q));
    Ok(Zeroizing::new(der::sequence(&[&[0], &n, &e, &d, &p, &q, &dp, &dq, &inverse])))
}

/// `number` modulo `prime` - 1, without branches on either's value; `prime` is odd. Without leading zeroes.
fn remainder(number: &[u8], prime: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut modulus = Zeroizing::new(vec![0]);
    modulus.extend_from_slice(prime);
    let last = modulus.len() - 1;
    modulus[last] &= 0xfe;
    let mut rest = Zeroizing::new(vec![0_u8; modulus.len()]);
    let mut less = Zeroizing::new(vec![0_u8; modulus.len()]);
    for bit in number.iter().flat_map(|octet| (0..8).rev().map(move |shift| octet >> shift & 1)) {
        let mut carry = bit;
        for octet in rest.iter_mut().rev() {
            (*octet, carry) = (*octet << 1 | carry, *octet >> 7);
        }
        let mut borrow = 0_u16;
        for index in (0..modulus.len()).rev() {
            let difference = 0x100 + u16::from(rest[index]) - u16::from(modulus[index]) - borrow;
            less[index] = difference as u8;
            borrow = 1 - (difference >> 8);
        }
        // all ones where the difference is not negative
        let mask = (borrow as u8).wrapping_sub(1);
        for (octet, less) in rest.iter_mut().zip(less.iter()) {
            *octet = *octet & !mask | less & mask;
        }
    }
    let zeroes = rest.iter().take_while(|&&octet| octet == 0).count();
    Zeroizing::new(rest[zeroes..].to_vec())
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It needs a passphrase.
    Encrypted,
    /// A kind that is not served: DSA, P-521, one in a security token.
    Kind,
    /// No key in the expected form.
    Malformed,
    /// The passphrase is wrong.
    Passphrase,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encrypted => "the key is encrypted: its passphrase is needed",
            Self::Kind => "a kind of key that is not served; expected ed25519, ecdsa (P-256, P-384) or rsa",
            Self::Malformed => "not a private key; expected the text of an OpenSSH key file, ed25519:BASE64 or rsa:BASE64DER",
            Self::Passphrase => "the passphrase is wrong",
        })
    }
}

impl core::error::Error for KeyError {}

#[cfg(test)]
mod tests;
