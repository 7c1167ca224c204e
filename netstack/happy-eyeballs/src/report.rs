//! What one call did: every query, every attempt, and what became of each.

use crate::request::Kind;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// Everything that was tried, in the order of its start. `E` is the caller's cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<E> {
    /// The name asked for; `None` for addresses.
    pub name: Option<Arc<str>>,
    /// When the call began.
    pub started: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What was asked.
    pub queries: Vec<Query<E>>,
    /// What was connected to.
    pub attempts: Vec<Attempt<E>>,
    /// What would have come next.
    pub untried: Vec<SocketAddr>,
    /// Addresses that were named and not used.
    pub skipped: Vec<(IpAddr, Skip)>,
}

/// One question, its repetitions included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<E> {
    /// The name.
    pub name: Arc<str>,
    /// What was asked for.
    pub kind: Kind,
    /// How often it was asked.
    pub tries: u8,
    /// When it was first asked.
    pub started: Duration,
    /// When it was answered or given up; the call's end if it was still open then.
    pub ended: Duration,
    /// What came of it.
    pub answer: Answer<E>,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<E> {
    /// An answer with so many records; 0 says that there are none.
    Records(usize),
    /// It failed.
    Failed(E),
    /// Every try stayed without an answer for the resolve timeout.
    Silent,
    /// Still open at the end.
    Open,
}

/// One attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt<E> {
    /// Where to.
    pub remote: SocketAddr,
    /// When it began.
    pub started: Duration,
    /// When it ended, by whatever cause.
    pub ended: Duration,
    /// What came of it.
    pub outcome: Outcome<E>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<E> {
    /// It connected, first of all.
    Connected,
    /// It failed.
    Failed(E),
    /// Cancelled: another one connected before it.
    Outrun,
    /// Cancelled: neither connected nor failed when the time was up.
    Unanswered,
    /// Cancelled: the caller gave the call up.
    Abandoned,
}

/// Why an address was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// The machine has no address of its family, or may not use it.
    NoLocalAddress,
    /// Unspecified, multicast, broadcast or an IPv4-mapped answer: nothing that a name may stand
    /// for.
    NotUnicast,
    /// Not of the family that the query asked for.
    WrongFamily,
    /// More addresses than the call's bound.
    TooMany,
}

/// A connection, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected<E> {
    /// The attempt that won; every other one was cancelled or had failed.
    pub attempt: crate::AttemptId,
    /// Its address.
    pub remote: SocketAddr,
    /// What the service records say is spoken there; empty where they say nothing.
    pub alpn: Vec<Vec<u8>>,
    /// The whole story.
    pub report: Report<E>,
}

/// No connection: why, and all that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error<E> {
    /// Why the call ended.
    pub reason: Reason,
    /// The whole story.
    pub report: Report<E>,
}

/// Why a call ended without a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The caller gave up.
    Abandoned,
    /// Every address was tried, every attempt failed.
    AllFailed,
    /// The answers hold no address that can be used.
    NoAddress,
    /// The machine has no address to connect from.
    NoLocalAddress,
    /// The connect timeout is over.
    TimedOut,
    /// No answer to a query held an address, and at least one failed or stayed without an answer.
    Unresolved,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandoned => "given up",
            Self::AllFailed => "every address failed",
            Self::NoAddress => "no address to use",
            Self::NoLocalAddress => "no local address to connect from",
            Self::TimedOut => "timed out",
            Self::Unresolved => "the name could not be resolved",
        })
    }
}

/// Says on one line why there is no connection, then every cause.
impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        if self.reason == Reason::TimedOut {
            write!(f, " after {:?}", self.report.ended.saturating_sub(self.report.started))?;
        }
        let mut separator = ": ";
        let mut next = |f: &mut fmt::Formatter<'_>| {
            f.write_str(separator)?;
            separator = "; ";
            Ok(())
        };
        for query in self.report.queries.iter().filter(|query| query.is_bad()) {
            next(f)?;
            query.fmt(f)?;
        }
        for attempt in &self.report.attempts {
            next(f)?;
            attempt.fmt(f)?;
        }
        for (address, skip) in &self.report.skipped {
            next(f)?;
            write!(f, "{address} not tried: {skip}")?;
        }
        Ok(())
    }
}

impl<E: fmt::Display + fmt::Debug> core::error::Error for Error<E> {}

impl<E> Query<E> {
    fn is_bad(&self) -> bool {
        !matches!(self.answer, Answer::Records(records) if records > 0)
    }
}

impl<E: fmt::Display> fmt::Display for Query<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.name, self.kind)?;
        match &self.answer {
            Answer::Records(0) => f.write_str("no record"),
            Answer::Records(records) => write!(f, "{records} found"),
            Answer::Failed(cause) => cause.fmt(f),
            Answer::Silent => write!(f, "no answer, asked {} times", self.tries),
            Answer::Open => f.write_str("no answer yet"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Attempt<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.remote)?;
        let after = self.ended.saturating_sub(self.started);
        match &self.outcome {
            Outcome::Connected => f.write_str("connected"),
            Outcome::Failed(cause) => cause.fmt(f),
            Outcome::Outrun => write!(f, "outrun after {after:?}"),
            Outcome::Unanswered => write!(f, "no answer in {after:?}"),
            Outcome::Abandoned => write!(f, "given up after {after:?}"),
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLocalAddress => "no local address of its family",
            Self::NotUnicast => "not the address of a host",
            Self::WrongFamily => "not of the family asked for",
            Self::TooMany => "too many addresses",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn an_error_tells_every_cause() {
        let ms = Duration::from_millis;
        let query = |kind, answer| Query {
            name: "a.example".into(),
            kind,
            tries: 3,
            started: ms(0),
            ended: ms(20),
            answer,
        };
        let attempt = |remote: &str, ended, outcome| Attempt {
            remote: remote.parse().unwrap(),
            started: ms(20),
            ended: ms(ended),
            outcome,
        };
        let report = Report {
            name: Some("a.example".into()),
            started: ms(0),
            ended: ms(10_000),
            queries: vec![
                query(Kind::Service, Answer::Silent),
                query(Kind::Aaaa, Answer::Records(1)),
                query(Kind::A, Answer::Failed("server failure")),
            ],
            attempts: vec![
                attempt("[2001:db8::1]:443", 30, Outcome::Failed("refused")),
                attempt("[2001:db8::2]:443", 10_000, Outcome::Unanswered),
            ],
            untried: vec![],
            skipped: vec![("192.0.2.1".parse().unwrap(), Skip::NoLocalAddress)],
        };
        assert_eq!(
            Error { reason: Reason::TimedOut, report }.to_string(),
            "timed out after 10s: a.example HTTPS: no answer, asked 3 times; \
             a.example A: server failure; [2001:db8::1]:443: refused; \
             [2001:db8::2]:443: no answer in 9.98s; \
             192.0.2.1 not tried: no local address of its family"
        );
    }
}
