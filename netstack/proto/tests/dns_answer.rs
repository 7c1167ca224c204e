//! Answers of any octets: read or refused, and never an address that the aliases do not lead to.

mod oracle;

use proptest::prelude::*;
use proto::dns::Data;

/// Records behind the head: an alias to `c.b`, an address of `c.b`, one of `a.c`.
const BODY: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01c\xc0\x0e\
    \xc0\x21\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01\
    \x01a\x01c\0\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x02";

#[test]
fn the_oracle_sees_an_answer() {
    let mut input = vec![0, 3];
    input.extend(BODY);
    assert!(oracle::check(&input));
    let mut message = oracle::query(0).octets();
    (message[2], message[7]) = (0x80, 3);
    message.extend(BODY);
    let answer = oracle::query(0).read(&message).unwrap();
    assert_eq!(answer.data, Data::Addresses(vec![[10, 0, 0, 1].into()]));
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        oracle::check(&octets);
    }

    #[test]
    fn changed_answers_are_read_or_refused(changes in proptest::collection::vec((0..BODY.len(), any::<u8>()), 0..6)) {
        let mut input = vec![0, 3];
        input.extend(BODY);
        for (at, octet) in changes {
            input[2 + at] = octet;
        }
        oracle::check(&input);
    }
}
