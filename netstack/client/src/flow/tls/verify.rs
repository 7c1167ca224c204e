//! Whether a TLS server is who it should be, and in plain words why not.
//!
//! Chains are webpki's work. What is ours: the authenticators that pin a key or a certificate (name and dates
//! still hold there, the chain does not), several of them of which any one suffices, a check of the clock before
//! any date is compared, and a refusal that shows the certificate and the argument that would pin it.

use core::fmt;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use proto::authenticator::{self, Authenticator, Fingerprint, Hash};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use sha2::Digest as _;
use std::sync::Arc;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

/// 2026-01-01: a clock before it was never set.
const EARLIEST_SANE_CLOCK: u64 = 1_767_225_600;

/// Knows a server by any one of its rules.
#[derive(Debug)]
pub struct Verifier {
    rules: Vec<Rule>,
    /// A pinned key or certificate must be for the name too.
    pins_need_name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Rule {
    Anyone,
    Certificate(Fingerprint),
    Chain(Arc<WebPkiServerVerifier>),
    Key(Fingerprint),
}

impl Verifier {
    /// From the authenticators given at boot; none given: the bundled roots. An error is a trust anchor that
    /// cannot be used, in words.
    pub fn new(
        authenticators: &[Authenticator],
        pins_need_name: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let chain = |roots: RootCertStore| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map(Rule::Chain)
                .map_err(|error| error.to_string())
        };
        let mut rules = Vec::new();
        for authenticator in authenticators {
            rules.push(match authenticator {
                Authenticator::None => Rule::Anyone,
                Authenticator::KeyFingerprint(it) => Rule::Key(it.clone()),
                Authenticator::CertificateFingerprint(it) => Rule::Certificate(it.clone()),
                Authenticator::TrustAnchors(anchors) => {
                    let mut roots = RootCertStore::empty();
                    for anchor in anchors {
                        roots.add(anchor.as_slice().into()).map_err(|error| {
                            format!("a trust anchor is no certificate: {error}")
                        })?;
                    }
                    chain(roots)?
                }
                other => return Err(format!("{other} cannot be checked here")),
            });
        }
        if rules.is_empty() {
            rules.push(chain(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())?);
        }
        Ok(Self { rules, pins_need_name, provider })
    }
}

impl Rule {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        pins_need_name: bool,
        now: UnixTime,
    ) -> Result<(), Reason> {
        if !matches!(self, Self::Anyone) && now.as_secs() < EARLIEST_SANE_CLOCK {
            return Err(Reason::Clock(now));
        }
        match self {
            Self::Anyone => Ok(()),
            Self::Certificate(expected) => {
                compare("certificate", expected, leaf)?;
                name_and_dates(leaf, pins_need_name.then_some(name), now)
            }
            Self::Chain(verifier) => verifier
                .verify_server_cert(leaf, intermediates, name, &[], now)
                .map(drop)
                .map_err(|error| match error {
                    rustls::Error::InvalidCertificate(error) => Reason::Chain(error),
                    error => Reason::Text(error.to_string()),
                }),
            Self::Key(expected) => {
                let key =
                    public_key(leaf).ok_or_else(|| Reason::Text("it cannot be read".into()))?;
                compare("key", expected, &key)?;
                name_and_dates(leaf, pins_need_name.then_some(name), now)
            }
        }
    }
}

fn compare(what: &'static str, expected: &Fingerprint, octets: &[u8]) -> Result<(), Reason> {
    match digest(expected.hash, octets) == expected.digest {
        true => Ok(()),
        false => Err(Reason::Text(format!("its {what} is not the pinned one"))),
    }
}

fn name_and_dates(
    leaf: &CertificateDer<'_>,
    name: Option<&ServerName<'_>>,
    now: UnixTime,
) -> Result<(), Reason> {
    let parsed =
        ParsedCertificate::try_from(leaf).map_err(|_| Reason::Text("it cannot be read".into()))?;
    if let Some(name) = name {
        rustls::client::verify_server_name(&parsed, name).map_err(|error| match error {
            rustls::Error::InvalidCertificate(error) => Reason::Chain(error),
            error => Reason::Text(error.to_string()),
        })?;
    }
    let certificate =
        Certificate::from_der(leaf).map_err(|_| Reason::Text("it cannot be read".into()))?;
    let validity = certificate.tbs_certificate().validity();
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Reason::Chain(CertificateError::NotValidYet));
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Reason::Chain(CertificateError::Expired));
    }
    Ok(())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut reasons = Vec::new();
        for rule in &self.rules {
            match rule.check(leaf, intermediates, name, self.pins_need_name, now) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(reason) => reasons.push(reason.to_string()),
            }
        }
        reasons.dedup();
        let refusal = Refusal {
            reason: reasons.join("; "),
            name: name.to_str().into(),
            shown: describe(leaf),
        };
        Err(CertificateError::Other(OtherError(Arc::new(refusal))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            leaf,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            leaf,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

enum Reason {
    Chain(CertificateError),
    Clock(UnixTime),
    Text(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateError::{
            BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
            NotValidYet, NotValidYetContext, UnknownIssuer,
        };
        match self {
            Self::Chain(Expired | ExpiredContext { .. }) => f.write_str("it has expired"),
            Self::Chain(NotValidYet | NotValidYetContext { .. }) => {
                f.write_str("it is not valid yet")
            }
            Self::Chain(NotValidForName) => f.write_str("it is not for this name"),
            Self::Chain(NotValidForNameContext { presented, .. }) => {
                // webpki shows names in its own debug form: DnsName("…")
                let names = presented.join(", ");
                write!(
                    f,
                    "it is not for this name but for {}",
                    if names.is_empty() { "none" } else { &names }
                )
            }
            Self::Chain(UnknownIssuer) => f.write_str("its issuer is not trusted"),
            Self::Chain(BadSignature) => f.write_str("its signature is wrong"),
            // webpki has a word for it that rustls has not
            Self::Chain(CertificateError::Other(error))
                if error.to_string().contains("CaUsedAsEndEntity") =>
            {
                f.write_str(
                    "it is an authority's own certificate, which nobody vouches for as a server's",
                )
            }
            Self::Chain(error) => error.fmt(f),
            Self::Clock(now) => {
                write!(
                    f,
                    "the clock says {} and was never set, so no date can be checked",
                    date(now.as_secs())
                )
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A certificate that was refused, in words.
#[derive(Debug)]
pub struct Refusal {
    reason: String,
    name: String,
    shown: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate for {} is refused: {} ({})", self.name, self.reason, self.shown)
    }
}

impl core::error::Error for Refusal {}

/// Subject, issuer, dates and how to pin it.
fn describe(leaf: &CertificateDer<'_>) -> String {
    let (Ok(certificate), Some(key)) = (Certificate::from_der(leaf), public_key(leaf)) else {
        return "it cannot be read".into();
    };
    let inner = certificate.tbs_certificate();
    let pin = authenticator::base64(&digest(Hash::Sha256, &key));
    format!(
        "subject `{}`, issuer `{}`, valid from {} to {}; --tls-authenticator=key-fp:SHA256:{pin} would pin its key",
        printable(&inner.subject().to_string()),
        printable(&inner.issuer().to_string()),
        date(inner.validity().not_before.to_unix_duration().as_secs()),
        date(inner.validity().not_after.to_unix_duration().as_secs()),
    )
}

/// The SubjectPublicKeyInfo's octets.
fn public_key(leaf: &CertificateDer<'_>) -> Option<Vec<u8>> {
    Certificate::from_der(leaf).ok()?.tbs_certificate().subject_public_key_info().to_der().ok()
}

fn digest(hash: Hash, octets: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => sha2::Sha256::digest(octets).to_vec(),
        Hash::Sha384 => sha2::Sha384::digest(octets).to_vec(),
        Hash::Sha512 => sha2::Sha512::digest(octets).to_vec(),
    }
}

/// A peer's text for one line of ours: no control characters, at most 200 characters.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { '?' } else { character })
        .take(200)
        .collect()
}

/// Seconds since 1970 as a date, `2026-11-23`.
fn date(seconds: u64) -> String {
    use x509_cert::der::DateTime;
    match DateTime::from_unix_duration(core::time::Duration::from_secs(seconds)) {
        Ok(date) => format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

#[cfg(test)]
mod tests;
