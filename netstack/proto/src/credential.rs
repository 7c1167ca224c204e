//! Certificates and private keys as a user gives them: PEM (RFC 7468), or base64 of DER or of PEM.
//!
//! PEM has lines, which boot words have not: it comes from a file, or as base64 once more. What is in the DER is
//! for the protocol to judge that uses it.

use crate::authenticator::octets;
use core::fmt;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A private key (PKCS #8, SEC 1 or PKCS #1, DER). Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    der: Vec<u8>,
}

impl PrivateKey {
    /// From one of its forms.
    ///
    /// # Errors
    /// What is wrong; the text holds nothing of the key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let octets = text_or_octets(text)?;
        let der = match as_pem(&octets) {
            // RFC 5958 §3 and RFC 1421's header of old keys
            Some(pem) if holds(pem, b"ENCRYPTED") => return Err(Error::Encrypted),
            Some(pem) => {
                PrivateKeyDer::from_pem_slice(pem).map_err(|_| Error::NoKey)?.secret_der().to_vec()
            }
            None => octets,
        };
        match PrivateKeyDer::try_from(der.as_slice()) {
            Ok(_) => Ok(Self { der }),
            Err(_) => Err(Error::NoKey),
        }
    }

    /// The octets, which are secret.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// Certificates (DER) in the order given: PEM, or base64 with a `:` between two.
///
/// # Errors
/// What is wrong; an empty list is wrong too.
pub fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Error> {
    if let Some(pem) = as_pem(text.as_bytes()) {
        return of_pem(pem);
    }
    let mut all = Vec::new();
    for part in text.split(':') {
        let octets = octets(part).map_err(|_| Error::Base64)?;
        match as_pem(&octets) {
            Some(pem) => all.extend(of_pem(pem)?),
            None if octets.first() == Some(&SEQUENCE) => all.push(octets),
            None => return Err(Error::NoCertificate),
        }
    }
    Ok(all)
}

fn of_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|it| it.to_vec()).map_err(|_| Error::Pem))
        .collect::<Result<_, _>>()?;
    match all.is_empty() || all.iter().any(|der| der.first() != Some(&SEQUENCE)) {
        true => Err(Error::NoCertificate),
        false => Ok(all),
    }
}

fn text_or_octets(text: &str) -> Result<Vec<u8>, Error> {
    match as_pem(text.as_bytes()) {
        Some(pem) => Ok(pem.to_vec()),
        None => octets(text).map_err(|_| Error::Base64),
    }
}

/// `octets` if that is PEM, which may begin with any text (RFC 7468 §2).
fn as_pem(octets: &[u8]) -> Option<&[u8]> {
    holds(octets, b"-----BEGIN ").then_some(octets)
}

fn holds(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

/// The first octet of every certificate (X.690 §8.9).
const SEQUENCE: u8 = 0x30;

/// Why a text holds no certificate or no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Neither PEM nor base64.
    Base64,
    /// A key that needs a passphrase.
    Encrypted,
    /// No certificate in it.
    NoCertificate,
    /// No private key in it.
    NoKey,
    /// PEM that is cut or damaged.
    Pem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "neither PEM nor base64",
            Self::Encrypted => "the key is encrypted (`openssl pkey` decrypts it)",
            Self::NoCertificate => "no certificate in it",
            Self::NoKey => "no private key in it: neither PKCS #8 nor SEC 1 nor PKCS #1",
            Self::Pem => "the PEM is damaged",
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// A PKCS #8 key's first octets are enough to tell its kind.
    const KEY: [u8; 8] = [0x30, 0x06, 0x02, 0x01, 0x00, 0x30, 0x01, 0x00];

    fn pem(label: &str, octets: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(octets))
    }

    #[test]
    fn every_form_of_a_certificate_is_read() {
        let (one, two) = (vec![0x30, 1, 2], vec![0x30, 3]);
        let both = vec![one.clone(), two.clone()];
        let text = format!("a title\n{}{}", pem("CERTIFICATE", &one), pem("CERTIFICATE", &two));
        assert_eq!(certificates(&text), Ok(both.clone()));
        assert_eq!(certificates(&STANDARD.encode(&text)), Ok(both.clone()));
        let words = format!("{}:{}", STANDARD.encode(&one), STANDARD.encode(&two));
        assert_eq!(certificates(&words), Ok(both));
        // a server's file may hold its key, too
        let mixed = pem("PRIVATE KEY", &KEY) + &pem("CERTIFICATE", &one);
        assert_eq!(certificates(&mixed), Ok(vec![one]));
        assert_eq!(PrivateKey::parse(&mixed).unwrap().der(), KEY);
    }

    #[test]
    fn every_form_of_a_key_is_read_and_none_is_shown() {
        for text in [
            pem("PRIVATE KEY", &KEY),
            STANDARD.encode(pem("PRIVATE KEY", &KEY)),
            STANDARD.encode(KEY),
        ] {
            let key = PrivateKey::parse(&text).unwrap();
            assert_eq!(key.der(), KEY);
            assert_eq!(format!("{key:?}"), "(redacted)");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (String::new(), Error::NoCertificate),
            ("§".into(), Error::Base64),
            ("AAEC".into(), Error::NoCertificate),
            (pem("PRIVATE KEY", &KEY), Error::NoCertificate),
            ("-----BEGIN CERTIFICATE-----\nMA".into(), Error::Pem),
            (pem("CERTIFICATE", &[]), Error::NoCertificate),
        ] {
            assert_eq!(certificates(&text), Err(expected), "{text}");
        }
        for (text, expected) in [
            (String::new(), Error::NoKey),
            ("§".into(), Error::Base64),
            ("AAEC".into(), Error::NoKey),
            (pem("CERTIFICATE", &[0x30]), Error::NoKey),
            (pem("ENCRYPTED PRIVATE KEY", &KEY), Error::Encrypted),
        ] {
            assert_eq!(PrivateKey::parse(&text), Err(expected), "{text}");
        }
    }
}
