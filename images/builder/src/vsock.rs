//! The machine's socket device: streams between it and its host, beside any network.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// What serves the device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Vsock {
    /// The host's kernel, to whose own sockets the machine is this context: 3 and above.
    Context(u32),
    /// A process that speaks vhost-user at this Unix socket, such as vhost-device-vsock.
    Process(PathBuf),
}

impl FromStr for Vsock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no vsock device: cid=N with N from 3, or socket=PATH of vhost-user"
            )
        };
        match text.split_once('=') {
            Some(("cid", cid)) => match cid.parse() {
                Ok(cid) if (3..u32::MAX).contains(&cid) => Ok(Self::Context(cid)),
                _ => Err(wrong()),
            },
            Some(("socket", path)) if !path.is_empty() => Ok(Self::Process(path.into())),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Vsock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read() {
        assert_eq!("cid=3".parse(), Ok(Vsock::Context(3)));
        assert_eq!("socket=/run/a=b".parse(), Ok(Vsock::Process("/run/a=b".into())));
        for text in ["", "3", "cid=2", "cid=4294967295", "cid=x", "socket=", "user"] {
            assert!(text.parse::<Vsock>().is_err(), "{text}");
        }
    }
}
