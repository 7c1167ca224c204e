//! The codings of an HTTP content, as `Content-Encoding` lists them (RFC 9110 §8.4).

use core::fmt;

/// One coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `br` (RFC 7932).
    Brotli,
    /// `deflate`: zlib's format (RFC 1950), and what some send by that name, deflate alone (RFC 1951).
    Deflate,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878).
    Zstd,
}

/// How many codings one content may be in; more than one is rare already.
pub const MOST_CODINGS: usize = 2;
/// How many of these may have a window of MiBs (`br`, `zstd`); those of the others have 32 KiB.
pub const MOST_LARGE_WINDOWS: usize = 1;

/// The codings in the order in which they were applied, from the values of all fields `Content-Encoding`.
///
/// # Errors
/// A coding that nobody here knows; too many of them.
pub fn codings<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Coding>, Error> {
    let mut codings = Vec::new();
    let names = values.into_iter().flat_map(|value| value.split(|octet| *octet == b','));
    for name in names.map(<[u8]>::trim_ascii) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let coding = match () {
            // RFC 9110 §5.6.1.2: empty elements count for nothing
            () if name.is_empty() || is("identity") => continue,
            () if is("gzip") || is("x-gzip") => Coding::Gzip,
            () if is("deflate") => Coding::Deflate,
            () if is("br") => Coding::Brotli,
            () if is("zstd") => Coding::Zstd,
            () => {
                let name = String::from_utf8_lossy(&name[..name.len().min(40)]);
                return Err(Error::Unknown { name: name.escape_debug().to_string() });
            }
        };
        if codings.len() == MOST_CODINGS {
            return Err(Error::TooMany);
        }
        codings.push(coding);
    }
    let large = codings.iter().filter(|coding| matches!(coding, Coding::Brotli | Coding::Zstd));
    match large.count() > MOST_LARGE_WINDOWS {
        true => Err(Error::TooLarge),
        false => Ok(codings),
    }
}

/// Why a content cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// More than [`MOST_LARGE_WINDOWS`].
    TooLarge,
    /// More than [`MOST_CODINGS`].
    TooMany,
    /// No coding of this name is known.
    Unknown {
        /// Its start.
        name: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                f.write_str("the content is in several codings with large windows (br, zstd)")
            }
            Self::TooMany => write!(f, "the content is in more than {MOST_CODINGS} codings"),
            Self::Unknown { name } => {
                write!(f, "the content is in the coding `{name}`, which was not asked for")
            }
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_come_in_the_order_of_their_use() {
        let of = |values: &[&str]| codings(values.iter().map(|value| value.as_bytes()));
        assert_eq!(of(&[]), Ok(vec![]));
        assert_eq!(of(&["identity"]), Ok(vec![]));
        assert_eq!(of(&["gzip , BR"]), Ok(vec![Coding::Gzip, Coding::Brotli]));
        assert_eq!(of(&["x-gzip", "", ",zstd,"]), Ok(vec![Coding::Gzip, Coding::Zstd]));
        assert_eq!(of(&["gzip,gzip", "gzip"]), Err(Error::TooMany));
        assert_eq!(of(&["gzip, br"]), Ok(vec![Coding::Gzip, Coding::Brotli]));
        for both in ["br, zstd", "zstd, br", "br, br", "zstd,zstd"] {
            assert_eq!(of(&[both]), Err(Error::TooLarge), "{both}");
        }
        assert_eq!(of(&["compress"]), Err(Error::Unknown { name: "compress".into() }));
    }
}
