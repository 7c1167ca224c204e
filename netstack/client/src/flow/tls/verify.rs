//! Whether a TLS server is who it should be, and in plain words why not.
//!
//! Chains are webpki's work, and `chain`'s. What is ours: the authenticators that pin a key or a certificate (name and
//! dates still hold there, the chain does not), several of them of which any one suffices, a check of the clock before
//! any date is compared, and a refusal that shows the certificate and the argument that would pin it.

mod chain;
mod refusal;

use chain::Anchors;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use proto::authenticator::{Authenticator, Fingerprint, Hash};
use refusal::Fault;
pub use refusal::Refusal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use sha2::Digest as _;
use std::sync::Arc;
use webpki::EndEntityCert;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::{Certificate, TbsCertificate};

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
    Chain(Anchors),
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
        let mut rules = Vec::new();
        for authenticator in authenticators {
            rules.push(match authenticator {
                Authenticator::None => Rule::Anyone,
                Authenticator::KeyFingerprint(it) => Rule::Key(it.clone()),
                Authenticator::CertificateFingerprint(it) => Rule::Certificate(it.clone()),
                Authenticator::TrustAnchors(anchors) => Rule::Chain(Anchors::given(anchors)?),
                other => return Err(format!("{other} cannot be checked here")),
            });
        }
        if rules.is_empty() {
            rules.push(Rule::Chain(Anchors::Bundled));
        }
        Ok(Self { rules, pins_need_name, provider })
    }
}

impl Rule {
    /// The word that makes it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Anyone => "none",
            Self::Certificate(_) => "cert-fp",
            Self::Chain(Anchors::Bundled) => "the bundled roots",
            Self::Chain(Anchors::Given(..)) => "trust-anchor",
            Self::Key(_) => "key-fp",
        }
    }
}

impl Verifier {
    fn check(
        &self,
        rule: &Rule,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Fault> {
        if let Some(text) = refusal::short_key(leaf) {
            return Err(Fault::at(text, leaf));
        }
        if !matches!(rule, Rule::Anyone) && now.as_secs() < EARLIEST_SANE_CLOCK {
            let text = format!(
                "the clock says {} and was never set, so no date can be checked; tell the time, --time=$(date +%s), \
                 or set the machine's clock (QEMU's is the host's, or -rtc base=utc)",
                date(now.as_secs())
            );
            return Err(Fault::at(text, leaf));
        }
        let pinned_name = self.pins_need_name.then_some(name);
        match rule {
            Rule::Anyone => Ok(()),
            Rule::Certificate(expected) => {
                if digest(expected.hash, leaf) != expected.digest {
                    return Err(Fault::at("its certificate is not the pinned one", leaf));
                }
                name_and_dates(leaf, pinned_name, now)
            }
            Rule::Chain(anchors) => {
                let algorithms = self.provider.signature_verification_algorithms.all;
                anchors.check(leaf, intermediates, name, now, algorithms)
            }
            Rule::Key(expected) => {
                let key = public_key(leaf).ok_or_else(|| Fault::at("it cannot be read", leaf))?;
                if digest(expected.hash, &key) != expected.digest {
                    return Err(Fault::at("its key is not the pinned one", leaf));
                }
                name_and_dates(leaf, pinned_name, now)
            }
        }
    }
}

fn name_and_dates(
    leaf: &CertificateDer<'_>,
    name: Option<&ServerName<'_>>,
    now: UnixTime,
) -> Result<(), Fault> {
    if let Some(name) = name {
        EndEntityCert::try_from(leaf)
            .and_then(|certificate| certificate.verify_is_valid_for_subject_name(name))
            .map_err(|error| Fault::of_chain(error, leaf, &[], &[], now))?;
    }
    let certificate =
        Certificate::from_der(leaf).map_err(|_| Fault::at("it cannot be read", leaf))?;
    dates(certificate.tbs_certificate(), now).map_err(|text| Fault::at(text, leaf))
}

fn dates(inner: &TbsCertificate, now: UnixTime) -> Result<(), &'static str> {
    let (from, to) = validity(inner);
    match now.as_secs() {
        now if now < from => Err("it is not valid yet"),
        now if now > to => Err("it has expired"),
        _ => Ok(()),
    }
}

/// The first and the last second of it, since 1970.
fn validity(inner: &TbsCertificate) -> (u64, u64) {
    let validity = inner.validity();
    let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
    (seconds(&validity.not_before), seconds(&validity.not_after))
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
        let mut faults = Vec::new();
        for rule in &self.rules {
            match self.check(rule, leaf, intermediates, name, now) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(fault) => faults.push(fault),
            }
        }
        let reasons = self.rules.iter().zip(&faults);
        let reasons: Vec<_> =
            reasons.map(|(rule, fault)| format!("{}: {}", rule.kind(), fault.reason())).collect();
        // without a clock no rule but `none` holds
        let can_mend = now.as_secs() >= EARLIEST_SANE_CLOCK;
        let mend = can_mend.then(|| refusal::mend(leaf, &faults, now)).flatten();
        let refusal = Refusal::new(reasons.join("; "), &name.to_str(), leaf, &faults, mend);
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
