//! What was compiled in: the crate's features, and which of them a target needs.
//!
//! The one place that asks for more than a module's presence; help, refusals and the flows' derivations ask here.

use proto::target::Scheme;

/// One feature of the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// As `Cargo.toml` and an image's manifest name it.
    pub name: &'static str,
    /// Whether it is compiled in.
    pub included: bool,
}

/// The client of git, and the flow `git`.
pub const GIT: Feature = Feature { name: "git", included: cfg!(feature = "git") };
/// The client of HTTP.
pub const HTTP: Feature = Feature { name: "http", included: cfg!(feature = "http") };
/// Version 2 of HTTP.
pub const HTTP2: Feature = Feature { name: "http2", included: cfg!(feature = "http2") };
/// Decompression of what HTTP brings.
pub const COMPRESSION: Feature =
    Feature { name: "compression", included: cfg!(feature = "compression") };
/// The flow `raw`, and echo requests over it.
pub const RAW: Feature = Feature { name: "raw", included: cfg!(feature = "raw") };
/// The flow `ssh`, and commands over it.
pub const SSH: Feature = Feature { name: "ssh", included: cfg!(feature = "ssh") };
/// The flow `tls`.
pub const TLS: Feature = Feature { name: "tls", included: cfg!(feature = "tls") };
/// The flow `udp`.
pub const UDP: Feature = Feature { name: "udp", included: cfg!(feature = "udp") };

/// The flow `vsock`.
pub const VSOCK: Feature = Feature { name: "vsock", included: cfg!(feature = "vsock") };

/// The schemes that the crate's flows serve when all of them are compiled in, and what each needs.
static SCHEMES: [(Scheme, &[Feature]); 11] = [
    (Scheme::Git, &[GIT]),
    (Scheme::Http, &[HTTP]),
    (Scheme::Https, &[HTTP, TLS]),
    (Scheme::Icmp, &[RAW]),
    (Scheme::Raw, &[RAW]),
    (Scheme::Scp, &[SSH]),
    (Scheme::Ssh, &[SSH]),
    (Scheme::Tcp, &[]),
    (Scheme::Tls, &[TLS]),
    (Scheme::Udp, &[UDP]),
    (Scheme::Vsock, &[VSOCK]),
];

/// The features that a scheme needs and that are not compiled in; `None` where no flow of the crate serves it
/// with any features.
pub fn missing(scheme: &Scheme) -> Option<Vec<&'static str>> {
    let (_, needed) = SCHEMES.iter().find(|(known, _)| known == scheme)?;
    Some(needed.iter().filter(|it| !it.included).map(|it| it.name).collect())
}

/// Whether a flow that is compiled in serves the scheme.
pub fn serves(scheme: &Scheme) -> bool {
    missing(scheme).is_some_and(|missing| missing.is_empty())
}

/// The schemes that are served, by name.
pub fn served() -> Vec<&'static str> {
    let schemes = SCHEMES.iter().filter(|(scheme, _)| serves(scheme));
    schemes.map(|(scheme, _)| scheme.name()).collect()
}
