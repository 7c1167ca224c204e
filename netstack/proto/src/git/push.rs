//! Asking a server to change references, and its report (gitprotocol-pack(5), "Pushing Data To a Server").

use super::advertisement::Advertisement;
use super::error::{Error, printable};
use super::oid::ObjectId;
use super::pkt::{self, Packet};

/// A change of one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its whole name.
    pub name: String,
    /// What it names now; `None` where it is to be made.
    pub old: Option<ObjectId>,
    /// What it is to name; `None` where it is to be deleted.
    pub new: Option<ObjectId>,
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The reference.
    pub name: String,
    /// Nothing, or why it is as it was.
    pub outcome: Result<(), String>,
}

const CAPABILITIES: [&str; 4] = ["report-status", "side-band-64k", "atomic", "delete-refs"];

/// The message without the pack that follows it where a command makes or moves a reference.
///
/// # Errors
/// [`Error::Unsupported`]: the server deletes no references, or does not report.
pub fn message(to: &Advertisement, commands: &[Command]) -> Result<Vec<u8>, Error> {
    let needs = |name: &str, text: &str| match to.capability(name) {
        Some(_) => Ok(()),
        None => Err(Error::Unsupported(text.into())),
    };
    needs("report-status", "the server does not report what it did")?;
    if commands.iter().any(|command| command.new.is_none()) {
        needs("delete-refs", "the server deletes no references")?;
    }
    let nothing = ObjectId::zero(to.format);
    let mut out = Vec::new();
    let mut chosen = format!("\0{}", to.chosen(&CAPABILITIES));
    for Command { name, old, new } in commands {
        let (old, new) = (old.unwrap_or(nothing), new.unwrap_or(nothing));
        pkt::write(&mut out, format!("{old} {new} {name}{chosen}").as_bytes());
        chosen.clear();
    }
    out.extend(pkt::FLUSH);
    Ok(out)
}

/// Whether a pack follows the message: not where references are only deleted.
pub fn sends_pack(commands: &[Command]) -> bool {
    commands.iter().any(|command| command.new.is_some())
}

/// Reads a server's report.
#[derive(Debug, Default)]
pub struct Report {
    unpacked: bool,
    statuses: Vec<Status>,
}

/// The most references that a report tells of.
const MOST: usize = 10_000;

impl Report {
    /// Takes the next packet; true at the end.
    ///
    /// # Errors
    /// [`Error::Refused`]: the pack was not taken; [`Error::Malformed`]; [`Error::Limit`].
    pub fn take(&mut self, packet: Packet<'_>) -> Result<bool, Error> {
        const EXPECTED: &str = "a report of a push";
        if packet == Packet::Flush && self.unpacked {
            return Ok(true);
        }
        let line = packet.line(EXPECTED)?;
        let wrong = || Error::malformed(EXPECTED, line);
        if !self.unpacked {
            let outcome = line.strip_prefix(b"unpack ").ok_or_else(wrong)?;
            self.unpacked = true;
            return match outcome {
                b"ok" => Ok(false),
                text => Err(Error::refused(text)),
            };
        }
        let text = |octets: &[u8]| printable(octets, 500);
        let status = match (line.strip_prefix(b"ok "), line.strip_prefix(b"ng ")) {
            (Some(name), _) => Status { name: text(name), outcome: Ok(()) },
            (_, Some(rest)) => {
                let space = rest.iter().position(|octet| *octet == b' ').ok_or_else(wrong)?;
                Status { name: text(&rest[..space]), outcome: Err(text(&rest[space + 1..])) }
            }
            _ => return Err(wrong()),
        };
        if self.statuses.len() == MOST {
            return Err(Error::Limit { what: "references in a report", most: MOST as u64 });
        }
        self.statuses.push(status);
        Ok(false)
    }

    /// What became of each reference.
    pub fn into_statuses(self) -> Vec<Status> {
        self.statuses
    }
}

#[cfg(test)]
mod tests {
    use super::super::advertisement::Greeting;
    use super::*;

    const ID: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn greeted(capabilities: &str) -> Advertisement {
        let mut greeting = Greeting::default();
        let line = format!("{ID} refs/heads/main\0{capabilities}\n");
        greeting.take(Packet::Data(line.as_bytes())).unwrap();
        greeting.finish().unwrap()
    }

    fn command(old: bool, new: bool) -> Command {
        let id = ObjectId::from_hex(ID.as_bytes());
        let of = |there: bool| if there { id } else { None };
        Command { name: "refs/heads/main".into(), old: of(old), new: of(new) }
    }

    #[test]
    fn commands_name_old_and_new() {
        let to = greeted("report-status delete-refs side-band-64k");
        let commands = [command(true, false), command(false, true)];
        let out = message(&to, &commands).unwrap();
        let zero = "0".repeat(40);
        let first =
            format!("{ID} {zero} refs/heads/main\0 report-status side-band-64k delete-refs");
        let (packet, len) = pkt::parse(&out).unwrap().unwrap();
        assert_eq!(packet, Packet::Data(first.as_bytes()));
        let second = format!("{zero} {ID} refs/heads/main");
        assert_eq!(pkt::parse(&out[len..]).unwrap().unwrap().0, Packet::Data(second.as_bytes()));
        assert!(sends_pack(&commands) && !sends_pack(&commands[..1]));
        assert!(message(&greeted("report-status"), &commands).is_err(), "it deletes nothing");
        assert!(message(&greeted(""), &commands[1..]).is_err(), "it reports nothing");
    }

    fn reported(lines: &[&str]) -> Result<Vec<Status>, Error> {
        let mut report = Report::default();
        for line in lines {
            assert!(!report.take(Packet::Data(line.as_bytes()))?);
        }
        assert!(report.take(Packet::Flush)?);
        Ok(report.into_statuses())
    }

    #[test]
    fn reports_tell_of_each_reference() {
        let statuses = reported(&["unpack ok\n", "ok a\n", "ng b non-fast forward\n"]).unwrap();
        assert_eq!(statuses[0], Status { name: "a".into(), outcome: Ok(()) });
        assert_eq!(statuses[1].outcome, Err("non-fast forward".into()));
        assert_eq!(reported(&["unpack no room\n"]), Err(Error::Refused("no room".into())));
        for lines in [&[][..], &["ok a"], &["unpack ok", "ng a"], &["unpack ok", "x"]] {
            assert!(matches!(reported(lines), Err(Error::Malformed { .. })), "{lines:?}");
        }
    }
}
