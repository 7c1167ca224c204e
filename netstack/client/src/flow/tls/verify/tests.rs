use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use time::OffsetDateTime;

/// 2026-07-01, within the certificates' year.
const NOW: u64 = 1_782_864_000;
const YEAR: i64 = 365 * 86_400;

struct Made {
    der: CertificateDer<'static>,
    key: KeyPair,
    params: CertificateParams,
}

fn params(name: &str, from: i64, to: i64) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.into()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "leaf\u{7}of the test");
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW as i64 + from).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW as i64 + to).unwrap();
    params
}

fn authority() -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = params("ca.test", -YEAR, YEAR);
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Made { der: params.self_signed(&key).unwrap().der().clone(), key, params }
}

fn leaf(authority: &Made, name: &str, from: i64, to: i64) -> Made {
    let issuer = Issuer::from_params(&authority.params, &authority.key);
    let (key, params) = (KeyPair::generate().unwrap(), params(name, from, to));
    Made { der: params.signed_by(&key, &issuer).unwrap().der().clone(), key, params }
}

fn self_signed() -> Made {
    let (key, params) = (KeyPair::generate().unwrap(), params("web.test", -YEAR, YEAR));
    Made { der: params.self_signed(&key).unwrap().der().clone(), key, params }
}

fn anchor(authority: &Made) -> Authenticator {
    Authenticator::TrustAnchors(vec![authority.der.to_vec()])
}

fn key_pin(made: &Made) -> Authenticator {
    let digest = digest(Hash::Sha256, &made.key.subject_public_key_info());
    Authenticator::KeyFingerprint(Fingerprint { hash: Hash::Sha256, digest })
}

fn certificate_pin(made: &Made) -> Authenticator {
    let digest = digest(Hash::Sha512, &made.der);
    Authenticator::CertificateFingerprint(Fingerprint { hash: Hash::Sha512, digest })
}

/// Nothing where the certificate is accepted, else the refusal.
fn refusal(authenticators: &[Authenticator], made: &Made, name: &str, now: u64) -> String {
    let provider = Arc::new(rustls_graviola::default_provider());
    let verifier = Verifier::new(authenticators, true, provider).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(core::time::Duration::from_secs(now));
    match verifier.verify_server_cert(&made.der, &[], &name, &[], now) {
        Ok(_) => String::new(),
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(refusal)))) => {
            refusal.to_string()
        }
        Err(error) => panic!("not a refusal: {error}"),
    }
}

#[test]
fn what_is_right_is_accepted() {
    let authority = authority();
    let good = leaf(&authority, "web.test", -YEAR, YEAR);
    let lonely = self_signed();
    for (authenticators, made) in [
        (vec![anchor(&authority)], &good),
        (vec![key_pin(&good)], &good),
        (vec![certificate_pin(&good)], &good),
        (vec![Authenticator::None], &good),
        (vec![key_pin(&lonely)], &lonely),
        (vec![Authenticator::None], &lonely),
        // any one of several suffices
        (vec![key_pin(&lonely), anchor(&authority)], &good),
    ] {
        assert_eq!(refusal(&authenticators, made, "web.test", NOW), "", "{authenticators:?}");
    }
}

#[test]
fn what_is_wrong_is_refused_and_named() {
    let authority = authority();
    let good = leaf(&authority, "web.test", -YEAR, YEAR);
    let expired = leaf(&authority, "web.test", -YEAR, -86_400);
    let future = leaf(&authority, "web.test", 86_400, YEAR);
    let lonely = self_signed();
    for (authenticators, made, name, says) in [
        (vec![], &good, "web.test", "its issuer is not trusted"),
        (vec![], &lonely, "web.test", "its issuer is not trusted"),
        (vec![], &authority, "ca.test", "an authority's own certificate"),
        (vec![anchor(&authority)], &lonely, "web.test", "its issuer is not trusted"),
        (vec![anchor(&authority)], &expired, "web.test", "it has expired"),
        (vec![anchor(&authority)], &future, "web.test", "it is not valid yet"),
        (vec![anchor(&authority)], &good, "other.test", "it is not for this name"),
        (vec![anchor(&authority)], &good, "10.0.2.2", "it is not for this name"),
        (vec![key_pin(&lonely)], &good, "web.test", "its key is not the pinned one"),
        (
            vec![certificate_pin(&lonely)],
            &good,
            "web.test",
            "its certificate is not the pinned one",
        ),
        // a pin says nothing of name and dates
        (vec![key_pin(&expired)], &expired, "web.test", "it has expired"),
        (vec![certificate_pin(&future)], &future, "web.test", "it is not valid yet"),
        (vec![key_pin(&good)], &good, "other.test", "it is not for this name"),
    ] {
        let text = refusal(&authenticators, made, name, NOW);
        assert!(text.contains(says), "{authenticators:?}: {text:?} lacks {says:?}");
    }
}

#[test]
fn a_refusal_shows_the_certificate_and_how_to_pin_it() {
    let lonely = self_signed();
    let text = refusal(&[], &lonely, "web.test", NOW);
    let pin = key_pin(&lonely);
    assert!(text.contains(&format!("--tls-authenticator={pin}")), "{text}");
    assert!(text.contains("valid from 2025-07-01 to 2027-07-01"), "{text}");
    assert!(
        !text.contains(char::is_control),
        "a peer's control character is not passed on: {text:?}"
    );
    assert_eq!(refusal(&[pin], &lonely, "web.test", NOW), "");
}

#[test]
fn a_refusal_names_its_rule_and_only_what_would_help() {
    let authority = authority();
    let good = leaf(&authority, "web.test", -YEAR, YEAR);
    let expired = leaf(&authority, "web.test", -YEAR, -86_400);
    let lonely = self_signed();
    for (authenticators, made, name, now, rule, help) in [
        (vec![], &good, "web.test", NOW, "the bundled roots: ", Some("--tls-authenticator=")),
        (
            vec![anchor(&authority)],
            &good,
            "other.test",
            NOW,
            "trust-anchor: ",
            Some("--tls-name=web.test "),
        ),
        (vec![key_pin(&good)], &good, "other.test", NOW, "key-fp: ", Some("--tls-name=web.test ")),
        (
            vec![certificate_pin(&lonely)],
            &good,
            "web.test",
            NOW,
            "cert-fp: ",
            Some("--tls-authenticator="),
        ),
        (vec![anchor(&authority)], &expired, "web.test", NOW, "trust-anchor: ", None),
        (vec![key_pin(&good)], &good, "web.test", 86_400, "key-fp: ", None),
    ] {
        let text = refusal(&authenticators, made, name, now);
        assert!(text.contains(&format!("is refused: {rule}")), "{text}");
        match help {
            Some(help) => assert!(text.contains(help), "{text} lacks {help}"),
            None => assert!(!text.contains(" would "), "{text}"),
        }
    }
}

#[test]
fn no_date_is_checked_by_a_clock_that_was_never_set() {
    let authority = authority();
    let good = leaf(&authority, "web.test", -YEAR, YEAR);
    for authenticator in [anchor(&authority), key_pin(&good)] {
        let text = refusal(&[authenticator], &good, "web.test", 86_400);
        assert!(text.contains("the clock says 1970-01-02"), "{text}");
    }
    assert_eq!(refusal(&[Authenticator::None], &good, "web.test", 0), "");
}

#[test]
fn an_anchor_that_is_no_certificate_is_refused_at_once() {
    let provider = Arc::new(rustls_graviola::default_provider());
    let text = Verifier::new(&[Authenticator::TrustAnchors(vec![vec![1, 2]])], true, provider)
        .unwrap_err();
    assert!(text.contains("a trust anchor is no certificate"), "{text}");
}
