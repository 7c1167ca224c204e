//! How an HTTP proxy is asked for a tunnel, and what it says (RFC 9110 §9.3.6).

use crate::target::Host;
use core::fmt;

/// What asks for a tunnel to `host`; `credentials` are a value of `Proxy-Authorization`.
pub fn request(host: &Host, port: u16, credentials: Option<&str>) -> String {
    let credentials = credentials.map(|value| format!("Proxy-Authorization: {value}\r\n"));
    format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{}\r\n",
        credentials.unwrap_or_default()
    )
}

/// Octets that the answer's head may have.
pub const MOST_HEAD: usize = 16 * 1024;

/// The answer's head as it comes. What follows it is the tunnel's: it is to be handed in octet by octet.
#[derive(Debug, Default)]
pub struct Answer {
    head: Vec<u8>,
}

impl Answer {
    /// Takes an octet; the status once the head has ended.
    ///
    /// # Errors
    /// It is no answer of HTTP/1.
    pub fn handle(&mut self, octet: u8) -> Result<Option<u16>, NotHttp> {
        self.head.push(octet);
        let prefix = b"HTTP/1.";
        let known = self.head.len().min(prefix.len());
        if self.head[..known] != prefix[..known] || self.head.len() > MOST_HEAD {
            return Err(NotHttp);
        }
        if !self.head.ends_with(b"\r\n\r\n") && !self.head.ends_with(b"\n\n") {
            return Ok(None);
        }
        // `HTTP/1.1 200 …`
        match self.head.get(8..13) {
            Some([b' ', code @ .., end])
                if code.iter().all(u8::is_ascii_digit) && end.is_ascii_whitespace() =>
            {
                let digits = code.iter().map(|digit| u16::from(digit - b'0'));
                let status = digits.fold(0, |sum, digit| sum * 10 + digit);
                self.head.clear();
                // an interim answer says nothing yet
                Ok((status >= 200).then_some(status))
            }
            _ => Err(NotHttp),
        }
    }
}

/// What came is no answer of HTTP/1, or too long a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHttp;

impl fmt::Display for NotHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its answer is no HTTP")
    }
}

impl core::error::Error for NotHttp {}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Result<Option<u16>, NotHttp> {
        let mut answer = Answer::default();
        for octet in text.bytes() {
            if let Some(status) = answer.handle(octet)? {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_tunnel_is_asked_for_by_name() {
        let host = Host::Name("h".into());
        assert_eq!(request(&host, 443, None), "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
        let six = Host::Ip("::1".parse().unwrap());
        assert!(request(&six, 1, Some("Basic eA==")).contains(
            "CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        ));
    }

    #[test]
    fn answers_are_read_to_the_end_of_their_head() {
        assert_eq!(status("HTTP/1.1 200 OK\r\nX: y\r\n\r\n"), Ok(Some(200)));
        assert_eq!(status("HTTP/1.0 407\r\n\r\n"), Ok(Some(407)));
        assert_eq!(status("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\n\n"), Ok(Some(200)));
        assert_eq!(status("HTTP/1.1 200 OK\r\nX: y\r\n"), Ok(None));
        for text in [
            "SSH-2.0",
            "HTTP/2 200 \r\n\r\n",
            "HTTP/1.1 2x0 \r\n\r\n",
            "HTTP/1.12000\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
        ] {
            assert_eq!(status(text), Err(NotHttp), "{text}");
        }
        assert_eq!(status(&format!("HTTP/1.1 200 {}", "x".repeat(MOST_HEAD))), Err(NotHttp));
    }
}
