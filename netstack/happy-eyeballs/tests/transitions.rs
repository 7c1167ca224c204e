//! The machine as a table: state × event → outputs, state and timer; and the drawing of it.

mod script;

use happy_eyeballs::State::{self, *};
use script::Scene;
use std::collections::BTreeSet;

/// Scene, what happened before, the event (empty: the start), outputs, state, next timer in ms.
type Row = (&'static str, &'static str, &'static str, &'static str, State, Option<u64>);

#[rustfmt::skip]
const START: &[Row] = &[
    ("dual",                "", "", "?aaaa ?a",        Resolving,  Some(1000)),
    ("unknown",             "", "", "?aaaa ?a",        Resolving,  Some(1000)),
    ("v4",                  "", "", "?a",              Resolving,  Some(1000)),
    ("v6",                  "", "", "?aaaa",           Resolving,  Some(1000)),
    ("link6",               "", "", "?a",              Resolving,  Some(1000)),
    ("only4",               "", "", "?a",              Resolving,  Some(1000)),
    ("v6 nat64",            "", "", "?aaaa",           Resolving,  Some(1000)),
    ("dual nat64",          "", "", "?aaaa ?a",        Resolving,  Some(1000)),
    ("dual https",          "", "", "?https ?aaaa ?a", Resolving,  Some(1000)),
    ("late6",               "", "", "?aaaa ?a",        Resolving,  Some(1000)),
    ("late6 only4",         "", "", "?a",              Resolving,  Some(1000)),
    ("late6 to=6a",         "", "", "",                Resolving,  Some(10_000)),
    ("late6 to=6a,4a",      "", "", "+4a",             Connecting, Some(10_000)),
    ("late6 only4 to=6a",   "", "", "!NoAddress",      Failed,     None),
    ("late4 nat64 to=4a",   "", "", "",                Resolving,  Some(10_000)),
    ("none",                "", "", "!NoLocalAddress", Failed,     None),
    ("none https",          "", "", "!NoLocalAddress", Failed,     None),
    ("dual limit=500",      "", "", "?aaaa ?a",        Resolving,  Some(500)),
    ("dual to=6a",          "", "", "+6a",             Connecting, Some(10_000)),
    ("dual to=4a,6a",       "", "", "+6a",             Connecting, Some(250)),
    ("dual prefer4 to=6a,4a", "", "", "+4a",           Connecting, Some(250)),
    ("v4 to=6a,4a",         "", "", "+4a",             Connecting, Some(10_000)),
    ("v4 to=6a",            "", "", "!NoAddress",      Failed,     None),
    ("none to=6a",          "", "", "!NoLocalAddress", Failed,     None),
    ("v6 nat64 to=4a",      "", "", "+n4a",            Connecting, Some(10_000)),
    ("dual to=::ffff:192.0.2.10", "", "", "+4a",       Connecting, Some(10_000)),
    ("dual to=6a,6a",       "", "", "+6a",             Connecting, Some(10_000)),
    ("dual used=6a/40 to=6b,6a,4a", "", "", "+6a",     Connecting, Some(120)),
    ("dual bad=6a to=6a,6b", "", "", "+6b",            Connecting, Some(250)),
    ("dual bad=6a to=6a,4a", "", "", "+4a",            Connecting, Some(250)),
    ("dual doubt6 to=6a,4a", "", "", "+4a",            Connecting, Some(250)),
];

#[rustfmt::skip]
const RESOLVING: &[Row] = &[
    ("dual", "",                "@20 aaaa 6a",    "+6a",          Connecting, Some(1000)),
    ("dual", "",                "@20 aaaa 6a 6b", "+6a",          Connecting, Some(270)),
    ("dual", "",                "@20 a 4a",       "",             Delaying,   Some(70)),
    ("dual delay=0", "",        "@20 a 4a",       "+4a",          Connecting, Some(1000)),
    ("dual", "",                "@20 aaaa",       "",             Resolving,  Some(1000)),
    ("dual", "",                "@20 aaaa!",      "",             Resolving,  Some(1000)),
    ("dual", "",                "@20 a",          "",             Resolving,  Some(1000)),
    ("dual", "",                "@20 a!",         "",             Resolving,  Some(1000)),
    ("dual", "aaaa",            "@20 a 4a",       "+4a",          Connecting, Some(10_000)),
    ("dual", "aaaa!",           "@20 a 4a",       "+4a",          Connecting, Some(10_000)),
    ("dual", "a",               "@20 aaaa 6a",    "+6a",          Connecting, Some(10_000)),
    ("dual", "a!",              "@20 aaaa 6a",    "+6a",          Connecting, Some(10_000)),
    ("dual", "a",               "@20 aaaa",       "!NoAddress",   Failed,     None),
    ("dual", "a!",              "@20 aaaa",       "!Unresolved",  Failed,     None),
    ("dual", "a!",              "@20 aaaa!",      "!Unresolved",  Failed,     None),
    ("dual", "a 0.0.0.0",       "@20 aaaa ::",    "!NoAddress",   Failed,     None),
    ("dual", "a 6a",            "@20 aaaa 4a",    "!NoAddress",   Failed,     None),
    ("v4", "",                  "@20 a 4a",       "+4a",          Connecting, Some(10_000)),
    ("v6", "",                  "@20 aaaa",       "!NoAddress",   Failed,     None),
    ("dual prefer4", "",        "@20 a 4a",       "+4a",          Connecting, Some(1000)),
    ("dual prefer4", "",        "@20 aaaa 6a",    "",             Delaying,   Some(70)),
    ("dual doubt6", "",         "@20 a 4a",       "+4a",          Connecting, Some(1000)),
    ("dual", "",                "@999",           "",             Resolving,  Some(1000)),
    ("dual", "",                "@1000",          "?aaaa*2 ?a*2", Resolving,  Some(2000)),
    ("dual", "@400 a",          "@1000",          "?aaaa*2",      Resolving,  Some(2000)),
    ("dual", "@1000",           "@2000",          "?aaaa*3 ?a*3", Resolving,  Some(3000)),
    ("dual", "@1000; @2000",    "@3000",          "!Unresolved",  Failed,     None),
    ("dual tries=1", "",        "@1000",          "!Unresolved",  Failed,     None),
    ("dual", "@1500",           "@2499",          "",             Resolving,  Some(2500)),
    ("dual", "@1000",           "@1100 aaaa 6a",  "+6a",          Connecting, Some(2000)),
    ("dual limit=500", "",      "@500",           "!TimedOut",    Failed,     None),
    ("dual", "",                "@20 stop",       "!Abandoned",   Failed,     None),
    ("dual", "aaaa!",           "@20 aaaa 6a",    "+6a",          Connecting, Some(1000)),
    ("dual https", "",          "@20 https",      "",             Resolving,  Some(1000)),
    ("dual https", "",          "@20 aaaa 6a",    "",             Delaying,   Some(70)),
    ("dual https", "aaaa; a",   "@20",            "",             Resolving,  Some(50)),
    ("dual https", "aaaa; a",   "@50",            "!NoAddress",   Failed,     None),
    ("dual https", "",          "@20 https 1/./6a/alpn=h2", "+6a+h2", Connecting, Some(1000)),
    ("dual https", "",          "@20 https 1/./4a", "",           Delaying,   Some(70)),
    ("dual https", "",          "@20 https 1/svc", "?aaaa@svc ?a@svc", Resolving, Some(1000)),
    ("dual https", "aaaa; a",   "@20 https 1/./6a", "!NoAddress", Failed,     None),
    ("dual https", "aaaa; a",   "@20 https 1/svc/6a", "?aaaa@svc ?a@svc +6a", Connecting, Some(1020)),
    ("v6 nat64", "",            "@20 aaaa",       "?a",           Resolving,  Some(1020)),
    ("v6 nat64", "aaaa!",       "@20 a 4a",       "+n4a",         Connecting, Some(10_000)),
    ("v4", "",                  "@20 net dual",   "?aaaa",        Resolving,  Some(1000)),
    ("v4", "@20 net dual",      "@30 a 4a",       "",             Delaying,   Some(80)),
    ("dual", "aaaa",            "@20 net v6",     "",             Resolving,  Some(1000)),
    ("v6", "",                  "@20 net none",   "",             Resolving,  Some(1000)),
    ("late6", "",               "@20 a 4a",       "+4a",          Connecting, Some(1000)),
    ("late6", "a",              "@20 aaaa 6a",    "",             Resolving,  Some(10_000)),
    ("late6", "a",              "@20 aaaa",       "!NoAddress",   Failed,     None),
    ("late6", "a; @20 aaaa 6a", "@30 net dual",   "+6a",          Connecting, Some(10_000)),
    ("late6", "a; @20 aaaa 6a", "@30 net v4",     "!NoAddress",   Failed,     None),
    ("late6", "a; @20 aaaa 6a", "@10000",         "!TimedOut",    Failed,     None),
    ("late6 to=6a", "",         "@30 net dual",   "+6a",          Connecting, Some(10_000)),
    ("late6 to=fe80::9", "",    "@30 net dual",   "",             Connecting, Some(10_000)),
    ("late4", "aaaa",           "@20 a 4a",       "",             Resolving,  Some(10_000)),
];

#[rustfmt::skip]
const DELAYING: &[Row] = &[
    ("dual", "@20 a 4a",          "@69",            "",           Delaying,   Some(70)),
    ("dual", "@20 a 4a",          "@70",            "+4a",        Connecting, Some(1000)),
    ("dual", "@20 a 4a",          "@30 aaaa 6a",    "+6a",        Connecting, Some(280)),
    ("dual", "@20 a 4a",          "@30 aaaa",       "+4a",        Connecting, Some(10_000)),
    ("dual", "@20 a 4a",          "@30 aaaa!",      "+4a",        Connecting, Some(10_000)),
    ("dual", "@20 a 4a",          "@30 a 4b",       "",           Delaying,   Some(70)),
    ("dual", "@20 a 4a",          "@30 a!",         "",           Delaying,   Some(70)),
    ("dual", "@20 a 4a; @30 a 4b", "@70",           "+4a",        Connecting, Some(320)),
    ("dual", "@20 a 4a",          "@30 aaaa 4b",    "+4a",        Connecting, Some(10_000)),
    ("dual", "@20 a 4a",          "@30 stop",       "!Abandoned", Failed,     None),
    ("dual delay=400 limit=300", "@20 a 4a", "@300", "!TimedOut", Failed,     None),
    ("dual delay=5000", "@20 a 4a", "@1000",        "?aaaa*2",    Delaying,   Some(2000)),
    ("dual delay=5000 tries=1", "@20 a 4a", "@1000", "+4a",       Connecting, Some(10_000)),
    ("dual https", "@20 aaaa 6a", "@30 https",      "+6a",        Connecting, Some(1000)),
    ("dual https", "@20 aaaa 6a", "@30 https!",     "+6a",        Connecting, Some(1000)),
    ("dual https", "@20 aaaa 6a", "@70",            "+6a",        Connecting, Some(1000)),
    ("dual https", "@20 aaaa 6a", "@30 https 1/./port=8443", "+6a:8443", Connecting, Some(280)),
    ("dual https", "@20 aaaa 6a", "@30 https 1/svc/6b", "?aaaa@svc ?a@svc +6b", Connecting, Some(280)),
    ("dual https", "@20 aaaa 6a", "@30 https 1/svc", "?aaaa@svc ?a@svc", Delaying, Some(70)),
    ("dual https", "@20 https 1/./4a", "@30 a",     "",           Resolving,  Some(1000)),
    ("dual", "@20 a 4a",          "@30 net v6",     "",           Resolving,  Some(1000)),
    ("dual", "@20 a 4a",          "@30 net v4",     "+4a",        Connecting, Some(1000)),
    ("dual https", "@20 https 1/./4a", "@30 a 4b",  "",           Delaying,   Some(70)),
];

#[rustfmt::skip]
const CONNECTING: &[Row] = &[
    ("dual", "@20 aaaa 6a 6b",           "@269",         "",      Connecting, Some(270)),
    ("dual", "@20 aaaa 6a 6b",           "@270",         "+6b",   Connecting, Some(1000)),
    ("dual", "@20 aaaa 6a; @30 a 4a",    "@270",         "+4a",   Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a",              "@30 a 4a",     "",      Connecting, Some(270)),
    ("dual", "@20 aaaa 6a",              "@300 a 4a",    "+4a",   Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a",              "@30 a",        "",      Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a",              "@30 a!",       "",      Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a",              "@1000",        "?a*2",  Connecting, Some(2000)),
    ("dual", "@20 aaaa 6a",              "@30 ok 6a",    "=6a",   Connected,  None),
    ("dual to=6a,4a", "@250",            "@260 ok 4a",   "-6a =4a", Connected, None),
    ("dual to=6a,4a", "@250",            "@260 ok 6a",   "-4a =6a", Connected, None),
    ("dual to=6a,4a,6b", "@250; @500",   "@510 ok 4a",   "-6a -6b =4a", Connected, None),
    ("dual to=6a,4a", "",                "@5 no 6a",     "",      Connecting, Some(10)),
    ("dual to=6a,4a", "@5 no 6a",        "@10",          "+4a",   Connecting, Some(10_000)),
    ("dual to=6a,4a", "",                "@40 no 6a",    "+4a",   Connecting, Some(10_000)),
    ("dual to=6a,4a", "@40 no 6a",       "@50 no 4a",    "!AllFailed", Failed, None),
    ("dual to=6a,4a", "@250",            "@260 no 6a",   "",      Connecting, Some(10_000)),
    ("dual to=6a,4a", "@250; @260 no 6a", "@270 no 4a",  "!AllFailed", Failed, None),
    ("dual to=6a,4a", "@250; @260 no 6a", "@270 ok 4a",  "=4a",   Connected,  None),
    ("dual to=6a,4a,6b", "@250",         "@255 no 6a",   "",      Connecting, Some(260)),
    ("dual to=6a,4a,6b", "@250",         "@300 no 6a",   "+6b",   Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a",              "@40 no 6a",    "",      Resolving,  Some(1000)),
    ("dual", "@20 aaaa 6a; @40 no 6a",   "@60 a 4a",     "+4a",   Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a; @40 no 6a",   "@60 a",        "!AllFailed", Failed, None),
    ("dual", "@20 aaaa 6a; @40 no 6a",   "@60 a!",       "!AllFailed", Failed, None),
    ("dual", "@20 aaaa 6a; @40 no 6a",   "@1000",        "?a*2",  Resolving,  Some(2000)),
    ("dual", "@20 a 4a; @70; @80 no 4a", "@90 aaaa 6a",  "+6a",   Connecting, Some(10_000)),
    ("dual", "@20 a 4a 4b; @70",         "@90 aaaa 6a",  "",      Connecting, Some(320)),
    ("dual", "@20 a 4a 4b; @70; @90 aaaa 6a", "@320",    "+6a",   Connecting, Some(570)),
    ("dual", "@20 aaaa 6a 6b 6c; @270; @300 a 4a", "@520", "+4a", Connecting, Some(770)),
    ("dual count=2 to=6a,6b,6c,4a", "",  "@250",         "+6b",   Connecting, Some(500)),
    ("dual count=2 to=6a,6b,6c,4a", "@250", "@500",      "+4a",   Connecting, Some(750)),
    ("dual count=3", "@20 a 4a 4b; @70; @90 aaaa 6a 6b", "@320", "+6a", Connecting, Some(570)),
    ("dual count=3", "@20 a 4a 4b; @70; @90 aaaa 6a 6b; @320", "@570", "+4b", Connecting, Some(820)),
    ("dual to=6a,6b,4a", "",             "@250",         "+4a",   Connecting, Some(500)),
    ("dual to=6a,6b", "",                "@250",         "+6b",   Connecting, Some(10_000)),
    ("dual ports=443,80 to=6a,4a", "",   "@250",         "+4a",   Connecting, Some(500)),
    ("dual ports=443,80 to=6a,4a", "@250", "@500",       "+6a:80", Connecting, Some(750)),
    ("dual ports=443,80 to=6a", "",      "@250",         "+6a:80", Connecting, Some(10_000)),
    ("dual attempt=100 to=6a,4a", "",    "@100",         "+4a",   Connecting, Some(10_000)),
    ("dual", "@20 aaaa 6a 6b",           "@30 aaaa 6b 6c", "",    Connecting, Some(270)),
    ("dual", "@20 aaaa 6a",              "@30 aaaa 6a",  "",      Connecting, Some(1000)),
    ("dual to=6a,4a", "@250",            "@10000",       "-6a -4a !TimedOut", Failed, None),
    ("dual to=6a,4a", "@250",            "@300 stop",    "-6a -4a !Abandoned", Failed, None),
    ("dual to=6a,4a limit=100", "",      "@100",         "-6a !TimedOut", Failed, None),
    ("dual limit=100 to=6a", "",         "@150 ok 6a",   "=6a",   Connected,  None),
    ("dual limit=100 to=6a,4a", "",      "@150 no 6a",   "!TimedOut", Failed, None),
    ("v4", "@20 a 4a",                   "@30 net dual", "?aaaa", Connecting, Some(1030)),
    ("late6", "@20 aaaa 6a; @30 a 4a",   "@40 no 4a",    "",      Resolving,  Some(10_000)),
    ("late6", "@20 aaaa 6a; @30 a 4a",   "@100 net dual", "",     Connecting, Some(280)),
    ("v4", "@20 a 4a; @30 net dual",     "@300 aaaa 6a", "+6a",   Connecting, Some(10_000)),
    ("v4", "@20 a 4a; @30 net dual",     "@40 no 4a",    "",      Resolving,  Some(1030)),
    ("dual to=6a,4a", "",                "@30 net v4",   "",      Connecting, Some(250)),
    ("dual to=6a,4a", "",                "@30 net v6",   "",      Connecting, Some(10_000)),
    ("v6 nat64", "@20 aaaa 6a",          "@2019",        "",      Connecting, Some(2020)),
    ("v6 nat64", "@20 aaaa 6a",          "@2020",        "?a",    Connecting, Some(3020)),
    ("v6 nat64", "@20 aaaa 6a; @2020",   "@2030 a 4a",   "+n4a",  Connecting, Some(10_000)),
    ("v6 nat64", "@20 aaaa 6a",          "@30 no 6a",    "?a",    Resolving,  Some(1030)),
    ("dual https", "@20 aaaa 6a; @30 a 4a; @70", "@80 https 1/./alpn=h2/port=444", "", Connecting, Some(320)),
    ("dual https", "@20 aaaa 6a; @30 a 4a; @70; @80 https 1/./port=444/alpn=h2", "@320", "+4a:444+h2", Connecting, Some(570)),
    ("dual https", "@20 aaaa 6a; @30 a; @70", "@80 no 6a", "!AllFailed", Failed, None),
    ("dual https", "@20 aaaa 6a; @70; @80 https 1/./alpn=h2", "@90 ok 6a", "=6a+h2", Connected, None),
    ("dual https alpn=h2", "@20 aaaa 6a", "@30 https 1/./alpn=h3/port=444", "+6a", Connecting, Some(1000)),
    ("dual https", "@20 https 2/./port=2 1/./port=1; @30 aaaa 6a", "@40 no 6a:1", "+6a:2", Connecting, Some(290)),
];

#[rustfmt::skip]
const ENDED: &[Row] = &[
    ("dual to=6a,4a", "@250; @260 ok 4a",  "@270 ok 6a",  "", Connected, None),
    ("dual to=6a,4a", "@250; @260 ok 4a",  "@270 no 6a",  "", Connected, None),
    ("dual to=6a,4a", "@250; @260 ok 4a",  "@270 ok 4a",  "", Connected, None),
    ("dual to=6a,4a", "@250; @260 ok 4a",  "@20000",      "", Connected, None),
    ("dual to=6a,4a", "@250; @260 ok 4a",  "@270 stop",   "", Connected, None),
    ("dual", "@20 aaaa 6a; @30 ok 6a",     "@40 a 4a",    "", Connected, None),
    ("dual", "@20 aaaa 6a; @30 ok 6a",     "@40 a!",      "", Connected, None),
    ("dual https", "@20 aaaa 6a; @70; @75 ok 6a", "@80 https 1/svc", "", Connected, None),
    ("dual to=6a", "@10000",               "@10001 ok 6a", "", Failed,   None),
    ("dual to=6a", "@10000",               "@10001 no 6a", "", Failed,   None),
    ("dual", "aaaa!; a!",                  "@20 aaaa 6a", "", Failed,    None),
    ("dual", "aaaa!; a!",                  "@20 stop",    "", Failed,    None),
    ("dual", "aaaa!; a!",                  "@20000",      "", Failed,    None),
];

fn tables() -> impl Iterator<Item = &'static Row> {
    [START, RESOLVING, DELAYING, CONNECTING, ENDED].into_iter().flatten()
}

#[test]
fn every_row_holds() {
    let rows = tables().count();
    assert!(rows >= 80, "{rows} rows");
    let mut wrong = Vec::new();
    for row @ (setup, given, event, outputs, state, timer) in tables() {
        let mut scene = Scene::new(setup);
        let mut got = scene.first.clone();
        if !event.is_empty() {
            scene.play_all(given);
            got = scene.play(event);
        }
        let got = (got.as_str(), scene.machine.state(), scene.timer());
        if got != (*outputs, *state, *timer) {
            wrong.push(format!("{row:?}\n  got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
}

/// A way from one state to another; `None` is the start.
type Edge = (Option<State>, State);

/// The edges that the rows walk, the events before the one in question included.
fn walked() -> BTreeSet<Edge> {
    let mut edges = BTreeSet::new();
    for (setup, given, event, ..) in tables() {
        let mut scene = Scene::new(setup);
        let mut state = scene.machine.state();
        edges.insert((None, state));
        for event in given.split(';').chain([*event]).map(str::trim).filter(|e| !e.is_empty()) {
            scene.play(event);
            let next = scene.machine.state();
            edges.insert((Some(state), next));
            state = next;
        }
    }
    // the ends lead nowhere: events there are in the table to show that nothing follows
    edges.retain(|(from, to)| !matches!(from, Some(Connected | Failed)) || *from != Some(*to));
    edges
}

/// The edges of the drawing.
fn drawn() -> BTreeSet<Edge> {
    let state = |name: &str| {
        let all = [Resolving, Delaying, Connecting, Connected, Failed];
        all.into_iter().find(|state| state.to_string() == name)
    };
    let arrows = include_str!("../states.dot").lines().filter_map(|line| line.split_once("->"));
    arrows
        .map(|(from, rest)| {
            let (to, _) = rest.split_once('[').expect("a label");
            let from = match from.trim() {
                "Start" => None,
                name => Some(state(name).unwrap_or_else(|| panic!("no state {name}"))),
            };
            (from, state(to.trim()).unwrap_or_else(|| panic!("no state {to}")))
        })
        .collect()
}

#[test]
fn the_drawing_shows_exactly_what_the_table_walks() {
    assert_eq!(walked(), drawn());
}

#[test]
fn the_drawing_in_the_documentation_has_every_state() {
    let text = include_str!("../src/lib.rs");
    let drawing = text.split("```text").nth(1).expect("a drawing").split("```").next().unwrap();
    for state in [Resolving, Delaying, Connecting, Connected, Failed] {
        assert!(drawing.contains(&state.to_string()), "{state} is not drawn");
    }
}
