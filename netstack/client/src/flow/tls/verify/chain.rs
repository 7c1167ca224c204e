//! Chains of certificates: webpki builds and checks them, and what it leaves out is checked here on each path that
//! it finds: that an authority may sign (RFC 5280 §4.2.1.3), and what a given anchor says of itself: its dates, its
//! purposes and the length of paths below it. OpenSSL checks these, too.

use super::refusal::Fault;
use core::cell::RefCell;
use futures_rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};
use x509_cert::certificate::Version;
use x509_cert::der::oid::db::rfc5280::ID_KP_SERVER_AUTH;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::{self, BasicConstraints, ExtendedKeyUsage};
use x509_cert::{Certificate, TbsCertificate};

/// The authorities that one rule trusts.
#[derive(Debug)]
pub enum Anchors {
    /// Those of the bundle, which its keepers have checked.
    Bundled,
    /// Those that the user gives, in two forms.
    Given(Vec<CertificateDer<'static>>, Vec<TrustAnchor<'static>>),
}

impl Anchors {
    /// From DER.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn given(certificates: &[Vec<u8>]) -> Result<Self, String> {
        let unusable =
            |error: &dyn core::fmt::Display| format!("a trust anchor is no certificate: {error}");
        let mut all = (Vec::new(), Vec::new());
        for der in certificates {
            let der = CertificateDer::from(der.clone());
            Certificate::from_der(&der).map_err(|error| unusable(&error))?;
            let anchor =
                webpki::anchor_from_trusted_cert(&der).map_err(|error| unusable(&error))?;
            all.1.push(anchor.to_owned());
            all.0.push(der);
        }
        Ok(Self::Given(all.0, all.1))
    }

    /// Whether `leaf` is trusted for `name`.
    pub fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Fault> {
        may_serve(leaf)?;
        let (given, anchors) = match self {
            Self::Bundled => (&[][..], webpki_roots::TLS_SERVER_ROOTS),
            Self::Given(given, anchors) => (given.as_slice(), anchors.as_slice()),
        };
        // who is trusted needs nobody to vouch, as a server's own certificate that the user gives
        if given.iter().any(|given| given == leaf) {
            return super::name_and_dates(leaf, Some(name), now);
        }
        let fault = |error| Fault::of_chain(error, leaf, intermediates, given, now);
        let ours = RefCell::new(None);
        let on_path = |path: &VerifiedPath<'_>| {
            path_is_right(path, given, now).map_err(|fault| {
                ours.replace(Some(fault));
                Error::UnknownIssuer
            })
        };
        let certificate = EndEntityCert::try_from(leaf).map_err(fault)?;
        let usage = KeyUsage::server_auth();
        certificate
            .verify_for_usage(algorithms, anchors, intermediates, now, usage, None, Some(&on_path))
            .map_err(|error| ours.take().unwrap_or_else(|| fault(error)))?;
        certificate.verify_is_valid_for_subject_name(name).map_err(fault)
    }
}

/// What webpki leaves out.
fn path_is_right(
    path: &VerifiedPath<'_>,
    given: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<(), Fault> {
    let mut length = 0;
    for intermediate in path.intermediate_certificates() {
        let der = intermediate.der();
        let certificate = read(&der)?;
        let inner = certificate.tbs_certificate();
        if !may_sign(inner) {
            return Err(Fault::at("an intermediate authority may not sign certificates", &der));
        }
        // RFC 5280 §4.2.1.9: the self-issued ones do not count
        length += u32::from(inner.subject() != inner.issuer());
    }
    let subject = path.anchor().subject.as_ref();
    let key = webpki::spki_for_anchor(path.anchor());
    let mut outcome = Ok(());
    for der in given {
        let certificate = read(der)?;
        let inner = certificate.tbs_certificate();
        let name = inner.subject().to_der().unwrap_or_default();
        // webpki keeps names without their outermost tag and length
        if !name.ends_with(subject) || super::public_key(der).as_deref() != Some(key.as_ref()) {
            continue;
        }
        // the same authority may be given twice, as before and after its renewal
        outcome = anchor_is_right(inner, der, length, now);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn anchor_is_right(
    inner: &TbsCertificate,
    der: &CertificateDer<'_>,
    length: u32,
    now: UnixTime,
) -> Result<(), Fault> {
    super::dates(inner, now).map_err(|text| Fault::at(format!("the trust anchor: {text}"), der))?;
    if !may_sign(inner) {
        return Err(Fault::at("the trust anchor may not sign certificates", der));
    }
    let constraints = extension::<BasicConstraints>(inner);
    if constraints.and_then(|it| it.path_len_constraint).is_some_and(|most| length > most.into()) {
        return Err(Fault::at("more authorities lead to it than the trust anchor allows", der));
    }
    match extension::<ExtendedKeyUsage>(inner) {
        Some(usage) if !usage.0.contains(&ID_KP_SERVER_AUTH) => {
            Err(Fault::at("the trust anchor is not for servers (extended key usage)", der))
        }
        _ => Ok(()),
    }
}

/// RFC 5280 §4.2.1.9 and §4.2.1.3; an old root has neither extension.
fn may_sign(inner: &TbsCertificate) -> bool {
    let usage = extension::<pkix::KeyUsage>(inner);
    match extension::<BasicConstraints>(inner) {
        _ if usage.is_some_and(|usage| !usage.key_cert_sign()) => false,
        Some(constraints) => constraints.ca,
        None => inner.version() == Version::V1 || usage.is_some(),
    }
}

/// A server's key signs or agrees on keys.
fn may_serve(leaf: &CertificateDer<'_>) -> Result<(), Fault> {
    let certificate = read(leaf)?;
    match extension::<pkix::KeyUsage>(certificate.tbs_certificate()) {
        Some(usage)
            if !usage.digital_signature()
                && !usage.key_encipherment()
                && !usage.key_agreement() =>
        {
            Err(Fault::at("its key is not for a server (key usage)", leaf))
        }
        _ => Ok(()),
    }
}

fn extension<'a, T: x509_cert::der::Decode<'a> + x509_cert::der::oid::AssociatedOid>(
    inner: &'a TbsCertificate,
) -> Option<T> {
    inner.get_extension::<T>().ok().flatten().map(|(_, value)| value)
}

fn read(der: &CertificateDer<'_>) -> Result<Certificate, Fault> {
    Certificate::from_der(der).map_err(|_| Fault::at("it cannot be read", der))
}
