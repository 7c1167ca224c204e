//! Names of objects, and the hashes that make them.

use super::error::Error;
use core::fmt;
use sha1_checked::CollisionResult;
use sha2::{Digest as _, Sha256};

/// The hash that a repository names its objects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Format {
    /// 20 octets.
    #[default]
    Sha1,
    /// 32 octets.
    Sha256,
}

/// An object's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Behind the format's length: zeros.
    octets: [u8; LONGEST],
    format: Format,
}

/// The longest name in octets.
const LONGEST: usize = 32;

impl Format {
    /// As the capability `object-format` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256].into_iter().find(|format| format.name() == name)
    }

    /// A name's length in octets.
    pub fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => LONGEST,
        }
    }
}

impl ObjectId {
    /// The name in binary; `None` where that is not exactly one of the format.
    pub fn from_octets(format: Format, octets: &[u8]) -> Option<Self> {
        let mut all = [0; LONGEST];
        (octets.len() == format.octets()).then(|| all[..octets.len()].copy_from_slice(octets))?;
        Some(Self { octets: all, format })
    }

    /// The name in hexadecimal digits, of whichever format has so many.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let formats = [Format::Sha1, Format::Sha256];
        let format = formats.into_iter().find(|format| 2 * format.octets() == text.len())?;
        let mut octets = [0; LONGEST];
        for (octet, pair) in octets.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(Self { octets, format })
    }

    /// The name that no object has: a reference that is not there.
    pub fn zero(format: Format) -> Self {
        Self { octets: [0; LONGEST], format }
    }

    /// Whether it is [`Self::zero`].
    pub fn is_zero(&self) -> bool {
        self.octets == [0; LONGEST]
    }

    /// By which hash.
    pub fn format(&self) -> Format {
        self.format
    }

    /// In binary.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.format.octets()]
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octets().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes a name of octets.
pub struct Hasher {
    state: State,
}

enum State {
    Sha1(Box<sha1_checked::Sha1>),
    Sha256(Box<Sha256>),
}

impl Hasher {
    /// For an object: refuses contents that were made to collide.
    pub fn new(format: Format) -> Self {
        Self::with(format, true)
    }

    /// For a checksum, which protects against accidents alone.
    pub fn checksum(format: Format) -> Self {
        Self::with(format, false)
    }

    /// For an object of a kind and a size: both stand in front of its content.
    pub fn object(format: Format, kind: super::object::Kind, size: u64) -> Self {
        let mut hasher = Self::new(format);
        hasher.update(format!("{} {size}\0", kind.name()).as_bytes());
        hasher
    }

    fn with(format: Format, detects: bool) -> Self {
        let state = match format {
            Format::Sha1 => {
                let builder = sha1_checked::Builder::default().detect_collision(detects);
                State::Sha1(Box::new(builder.build()))
            }
            Format::Sha256 => State::Sha256(Box::default()),
        };
        Self { state }
    }

    /// Takes more octets.
    pub fn update(&mut self, octets: &[u8]) {
        match &mut self.state {
            State::Sha1(state) => sha1_checked::Digest::update(&mut **state, octets),
            State::Sha256(state) => state.update(octets),
        }
    }

    /// The name.
    ///
    /// # Errors
    /// [`Error::Collision`].
    pub fn finish(self) -> Result<ObjectId, Error> {
        let mut octets = [0; LONGEST];
        let format = match self.state {
            State::Sha1(state) => {
                let CollisionResult::Ok(name) = state.try_finalize() else {
                    return Err(Error::Collision);
                };
                octets[..name.len()].copy_from_slice(&name);
                Format::Sha1
            }
            State::Sha256(state) => {
                octets.copy_from_slice(&state.finalize());
                Format::Sha256
            }
        };
        Ok(ObjectId { octets, format })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::object::Kind;

    fn name(format: Format, content: &[u8]) -> String {
        let mut hasher = Hasher::object(format, Kind::Blob, content.len() as u64);
        hasher.update(content);
        hasher.finish().unwrap().to_string()
    }

    #[test]
    fn the_empty_blob_has_its_names() {
        assert_eq!(name(Format::Sha1, b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        let long = "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813";
        assert_eq!(name(Format::Sha256, b""), long);
    }

    #[test]
    fn hexadecimal_is_read_back() {
        for text in ["e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", &"0f".repeat(32)] {
            assert_eq!(ObjectId::from_hex(text.as_bytes()).unwrap().to_string(), text);
        }
        for text in ["", "e69d", &"g".repeat(40), &"0".repeat(41), &"ä".repeat(20)] {
            assert_eq!(ObjectId::from_hex(text.as_bytes()), None);
        }
    }
}
