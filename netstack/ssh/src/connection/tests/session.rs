//! What goes well.

use super::*;

#[test]
fn every_algorithm_is_agreed_on() {
    let host_keys = [
        (SignatureAlgorithm::Ed25519, include_str!("../../../tests/keys/ed")),
        (SignatureAlgorithm::EcdsaNistP256, include_str!("../../../tests/keys/p256")),
        (SignatureAlgorithm::EcdsaNistP384, include_str!("../../../tests/keys/p384")),
        (SignatureAlgorithm::RsaSha512, include_str!("../../../tests/keys/rsa")),
        (SignatureAlgorithm::RsaSha256, include_str!("../../../tests/keys/rsa")),
    ];
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::new();
        change(&mut options);
        let mut pair = Pair::new(options);
        pair.authenticated();
        let id = pair.exec(100);
        assert_eq!(pair.client.write(id, b"hello"), 5);
        pair.run().unwrap();
        assert_eq!(pair.heard(), [on(message::CHANNEL_DATA).string("hello").done()]);
    };
    for &method in KeyExchange::ALL {
        with(&|options| options.algorithms.key_exchanges = vec![method]);
    }
    for (algorithm, text) in host_keys {
        with(&|options| {
            options.algorithms.host_keys = vec![algorithm];
            options.host_key = PrivateKey::from_openssh(text, None).unwrap().into();
        });
    }
    for &cipher in Cipher::ALL {
        for &mac in Mac::ALL {
            with(&|options| {
                options.algorithms.ciphers = vec![cipher];
                options.algorithms.macs = vec![mac];
            });
        }
    }
}

#[test]
fn octets_may_come_one_by_one() {
    let mut pair = Pair::new(Options::new());
    pair.run_by(1).unwrap();
    let told = pair.told();
    assert!(matches!(told.as_slice(), [Event::HostKey(_), Event::Agreed(_)]), "{told:?}");
}

#[test]
fn nothing_goes_on_before_the_host_key_is_accepted() {
    let mut pair = Pair::new(Options::new());
    pair.trusts = false;
    pair.run().unwrap();
    let told = pair.told();
    let [Event::HostKey(key)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(key.kind(), "ssh-ed25519");
    assert!(key.fingerprint().starts_with("SHA256:") && key.fingerprint().len() == 50);
    assert!(pair.heard().is_empty() && pair.server.exchanges == 0);
    pair.client.refuse_host_key();
    assert_eq!(pair.client.error(), Some(&Error::HostKeyRefused));
    pair.run().unwrap_err();
    assert_eq!(pair.server.exchanges, 0);
}

#[test]
fn a_command_has_three_streams_and_an_end() {
    let mut pair = open();
    let id = pair.exec(8);
    assert_eq!(pair.client.write(id, b"0123456789"), 8, "the window");
    assert_eq!(pair.client.write(id, b"x"), 0);
    pair.say(to(message::CHANNEL_WINDOW_ADJUST, id).uint32(5000)).unwrap();
    assert_eq!(pair.client.write(id, &[1; 2000]), 2000);
    pair.client.finish(id);
    assert!(!pair.client.is_writable(id));
    assert_eq!(pair.client.write(id, b"x"), 0);
    pair.run().unwrap();
    let sizes: Vec<_> = pair.heard().iter().map(|it| (it[0], it.len())).collect();
    // in packets as large as the server takes
    assert_eq!(sizes, [(94, 17), (94, 1009), (94, 1009), (96, 5)]);

    pair.say(to(message::CHANNEL_DATA, id).string("out")).unwrap();
    pair.say(to(message::CHANNEL_EXTENDED_DATA, id).uint32(1).string("err")).unwrap();
    pair.say(to(message::CHANNEL_EXTENDED_DATA, id).uint32(9).string("nobody's")).unwrap();
    assert_eq!(pair.read(id, Stream::Stderr).unwrap(), b"err");
    assert_eq!(pair.read(id, Stream::Stdout).unwrap(), b"out");
    assert_eq!(pair.read(id, Stream::Stdout), None);
    let status = to(message::CHANNEL_REQUEST, id).string("exit-status").boolean(false).uint32(3);
    pair.say(status).unwrap();
    pair.say(to(message::CHANNEL_DATA, id).string("late")).unwrap();
    pair.say(to(message::CHANNEL_EOF, id)).unwrap();
    pair.say(to(message::CHANNEL_CLOSE, id)).unwrap();
    assert_eq!(pair.told(), [Event::Exited(id, Exit::Status(3)), Event::Closed(id)]);
    assert_eq!(pair.heard(), [on(message::CHANNEL_CLOSE).done()]);
    assert_eq!(pair.read(id, Stream::Stdout).unwrap(), b"late");
    assert_eq!(pair.read(id, Stream::Stdout).unwrap(), b"");
    assert_eq!(pair.read(id, Stream::Stderr).unwrap(), b"");
    pair.client.close(id);
    assert!(pair.client.channels.is_empty());
}

#[test]
fn a_signal_is_told() {
    let mut pair = open();
    let id = pair.exec(8);
    let signal = to(message::CHANNEL_REQUEST, id).string("exit-signal").boolean(false);
    pair.say(signal.string("KILL").boolean(true).string("gone\u{7}").string("")).unwrap();
    let exit =
        Exit::Signal { name: "KILL".into(), core_dumped: true, message: "gone\u{fffd}".into() };
    assert_eq!(exit.to_string(), "signal KILL (core dumped): gone\u{fffd}");
    assert_eq!(pair.told(), [Event::Exited(id, exit)]);
}

#[test]
fn the_environment_goes_before_the_command() {
    let mut pair = open();
    let environment = vec![("GIT_PROTOCOL".to_string(), "version=2".to_string())];
    let id = pair.client.exec(Exec { command: b"git".to_vec(), environment }).unwrap();
    pair.run().unwrap();
    pair.heard();
    pair.say(to(message::CHANNEL_OPEN_CONFIRMATION, id).uint32(REMOTE).uint32(9).uint32(9))
        .unwrap();
    let request =
        |name, wants_reply| on(message::CHANNEL_REQUEST).string(name).boolean(wants_reply);
    let env = request("env", false).string("GIT_PROTOCOL").string("version=2").done();
    assert_eq!(pair.heard(), [env, request("exec", true).string("git").done()]);
}

#[test]
fn a_refused_command_is_told() {
    let mut pair = open();
    let id = pair.client.exec(Exec::default()).unwrap();
    pair.run().unwrap();
    let failure = to(message::CHANNEL_OPEN_FAILURE, id).uint32(4).string("no more").string("");
    pair.say(failure).unwrap();
    let told = pair.told();
    assert!(
        matches!(&told[..], [Event::Refused { reason, .. }] if reason.contains("no more")),
        "{told:?}"
    );
    assert_eq!(pair.read(id, Stream::Stdout).unwrap(), b"");

    let id = pair.client.exec(Exec::default()).unwrap();
    pair.run().unwrap();
    pair.say(to(message::CHANNEL_OPEN_CONFIRMATION, id).uint32(REMOTE).uint32(9).uint32(9))
        .unwrap();
    pair.heard();
    pair.say(to(message::CHANNEL_FAILURE, id)).unwrap();
    assert!(matches!(&pair.told()[..], [Event::Refused { channel, .. }] if *channel == id));
    assert_eq!(pair.heard(), [on(message::CHANNEL_CLOSE).done()]);
    pair.client.close(id);
    pair.say(to(message::CHANNEL_CLOSE, id)).unwrap();
    assert_eq!(pair.client.channels.len(), 1, "the closed one is gone");
}

#[test]
fn several_commands_run_beside_each_other_up_to_a_limit() {
    let mut pair = open();
    let ids: Vec<_> = (0..MAX_CHANNELS).map(|_| pair.exec(100)).collect();
    assert_eq!(pair.client.exec(Exec::default()), None);
    for &id in &ids {
        pair.say(to(message::CHANNEL_DATA, id).string([id.0 as u8])).unwrap();
    }
    for &id in ids.iter().rev() {
        assert_eq!(pair.read(id, Stream::Stdout).unwrap(), [id.0 as u8]);
    }
    pair.heard();
    pair.client.close(ids[3]);
    pair.run().unwrap();
    assert_eq!(pair.heard(), [on(message::CHANNEL_CLOSE).done()]);
    // what comes between our closing and the server's is thrown away
    pair.say(to(message::CHANNEL_DATA, ids[3]).string("late")).unwrap();
    pair.say(to(message::CHANNEL_CLOSE, ids[3])).unwrap();
    assert!(pair.client.exec(Exec::default()).is_some());
}

#[test]
fn the_window_is_raised_as_data_is_read() {
    let mut pair = open();
    let id = pair.exec(8);
    let data = vec![5; 32 * 1024];
    for _ in 0..WINDOW as usize / data.len() {
        pair.say(to(message::CHANNEL_DATA, id).string(&data)).unwrap();
    }
    assert!(pair.heard().is_empty());
    assert_eq!(pair.read(id, Stream::Stdout).unwrap().len(), WINDOW as usize);
    pair.run().unwrap();
    assert_eq!(pair.heard(), [on(message::CHANNEL_WINDOW_ADJUST).uint32(WINDOW).done()]);
    pair.say(to(message::CHANNEL_DATA, id).string(&data)).unwrap();
}

#[test]
fn keys_are_exchanged_anew_at_both_sides_wish() {
    for by_server in [true, false] {
        let mut pair = open();
        let id = pair.exec(1 << 20);
        match by_server {
            true => pair.server.offer(),
            false => pair.client.rekey(Duration::ZERO).unwrap(),
        }
        assert_eq!(pair.client.write(id, b"x") == 1, by_server, "ours waits once we have offered");
        pair.run().unwrap();
        assert_eq!(pair.server.exchanges, 2);
        assert!(matches!(&pair.told()[..], [Event::Agreed(_)]));
        assert_eq!(pair.client.write(id, b"y"), 1);
        pair.say(to(message::CHANNEL_DATA, id).string("z")).unwrap();
        assert_eq!(pair.read(id, Stream::Stdout).unwrap(), b"z");
        assert!(pair.heard().contains(&on(message::CHANNEL_DATA).string("y").done()));
    }
}

#[test]
fn data_flows_across_key_exchanges() {
    let config = Config { user: "me".into(), rekey_octets: 10_000, ..Config::default() };
    let mut pair = Pair::with(Options::new(), config);
    pair.authenticated();
    let id = pair.exec(1 << 30);
    let (mut sent, mut got, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..200_u8 {
        let data = vec![round; 999];
        sent.extend_from_slice(&data);
        // ours may be refused for a while
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let written = pair.client.write(id, rest);
            rest = &rest[written..];
            pair.run().unwrap();
        }
        pair.say(to(message::CHANNEL_DATA, id).string(&data)).unwrap();
        got.append(&mut pair.read(id, Stream::Stdout).unwrap());
        for message in pair.heard() {
            heard.extend_from_slice(&message[9..]);
        }
    }
    assert_eq!(got, sent);
    assert_eq!(heard, sent);
    assert!(pair.server.exchanges > 15, "{}", pair.server.exchanges);
}

#[test]
fn what_waits_for_a_key_exchange_comes_after_it() {
    let mut pair = open();
    let id = pair.exec(8);
    pair.client.rekey(Duration::ZERO).unwrap();
    // the server has not heard of it yet
    pair.server.send(
        &Message::new(message::GLOBAL_REQUEST).string("keepalive@openssh.com").boolean(true).done(),
    );
    let used =
        pair.client.handle_input(Duration::ZERO, &core::mem::take(&mut pair.server.out)).unwrap();
    assert!(used > 0);
    pair.client.finish(id);
    pair.run().unwrap();
    assert_eq!(pair.heard(), [vec![message::REQUEST_FAILURE], on(message::CHANNEL_EOF).done()]);
}

#[test]
fn requests_are_answered() {
    let mut pair = open();
    let id = pair.exec(8);
    let global =
        |name, wants_reply| Message::new(message::GLOBAL_REQUEST).string(name).boolean(wants_reply);
    pair.say(global("keepalive@openssh.com", true)).unwrap();
    pair.say(global("hostkeys-00@openssh.com", false)).unwrap();
    pair.say(to(message::CHANNEL_REQUEST, id).string("keepalive@openssh.com").boolean(true))
        .unwrap();
    pair.say(Message::new(message::CHANNEL_OPEN).string("x11").uint32(5).uint32(1).uint32(1))
        .unwrap();
    pair.say(Message::new(127)).unwrap();
    pair.say(Message::new(200)).unwrap();
    pair.say(Message::new(message::IGNORE).string("x")).unwrap();
    let heard = pair.heard();
    assert_eq!(heard[0], [message::REQUEST_FAILURE]);
    assert_eq!(heard[1], on(message::CHANNEL_FAILURE).done());
    assert_eq!(heard[2][..9], [92, 0, 0, 0, 5, 0, 0, 0, 1]);
    assert_eq!(
        (heard[3][0], heard[4][0], heard.len()),
        (message::UNIMPLEMENTED, message::UNIMPLEMENTED, 5)
    );
}

#[test]
fn a_silent_server_is_asked_and_then_given_up() {
    let interval = Duration::from_secs(10);
    let config = Config { user: "me".into(), keepalive: Some(interval), ..Config::default() };
    let mut pair = Pair::with(Options::new(), config);
    pair.authenticated();
    let ask =
        Message::new(message::GLOBAL_REQUEST).string("keepalive@openssh.com").boolean(true).done();
    assert_eq!(pair.client.poll_timeout(), Some(interval));
    pair.client.handle_timeout(interval / 2).unwrap();
    pair.run().unwrap();
    assert!(pair.heard().is_empty());
    pair.now = interval;
    pair.client.handle_timeout(pair.now).unwrap();
    pair.run().unwrap();
    assert_eq!(pair.heard(), [ask]);
    // an answer begins it anew
    pair.now = Duration::from_secs(12);
    pair.say(Message::new(message::REQUEST_FAILURE)).unwrap();
    for asked in 1..=3 {
        let due = pair.client.poll_timeout().unwrap();
        assert_eq!(due, pair.now + interval * asked);
        pair.client.handle_timeout(due).unwrap();
    }
    let due = pair.client.poll_timeout().unwrap();
    let error = pair.client.handle_timeout(due).unwrap_err();
    assert_eq!(error, Error::Silent { after: interval * 4 });
}

#[test]
fn keys_are_exchanged_anew_in_time() {
    let config = Config { user: "me".into(), keepalive: None, ..Config::default() };
    let mut pair = Pair::with(Options::new(), config);
    pair.authenticated();
    let hour = Duration::from_secs(3600);
    assert_eq!(pair.client.poll_timeout(), Some(hour));
    pair.now = hour;
    pair.client.handle_timeout(hour).unwrap();
    assert_eq!(pair.client.poll_timeout(), Some(hour + REKEY_LIMIT));
    pair.run().unwrap();
    assert_eq!(pair.server.exchanges, 2);
    assert_eq!(pair.client.poll_timeout(), Some(hour * 2));
    // and a server that does not answer is given up
    pair.client.handle_timeout(hour * 2).unwrap();
    let error = pair.client.handle_timeout(hour * 2 + REKEY_LIMIT).unwrap_err();
    assert_eq!(error, Error::Silent { after: REKEY_LIMIT });
}

#[test]
fn a_slow_link_is_not_silent_in_a_key_exchange() {
    let config = Config { user: "me".into(), keepalive: None, ..Config::default() };
    let mut pair = Pair::with(Options::new(), config);
    pair.authenticated();
    let id = pair.exec(8);
    pair.client.rekey(Duration::ZERO).unwrap();
    // what the server sent before it heard of that
    for seconds in [50, 100, 150] {
        let now = Duration::from_secs(seconds);
        pair.server.send(&to(message::CHANNEL_DATA, id).string("data").done());
        pair.client.handle_input(now, &core::mem::take(&mut pair.server.out)).unwrap();
        assert_eq!(pair.client.poll_timeout(), Some(now + REKEY_LIMIT));
        pair.client.handle_timeout(now + REKEY_LIMIT / 2).unwrap();
    }
    let due = pair.client.poll_timeout().unwrap();
    assert_eq!(pair.client.handle_timeout(due).unwrap_err(), Error::Silent { after: REKEY_LIMIT });
}

#[test]
fn what_waits_for_a_key_exchange_is_not_overtaken() {
    let mut pair = open();
    let id = pair.client.exec(Exec { command: b"cat".to_vec(), ..Exec::default() }).unwrap();
    pair.run().unwrap();
    pair.heard();
    pair.server.hesitates = true;
    pair.client.rekey(Duration::ZERO).unwrap();
    let confirmation = Message::new(message::CHANNEL_OPEN_CONFIRMATION).uint32(id.0).uint32(REMOTE);
    pair.say(confirmation.uint32(8).uint32(1000)).unwrap();
    assert!(pair.heard().is_empty(), "the request waits");
    pair.server.release();
    pair.run().unwrap();
    // its half of the secret, its new keys and the channel's end at once
    pair.server.release();
    pair.server.release();
    pair.say(to(message::CHANNEL_CLOSE, id)).unwrap();
    let request = on(message::CHANNEL_REQUEST).string("exec").boolean(true).string("cat");
    assert_eq!(pair.heard(), [request.done(), on(message::CHANNEL_CLOSE).done()]);
}

#[test]
fn a_wrong_guess_is_passed_over() {
    // RFC 4253 §7: the packet after a KEXINIT that says so, where the guess is not what was agreed on
    let mut options = Options::new();
    options.is_strict = false;
    let mut pair = Pair::new(options);
    let guess = Message::new(message::KEXINIT)
        .octets(&[0; 16])
        .string("ecdh-sha2-nistp521,curve25519-sha256")
        .string("ssh-ed25519")
        .string("aes128-ctr")
        .string("aes128-ctr")
        .string("hmac-sha2-256")
        .string("hmac-sha2-256")
        .string("none")
        .string("none")
        .string("")
        .string("")
        .boolean(true)
        .uint32(0);
    pair.client.handle_input(Duration::ZERO, b"SSH-2.0-x\r\n").unwrap();
    let mut wire = Vec::new();
    let mut sealer = Sealer::clear();
    sealer.seal(&mut wire, &[&guess.done()]);
    sealer.seal(&mut wire, &[&[31, 1, 2, 3]]);
    pair.client.handle_input(Duration::ZERO, &wire).unwrap();
    let mut wire = Vec::new();
    sealer.seal(&mut wire, &[&[31, 1, 2, 3]]);
    let error = pair.client.handle_input(Duration::ZERO, &wire).unwrap_err();
    assert_eq!(error, Error::Malformed { message: 31 }, "only once");
}

#[test]
fn a_banner_and_extensions_are_heard() {
    let key = PrivateKey::from_openssh(include_str!("../../../tests/keys/rsa"), None).unwrap();
    let credentials = vec![Credential::Key(key.into())];
    let mut pair =
        Pair::with(Options::new(), Config { user: "me".into(), credentials, ..Config::default() });
    pair.run().unwrap();
    let extensions = Message::new(message::EXT_INFO).uint32(2).string("x").string("y");
    pair.say(extensions.string("server-sig-algs").string("ssh-rsa,rsa-sha2-256")).unwrap();
    pair.say(Message::new(message::SERVICE_ACCEPT).string("ssh-userauth")).unwrap();
    pair.say(Message::new(message::USERAUTH_BANNER).string("hello\u{1b}[2J\n").string("")).unwrap();
    assert!(pair.told().contains(&Event::Banner("hello\u{fffd}[2J\n".into())));
    pair.heard();
    pair.say(Message::new(message::USERAUTH_FAILURE).string("publickey").boolean(false)).unwrap();
    let heard = pair.heard();
    assert!(
        String::from_utf8_lossy(&heard[0]).contains("rsa-sha2-256"),
        "the one that the server takes"
    );
}

#[test]
fn a_passwords_length_is_not_seen() {
    let lengths = [1, 40].map(|len| {
        let credentials = vec![Credential::Password("x".repeat(len).into())];
        let config = Config { user: "me".into(), credentials, ..Config::default() };
        let mut pair = Pair::with(Options::new(), config);
        pair.run().unwrap();
        pair.say(Message::new(message::SERVICE_ACCEPT).string("ssh-userauth")).unwrap();
        pair.heard();
        let failure = Message::new(message::USERAUTH_FAILURE).string("password").boolean(false);
        pair.server.send(&failure.done());
        let input = core::mem::take(&mut pair.server.out);
        pair.client.handle_input(Duration::ZERO, &input).unwrap();
        let out = pair.client.poll_output().to_vec();
        pair.server.handle(&out);
        assert!(pair.heard()[0].ends_with(&[b'x'; 1].repeat(len)));
        out.len()
    });
    assert_eq!(lengths[0], lengths[1]);
}

#[test]
fn goodbye_is_said() {
    let mut pair = open();
    pair.client.disconnect();
    let out = pair.client.poll_output().to_vec();
    pair.server.handle(&out);
    assert_eq!(pair.heard()[0][..5], [message::DISCONNECT, 0, 0, 0, 11]);
    assert!(pair.client.handle_input(Duration::ZERO, b"x").is_err());
}

#[test]
fn output_is_bounded_by_what_is_sent() {
    let mut pair = open();
    let id = pair.exec(1 << 30);
    let data = vec![0; 1 << 20];
    let written = pair.client.write(id, &data);
    assert!((OUT_FULL / 2..2 * OUT_FULL).contains(&written), "{written}");
    assert_eq!(pair.client.write(id, &data), 0);
    let half = pair.client.poll_output().len() - OUT_FULL / 2;
    pair.client.handle_sent(half);
    assert!(pair.client.write(id, &data) > 0);
}
