//! Where an HTTP answer leads, and whether to go there (RFC 9110 §15.4).
//!
//! ```text
//!  301, 302   POST becomes GET, the rest stays as it is
//!  303        all but HEAD becomes GET, without the content
//!  307, 308   all stays, the content too
//! ```
//!
//! Other codes, and these without a `Location`, are answers like any other.

use crate::target::{self, Scheme, Target};
use core::fmt;

/// What may be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How many redirects in a row; 0 = none is followed.
    pub most: u32,
    /// Whether `https` may become `http`.
    pub downgrade: bool,
}

/// RFC 9110 says no number; the interface's.
pub const MOST_REDIRECTS: u32 = 5;

impl Default for Rules {
    fn default() -> Self {
        Self { most: MOST_REDIRECTS, downgrade: false }
    }
}

/// Octets of a `Location`; what others take as a URI, too (RFC 9110 §4.1 asks for 8000).
pub const MOST_LOCATION: usize = 8 * 1024;

/// The way so far.
#[derive(Debug, Clone)]
pub struct Trail {
    rules: Rules,
    /// Methods and targets that were asked for, the first one first.
    hops: Vec<(String, Target)>,
}

/// Where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// What is asked next, without user information.
    pub target: Target,
    /// With which method.
    pub method: String,
    /// Whether the content goes along.
    pub keeps_content: bool,
    /// Whether it has the origin of the first target: credentials may go along.
    pub is_at_home: bool,
}

impl Trail {
    /// The first request.
    pub fn new(method: &str, target: &Target, rules: Rules) -> Self {
        Self { rules, hops: vec![(method.into(), target.clone())] }
    }

    /// What an answer to the last request means; `None`: it is the answer.
    ///
    /// # Errors
    /// It leads where this client does not go.
    pub fn follow(&mut self, status: u16, location: Option<&[u8]>) -> Result<Option<Hop>, Error> {
        let (method, from) = self.hops.last().expect("a trail has its first request");
        let method = match (status, method.as_str()) {
            (301 | 302, "POST") => "GET",
            (303, method) if method != "HEAD" => "GET",
            (301..=303 | 307 | 308, method) => method,
            _ => return Ok(None),
        }
        .to_string();
        let Some(location) = location.filter(|_| self.rules.most > 0) else { return Ok(None) };
        if location.len() > MOST_LOCATION {
            return Err(Error::TooLong { length: location.len() });
        }
        let target = from.resolve(location).map_err(|error| {
            let shown = String::from_utf8_lossy(&location[..location.len().min(SHOWN)]);
            Error::Location { text: shown.escape_debug().to_string(), error }
        })?;
        match (&from.scheme, &target.scheme) {
            (Scheme::Https, Scheme::Http) if !self.rules.downgrade => {
                return Err(Error::Downgrade { target: shown(&target) });
            }
            (_, Scheme::Http | Scheme::Https) => {}
            _ => return Err(Error::Scheme { target: shown(&target) }),
        }
        let (_, first) = &self.hops[0];
        let is_at_home = target.is_same_origin(first);
        // the same request once more would be answered so once more
        let bare = |target: &Target| Target { user: None, password: None, ..target.clone() };
        let again = self.hops.iter().any(|(known, hop)| *known == method && bare(hop) == target);
        // the answer to a 303 is not what was asked with the content (RFC 9110 §15.4.4)
        let keeps_content = matches!(status, 307 | 308)
            || (status != 303 && self.hops.last().is_some_and(|(last, _)| *last == method));
        self.hops.push((method.clone(), target.clone()));
        let way = || self.hops.iter().map(|(_, target)| shown(target)).collect();
        if again {
            return Err(Error::Loop { way: way() });
        }
        if self.hops.len() - 1 > self.rules.most as usize {
            return Err(Error::TooMany { most: self.rules.most, way: way() });
        }
        Ok(Some(Hop { target, method, keeps_content, is_at_home }))
    }
}

/// Octets of a `Location` or a target that an error shows.
const SHOWN: usize = 200;

fn shown(target: &Target) -> String {
    let text = target.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// From `https` to `http`.
    Downgrade {
        /// Where it leads.
        target: String,
    },
    /// The `Location` is no URI.
    Location {
        /// Its start.
        text: String,
        /// What is wrong.
        error: target::Error,
    },
    /// It leads where the trail has been.
    Loop {
        /// All targets, in order.
        way: Vec<String>,
    },
    /// Neither `http` nor `https`.
    Scheme {
        /// Where it leads.
        target: String,
    },
    /// The `Location` has more octets than [`MOST_LOCATION`].
    TooLong {
        /// How many these are.
        length: usize,
    },
    /// More than the rules allow.
    TooMany {
        /// How many these are.
        most: u32,
        /// All targets, in order.
        way: Vec<String>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Downgrade { target } => {
                write!(f, "the redirect to {target} gives up TLS (--allow-downgrade allows that)")
            }
            Self::Location { text, error } => {
                write!(f, "the redirect leads nowhere: `{text}`: {error}")
            }
            Self::Loop { way } => write!(f, "the redirects go round: {}", way.join(" → ")),
            Self::Scheme { target } => {
                write!(f, "the redirect to {target} leaves HTTP: only http and https are followed")
            }
            Self::TooLong { length } => {
                write!(
                    f,
                    "the redirect leads to a URI of {length} octets; at most {MOST_LOCATION} are followed"
                )
            }
            Self::TooMany { most, way } => {
                write!(f, "more than {most} redirects (--max-redirects): {}", way.join(" → "))
            }
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(method: &str, target: &str) -> Trail {
        Trail::new(method, &target.parse().unwrap(), Rules::default())
    }

    #[test]
    fn codes_decide_on_method_and_content() {
        for (method, status, next, keeps) in [
            ("GET", 301, "GET", true),
            ("POST", 301, "GET", false),
            ("POST", 302, "GET", false),
            ("PUT", 302, "PUT", true),
            ("HEAD", 302, "HEAD", true),
            ("POST", 303, "GET", false),
            ("PUT", 303, "GET", false),
            ("GET", 303, "GET", false),
            ("HEAD", 303, "HEAD", false),
            ("POST", 307, "POST", true),
            ("POST", 308, "POST", true),
        ] {
            let hop = trail(method, "http://h/a").follow(status, Some(b"/b")).unwrap().unwrap();
            assert_eq!(
                (hop.method.as_str(), hop.keeps_content),
                (next, keeps),
                "{method} {status}"
            );
            assert_eq!(hop.target.to_string(), "http://h/b");
        }
        for status in [200, 300, 304, 305, 306, 309, 404] {
            assert_eq!(trail("GET", "http://h/a").follow(status, Some(b"/b")), Ok(None));
        }
        assert_eq!(trail("GET", "http://h/a").follow(302, None), Ok(None));
        let mut none =
            Trail::new("GET", &"http://h/".parse().unwrap(), Rules { most: 0, downgrade: false });
        assert_eq!(none.follow(302, Some(b"/b")), Ok(None));
    }

    #[test]
    fn credentials_stay_at_home() {
        let mut trail = trail("GET", "http://me:pw@h/");
        let away = trail.follow(302, Some(b"http://i/")).unwrap().unwrap();
        assert!(!away.is_at_home);
        let back = trail.follow(302, Some(b"http://h:80/x")).unwrap().unwrap();
        assert!(back.is_at_home && back.target.user.is_none());
    }

    #[test]
    fn loops_and_long_ways_are_named() {
        let mut trail = trail("GET", "http://me@h/a");
        trail.follow(302, Some(b"/b")).unwrap();
        let error = trail.follow(302, Some(b"/a")).unwrap_err().to_string();
        assert_eq!(error, "the redirects go round: http://me@h/a → http://h/b → http://h/a");

        let mut trail = self::trail("GET", "http://h/0");
        for hop in 1..=5 {
            trail.follow(302, Some(format!("/{hop}").as_bytes())).unwrap().unwrap();
        }
        let error = trail.follow(302, Some(b"/6")).unwrap_err().to_string();
        assert!(
            error.starts_with("more than 5 redirects (--max-redirects): http://h/0 → "),
            "{error}"
        );
    }

    #[test]
    fn long_locations_are_refused_and_long_targets_cut() {
        let long = |len: usize| format!("http://h/{}", "x".repeat(len - 9));
        let mut trail = trail("GET", "http://h/");
        assert!(trail.follow(302, Some(long(MOST_LOCATION).as_bytes())).unwrap().is_some());
        let error = trail.follow(302, Some(long(MOST_LOCATION + 1).as_bytes())).unwrap_err();
        assert_eq!(error, Error::TooLong { length: MOST_LOCATION + 1 });
        let error = trail.follow(302, Some(long(MOST_LOCATION).as_bytes())).unwrap_err();
        assert!(matches!(error, Error::Loop { .. }) && error.to_string().len() < 500, "{error}");
    }

    #[test]
    fn a_post_that_comes_back_as_get_is_no_loop() {
        assert!(trail("POST", "http://h/a").follow(303, Some(b"/a")).unwrap().is_some());
    }

    #[test]
    fn what_is_not_followed_says_why() {
        for (from, to, says) in [
            ("https://h/", "http://h/", "--allow-downgrade"),
            ("http://h/", "ftp://h/", "leaves HTTP"),
            ("http://h/", "file:///etc/passwd", "leaves HTTP"),
            ("http://h/", "http://a b/\r\nx", "leads nowhere"),
        ] {
            let error =
                trail("GET", from).follow(302, Some(to.as_bytes())).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains(['\r', '\n']));
        }
        let rules = Rules { downgrade: true, ..Rules::default() };
        let mut trail = Trail::new("GET", &"https://h/".parse().unwrap(), rules);
        assert!(trail.follow(302, Some(b"http://h/")).unwrap().is_some());
    }
}
