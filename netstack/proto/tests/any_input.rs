//! Any input is read or refused, and what is read can be written and read again.

mod properties;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_as_a_target(text in ".{0,40}", rest in r"[a-z0-9.:/@?#\[\]%=-]{0,30}") {
        properties::target(&text);
        for scheme in ["", "http://", "tcp://", "raw://", "ssh://", "git@", "x-y://"] {
            properties::target(&format!("{scheme}{rest}"));
        }
    }

    #[test]
    fn any_text_as_an_authenticator(text in ".{0,60}", rest in "[A-Za-z0-9+/=:-]{0,60}") {
        properties::authenticator(&text);
        for kind in ["key-fp:", "cert-fp:SHA512:", "trust-anchor:", "none"] {
            properties::authenticator(&format!("{kind}{rest}"));
        }
    }

    #[test]
    fn any_text_as_a_credential(text in ".{0,60}", body in "[A-Za-z0-9+/=\n:-]{0,60}", first in "MA|MI|") {
        properties::credential(&text);
        properties::credential(&format!("{first}{body}"));
        for label in ["CERTIFICATE", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let pem = format!("-----BEGIN {label}-----\n{first}{body}\n-----END {label}-----\n");
            properties::credential(&pem);
            properties::authenticator(&format!("trust-anchor:{pem}"));
        }
    }

    #[test]
    fn any_text_as_a_quantity(text in ".{0,30}", number in "[0-9]{0,22}(us|ms|s|m|min|h|K|M|G|k|)") {
        properties::quantity(&text);
        properties::quantity(&number);
    }

    #[test]
    fn any_octets_as_an_echo(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        properties::icmp(&octets);
        let mut reply = octets;
        reply.splice(0..0, [129, 0]);
        properties::icmp(&reply);
    }

    #[test]
    fn any_octets_as_a_location(
        octets in proptest::collection::vec(any::<u8>(), 0..60),
        rest in r"(https?:)?(//)?[a-z0-9.:/@?#%äß ]{0,30}",
    ) {
        properties::redirect(&octets);
        properties::redirect(rest.as_bytes());
    }

    #[test]
    fn any_octets_as_codings(octets in proptest::collection::vec(any::<u8>(), 0..40), names in "(gzip|br|x|,|;| ){0,8}") {
        properties::coding(&octets);
        properties::coding(names.as_bytes());
    }

    #[test]
    fn any_octets_as_a_proxys_answer(octets in proptest::collection::vec(any::<u8>(), 0..60), rest in "[ 0-9a-z\r\n]{0,40}") {
        properties::tunnel(&octets);
        properties::tunnel(format!("HTTP/1.1 {rest}").as_bytes());
    }
}
