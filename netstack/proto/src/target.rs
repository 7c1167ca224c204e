//! What a boot is pointed at: one URI, or the scp form `user@host:path` of git.
//!
//! ```text
//!  https://user:pw@example.com:8443/a/b?c#d        git@host:team/repo
//!  scheme  userinfo   host     port path query     user host path
//! ```
//!
//! The URI syntax is RFC 3986, strictly; the scheme says what the rest must look like. The fragment is cut
//! off: it is never sent (RFC 9110 §4.2.3). Characters beyond ASCII are put in the form that the wire knows: punycode
//! in a host name, percent-encoded UTF-8 elsewhere (RFC 3987 §3.1).

use crate::idna;
use core::fmt;
use core::str::FromStr;
use fluent_uri::component::Authority;
use fluent_uri::{Uri, UriRef};
use std::borrow::Cow;
use std::net::IpAddr;

/// A checked target.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Says which flow and which client serve.
    pub scheme: Scheme,
    /// The part before `@`, percent-decoded.
    pub user: Option<String>,
    /// The part of the user information behind `:`, percent-decoded. A secret: no output shows it.
    pub password: Option<String>,
    /// Who is meant; for `vsock` the context identifier in decimal, as a name. A user's own scheme may
    /// leave it empty.
    pub host: Host,
    /// As given; see [`Target::port_or_default`].
    pub port: Option<u32>,
    /// As given, percent-encoded; for the scp form without a leading slash.
    pub path: String,
    /// Behind `?`, without it, percent-encoded.
    pub query: Option<String>,
}

/// A host as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address literal; IPv6 stands in brackets in a URI.
    Ip(IpAddr),
    /// A name to be resolved, in lower case.
    Name(String),
}

/// The schemes that the program serves itself, and any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `git://`: the git daemon's protocol over TCP.
    Git,
    /// `http://`.
    Http,
    /// `https://`.
    Https,
    /// `icmp://`: echo requests.
    Icmp,
    /// `raw://HOST?protocol=N`: IP payloads of protocol N.
    Raw,
    /// `user@host:path`: a repository over SSH.
    Scp,
    /// `ssh://`.
    Ssh,
    /// `tcp://HOST:PORT`: plain octets.
    Tcp,
    /// `tls://HOST:PORT`: octets under TLS.
    Tls,
    /// `udp://HOST:PORT`: datagrams.
    Udp,
    /// `vsock://CID:PORT`.
    Vsock,
    /// Whatever a user registered, in lower case.
    Other(String),
}

impl Scheme {
    /// The name in a URI, in lower case; `scp` for the form without a scheme.
    pub fn name(&self) -> &str {
        match self {
            Self::Git => "git",
            Self::Http => "http",
            Self::Https => "https",
            Self::Icmp => "icmp",
            Self::Raw => "raw",
            Self::Scp => "scp",
            Self::Ssh => "ssh",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::Vsock => "vsock",
            Self::Other(name) => name,
        }
    }

    /// The port that is meant when none is written.
    pub fn default_port(&self) -> Option<u16> {
        match self {
            Self::Git => Some(9418),
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Scp | Self::Ssh => Some(22),
            _ => None,
        }
    }

    fn named(name: &str) -> Self {
        match name.to_ascii_lowercase() {
            name if name == "git" => Self::Git,
            name if name == "http" => Self::Http,
            name if name == "https" => Self::Https,
            name if name == "icmp" => Self::Icmp,
            name if name == "raw" => Self::Raw,
            name if name == "ssh" => Self::Ssh,
            name if name == "tcp" => Self::Tcp,
            name if name == "tls" => Self::Tls,
            name if name == "udp" => Self::Udp,
            name if name == "vsock" => Self::Vsock,
            name => Self::Other(name),
        }
    }

    fn needs_port(&self) -> bool {
        matches!(self, Self::Tcp | Self::Tls | Self::Udp | Self::Vsock)
    }
}

impl Scheme {
    /// Whether it is spoken to web servers.
    pub fn is_web(&self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

impl Target {
    /// The port, or the scheme's own; `None` where ports mean nothing (`icmp`, `raw`, unknown schemes).
    pub fn port_or_default(&self) -> Option<u32> {
        self.port.or(self.scheme.default_port().map(u32::from))
    }

    /// The context identifier of a `vsock` target.
    pub fn context(&self) -> Option<u32> {
        match &self.host {
            Host::Name(name) if self.scheme == Scheme::Vsock => context(name),
            _ => None,
        }
    }

    /// The IP protocol number of a `raw` target's query.
    pub fn ip_protocol(&self) -> Option<u8> {
        let query = self.query.as_deref()?;
        query.split('&').find_map(|pair| pair.strip_prefix("protocol=")?.parse().ok())
    }

    /// What an HTTP request line asks for: path and query, `/` when the path is empty (RFC 9112 §3.2.1).
    pub fn origin_form(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_string(),
        }
    }

    /// Which of the host's git repositories is meant: the path as the host's own system has it. `None` where there is
    /// none, or one that no system could have.
    pub fn repository(&self) -> Option<String> {
        let path = match self.scheme {
            Scheme::Scp => self.path.clone(),
            _ => percent_decode(&self.path)?,
        };
        // git's own reading of ssh://host/~user/path and git://host/~user/path
        let path = match path.strip_prefix('/') {
            Some(home) if home.starts_with('~') => home.to_owned(),
            _ => path,
        };
        // a program that is given the path takes a dash for an option
        let is_one = !path.trim_matches('/').is_empty() && !path.starts_with('-');
        (is_one && !path.contains(char::is_control)).then_some(path)
    }

    /// Host and, where it is not the scheme's own, port: an HTTP `Host` field (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) if Some(port) != self.scheme.default_port().map(u32::from) => {
                format!("{}:{port}", self.host)
            }
            _ => self.host.to_string(),
        }
    }

    /// What `reference` means where this target was found (RFC 3986 §5): a `Location`, say. As people
    /// and programs write it: what no URI may hold is percent-encoded. User information is left out: it is
    /// for the one who writes the target, not for a peer.
    ///
    /// # Errors
    /// Those of parsing the outcome.
    pub fn resolve(&self, reference: &[u8]) -> Result<Self, Error> {
        let syntax = |reason: String| Error::Syntax { reason };
        let base = Self { user: None, password: None, ..self.clone() }.to_string();
        let base = Uri::parse(base.as_str()).map_err(|error| syntax(error.to_string()))?;
        let text = tolerant(reference)?;
        let reference = UriRef::parse(&*text).map_err(|error| syntax(error.to_string()))?;
        let uri = reference.resolve_against(&base).map_err(|error| syntax(error.to_string()))?;
        let target = Self::from_uri(&uri.borrow())?;
        Ok(Self { user: None, password: None, ..target })
    }

    /// Whether both name one origin (RFC 6454 §4): scheme, host and port.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        let origin =
            |target: &Self| (target.scheme.clone(), target.host.clone(), target.port_or_default());
        origin(self) == origin(other)
    }

    fn from_uri(uri: &Uri<&str>) -> Result<Self, Error> {
        let scheme = Scheme::named(uri.scheme().as_str());
        let authority = uri.authority().ok_or(Error::NoHost)?;
        let (user, password) = user_information(&authority)?;
        let host = host(&authority, &scheme)?;
        let port = port(uri, &authority, &scheme)?;
        if scheme.needs_port() && port.is_none() {
            return Err(Error::NoPort { scheme: scheme.name().into() });
        }
        let path = uri.path().as_str();
        let path = match scheme {
            // as curl and the browsers do; to other schemes a path may be a file's
            Scheme::Http | Scheme::Https => without_dots(path),
            _ => path.into(),
        };
        let target = Self {
            user,
            password,
            host,
            port,
            path,
            query: uri.query().map(|query| query.as_str().into()),
            scheme,
        };
        match target.scheme {
            Scheme::Raw if target.ip_protocol().is_none() => Err(Error::NoProtocol),
            Scheme::Vsock if target.context().is_none() => {
                Err(Error::Context { text: target.host.to_string() })
            }
            _ => Ok(target),
        }
    }

    /// `user@host:path`, where the host may be a name, an IPv4 literal or anything in brackets.
    fn from_scp(text: &str) -> Option<Self> {
        let (user, rest) = text.split_once('@')?;
        let (host, path) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once("]:")?,
            None => rest.split_once(':')?,
        };
        let host = literal(host.strip_prefix("IPv6:").unwrap_or(host))?;
        if user.is_empty() || user.contains(['/', ':']) || path.is_empty() {
            return None;
        }
        Some(Self {
            scheme: Scheme::Scp,
            user: Some(user.into()),
            password: None,
            host,
            port: None,
            path: path.into(),
            query: None,
        })
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.contains("://") {
            return Self::from_scp(text).ok_or_else(|| Error::NotATarget { text: masked(text) });
        }
        let text = in_ascii(text)?;
        match Uri::parse(&*text) {
            Ok(uri) => Self::from_uri(&uri),
            Err(error) => Err(Error::Syntax { reason: error.to_string() }),
        }
    }
}

/// `text`, which need not be a target, without what may be a password in it: an error can show it.
pub fn masked(text: &str) -> String {
    let start = text.find("//").map_or(0, |slashes| slashes + 2);
    let end = text[start..].rfind('@').map(|at| start + at);
    let colon = end.and_then(|end| text[start..end].find(':').map(|colon| start + colon));
    match (colon, end) {
        (Some(colon), Some(end)) => format!("{}:***{}", &text[..colon], &text[end..]),
        _ => text.into(),
    }
}

/// The target as it was given, without its password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Scp {
            let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
            return write!(f, "{user}{}:{}", self.host, self.path);
        }
        let user = self.user.as_deref().map(|user| percent_encode(user) + "@").unwrap_or_default();
        write!(f, "{}://{user}{}", self.scheme.name(), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// As in a URI: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `text` in ASCII: a host name as punycode, the rest percent-encoded.
fn in_ascii(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.is_ascii() {
        return Ok(text.into());
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    if let Some(start) = authority_start(text) {
        let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |end| start + end);
        let host = text[start..end].rfind('@').map_or(start, |at| start + at + 1);
        let (name, port) = match text[host..end].rsplit_once(':') {
            Some((name, port)) if port.is_ascii() => {
                (name, text.len() - text[end..].len() - port.len() - 1)
            }
            _ => (&text[host..end], end),
        };
        encode(&mut out, &text.as_bytes()[..host], |octet| octet.is_ascii());
        out += &idna::to_ascii(name).ok_or_else(|| Error::HostName { host: name.into() })?;
        rest = &text[port..];
    }
    encode(&mut out, rest.as_bytes(), |octet| octet.is_ascii());
    Ok(out.into())
}

/// Where the authority of a URI or of a reference begins.
fn authority_start(text: &str) -> Option<usize> {
    let slashes = text.find("//")?;
    let scheme = text[..slashes].strip_suffix(':').unwrap_or(&text[..slashes]);
    let is_scheme =
        scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet));
    is_scheme.then_some(slashes + 2)
}

/// A reference of a peer, which need not be a strict one: what no URI may hold is percent-encoded.
fn tolerant(reference: &[u8]) -> Result<String, Error> {
    let reference = reference.trim_ascii();
    let text = match core::str::from_utf8(reference) {
        Ok(text) => in_ascii(text)?.into_owned().into_bytes(),
        Err(_) => reference.to_vec(),
    };
    let start = core::str::from_utf8(&text).ok().and_then(authority_start).unwrap_or(0);
    let path = text[start..].iter().position(|octet| b"/?#".contains(octet));
    let path = path.map_or(text.len(), |path| start + path);
    let path = if start == 0 { 0 } else { path };
    let mut out = String::with_capacity(text.len());
    let stands = |octet: u8| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet);
    encode(&mut out, &text[..path], stands);
    let mut fragment = false;
    for (index, &octet) in text[path..].iter().enumerate() {
        let triplet = || {
            let digits = text[path + index + 1..].iter().take(2);
            digits.filter(|digit| digit.is_ascii_hexdigit()).count() == 2
        };
        let stands = match octet {
            b'[' | b']' => false,
            b'%' => triplet(),
            b'#' => !core::mem::replace(&mut fragment, true),
            octet => stands(octet),
        };
        encode(&mut out, &[octet], |_| stands);
    }
    Ok(out)
}

/// Adds `octets`, percent-encoded but for those that stand as they are.
fn encode(out: &mut String, octets: &[u8], stands: impl Fn(u8) -> bool) {
    for &octet in octets {
        match stands(octet) {
            true => out.push(octet.into()),
            false => *out += &format!("%{octet:02X}"),
        }
    }
}

/// RFC 3986 §5.2.4: `.` is no segment, `..` takes back the one before it.
fn without_dots(path: &str) -> String {
    let Some(rest) = path.strip_prefix('/') else { return path.into() };
    let mut out = Vec::new();
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(out.pop()),
            segment => {
                out.push(segment);
                continue;
            }
        }
        if is_last {
            out.push("");
        }
    }
    format!("/{}", out.join("/"))
}

fn user_information(authority: &Authority<'_>) -> Result<(Option<String>, Option<String>), Error> {
    let Some(userinfo) = authority.userinfo() else { return Ok((None, None)) };
    let decoded = |part: &str| percent_decode(part).ok_or(Error::UserInformation);
    let (user, password) = match userinfo.as_str().split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (userinfo.as_str(), None),
    };
    Ok((Some(decoded(user)?), password))
}

fn host(authority: &Authority<'_>, scheme: &Scheme) -> Result<Host, Error> {
    use fluent_uri::component::Host as Parsed;
    let text = authority.host();
    let wrong = || Error::HostName { host: text.into() };
    match authority.host_parsed() {
        Parsed::Ipv4(address) => Ok(Host::Ip(address.into())),
        Parsed::Ipv6(address) => Ok(Host::Ip(address.into())),
        // what a user's own scheme needs, its flow says
        Parsed::RegName(name) if name.is_empty() => match scheme {
            Scheme::Other(_) => Ok(Host::Name(String::new())),
            _ => Err(Error::NoHost),
        },
        Parsed::RegName(name) => host_name(name.as_str()).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// A context identifier: all 32 bits but for "any" (virtio 1.2 §5.10.4).
fn context(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|cid| digits && *cid != u32::MAX)
}

fn literal(text: &str) -> Option<Host> {
    match text.parse() {
        Ok(address) => Some(Host::Ip(address)),
        Err(_) => host_name(text),
    }
}

/// RFC 1123 §2.1 with underscores, which people do use: labels of 1–63 octets, 253 in all.
fn host_name(text: &str) -> Option<Host> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // all digits in the last label would be an address that did not parse, never a name
    let numeric =
        name.rsplit('.').next()?.bytes().all(|octet| octet.is_ascii_digit()) && name.contains('.');
    (name.len() <= 253 && name.split('.').all(label) && !numeric)
        .then(|| Host::Name(text.to_ascii_lowercase()))
}

fn port(uri: &Uri<&str>, authority: &Authority<'_>, scheme: &Scheme) -> Result<Option<u32>, Error> {
    let text = match authority.port() {
        Some(port) if !port.as_str().is_empty() => port.as_str(),
        _ => return Ok(None),
    };
    // ports of virtio-vsock have 32 bits (virtio 1.2 §5.10.6)
    let most = if *scheme == Scheme::Vsock { u32::MAX } else { u16::MAX.into() };
    match text.parse::<u32>() {
        Ok(port) if (1..=most).contains(&port) => Ok(Some(port)),
        _ => {
            // an `@` behind it: the authority has ended at a `/` that was meant for a part of a password
            let is_secret = uri.path().as_str().contains('@');
            Err(Error::Port { text: (!is_secret).then(|| text.into()) })
        }
    }
}

/// A user's name as user information (RFC 3986 §3.2.1), a colon encoded too: it would begin a password.
fn percent_encode(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for octet in user.bytes() {
        match octet {
            _ if octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&octet) => {
                out.push(octet.into());
            }
            _ => out += &format!("%{octet:02X}"),
        }
    }
    out
}

fn percent_decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digit = |octet: u8| char::from(octet).to_digit(16);
                (digit(rest.next()?)? << 4 | digit(rest.next()?)?) as u8
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

/// Why a text is no target. Each says what would be one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not a context identifier of `vsock`.
    Context {
        /// What was given.
        text: String,
    },
    /// The host is neither an address nor a host name.
    HostName {
        /// What was given.
        host: String,
    },
    /// No host where one is needed.
    NoHost,
    /// A scheme whose port has no default came without one.
    NoPort {
        /// The scheme.
        scheme: String,
    },
    /// `raw` without `?protocol=N`.
    NoProtocol,
    /// Neither a URI nor `user@host:path`.
    NotATarget {
        /// What was given.
        text: String,
    },
    /// Not a port number.
    Port {
        /// What was given, unless it may be the start of a password.
        text: Option<String>,
    },
    /// Not a URI by RFC 3986.
    Syntax {
        /// What the parser found.
        reason: String,
    },
    /// User information that is no UTF-8.
    UserInformation,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context { text } => write!(
                f,
                "`{text}` is no context identifier; expected vsock://CID:PORT with a number, 2 is the hypervisor"
            ),
            // a peer may have said it: it stays on one line
            Self::HostName { host } => {
                write!(f, "`{}` is neither an address nor a host name", host.escape_debug())
            }
            Self::NoHost => f.write_str("the URI names no host; expected SCHEME://HOST…"),
            Self::NoPort { scheme } => {
                write!(f, "{scheme} has no port of its own; expected {scheme}://HOST:PORT")
            }
            Self::NoProtocol => f.write_str(
                "which IP protocol? expected raw://HOST?protocol=N with N from 0 to 255",
            ),
            Self::NotATarget { text } => {
                write!(f, "`{text}` is no target; expected SCHEME://HOST… or USER@HOST:PATH")
            }
            Self::Port { text: Some(text) } => {
                write!(f, "`{text}` is not a port; expected 1 to 65535")
            }
            Self::Port { text: None } => f.write_str(
                "the port is none; expected 1 to 65535, and `%2F` for a `/` in a password",
            ),
            Self::Syntax { reason } => write!(f, "not a URI: {reason}"),
            Self::UserInformation => f.write_str("the user information before `@` is not text"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests;
