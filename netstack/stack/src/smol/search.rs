//! Lists of domains that complete short names: as DHCP servers send them (RFC 3397), and routers
//! (RFC 8106 §5.2).

/// The names in `data`, in lower case and without the dot at the end. Routers must not compress names,
/// DHCP servers may. A name that makes no sense ends the list: where the next one begins is not known.
pub(super) fn names(data: &[u8], compressed: bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    // zeros fill a router's option up
    while names.len() < MAX_NAMES && data.get(at).is_some_and(|len| *len != 0) {
        let Some((name, behind)) = name(data, at, compressed) else { break };
        names.push(name);
        at = behind;
    }
    names
}

/// The name at `start`, and where the next one begins.
fn name(data: &[u8], start: usize, compressed: bool) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut behind = None;
    let (mut part, mut at) = (start, start);
    loop {
        let len = *data.get(at)?;
        at += 1;
        match len {
            0 => return (!name.is_empty()).then(|| (name, behind.unwrap_or(at))),
            1..=63 => {
                let label = data.get(at..at + usize::from(len))?;
                if !label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
                // RFC 1035 §2.3.4, without the dot at the end.
                if name.len() > 253 {
                    return None;
                }
                at += usize::from(len);
            }
            0xc0.. if compressed => {
                let target = usize::from(len & 0x3f) << 8 | usize::from(*data.get(at)?);
                // Always before what pointed: no name is without end.
                if target >= part {
                    return None;
                }
                behind.get_or_insert(at + 1);
                (part, at) = (target, target);
            }
            _ => return None,
        }
    }
}

/// What is said beyond so many names is not heard.
const MAX_NAMES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (data, expected) in [
            (&b"\x07Example\x04test\x00\x01a\x00\x00\x00"[..], &["example.test", "a"][..]),
            (b"", &[]),
            (b"\x00\x01a\x00", &[]),
            (b"\x01a\x00\x01b", &["a"]),
            (b"\x01a\x00\x02b!\x00\x01c\x00", &["a"]),
            (b"\x01a\x00\xc0\x00", &["a"]),
            (b"\x40a", &[]),
        ] {
            assert_eq!(names(data, false), expected, "{data:?}");
        }
        assert_eq!(names(&b"\x01a\x00".repeat(100), false).len(), MAX_NAMES);
        let long = [&b"\x3f"[..], &[b'a'; 63]].concat();
        assert_eq!(names(&[long.repeat(4), vec![0]].concat(), false), [""; 0]);
    }

    #[test]
    fn pointers_lead_back() {
        for (data, expected) in [
            (&b"\x01a\x04test\x00\x01b\xc0\x02\x01c\x00"[..], &["a.test", "b.test", "c"][..]),
            (b"\x01a\x00\x01b\xc0\x03", &["a"]),
            (b"\x01a\xc0\x00", &[]),
            (b"\xc0\x00", &[]),
            (b"\x01a\x00\xc0\x09", &["a"]),
            (b"\x01a\x00\x01b\xc0", &["a"]),
            (b"\x01a\x00\x01b\xc0\x00\xc0\x03", &["a", "b.a", "b.a"]),
        ] {
            assert_eq!(names(data, true), expected, "{data:?}");
        }
    }
}
