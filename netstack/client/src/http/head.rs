//! The head of an answer as `-i` prints it: of HTTP/1.1 as it came, of HTTP/2 as others write it.

use http::{HeaderMap, Version};

/// The heads at the start of `octets`, interim ones too, up to the first final one's end.
pub fn received(octets: &[u8]) -> &[u8] {
    let mut start = 0;
    while let Some(len) = head_len(&octets[start..]) {
        let status = octets[start..].split(|octet| *octet == b' ').nth(1);
        let interim = status.is_some_and(|status| status.starts_with(b"1"));
        start += len;
        if !interim {
            return &octets[..start];
        }
    }
    octets
}

/// Octets of the head that `octets` begin with, its empty line included.
fn head_len(octets: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let line = octets[start..].iter().position(|octet| *octet == b'\n')?;
        let is_empty = matches!(&octets[start..start + line], b"" | b"\r");
        start += line + 1;
        // RFC 9112 §2.2: an empty line before a message says nothing
        if is_empty && start > 2 {
            return Some(start);
        }
    }
}

/// A head in words.
pub fn written<T>(response: &http::Response<T>) -> Vec<u8> {
    let status = response.status();
    let mut out = match response.version() {
        // RFC 9113 §8.3.1: no reason is sent
        Version::HTTP_2 => format!("HTTP/2 {} \r\n", status.as_u16()),
        version => {
            let reason = status.canonical_reason().unwrap_or("");
            format!("{version:?} {} {reason}\r\n", status.as_u16())
        }
    }
    .into_bytes();
    fields(&mut out, response.headers());
    out.extend(b"\r\n");
    out
}

/// Fields, a line each.
pub fn fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        out.extend(name.as_str().as_bytes());
        out.extend(b": ");
        out.extend(value.as_bytes());
        out.extend(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_with_an_empty_line() {
        let final_head = "HTTP/1.1 200 OK\r\nX-Case: as It came\r\n\r\n";
        for (octets, head) in [
            (format!("{final_head}body\r\n\r\n"), final_head.to_string()),
            (
                format!("HTTP/1.1 100 Continue\r\n\r\n{final_head}b"),
                format!("HTTP/1.1 100 Continue\r\n\r\n{final_head}"),
            ),
            ("HTTP/1.0 404 No\nA: b\n\nbody".into(), "HTTP/1.0 404 No\nA: b\n\n".into()),
            (format!("\r\n{final_head}"), format!("\r\n{final_head}")),
            ("HTTP/1.1 200".into(), "HTTP/1.1 200".into()),
            (String::new(), String::new()),
        ] {
            assert_eq!(received(octets.as_bytes()), head.as_bytes(), "{octets:?}");
        }
    }
}
