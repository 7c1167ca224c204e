//! What a refused certificate's owner and its visitor are told: which rule, which certificate, and what would let
//! it pass.

use super::{date, digest, public_key, validity};
use core::fmt;
use futures_rustls::pki_types::{CertificateDer, UnixTime};
use proto::authenticator::{self, Hash};
use webpki::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// What is wrong, with which certificate of those sent or trusted.
#[derive(Debug)]
pub struct Fault {
    reason: String,
    certificate: CertificateDer<'static>,
    mend: Mend,
}

/// What would let the server pass.
#[derive(Debug)]
enum Mend {
    /// To ask by a name that the certificate is for; where it has none that can be asked for, nothing.
    Name(Option<String>),
    /// To pin its key.
    Pin,
}

impl Fault {
    /// With this one.
    pub fn at(reason: impl Into<String>, certificate: &CertificateDer<'_>) -> Self {
        let certificate = certificate.clone().into_owned();
        Self { reason: reason.into(), certificate, mend: Mend::Pin }
    }

    /// What webpki says of a chain.
    pub fn of_chain(
        error: Error,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        anchors: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Self {
        let all = || core::iter::once(leaf).chain(intermediates);
        let of_dates = matches!(error, Error::CertExpired { .. } | Error::CertNotValidYet { .. });
        // webpki does not say which one it means
        let offender = all().find(|der| of_dates && !in_force(der, now)).unwrap_or(leaf);
        let short = all().chain(anchors).find_map(|der| short_key(der).map(|text| (der, text)));
        match (&error, short) {
            (Error::InvalidSignatureForPublicKey, Some((der, text))) => Self::at(text, der),
            (Error::CertNotValidForName(context), _) => {
                let mend = Mend::Name(context.presented.iter().find_map(|name| dns_name(name)));
                Self { mend, ..Self::at(words(&error, leaf, intermediates), leaf) }
            }
            _ => Self::at(words(&error, leaf, intermediates), offender),
        }
    }

    /// The reason alone.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A whole name in webpki's own form, `DnsName("web.test")`.
fn dns_name(presented: &str) -> Option<String> {
    let name = presented.strip_prefix("DnsName(\"")?.strip_suffix("\")")?;
    let stands = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    (name.len() <= 253 && name.bytes().all(stands)).then(|| name.into())
}

/// What would let a refused certificate pass, if anything would: a pin still wants name, dates and a long key.
pub fn mend(leaf: &CertificateDer<'_>, faults: &[Fault], now: UnixTime) -> Option<String> {
    if short_key(leaf).is_some() || !in_force(leaf, now) {
        return None;
    }
    let mut names = faults.iter().filter_map(|fault| match &fault.mend {
        Mend::Name(name) => Some(name),
        Mend::Pin => None,
    });
    if let Some(first) = names.next() {
        let name = first.as_ref().or_else(|| names.flatten().next())?;
        return Some(format!("--tls-name={name} would ask for the server that it is for"));
    }
    let pin = authenticator::base64(&digest(Hash::Sha256, &public_key(leaf)?));
    Some(format!(
        "--tls-authenticator=key-fp:SHA256:{pin} would pin the server's key, name and dates still checked"
    ))
}

fn in_force(der: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return true };
    let (from, to) = validity(certificate.tbs_certificate());
    (from..=to).contains(&now.as_secs())
}

/// Bits of the shortest RSA modulus that is taken, as by OpenSSL's security level 2.
const SHORTEST_RSA: usize = 2048;

/// Says so where the key is a shorter one.
pub fn short_key(der: &CertificateDer<'_>) -> Option<String> {
    use x509_cert::der::asn1::UintRef;
    use x509_cert::der::oid::db::rfc5912::RSA_ENCRYPTION;
    use x509_cert::der::{Reader as _, SliceReader};
    let certificate = Certificate::from_der(der).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    if key.algorithm.oid != RSA_ENCRYPTION {
        return None;
    }
    // RFC 8017 §A.1.1
    let modulus = SliceReader::new(key.subject_public_key.as_bytes()?).ok()?.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        UintRef::decode(reader)?;
        Ok::<_, x509_cert::der::Error>(modulus.as_bytes().to_vec())
    });
    let modulus = modulus.ok()?;
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (bits < SHORTEST_RSA)
        .then(|| format!("its RSA key of {bits} bits is too short ({SHORTEST_RSA} at least)"))
}

fn words(error: &Error, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> String {
    match error {
        Error::CertExpired { .. } => "it has expired".into(),
        Error::CertNotValidYet { .. } => "it is not valid yet".into(),
        Error::CertNotValidForName(context) => {
            // webpki shows names in its own debug form: DnsName("…")
            let names = context.presented.join(", ");
            match names.as_str() {
                "" => "it is not for this name: it has no subject alternative name".into(),
                names => format!("it is not for this name but for {}", printable(names)),
            }
        }
        Error::UnknownIssuer if intermediates.is_empty() && !is_self_issued(leaf) => {
            "its issuer is not trusted, and the server sent no certificate of it".into()
        }
        Error::UnknownIssuer => "its issuer is not trusted".into(),
        Error::InvalidSignatureForPublicKey => "its signature is wrong".into(),
        Error::CaUsedAsEndEntity => {
            "it is an authority's own certificate, which nobody vouches for as a server's".into()
        }
        Error::EndEntityUsedAsCa => "its issuer is no authority".into(),
        Error::NameConstraintViolation => {
            "its issuer may not vouch for its names (name constraints)".into()
        }
        Error::PathLenConstraintViolated => {
            "more authorities lead to it than one of them allows (path length)".into()
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            "it is not for servers (extended key usage)".into()
        }
        Error::UnsupportedCriticalExtension => {
            "it has a critical extension that is not known here".into()
        }
        Error::UnsupportedCertVersion => "it is not of version 3 of X.509".into(),
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            let all = core::iter::once(leaf).chain(intermediates);
            let oids: Vec<_> = all
                .filter_map(|der| Certificate::from_der(der).ok())
                .map(|certificate| certificate.signature_algorithm().oid.to_string())
                .collect();
            let oids = oids.join(", ");
            format!("it is signed in a way that is not taken (OID {oids})")
        }
        error => format!("it breaks the rules: {error}"),
    }
}

fn is_self_issued(der: &CertificateDer<'_>) -> bool {
    Certificate::from_der(der).is_ok_and(|certificate| {
        let inner = certificate.tbs_certificate();
        inner.subject() == inner.issuer()
    })
}

/// A certificate that was refused, in words.
#[derive(Debug)]
pub struct Refusal {
    reason: String,
    name: String,
    shown: String,
    mend: Option<String>,
}

impl Refusal {
    /// Of a server that should be `name`: the reasons of all rules, and what would help.
    pub fn new(
        reason: String,
        name: &str,
        leaf: &CertificateDer<'_>,
        faults: &[Fault],
        mend: Option<String>,
    ) -> Self {
        let shown = faults.first().map_or(leaf, |fault| &fault.certificate);
        Self { reason, name: printable(name), shown: describe(shown), mend }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, name, shown, mend } = self;
        write!(f, "the certificate for {name} is refused: {reason} ({shown}")?;
        if let Some(mend) = mend {
            write!(f, "; {mend}")?;
        }
        f.write_str(")")
    }
}

impl core::error::Error for Refusal {}

/// Subject, issuer, dates and fingerprint.
fn describe(der: &CertificateDer<'_>) -> String {
    let Ok(certificate) = Certificate::from_der(der) else { return "it cannot be read".into() };
    let inner = certificate.tbs_certificate();
    let (from, to) = validity(inner);
    // as `openssl x509 -fingerprint` writes it
    let octets: Vec<_> =
        digest(Hash::Sha256, der).iter().map(|octet| format!("{octet:02X}")).collect();
    format!(
        "subject `{}`, issuer `{}`, valid from {} to {}, SHA-256 {}",
        printable(&inner.subject().to_string()),
        printable(&inner.issuer().to_string()),
        date(from),
        date(to),
        octets.join(":"),
    )
}

/// A peer's text for one line of ours: no control characters, at most 200 characters.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { '?' } else { character })
        .take(200)
        .collect()
}
