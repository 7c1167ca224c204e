//! What servers must not get away with.

use super::*;
use crate::server::hostile::Hostile;

fn injecting(place: Place, payload: &[u8], is_strict: bool) -> Result<(), Error> {
    let injected = vec![(place, payload.to_vec())];
    Pair::new(Options { injected, is_strict, ..Options::new() }).run()
}

/// CVE-2023-48795: a message slipped into the first key exchange, so that one behind it can be dropped.
#[test]
fn nothing_is_slipped_into_a_strict_key_exchange() {
    let ignore = Message::new(message::IGNORE).string("x").done();
    let debug = Message::new(message::DEBUG).boolean(false).string("").string("").done();
    let extensions = Message::new(message::EXT_INFO).uint32(0).done();
    for payload in
        [&ignore, &debug, &vec![message::UNIMPLEMENTED, 0, 0, 0, 0], &extensions, &vec![200]]
    {
        for place in [Place::Start, Place::Offered, Place::Replied] {
            let error = injecting(place, payload, true).unwrap_err();
            let is_named =
                matches!(error, Error::StrictKeyExchange { .. } | Error::Unexpected { .. });
            assert!(is_named, "{place:?} {payload:?}: {error}");
        }
    }
    for place in [Place::Start, Place::Offered, Place::Replied] {
        injecting(place, &ignore, false).unwrap();
    }
}

#[test]
fn what_is_open_to_terrapin_is_refused_without_strictness() {
    let mut options = Options { is_strict: false, ..Options::new() };
    options.algorithms.ciphers = vec![Cipher::ChaCha20Poly1305];
    let error = Pair::new(options).run().unwrap_err();
    assert_eq!(error, Error::Unsafe { algorithm: "chacha20-poly1305@openssh.com" });
    for mac in [Mac::HmacSha256Etm, Mac::HmacSha512Etm] {
        let mut options = Options { is_strict: false, ..Options::new() };
        options.algorithms.ciphers = vec![Cipher::Aes128Ctr];
        options.algorithms.macs = vec![mac];
        assert_eq!(Pair::new(options).run().unwrap_err(), Error::Unsafe { algorithm: mac.name() });
    }
}

#[test]
fn a_server_that_does_not_hold_its_key_is_noticed() {
    for (algorithm, text) in [
        (SignatureAlgorithm::Ed25519, include_str!("../../../tests/keys/ed")),
        (SignatureAlgorithm::EcdsaNistP256, include_str!("../../../tests/keys/p256")),
        (SignatureAlgorithm::RsaSha512, include_str!("../../../tests/keys/rsa")),
    ] {
        let mut options = Options { lies: true, ..Options::new() };
        options.algorithms.host_keys = vec![algorithm];
        options.host_key = PrivateKey::from_openssh(text, None).unwrap().into();
        let mut pair = Pair::new(options);
        assert_eq!(pair.run().unwrap_err(), Error::Signature);
        assert!(pair.told().is_empty(), "its key is not even shown");
    }
}

#[test]
fn the_host_key_may_not_change() {
    let mut pair = open();
    let accepted = pair.client.host_key.take().unwrap();
    let other = PrivateKey::from_ed25519(&[8; 32]).unwrap();
    let signature = other.sign(SignatureAlgorithm::Ed25519, b"").unwrap();
    let other =
        crate::HostKey::verify(other.public_blob(), SignatureAlgorithm::Ed25519, &signature, b"");
    pair.client.host_key = Some(other.unwrap());
    assert_ne!(pair.client.host_key, Some(accepted));
    pair.server.offer();
    assert_eq!(pair.run().unwrap_err(), Error::HostKeyChanged);
}

#[test]
fn a_changed_packet_ends_the_connection() {
    let mut pair = open();
    pair.server.send(&[message::REQUEST_FAILURE]);
    *pair.server.out.last_mut().unwrap() ^= 1;
    assert_eq!(pair.run().unwrap_err(), Error::Integrity);
    // the server is told, and the error stays
    let out = pair.client.poll_output().to_vec();
    pair.server.handle(&out);
    assert_eq!(pair.heard()[0][..5], [message::DISCONNECT, 0, 0, 0, 5]);
    assert_eq!(pair.client.handle_input(Duration::ZERO, b""), Err(Error::Integrity));
    assert_eq!(pair.client.exec(Exec::default()), None);
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn a_disconnection_is_told_at_every_step() {
    let goodbye =
        Message::new(message::DISCONNECT).uint32(2).string("too\u{1b} many").string("").done();
    let expected = Error::Disconnected { reason: 2, text: "too\u{fffd} many".into() };
    for place in [Place::Start, Place::Offered, Place::Replied] {
        assert_eq!(injecting(place, &goodbye, true).unwrap_err(), expected);
    }
    let mut pair = Pair::new(Options::new());
    pair.run().unwrap();
    pair.say(Message::new(message::SERVICE_ACCEPT).string("ssh-userauth")).unwrap();
    pair.server.send(&goodbye);
    let dismissed = Error::Dismissed { reason: 2, text: "too\u{fffd} many".into() };
    assert_eq!(pair.run().unwrap_err(), dismissed);
    let mut pair = open();
    pair.server.send(&goodbye);
    assert_eq!(pair.run().unwrap_err(), expected);
    let mut pair = open();
    pair.client.rekey(Duration::ZERO).unwrap();
    pair.server.send(&goodbye);
    assert_eq!(pair.run().unwrap_err(), expected);
}

#[test]
fn an_end_is_told_at_every_step() {
    // all that a server says, cut after every octet
    let mut whole = Pair::new(Options::new());
    whole.run_by(1).unwrap();
    for len in 0..900 {
        let mut pair = Pair::new(Options::new());
        let out = pair.client.poll_output().to_vec();
        pair.server.handle(&out);
        let input = core::mem::take(&mut pair.server.out);
        let len = len.min(input.len());
        pair.client.handle_input(Duration::ZERO, &input[..len]).unwrap();
        assert_eq!(pair.client.handle_end(Duration::ZERO), Err(Error::CutShort));
    }
}

#[test]
fn messages_out_of_place_end_the_connection() {
    // with the user known
    for number in [5, 6, 21, 30, 31, 49, 91, 92, 99, 100] {
        let mut pair = open();
        let error = pair.say(Message::new(number).uint32(0)).unwrap_err();
        assert_eq!(error, Error::Unexpected { message: number });
    }
    // before it is
    for number in [20, 21, 31, 50, 51, 52, 80, 90, 94, 98] {
        let mut pair = Pair::new(Options::new());
        pair.run().unwrap();
        assert!(pair.say(Message::new(number).uint32(0)).is_err(), "{number}");
    }
    // to a channel that there is not, that is no more, or whose end was told
    for number in 93..=98 {
        let mut pair = open();
        let id = pair.exec(8);
        let error = pair.say(to(number, ChannelId(id.0 + 1)).uint32(0)).unwrap_err();
        assert_eq!(error, Error::Unexpected { message: number });
        let mut pair = open();
        let id = pair.exec(8);
        pair.say(to(message::CHANNEL_CLOSE, id)).unwrap();
        assert_eq!(
            pair.say(to(number, id).uint32(0)).unwrap_err(),
            Error::Unexpected { message: number }
        );
    }
    for number in [94, 95, 96] {
        let mut pair = open();
        let id = pair.exec(8);
        pair.say(to(message::CHANNEL_EOF, id)).unwrap();
        assert_eq!(
            pair.say(to(number, id).uint32(0)).unwrap_err(),
            Error::Unexpected { message: number }
        );
    }
}

#[test]
fn cut_messages_are_malformed() {
    let whole = |id| {
        [
            to(message::CHANNEL_DATA, id).string("data"),
            to(message::CHANNEL_EXTENDED_DATA, id).uint32(1).string("data"),
            to(message::CHANNEL_WINDOW_ADJUST, id).uint32(1),
            to(message::CHANNEL_REQUEST, id).string("exit-status").boolean(false).uint32(1),
            Message::new(message::GLOBAL_REQUEST).string("x").boolean(true),
            Message::new(message::DISCONNECT).uint32(1).string("x"),
        ]
    };
    for (index, message) in whole(ChannelId(0)).map(Message::done).into_iter().enumerate() {
        for len in 1..message.len() {
            let mut pair = open();
            let id = pair.exec(8);
            assert_eq!(id, ChannelId(0));
            pair.server.send(&message[..len]);
            assert_eq!(
                pair.run().unwrap_err(),
                Error::Malformed { message: message[0] },
                "{index} {len}"
            );
        }
    }
}

#[test]
fn windows_are_kept() {
    let mut pair = open();
    let id = pair.exec(8);
    assert_eq!(
        pair.say(to(message::CHANNEL_WINDOW_ADJUST, id).uint32(u32::MAX)).unwrap_err(),
        Error::Window
    );

    let mut pair = open();
    let id = pair.exec(8);
    let data = vec![0; 64 * 1024];
    for _ in 0..WINDOW as usize / data.len() {
        pair.say(to(message::CHANNEL_DATA, id).string(&data)).unwrap();
    }
    assert_eq!(pair.say(to(message::CHANNEL_DATA, id).string("x")).unwrap_err(), Error::Window);
}

/// What a client that runs a command comes to at the server of that name, some way into what has no end.
fn meet(name: &str) -> Result<Connection, Error> {
    let mut server = Hostile::named(name).unwrap();
    let config = Config { user: "me".into(), ..Config::default() };
    let mut client = Connection::new(config, counting(), Duration::ZERO).unwrap();
    for _ in 0..100 {
        server.handle(client.poll_output());
        client.handle_sent(usize::MAX);
        let output = server.output();
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            let used = client.handle_input(Duration::ZERO, rest)?;
            rest = &rest[used..];
            while let Some(event) = client.poll_event() {
                match event {
                    Event::HostKey(_) => client.accept_host_key(Duration::ZERO)?,
                    Event::Authenticated(_) => drop(client.exec(Exec::default())),
                    _ => {}
                }
            }
        }
    }
    Ok(client)
}

#[test]
fn servers_that_misbehave_later_are_borne_or_left() {
    let error = |name| meet(name).err();
    assert!(matches!(error("ssh-banner-flood"), Some(Error::Flood(_))));
    assert_eq!(error("ssh-window"), Some(Error::Window));
    assert_eq!(error("ssh-rekey-other-key"), Some(Error::HostKeyChanged));
    // these go on as long as their owner bears them
    assert_eq!(error("ssh-ignore-flood"), None);
    assert_eq!(error("ssh-rekey-flood"), None);
    let mut client = meet("ssh-rekey-silent").unwrap_or_else(|error| panic!("{error}"));
    let due = client.poll_timeout().unwrap();
    assert_eq!(client.handle_timeout(due), Err(Error::Silent { after: REKEY_LIMIT }));
    assert!(Hostile::named("ssh-honest").is_none());
}

#[test]
fn requests_do_not_fill_the_memory() {
    // a server that asks and asks and reads nothing: from some point on its octets are left where they are
    let mut pair = open();
    let question = Message::new(message::GLOBAL_REQUEST).string("x").boolean(true).done();
    let mut wire = Vec::new();
    for _ in 0..100_000 {
        pair.server.send(&question);
    }
    core::mem::swap(&mut wire, &mut pair.server.out);
    let mut rest = wire.as_slice();
    loop {
        let used = pair.client.handle_input(Duration::ZERO, rest).unwrap();
        if used == 0 {
            break;
        }
        rest = &rest[used..];
    }
    assert!(!rest.is_empty() && pair.client.poll_output().len() < OUT_HELD + CHUNK);
    // and in a key exchange that the server never answers it ends
    let mut pair = open();
    pair.client.rekey(Duration::ZERO).unwrap();
    for _ in 0..=MAX_DEFERRED {
        pair.server.send(&question);
    }
    assert!(matches!(pair.run().unwrap_err(), Error::Flood(_)));
}

#[test]
fn empty_talk_ends_before_the_user_is_known() {
    let mut pair = Pair::new(Options::new());
    pair.run().unwrap();
    for _ in 0..=MAX_IDLE_TALK {
        pair.server.send(&Message::new(message::IGNORE).string("").done());
    }
    assert!(matches!(pair.run().unwrap_err(), Error::Flood(_)));
}

#[test]
fn garbage_in_the_clear_ends_the_connection() {
    for garbage in [&[0xff; 64][..], &[0; 64], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let mut client = Connection::new(Config::default(), counting(), Duration::ZERO).unwrap();
        client.handle_input(Duration::ZERO, b"SSH-2.0-x\r\n").unwrap();
        let error = client.handle_input(Duration::ZERO, garbage).unwrap_err();
        assert!(matches!(error, Error::PacketLength { .. }), "{error}");
    }
}

#[test]
fn a_source_without_randomness_is_said() {
    let none: Random = Box::new(|_| Err(crate::NoRandomness));
    let outcome = Connection::new(Config::default(), none, Duration::ZERO).map(|_| ());
    assert_eq!(outcome, Err(Error::NoRandomness));
}
