//! The bar of a machine's payload: the machine tells how far it is by a port of its own, and we draw.
//!
//! The other end of that port is a pipe that QEMU inherits. What comes through it the machine may have made up: it is read
//! as lines of the crate `progress`, and nothing of it reaches the terminal but numbers.

use std::io::{self, IsTerminal, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context, Result};
use progress::Screen;
use rustix::io::{FdFlags, fcntl_setfd};

/// A bar that is to be drawn.
pub struct Bar {
    screen: Screen,
    events: PipeReader,
    port: PipeWriter,
}

impl Bar {
    /// A bar for a machine with these words, where our standard error is a terminal and the payload does not go to
    /// a terminal itself, in whose middle it would stand.
    pub fn for_words(words: &[String]) -> Result<Option<Self>> {
        if io::stdout().is_terminal() && !is_discarded(words) {
            return Ok(None);
        }
        let Some(screen) = Screen::of_stderr() else { return Ok(None) };
        let (events, port) = io::pipe().context("no pipe for the machine's progress")?;
        // the one descriptor that a child of ours inherits beside its streams
        fcntl_setfd(&port, FdFlags::empty()).context("no pipe for the machine's progress")?;
        Ok(Some(Self { screen, events, port }))
    }

    /// The number of the machine's end, in QEMU too.
    pub fn port(&self) -> RawFd {
        self.port.as_raw_fd()
    }

    /// Once the child has its end: ours of the pipe, and the terminal.
    pub fn split(self) -> (PipeReader, Screen) {
        (self.events, self.screen)
    }
}

/// Draws to the end of the events.
pub fn draw(mut events: PipeReader, screen: &Screen) {
    // an error is an end, too: the bar stays as it is
    let _ = io::copy(&mut events, &mut screen.events());
    screen.end();
}

/// Whether the words say that the payload is not printed.
fn is_discarded(words: &[String]) -> bool {
    let (name, value) = ("--output", "discard");
    words.iter().any(|word| word.strip_prefix(name) == Some("=discard"))
        || words.windows(2).any(|pair| pair == [name, value])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_said_in_two_ways() {
        let is_discarded =
            |line: &str| is_discarded(&line.split(' ').map(String::from).collect::<Vec<_>>());
        assert!(is_discarded("http://h/ --output=discard"));
        assert!(is_discarded("http://h/ --output discard -i"));
        assert!(!is_discarded("http://h/ --output=stdout discard"));
    }
}
