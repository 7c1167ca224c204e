//! A terminal for a child's streams, and what it shows.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::Parser;

/// Lines and columns: nothing scrolls away, and no line of ours is cut in two.
const SIZE: (u16, u16) = (60, 250);
/// How long anything may take to be shown.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pseudo-terminal.
pub struct Terminal {
    /// The child's end; as long as it is here, the terminal does not end.
    end: OwnedFd,
    seen: Arc<Seen>,
    reader: JoinHandle<()>,
}

struct Seen {
    shown: Mutex<Shown>,
    news: Condvar,
}

struct Shown {
    parser: Parser,
    octets: Vec<u8>,
}

impl Terminal {
    /// An empty one.
    pub fn new() -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).context("no pseudo-terminal")?;
        unlockpt(&ours)?;
        let end = ioctl_tiocgptpeer(&ours, flags)?;
        let (ws_row, ws_col) = SIZE;
        tcsetwinsize(&end, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?;
        let shown = Shown { parser: Parser::new(ws_row, ws_col, 0), octets: Vec::new() };
        let seen = Arc::new(Seen { shown: Mutex::new(shown), news: Condvar::new() });
        let of_reader = seen.clone();
        let reader = thread::spawn(move || of_reader.read(&mut File::from(ours)));
        Ok(Self { end, seen, reader })
    }

    /// For a stream of a child's.
    pub fn stream(&self) -> Result<Stdio> {
        Ok(self.end.try_clone()?.into())
    }

    /// Waits until some line shows `text`.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        let mut shown = self.seen.shown.lock().expect("no reader panics");
        loop {
            let rows = rows(&shown.parser);
            if rows.iter().any(|row| row.contains(text)) {
                return Ok(());
            }
            let rest = limit.saturating_duration_since(Instant::now());
            ensure!(!rest.is_zero(), "the terminal does not show `{text}`: {rows:#?}");
            shown = self.seen.news.wait_timeout(shown, rest).expect("no reader panics").0;
        }
    }

    /// What it shows when all who had it have ended, line by line, and all octets that came.
    pub fn end(self) -> (Vec<String>, Vec<u8>) {
        drop(self.end);
        let _ = self.reader.join();
        let shown = self.seen.shown.lock().expect("no reader panics");
        (rows(&shown.parser), shown.octets.clone())
    }
}

impl Seen {
    /// Until the other end is closed, which is an error of reading.
    fn read(&self, terminal: &mut File) {
        let mut buf = [0; 4096];
        while let Ok(len @ 1..) = terminal.read(&mut buf) {
            let mut shown = self.shown.lock().expect("nobody panics with it");
            shown.parser.process(&buf[..len]);
            shown.octets.extend_from_slice(&buf[..len]);
            self.news.notify_all();
        }
    }
}

/// Without the empty ones at the end.
fn rows(parser: &Parser) -> Vec<String> {
    let rows = parser.screen().rows(0, SIZE.1).map(|row| row.trim_end().to_owned());
    let mut rows = rows.collect::<Vec<_>>();
    rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn it_shows_what_a_child_writes() {
        let terminal = Terminal::new().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r"printf 'one\r'; printf 'two\n\033[31mred' >&2; test -t 2"]);
        command.stdout(terminal.stream().unwrap()).stderr(terminal.stream().unwrap());
        assert!(command.status().unwrap().success());
        drop(command);
        terminal.wait_for("red").unwrap();
        let (rows, octets) = terminal.end();
        assert_eq!(rows, ["two", "red"]);
        assert_eq!(octets, b"one\rtwo\r\n\x1b[31mred");
    }
}
