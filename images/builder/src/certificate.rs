//! Certificates made on the spot, for the demo's server and for the tests' peers.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// The names by which a machine or a process here reaches this host: QEMU's user network, loopback, and a
/// name for those who bring their own resolver.
pub const NAMES: [&str; 3] = ["10.0.2.2", "127.0.0.1", "web.test"];

/// A private authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A server's certificate with its key.
#[derive(Debug)]
pub struct Leaf {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// What is right or wrong about a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// From yesterday to next year.
    Valid,
    /// Until two days ago.
    Expired,
    /// From next year.
    NotYetValid,
}

impl Authority {
    /// Makes one, named `name`.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
        let certificate = params.self_signed(&key).context("cannot make a certificate")?;
        Ok(Self { certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    /// A server's certificate for `names`, signed by this authority.
    pub fn sign(&self, names: &[&str], dates: Dates) -> Result<Leaf> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params(names, dates)?
            .signed_by(&key, &self.issuer)
            .context("cannot sign a certificate")?;
        Ok(Leaf { certificate: certificate.der().clone(), key })
    }

    /// In PEM.
    pub fn pem(&self) -> String {
        pem(&self.certificate)
    }

    /// The value of `--tls-authenticator` that trusts this authority.
    pub fn authenticator(&self) -> String {
        format!("trust-anchor:{}", BASE64_STANDARD.encode(&self.certificate))
    }
}

impl Leaf {
    /// A server's certificate for `names` that vouches for itself.
    pub fn self_signed(names: &[&str]) -> Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate =
            params(names, Dates::Valid)?.self_signed(&key).context("cannot make a certificate")?;
        Ok(Self { certificate: certificate.der().clone(), key })
    }

    /// The value of `--tls-authenticator` that knows this server by its key.
    pub fn key_authenticator(&self) -> String {
        let digest = Sha256::digest(self.key.subject_public_key_info());
        format!("key-fp:SHA256:{}", BASE64_STANDARD.encode(digest))
    }

    /// The value of `--tls-authenticator` that knows this very certificate.
    pub fn certificate_authenticator(&self) -> String {
        format!("cert-fp:SHA256:{}", BASE64_STANDARD.encode(Sha256::digest(&self.certificate)))
    }

    /// Certificate and key in PEM, as nginx and openssl read them from one file.
    pub fn pem(&self) -> String {
        pem(&self.certificate) + &self.key.serialize_pem()
    }

    /// The value of `--client-cert`.
    pub fn certificate_word(&self) -> String {
        BASE64_STANDARD.encode(&self.certificate)
    }

    /// The value of `--client-key`.
    pub fn key_word(&self) -> String {
        BASE64_STANDARD.encode(self.key.serialize_der())
    }

    /// The configuration of a rustls server with this certificate.
    pub fn server(&self, alpn: &[&[u8]]) -> Result<rustls::ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("no TLS version")?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .context("the certificate does not fit its key")?;
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let body = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn params(names: &[&str], dates: Dates) -> Result<CertificateParams> {
    let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).context("not the name of a server")?;
    params.distinguished_name.push(DnType::CommonName, "made for this run");
    let now = OffsetDateTime::now_utc();
    let days = Duration::days;
    (params.not_before, params.not_after) = match dates {
        Dates::Valid => (now - days(1), now + days(365)),
        Dates::Expired => (now - days(30), now - days(2)),
        Dates::NotYetValid => (now + days(365), now + days(730)),
    };
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::authenticator::Authenticator;

    #[test]
    fn authenticators_are_what_the_program_reads() {
        let authority = Authority::new("test").unwrap();
        let leaf = authority.sign(&NAMES, Dates::Valid).unwrap();
        for word in [
            authority.authenticator(),
            leaf.key_authenticator(),
            leaf.certificate_authenticator(),
            Leaf::self_signed(&NAMES).unwrap().key_authenticator(),
        ] {
            word.parse::<Authenticator>().unwrap();
        }
    }

    #[test]
    fn servers_take_them() {
        let leaf = Authority::new("test").unwrap().sign(&["other.test"], Dates::Expired).unwrap();
        assert_eq!(leaf.server(&[b"http/1.1"]).unwrap().alpn_protocols, [b"http/1.1"]);
        assert!(leaf.pem().contains("PRIVATE KEY"));
    }
}
