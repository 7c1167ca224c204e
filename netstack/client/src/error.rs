//! What can go wrong, at which stage, and which exit code says so.

use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;

/// A failure, in the words of the person who asked: at which stage, on the way to what, and why.
#[derive(Debug, Clone)]
pub struct Error {
    /// How far it came.
    pub stage: Stage,
    /// What was being reached: a URI, a name, an address.
    pub target: String,
    /// Why it went no further.
    pub cause: Cause,
}

/// The stages of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The machine's own addresses.
    Network,
    /// A name's addresses.
    Resolve,
    /// A connection to one of them.
    Connect,
    /// The handshake above the connection.
    Handshake,
    /// The protocol spoken over the flow.
    Exchange,
    /// The payload on its way out of the program.
    Output,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Exchange => "exchange",
            Self::Output => "output",
        })
    }
}

/// Why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cause {
    /// An argument's value, or what arguments mean together, cannot be; or it cannot be asked.
    Argument(String),
    /// Every address was tried.
    Attempts(Vec<(SocketAddr, stack::Error)>),
    /// The certificate is refused, or the peer refuses ours.
    Certificate(String),
    /// The peer closed the flow in the middle.
    CutShort(String),
    /// A limit of time ran out.
    Limit {
        /// Which limit: the boot argument's name.
        limit: &'static str,
        /// How long it was.
        after: Duration,
    },
    /// The answer makes no sense.
    Malformed(String),
    /// The machine has too little memory for the answer; the text says how much was needed, and how to add some.
    Memory(String),
    /// The name cannot be resolved.
    Name(String),
    /// The stack below failed.
    Net(stack::Error),
    /// No registered protocol serves the target.
    NoFlow(String),
    /// The output took no more.
    Output(String),
    /// The peer breaks its protocol, or refuses ours.
    Protocol(String),
    /// The reader of the output has gone, as that of a pipe does which has seen enough.
    ReaderGone,
    /// The peer is not known, or does not let us in.
    Refused(String),
    /// A command at the peer ended with this exit status, which is not 0: its own word, and none of ours.
    RemoteStatus(u8),
    /// A command at the peer ended otherwise; the text says how, the number is the exit code.
    RemoteEnd {
        /// The exit code.
        code: u8,
        /// How.
        text: String,
    },
    /// An HTTP status of 400 or more, where that is a failure.
    Status(u16),
    /// The machine lacks what the flow needs; the text says what, and how to add it.
    Unable(String),
}

/// Exit codes, after BSD's sysexits where these have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok,
    /// An HTTP status of 400 or more, with `--fail`.
    Status,
    /// Bad arguments.
    Usage,
    /// A malformed answer.
    Malformed,
    /// A name was not found.
    Name,
    /// No connection.
    Connect,
    /// Our fault: a panic, a fault, or too little memory for an answer.
    Software,
    /// Timed out.
    TimedOut,
    /// The peer broke its protocol.
    Protocol,
    /// Authentication, a certificate or a host key was refused.
    Refused,
    /// The reader of the output has gone.
    Gone,
    /// What a command at the peer ended with.
    Remote(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Status => 22,
            Self::Usage => 64,
            Self::Malformed => 65,
            Self::Name => 68,
            Self::Connect => 69,
            Self::Software => 70,
            Self::TimedOut => 75,
            Self::Protocol => 76,
            Self::Refused => 77,
            // as a shell says it of a process that SIGPIPE ended
            Self::Gone => 141,
            Self::Remote(code) => code,
        }
    }
}

impl Cause {
    /// What an error that passed through libraries comes down to.
    pub fn of(error: &(dyn core::error::Error + 'static)) -> Self {
        if let Some(cause) = Self::below(error) {
            return cause;
        }
        match find_as::<std::io::Error>(error) {
            Some(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::CutShort("the connection was cut: it ended without close_notify or in the middle of an answer".into())
            }
            _ => Self::Protocol(error.to_string()),
        }
    }
}

impl Cause {
    /// What came from below the library that reports it: from a flow, from TLS, from the stack.
    pub(crate) fn below(error: &(dyn core::error::Error + 'static)) -> Option<Self> {
        if let Some(error) = find_as::<Error>(error) {
            return Some(error.cause.clone());
        }
        #[cfg(feature = "tls")]
        if let Some(cause) = crate::flow::tls::cause(error) {
            return Some(cause);
        }
        find_as::<stack::Error>(error).map(|error| Self::Net(error.clone()))
    }
}

impl Error {
    /// A failure of the stack below.
    pub fn net(stage: Stage, target: impl fmt::Display, error: stack::Error) -> Self {
        Self { stage, target: target.to_string(), cause: Cause::Net(error) }
    }

    /// The exit code that says it.
    pub fn exit(&self) -> Exit {
        match &self.cause {
            Cause::Attempts(attempts) => {
                let timed_out =
                    |(_, error): &(_, stack::Error)| matches!(error, stack::Error::TimedOut);
                match !attempts.is_empty() && attempts.iter().all(timed_out) {
                    true => Exit::TimedOut,
                    false => Exit::Connect,
                }
            }
            Cause::Certificate(_) | Cause::Refused(_) => Exit::Refused,
            Cause::Limit { .. } | Cause::Net(stack::Error::TimedOut) => Exit::TimedOut,
            Cause::Malformed(_) => Exit::Malformed,
            Cause::Name(_) => Exit::Name,
            Cause::Net(stack::Error::Reset) | Cause::CutShort(_) | Cause::Protocol(_) => {
                Exit::Protocol
            }
            Cause::Net(_) | Cause::Unable(_) => Exit::Connect,
            Cause::Argument(_) | Cause::NoFlow(_) => Exit::Usage,
            Cause::RemoteStatus(code) | Cause::RemoteEnd { code, .. } => Exit::Remote(*code),
            Cause::Memory(_) | Cause::Output(_) => Exit::Software,
            Cause::ReaderGone => Exit::Gone,
            Cause::Status(_) => Exit::Status,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            // the target is the address that was tried: it need not be said twice
            Cause::Attempts(attempts)
                if attempts.len() == 1 && attempts[0].0.to_string() == self.target =>
            {
                write!(f, "{} {}: {}", self.stage, self.target, attempts[0].1)
            }
            cause => write!(f, "{} {}: {cause}", self.stage, shown(&self.target)),
        }
    }
}

/// A target that a peer named may be long.
fn shown(target: &str) -> String {
    const SHOWN: usize = 200;
    match target.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &target[..end]),
        None => target.into(),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempts(attempts) => {
                for (index, (address, error)) in attempts.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{address}: {error}")?;
                }
                Ok(())
            }
            Self::Argument(text)
            | Self::Certificate(text)
            | Self::CutShort(text)
            | Self::Malformed(text)
            | Self::Memory(text)
            | Self::Name(text)
            | Self::NoFlow(text)
            | Self::Output(text)
            | Self::Protocol(text)
            | Self::Refused(text)
            | Self::RemoteEnd { text, .. }
            | Self::Unable(text) => f.write_str(text),
            Self::Limit { limit, after } => {
                write!(f, "no answer within {after:?} (--{limit} sets the limit)")
            }
            Self::Net(error) => error.fmt(f),
            Self::ReaderGone => f.write_str("nobody reads the output any more"),
            Self::RemoteStatus(status) => write!(f, "the command ended with exit status {status}"),
            Self::Status(status) => write!(f, "the server answered {status} (--fail)"),
        }
    }
}

impl core::error::Error for Error {}

/// What a machine without a source of random octets is told.
pub fn no_entropy() -> String {
    "no entropy source: neither RDSEED nor RDRAND nor virtio-rng (--rng virtio, which is QEMU's -device virtio-rng-pci, \
     or a CPU that has them)"
        .into()
}

/// Finds the first error of type `T` in the chain of sources, looking inside `std::io::Error` and a flow's error too.
pub fn find_as<'a, T: core::error::Error + 'static>(
    error: &'a (dyn core::error::Error + 'static),
) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // these two hide what they hold from `source`
        let held: Option<&(dyn core::error::Error + 'static)> =
            match (error.downcast_ref(), error.downcast_ref::<std::io::Error>()) {
                (Some(mimic::flow::Error::Failed(held)), _) => Some(&**held),
                (_, Some(error)) => error.get_ref().map(|held| held as _),
                _ => None,
            };
        if let Some(found) = held.and_then(find_as) {
            return Some(found);
        }
        current = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn an_error_is_found_wherever_it_hides() {
        let reset = || io::Error::from(stack::Error::Reset);
        let flow = mimic::flow::Error::from(reset());
        let through_io: io::Error = flow.clone().into();
        let nested = io::Error::other(io::Error::other(flow.clone()));
        for error in [&reset() as &(dyn core::error::Error + 'static), &flow, &through_io, &nested]
        {
            assert_eq!(find_as::<stack::Error>(error), Some(&stack::Error::Reset), "{error:?}");
            assert!(find_as::<Error>(error).is_none());
        }
    }

    #[test]
    fn an_address_is_said_once() {
        let address = SocketAddr::from(([10, 0, 2, 2], 80));
        let cause = Cause::Attempts(vec![(address, stack::Error::Refused)]);
        let at = |target: &str| Error {
            stage: Stage::Connect,
            target: target.into(),
            cause: cause.clone(),
        };
        assert_eq!(at("10.0.2.2:80").to_string(), "connect 10.0.2.2:80: connection refused");
        assert_eq!(at("web:80").to_string(), "connect web:80: 10.0.2.2:80: connection refused");
    }

    #[test]
    fn causes_have_their_exit_codes() {
        let attempt = |error| (SocketAddr::from(([10, 0, 2, 2], 80)), error);
        for (cause, exit) in [
            (Cause::Attempts(vec![attempt(stack::Error::Refused)]), Exit::Connect),
            (Cause::Attempts(vec![attempt(stack::Error::TimedOut)]), Exit::TimedOut),
            (
                Cause::Attempts(vec![
                    attempt(stack::Error::TimedOut),
                    attempt(stack::Error::Refused),
                ]),
                Exit::Connect,
            ),
            (Cause::Net(stack::Error::NoDevice), Exit::Connect),
            (Cause::Net(stack::Error::Reset), Exit::Protocol),
            (Cause::Certificate("expired".into()), Exit::Refused),
            (Cause::Status(404), Exit::Status),
            (Cause::Memory("full".into()), Exit::Software),
            (Cause::Name("none".into()), Exit::Name),
            (Cause::ReaderGone, Exit::Gone),
        ] {
            let error = Error { stage: Stage::Connect, target: "x".into(), cause };
            assert_eq!(error.exit(), exit, "{error}");
        }
    }
}
