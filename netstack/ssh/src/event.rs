//! What a connection tells its owner.

use crate::algorithm::Agreement;
use crate::channel::ChannelId;
use crate::hostkey::HostKey;
use core::fmt;

/// Something that happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server holds this key. Nothing goes on before [`crate::Connection::accept_host_key`] or
    /// [`crate::Connection::refuse_host_key`].
    HostKey(HostKey),
    /// Keys are in use: after the first key exchange and after each later one.
    Agreed(Agreement),
    /// What the server wants its users to read; control characters are replaced.
    Banner(String),
    /// The user is known, by this method; commands may run.
    Authenticated(&'static str),
    /// A command runs.
    Started(ChannelId),
    /// The server would not run a command.
    Refused {
        /// Which.
        channel: ChannelId,
        /// Why, as far as it says.
        reason: String,
    },
    /// A command ended. Its streams may still hold something.
    Exited(ChannelId, Exit),
    /// A channel is closed: nothing more comes, and once its streams are read it is gone.
    Closed(ChannelId),
}

/// How a command ended (RFC 4254 §6.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(u32),
    /// By a signal.
    Signal {
        /// Its name without `SIG`.
        name: String,
        /// Whether it left a core dump.
        core_dumped: bool,
        /// The server's words.
        message: String,
    },
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal { name, core_dumped, message } => {
                write!(f, "signal {name}")?;
                if *core_dumped {
                    f.write_str(" (core dumped)")?;
                }
                if !message.is_empty() {
                    write!(f, ": {message}")?;
                }
                Ok(())
            }
        }
    }
}
