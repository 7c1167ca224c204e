//! Whatever an HTTP server says is printed or refused, and nothing panics.

mod answers;

use proptest::collection::vec;
use proptest::prelude::*;

/// A piece of an answer of HTTP/1.1: what servers say, and what they do not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Content-Encoding: gzip\r\n".to_vec()),
        Just(b"Content-Length: 5\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"5\r\nhello\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        "[A-Za-z]{1,8}: [ -~]{0,20}\r\n".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..20),
    ]
}

/// A frame of HTTP/2 for the first stream or the connection, its length right or not.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![Just(vec![0x88]), Just(vec![0; 8]), vec(any::<u8>(), 0..24)];
    let (kind, flags) = (0..11_u8, prop_oneof![Just(0), Just(1), Just(4), Just(5), any::<u8>()]);
    (payload, kind, flags, 0..2_u8, prop_oneof![4 => Just(0), 1 => 0..3_u8]).prop_map(
        |(payload, kind, flags, stream, more)| {
            let mut frame = vec![0, 0, payload.len() as u8 + more, kind, flags, 0, 0, 0, stream];
            frame.extend(payload);
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_lines_as_an_answer(asks in any::<u8>(), piece in any::<u8>(), lines in vec(line(), 0..12)) {
        answers::exchange(&[vec![asks & !1, piece], lines.concat()].concat());
    }

    #[test]
    fn any_frames_as_an_answer(asks in any::<u8>(), piece in any::<u8>(), frames in vec(frame(), 0..12)) {
        answers::exchange(&[vec![asks | 1, piece], frames.concat()].concat());
    }

    #[test]
    fn any_octets_as_heads(lines in vec(line(), 0..12)) {
        answers::heads(&lines.concat());
    }

    #[test]
    fn any_octets_as_a_content(
        kind in any::<u8>(),
        piece in any::<u8>(),
        magic in prop_oneof![
            Just(vec![]),
            Just(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]),
            Just(vec![0x78, 0x9c]),
            Just(vec![0x28, 0xb5, 0x2f, 0xfd]),
        ],
        octets in vec(any::<u8>(), 0..200),
    ) {
        answers::decode(&[vec![kind, piece], magic, octets].concat());
    }
}
