//! A server's chain with octets changed, and the verifier's judgement of it.

use client::flow::tls::Verifier;
use proto::authenticator::Authenticator;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, LazyLock};

/// Root, intermediate authority, server.
struct Chain {
    root: Vec<u8>,
    below: Vec<u8>,
    leaf: Vec<u8>,
}

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        (params, KeyPair::generate().expect("a key"))
    };
    let (root, root_key) = authority("root");
    let (below, below_key) = authority("below");
    let leaf = CertificateParams::new(vec!["web.test".into()]).expect("a name");
    let leaf_key = KeyPair::generate().expect("a key");
    let sign = |params: &CertificateParams, key, issuer| {
        params.signed_by(key, issuer).expect("a certificate").der().to_vec()
    };
    Chain {
        root: root.self_signed(&root_key).expect("a certificate").der().to_vec(),
        below: sign(&below, &below_key, &Issuer::from_params(&root, &root_key)),
        leaf: sign(&leaf, &leaf_key, &Issuer::from_params(&below, &below_key)),
    }
});

/// Changes the chain as `edits` says, four octets an edit: which certificate, where (two octets), and what to add to the
/// octet there. A chain that is changed is refused in one line, one that is not is taken.
pub fn damaged(edits: &[u8]) {
    let Chain { root, below, leaf } = &*CHAIN;
    let mut edited = [leaf.clone(), below.clone()];
    for edit in edits.chunks_exact(4) {
        let certificate = &mut edited[usize::from(edit[0] % 2)];
        let place = usize::from(u16::from_be_bytes([edit[1], edit[2]]));
        if edit[3] == u8::MAX {
            certificate.truncate(place);
        } else if let Some(octet) = certificate.get_mut(place) {
            *octet = octet.wrapping_add(edit[3]);
        }
    }
    let whole = edited == [leaf.clone(), below.clone()];
    let anchor = Authenticator::TrustAnchors(vec![root.clone()]);
    let provider = Arc::new(rustls_graviola::default_provider());
    let verifier = Verifier::new(&[anchor], true, provider).expect("a trust anchor");
    let name = ServerName::try_from("web.test").expect("a name");
    // 2026-07-01
    let now = UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_782_864_000));
    let [leaf, below] = edited.map(CertificateDer::from);
    match verifier.verify_server_cert(&leaf, &[below], &name, &[], now) {
        Ok(_) => assert!(whole, "{edits:?}: taken"),
        Err(error) => {
            let text = error.to_string();
            assert!(!whole, "{text}");
            assert!(!text.contains(char::is_control), "{edits:?}: {text:?}");
        }
    }
}
