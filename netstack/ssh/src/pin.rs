//! How a host key is to be known, as one word or line.
//!
//! | text | accepts |
//! |---|---|
//! | `none` | any key |
//! | `SHA256:B64` | the key with this fingerprint, as OpenSSH prints it |
//! | `ed25519:B64`, `ecdsa:B64`, `rsa:B64` | the same, of this kind only |
//! | `B64` | this very key, as it stands in known_hosts and in `.pub` files |
//! | `… KIND B64 …` | the same: a line of known_hosts or of a `.pub` file; the names of hosts in it mean nothing here |

use crate::algorithm::SignatureAlgorithm;
use crate::hostkey::HostKey;
use crate::wire::Fields;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use core::fmt;
use core::str::FromStr;

/// Which host keys are accepted.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pin {
    /// Any key: whoever answers is believed.
    Any,
    /// One with this SHA-256.
    Fingerprint {
        /// How the names of its kinds begin; empty: any.
        kind: &'static str,
        /// The digest.
        digest: [u8; 32],
    },
    /// This key, in the form of the wire.
    Key(Vec<u8>),
}

impl Pin {
    /// Whether it accepts this key.
    pub fn accepts(&self, key: &HostKey) -> bool {
        match self {
            Self::Any => true,
            Self::Fingerprint { kind, digest } => {
                key.kind().starts_with(kind) && key.digest() == *digest
            }
            Self::Key(blob) => key.blob() == blob,
        }
    }

    /// Whether it is for keys that make such signatures and for no others: they are worth asking for first.
    pub fn names(&self, algorithm: SignatureAlgorithm) -> bool {
        let kind = crate::hostkey::kind(algorithm);
        match self {
            Self::Any => false,
            Self::Fingerprint { kind: prefix, .. } => {
                !prefix.is_empty() && kind.starts_with(prefix)
            }
            Self::Key(blob) => Fields::inside(blob, 0).text() == Ok(kind),
        }
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let text = text.trim();
        if text == "none" {
            return Ok(Self::Any);
        }
        for (prefix, kind) in [
            ("SHA256:", ""),
            ("ed25519:", "ssh-ed25519"),
            ("ecdsa:", "ecdsa-"),
            ("rsa:", "ssh-rsa"),
        ] {
            if let Some(digest) = text.strip_prefix(prefix) {
                let digest = digest.strip_prefix("SHA256:").unwrap_or(digest);
                let digest =
                    octets(digest).and_then(|octets| octets.try_into().ok()).ok_or(PinError)?;
                return Ok(Self::Fingerprint { kind, digest });
            }
        }
        let mut words = text.split_whitespace();
        // marks such as @revoked turn the meaning of a line around
        if text.starts_with('@') {
            return Err(PinError);
        }
        words.find_map(blob).map(Self::Key).ok_or(PinError)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("none"),
            Self::Fingerprint { kind, digest } => {
                let kind = match *kind {
                    "ssh-ed25519" => "ed25519:",
                    "ecdsa-" => "ecdsa:",
                    "ssh-rsa" => "rsa:",
                    _ => "SHA256:",
                };
                write!(
                    f,
                    "{kind}{}",
                    base64::engine::general_purpose::STANDARD_NO_PAD.encode(digest)
                )
            }
            Self::Key(blob) => f.write_str(&base64::engine::general_purpose::STANDARD.encode(blob)),
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no pin; its own text names the forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinError;

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a way to know a host key; expected none, SHA256:BASE64, ed25519:BASE64, ecdsa:BASE64, rsa:BASE64 or a line of known_hosts",
        )
    }
}

impl core::error::Error for PinError {}

/// A word of a line that is a public key: base64 that begins with the name of a kind.
fn blob(word: &str) -> Option<Vec<u8>> {
    const KINDS: [&str; 4] =
        ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa"];
    let octets = octets(word)?;
    let kind = Fields::inside(&octets, 0).text().ok()?;
    KINDS.contains(&kind).then_some(octets)
}

fn octets(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // of a key made for this test by ssh-keygen
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const DIGEST: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn every_form_parses() {
        assert_eq!("none".parse(), Ok(Pin::Any));
        for (text, kind) in [
            ("SHA256:", ""),
            ("ed25519:", "ssh-ed25519"),
            ("rsa:SHA256:", "ssh-rsa"),
            ("ecdsa:", "ecdsa-"),
        ] {
            for padding in ["", "="] {
                let pin: Pin = format!("{text}{DIGEST}{padding}").parse().unwrap();
                assert_eq!(pin, Pin::Fingerprint { kind, digest: [0; 32] });
            }
        }
        let base64 = LINE.split_once(' ').unwrap().1;
        let key: Pin = base64.parse().unwrap();
        for line in [
            LINE.to_string(),
            format!("host,10.0.0.1 {LINE} me@here\n"),
            format!("[h]:22 {LINE}"),
            format!("|1|abc=|def= {LINE}"),
        ] {
            assert_eq!(line.parse(), Ok(key.clone()), "{line}");
        }
        assert_eq!(key.to_string(), base64);
        assert!(
            key.names(SignatureAlgorithm::Ed25519) && !key.names(SignatureAlgorithm::RsaSha256)
        );
        let shown = format!("rsa:{DIGEST}");
        assert!(shown.parse::<Pin>().unwrap().names(SignatureAlgorithm::RsaSha256));
        assert_eq!(shown.parse::<Pin>().unwrap().to_string(), shown);
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in [
            "",
            "NONE",
            "SHA256:",
            "SHA256:AAAA",
            "MD5:aa:bb",
            "host",
            "host ssh-ed25519",
            "AAAA",
            "ssh-dss AAAAB3NzaC1kc3M=",
        ] {
            assert_eq!(text.parse::<Pin>(), Err(PinError), "{text}");
        }
        assert_eq!(format!("@revoked host {LINE}").parse::<Pin>(), Err(PinError));
    }
}
