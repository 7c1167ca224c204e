//! Reports as text: a section each for values, derivations, plan and attempts.

use alloc::format;
use alloc::string::{String, ToString};
use core::error::Error;
use core::fmt;
use core::time::Duration;

use super::{
    Attempt, AttemptResult, Candidate, Cycle, Derived, Input, InputKind, Lack, Missing, Origin,
    Outcome, Report, Span,
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().map(|given| (given.key.clean(), given.value.clean()));
        section(f, "values", values)?;
        let derivations = self.derivations.iter().map(|derived| {
            let time = if self.timed { derived.time() } else { None };
            (derived.key.clean(), [time.as_deref().unwrap_or(""), &derived.clean()].concat())
        });
        section(f, "derivations", derivations)?;
        let there = self.plan.iter().enumerate().map(|(index, candidate)| {
            (format!("{}. {}", index + 1, candidate.title()), candidate.clean())
        });
        let missing = self.missing.iter().map(|missing| {
            (format!("-  {}", missing.protocol), format!("{}: {}", missing.rank(), missing.clean()))
        });
        section(f, "plan", there.chain(missing))?;
        section(f, "cycles", self.cycles.iter().map(|cycle| (cycle.clean(), String::new())))?;
        let attempts = self.attempts.iter().map(|attempt| {
            let times = if self.timed { attempt.span.to_string() + "  " } else { String::new() };
            (attempt.title(), times + &attempt.result.clean())
        });
        section(f, "attempts", attempts)?;
        match self.winner.and_then(|winner| self.attempts.get(winner)) {
            Some(winner) => write!(f, "connected: {}", winner.title())?,
            None if self.attempts.is_empty() && !self.plan.is_empty() => f.write_str("planned")?,
            None => f.write_str("not connected")?,
        }
        if self.timed {
            write!(f, " after {}", Time(self.span.length()))?;
        }
        Ok(())
    }
}

/// A headed table of two columns; nothing when there are no rows.
fn section(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (String, String)> + Clone,
) -> fmt::Result {
    let widths = rows.clone().map(|(left, _)| left.chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut title = Some(title);
    for (left, right) in rows {
        if let Some(title) = title.take() {
            writeln!(f, "{title}")?;
        }
        writeln!(f, "{}", format!("  {left:width$}  {right}").trim_end())?;
    }
    Ok(())
}

/// A left column wider than this does not widen that of the other rows.
const WIDEST: usize = 40;

/// Text for a terminal: on one line, and without control characters, since an error may quote
/// what a peer sent.
trait Clean: fmt::Display {
    fn clean(&self) -> String {
        let text = self.to_string();
        if !text.contains(char::is_control) {
            return text;
        }
        let mut clean = String::with_capacity(text.len());
        for char in text.chars() {
            if char.is_control() {
                clean.extend(char.escape_default());
            } else {
                clean.push(char);
            }
        }
        clean
    }
}

impl<T: fmt::Display> Clean for T {}

impl Derived {
    /// How long it ran, when it did.
    fn time(&self) -> Option<String> {
        match self.outcome {
            Outcome::Produced(_) | Outcome::Nothing | Outcome::Failed(_) => {
                Some(Time(self.span.length()).to_string() + "  ")
            }
            Outcome::Lacked(_) | Outcome::Cyclic(_) | Outcome::Unfinished => None,
        }
    }
}

/// The result, and for one that ran what it was made from.
impl fmt::Display for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        if let Outcome::Lacked(_) | Outcome::Cyclic(_) = self.outcome {
            return Ok(());
        }
        for (index, input) in self.inputs.iter().enumerate() {
            f.write_str(if index == 0 { "  from " } else { ", " })?;
            input.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, self.kind) {
            (Some(value), InputKind::Defaulted) => write!(f, "{} = {value} by default", self.key),
            (Some(value), _) => write!(f, "{} = {value}", self.key),
            (None, _) => write!(f, "no {}", self.key),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Produced(value) => value.fmt(f),
            Self::Nothing => f.write_str("nothing"),
            Self::Failed(error) => Causes(&**error).fmt(f),
            Self::Lacked(key) => write!(f, "not run without {key}"),
            Self::Cyclic(_) => f.write_str("not run, it leads back to itself"),
            Self::Unfinished => f.write_str("unfinished"),
        }
    }
}

impl Candidate {
    fn title(&self) -> String {
        format!("{} {}", self.protocol, self.endpoint.clean())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", Rank(self.priority), self.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(0) => f.write_str("given"),
            Self::Value(rank) => write!(f, "given, {rank} newer"),
            Self::Derivation(_) => f.write_str("derived"),
        }
    }
}

impl Missing {
    fn rank(&self) -> Rank {
        Rank(self.priority)
    }
}

/// The chain of keys and what the last one lacks: `tls needs tls-config ← authenticator: not
/// given`.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.chain.iter().enumerate() {
            f.write_str(match index {
                0 => "",
                1 => " needs ",
                _ => " ← ",
            })?;
            if self.elided > 0 && index + 1 == self.chain.len() {
                write!(f, "… {} more … ← ", self.elided)?;
            }
            name.fmt(f)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGiven => f.write_str("not given"),
            Self::Nothing => f.write_str("its derivation produced nothing"),
            Self::Failed(error) => Causes(&**error).fmt(f),
            Self::Cyclic(cycle) => write!(f, "cycle {cycle}"),
            Self::Unfinished => f.write_str("unfinished"),
        }
    }
}

/// The keys in order and the first one again: `a → b → a`.
impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.keys.iter().chain(self.keys.first()).enumerate() {
            let arrow = if index > 0 { " → " } else { "" };
            write!(f, "{arrow}{name}")?;
        }
        Ok(())
    }
}

impl Attempt {
    fn title(&self) -> String {
        format!("{} {}", self.protocol, self.endpoint.clean())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title(), self.result)
    }
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Failed(error) => Causes(&**error).fmt(f),
            Self::Cancelled => f.write_str("dropped, another one won"),
            Self::TimedOut => f.write_str("dropped at the deadline"),
            Self::Unregistered => f.write_str("no longer registered"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", Time(self.start), Time(self.end))
    }
}

/// An error and what stands behind it, `a: b: c`; a cause that the text before it quotes already
/// is not written again.
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        f.write_str(&text.clean())
    }
}

struct Rank(Option<u32>);

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(priority) => write!(f, "priority {priority}"),
            None => f.write_str("no priority"),
        }
    }
}

/// A time in the unit that suits it.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            0 => f.write_str("0 ms"),
            1..10_000 => write!(f, "{}.{:02} ms", micros / 1000, micros % 1000 / 10),
            10_000..1_000_000 => write!(f, "{} ms", micros / 1000),
            _ => write!(f, "{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
        }
    }
}
