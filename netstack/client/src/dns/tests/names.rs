//! Names: the search list, aliases, negative answers, what is asked of nobody.

use super::world::*;
use crate::dns::{Options, Resolver};
use core::time::Duration;
use proto::dns::{Data, Kind};
use proto::target::Host;
use simple_dns::RCODE;

#[test]
fn short_names_are_searched_for() {
    let mut world = World::new();
    let count = world.udp(0, zone);
    let resolver = Resolver::new(Options {
        search: vec!["corp.test".into(), "test".into()],
        ..world.options("udp:10.0.0.53")
    });
    assert_eq!(world.a(&resolver, "web").0, "10.0.0.80");
    assert_eq!(count.get(), 2, "web.corp.test, web.test");
    // both families of the same name, though it has none of the second
    assert_eq!(world.ask(&resolver, "four", Kind::Aaaa).unwrap(), Data::NoData);
    assert_eq!(count.get(), 4, "four.corp.test, four.test");
    for (name, questions) in [("nosuch", 3), ("web.", 1), ("a.web", 1)] {
        let before = count.get();
        assert_eq!(world.a(&resolver, name).0, "no such name");
        assert_eq!(count.get() - before, questions, "{name}");
    }
}

#[test]
fn aliases_are_followed_out_of_the_answer() {
    let mut world = World::new();
    let count = world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    for (name, questions) in [("alias.test", 1), ("away.test", 2), ("away.test", 0)] {
        let before = count.get();
        assert_eq!(world.a(&resolver, name).0, "10.0.0.80");
        assert_eq!(count.get() - before, questions, "{name}");
    }
    let (error, took) = world.a(&resolver, "loop.test");
    assert!(error.contains("its aliases form a loop"), "{error}");
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert!(count.get() < 25, "{}", count.get());
}

#[test]
fn what_does_not_exist_is_remembered_too() {
    let mut world = World::new();
    let count = world.udp(0, zone);
    let resolver = world.resolver("udp:10.0.0.53");
    for _ in 0..3 {
        assert_eq!(world.ask(&resolver, "nosuch.test", Kind::A).unwrap(), Data::NoName);
        assert_eq!(world.ask(&resolver, "four.test", Kind::Aaaa).unwrap(), Data::NoData);
    }
    assert_eq!(count.get(), 2);
    world.pass(Duration::from_secs(30));
    world.ask(&resolver, "nosuch.test", Kind::A).unwrap();
    assert_eq!(count.get(), 3, "the zone says 30 s");
}

#[test]
fn no_name_is_an_answer_and_asks_nobody_else() {
    let mut world = World::new();
    world.udp(0, zone);
    let count = world.udp(1, zone);
    let resolver = world.resolver("udp:10.0.0.53 udp:10.0.0.54");
    assert_eq!(world.a(&resolver, "nosuch.test").0, "no such name");
    assert_eq!(count.get(), 0);
}

#[test]
fn one_failing_family_does_not_keep_the_other_back() {
    let mut world = World::new();
    world.udp(0, |query, nth| {
        let v4 = query.questions[0].qtype == simple_dns::QTYPE::TYPE(simple_dns::TYPE::A);
        if v4 { code(query, RCODE::ServerFailure) } else { zone(query, nth) }
    });
    let resolver = world.resolver("udp:10.0.0.53");
    let host = Host::Name("web.test".into());
    let lookup = resolver.lookup(&world.client, &host, &world.trace);
    assert_eq!(world.network.run(lookup).unwrap().unwrap(), [ip("2001:db8::")]);
}

#[test]
fn some_hosts_need_no_server() {
    let mut world = World::new();
    let resolver = Resolver::new(Options {
        hosts: vec![("fixed.test".into(), ip("10.0.0.9"))],
        ..Options::default()
    });
    let mut lookup = |host: Host| {
        let lookup = resolver.lookup(&world.client, &host, &world.trace);
        world.network.run(lookup).unwrap()
    };
    let name = |name: &str| Host::Name(name.into());
    assert_eq!(lookup(Host::Ip(ip("2001:db8::7"))).unwrap(), [ip("2001:db8::7")]);
    assert_eq!(lookup(name("fixed.test")).unwrap(), [ip("10.0.0.9")]);
    assert_eq!(lookup(name("localhost")).unwrap(), [ip("127.0.0.1"), ip("::1")]);
    for (host, says) in [("a.invalid", "RFC 6761"), ("web.test", "--dns-servers")] {
        let error = lookup(name(host)).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(host), "{error}");
    }
    let (error, _) = world.a(&resolver, "b\u{fc}cher.test");
    assert!(error.contains("not a name that DNS can hold"), "{error}");
}
