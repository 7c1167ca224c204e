//! The files by which a machine of uhyve's writes its payload and reads its input.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::scratch::Scratch;

/// Two pipes with names, and a directory for what comes in; dropping it removes them.
#[derive(Debug)]
pub struct Files {
    scratch: Scratch,
    /// The reader's end of the payload, and a writer's: without one it would be at its end before the machine
    /// has opened it.
    payload: (File, File),
    more: File,
}

impl Files {
    /// Fresh ones.
    pub fn new() -> io::Result<Self> {
        let scratch = Scratch::new("uhyve")?;
        for directory in ["input", "tmp"] {
            fs::create_dir(scratch.path().join(directory))?;
        }
        File::create(scratch.path().join(END))?;
        let pipe = |name: &str| {
            let path = scratch.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            // both ends at once: opening one would wait for the other
            let both = File::options().read(true).write(true).open(&path)?;
            io::Result::Ok((File::open(path)?, both))
        };
        let payload = pipe("stdout")?;
        let (_, more) = pipe("input/more")?;
        Ok(Self { scratch, payload, more })
    }

    /// What the machine finds where.
    pub fn mappings(&self) -> [(PathBuf, &'static str); 3] {
        let at = |name: &str| self.scratch.path().join(name);
        [(at("stdout"), "/root/stdout"), (at("input"), "/root/input"), (at(END), "/root/end")]
    }

    /// A directory for uhyve's own use.
    pub fn temporary(&self) -> PathBuf {
        self.scratch.path().join("tmp")
    }

    /// The payload, and what keeps it from ending: to be dropped when the machine has ended.
    pub fn payload(&self) -> io::Result<(File, File)> {
        Ok((self.payload.0.try_clone()?, self.payload.1.try_clone()?))
    }

    /// What answers the machine's questions for input.
    pub fn input(&self) -> io::Result<Answers> {
        Ok(Answers { more: self.more.try_clone()?, directory: self.scratch.path().join("input") })
    }

    /// The payload's two ends are closed here, the directory stays.
    pub fn into_directory(self) -> Scratch {
        self.scratch
    }
}

/// Whether the program in the machine of this directory began and never ended: the machine broke down, which
/// uhyve tells nobody.
pub fn is_broken(directory: &Scratch) -> bool {
    fs::read(directory.path().join(END)).is_ok_and(|mark| mark == b"-")
}

/// The file in which the program says that it has begun, and that it has ended.
const END: &str = "end";

/// Answers the machine's questions for input: nothing is read before the first of them.
#[derive(Debug)]
pub struct Answers {
    more: File,
    directory: PathBuf,
}

impl Answers {
    /// Answers with what `input` gives, to its end, which is an empty answer.
    pub fn serve(mut self, input: &mut impl Read) -> io::Result<()> {
        let mut buffer = vec![0; LARGEST];
        for number in 0_u64.. {
            self.more.read_exact(&mut [0])?;
            let length = loop {
                match input.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // an input that cannot be read has ended
                    result => break result.unwrap_or(0),
                }
            };
            put(&self.directory, number, &buffer[..length])?;
            if length == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// The answer is there at once and whole; the one before it was read, or it would not have been asked for.
fn put(directory: &Path, number: u64, content: &[u8]) -> io::Result<()> {
    if let Some(before) = number.checked_sub(1) {
        fs::remove_file(directory.join(before.to_string()))?;
    }
    let partial = directory.join("partial");
    fs::write(&partial, content)?;
    fs::rename(partial, directory.join(number.to_string()))
}

/// Octets of an answer.
const LARGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn input_comes_in_answers_and_ends_with_an_empty_one() {
        let files = Files::new().unwrap();
        let answers = files.input().unwrap();
        let directory = files.mappings()[1].0.clone();
        let mut more = File::options().write(true).open(directory.join("more")).unwrap();
        let content = (0..LARGEST + 3).map(|n| n as u8).collect::<Vec<_>>();
        let sent = content.clone();
        let server = thread::spawn(move || answers.serve(&mut &sent[..]));
        let mut came = Vec::new();
        for number in 0.. {
            more.write_all(b"\n").unwrap();
            let answer = loop {
                match fs::read(directory.join(number.to_string())) {
                    Ok(answer) => break answer,
                    Err(_) => thread::yield_now(),
                }
            };
            if answer.is_empty() {
                break;
            }
            came.extend(answer);
        }
        assert_eq!(came, content);
        server.join().unwrap().unwrap();
    }

    #[test]
    fn a_program_that_began_has_to_end() {
        let files = Files::new().unwrap();
        let path = files.mappings()[2].0.clone();
        let directory = files.into_directory();
        // one that knows nothing of it is believed
        for (mark, broken) in [("", false), ("-", true), ("+", false)] {
            fs::write(&path, mark).unwrap();
            assert_eq!(is_broken(&directory), broken, "{mark:?}");
        }
    }

    #[test]
    fn the_payload_ends_when_nobody_can_write_any_more() {
        let files = Files::new().unwrap();
        let path = files.mappings()[0].0.clone();
        let (mut payload, held) = files.payload().unwrap();
        let directory = files.into_directory();
        fs::write(path, "payload").unwrap();
        drop(held);
        let mut text = String::new();
        payload.read_to_string(&mut text).unwrap();
        assert_eq!(text, "payload");
        drop(directory);
    }
}
