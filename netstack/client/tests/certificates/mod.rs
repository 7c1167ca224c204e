//! A server's chain with octets changed, and the verifier's judgement of it.
#![allow(dead_code, reason = "each fuzz target checks one of them")]

use client::flow::tls::Verifier;
use proto::authenticator::{Authenticator, Fingerprint, Hash};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, LazyLock};

/// Root, intermediate authority, server.
struct Chain {
    root: Vec<u8>,
    below: Vec<u8>,
    leaf: Vec<u8>,
    /// The SubjectPublicKeyInfo of `leaf`.
    key: Vec<u8>,
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
        key: leaf_key.subject_public_key_info(),
    }
});

/// Changes the chain as `edits` says, four octets an edit: which certificate, where (two octets), and what to add to the
/// octet there. A chain that is changed is refused in one line, one that is not is taken.
pub fn damaged(edits: &[u8]) {
    let Chain { root, below, leaf, .. } = &*CHAIN;
    let edited = edited(edits);
    let whole = edited == [leaf.clone(), below.clone()];
    let taken = judge(&[Authenticator::TrustAnchors(vec![root.clone()])], &edited);
    assert_eq!(taken, Some(whole), "{edits:?}");
}

fn edited(edits: &[u8]) -> [Vec<u8>; 2] {
    let mut edited = [CHAIN.leaf.clone(), CHAIN.below.clone()];
    for edit in edits.chunks_exact(4) {
        let certificate = &mut edited[usize::from(edit[0] % 2)];
        let place = usize::from(u16::from_be_bytes([edit[1], edit[2]]));
        if edit[3] == u8::MAX {
            certificate.truncate(place);
        } else if let Some(octet) = certificate.get_mut(place) {
            *octet = octet.wrapping_add(edit[3]);
        }
    }
    edited
}

/// Whether a server with this chain, its own certificate first, is taken; `None` where an authenticator is of no use.
fn judge(authenticators: &[Authenticator], chain: &[Vec<u8>]) -> Option<bool> {
    let provider = Arc::new(rustls_graviola::default_provider());
    let verifier = Verifier::new(authenticators, true, provider);
    let says = |text: String| {
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    };
    let verifier = match verifier {
        Ok(verifier) => verifier,
        Err(text) => {
            says(text);
            return None;
        }
    };
    let name = ServerName::try_from("web.test").expect("a name");
    // 2026-07-01
    let now = UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_782_864_000));
    let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let (leaf, above) = chain.split_first().expect("a server's own certificate");
    match verifier.verify_server_cert(leaf, above, &name, &[], now) {
        Ok(_) => Some(true),
        Err(error) => {
            says(error.to_string());
            Some(false)
        }
    }
}

/// Any octets (even first one), or the server's certificate changed by them (odd), before each kind of authenticator:
/// what has neither the pinned key nor the pinned octets is refused, alone and beside others, and a refusal is one line.
pub fn pinned(octets: &[u8]) {
    let Some((kind, rest)) = octets.split_first() else { return };
    let [leaf, below] = match kind % 2 {
        0 => [rest.to_vec(), CHAIN.below.clone()],
        _ => edited(rest),
    };
    let of =
        |octets: &[u8]| Fingerprint { hash: Hash::Sha256, digest: Sha256::digest(octets).to_vec() };
    let key = Authenticator::KeyFingerprint(of(&CHAIN.key));
    let certificate = Authenticator::CertificateFingerprint(of(&CHAIN.leaf));
    let itself = Authenticator::CertificateFingerprint(of(&leaf));
    let anchor = Authenticator::TrustAnchors(vec![rest.to_vec()]);
    let is_whole = leaf == CHAIN.leaf;
    let has_key = leaf.windows(CHAIN.key.len()).any(|part| part == CHAIN.key);
    let chain = [leaf, below];
    let is_taken = |all: &[Authenticator]| judge(all, &chain);
    assert_eq!(is_taken(core::slice::from_ref(&certificate)), Some(is_whole));
    let by_key = is_taken(core::slice::from_ref(&key)).expect("a pin is of use");
    assert!(by_key || !is_whole, "the server's own certificate is refused");
    assert!(has_key || !by_key, "another key is taken");
    let by_itself = is_taken(&[itself]).expect("a pin is of use");
    assert!(by_itself || !by_key, "by its key but not by its octets");
    let by_any = is_taken(&[certificate, key]).expect("pins are of use");
    assert_eq!(by_any, is_whole || by_key);
    // what was made up is nobody's authority
    assert_ne!(judge(&[anchor], &[CHAIN.leaf.clone(), CHAIN.below.clone()]), Some(true));
}
