use super::*;
use crate::config::Output;
use core::time::Duration;
use log::LevelFilter;
use stack::Cidr;
use stack::smol::{self, Ipv4, Ipv6};

fn words(line: &str) -> Vec<String> {
    shell_words::split(line).unwrap()
}

fn config(line: &str) -> Config {
    parse(words(line), Vec::new()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn values_come_behind_a_sign_or_as_the_next_word() {
    for line in ["http://h/ --connect-timeout=250ms", "--connect-timeout 250ms http://h/"] {
        assert_eq!(config(line).limits.connect, Duration::from_millis(250), "{line}");
    }
    let config = config(
        "tcp://h:1 --send 'it s' --output=discard -l *:info,smoltcp:trace"
            .replace('\'', "\"")
            .as_str(),
    );
    assert_eq!(config.bytes.send.as_deref(), Some(b"it s".as_slice()));
    assert_eq!(config.run.output, Output::Discard);
    assert_eq!(config.run.level, LevelFilter::Info);
    assert_eq!(config.run.levels, [("smoltcp".to_string(), LevelFilter::Trace)]);
}

#[test]
fn dhcp_is_asked_unless_there_is_an_address() {
    assert_eq!(config("http://h/").network.dhcp, Some(true));
    assert_eq!(config("http://h/ --ipv4=10.0.0.2/24").network.dhcp, Some(false));
    assert_eq!(config("http://h/ --dhcp=false").network.dhcp, Some(false));
}

#[test]
fn families_are_configured_as_said() {
    let configured = |line: &str, device_mtu| {
        let mut stack = smol::Config::new([2, 0, 0, 0, 0, 1], Box::new(|_| {}));
        config(line).network.configure(&mut stack, device_mtu).unwrap();
        (stack.ipv4, stack.ipv6, stack.accept_router_advertisements)
    };
    let dhcp = || Ipv4::Dhcp { hostname: None };
    let fixed = |gateway: Option<&str>| Ipv6::Static {
        address: Cidr::new("2001:db8::2".parse().unwrap(), 64).unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
    };
    for (line, mtu, expected) in [
        ("", 1500, (dhcp(), Ipv6::Auto, true)),
        ("--ipv4-only", 1500, (dhcp(), Ipv6::Off, true)),
        ("--ipv6-only", 1500, (Ipv4::Off, Ipv6::Auto, true)),
        ("--dhcp=false", 1500, (Ipv4::Off, Ipv6::Auto, true)),
        ("--accept-router-advertisements=false", 1500, (dhcp(), Ipv6::Auto, false)),
        ("--ipv6=2001:db8::2/64", 1500, (dhcp(), fixed(None), true)),
        (
            "--ipv6=2001:db8::2/64 --ipv6-gateway=fe80::1 --ipv6-only",
            1500,
            (Ipv4::Off, fixed(Some("fe80::1")), true),
        ),
        ("--mtu=1279", 1500, (dhcp(), Ipv6::Off, true)),
        ("--mtu=1280", 1500, (dhcp(), Ipv6::Auto, true)),
        ("", 1279, (dhcp(), Ipv6::Off, true)),
    ] {
        assert_eq!(configured(&format!("http://h/ {line}"), mtu), expected, "{line}");
    }
}

#[test]
fn wrong_words_are_refused_with_what_would_be_right() {
    for (line, says) in [
        ("", "no target"),
        ("nonsense", "is no target"),
        ("http://a/ http://b/", "second target"),
        ("http://h/ --conect-timeout=1s", "did you mean --connect-timeout?"),
        ("http://h/ --zzz", "no argument --zzz (--help"),
        ("http://h/ -Z", "no argument -Z"),
        ("http://h/ --timeout", "needs a value (expected --timeout=TIME)"),
        ("http://h/ --timeout=5", "is not a time with its unit"),
        ("http://h/ --timeout=1s --timeout=2s", "only once"),
        ("http://h/ --explain=yes", "takes no value"),
        ("http://h/ --ipv4=10.0.0.2", "no prefix length (expected --ipv4=ADDRESS/PREFIX)"),
        ("http://h/ --ipv4=10.0.0.2/33", "at most 32 bits"),
        ("http://h/ --ipv4=10.0.0/24", "invalid IPv4 address"),
        ("http://h/ --ipv4-gateway=10.0.0.1", "means nothing without --ipv4"),
        ("http://h/ --ipv4=10.0.0.2/24 --dhcp=true", "exclude each other"),
        ("http://h/ --dhcp=maybe", "expected --dhcp=BOOL"),
        ("http://h/ --ipv6=2001:db8::2", "no prefix length (expected --ipv6=ADDRESS/PREFIX)"),
        ("http://h/ --ipv6=2001:db8::2/129", "at most 128 bits"),
        ("http://h/ --ipv6=10.0.0.2/24", "invalid IPv6 address"),
        ("http://h/ --ipv6-gateway=fe80::1", "means nothing without --ipv6"),
        ("http://h/ --ipv6=2001:db8::2/64 --ipv4-only", "exclude each other"),
        ("http://h/ --ipv4=10.0.0.2/24 --ipv6-only", "exclude each other"),
        ("http://h/ --ipv4-only --ipv6-only", "exclude each other"),
        ("http://h/ --accept-router-advertisements=1", "=BOOL"),
        ("http://h/ --mac=01:00:00:00:00:00", "not the address of one station"),
        ("http://h/ --mac=02:00", "has 6 octets"),
        ("http://h/ --mtu=100", "takes 576"),
        ("http://h/ --dns-servers=10.0.0.1", "names no kind"),
        ("http://h/ --dns-servers=udp:10.0.0", "neither an address nor"),
        ("http://h/ --dns-servers=tls:10.0.0.1!a.test!sha", "no such kind `sha`"),
        ("http://h/ --dns-cache-size=-1", "expected --dns-cache-size=N"),
        ("http://h/ --search=a..b", "not a name that DNS can hold"),
        ("http://h/ --host=a", "no `=`"),
        ("http://h/ --tls-authenticator=sha", "no such kind `sha`"),
        ("http://h/ --tls-min=1.1", "neither 1.2 nor 1.3"),
        ("http://h/ -H x", "expected --header=NAME:VALUE"),
        ("http://h/ --send-hex=0", "hexadecimal"),
        ("http://h/ --count=0", "at least one"),
        ("http://h/ --logs=loud", "`loud` is no level"),
        ("http://h/ --output=file", "neither stdout nor discard"),
    ] {
        let error = parse(words(line), Vec::new()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{line}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn every_argument_stands_in_help_and_in_readme() {
    let help = help::text(&Config::default());
    for argument in ARGUMENTS.iter().filter(|it| it.group.is_included()) {
        assert!(help.contains(&format!("--{}", argument.name)), "{}", argument.name);
    }
    let readme = include_str!("../../../README.md");
    assert!(
        readme.contains(&help::markdown()),
        "README's table should read:\n{}",
        help::markdown()
    );
}

#[test]
fn dns_servers_are_addresses_with_or_without_ports() {
    let config =
        config("http://h/ --dns-servers=udp:10.0.2.3,tcp:[::1]:5353,tls:::1!dns.test!none");
    let servers: Vec<_> = config.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["udp:10.0.2.3:53", "tcp:[::1]:5353", "tls:[::1]:853"]);
}

fn beside(line: &str, asides: &[(&str, &str)]) -> Result<Config, Error> {
    let asides = asides.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    parse(words(line), asides.collect())
}

#[test]
fn values_can_come_beside_the_words() {
    let config = beside("http://h/", &[("timeout", "5s\n"), ("header", "a: b")]).unwrap();
    assert_eq!(config.limits.whole, Some(Duration::from_secs(5)));
    assert_eq!(config.http.headers, [("a".into(), "b".into())]);
    let config = beside("http://h/ --timeout=1s", &[("timeout", "5s")]).unwrap();
    assert_eq!(config.limits.whole, Some(Duration::from_secs(1)), "a word wins");
    let config = beside("", &[("target", "http://h/\n")]).unwrap();
    assert_eq!(config.target.unwrap().to_string(), "http://h/");
    for (name, value, says) in [
        ("timeot", "5s", "did you mean --timeout?"),
        ("timeout", "5", "such as 250ms"),
        ("explain", "yes", "takes no value"),
    ] {
        let error = beside("http://h/", &[(name, value)]).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}

#[test]
fn a_secret_is_not_told_where_it_is_malformed() {
    let error = beside("http://h/ -H hunter2", &[]).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("--header") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_client_certificate_comes_with_its_key() {
    let (certificate, key) = ("--client-cert=MAA", "--client-key=MAYCAQAwAQA");
    let said = |line: String| parse(words(&line), Vec::new()).map(|_| ()).unwrap_err().to_string();
    let both = config(&format!("https://h/ {certificate} {key}"));
    assert_eq!(both.tls.certificates, [[0x30, 0]]);
    let shown = format!("{both:?}");
    assert!(shown.contains("(redacted)") && !shown.contains("MAYCAQ"), "{shown}");
    assert_eq!(
        said(format!("https://h/ {certificate}")),
        "--client-cert means nothing without --client-key"
    );
    assert_eq!(
        said(format!("https://h/ {key}")),
        "--client-key means nothing without --client-cert"
    );
    let wrong = said(format!("https://h/ {certificate} --client-key=hunter2"));
    assert!(wrong.contains("not encrypted") && !wrong.contains("hunter2"), "{wrong}");
    assert!(said("https://h/ --client-cert=AAEC".into()).contains("no certificate in it"));
}

#[test]
fn arguments_of_a_feature_that_is_not_there_say_so() {
    let error = Error::Absent { name: "tls-name".into(), feature: "tls" }.to_string();
    assert_eq!(error, "--tls-name belongs to the feature tls, which this image was built without");
    for named in all(&Config::default()) {
        let is_included = named.argument.group.is_included();
        assert_eq!(included(named).is_ok(), is_included);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 5_000, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn any_words_are_a_configuration_or_one_line(
        target in "(http|tcp|udp|raw|icmp)://[a-z0-9:.?=]{0,9}",
        picked in proptest::collection::vec((0..ARGUMENTS.len(), "[0-9a-zA-Z:,./*= +-]{0,12}", proptest::bool::ANY), 0..4),
        other in "\\PC{0,12}",
    ) {
        let known = picked.iter().map(|(index, value, bare)| match bare {
            true => format!("--{}", ARGUMENTS[*index].name),
            false => format!("--{}={value}", ARGUMENTS[*index].name),
        });
        let words = [target].into_iter().chain(known).chain([other]).collect();
        if let Err(line) = Config::from_words(words) {
            proptest::prop_assert!(!line.is_empty() && !line.contains('\n'), "{}", line);
        }
    }
}

#[test]
fn further_networks_have_arguments_of_their_own() {
    let line = "http://h/ --networks=management,b2 --management-ipv4=10.9.0.2/24 --ipv4-only \
        --management-mac=02:00:00:00:00:09 --b2-ipv6-only --b2-mtu=1400 --interface=1";
    let config = config(line);
    let [(first, management), (second, other)] = &config.networks[..] else { panic!("two") };
    assert_eq!((first.as_str(), second.as_str()), ("management", "b2"));
    assert_eq!(management.ipv4, Some(("10.9.0.2".parse().unwrap(), 24)));
    assert_eq!((management.dhcp, management.interface), (Some(false), 2));
    assert_eq!(management.mac, Some([2, 0, 0, 0, 0, 9]));
    assert_eq!((other.mtu, other.only, other.interface), (Some(1400), Some(Family::V6), 3));
    assert_eq!((config.network.ipv4, config.network.dhcp), (None, Some(true)));
    assert_eq!(config.network.only, Some(Family::V4));
    let help = help::text(&config);
    for name in ["--management-ipv4=ADDRESS/PREFIX", "--b2-ipv6-only", "--b2-interface=N"] {
        assert!(help.contains(name), "{name}");
    }
    assert!(!help.contains("--b2-networks") && !help.contains("--b2-dns-servers"));
    let effective = effective::text(&config);
    assert!(effective.contains("--management-ipv4      10.9.0.2/24"), "{effective}");

    for (line, says) in [
        ("--management-ipv4=10.9.0.2/24", "no argument --management-ipv4"),
        ("--networks=a --a-ipv=10.9.0.2/24", "did you mean --a-ipv6?"),
        ("--networks=a --a-ipv4=10.9.0.2", "no prefix length (expected --a-ipv4=ADDRESS/PREFIX)"),
        ("--networks=a --a-mtu=1400 --a-mtu=1400", "--a-mtu can be given only once"),
        (
            "--networks=a --a-ipv4-gateway=10.9.0.1",
            "--a-ipv4-gateway means nothing without --a-ipv4",
        ),
        ("--networks=a --a-ipv4-only=1", "--a-ipv4-only takes no value"),
        ("--networks=a --a-interface=0", "--a-interface and --interface exclude each other"),
        ("--networks=a --a-networks=b", "no argument --a-networks"),
        ("--networks=", "is no name"),
        ("--networks=A", "is no name"),
        ("--networks=a_b", "is no name"),
        ("--networks=a-", "is no name"),
        ("--networks=a,a", "arguments of the name `a` already"),
    ] {
        let line = format!("http://h/ {line}");
        let error = parse(words(&line), Vec::new()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{line}: {error}");
    }
}

#[test]
fn the_image_s_own_words_give_way_to_the_user_s() {
    let own = "http://image/ --timeout=5s --fail -H 'A: 1' --networks=admin --own-words-end";
    let alone = config(own);
    assert_eq!(alone.target.unwrap().to_string(), "http://image/");
    assert_eq!(alone.limits.whole, Some(Duration::from_secs(5)));

    let both = config(&format!("{own} http://user/ --timeout=7s -H 'B: 2' --admin-dhcp=false"));
    assert_eq!(both.target.as_ref().unwrap().to_string(), "http://user/");
    assert_eq!(both.limits.whole, Some(Duration::from_secs(7)));
    assert!(both.http.fail);
    assert_eq!(both.http.headers.len(), 2);
    assert_eq!(effective::text(&both).matches("--timeout").count(), 1);

    // a value beside the words is the user's, too
    let aside = ("timeout".to_string(), b"9s".to_vec());
    let beside = parse(words(own), vec![aside]).unwrap();
    assert_eq!(beside.limits.whole, Some(Duration::from_secs(9)));

    let twice = parse(words(&format!("{own} --timeout=7s --timeout=8s")), Vec::new());
    assert_eq!(twice.unwrap_err(), Error::Repeated { name: "timeout".into() });
    let wrong = parse(words("--timeout=x --own-words-end http://h/"), Vec::new());
    assert!(matches!(wrong, Err(Error::Malformed { .. })));
}

#[test]
fn words_of_others_are_passed_over_where_they_stand_alone() {
    let among = |line: &str| parse_among(words(line), Vec::new(), |word| word == "rw");
    let config = among("rw --own-words-end rw http://h/ rw --timeout=5s rw").unwrap();
    assert_eq!(config.target.unwrap().to_string(), "http://h/");
    let config = among("tcp://h:1 --send rw").unwrap();
    assert_eq!(config.bytes.send.as_deref(), Some(b"rw".as_slice()));
    assert!(matches!(among("http://h/ ro"), Err(Error::SecondTarget { .. })));
    assert_eq!(among("rw").map(|_| ()), Err(Error::NoTarget));
}
