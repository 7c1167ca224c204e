//! The rows: what is wrong, what the program makes of it, and what curl.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints, SanType,
};

use super::made::{
    Authority, EC_256, GOOD, RSA_1024, SERVER, Served, below_weak_authority, expired, not_yet_valid,
};

/// One certificate, or one chain of them.
#[derive(Debug)]
pub struct Row {
    /// What is right or wrong about it.
    pub name: &'static str,
    /// Makes it.
    pub make: fn(&Lab) -> Result<Served>,
    /// What the program does.
    pub ours: Verdict,
    /// Whether curl takes it.
    pub curl_takes: bool,
    /// Why they differ; empty where they do not.
    pub because: &'static str,
}

impl Row {
    /// Dates or key of the server's own certificate are wrong, which no pin mends.
    pub fn is_wrong_in_itself(&self) -> bool {
        [
            "expired",
            "not yet valid",
            "a key of RSA with 1024 bits",
            "the right key is pinned, and the certificate has expired",
        ]
        .contains(&self.name)
    }
}

/// What the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0.
    Takes,
    /// Exit code 77, and one line that holds this beside certificate and pin.
    Refuses(&'static str),
    /// Exit code 76, and a line that holds this: no certificate is judged.
    Fails(&'static str),
}

/// What several rows use.
#[derive(Debug)]
pub struct Lab {
    directory: PathBuf,
    root: Authority,
}

impl Lab {
    /// With a place for openssl's files.
    pub fn new(directory: &Path) -> Result<Self> {
        Ok(Self { directory: directory.into(), root: Authority::root(GOOD)? })
    }
}

const fn takes(name: &'static str, make: fn(&Lab) -> Result<Served>) -> Row {
    Row { name, make, ours: Verdict::Takes, curl_takes: true, because: "" }
}

const fn refuses(name: &'static str, says: &'static str, make: fn(&Lab) -> Result<Served>) -> Row {
    Row { name, make, ours: Verdict::Refuses(says), curl_takes: false, because: "" }
}

/// The program refuses what curl takes.
const fn stricter(
    name: &'static str,
    ours: Verdict,
    because: &'static str,
    make: fn(&Lab) -> Result<Served>,
) -> Row {
    Row { name, make, ours, curl_takes: true, because }
}

/// All rows.
pub const ROWS: &[Row] = &[
    takes("nothing wrong", |lab| lab.root.server(GOOD)),
    takes("an intermediate authority", |lab| {
        let below = lab.root.below("below", GOOD)?;
        Ok(below.server(GOOD)?.and(&[&below]).trusting(vec![lab.root.der.clone()]))
    }),
    takes("three intermediate authorities, in the wrong order and beside a stranger", |lab| {
        let one = lab.root.below("one", GOOD)?;
        let two = one.below("two", GOOD)?;
        let three = two.below("three", GOOD)?;
        let beside = Authority::root(stranger)?;
        let served = three.server(GOOD)?.and(&[&one, &beside, &three, &two]);
        Ok(served.trusting(vec![lab.root.der.clone()]))
    }),
    takes("the root is sent, too", |lab| Ok(lab.root.server(GOOD)?.and(&[&lab.root]))),
    takes("one of two roots", |lab| {
        let anchors = vec![Authority::root(stranger)?.der, lab.root.der.clone()];
        Ok(lab.root.server(GOOD)?.trusting(anchors))
    }),
    takes("an intermediate authority that is trusted itself", |lab| {
        let below = lab.root.below("below", GOOD)?;
        below.server(GOOD)
    }),
    refuses("expired", "it has expired", |lab| lab.root.server(expired)),
    refuses("not yet valid", "it is not valid yet", |lab| lab.root.server(not_yet_valid)),
    refuses("an expired intermediate", "it has expired (subject `CN=below`", |lab| {
        let below = lab.root.below("below", expired)?;
        Ok(below.server(GOOD)?.and(&[&below]).trusting(vec![lab.root.der.clone()]))
    }),
    takes("an expired intermediate beside its successor", |lab| {
        let below = lab.root.below("below", GOOD)?;
        let old = lab.root.again("below", &below, expired)?;
        Ok(below.server(GOOD)?.and(&[&old, &below]).trusting(vec![lab.root.der.clone()]))
    }),
    refuses("an expired root", "the trust anchor: it has expired", |_| {
        Authority::root(expired)?.server(GOOD)
    }),
    takes("an expired root beside its successor", |lab| {
        let old = lab.root.again("root", &lab.root, expired)?;
        Ok(lab.root.server(GOOD)?.trusting(vec![old.der, lab.root.der.clone()]))
    }),
    refuses("another name", "it is not for this name but for", |lab| {
        Ok(lab.root.server(GOOD)?.visited_as("other.test"))
    }),
    takes("a name in other letters", |lab| named(lab, &["WEB.Test"], "web.test")),
    takes("one of many names", |lab| named(lab, &["a.test", "b.test", "web.test"], "web.test")),
    takes("a wildcard", |lab| named(lab, &["*.web.test"], "a.web.test")),
    refuses("a wildcard for two labels", "it is not for this name", |lab| {
        named(lab, &["*.web.test"], "a.b.web.test")
    }),
    refuses("a wildcard for no label", "it is not for this name", |lab| {
        named(lab, &["*.web.test"], "web.test")
    }),
    refuses("a wildcard below the root of names: *.test", "it is not for this name", |lab| {
        named(lab, &["*.test"], "web.test")
    }),
    refuses("a wildcard for all: *", "it is not for this name", |lab| named(lab, &["*"], "test")),
    refuses("a wildcard in a label: w*.web.test", "it is not for this name", |lab| {
        named(lab, &["w*.web.test"], "www.web.test")
    }),
    refuses("a wildcard in the middle: a.*.test", "it is not for this name", |lab| {
        named(lab, &["a.*.test"], "a.web.test")
    }),
    refuses("two wildcards: *.*.test", "it is not for this name", |lab| {
        named(lab, &["*.*.test"], "a.web.test")
    }),
    stricter(
        "the name is the common name alone",
        Verdict::Refuses("it has no subject alternative name"),
        "RFC 9525 §6.3: a common name is no name of a server",
        |lab| {
            lab.root.server(|it| {
                it.subject_alt_names.clear();
                it.distinguished_name.push(DnType::CommonName, "web.test");
            })
        },
    ),
    refuses("the common name is right, the alternative name is not", "but for", |lab| {
        lab.root.server(|it| {
            *it = with_names(it.clone(), &["other.test"]);
            it.distinguished_name.push(DnType::CommonName, "web.test");
        })
    }),
    refuses("no name at all", "it has no subject alternative name", |lab| {
        lab.root.server(|it| it.subject_alt_names.clear())
    }),
    takes("an address", |lab| named(lab, &["127.0.0.1"], "127.0.0.1")),
    refuses("another address", "it is not for this name", |lab| {
        named(lab, &["127.0.0.2"], "127.0.0.1")
    }),
    refuses("an address written as a name", "it is not for this name", |lab| {
        Ok(lab
            .root
            .server(|it| {
                let name = "127.0.0.1".try_into().expect("ASCII");
                it.subject_alt_names = vec![SanType::DnsName(name)];
            })?
            .visited_as("127.0.0.1"))
    }),
    refuses("an unknown root", "its issuer is not trusted", |lab| {
        Ok(lab.root.server(GOOD)?.trusting(vec![Authority::root(stranger)?.der]))
    }),
    refuses("another root of the same name", "its signature is wrong", |lab| {
        Ok(lab.root.server(GOOD)?.trusting(vec![Authority::root(GOOD)?.der]))
    }),
    refuses("a missing intermediate", "the server sent no certificate of it", |lab| {
        let below = lab.root.below("below", GOOD)?;
        Ok(below.server(GOOD)?.trusting(vec![lab.root.der.clone()]))
    }),
    refuses("a server that vouches for itself", "its issuer is not trusted", |lab| {
        Ok(alone()?.trusting(vec![lab.root.der.clone()]))
    }),
    takes("a server that vouches for itself and is trusted", |_| alone()),
    takes("an authority that serves, and is trusted", |_| {
        Ok(Authority::root(|it| *it = with_names(it.clone(), &["web.test"]))?.as_server())
    }),
    stricter(
        "an authority that serves, below a root",
        Verdict::Refuses("an authority's own certificate"),
        "webpki takes no authority's certificate for a server's: whoever holds its key could vouch for any server",
        |lab| {
            let below =
                lab.root.below("below", |it| *it = with_names(it.clone(), &["web.test"]))?;
            Ok(below.as_server().trusting(vec![lab.root.der.clone()]))
        },
    ),
    refuses("a wrong signature", "its signature is wrong", |lab| {
        let mut served = lab.root.server(GOOD)?;
        // the last octet is the signature's
        *served.chain[0].last_mut().expect("octets") ^= 1;
        Ok(served)
    }),
    refuses("a key of RSA with 1024 bits", "its RSA key of 1024 bits is too short", |lab| {
        lab.root.server_by_openssl(&lab.directory, &RSA_1024, &[], Some(SERVER))
    }),
    refuses("a root's key of RSA with 1024 bits", "RSA key of 1024 bits is too short", |lab| {
        below_weak_authority(&lab.directory)
    }),
    refuses("a signature with SHA-1", "OID 1.2.840.10045.4.1", |lab| {
        lab.root.server_by_openssl(&lab.directory, &EC_256, &["-sha1"], Some(SERVER))
    }),
    takes("a key of RSA with 2048 bits", |lab| {
        let key = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        lab.root.server_by_openssl(&lab.directory, &key, &[], Some(SERVER))
    }),
    takes("a key on P-384", |lab| {
        let key = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
        lab.root.server_by_openssl(&lab.directory, &key, &["-sha384"], Some(SERVER))
    }),
    takes("a key of Ed25519", |lab| {
        lab.root.server_by_openssl(&lab.directory, &["-algorithm", "ED25519"], &[], Some(SERVER))
    }),
    stricter(
        "a key on P-521",
        Verdict::Fails("HandshakeFailure"),
        "graviola has no P-521, so it is not offered; public authorities issue none",
        |lab| {
            let key = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
            lab.root.server_by_openssl(&lab.directory, &key, &[], Some(SERVER))
        },
    ),
    stricter(
        "version 1 of X.509",
        Verdict::Refuses("it is not of version 3"),
        "it has no alternative name, and a common name is no name of a server (RFC 9525 §6.3)",
        |lab| lab.root.server_by_openssl(&lab.directory, &EC_256, &[], None),
    ),
    refuses("a server's key that only signs certificates", "key usage", |lab| {
        lab.root.server(|it| it.key_usages = vec![KeyUsagePurpose::KeyCertSign])
    }),
    takes("a certificate for servers", |lab| {
        lab.root.server(|it| {
            it.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }),
    refuses("a certificate for clients", "extended key usage", |lab| {
        lab.root.server(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
    }),
    refuses("a certificate for any purpose", "extended key usage", |lab| {
        lab.root.server(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any])
    }),
    refuses("an intermediate for clients", "extended key usage", |lab| {
        chain(lab, |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
    }),
    refuses("a root for clients", "the trust anchor is not for servers", |_| {
        Authority::root(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])?
            .server(GOOD)
    }),
    refuses("an intermediate that may not sign certificates", "may not sign certificates", |lab| {
        chain(lab, |it| it.key_usages = vec![KeyUsagePurpose::DigitalSignature])
    }),
    refuses("an intermediate that is no authority", "its issuer is no authority", |lab| {
        chain(lab, |it| it.is_ca = IsCa::ExplicitNoCa)
    }),
    refuses("a root that may not sign certificates", "the trust anchor may not sign", |_| {
        Authority::root(|it| it.key_usages = vec![KeyUsagePurpose::DigitalSignature])?.server(GOOD)
    }),
    refuses("a root that is no authority", "the trust anchor may not sign", |_| {
        Authority::root(|it| {
            it.is_ca = IsCa::ExplicitNoCa;
            it.key_usages.clear();
        })?
        .server(GOOD)
    }),
    takes("names that the intermediate may vouch for", |lab| {
        chain(lab, |it| it.name_constraints = Some(permitted("test")))
    }),
    refuses("names that the intermediate may not vouch for", "name constraints", |lab| {
        chain(lab, |it| it.name_constraints = Some(permitted("example")))
    }),
    refuses("names that the intermediate is forbidden", "name constraints", |lab| {
        chain(lab, |it| it.name_constraints = Some(excluded("web.test")))
    }),
    refuses("names that the root is forbidden", "name constraints", |_| {
        Authority::root(|it| it.name_constraints = Some(excluded("test")))?.server(GOOD)
    }),
    refuses("an address that the intermediate may not vouch for", "name constraints", |lab| {
        let below = lab.root.below("below", |it| {
            let network = GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]));
            it.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![network],
                excluded_subtrees: Vec::new(),
            });
        })?;
        let served = below.server(|it| *it = with_names(it.clone(), &["127.0.0.1"]))?;
        let served = served.and(&[&below]).trusting(vec![lab.root.der.clone()]);
        Ok(served.visited_as("127.0.0.1"))
    }),
    refuses("a path longer than an intermediate allows", "path length", |lab| {
        let one = lab.root.below("one", none_below)?;
        let two = one.below("two", GOOD)?;
        Ok(two.server(GOOD)?.and(&[&two, &one]).trusting(vec![lab.root.der.clone()]))
    }),
    refuses("a path longer than the root allows", "than the trust anchor allows", |_| {
        let root = Authority::root(none_below)?;
        let below = root.below("below", GOOD)?;
        Ok(below.server(GOOD)?.and(&[&below]).trusting(vec![root.der]))
    }),
    takes("a path as long as the root allows", |_| Authority::root(none_below)?.server(GOOD)),
    stricter(
        "a path of eight intermediates",
        Verdict::Refuses("MaximumPathDepthExceeded"),
        "webpki's limit on what a stranger's chain may cost; public chains have one to three",
        |lab| {
            let mut all = vec![lab.root.below("1", GOOD)?];
            for name in ["2", "3", "4", "5", "6", "7", "8"] {
                all.push(all[all.len() - 1].below(name, GOOD)?);
            }
            let served = all[all.len() - 1].server(GOOD)?;
            let more: Vec<_> = all.iter().collect();
            Ok(served.and(&more).trusting(vec![lab.root.der.clone()]))
        },
    ),
    refuses("a critical extension that nobody knows", "critical extension", |lab| {
        lab.root.server(|it| it.custom_extensions.push(extension(true)))
    }),
    takes("an extension that nobody knows", |lab| {
        lab.root.server(|it| it.custom_extensions.push(extension(false)))
    }),
    refuses(
        "an intermediate's critical extension that nobody knows",
        "critical extension",
        |lab| chain(lab, |it| it.custom_extensions.push(extension(true))),
    ),
    takes("the right key is pinned", |_| {
        let served = alone()?;
        served.clone().pinned(&served, false)
    }),
    refuses("another key is pinned", "its key is not the pinned one", |_| {
        alone()?.pinned(&alone()?, false)
    }),
    takes("the right certificate is pinned", |_| {
        let served = alone()?;
        served.clone().pinned(&served, true)
    }),
    refuses("another certificate is pinned", "its certificate is not the pinned one", |_| {
        alone()?.pinned(&alone()?, true)
    }),
    takes("a renewed certificate, its key is pinned", |lab| {
        let old = lab.root.server(GOOD)?;
        lab.root.server_with(&old.key, GOOD)?.pinned(&old, false)
    }),
    stricter(
        "a renewed certificate, the old one is pinned",
        Verdict::Refuses("its certificate is not the pinned one"),
        "curl pins keys alone",
        |lab| {
            let old = lab.root.server(GOOD)?;
            lab.root.server_with(&old.key, GOOD)?.pinned(&old, true)
        },
    ),
    stricter(
        "the right key is pinned, and the certificate has expired",
        Verdict::Refuses("it has expired"),
        "a pin says whose the key is; dates are still checked, where curl --insecure checks nothing else",
        |lab| {
            let served = lab.root.server(expired)?;
            served.clone().pinned(&served, false)
        },
    ),
    stricter(
        "the right key is pinned, and the name is another",
        Verdict::Refuses("it is not for this name"),
        "a pin says whose the key is; the name is still checked, where curl --insecure checks nothing else",
        |lab| {
            let served = lab.root.server(GOOD)?;
            Ok(served.clone().pinned(&served, false)?.visited_as("other.test"))
        },
    ),
];

fn with_names(mut params: CertificateParams, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let names = CertificateParams::new(names).expect("names of the table");
    params.subject_alt_names = names.subject_alt_names;
    params
}

/// A server with these names, visited by another.
fn named(lab: &Lab, names: &'static [&str], host: &'static str) -> Result<Served> {
    Ok(lab.root.server_named(names)?.visited_as(host))
}

/// A server below an intermediate authority with something wrong.
fn chain(lab: &Lab, change: fn(&mut CertificateParams)) -> Result<Served> {
    let below = lab.root.below("below", change)?;
    Ok(below.server(GOOD)?.and(&[&below]).trusting(vec![lab.root.der.clone()]))
}

/// A server that vouches for itself and is no authority.
fn alone() -> Result<Served> {
    let it = Authority::root(|it| {
        *it = with_names(it.clone(), &["web.test"]);
        stranger(it);
        it.is_ca = IsCa::NoCa;
        it.key_usages.clear();
    })?;
    Ok(it.as_server())
}

fn stranger(params: &mut CertificateParams) {
    params.distinguished_name.push(DnType::CommonName, "stranger");
}

fn none_below(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
}

fn permitted(name: &str) -> NameConstraints {
    let permitted_subtrees = vec![GeneralSubtree::DnsName(name.into())];
    NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() }
}

fn excluded(name: &str) -> NameConstraints {
    let excluded_subtrees = vec![GeneralSubtree::DnsName(name.into())];
    NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees }
}

/// Of an arc for examples (RFC 5612's enterprise number).
fn extension(critical: bool) -> CustomExtension {
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 7], vec![0x05, 0x00]);
    extension.set_criticality(critical);
    extension
}
