//! The exchange of identification strings (RFC 4253 §4.2).

use crate::error::Error;
use crate::wire::one_line;

/// What we are; software without version of the machine, so that it tells nobody more than it must.
pub(crate) const OURS: &str = "SSH-2.0-mimic_0.1";

/// Octets of an identification with its line's end (RFC 4253 §4.2), and of any line before it.
const MAX_LINE: usize = 255;
/// Lines that a server may say before it.
const MAX_LINES: usize = 64;

/// Waits for the server's identification.
#[derive(Default)]
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(crate) struct Awaiting {
    line: Vec<u8>,
    lines: usize,
}

impl Awaiting {
    /// Takes from `input`, which is advanced past what was used; gives the identification without its line's end.
    pub(crate) fn handle(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Error> {
        while let Some((&octet, rest)) = input.split_first() {
            *input = rest;
            if octet != b'\n' {
                self.line.push(octet);
                // the line's end has to fit, too
                if self.line.len() >= MAX_LINE || octet == 0 {
                    return Err(self.not_ssh());
                }
                continue;
            }
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            if line.starts_with(b"SSH-") {
                return match line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-") {
                    true => Ok(Some(line.to_vec())),
                    false => Err(self.not_ssh()),
                };
            }
            self.lines += 1;
            if self.lines > MAX_LINES {
                return Err(Error::Flood("lines before the identification"));
            }
            self.line.clear();
        }
        Ok(None)
    }

    fn not_ssh(&self) -> Error {
        Error::NotSsh { said: one_line(&self.line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(text: &[u8]) -> (Result<Option<Vec<u8>>, Error>, usize) {
        let mut input = text;
        let outcome = Awaiting::default().handle(&mut input);
        (outcome, input.len())
    }

    #[test]
    fn the_identification_is_found() {
        for text in ["SSH-2.0-x y\r\nrest", "SSH-2.0-x y\nrest", "hello\r\n\r\nSSH-2.0-x y\r\nrest"]
        {
            assert_eq!(handle(text.as_bytes()), (Ok(Some(b"SSH-2.0-x y".to_vec())), 4), "{text}");
        }
        assert_eq!(handle(b"SSH-1.99-x\n").0, Ok(Some(b"SSH-1.99-x".to_vec())));
        assert_eq!(handle(b"SSH-2.0-x"), (Ok(None), 0));
    }

    #[test]
    fn what_is_no_ssh_2_is_refused() {
        let long = [b"SSH-2.0-".as_slice(), &[b'a'; 300], b"\n"].concat();
        for text in [b"SSH-1.5-x\r\n".as_slice(), b"SSH-2.0\0", &[b'a'; 256], &long] {
            assert!(matches!(handle(text).0, Err(Error::NotSsh { .. })), "{text:?}");
        }
        let lines = "x\n".repeat(MAX_LINES + 1);
        assert!(matches!(handle(lines.as_bytes()).0, Err(Error::Flood(_))));
        assert_eq!(handle(&lines.as_bytes()[2..]), (Ok(None), 0));
    }
}
