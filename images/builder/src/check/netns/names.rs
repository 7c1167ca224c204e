//! A name server that does what it is told: late, wrong, cut or no answers, which no real one gives on demand.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::network::{HOST_2, Network};
use super::web::is_before;

/// A name, a kind of record, and what is answered to that question. A question that no row is about is answered
/// by no records where the name is in another row, and by NXDOMAIN where it is in none.
#[derive(Debug, Clone, Copy)]
pub struct Row(pub &'static str, pub Kind, pub Reply);

/// The kinds of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// What is done about a question.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// These addresses.
    Addresses(&'static [&'static str]),
    /// These addresses, and a signature of them that nobody has asked for.
    Signed(&'static [&'static str]),
    /// Another name, whose own row is not looked at.
    Alias(&'static str),
    /// These addresses after as many milliseconds.
    Late(u64, &'static [&'static str]),
    /// No records, and this code.
    Code(u8),
    /// Nothing at all.
    Silence,
    /// Over UDP only that it does not fit; over TCP these addresses.
    Truncated(&'static [&'static str]),
    /// Many forged answers with the first address, and then the true one with the second.
    Forged(&'static str, &'static str),
}

/// The answer "no such name".
pub const NXDOMAIN: u8 = 3;
/// The answer "something is wrong here".
pub const SERVFAIL: u8 = 2;

/// What was asked: `A web.test` over `udp` or `tcp`, in order.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Asked {
    /// All questions over `transport`.
    pub fn over(&self, transport: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.iter().filter(|(over, _)| *over == transport).map(|(_, asked)| asked.clone()).collect()
    }

    fn note(&self, transport: &'static str, question: &Question) {
        let mut all = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.push((transport, format!("{} {}", question.kind, question.name)));
    }
}

impl Network {
    /// Answers questions at `address`, over UDP and TCP.
    pub fn names(&self, address: &str, rows: &'static [Row]) -> Result<Asked> {
        let at: IpAddr = address.parse().with_context(|| format!("no address: {address}"))?;
        let mut sources = vec![SocketAddr::new(at, PORT)];
        if rows.iter().any(|Row(.., reply)| matches!(reply, Reply::Forged(..))) {
            sources.push(SocketAddr::new(at, 5353));
            sources.push(SocketAddr::new(HOST_2.parse()?, PORT));
        }
        let (tcp, udp) = self.enter(|| {
            let udp = sources.iter().map(UdpSocket::bind).collect::<Result<Vec<_>, _>>()?;
            Ok((TcpListener::bind(sources[0])?, Arc::new(udp)))
        })?;
        let asked = Asked::default();
        let (end, notes) = (self.end()?, asked.clone());
        thread::spawn(move || {
            let mut buf = [0; 4096];
            while is_before(&end, &udp[0]) {
                let Ok((length, client)) = udp[0].recv_from(&mut buf) else { continue };
                let Some(question) = Question::parse(&buf[..length]) else { continue };
                notes.note("udp", &question);
                let sends = replies(rows, &question);
                let udp = udp.clone();
                thread::spawn(move || {
                    for Send { after, octets, source } in sends {
                        thread::sleep(after);
                        // the machine may be gone
                        let _ = udp[source].send_to(&octets, client);
                    }
                });
            }
        });
        let (end, notes) = (self.end()?, asked.clone());
        thread::spawn(move || {
            while is_before(&end, &tcp) {
                let Ok((stream, _)) = tcp.accept() else { continue };
                let notes = notes.clone();
                thread::spawn(move || drop(serve(stream, rows, &notes)));
            }
        });
        Ok(asked)
    }
}

/// One connection: messages with their lengths before them (RFC 7766).
fn serve(mut stream: TcpStream, rows: &[Row], asked: &Asked) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message)?;
        let question = Question::parse(&message).context("not a question")?;
        asked.note("tcp", &question);
        let answer = match row(rows, &question) {
            Some(Reply::Truncated(addresses)) => Some(question.addresses(addresses)),
            _ => replies(rows, &question).pop().map(|send| send.octets),
        };
        if let Some(answer) = answer {
            stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat())?;
        }
    }
}

/// One datagram.
struct Send {
    /// Since the one before.
    after: Duration,
    octets: Vec<u8>,
    /// From which socket: 0 is the one that was asked.
    source: usize,
}

fn row<'a>(rows: &'a [Row], question: &Question) -> Option<&'a Reply> {
    let found =
        |Row(name, kind, _): &&Row| *name == question.name && kind.number() == question.kind;
    rows.iter().find(found).map(|Row(_, _, reply)| reply)
}

fn replies(rows: &[Row], question: &Question) -> Vec<Send> {
    let at_once = |octets| vec![Send { after: Duration::ZERO, octets, source: 0 }];
    match row(rows, question) {
        None => {
            let is_known = rows.iter().any(|Row(name, ..)| *name == question.name);
            at_once(question.answer(if is_known { 0 } else { NXDOMAIN }, &[]))
        }
        Some(Reply::Addresses(addresses)) => at_once(question.addresses(addresses)),
        Some(Reply::Signed(addresses)) => {
            let mut records = question.records(addresses);
            records.push((46, question.signature()));
            at_once(question.answer(0, &records))
        }
        Some(Reply::Alias(name)) => at_once(question.answer(0, &[(5, encoded(name))])),
        Some(Reply::Late(delay, addresses)) => {
            let mut all = at_once(question.addresses(addresses));
            all[0].after = Duration::from_millis(*delay);
            all
        }
        Some(Reply::Code(code)) => at_once(question.answer(*code, &[])),
        Some(Reply::Silence) => vec![],
        Some(Reply::Truncated(_)) => {
            let mut octets = question.answer(0, &[]);
            octets[2] |= 0x02;
            at_once(octets)
        }
        Some(Reply::Forged(lie, truth)) => {
            let mut all = forged(question, lie);
            let octets = question.addresses(&[truth]);
            let after = Duration::from_millis(100);
            all.push(Send { after, octets, source: 0 });
            all
        }
    }
}

/// Answers that a client must not take: wrong ids, another question, octets that are no message, another
/// port, another server.
fn forged(question: &Question, lie: &str) -> Vec<Send> {
    let lie = question.addresses(&[lie]);
    let send = |octets, source| Send { after: Duration::ZERO, octets, source };
    let mut all = Vec::new();
    for guess in 1..=200_u16 {
        let mut octets = lie.clone();
        let id = u16::from_be_bytes([octets[0], octets[1]]).wrapping_add(guess);
        octets[..2].copy_from_slice(&id.to_be_bytes());
        all.push(send(octets, 0));
    }
    let mut other_name = lie.clone();
    other_name[13] ^= 0x01;
    let mut is_query = lie.clone();
    is_query[2] &= 0x7f;
    let mut pointer_to_itself = lie.clone();
    pointer_to_itself[12..14].copy_from_slice(&[0xc0, 12]);
    let cut = lie[..lie.len() - 3].to_vec();
    for octets in
        [other_name, is_query, pointer_to_itself, cut, vec![], vec![0; 3], lie[..12].to_vec()]
    {
        all.push(send(octets, 0));
    }
    all.push(send(lie.clone(), 1));
    all.push(send(lie, 2));
    all
}

/// A question, and the message it came in.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    id: [u8; 2],
    /// In small letters.
    name: String,
    kind: u16,
    /// Name, kind and class as they came: a client may look whether its capitals come back.
    octets: Vec<u8>,
}

impl Question {
    fn parse(message: &[u8]) -> Option<Self> {
        let mut at = 12;
        let mut name = String::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = message.get(at..at + length)?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
        let octets = message.get(12..at + 4)?.to_vec();
        Some(Self { id: [message[0], message[1]], name, kind, octets })
    }

    fn addresses(&self, addresses: &[&str]) -> Vec<u8> {
        self.answer(0, &self.records(addresses))
    }

    /// Those of `addresses` that are of the kind that is asked for.
    fn records(&self, addresses: &[&str]) -> Vec<(u16, Vec<u8>)> {
        let records = addresses.iter().filter_map(|address| match address.parse().ok()? {
            IpAddr::V4(address) => Some((1, address.octets().to_vec())),
            IpAddr::V6(address) => Some((28, address.octets().to_vec())),
        });
        records.filter(|(kind, _)| *kind == self.kind).collect()
    }

    /// RFC 4034 section 3.1, with a signature that is none.
    fn signature(&self) -> Vec<u8> {
        let mut octets = self.kind.to_be_bytes().to_vec();
        octets.extend([13, 2, 0, 0, 0, 60, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x12, 0x34]);
        octets.extend(encoded("test"));
        octets.extend([0x5a; 64]);
        octets
    }

    /// RFC 1035 section 4.1: the question again, and records of its name that live for a minute.
    fn answer(&self, code: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut octets = self.id.to_vec();
        octets.extend([0x85, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        octets.extend(&self.octets);
        for (kind, data) in records {
            octets.extend([0xc0, 12]);
            octets.extend(kind.to_be_bytes());
            octets.extend([0, 1, 0, 0, 0, 60]);
            octets.extend((data.len() as u16).to_be_bytes());
            octets.extend(data);
        }
        octets
    }
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

const PORT: u16 = 53;

fn encoded(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.') {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[Row] = &[
        Row("web.test", Kind::A, Reply::Addresses(&["10.9.0.1", "2001:db8:9::1"])),
        Row("late.test", Kind::Aaaa, Reply::Late(7, &["2001:db8:9::1"])),
    ];

    fn ask(name: &str, kind: u8) -> Vec<Send> {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(encoded(name));
        message.extend([0, kind, 0, 1]);
        let question = Question::parse(&message).unwrap();
        replies(ROWS, &question)
    }

    #[test]
    fn questions_are_answered_by_rows() {
        let answer = &ask("wEb.test", 1)[0].octets;
        assert_eq!(answer[..12], [7, 8, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(answer[12..16], *b"\x03wEb");
        assert_eq!(answer[answer.len() - 4..], [10, 9, 0, 1]);
        // a name of another kind exists; others do not
        assert_eq!(ask("web.test", 28)[0].octets[3..8], [0x80, 0, 1, 0, 0]);
        assert_eq!(ask("x.test", 1)[0].octets[3], 0x80 | NXDOMAIN);
        assert_eq!(ask("late.test", 28)[0].after, Duration::from_millis(7));
    }

    #[test]
    fn cut_questions_are_none() {
        let whole = b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
        assert!(Question::parse(whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Question::parse(&whole[..length]), None);
        }
    }
}
