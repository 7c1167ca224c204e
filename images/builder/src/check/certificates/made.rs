//! Authorities and servers' certificates with one thing wrong each: by rcgen, or by openssl where rcgen refuses.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use crate::guard;

/// What a server shows, and whom its visitors trust.
#[derive(Debug, Clone)]
pub struct Served {
    /// The server's certificate, then those that should lead to an authority (DER).
    pub chain: Vec<Vec<u8>>,
    /// The first one's key.
    pub key: String,
    /// The authorities (DER).
    pub anchors: Vec<Vec<u8>>,
    /// The host in the URL.
    pub host: &'static str,
    /// How the server is known in place of the authorities, as both programs say it.
    pub pin: Option<Pin>,
}

/// A server known by itself.
#[derive(Debug, Clone)]
pub struct Pin {
    /// `--tls-authenticator`.
    pub authenticator: String,
    /// `--pinnedpubkey`, beside `--insecure`.
    pub curl: String,
}

/// The name that everybody asks for unless the row is about names.
pub const HOST: &str = "web.test";

impl Served {
    /// With other authorities.
    pub fn trusting(mut self, anchors: Vec<Vec<u8>>) -> Self {
        self.anchors = anchors;
        self
    }

    /// Visited by another name.
    pub fn visited_as(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// With more certificates behind those that it shows.
    pub fn and(mut self, more: &[&Authority]) -> Self {
        self.chain.extend(more.iter().map(|authority| authority.der.clone()));
        self
    }

    /// Known by the key of `of`, of which the program may be told the certificate instead.
    pub fn pinned(mut self, of: &Self, by_certificate: bool) -> Result<Self> {
        let base64 = |octets: &[u8]| BASE64_STANDARD.encode(Sha256::digest(octets));
        let key = base64(&KeyPair::from_pem(&of.key)?.subject_public_key_info());
        self.pin = Some(Pin {
            authenticator: match by_certificate {
                true => format!("cert-fp:{}", base64(&of.chain[0])),
                false => format!("key-fp:{key}"),
            },
            curl: format!("sha256//{key}"),
        });
        Ok(self)
    }
}

/// An authority, any of whose fields may be wrong.
#[derive(Debug)]
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    /// Its certificate.
    pub der: Vec<u8>,
}

/// Changes what is to be wrong.
pub type Change = fn(&mut CertificateParams);

/// Nothing wrong.
pub const GOOD: Change = |_| {};

impl Authority {
    /// One that vouches for itself.
    pub fn root(change: Change) -> Result<Self> {
        let (key, params) = (KeyPair::generate()?, authority("root", change)?);
        let der = params.self_signed(&key)?.der().to_vec();
        Ok(Self { params, key, der })
    }

    /// One below this.
    pub fn below(&self, name: &str, change: Change) -> Result<Self> {
        self.vouch_for(name, KeyPair::generate()?, change)
    }

    /// `of`, its name and its key, once more.
    pub fn again(&self, name: &str, of: &Self, change: Change) -> Result<Self> {
        self.vouch_for(name, KeyPair::from_pem(&of.key.serialize_pem())?, change)
    }

    fn vouch_for(&self, name: &str, key: KeyPair, change: Change) -> Result<Self> {
        let params = authority(name, change)?;
        let der = params.signed_by(&key, &self.issuer())?.der().to_vec();
        Ok(Self { params, key, der })
    }

    /// A server with a certificate for these names and addresses.
    pub fn server_named(&self, names: &[&str]) -> Result<Served> {
        let key = KeyPair::generate()?;
        let der = server(names)?.signed_by(&key, &self.issuer())?.der().to_vec();
        Ok(self.served(der, key.serialize_pem()))
    }

    /// A server with a certificate for [`HOST`].
    pub fn server(&self, change: Change) -> Result<Served> {
        self.server_with(&KeyPair::generate()?.serialize_pem(), change)
    }

    /// The same with a key that is there.
    pub fn server_with(&self, key: &str, change: Change) -> Result<Served> {
        let key = KeyPair::from_pem(key)?;
        let mut params = server(&[HOST])?;
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer())?.der().to_vec();
        Ok(self.served(der, key.serialize_pem()))
    }

    fn served(&self, der: Vec<u8>, key: String) -> Served {
        Served { chain: vec![der], key, anchors: vec![self.der.clone()], host: HOST, pin: None }
    }

    /// Serves its own certificate.
    pub fn as_server(&self) -> Served {
        self.served(self.der.clone(), self.key.serialize_pem())
    }

    /// A server whose certificate openssl makes: a key by `genpkey` and its words, signed with more words of
    /// `x509 -req`; without `extensions` it is of version 1.
    pub fn server_by_openssl(
        &self,
        directory: &Path,
        key: &[&str],
        sign: &[&str],
        extensions: Option<&str>,
    ) -> Result<Served> {
        let (name, key) = (pem("CERTIFICATE", &self.der), new_key(directory, key)?);
        let der = signed(directory, (&name, &self.key.serialize_pem()), &key, sign, extensions)?;
        Ok(self.served(der, key))
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A server below an authority whose key is too short; both by openssl.
pub fn below_weak_authority(directory: &Path) -> Result<Served> {
    let authority_key = new_key(directory, &RSA_1024)?;
    let key_file = write(directory, "self.key", &authority_key)?;
    let text = openssl(
        directory,
        &["req", "-x509", "-new", "-key", &key_file, "-subj", "/CN=weak root", "-days", "30"],
    )?;
    let key = new_key(directory, &EC_256)?;
    let der = signed(directory, (&text, &authority_key), &key, &[], Some(SERVER))?;
    let anchors = vec![unpem(&text)?];
    Ok(Served { chain: vec![der], key, anchors, host: HOST, pin: None })
}

/// A server's extensions.
pub const SERVER: &str = "subjectAltName=DNS:web.test";
/// `genpkey` of the usual key.
pub const EC_256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
/// `genpkey` of one that is too short.
pub const RSA_1024: [&str; 4] = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];

fn authority(name: &str, change: Change) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    dates(&mut params);
    change(&mut params);
    Ok(params)
}

fn server(names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "server");
    dates(&mut params);
    Ok(params)
}

fn dates(params: &mut CertificateParams) {
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::days(2), now + Duration::days(30));
}

/// Ended yesterday.
pub fn expired(params: &mut CertificateParams) {
    params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
}

/// Begins tomorrow.
pub fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = OffsetDateTime::now_utc() + Duration::days(1);
}

fn new_key(directory: &Path, words: &[&str]) -> Result<String> {
    openssl(directory, &[&["genpkey"], words].concat())
}

fn signed(
    directory: &Path,
    issuer: (&str, &str),
    key: &str,
    sign: &[&str],
    extensions: Option<&str>,
) -> Result<Vec<u8>> {
    let key = write(directory, "key.pem", key)?;
    let request = openssl(directory, &["req", "-new", "-key", &key, "-subj", "/CN=web.test"])?;
    let request = write(directory, "request.pem", &request)?;
    let authority = write(directory, "authority.pem", issuer.0)?;
    let authority_key = write(directory, "authority.key", issuer.1)?;
    let mut words = vec!["x509", "-req", "-in", &request, "-CA", &authority];
    words.extend(["-CAkey", &authority_key, "-days", "30", "-set_serial", "7"]);
    words.extend(sign);
    let file = extensions.map(|text| write(directory, "extensions", text)).transpose()?;
    words.extend(file.iter().flat_map(|file| ["-extfile", file]));
    unpem(&openssl(directory, &words)?)
}

fn openssl(directory: &Path, words: &[&str]) -> Result<String> {
    let mut command = guard::command("openssl");
    let output = command.args(words).current_dir(directory).output().context("no openssl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl {}: {said}", words.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

fn write(directory: &Path, name: &str, text: &str) -> Result<String> {
    let file: PathBuf = directory.join(name);
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

/// DER as PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn unpem(text: &str) -> Result<Vec<u8>> {
    let mut all = proto::credential::certificates(text)?;
    ensure!(all.len() == 1, "{} certificates", all.len());
    Ok(all.remove(0))
}
