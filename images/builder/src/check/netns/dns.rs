//! How names are found: servers that are dead, silent, cut short, encrypted, lied about.

use std::fs;

use anyhow::{Result, ensure};

use super::names::Kind::{A, Aaaa};
use super::names::Reply::{Addresses, Alias, Code, Forged, Signed, Truncated};
use super::names::{Row, SERVFAIL};
use super::network::{HOST, HOST_2, HOST_V6, Network};
use super::{Lab, Test, test};
use crate::certificate::{Dates, Leaf};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    let lookups = LOOKUPS.iter().map(|lookup| test(lookup.name, move |lab| lookup.run(lab)));
    lookups
        .chain([
            test("dns: TCP to unbound", unbound_tcp),
            test("dns: unbound's answer of 100 addresses comes over TCP", unbound_truncated),
            test("dns: TLS to unbound", tls),
            test("dns: a zone with DNSSEC from unbound", signed_zone),
        ])
        .collect()
}

const STATIC: [&str; 2] = ["--ipv4=10.9.0.9/24", "--ipv4-gateway=10.9.0.1"];

/// One page of `http://web.test/` by IPv4.
struct Lookup {
    name: &'static str,
    /// What [`HOST`] answers.
    names: &'static [Row],
    /// Prepares [`HOST_2`].
    other: fn(&Network) -> Result<()>,
    rules: &'static [&'static str],
    servers: &'static str,
    exit: i32,
    /// What standard error says.
    says: &'static str,
    /// How long the answer may take, in milliseconds.
    within: f64,
    /// Whether questions go to [`HOST`] over TCP, where that is not the client's to choose.
    over_tcp: Option<bool>,
}

const PLAIN: Lookup = Lookup {
    name: "",
    names: WEB,
    other: |_| Ok(()),
    rules: &[],
    servers: "udp:10.9.0.1",
    exit: 0,
    says: "",
    within: 1000.0,
    over_tcp: Some(false),
};

const WEB: &[Row] = &[Row("web.test", A, Addresses(&[HOST]))];
const SECOND: &str = "udp:10.9.0.2,udp:10.9.0.1";

const LOOKUPS: &[Lookup] = &[
    Lookup { name: "dns: one server", ..PLAIN },
    Lookup { name: "dns: over IPv6", servers: "udp:[2001:db8:9::1]", ..PLAIN },
    Lookup {
        name: "dns: nobody has the first server's address",
        servers: "udp:10.9.0.66,udp:10.9.0.1",
        within: 1500.0,
        ..PLAIN
    },
    Lookup {
        name: "dns: the first server is black-holed",
        rules: &["ip daddr 10.9.0.2 udp dport 53 drop"],
        servers: SECOND,
        within: 1500.0,
        ..PLAIN
    },
    Lookup {
        name: "dns: the first server's port is closed",
        servers: SECOND,
        within: 1500.0,
        ..PLAIN
    },
    Lookup {
        name: "dns: the first server fails",
        other: |network| {
            network.names(
                HOST_2,
                &[Row("web.test", A, Code(SERVFAIL)), Row("web.test", Aaaa, Code(SERVFAIL))],
            )?;
            Ok(())
        },
        servers: SECOND,
        ..PLAIN
    },
    Lookup {
        name: "dns: the first server accepts TCP and never answers",
        other: |network| network.silent("10.9.0.2:53"),
        servers: "tcp:10.9.0.2,tcp:10.9.0.1",
        within: 3000.0,
        over_tcp: Some(true),
        ..PLAIN
    },
    Lookup {
        name: "dns: the first server refuses TCP",
        servers: "tcp:10.9.0.2,tcp:10.9.0.1",
        over_tcp: Some(true),
        ..PLAIN
    },
    Lookup { name: "dns: over TCP", servers: "tcp:10.9.0.1", over_tcp: Some(true), ..PLAIN },
    Lookup {
        name: "dns: a truncated answer is asked for again over TCP",
        names: &[Row("web.test", A, Truncated(&[HOST]))],
        over_tcp: Some(true),
        ..PLAIN
    },
    Lookup {
        name: "dns: a signature beside the address",
        names: &[Row("web.test", A, Signed(&[HOST]))],
        ..PLAIN
    },
    Lookup {
        name: "dns: forged answers are not taken",
        names: &[Row("web.test", A, Forged(HOST_2, HOST))],
        // who hears a forger may ask where it cannot be heard
        over_tcp: None,
        ..PLAIN
    },
    Lookup {
        name: "dns: an alias is followed by a question of its own",
        names: &[
            Row("web.test", A, Alias("www.test")),
            Row("web.test", Aaaa, Alias("www.test")),
            Row("www.test", A, Addresses(&[HOST])),
        ],
        ..PLAIN
    },
    Lookup {
        name: "dns: aliases in a circle",
        names: &[
            Row("web.test", A, Alias("www.test")),
            Row("web.test", Aaaa, Alias("www.test")),
            Row("www.test", A, Alias("web.test")),
            Row("www.test", Aaaa, Alias("web.test")),
        ],
        exit: 68,
        says: "web.test",
        ..PLAIN
    },
    Lookup {
        name: "dns: a name that does not exist",
        names: &[],
        exit: 68,
        says: "web.test",
        ..PLAIN
    },
];

impl Lookup {
    fn run(&self, lab: &mut Lab) -> Result<String> {
        let network = Network::new()?;
        network.web("[::]:80", lab.files.directory())?;
        let asked = network.names(HOST, self.names)?;
        (self.other)(&network)?;
        network.filter(self.rules)?;
        let servers = format!("--dns-servers={}", self.servers);
        let mut words = vec!["http://web.test/", "--explain", servers.as_str()];
        words.extend(STATIC);
        if self.servers.contains('[') {
            network.names(HOST_V6, self.names)?;
            words.push("--ipv6=2001:db8:9::9/64");
        }
        let outcome = network.boot(&words)?;
        outcome.exits(self.exit)?.says(self.says)?;
        if self.exit != 0 {
            return Ok(String::new());
        }
        outcome.reached(HOST)?;
        let over_tcp = !asked.over("tcp").is_empty();
        let is_expected = self.over_tcp.is_none_or(|expected| expected == over_tcp);
        ensure!(
            is_expected,
            "over TCP: {:?}, over UDP: {:?}",
            asked.over("tcp"),
            asked.over("udp")
        );
        let time = outcome.milliseconds("dns_ms")?;
        let within = self.within;
        ensure!(time <= within, "the answer took {time} ms, not {within}{}", outcome.said());
        Ok(format!("{time:.0} ms"))
    }
}

/// The zone `test` as unbound serves it, without DNSSEC.
const LOCAL: &str = " local-zone: \"test.\" static\n local-data: \"web.test. A 10.9.0.1\"\n";

fn unbound_tcp(lab: &mut Lab) -> Result<String> {
    let mut network = Network::new()?;
    network.unbound(LOCAL, "", None)?;
    network.web("[::]:80", lab.files.directory())?;
    network.filter(&["udp dport 53 drop"])?;
    let words = [&["http://web.test/", "--dns-servers=tcp:10.9.0.1"][..], &STATIC].concat();
    network.boot(&words)?.reached(HOST)?;
    Ok(String::new())
}

fn unbound_truncated(lab: &mut Lab) -> Result<String> {
    let mut network = Network::new()?;
    // all of them are this side's, so that whichever is tried answers
    network.ip("route add local 10.9.1.0/24 dev lo")?;
    let mut zone = " local-zone: \"test.\" static\n".to_owned();
    for number in 1..=100 {
        zone += &format!(" local-data: \"web.test. A 10.9.1.{number}\"\n");
    }
    network.unbound(&zone, "", None)?;
    network.web("[::]:80", lab.files.directory())?;
    let words = [&["http://web.test/", "--dns-servers=udp:10.9.0.1"][..], &STATIC].concat();
    let outcome = network.boot(&words)?;
    outcome.exits(0)?;
    let page = String::from_utf8_lossy(&outcome.output.stdout);
    ensure!(page.starts_with("10.9.1."), "reached {page:?}");
    let segments = outcome.capture.attempts(53).len();
    ensure!(segments > 0, "no connection to port 53");
    Ok(String::new())
}

fn tls(lab: &mut Lab) -> Result<String> {
    let mut network = Network::new()?;
    let leaf = lab.authority.sign(&["ns.test", HOST], Dates::Valid)?;
    network.unbound(LOCAL, "", Some(&leaf))?;
    network.web("[::]:80", lab.files.directory())?;
    // nothing but TLS is answered
    network.filter(&["udp dport 53 drop", "tcp dport 53 drop"])?;
    let boot = |spec: &str| {
        let servers = format!("--dns-servers=tls:10.9.0.1{spec}");
        let words = [&["http://web.test/", "--explain", servers.as_str()][..], &STATIC].concat();
        network.boot(&words)
    };
    let (key, trust) = (leaf.key_authenticator(), lab.authority.authenticator());
    for right in [format!("!ns.test!{trust}"), format!(":853!ns.test!{key}"), format!("!{key}")] {
        boot(&right)?.reached(HOST)?;
    }
    let other = Leaf::self_signed(&["ns.test"])?.key_authenticator();
    for wrong in [format!("!ns.test!{other}"), format!("!other.test!{trust}"), "!ns.test".into()] {
        let outcome = boot(&wrong)?;
        outcome.exits(77)?.says("10.9.0.1")?;
        let tried = outcome.capture.attempts(80);
        ensure!(tried.is_empty(), "connected all the same");
    }
    Ok(String::new())
}

fn signed_zone(lab: &mut Lab) -> Result<String> {
    let mut network = Network::new()?;
    let zone = "$ORIGIN test.\n$TTL 60\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n\
        ns A 10.9.0.1\nweb A 10.9.0.1\nweb AAAA 2001:db8:9::1\nwww CNAME web\nbad A 10.9.0.2\n";
    let (file, anchor) = network.sign("test", zone)?;
    let signed = fs::read_to_string(&file)?;
    // behind its signature's back
    fs::write(&file, signed.replace("10.9.0.2", "10.9.0.1"))?;
    // unbound itself checks the signatures before it answers
    let server =
        format!(" local-zone: \"test.\" nodefault\n trust-anchor: \"{}\"\n", anchor.trim());
    let more = format!(
        "auth-zone:\n name: \"test.\"\n zonefile: \"{file}\"\n for-downstream: no\n for-upstream: yes\n"
    );
    network.unbound(&server, &more, None)?;
    network.web("[::]:80", lab.files.directory())?;
    let boot = |uri: &str, server: &str| {
        let servers = format!("--dns-servers={server}:10.9.0.1");
        network.boot(&[&[uri, servers.as_str()][..], &STATIC].concat())
    };
    boot("http://www.test/", "udp")?.reached(HOST)?;
    boot("http://www.test/", "tcp")?.reached(HOST)?;
    boot("http://none.test/", "udp")?.exits(68)?.says("no such name")?;
    boot("http://bad.test/", "udp")?.exits(68)?.says("SERVFAIL")?;
    Ok(String::new())
}
