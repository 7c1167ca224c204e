//! Reports as text.

use core::fmt;

use super::{Attempt, AttemptResult, Cycle, Lack, Missing, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values\n")?;
        for given in &self.values {
            writeln!(f, "  {} = {}", given.key, given.value)?;
        }
        f.write_str("plan\n")?;
        for candidate in &self.plan {
            writeln!(f, "  {} {}", candidate.protocol, candidate.endpoint)?;
        }
        f.write_str("attempts\n")?;
        for attempt in &self.attempts {
            writeln!(f, "  {attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.chain.iter().enumerate() {
            f.write_str(match index {
                0 => "",
                1 => " needs ",
                _ => " ← ",
            })?;
            if self.elided > 0 && index + 1 == self.chain.len() {
                write!(f, "… ({} more) ← ", self.elided)?;
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
            Self::Failed(error) => error.fmt(f),
            Self::Cyclic(cycle) => cycle.fmt(f),
            Self::Unfinished => f.write_str("not known when the resolution ended"),
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cycle ")?;
        for name in self.keys.iter().chain(self.keys.first()).enumerate() {
            let (index, name) = name;
            let arrow = if index > 0 { " → " } else { "" };
            write!(f, "{arrow}{name}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.protocol, self.endpoint, self.result)
    }
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Failed(error) => error.fmt(f),
            Self::Cancelled => f.write_str("dropped, another one was faster"),
            Self::TimedOut => f.write_str("dropped at the deadline"),
            Self::Unregistered => f.write_str("not registered any more"),
        }
    }
}
