//! How a TLS peer is to be known, as one word: MirageOS's X.509 authenticator strings.
//!
//! | word | accepts |
//! |---|---|
//! | `none` | any certificate |
//! | `key-fp:[HASH:]B64` | a certificate whose public key (SubjectPublicKeyInfo) has this fingerprint |
//! | `cert-fp:[HASH:]B64` | this very certificate |
//! | `trust-anchor:B64[:B64…]` | a chain that ends in one of these authorities (DER) |
//!
//! `HASH` is `SHA256` (the default), `SHA384` or `SHA512` in any case, or with a dash (`sha-256`). Base64 may lack its padding and
//! may be in the URL alphabet; PEM may take the place of base64 where the word comes from a file. The bundled roots are what holds when no word is given.

use crate::credential;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use core::fmt;
use core::str::FromStr;

/// A parsed authenticator word.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authenticator {
    /// Any certificate is accepted.
    None,
    /// The leaf's public key has this fingerprint.
    KeyFingerprint(Fingerprint),
    /// The leaf is this certificate.
    CertificateFingerprint(Fingerprint),
    /// The chain ends in one of these certificates (DER).
    TrustAnchors(Vec<Vec<u8>>),
}

/// A digest to compare with.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function.
    pub hash: Hash,
    /// Its output; as long as [`Hash::length`].
    pub digest: Vec<u8>,
}

/// The hash functions of fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Octets of a digest.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "sha256" | "sha-256" => Self::Sha256,
            "sha384" | "sha-384" => Self::Sha384,
            "sha512" | "sha-512" => Self::Sha512,
            _ => return None,
        })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        })
    }
}

impl FromStr for Authenticator {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("none", "") => Ok(Self::None),
            ("key-fp", rest) => Ok(Self::KeyFingerprint(fingerprint(rest)?)),
            ("cert-fp", rest) => Ok(Self::CertificateFingerprint(fingerprint(rest)?)),
            // a secret's file can hold it
            ("trust-anchor", pem) if pem.contains("-----BEGIN ") => {
                let anchors = credential::certificates(pem).map_err(|_| Error::Pem)?;
                Ok(Self::TrustAnchors(anchors))
            }
            ("trust-anchor", rest) => {
                let anchors: Vec<_> = rest.split(':').map(octets).collect::<Result<_, _>>()?;
                match anchors.iter().any(Vec::is_empty) {
                    true => Err(Error::Empty),
                    false => Ok(Self::TrustAnchors(anchors)),
                }
            }
            _ => Err(Error::UnknownKind { kind: kind.into() }),
        }
    }
}

impl fmt::Display for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::KeyFingerprint(it) => write!(f, "key-fp:{it}"),
            Self::CertificateFingerprint(it) => write!(f, "cert-fp:{it}"),
            Self::TrustAnchors(anchors) => {
                f.write_str("trust-anchor")?;
                anchors.iter().try_for_each(|anchor| write!(f, ":{}", base64(anchor)))
            }
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hash, base64(&self.digest))
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, Error> {
    let (hash, digest) = match text.split_once(':') {
        Some((name, digest)) => {
            (Hash::named(name).ok_or_else(|| Error::UnknownHash { hash: name.into() })?, digest)
        }
        None => (Hash::Sha256, text),
    };
    let digest = octets(digest)?;
    if digest.len() != hash.length() {
        return Err(Error::DigestLength { hash, got: digest.len() });
    }
    Ok(Fingerprint { hash, digest })
}

/// Base64 in the standard alphabet without padding, as OpenSSH and MirageOS print fingerprints.
pub fn base64(octets: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(octets)
}

/// Octets from base64 in the standard or URL alphabet, with or without padding.
pub fn octets(text: &str) -> Result<Vec<u8>, Error> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(text).map_err(|_| Error::Base64)
}

/// Why a word is no authenticator. Its text names the formats.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not base64.
    Base64,
    /// The digest's length does not fit its hash function.
    DigestLength {
        /// The hash function.
        hash: Hash,
        /// Octets given.
        got: usize,
    },
    /// A trust anchor without octets.
    Empty,
    /// PEM without a whole certificate.
    Pem,
    /// No such hash function.
    UnknownHash {
        /// What was given.
        hash: String,
    },
    /// Not one of the four kinds.
    UnknownKind {
        /// What was given.
        kind: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64 => f.write_str("not base64")?,
            Self::DigestLength { hash, got } => {
                write!(f, "a {hash} digest has {} octets, not {got}", hash.length())?;
            }
            Self::Empty => f.write_str("an empty certificate")?,
            Self::Pem => f.write_str("PEM that holds no whole certificate")?,
            Self::UnknownHash { hash } => write!(f, "no such hash `{hash}`")?,
            Self::UnknownKind { kind } => write!(f, "no such kind `{kind}`")?,
        }
        f.write_str("; expected none, key-fp:[HASH:]BASE64, cert-fp:[HASH:]BASE64 or trust-anchor:BASE64DER[:BASE64DER…]")
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEROES: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn every_form_parses() {
        assert_eq!("none".parse(), Ok(Authenticator::None));
        let zeroes = Fingerprint { hash: Hash::Sha256, digest: vec![0; 32] };
        for word in [
            format!("key-fp:{ZEROES}"),
            format!("key-fp:{ZEROES}="),
            format!("key-fp:sha256:{ZEROES}"),
            format!("key-fp:SHA256:{ZEROES}="),
            format!("key-fp:SHA-256:{ZEROES}="),
        ] {
            assert_eq!(word.parse(), Ok(Authenticator::KeyFingerprint(zeroes.clone())), "{word}");
        }
        assert_eq!(
            format!("cert-fp:{ZEROES}").parse(),
            Ok(Authenticator::CertificateFingerprint(zeroes))
        );
        assert_eq!(
            "trust-anchor:AAEC:Aw==".parse(),
            Ok(Authenticator::TrustAnchors(vec![vec![0, 1, 2], vec![3]]))
        );
    }

    #[test]
    fn a_word_survives_its_display() {
        for word in ["none", &format!("cert-fp:SHA256:{ZEROES}"), "trust-anchor:AAEC:Aw"] {
            assert_eq!(word.parse::<Authenticator>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (word, says) in [
            ("", "no such kind ``"),
            ("none:x", "no such kind `none`"),
            ("key-fp:", "has 32 octets, not 0"),
            ("key-fp:AAAA", "has 32 octets, not 3"),
            ("key-fp:md5:AAAA", "no such hash `md5`"),
            ("cert-fp:SHA512:AAAA", "a SHA512 digest has 64"),
            ("cert-fp:§", "not base64"),
            ("trust-anchor:", "an empty certificate"),
            ("trust-anchor:AAEC:", "an empty certificate"),
        ] {
            let error = word.parse::<Authenticator>().unwrap_err().to_string();
            assert!(error.starts_with(says) || error.contains(says), "{word}: {error}");
            assert!(error.contains("trust-anchor:BASE64DER"), "{error}");
        }
    }
}
