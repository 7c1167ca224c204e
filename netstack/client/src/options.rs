//! What a user can say of the protocols: plain values, there whether or not the protocol is compiled in.

use core::fmt;
use proto::authenticator::Authenticator;
use proto::credential::PrivateKey;
use proto::redirect::Rules;

/// What an HTTP request asks, and how far its answer is followed.
#[derive(Debug, Clone, Default)]
pub struct Http {
    /// The method; by default GET, or POST where there is a body.
    pub method: Option<String>,
    /// Fields, in order; they take the place of our own of the same name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub data: Option<Data>,
    /// A status of 400 or more is a failure and writes nothing.
    pub fail: bool,
    /// Write the status line and the fields out too.
    pub include: bool,
    /// The one version to speak; by default what the server prefers, and 1.1 in clear text.
    pub version: Option<HttpVersion>,
    /// Which redirects are followed.
    pub redirects: Rules,
    /// Ask for a compressed content, and write it out as it was.
    pub compressed: bool,
    /// The most octets of content to take, as they are written out.
    pub max_size: Option<u64>,
}

/// The content of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Standard input, as it comes.
    Input,
    /// This.
    Text(String),
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    Http2,
}

/// How a peer is spoken to and known by TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// How the peer is known; empty: by the bundled roots. Any one of several suffices.
    pub authenticators: Vec<Authenticator>,
    /// The name to ask for (SNI) and to check; by default the target's host.
    pub name: Option<String>,
    /// Refuse TLS 1.2.
    pub only_1_3: bool,
    /// Application protocols to offer (RFC 7301), in order of preference; empty: no offer.
    pub alpn: Vec<String>,
    /// What we show a server that asks who we are: our certificate, then those that lead to its authority (DER).
    pub certificates: Vec<Vec<u8>>,
    /// The key of the first of them.
    pub key: Option<PrivateKey>,
}

/// How an SSH server is known, and how it knows the user.
#[derive(Debug, Clone, Default)]
pub struct Ssh {
    /// A private key: the text of OpenSSH's file, `ed25519:BASE64` or `rsa:BASE64DER`.
    pub key: Option<Secret>,
    /// The key's passphrase.
    pub passphrase: Option<Secret>,
    /// The password; where there is none, the target's.
    pub password: Option<Secret>,
    /// How the host key is known, each a form of host key pins. Any one of several suffices; none: no key is.
    pub authenticators: Vec<String>,
    /// The command to run.
    pub exec: Option<String>,
}

/// What the user says of single flows.
#[derive(Debug, Clone, Copy)]
pub struct Flows<'a> {
    /// To `ssh`.
    pub ssh: &'a Ssh,
    /// To `tls`.
    pub tls: &'a Tls,
}

/// A text that no output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// What is done at a git repository.
#[derive(Debug, Clone, Default)]
pub struct Git {
    /// What; `None` where nothing was said.
    pub action: Option<GitAction>,
    /// A reference by its whole or short name, or an object's name; by default `HEAD`, or all.
    pub reference: Option<String>,
    /// How many commits deep, if not all.
    pub depth: Option<u32>,
    /// A file or a directory in the tree.
    pub path: Option<String>,
}

/// What can be done at a git repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GitAction {
    /// A tree as a tar stream.
    Archive,
    /// One file's content.
    Cat,
    /// Everything into memory, and a summary of it.
    Clone,
    /// The references.
    #[default]
    LsRemote,
}
