//! What a PC's devices do elsewhere, under the uhyve hypervisor: streams and values are files of the host.
//!
//! uhyve gives its machine one device, the network's, and writes standard output and standard error to the
//! same place. But it opens files for its machine (`--file-mapping HOST:GUEST`), and these are looked for:
//!
//! | the machine's | is |
//! |---|---|
//! | `/root/stdout` | standard output, a pipe; without it, uhyve's own output |
//! | `/root/input/more` | a pipe: an octet in it asks for more of standard input |
//! | `/root/input/0`, `1`, … | the answers, each a file that is there at once and whole; an empty one is the end |
//! | `/root/end` | `-` from when the output is opened, `+` from the program's end: uhyve gives 0 for a machine that broke down, too |
//! | `/root/arguments/NAME` | the value of the argument `NAME`, for each name in the environment's `MIMIC_ARGUMENTS` |
//!
//! Reading a pipe would stop the whole machine until something comes, and nothing tells the machine that a
//! file is there now: so it is looked for again and again, but only while the program waits for input.

use crate::args::Aside;
use client::sink::{Input, Output};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_io::AsyncRead;
use futures_lite::io::AssertAsync;
use stack::Net;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Where uhyve's files are.
const FILES: &str = "/root";
/// Between two looks for input.
const LOOK: Duration = Duration::from_millis(5);

/// The values of arguments that came as files.
pub fn asides() -> Vec<Aside> {
    let names = std::env::var("MIMIC_ARGUMENTS").unwrap_or_default();
    let names = names.split(',').filter(|name| !name.is_empty());
    names
        .filter_map(|name| {
            let mut file = File::open(format!("{FILES}/arguments/{name}")).ok()?;
            Some((name.to_owned(), read_all(&mut file).ok()?))
        })
        .collect()
}

/// Standard output.
pub fn output() -> Output {
    note(b"-");
    match File::options().write(true).open(format!("{FILES}/stdout")) {
        Ok(file) => Box::new(AssertAsync::new(file)),
        Err(_) => Box::new(AssertAsync::new(io::stdout())),
    }
}

/// The program ends; whatever ends the machine from here on, it has done its work.
pub fn ended() {
    note(b"+");
}

/// Whoever waits for the machine need not want to know.
fn note(mark: &[u8; 1]) {
    if let Ok(mut file) = File::options().write(true).open(format!("{FILES}/end")) {
        let _ = file.write_all(mark);
    }
}

/// Standard input; its pipe is opened with the first read.
pub fn input(net: Arc<dyn Net>) -> Input {
    let rest = Some(io::Cursor::default());
    Box::new(Stdin { net, more: None, asked: 0, answered: 0, rest, timer: None })
}

struct Stdin {
    net: Arc<dyn Net>,
    more: Option<File>,
    /// How often more was asked for, and how often it came: one question at a time.
    asked: u64,
    answered: u64,
    /// What came and was not read. None after the end.
    rest: Option<io::Cursor<Vec<u8>>>,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Stdin {
    /// Asks for more; false where nobody is to be asked.
    fn ask(&mut self) -> io::Result<bool> {
        if self.more.is_none() {
            self.more = File::options().write(true).open(format!("{FILES}/input/more")).ok();
        }
        let Some(more) = &mut self.more else { return Ok(false) };
        more.write_all(b"\n")?;
        self.asked += 1;
        Ok(true)
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let Some(rest) = &mut self.rest else { return Poll::Ready(Ok(0)) };
            match rest.read(octets)? {
                0 if octets.is_empty() => return Poll::Ready(Ok(0)),
                0 => {}
                count => return Poll::Ready(Ok(count)),
            }
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            if self.asked == self.answered && !self.ask()? {
                self.rest = None;
                continue;
            }
            match File::open(format!("{FILES}/input/{}", self.answered)) {
                Ok(mut file) => {
                    let came = read_all(&mut file)?;
                    self.answered += 1;
                    self.rest = (!came.is_empty()).then(|| io::Cursor::new(came));
                }
                Err(_) => self.timer = Some(self.net.sleep(LOOK)),
            }
        }
    }
}

/// A file's content, without asking how much it is: uhyve does not tell.
fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}
