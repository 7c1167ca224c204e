//! The server's first words: which protocol it speaks, what it can, and in protocols 0 and 1 its references.

use super::error::Error;
use super::fetch::MOST_SHALLOW;
use super::memory;
use super::oid::{Format, ObjectId};
use super::pkt::{self, Packet};
use super::refs::{self, Ref, Refs};

/// What a client does at a repository: which program serves it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Objects are fetched.
    UploadPack,
    /// References are changed.
    ReceivePack,
}

impl Service {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// References first, then one exchange.
    Zero,
    /// As 0, and says so.
    One,
    /// Commands and answers.
    Two,
}

/// What a server said first.
#[derive(Debug)]
pub struct Advertisement {
    /// What it speaks.
    pub version: Version,
    /// The hash of its objects' names.
    pub format: Format,
    /// Its references, in protocols 0 and 1.
    pub refs: Vec<Ref>,
    /// In protocols 0 and 1, the commits whose parents the repository does not have: it is a part itself.
    pub shallow: Vec<ObjectId>,
    /// Names, with a value behind `=` where they have one.
    capabilities: Vec<String>,
}

/// The most capabilities, and octets of them.
const MOST: usize = 256;
const MOST_OCTETS: usize = 64 * 1024;
/// What we call ourselves.
const AGENT: &str = concat!("agent=mimic/", env!("CARGO_PKG_VERSION"));

impl Advertisement {
    /// The value of a capability; empty where it is there without one.
    pub fn capability<'s>(&'s self, name: &str) -> Option<&'s str> {
        self.values(name).next()
    }

    /// Whether a capability's value has `word` among its words.
    pub fn has_in(&self, name: &str, word: &str) -> bool {
        self.capability(name).is_some_and(|value| value.split(' ').any(|known| known == word))
    }

    /// Whether the server can send a part of the history.
    pub fn can_cut(&self) -> bool {
        match self.version {
            Version::Two => self.has_in("fetch", "shallow"),
            Version::Zero | Version::One => self.capability("shallow").is_some(),
        }
    }

    fn values<'s, 'n>(&'s self, name: &'n str) -> impl Iterator<Item = &'s str> + use<'s, 'n> {
        self.capabilities.iter().filter_map(move |it| match it.strip_prefix(name)? {
            "" => Some(""),
            rest => rest.strip_prefix('='),
        })
    }

    /// A command of protocol 2 up to its arguments.
    pub(super) fn command(&self, out: &mut Vec<u8>, command: &str) {
        pkt::write(out, format!("command={command}\n").as_bytes());
        if self.capability("agent").is_some() {
            pkt::write(out, AGENT.as_bytes());
        }
        if self.capability("object-format").is_some() {
            pkt::write(out, format!("object-format={}", self.format.name()).as_bytes());
        }
    }

    /// Those of `wanted` that the server has, what we are and the hash: what follows the first line of protocol 0.
    pub(super) fn chosen(&self, wanted: &[&str]) -> String {
        let mut chosen = String::new();
        for name in wanted.iter().filter(|name| self.capability(name).is_some()) {
            chosen += &format!(" {name}");
        }
        if self.capability("object-format").is_some() {
            chosen += &format!(" object-format={}", self.format.name());
        }
        if self.capability("agent").is_some() {
            chosen += &format!(" {AGENT}");
        }
        chosen
    }

    fn set_format(&mut self) -> Result<(), Error> {
        if let Some(name) = self.capability("object-format") {
            self.format = Format::named(name).ok_or_else(|| {
                let name = super::error::printable(name.as_bytes(), 40);
                Error::Unsupported(format!("the repository's hash `{name}` is not known"))
            })?;
        }
        Ok(())
    }
}

/// Reads an [`Advertisement`], packet by packet.
pub struct Greeting {
    said: Advertisement,
    refs: Refs,
    octets: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// Nothing came yet.
    Start,
    /// Smart HTTP's own line came, which a flush ends (gitprotocol-http(5)).
    Service,
    /// The line with the capabilities is next.
    First,
    /// References, or capabilities of protocol 2.
    More,
}

impl Default for Greeting {
    fn default() -> Self {
        let said = Advertisement {
            version: Version::Zero,
            format: Format::Sha1,
            refs: Vec::new(),
            shallow: Vec::new(),
            capabilities: Vec::new(),
        };
        Self { said, refs: Refs::default(), octets: 0, state: State::Start }
    }
}

impl Greeting {
    /// Whose references may take so many octets of memory.
    pub fn within(memory: u64) -> Self {
        Self { refs: Refs::within(memory), ..Self::default() }
    }

    /// Takes the next packet; true when nothing more follows.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Limit`], [`Error::Memory`], [`Error::Unsupported`].
    pub fn take(&mut self, packet: Packet<'_>) -> Result<bool, Error> {
        if packet == Packet::Flush {
            let is_service = self.state == State::Service;
            self.state = if is_service { State::Start } else { State::More };
            return Ok(!is_service);
        }
        let line = packet.line("a server's first words")?;
        match (&self.state, self.said.version) {
            (State::Service, _) => return Err(Error::malformed("a flush", line)),
            (State::Start, _) if line.starts_with(b"# service=") => self.state = State::Service,
            (State::Start, _) => {
                self.state = State::First;
                match line {
                    b"version 2" => {
                        self.said.version = Version::Two;
                        self.state = State::More;
                    }
                    b"version 1" => self.said.version = Version::One,
                    _ => self.first(line)?,
                }
            }
            (State::First, _) => self.first(line)?,
            (State::More, Version::Two) => self.add(line)?,
            (State::More, _) => self.reference(line)?,
        }
        Ok(false)
    }

    /// All of it.
    ///
    /// # Errors
    /// [`Error::Unsupported`]: a hash that is not known; [`Error::Memory`].
    pub fn finish(mut self) -> Result<Advertisement, Error> {
        self.said.set_format()?;
        let mut refs = self.refs.into_vec();
        for (from, to) in self.said.values("symref").filter_map(|it| it.split_once(':')) {
            if let Some(it) = refs.iter_mut().find(|it| it.is(from)) {
                it.symref = refs::name(to.as_bytes()).transpose()?;
            }
        }
        self.said.refs = refs;
        Ok(self.said)
    }

    fn add(&mut self, capability: &[u8]) -> Result<(), Error> {
        self.octets += capability.len();
        if self.said.capabilities.len() == MOST || self.octets > MOST_OCTETS {
            return Err(Error::Limit { what: "capabilities", most: MOST as u64 });
        }
        self.said.capabilities.push(String::from_utf8_lossy(capability).into_owned());
        Ok(())
    }

    /// A reference and, behind a zero octet, the capabilities (gitprotocol-pack(5), "Reference Discovery").
    fn first(&mut self, line: &[u8]) -> Result<(), Error> {
        let mut parts = line.splitn(2, |octet| *octet == 0);
        let reference = parts.next().unwrap_or_default();
        let words = parts.next().unwrap_or_default().split(|octet| *octet == b' ');
        for word in words.filter(|word| !word.is_empty()) {
            self.add(word)?;
        }
        self.said.set_format()?;
        self.state = State::More;
        self.reference(reference)
    }

    fn reference(&mut self, line: &[u8]) -> Result<(), Error> {
        let format = self.said.format;
        if let Some(id) = line.strip_prefix(b"shallow ") {
            let id = refs::id_of(format, id).ok_or_else(|| Error::malformed("a commit", line))?;
            if self.said.shallow.len() == MOST_SHALLOW {
                return Err(Error::Limit { what: "shallow commits", most: MOST_SHALLOW as u64 });
            }
            return memory::push(&mut self.said.shallow, id);
        }
        let parsed = || {
            let (id, name) = line.split_at_checked(2 * format.octets())?;
            Some((refs::id_of(format, id)?, name.strip_prefix(b" ")?))
        };
        let wrong = || Error::malformed("a reference", line);
        let (id, name) = parsed().ok_or_else(wrong)?;
        // a repository without any reference says its capabilities so
        if name == b"capabilities^{}" {
            return Ok(());
        }
        if let Some(tag) = name.strip_suffix(b"^{}") {
            let tagged = self.refs.last_mut().filter(|it| it.name == tag).ok_or_else(wrong)?;
            tagged.peeled = Some(id);
            return Ok(());
        }
        let name = refs::name(name).ok_or_else(wrong)??;
        self.refs.push(Ref { name, id: Some(id), peeled: None, symref: None })
    }
}

/// What a git daemon is asked first (gitprotocol-pack(5), "Git Transport").
pub fn daemon_request(service: Service, path: &str, host: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let version = version_parameter(service).map(|it| format!("\0{it}\0")).unwrap_or_default();
    let line = format!("{} {path}\0host={host}\0{version}", service.name());
    pkt::write(&mut out, line.as_bytes());
    out
}

/// The command line that serves a repository where a shell takes it apart (gitprotocol-pack(5), "SSH Transport").
pub fn shell_command(service: Service, path: &str) -> String {
    let mut line = format!("{} '", service.name());
    for c in path.chars() {
        match c {
            // some shells take a history's mark even between quotes
            '\'' | '!' => line.extend(["'\\", c.encode_utf8(&mut [0; 4]), "'"]),
            c => line.push(c),
        }
    }
    line.push('\'');
    line
}

/// How protocol 2 is asked for where the transport has a place for that: an environment variable, a header field. There
/// is none for changing references.
pub fn version_parameter(service: Service) -> Option<&'static str> {
    (service == Service::UploadPack).then_some("version=2")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn greeted(lines: &[&str]) -> Result<Advertisement, Error> {
        let mut greeting = Greeting::default();
        for line in lines {
            assert!(!greeting.take(Packet::Data(line.as_bytes()))?);
        }
        assert!(greeting.take(Packet::Flush)?);
        greeting.finish()
    }

    #[test]
    fn protocol_two_says_what_it_can() {
        let said = greeted(&[
            "version 2\n",
            "agent=git/2.39\n",
            "ls-refs=unborn\n",
            "fetch=shallow wait-for-done\n",
            "object-format=sha256\n",
        ]);
        let said = said.unwrap();
        assert_eq!((said.version, said.format), (Version::Two, Format::Sha256));
        assert!(said.has_in("fetch", "shallow") && !said.has_in("fetch", "filter"));
        assert!(said.capability("fetch-more").is_none() && said.capability("fetc").is_none());
    }

    #[test]
    fn older_protocols_bring_references() {
        let first = format!("{ID} HEAD\0 side-band-64k symref=HEAD:refs/heads/main agent=git\n");
        let rest = [format!("{ID} refs/tags/v1\n"), format!("{ID} refs/tags/v1^{{}}\n")];
        let lines = [first.as_str(), &rest[0], &rest[1]];
        for (version, before) in [(Version::Zero, None), (Version::One, Some("version 1\n"))] {
            let all: Vec<_> = before.into_iter().chain(lines).collect();
            let said = greeted(&all).unwrap();
            assert_eq!((said.version, said.refs.len()), (version, 2));
            assert_eq!(said.refs[0].symref.as_deref(), Some(&b"refs/heads/main"[..]));
            assert!(said.refs[1].peeled.is_some());
        }
    }

    #[test]
    fn a_repository_may_be_a_part_itself() {
        let first = format!("{ID} HEAD\0shallow\n");
        let said = greeted(&[&first, &format!("shallow {ID}\n")]).unwrap();
        assert_eq!((said.refs.len(), said.shallow.len()), (1, 1));
        assert!(greeted(&[&first, "shallow 12\n"]).is_err());
    }

    #[test]
    fn smart_http_says_its_service_first() {
        let mut greeting = Greeting::default();
        let service = Packet::Data(b"# service=git-upload-pack\n");
        for packet in [service, Packet::Flush, Packet::Data(b"version 2\n")] {
            assert!(!greeting.take(packet).unwrap());
        }
        assert!(greeting.take(Packet::Flush).unwrap());
        let mut greeting = Greeting::default();
        greeting.take(service).unwrap();
        assert!(greeting.take(service).is_err());
    }

    #[test]
    fn an_empty_repository_has_capabilities_alone() {
        let zero = "0".repeat(64);
        let said =
            greeted(&[&format!("{zero} capabilities^{{}}\0object-format=sha256 delete-refs\n")]);
        let said = said.unwrap();
        assert_eq!((said.refs.len(), said.format), (0, Format::Sha256));
        assert!(said.capability("delete-refs").is_some());
    }

    #[test]
    fn what_is_no_greeting_is_refused() {
        for lines in [
            &["SSH-2.0-x"][..],
            &["version 3\n"],
            &["version 1\n", "hello"],
            &[&format!("{ID} refs/tags/v1^{{}}")],
            &["version 2\n", "object-format=md5\n"],
        ] {
            assert!(greeted(lines).is_err(), "{lines:?}");
        }
        let mut flood = vec!["version 2\n"];
        flood.resize(MOST + 2, "x");
        assert!(matches!(greeted(&flood), Err(Error::Limit { .. })));
    }

    #[test]
    fn a_daemon_is_told_path_host_and_version() {
        let asked = daemon_request(Service::UploadPack, "/a.git", "h:9418");
        assert_eq!(asked, b"0032git-upload-pack /a.git\0host=h:9418\0\0version=2\0");
    }

    #[test]
    fn a_shell_gets_one_word() {
        let line = |path| shell_command(Service::ReceivePack, path);
        assert_eq!(line("a b;$c"), "git-receive-pack 'a b;$c'");
        assert_eq!(line("it's!"), r"git-receive-pack 'it'\''s'\!''");
    }
}
