//! What MirageOS's happy-eyeballs gets wrong, each with the scene that shows it, and what its users
//! reported.

mod script;

use happy_eyeballs::{Answer, Memory, Outcome, Reason};
use script::{Scene, ms};

/// Lets timers alone run until the end; every output with its time.
fn run_out(scene: &mut Scene) -> Vec<(u64, String)> {
    let mut outputs = vec![];
    while let Some(time) = scene.timer() {
        let output = scene.play(&format!("@{time}"));
        if !output.is_empty() {
            outputs.push((time, output));
        }
    }
    outputs
}

/// (a) The retries after the first one were burnt on consecutive ticks: failure after 1.03 s, not 3
/// s.
#[test]
fn a_retries_are_paced() {
    let mut scene = Scene::new("dual");
    let expected = [
        (1000, "?aaaa*2 ?a*2".to_string()),
        (2000, "?aaaa*3 ?a*3".to_string()),
        (3000, "!Unresolved".to_string()),
    ];
    assert_eq!(run_out(&mut scene), expected);
    assert!(scene.report().queries.iter().all(|query| query.answer == Answer::Silent));
}

/// (a) A driver that ticks every 10 ms changes nothing of it.
#[test]
fn a_retries_are_paced_under_a_ticking_driver() {
    let mut scene = Scene::new("v6");
    let asked: Vec<_> = (1..=310)
        .map(|tick| tick * 10)
        .filter(|time| !scene.play(&format!("@{time}")).is_empty())
        .collect();
    assert_eq!(asked, [1000, 2000, 3000]);
}

/// (b) The shorter family was cycled: 3, a, 2, a, 1, a.
#[test]
fn b_no_address_is_tried_twice() {
    let mut scene = Scene::new("dual");
    assert_eq!(scene.play("a 4a"), "");
    assert_eq!(scene.play("aaaa 6a 6b 6c"), "+6a");
    let expected = [
        (250, "+4a".to_string()),
        (500, "+6b".to_string()),
        (750, "+6c".to_string()),
        (10_000, "-6a -4a -6b -6c !TimedOut".to_string()),
    ];
    assert_eq!(run_out(&mut scene), expected);
}

/// (b) Nor when the same answer comes again, by a retry or by a hint.
#[test]
fn b_repeated_answers_and_hints_are_no_new_addresses() {
    let mut scene = Scene::new("dual https");
    scene.play_all("https 1/./6a/4a; aaaa 6a 6a; a 4a; @100 aaaa 6a; a 4a 4a; https 1/./6a/4a");
    let connects = run_out(&mut scene);
    assert_eq!(connects[0], (250, "+4a".to_string()));
    assert_eq!(scene.report().attempts.len(), 2);
}

/// (c) Addresses were sorted by number, IPv6 downwards.
#[test]
fn c_addresses_keep_the_order_of_dns_within_that_of_rfc_6724() {
    let order = |setup: &str, answer: &str| {
        let mut scene = Scene::new(setup);
        scene.play_all(answer);
        run_out(&mut scene);
        let attempts = scene.report().attempts.iter();
        attempts.map(|attempt| attempt.remote.ip().to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order("v6", "aaaa 6b 6c 6a"), "2600::b 2600::c 2600::a");
    assert_eq!(order("v4", "a 4c 4a 4b"), "192.0.2.12 192.0.2.10 192.0.2.11");
    // 6to4 and unique local addresses have a lower precedence than IPv4, whatever their place
    assert_eq!(
        order("dual", "a 4a; aaaa fd00::1 2002:c000:201::1 6a"),
        "2600::a 192.0.2.10 2002:c000:201::1 fd00::1"
    );
}

/// (d) AAAA was asked and IPv6 tried without an IPv6 address.
#[test]
fn d_a_family_without_a_local_address_is_left_alone() {
    let mut scene = Scene::new("v4 https");
    assert_eq!(scene.first, "?https ?a");
    assert_eq!(scene.play("https 1/./6a/4a"), "+4a");
    assert_eq!(scene.play("@20 no 4a"), "");
    assert_eq!(scene.play("a 4a"), "!AllFailed");
    let skipped: Vec<_> = scene.report().skipped.iter().map(|(ip, _)| ip.to_string()).collect();
    assert_eq!(skipped, ["2600::a"]);
}

/// (d) Behind a NAT64 an IPv4 literal is reached all the same.
#[test]
fn d_nat64_reaches_ipv4() {
    let mut scene = Scene::new("v6 nat64 to=4a");
    assert_eq!(scene.first, "+n4a");
    assert_eq!(scene.play("@20 ok n4a"), "=n4a");
}

/// (e) An empty answer was an exception.
#[test]
fn e_empty_answers_are_answers() {
    let ends = [
        ("dual", "aaaa; a", Some(Reason::NoAddress)),
        ("dual", "a; aaaa", Some(Reason::NoAddress)),
        ("dual https", "https; aaaa; a", Some(Reason::NoAddress)),
        ("dual", "aaaa; a!", Some(Reason::Unresolved)),
        ("dual", "a 4a; aaaa; no 4a; @10 no 4a", Some(Reason::AllFailed)),
        ("dual", "aaaa; aaaa; aaaa", None),
    ];
    for (setup, events, reason) in ends {
        let mut scene = Scene::new(setup);
        scene.play_all(events);
        assert_eq!(scene.done.is_some(), reason.is_some(), "{setup}: {events}");
        if let Some(reason) = reason {
            assert_eq!(scene.error().reason, reason, "{setup}: {events}");
        }
    }
}

/// (f) Only the last reason was told.
#[test]
fn f_every_cause_is_told() {
    let mut scene = Scene::new("dual https tries=1");
    scene.play_all("aaaa 6a 6b; @5 a!; @50; @60 no 6a; @70 no 6b; @1000");
    assert_eq!(
        scene.error().to_string(),
        "every address failed: host.example HTTPS: no answer yet; host.example A: a failed; \
         [2600::a]:443: [2600::a]:443 refused; [2600::b]:443: [2600::b]:443 refused"
    );
    let mut late = Scene::new("dual limit=400 to=6a,4a,6b");
    late.play_all("@30 no 6a; @280; @400");
    assert_eq!(
        late.error().to_string(),
        "timed out after 400ms: [2600::a]:443: [2600::a]:443 refused; \
         192.0.2.10:443: no answer in 370ms; [2600::b]:443: no answer in 120ms"
    );
}

/// (f) A success tells why the others lost.
#[test]
fn f_the_winner_s_report_names_the_losers() {
    let mut scene = Scene::new("dual to=6a,4a,6b,4b");
    scene.play_all("@250; @500; @510 no 6a; @520 ok 4a");
    let attempts = &scene.report().attempts;
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.clone()).collect();
    let refused = Outcome::Failed("[2600::a]:443 refused".to_string());
    assert_eq!(outcomes[..3], [refused, Outcome::Connected, Outcome::Outrun]);
    assert_eq!(attempts[2].ended, ms(520));
}

/// (g) Nothing was remembered: every call waited for the black hole again.
#[test]
fn g_a_black_hole_is_remembered() {
    let mut memory = Memory::default();
    for (call, (v6, v4)) in [("6a", "4a"), ("6b", "4b")].into_iter().enumerate() {
        let mut scene = Scene::remembering(&format!("dual to={v6},{v4}"), memory.clone());
        assert_eq!(scene.first, format!("+{v6}"), "call {call}");
        scene.play_all(&format!("@250; @260 ok {v4}"));
        memory.learn(scene.report());
    }
    // the same host, and after two silences any other
    for (v6, v4) in [("6a", "4a"), ("6c", "4c")] {
        let scene = Scene::remembering(&format!("dual to={v6},{v4}"), memory.clone());
        assert_eq!(scene.first, format!("+{v4}"));
    }
    // nor is AAAA waited for
    let mut named = Scene::remembering("dual", memory.clone());
    assert_eq!(named.play("@20 a 4d"), "+4d");
}

/// (g) What worked comes first among its equals, and its round trip time sets the pace.
#[test]
fn g_what_worked_is_remembered() {
    let mut memory = Memory::default();
    let mut first = Scene::new("dual to=6b");
    first.play("@50 ok 6b");
    memory.learn(first.report());
    let again = Scene::remembering("dual to=6a,6b,4a", memory);
    assert_eq!(again.first, "+6b");
    assert_eq!(again.timer(), Some(150), "three times 50 ms");
}

/// happy-eyeballs#9: AAAA good, the connection fails before A is there.
#[test]
fn a_failure_before_the_other_answer_is_no_end() {
    let mut scene = Scene::new("dual");
    scene.play_all("@10 aaaa 6a; @20 no 6a");
    assert!(scene.done.is_none());
    assert_eq!(scene.play("@900 a 4a"), "+4a");
    assert_eq!(scene.play("@910 ok 4a"), "=4a");
}

/// happy-eyeballs#34: servers that drop packets are raced, not waited for, one by one.
#[test]
fn two_dead_addresses_of_three_cost_two_delays() {
    let mut scene = Scene::new("v4");
    scene.play_all("@10 a 4a 4b 4c; @260; @510");
    assert_eq!(scene.play("@520 ok 4c"), "-4a -4b =4c");
}

/// A cancelled promise let the SYNs go on: here each attempt still running is named, once.
#[test]
fn every_attempt_is_cancelled_by_name() {
    let mut scene = Scene::new("dual to=6a,4a,6b,4b limit=700");
    scene.play_all("@250; @500; @510 no 4a");
    assert_eq!(scene.play("@700"), "-6a -6b -4b !TimedOut");
    for silent in ["@701 ok 6a", "@702 no 6b", "@703 ok 4a", "@9000"] {
        assert_eq!(scene.play(silent), "");
    }
}

/// An attempt that the driver has not taken yet is withdrawn, not begun and cancelled.
#[test]
fn attempts_not_yet_taken_are_withdrawn() {
    use happy_eyeballs::{Config, HappyEyeballs, Network, Output, Request};
    let addresses = ["2600::a", "192.0.2.10"].map(|address| address.parse().unwrap());
    let request = Request::addresses(addresses, 443);
    let network = Network::default();
    let mut machine: HappyEyeballs<()> =
        HappyEyeballs::new(Config::default(), request, network, &Memory::default(), ms(0)).unwrap();
    let Some(Output::Connect { attempt, .. }) = machine.poll_output() else { panic!() };
    machine.handle_timeout(ms(250));
    machine.handle_connected(ms(251), attempt);
    let Some(Output::Done(Ok(connected))) = machine.poll_output() else { panic!() };
    assert_eq!(connected.report.attempts.len(), 1);
    assert_eq!(connected.report.untried, ["192.0.2.10:443".parse().unwrap()]);
    assert_eq!(machine.poll_output(), None);
}
