//! DNS over TLS: who the server must be.

use super::thousand::Patient;
use super::world::*;
use crate::Cause;
use core::time::Duration;
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use proto::authenticator::{Authenticator, Fingerprint, Hash};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use spin::Mutex;
use std::sync::Arc;
use time::OffsetDateTime;

/// A key's pin, and what takes connections with it.
fn acceptor() -> (Authenticator, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["dns.test".into()]).unwrap();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(1);
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    let digest = Sha256::digest(key.subject_public_key_info()).to_vec();
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key.serialize_der().try_into().unwrap())
            .unwrap();
    config.alpn_protocols = vec![b"dot".to_vec()];
    let fingerprint = Fingerprint { hash: Hash::Sha256, digest };
    (Authenticator::KeyFingerprint(fingerprint), TlsAcceptor::from(Arc::new(config)))
}

/// A server over TLS on host `index`; its key's pin.
fn serve(world: &mut World, index: usize) -> (Authenticator, Arc<Mutex<Vec<Vec<u8>>>>) {
    let (pin, acceptor) = acceptor();
    let agreed = Arc::new(Mutex::new(Vec::new()));
    let (host, seen) = (world.hosts[index].clone(), agreed.clone());
    world.network.serve(&host, 853, move |stream| {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            seen.lock().extend(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
            let _ = answer(stream, &zone, &Count::default()).await;
        }
    });
    (pin, agreed)
}

#[test]
fn a_thousand_names_share_one_connection() {
    let mut world = World::new();
    let (pin, acceptor) = acceptor();
    let server = Patient::new(&world);
    let (host, serving) = (world.hosts[0].clone(), server.clone());
    world.network.serve(&host, 853, move |stream| {
        let (acceptor, serving) = (acceptor.clone(), serving.clone());
        async move { serving.answer(acceptor.accept(stream).await.unwrap()).await }
    });
    let resolver = world.resolver(&format!("tls:10.0.0.53!dns.test!{pin}"));
    server.is_asked_a_thousand(&mut world, &resolver);
}

#[test]
fn the_right_authenticator_lets_it_answer() {
    let mut world = World::new();
    let (pin, agreed) = serve(&mut world, 0);
    for known_by in [format!("!dns.test!{pin}"), format!("!{pin}"), "!none".into()] {
        let resolver = world.resolver(&format!("tls:10.0.0.53{known_by}"));
        assert_eq!(world.a(&resolver, "web.test").0, "10.0.0.80", "{known_by}");
        assert_eq!(world.a(&resolver, "n1.test").0, "10.1.0.1", "{known_by}");
    }
    assert_eq!(*agreed.lock(), vec![b"dot".to_vec(); 3], "one connection each");
    assert!(world.told().contains("(tls:10.0.0.53:853)"), "{}", world.told());
}

#[test]
fn the_wrong_authenticator_ends_it() {
    let mut world = World::new();
    let (pin, _) = serve(&mut world, 0);
    let wrong = format!("key-fp:{}", "A".repeat(43));
    for known_by in ["", &format!("!{wrong}"), &format!("!other.test!{pin}"), "!dns.test"] {
        let resolver = world.resolver(&format!("tls:10.0.0.53{known_by}"));
        let error = world.ask(&resolver, "web.test", proto::dns::Kind::A).unwrap_err();
        assert!(matches!(error.cause, Cause::Certificate(_)), "{known_by}: {error}");
        assert_eq!(error.exit().code(), 77);
    }
    let resolver = world.resolver(&format!("tls:10.0.0.53!{wrong}"));
    let dialer = world.dialer(&resolver);
    let host = proto::target::Host::Name("web.test".into());
    let error = world.network.run(dialer.dial(&host, 80)).unwrap().map(drop).unwrap_err();
    assert_eq!(error.exit().code(), 77, "{error}");
    // another server that answers is enough
    world.udp(1, zone);
    let resolver = world.resolver(&format!("tls:10.0.0.53!{wrong} udp:10.0.0.54"));
    let (answer, took) = world.a(&resolver, "web.test");
    assert_eq!(answer, "10.0.0.80");
    assert!(took < Duration::from_millis(100), "{took:?}");
}
