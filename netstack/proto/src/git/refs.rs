//! References: what `ls-refs` asks and answers, and how they are chosen by name.

use super::advertisement::{Advertisement, Version};
use super::error::Error;
use super::memory;
use super::oid::{Format, ObjectId};
use super::pkt::{self, Packet};

/// A reference of a remote repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// Such as `refs/heads/main`. By git's own rules it has no control characters and no spaces; it need not be UTF-8.
    pub name: Vec<u8>,
    /// What it names; `None` where it names a branch that is yet to be born.
    pub id: Option<ObjectId>,
    /// For an annotated tag what the tag names.
    pub peeled: Option<ObjectId>,
    /// Another reference that this one stands for.
    pub symref: Option<Vec<u8>>,
}

/// The most references of an answer. At about 200 octets each they take 26 MB.
pub const MOST: usize = 1 << 17;
/// The most octets that all names together have.
pub const MOST_OCTETS: usize = 16 << 20;

impl Ref {
    /// Whether `wanted` means this reference: by its whole name.
    pub fn is(&self, wanted: &str) -> bool {
        self.name == wanted.as_bytes()
    }

    /// What a commit is looked for behind: the peeled object of a tag.
    pub fn target(&self) -> Option<ObjectId> {
        self.peeled.or(self.id)
    }
}

/// Collects references and counts them.
#[derive(Debug)]
pub struct Refs {
    refs: Vec<Ref>,
    octets: usize,
    /// Octets of memory that all of them may take.
    memory: u64,
}

/// Octets of memory that a reference takes beside its names.
const REF: usize = size_of::<Ref>() + 32;

impl Default for Refs {
    fn default() -> Self {
        Self::within(u64::MAX)
    }
}

impl Refs {
    /// None yet, and those that follow may take so many octets of memory.
    pub fn within(memory: u64) -> Self {
        Self { refs: Vec::new(), octets: 0, memory }
    }

    /// Takes one more.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::Memory`].
    pub(super) fn push(&mut self, it: Ref) -> Result<(), Error> {
        self.octets += it.name.len() + it.symref.as_ref().map_or(0, Vec::len);
        if self.refs.len() == MOST {
            return Err(Error::Limit { what: "references", most: MOST as u64 });
        }
        if self.octets > MOST_OCTETS {
            return Err(Error::Limit {
                what: "octets of names of references",
                most: MOST_OCTETS as u64,
            });
        }
        let held = (self.octets + (self.refs.len() + 1) * REF) as u64;
        if held > self.memory {
            return Err(Error::Memory { octets: held });
        }
        memory::push(&mut self.refs, it)
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Ref> {
        self.refs.last_mut()
    }

    /// Takes one packet of an answer to `ls-refs`; true at its end.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Limit`], [`Error::Memory`].
    pub fn take(&mut self, format: Format, packet: Packet<'_>) -> Result<bool, Error> {
        if packet == Packet::Flush {
            return Ok(true);
        }
        const EXPECTED: &str = "a reference";
        let line = packet.line(EXPECTED)?;
        let wrong = || Error::malformed(EXPECTED, line);
        let mut words = line.split(|octet| *octet == b' ');
        let id = match words.next().ok_or_else(wrong)? {
            b"unborn" => None,
            id => Some(id_of(format, id).ok_or_else(wrong)?),
        };
        let name = name(words.next().ok_or_else(wrong)?).ok_or_else(wrong)??;
        let mut it = Ref { name, id, peeled: None, symref: None };
        for word in words {
            if let Some(id) = word.strip_prefix(b"peeled:") {
                it.peeled = Some(id_of(format, id).ok_or_else(wrong)?);
            } else if let Some(target) = word.strip_prefix(b"symref-target:") {
                it.symref = Some(self::name(target).ok_or_else(wrong)??);
            }
        }
        self.push(it)?;
        Ok(false)
    }

    /// All of them, as they came.
    pub fn into_vec(self) -> Vec<Ref> {
        self.refs
    }
}

/// A name in hexadecimal, if it is one of this format.
pub(super) fn id_of(format: Format, text: &[u8]) -> Option<ObjectId> {
    ObjectId::from_hex(text).filter(|id| id.format() == format)
}

/// A reference's name as git allows it, as far as that protects a terminal and a line.
pub(super) fn name(text: &[u8]) -> Option<Result<Vec<u8>, Error>> {
    let right = |octet: &u8| *octet > b' ' && *octet != 0x7f;
    (!text.is_empty() && text.iter().all(right)).then(|| memory::copy(text))
}

/// Asks for references (gitprotocol-v2(5), "ls-refs"): those that begin with one of `prefixes`, all where there are none.
/// Empty where the server has sent its references already, as protocols 0 and 1 do.
pub fn request(advertisement: &Advertisement, prefixes: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    if advertisement.version != Version::Two {
        return out;
    }
    advertisement.command(&mut out, "ls-refs");
    out.extend(pkt::DELIMITER);
    pkt::write(&mut out, b"peel\n");
    pkt::write(&mut out, b"symrefs\n");
    if advertisement.has_in("ls-refs", "unborn") {
        pkt::write(&mut out, b"unborn\n");
    }
    for prefix in prefixes {
        pkt::write(&mut out, format!("ref-prefix {prefix}\n").as_bytes());
    }
    out.extend(pkt::FLUSH);
    out
}

/// The whole names that a short one may mean, the likeliest first.
pub fn meanings(name: &str) -> [String; 4] {
    ["", "refs/", "refs/heads/", "refs/tags/"].map(|prefix| format!("{prefix}{name}"))
}

/// The reference that a whole or short name means.
pub fn find<'a>(refs: &'a [Ref], name: &str) -> Option<&'a Ref> {
    meanings(name).iter().find_map(|whole| refs.iter().find(|it| it.is(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn taken(lines: &[&str]) -> Result<Vec<Ref>, Error> {
        let mut refs = Refs::default();
        for line in lines {
            assert!(!refs.take(Format::Sha1, Packet::Data(line.as_bytes()))?);
        }
        assert!(refs.take(Format::Sha1, Packet::Flush)?);
        Ok(refs.into_vec())
    }

    #[test]
    fn references_have_their_attributes() {
        let refs = taken(&[
            &format!("{ID} HEAD symref-target:refs/heads/main\n"),
            &format!("{ID} refs/heads/main"),
            &format!("{ID} refs/tags/v1 peeled:{ID}\n"),
        ]);
        let refs = refs.unwrap();
        assert_eq!(refs[0].symref.as_deref(), Some(&b"refs/heads/main"[..]));
        assert_eq!(refs[2].peeled, ObjectId::from_hex(ID.as_bytes()));
        assert!(find(&refs, "main").unwrap().is("refs/heads/main"));
        assert!(find(&refs, "tags/v1").unwrap().is("refs/tags/v1"));
        assert!(find(&refs, "v2").is_none());
    }

    #[test]
    fn a_branch_may_be_unborn() {
        let refs = taken(&["unborn HEAD symref-target:refs/heads/main\n"]).unwrap();
        assert_eq!((refs[0].id, refs[0].is("HEAD")), (None, true));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for line in ["", ID, &format!("{ID} "), &format!("{ID} a\x1b[2J"), "e69d refs/heads/main"] {
            assert!(matches!(taken(&[line]), Err(Error::Malformed { .. })), "{line:?}");
        }
        let long = format!("{} refs/heads/main", "0".repeat(64));
        assert!(taken(&[&long]).is_err(), "the other format");
    }

    #[test]
    fn a_flood_ends_at_the_limit() {
        let mut refs = Refs::default();
        let line = format!("{ID} refs/heads/main");
        let outcome = (0..=MOST)
            .try_for_each(|_| refs.take(Format::Sha1, Packet::Data(line.as_bytes())).map(drop));
        assert!(matches!(outcome, Err(Error::Limit { what: "references", .. })));
        let mut refs = Refs::default();
        let line = format!("{ID} refs/{}", "a".repeat(60_000));
        let outcome = (0..MOST)
            .try_for_each(|_| refs.take(Format::Sha1, Packet::Data(line.as_bytes())).map(drop));
        assert!(matches!(outcome, Err(Error::Limit { .. })));
    }

    #[test]
    fn a_flood_ends_where_memory_does() {
        let mut refs = Refs::within(1 << 20);
        let line = format!("{ID} refs/heads/main");
        let outcome = (0..=MOST)
            .try_for_each(|_| refs.take(Format::Sha1, Packet::Data(line.as_bytes())).map(drop));
        assert!(matches!(outcome, Err(Error::Memory { octets: 1_048_577.. })), "{outcome:?}");
        assert!((5_000..8_000).contains(&refs.into_vec().len()));
    }
}
