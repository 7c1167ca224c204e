//! The examples of RFC 6724 §10, and what they leave open.

use super::*;
use crate::policy::Row;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Addresses in words: `2001:db8:1::2`, `fe80::2 deprecated`, `10.1.2.4/8`; /64 and /24 unless
/// said.
fn sources(text: &str) -> Vec<Source> {
    let one = |text: &str| {
        let mut words = text.split_whitespace();
        let address = words.next().unwrap();
        let (address, len) = match address.split_once('/') {
            Some((address, len)) => (ip(address), len.parse().unwrap()),
            None => (ip(address), if address.contains(':') { 64 } else { 24 }),
        };
        let mut source = Source::new(address, len);
        for word in words {
            match word {
                "deprecated" => source.deprecated = true,
                "temporary" => source.temporary = true,
                "care-of" => source.care_of = true,
                word => panic!("unknown word {word}"),
            }
        }
        source
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
}

#[test]
fn source_addresses_of_section_10_1() {
    let rows = [
        ("2001:db8:1::1", "2001:db8:3::1, fe80::1", "2001:db8:3::1"),
        ("ff05::1", "2001:db8:3::1, fe80::1", "2001:db8:3::1"),
        ("2001:db8:1::1", "2001:db8:1::1 deprecated, 2001:db8:2::1", "2001:db8:1::1"),
        ("fe80::1", "fe80::2 deprecated, 2001:db8:1::1", "fe80::2"),
        ("2001:db8:1::1", "2001:db8:1::2, 2001:db8:3::2", "2001:db8:1::2"),
        ("2001:db8:1::1", "2001:db8:1::2 care-of, 2001:db8:3::2", "2001:db8:3::2"),
        (
            "2002:c633:6401::1",
            "2002:c633:6401::d5e3:7953:13eb:22e8 temporary, 2001:db8:1::2",
            "2002:c633:6401::d5e3:7953:13eb:22e8",
        ),
        (
            "2001:db8:1::d5e3:0:0:1",
            "2001:db8:1::2, 2001:db8:1::d5e3:7953:13eb:22e8 temporary",
            "2001:db8:1::d5e3:7953:13eb:22e8",
        ),
    ];
    for (destination, candidates, expected) in rows {
        for reversed in [false, true] {
            let mut candidates = sources(candidates);
            if reversed {
                candidates.reverse();
            }
            let source = Network::of(candidates).source(ip(destination)).unwrap();
            assert_eq!(source.address, ip(expected), "to {destination}, reversed: {reversed}");
        }
    }
}

/// Sorts both ways round: no example of the RFC may depend on the order given.
fn check(network: &Network, expected: &[(&str, &str)]) {
    let order: Vec<_> = expected.iter().map(|(destination, _)| ip(destination)).collect();
    let mut forward = order.clone();
    network.sort(&mut forward);
    assert_eq!(forward, order);
    let mut backward: Vec<_> = order.iter().rev().copied().collect();
    network.sort(&mut backward);
    assert_eq!(backward, order);
    for (destination, source) in expected {
        assert_eq!(network.source(ip(destination)).unwrap().address, ip(source), "{destination}");
    }
}

#[test]
fn destination_orders_of_section_10_2() {
    let rows: [(&str, &[(&str, &str)]); 9] = [
        // prefer matching scope
        (
            "2001:db8:1::2, fe80::1, 169.254.13.78",
            &[("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.121", "169.254.13.78")],
        ),
        // prefer matching scope
        (
            "fe80::1, 198.51.100.117",
            &[("198.51.100.121", "198.51.100.117"), ("2001:db8:1::1", "fe80::1")],
        ),
        // prefer higher precedence
        (
            "2001:db8:1::2, fe80::1, 10.1.2.4",
            &[("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")],
        ),
        // prefer smaller scope
        ("2001:db8:1::2, fe80::2", &[("fe80::1", "fe80::2"), ("2001:db8:1::1", "2001:db8:1::2")]),
        // prefer home address
        (
            "2001:db8:1::2 care-of, 2001:db8:3::1, fe80::2 care-of",
            &[("2001:db8:1::1", "2001:db8:3::1"), ("fe80::1", "fe80::2")],
        ),
        // avoid deprecated addresses
        (
            "2001:db8:1::2, fe80::2 deprecated",
            &[("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2")],
        ),
        // longest matching prefix
        (
            "2001:db8:1::2, 2001:db8:3f44::2, fe80::2",
            &[("2001:db8:1::1", "2001:db8:1::2"), ("2001:db8:3ffe::1", "2001:db8:3f44::2")],
        ),
        // prefer matching label
        (
            "2002:c633:6401::2, fe80::2",
            &[("2002:c633:6401::1", "2002:c633:6401::2"), ("2001:db8:1::1", "2002:c633:6401::2")],
        ),
        // prefer higher precedence
        (
            "2002:c633:6401::2, 2001:db8:1::2, fe80::2",
            &[("2001:db8:1::1", "2001:db8:1::2"), ("2002:c633:6401::1", "2002:c633:6401::2")],
        ),
    ];
    for (own, expected) in rows {
        check(&Network::of(sources(own)), expected);
    }
}

#[test]
fn destination_orders_of_section_10_3_with_ipv4_preferred() {
    let rows: [(&str, &[(&str, &str)]); 3] = [
        // unchanged: prefer matching scope
        (
            "2001:db8::2, fe80::1, 169.254.13.78",
            &[("2001:db8::1", "2001:db8::2"), ("198.51.100.121", "169.254.13.78")],
        ),
        // unchanged: prefer matching scope
        (
            "fe80::1, 198.51.100.117",
            &[("198.51.100.121", "198.51.100.117"), ("2001:db8::1", "fe80::1")],
        ),
        // new: prefer higher precedence
        (
            "2001:db8::2, fe80::1, 10.1.2.4",
            &[("10.1.2.3", "10.1.2.4"), ("2001:db8::1", "2001:db8::2")],
        ),
    ];
    for (own, expected) in rows {
        check(&Network { policy: Policy::prefer_ipv4(), ..Network::of(sources(own)) }, expected);
    }
}

/// §10.4: link-local addresses below global ones, by a row of their own.
#[test]
fn a_row_for_link_local_addresses_section_10_4() {
    let row = |prefix: &str, len, precedence, label| Row {
        prefix: prefix.parse().unwrap(),
        len,
        precedence,
        label,
    };
    let policy = Policy::new([
        row("::1", 128, 50, 0),
        row("::", 0, 40, 1),
        row("::ffff:0:0", 96, 35, 4),
        row("fe80::", 10, 33, 1),
    ]);
    check(
        &Network { policy, ..Network::of(sources("2001:db8:1::2, fe80::2")) },
        &[("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2")],
    );
}

/// §10.6 in short: unique local addresses come last unless the site says otherwise.
#[test]
fn unique_local_addresses_come_after_ipv4_by_default() {
    check(
        &Network::of(sources("2001:db8:1::2, fd11::2, 10.1.2.4")),
        &[("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4"), ("fd11::1", "fd11::2")],
    );
}

#[test]
fn rotated_ipv4_answers_stay_rotated() {
    let network = Network::of(sources("10.2.3.4/8"));
    let given = ["54.83.193.112", "184.72.238.214", "23.23.172.185", "75.101.148.21"].map(ip);
    let mut sorted = given;
    network.sort(&mut sorted);
    assert_eq!(sorted, given);
}

#[test]
fn prefixes_match_no_further_than_the_source_s_network() {
    // both destinations share the 64 bits of the network; that 2001:db8:1::3 shares 126 is chance
    let network = Network::of(sources("2001:db8:1::2"));
    let mut sorted = ["2001:db8:1::ffff", "2001:db8:1::3"].map(ip);
    network.sort(&mut sorted);
    assert_eq!(sorted, ["2001:db8:1::ffff", "2001:db8:1::3"].map(ip));
}

#[test]
fn a_destination_without_source_comes_last() {
    let network = Network::of(sources("10.1.2.4"));
    let mut sorted = ["2001:db8::1", "10.9.9.9", "169.254.1.1"].map(ip);
    network.sort(&mut sorted);
    // 10/8 to link-local is a mismatch of scopes, no source at all is worse
    assert_eq!(sorted, ["10.9.9.9", "169.254.1.1", "2001:db8::1"].map(ip));
}

#[test]
fn without_known_sources_precedence_and_scope_decide() {
    let mut sorted = ["192.0.2.1", "2600::2", "2002::1", "2600::1", "fe80::1"].map(ip);
    Network::default().sort(&mut sorted);
    assert_eq!(sorted, ["fe80::1", "2600::2", "2600::1", "192.0.2.1", "2002::1"].map(ip));
}

#[test]
fn memory_moves_within_the_rules() {
    let network = Network::of(sources("2001:db8::2, 10.1.2.4"));
    let mut sorted = ["2600::1", "2600::2", "2600::3", "192.0.2.1"].map(ip);
    let near = |address| match address {
        _ if address == ip("2600::2") => Some(Duration::from_millis(90)),
        _ if address == ip("2600::3") => Some(Duration::from_millis(9)),
        _ if address == ip("192.0.2.1") => Some(Duration::from_millis(1)),
        _ => None,
    };
    network.sort_with(&mut sorted, |_| false, near);
    // rule 6 stands above: IPv4's short way does not put it first
    assert_eq!(sorted, ["2600::3", "2600::2", "2600::1", "192.0.2.1"].map(ip));
    network.sort_with(&mut sorted, |address| address.is_ipv6(), near);
    assert_eq!(sorted[0], ip("192.0.2.1"), "known to be unreachable stands above all");
}

#[test]
fn families_that_are_asked_for() {
    let rows = [
        ("2001:db8::2, fe80::2, 10.0.0.1", true, true),
        ("fe80::2, 10.0.0.1", true, false),
        ("fe80::2, 2001:db8::2", false, true),
        ("10.0.0.1", true, false),
        ("fd00::1, fe80::1", false, true),
        // no way out at all: whatever there is
        ("fe80::2", false, true),
        ("127.0.0.1, ::1", true, true),
        ("127.0.0.1, 169.254.7.7", true, false),
        ("", false, false),
    ];
    for (own, v4, v6) in rows {
        let network = Network::of(sources(own));
        assert_eq!((network.asks(Family::V4), network.asks(Family::V6)), (v4, v6), "{own}");
    }
    let unknown = Network { only: Some(Family::V4), ..Network::default() };
    assert!(unknown.asks(Family::V4) && !unknown.asks(Family::V6));
    let none = Network { only: Some(Family::V4), ..Network::of(sources("2001:db8::2")) };
    assert!(!none.asks(Family::V4) && !none.asks(Family::V6));
}
