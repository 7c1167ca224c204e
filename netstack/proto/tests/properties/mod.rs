//! What must hold of each codec for any input: checked with random input here, and by the fuzz targets of the same
//! names.
#![allow(dead_code, reason = "each fuzz target checks one of them")]

use proto::authenticator::Authenticator;
use proto::icmp::{Echo, Version};
use proto::quantity;
use proto::target::{Scheme, Target};

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
    // a scheme of a user's own need not name a host
    let named = !matches!(target.scheme, Scheme::Other(_));
    assert!(!(named && target.authority().is_empty()), "{text:?}");
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
