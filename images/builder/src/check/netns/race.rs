//! Which address wins: happy eyeballs against packets that are dropped, refused and late.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::capture::Payload;
use super::names::Kind::{A, Aaaa};
use super::names::Reply::{Addresses, Code, Late, Silence};
use super::names::{Row, SERVFAIL};
use super::network::{DEAD_V6, HOST, HOST_V6, Network};
use super::{Lab, Test, test};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    let races = RACES.iter().map(|race| test(race.name, move |lab| race.run(lab)));
    races.chain([test("race: a loser falls silent", silent_loser)]).collect()
}

/// The machine's own addresses, and a start that waits until no duplicate of them was found (one second, RFC 4862
/// section 5.4): so no race is decided by which address came first.
const BOTH: [&str; 5] = [
    "--delay=1300ms",
    "--ipv4=10.9.0.9/24",
    "--ipv4-gateway=10.9.0.1",
    "--ipv6=2001:db8:9::9/64",
    "--dns-servers=udp:10.9.0.1",
];

/// One page of `http://web.test/`.
struct Race {
    name: &'static str,
    /// What the name server answers.
    names: &'static [Row],
    /// Further addresses of this side.
    addresses: &'static [&'static str],
    /// Rules of nftables.
    rules: &'static [&'static str],
    /// To whom SYNs were sent, in order.
    tried: &'static [&'static str],
    /// How long it may take from the first SYN to the connection, in milliseconds.
    within: u64,
    /// What the report says about those that lost: their socket addresses, and a part of the cause.
    losers: &'static [(&'static str, &'static str)],
}

const PLAIN: Race = Race {
    name: "",
    names: &[Row("web.test", A, Addresses(&[HOST])), Row("web.test", Aaaa, Addresses(&[HOST_V6]))],
    addresses: &[],
    rules: &[],
    tried: &[],
    within: 250,
    losers: &[],
};

const SLOWER: &str = "another one was faster";

const RACES: &[Race] = &[
    Race { name: "race: IPv6 first where both work", tried: &[HOST_V6], ..PLAIN },
    Race {
        name: "race: IPv6 black-holed",
        rules: &["ip6 daddr 2001:db8:9::1 tcp dport 80 drop"],
        tried: &[HOST_V6, HOST],
        within: 400,
        losers: &[("[2001:db8:9::1]:80", SLOWER)],
        ..PLAIN
    },
    Race {
        name: "race: IPv6 refused",
        rules: &["ip6 daddr 2001:db8:9::1 tcp dport 80 reject with tcp reset"],
        tried: &[HOST_V6, HOST],
        within: 100,
        losers: &[("[2001:db8:9::1]:80", "refused")],
        ..PLAIN
    },
    Race {
        name: "race: IPv6 prohibited by ICMPv6",
        rules: &["ip6 daddr 2001:db8:9::1 tcp dport 80 reject with icmpv6 type admin-prohibited"],
        tried: &[HOST_V6, HOST],
        within: 400,
        losers: &[("[2001:db8:9::1]:80", "prohibited")],
        ..PLAIN
    },
    Race {
        name: "race: nobody has the IPv6 address",
        names: &[
            Row("web.test", A, Addresses(&[HOST])),
            Row("web.test", Aaaa, Addresses(&[DEAD_V6])),
        ],
        // without a neighbour no SYN leaves
        tried: &[HOST],
        losers: &[("[2001:db8:9::66]:80", SLOWER)],
        ..PLAIN
    },
    Race {
        name: "race: AAAA one second late",
        names: &[
            Row("web.test", A, Addresses(&[HOST])),
            Row("web.test", Aaaa, Late(1000, &[HOST_V6])),
        ],
        tried: &[HOST],
        ..PLAIN
    },
    Race {
        name: "race: A one second late",
        names: &[
            Row("web.test", A, Late(1000, &[HOST])),
            Row("web.test", Aaaa, Addresses(&[HOST_V6])),
        ],
        tried: &[HOST_V6],
        ..PLAIN
    },
    Race {
        name: "race: AAAA never answered",
        names: &[Row("web.test", A, Addresses(&[HOST])), Row("web.test", Aaaa, Silence)],
        tried: &[HOST],
        ..PLAIN
    },
    Race {
        name: "race: SERVFAIL for A, AAAA is good",
        names: &[Row("web.test", A, Code(SERVFAIL)), Row("web.test", Aaaa, Addresses(&[HOST_V6]))],
        tried: &[HOST_V6],
        ..PLAIN
    },
    Race {
        name: "race: SERVFAIL for AAAA, A is good",
        names: &[Row("web.test", A, Addresses(&[HOST])), Row("web.test", Aaaa, Code(SERVFAIL))],
        tried: &[HOST],
        ..PLAIN
    },
    Race {
        name: "race: two of three addresses black-holed",
        // RFC 6724 rule 9: nearer to the machine's own address than the good one
        names: &[Row("web.test", A, Addresses(&["10.9.0.10", "10.9.0.11", HOST]))],
        addresses: &["10.9.0.10/24", "10.9.0.11/24"],
        rules: &["ip daddr { 10.9.0.10, 10.9.0.11 } tcp dport 80 drop"],
        tried: &["10.9.0.10", "10.9.0.11", HOST],
        within: 700,
        losers: &[("10.9.0.10:80", SLOWER), ("10.9.0.11:80", SLOWER)],
    },
    Race {
        name: "race: two of three addresses are nobody's",
        names: &[Row("web.test", A, Addresses(&["10.9.0.10", "10.9.0.11", HOST]))],
        tried: &[HOST],
        losers: &[("10.9.0.10:80", SLOWER), ("10.9.0.11:80", SLOWER)],
        ..PLAIN
    },
    Race {
        name: "race: two of three IPv6 addresses are nobody's",
        names: &[Row("web.test", Aaaa, Addresses(&["2001:db8:9::a", "2001:db8:9::b", HOST_V6]))],
        tried: &[HOST_V6],
        losers: &[("[2001:db8:9::a]:80", SLOWER), ("[2001:db8:9::b]:80", SLOWER)],
        ..PLAIN
    },
    Race {
        name: "race: families take turns",
        names: &[
            Row("web.test", A, Addresses(&[HOST])),
            Row("web.test", Aaaa, Addresses(&["2001:db8:9::a", "2001:db8:9::b"])),
        ],
        addresses: &["2001:db8:9::a/64 nodad", "2001:db8:9::b/64 nodad"],
        rules: &["ip6 daddr { 2001:db8:9::a, 2001:db8:9::b } tcp dport 80 drop"],
        tried: &["2001:db8:9::a", HOST],
        within: 400,
        losers: &[("[2001:db8:9::a]:80", SLOWER)],
    },
];

impl Race {
    fn run(&self, lab: &mut Lab) -> Result<String> {
        let network = Network::new()?;
        for address in self.addresses {
            network.ip(&format!("address add {address} dev tap0"))?;
        }
        network.web("[::]:80", lab.files.directory())?;
        network.names(HOST, self.names)?;
        network.names(HOST_V6, self.names)?;
        network.filter(self.rules)?;
        let words = [&["http://web.test/", "--explain"][..], &BOTH].concat();
        let outcome = network.boot(&words)?;
        let winner = self.tried[self.tried.len() - 1];
        outcome.reached(winner)?.tried(self.tried)?;
        for (address, cause) in self.losers {
            outcome.reports("tcp", address, false, cause)?.says(address)?;
        }
        let time = outcome.connect_time(winner)?;
        let within = Duration::from_millis(self.within);
        ensure!(time <= within, "connected after {time:?}, not within {within:?}");
        let dns = outcome.milliseconds("dns_ms")?;
        Ok(format!("dns {dns:.0} ms, tcp {:.0} ms", time.as_secs_f64() * 1e3))
    }
}

fn silent_loser(lab: &mut Lab) -> Result<String> {
    let network = Network::new()?;
    network.web("[::]:80", lab.files.directory())?;
    network.names(HOST, PLAIN.names)?;
    network.filter(&["ip6 daddr 2001:db8:9::1 tcp dport 80 drop"])?;
    // longer than the first two retransmissions of a SYN would take
    let words = [&["http://web.test/after/4"][..], &BOTH].concat();
    let outcome = network.boot(&words)?;
    outcome.reached(HOST)?;
    let open = outcome.capture.connected(HOST.parse()?, 80);
    let late = outcome.capture.packets().filter(|(at, packet)| {
        let is_tcp = matches!(packet.payload, Payload::Tcp { .. });
        Some(*at) > open && is_tcp && packet.destination.is_ipv6()
    });
    let late = late.count();
    ensure!(late == 0, "{late} segments to the loser after the connection to the winner");
    Ok(String::new())
}
