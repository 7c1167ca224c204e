//! What is asked: a method, a target, fields and a content.

use super::upload::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};
use proto::target::Target;

/// One request.
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// With what; names the `Host` field, unless that is among the fields.
    pub target: Target,
    /// The fields. Those of the connection and of the content's length are not among them.
    pub headers: HeaderMap,
    /// The content.
    pub payload: Payload,
    /// Ask before a large content is sent (RFC 9110 §10.1.1). HTTP/1.1 alone knows that.
    pub expects: bool,
    /// Keep the answer's head as it came.
    pub keeps_head: bool,
}

const USER_AGENT: &str = concat!("mimic/", env!("CARGO_PKG_VERSION"));
/// Contents from here on are asked for first; curl's number.
const LARGE: u64 = 1 << 20;

/// Fields that are for one origin alone: they give access there, or name it.
pub const OF_ORIGIN: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::HOST];
/// Fields that describe a content, and go where it does not go along (RFC 9110 §15.4).
pub const OF_CONTENT: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::EXPECT,
];
/// Fields that frame messages: to say them twice in two ways is how requests are smuggled (RFC 9112 §11.2).
const FRAMING: [HeaderName; 4] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::TRAILER];

impl Request {
    /// A request without content. User information in the target becomes credentials (RFC 7617).
    pub fn new(method: Method, target: Target) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(credentials) = basic(&target) {
            headers.insert(header::AUTHORIZATION, credentials);
        }
        let payload = Payload::Empty;
        Self { method, target, headers, payload, expects: true, keeps_head: false }
    }

    /// What the target holds, please.
    pub fn get(target: Target) -> Self {
        Self::new(Method::GET, target)
    }

    /// Whether the server is asked before the content goes out.
    pub(super) fn asks_first(&self) -> bool {
        let large = self.payload.length().is_none_or(|length| length > LARGE);
        self.headers.contains_key(header::EXPECT) || (self.expects && large)
    }

    /// The head as a version wants it.
    pub(super) fn head(&self, version: Version) -> Result<http::request::Parts, Invalid> {
        let mut headers = self.headers.clone();
        let form = self.target.origin_form();
        let uri = match version {
            Version::HTTP_2 => {
                // RFC 9113 §8.3.1: the authority takes the place of the field Host
                let host = headers.remove(header::HOST);
                let host = host.as_ref().and_then(|host| host.to_str().ok());
                let authority = host.map_or_else(|| self.target.authority(), Into::into);
                format!("{}://{authority}{form}", self.target.scheme)
            }
            _ => {
                if !headers.contains_key(header::HOST) {
                    let host = HeaderValue::try_from(self.target.authority());
                    headers.insert(header::HOST, host.map_err(|_| Invalid::Value)?);
                }
                form
            }
        };
        let uri = Uri::try_from(uri).map_err(|error| Invalid::Target(error.to_string()))?;
        let mut message = http::Request::new(());
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = uri;
        *message.version_mut() = version;
        *message.headers_mut() = headers;
        Ok(message.into_parts().0)
    }
}

/// `user:password` of the target as `Basic` credentials.
pub fn basic(target: &Target) -> Option<HeaderValue> {
    let user = target.user.as_ref()?;
    let pair = format!("{user}:{}", target.password.as_deref().unwrap_or_default());
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 is visible ASCII");
    value.set_sensitive(true);
    Some(value)
}

/// A field as the wire can hold it: neither a line's end nor a null can get in (RFC 9110 §5.5).
///
/// # Errors
/// It cannot stand in a request, or is not the user's to say.
pub fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Invalid> {
    let name = HeaderName::try_from(name).map_err(|_| Invalid::Name)?;
    if FRAMING.contains(&name) {
        return Err(Invalid::Framing(name));
    }
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Invalid::Value)?;
    value.set_sensitive(OF_ORIGIN.contains(&name));
    Ok((name, value))
}

/// A method's name.
///
/// # Errors
/// It is no token (RFC 9110 §9.1), or `CONNECT`, which asks for a tunnel.
pub fn method(name: &str) -> Result<Method, Invalid> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT) => Err(Invalid::Connect),
        Ok(method) => Ok(method),
        Err(_) => Err(Invalid::Method),
    }
}

/// What cannot stand in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// The method `CONNECT`.
    Connect,
    /// A field that HTTP's own machinery writes.
    Framing(HeaderName),
    /// A method that is no token.
    Method,
    /// A field's name that is no token.
    Name,
    /// A target that is too long.
    Target(String),
    /// A field's value with a control character.
    Value,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("CONNECT opens a tunnel, which --proxy does"),
            Self::Framing(name) => write!(f, "the field `{name}` is written by the client itself"),
            Self::Method => {
                f.write_str("a method is a word of letters, digits and !#$%&'*+-.^_`|~")
            }
            Self::Name => {
                f.write_str("a field's name is a word of letters, digits and !#$%&'*+-.^_`|~")
            }
            Self::Target(reason) => write!(f, "the target: {reason}"),
            Self::Value => {
                f.write_str("a field's value has no line ends and no other control characters")
            }
        }
    }
}

impl core::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, version: Version) -> String {
        let request = Request::get(target.parse().unwrap());
        let head = request.head(version).unwrap();
        format!("{} {} {:?}", head.method, head.uri, head.headers.get("host"))
    }

    #[test]
    fn heads_differ_by_version() {
        let of = |target: &str| (head(target, Version::HTTP_11), head(target, Version::HTTP_2));
        assert_eq!(
            of("http://h:81/a?b"),
            (r#"GET /a?b Some("h:81")"#.into(), "GET http://h:81/a?b None".into())
        );
        assert_eq!(
            of("https://[::1]"),
            (r#"GET / Some("[::1]")"#.into(), "GET https://[::1]/ None".into())
        );
    }

    #[test]
    fn a_given_host_is_the_authority() {
        let mut request = Request::get("http://h/".parse().unwrap());
        let (name, value) = field("Host", "other:8").unwrap();
        request.headers.insert(name, value);
        assert_eq!(request.head(Version::HTTP_2).unwrap().uri, "http://other:8/");
        assert_eq!(request.head(Version::HTTP_11).unwrap().headers["host"], "other:8");
    }

    #[test]
    fn user_information_becomes_credentials() {
        let request = Request::get("http://me:p%40ss@h/".parse().unwrap());
        let value = &request.headers["authorization"];
        assert_eq!(value, "Basic bWU6cEBzcw==");
        assert!(value.is_sensitive());
    }

    #[test]
    fn what_could_end_a_line_is_refused() {
        for value in ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
            assert_eq!(field("X", value), Err(Invalid::Value), "{value:?}");
        }
        for name in ["", "a b", "a\r\n", "a:", "ä"] {
            assert_eq!(field(name, "v"), Err(Invalid::Name), "{name:?}");
        }
        for name in ["", "GET /", "GE T", "A\r\n"] {
            assert_eq!(method(name), Err(Invalid::Method), "{name:?}");
        }
        assert!(matches!(field("Content-Length", "5"), Err(Invalid::Framing(_))));
        assert!(matches!(field("transfer-encoding", "chunked"), Err(Invalid::Framing(_))));
        assert_eq!(method("CONNECT"), Err(Invalid::Connect));
        assert!(field("X", "tab\tund ä").is_ok());
    }
}
