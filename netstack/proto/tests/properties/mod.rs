//! What must hold of each codec for any input: checked with random input here, and by the fuzz targets of the same
//! names.
#![allow(dead_code, reason = "each fuzz target checks one of them")]

use proto::authenticator::{self, Authenticator};
use proto::coding::{MOST_CODINGS, codings};
use proto::credential::{self, PrivateKey};
use proto::git::advertisement::{Service, shell_command};
use proto::icmp::{Echo, Version};
use proto::quantity;
use proto::redirect::{Rules, Trail};
use proto::target::{Scheme, Target};
use proto::tunnel::{Answer, MOST_HEAD};

/// What is parsed is printed such that it parses to the same, printed the same.
pub fn target(text: &str) {
    let Ok(target) = text.parse::<Target>() else { return };
    let printed = target.to_string();
    let again: Target =
        printed.parse().unwrap_or_else(|error| panic!("{text:?} → {printed:?}: {error}"));
    assert_eq!(again.to_string(), printed, "{text:?}");
    assert_eq!((&again.scheme, &again.host), (&target.scheme, &target.host), "{text:?}");
    assert_eq!((&again.path, &again.query), (&target.path, &target.query), "{text:?}");
    assert_eq!(
        (again.port_or_default(), again.ip_protocol()),
        (target.port_or_default(), target.ip_protocol()),
        "{text:?}"
    );
    let web = matches!(target.scheme, Scheme::Http | Scheme::Https);
    assert!(!web || target.origin_form().starts_with('/'), "{text:?}");
    // what a server is asked for is one word to its shell, whatever it holds
    if let Some(path) = target.repository() {
        let line = shell_command(Service::UploadPack, &path);
        assert_eq!(words(&line), Some(vec!["git-upload-pack".into(), path]), "{text:?}");
    }
    // a scheme of a user's own need not name a host
    let named = !matches!(target.scheme, Scheme::Other(_));
    assert!(!(named && target.authority().is_empty()), "{text:?}");
}

/// The words of a line as a POSIX shell has them, of those with single quotes and backslashes alone; `None` where it would do more
/// than that.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let word = words.last_mut()?;
        match c {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    // some take a history's mark even here
                    '!' => return None,
                    c => word.push(c),
                }
            },
            '\\' => word.push(chars.next()?),
            ' ' => words.push(String::new()),
            c if c.is_ascii_alphanumeric() || c == '-' => word.push(c),
            _ => return None,
        }
    }
    Some(words)
}

/// The same, and no error is silent.
pub fn authenticator(text: &str) {
    match text.parse::<Authenticator>() {
        Ok(it) => {
            let printed = it.to_string();
            assert_eq!(printed.parse::<Authenticator>(), Ok(it), "{text:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Certificates that are read are read again from base64 of their own; no error is silent, no key is shown.
pub fn credential(text: &str) {
    match credential::certificates(text) {
        Ok(all) => {
            assert!(!all.is_empty() && all.iter().all(|der| !der.is_empty()), "{text:?}");
            let words: Vec<_> = all.iter().map(|der| authenticator::base64(der)).collect();
            assert_eq!(credential::certificates(&words.join(":")), Ok(all), "{text:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match PrivateKey::parse(text) {
        Ok(key) => {
            let word = authenticator::base64(key.der());
            assert_eq!(PrivateKey::parse(&word).as_ref(), Ok(&key), "{text:?}");
            assert_eq!(format!("{key:?}"), "(redacted)");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Quantities are within their bounds, and as many octets as digits say.
pub fn quantity(text: &str) {
    if let Ok(time) = quantity::duration(text) {
        assert!(time.as_secs() <= 365 * 24 * 3600, "{text:?}");
    }
    let _ = quantity::size(text);
    if let Ok(octets) = quantity::hex(text) {
        let printed: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(quantity::hex(&printed).as_ref(), Ok(&octets), "{text:?}");
    }
}

/// What is read as a reply is what a request with the same fields has, but for type and checksum.
pub fn icmp(octets: &[u8]) {
    for version in [Version::V4, Version::V6] {
        let Some(reply) = Echo::parse_reply(octets, version) else { continue };
        assert_eq!(reply.emit(version)[4..], octets[4..]);
    }
}

/// A redirect leads to a URI of HTTP that can be printed and read, without user information and control characters,
/// or is refused on one line; what is kept from other origins stays there.
pub fn redirect(location: &[u8]) {
    for (from, downgrade) in
        [("http://me:pw@h:81/a/b?c", false), ("https://h/", true), ("https://h/", false)]
    {
        let from: Target = from.parse().expect("a URI");
        let mut trail = Trail::new("POST", &from, Rules { downgrade, ..Rules::default() });
        for status in [302, 307, 303] {
            match trail.follow(status, Some(location)) {
                Ok(None) => panic!("a redirect with a location is followed or refused"),
                Ok(Some(hop)) => {
                    let printed = hop.target.to_string();
                    assert!(printed.bytes().all(|octet| octet.is_ascii_graphic()), "{printed:?}");
                    assert_eq!(printed.parse::<Target>().as_ref(), Ok(&hop.target), "{location:?}");
                    assert!(hop.target.user.is_none() && hop.target.password.is_none());
                    let web = matches!(hop.target.scheme, Scheme::Http | Scheme::Https);
                    let fell = from.scheme == Scheme::Https && hop.target.scheme == Scheme::Http;
                    assert!(web && (downgrade || !fell), "{printed}");
                    assert_eq!(hop.is_at_home, hop.target.is_same_origin(&from));
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
                    break;
                }
            }
        }
    }
}

/// Codings are few, and an error is one line.
pub fn coding(value: &[u8]) {
    match codings(value.split(|octet| *octet == b';')) {
        Ok(codings) => assert!(codings.len() <= MOST_CODINGS),
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
}

/// A proxy's answer ends with a status of three digits, or is refused before it is large.
pub fn tunnel(octets: &[u8]) {
    let mut answer = Answer::default();
    for (index, octet) in octets.iter().enumerate() {
        match answer.handle(*octet) {
            Ok(None) => {}
            Ok(Some(status)) => return assert!((200..1000).contains(&status)),
            Err(_) => return,
        }
        // interim answers begin anew
        assert!(index <= MOST_HEAD || octets.starts_with(b"HTTP/1."));
    }
}
