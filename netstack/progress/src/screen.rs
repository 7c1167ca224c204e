//! The bar, and the text above it.

use crate::{Event, Lines};
use core::fmt;
use core::time::Duration;
use indicatif::{
    HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Standard error as a terminal: text that scrolls, and one bar below it.
///
/// Whatever else is written to that terminal goes through [`Self::above`], so that it never meets the bar: the bar gives
/// way to it, and stays away while a line has no end yet (a prompt). At the end the bar is left as it is, as curl leaves
/// its own. Clones are the same screen.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<State>>);

struct State {
    lines: Lines,
    /// What the bar is drawn on, until it is there.
    target: Option<ProgressDrawTarget>,
    bar: Option<ProgressBar>,
    is_over: bool,
    is_line_open: bool,
    /// The same terminal, for a line's end.
    text: Box<dyn Write + Send>,
}

/// Between two drawings while nothing happens: the rate falls, the spinner turns.
const TICK: Duration = Duration::from_millis(250);
/// What took less has no rate worth the name.
const SHORTEST: Duration = Duration::from_millis(100);

impl Screen {
    /// Standard error, if it is a terminal that can move its cursor.
    pub fn of_stderr() -> Option<Self> {
        let target = ProgressDrawTarget::stderr();
        (!target.is_hidden()).then(|| Self::new(target, Box::new(io::stderr())))
    }

    /// Any terminal, and a way to write text to it.
    fn new(target: ProgressDrawTarget, text: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(State {
            lines: Lines::default(),
            target: Some(target),
            bar: None,
            is_over: false,
            is_line_open: false,
            text,
        })))
    }

    /// Takes events as lines, from anybody.
    pub fn events(&self) -> Events {
        Events(self.clone())
    }

    /// Text for `stream`, which is standard error or shows on the same terminal.
    pub fn above<W: Write>(&self, stream: W) -> Above<W> {
        Above { screen: self.clone(), stream }
    }

    /// Leaves the bar as it is, should nobody have said that it has ended. No bar comes after that.
    pub fn end(&self) {
        self.lock().end();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // what a panic elsewhere left is good enough to be drawn
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a [`Screen`] that takes events as lines. What is no event is passed over.
pub struct Events(Screen);

impl Write for Events {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        let mut lines = core::mem::take(&mut state.lines);
        lines.push(octets, |event| state.show(event));
        state.lines = lines;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream whose text stands above the bar of a [`Screen`].
pub struct Above<W> {
    screen: Screen,
    stream: W,
}

impl<W: Write> Write for Above<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut state = self.screen.lock();
        let Some(last) = octets.last() else { return Ok(0) };
        state.is_line_open = *last != b'\n';
        let stream = &mut self.stream;
        let mut write = || {
            stream.write_all(octets)?;
            stream.flush()
        };
        match &state.bar {
            Some(bar) => {
                bar.set_style(style(state.is_line_open, bar.length().is_some()));
                bar.suspend(write)?;
            }
            None => write()?,
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl State {
    fn show(&mut self, event: Event) {
        if self.is_over {
            return;
        }
        let Event { octets, total, is_last } = event;
        let style = style(self.is_line_open, total.is_some());
        let bar = self.bar.get_or_insert_with(|| {
            let target = self.target.take().unwrap_or_else(ProgressDrawTarget::hidden);
            let bar = ProgressBar::with_draw_target(total, target).with_style(style.clone());
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_style(style);
        bar.update(|state| state.set_pos(octets));
        // these draw, but not more often than a terminal should
        match total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
        if is_last {
            self.end();
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        let Some(bar) = self.bar.take() else { return };
        // a terminal that is gone is nobody's to look at
        if core::mem::take(&mut self.is_line_open) {
            let _ = self.text.write_all(b"\n");
        }
        bar.set_style(style(false, bar.length().is_some()));
        bar.abandon();
        let _ = self.text.write_all(b"\n").and_then(|()| self.text.flush());
    }
}

/// The bar where the whole is known, else a count; nothing while a line is open.
fn style(is_line_open: bool, is_known: bool) -> ProgressStyle {
    let template = match (is_line_open, is_known) {
        (true, _) => "",
        (false, true) => "[{bar:30}] {percent:>3}%  {bytes} of {total_bytes}{rate}{time}",
        (false, false) => "{spinner} {bytes}{rate}{time}",
    };
    let style = ProgressStyle::with_template(template).expect("a template of ours");
    style.progress_chars("=> ").tick_chars("-\\|/ ").with_key("rate", rate).with_key("time", time)
}

fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.elapsed() >= SHORTEST {
        // what cannot be formatted is not there, that is all
        let _ = write!(out, "  {}/s", HumanBytes(state.per_sec() as u64));
    }
}

/// What it took, or will.
fn time(state: &ProgressState, out: &mut dyn fmt::Write) {
    let is_told = state.elapsed() >= SHORTEST && state.per_sec() > 0.0;
    let _ = match (state.is_finished(), state.len()) {
        (true, _) => write!(out, "  in {:.1} s", state.elapsed().as_secs_f32()),
        (false, Some(_)) if is_told => write!(out, "  {:#} left", HumanDuration(state.eta())),
        (false, _) => Ok(()),
    };
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
