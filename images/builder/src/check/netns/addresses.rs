//! Where the machine's own addresses come from: DHCP, router advertisements, arguments.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::capture::Payload;
use super::network::{HOST, HOST_V6, Network};
use super::{Lab, Test, test};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    vec![
        test("dhcp: an address, a router and a name server", dhcp),
        test("dhcp: the machine's name is told", hostname),
        test("dhcp: the first request is lost", lost_request),
        test("dhcp: the domain completes a name", domain),
        test("dhcp: the search list completes a name", search_list),
        test("dhcp: the MTU is kept", dhcp_mtu),
        test("dhcp: the lease is renewed while a connection lasts", renewal),
        test("ra: prefix and name server alone are enough", ra),
        test("ra: the first solicitation is lost", lost_solicitation),
        test("ra: --accept-router-advertisements=false", no_ra),
        test("ra: the search list completes a name", ra_search),
        test("ra: the MTU is kept", ra_mtu),
        test("ra: a name server known by its link-local address", ra_link_local),
        test("dual stack: DHCP and router advertisements at once", dual),
        test("dual stack: one family alone", one_family),
        test("static: an IPv6 address that somebody else has", duplicate),
        test("static: --ipv6 and --ipv6-gateway", static_ipv6),
    ]
}

const RANGE: &str = "--dhcp-range=10.9.0.32,10.9.0.63";
const WEB: &str = "--host-record=web.test,10.9.0.1";
const WEB_BOTH: &str = "--host-record=web.test,10.9.0.1,2001:db8:9::1";
const PREFIX: &str = " prefix 2001:db8:9::/64 { };";
const RDNSS: &str = " RDNSS 2001:db8:9::1 { };";

fn network(lab: &Lab, dnsmasq: &[&str]) -> Result<Network> {
    let mut network = Network::new()?;
    network.dnsmasq(dnsmasq)?;
    network.web("[::]:80", lab.files.directory())?;
    Ok(network)
}

fn dhcp(lab: &mut Lab) -> Result<String> {
    let (_, content) = lab.files.make("10M")?;
    let network = network(lab, &[RANGE, WEB])?;
    let outcome = network.run(&[], &["http://web.test/10M"])?;
    outcome.exits(0)?.reports("network", "address", true, "DHCP from 10.9.0.1")?;
    ensure!(outcome.output.content == content, "{} octets came", outcome.output.content.length);
    Ok(format!("address after {:.0} ms", outcome.milliseconds("network_ms")?))
}

fn hostname(lab: &mut Lab) -> Result<String> {
    let network = network(lab, &[RANGE, WEB])?;
    network.boot(&["http://web.test/", "--hostname=unikernel"])?.reached(HOST)?;
    let log = network.log("dnsmasq");
    ensure!(log.contains("client provides name: unikernel"), "dnsmasq said: {log}");
    Ok(String::new())
}

fn lost_request(lab: &mut Lab) -> Result<String> {
    let network = network(lab, &[RANGE, WEB])?;
    // a request has some 300 octets; the rule is true until as many have come
    network.filter(&["udp dport 67 quota until 400 bytes drop"])?;
    let outcome = network.boot(&["http://web.test/"])?;
    outcome.reached(HOST)?;
    Ok(format!("address after {:.0} ms", outcome.milliseconds("network_ms")?))
}

fn domain(lab: &mut Lab) -> Result<String> {
    let network = network(lab, &[RANGE, WEB, "--domain=test"])?;
    network.boot(&["http://web/"])?.reached(HOST)?;
    Ok(String::new())
}

fn search_list(lab: &mut Lab) -> Result<String> {
    let search = "--dhcp-option=option:domain-search,nothing.test,test";
    let network = network(lab, &[RANGE, WEB, search])?;
    network.boot(&["http://web/"])?.reached(HOST)?;
    Ok(String::new())
}

fn dhcp_mtu(lab: &mut Lab) -> Result<String> {
    lab.files.make("65K")?;
    let network = network(lab, &[RANGE, WEB, "--dhcp-option=option:mtu,1400"])?;
    let outcome = network.boot(&["http://web.test/65K"])?;
    outcome.exits(0)?;
    let size = outcome.capture.segment_size(80);
    ensure!(size == Some(1360), "segments of {size:?} octets with an MTU of 1400");
    Ok(String::new())
}

fn renewal(lab: &mut Lab) -> Result<String> {
    // the shortest lease that dnsmasq gives is 2 min; how soon to renew it is ours to say, from 3 s on
    let t1 = "--dhcp-option=option:T1,3";
    let network = network(lab, &["--dhcp-range=10.9.0.32,10.9.0.63,2m", WEB, t1])?;
    let outcome = network.boot(&["http://web.test/after/5"])?;
    outcome.reached(HOST)?;
    let open = outcome.capture.connected(HOST.parse()?, 80);
    let renewals = outcome.capture.packets().filter(|(at, packet)| {
        // RFC 2131 section 4.3.2: a renewal goes to the server itself
        let is_it = matches!(packet.payload, Payload::Udp { to: 67, .. });
        Some(*at) > open && is_it && packet.destination.to_string() == HOST
    });
    let renewals = renewals.count();
    ensure!(renewals >= 1, "no renewal within 5 s; dnsmasq said: {}", network.log("dnsmasq"));
    Ok(format!("{renewals} renewals"))
}

fn ra(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[WEB_BOTH])?;
    network.radvd(&format!("{PREFIX}{RDNSS}"))?;
    let outcome = network.boot(&["http://web.test/"])?;
    outcome.reached(HOST_V6)?;
    Ok(format!("address after {:.0} ms", outcome.milliseconds("network_ms")?))
}

fn lost_solicitation(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[WEB_BOTH])?;
    network.radvd(&format!("{PREFIX}{RDNSS}"))?;
    // a solicitation has 48 to 64 octets; the rule is true until as many have come
    network.filter(&["icmpv6 type nd-router-solicit quota until 70 bytes drop"])?;
    let outcome = network.boot(&["http://web.test/"])?;
    outcome.reached(HOST_V6)?;
    Ok(format!("address after {:.0} ms", outcome.milliseconds("network_ms")?))
}

fn no_ra(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[RANGE, WEB_BOTH])?;
    network.radvd(&format!("{PREFIX}{RDNSS}"))?;
    let flag = "--accept-router-advertisements=false";
    let outcome = network.boot(&["http://web.test/", "--delay=2s", flag])?;
    outcome.reached(HOST)?.tried(&[HOST])?;
    Ok(String::new())
}

fn ra_search(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[WEB_BOTH])?;
    network.radvd(&format!("{PREFIX}{RDNSS} DNSSL test {{ }};"))?;
    network.boot(&["http://web/"])?.reached(HOST_V6)?;
    Ok(String::new())
}

fn ra_mtu(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[WEB_BOTH])?;
    network.radvd(&format!("AdvLinkMTU 1400;{PREFIX}{RDNSS}"))?;
    let outcome = network.boot(&["http://web.test/"])?;
    outcome.reached(HOST_V6)?;
    let size = outcome.capture.segment_size(80);
    ensure!(size == Some(1340), "segments of {size:?} octets with an MTU of 1400");
    Ok(String::new())
}

fn ra_link_local(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[WEB_BOTH])?;
    network.radvd(&format!("{PREFIX} RDNSS fe80::1 {{ }};"))?;
    network.boot(&["http://web.test/"])?.reached(HOST_V6)?;
    Ok(String::new())
}

fn dual(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[RANGE, WEB_BOTH])?;
    network.radvd(&format!("{PREFIX}{RDNSS}"))?;
    // at once: by whatever is there first
    let outcome = network.boot(&["http://web.test/"])?;
    outcome.exits(0)?;
    // once both are there: by IPv6
    network.boot(&["http://web.test/", "--delay=3s"])?.reached(HOST_V6)?.tried(&[HOST_V6])?;
    Ok(String::new())
}

fn one_family(lab: &mut Lab) -> Result<String> {
    let mut network = network(lab, &[RANGE, WEB_BOTH])?;
    network.radvd(&format!("{PREFIX}{RDNSS}"))?;
    for (flag, reached, other) in [
        ("--ipv4-only", HOST, IpAddr::is_ipv6 as fn(&IpAddr) -> bool),
        ("--ipv6-only", HOST_V6, IpAddr::is_ipv4),
    ] {
        let outcome = network.boot(&["http://web.test/", "--delay=2s", flag])?;
        outcome.reached(reached)?.tried(&[reached])?;
        let own = outcome.capture.sent().filter(|(_, packet)| other(&packet.source)).count();
        ensure!(own == 0, "{flag}: {own} packets of the other family{}", outcome.said());
    }
    Ok(String::new())
}

fn duplicate(lab: &mut Lab) -> Result<String> {
    let network = network(lab, &[WEB_BOTH])?;
    let literal = format!("http://[{HOST_V6}]/");
    network.ip("address add 2001:db8:9::9/64 dev tap0 nodad")?;
    let address = "--ipv6=2001:db8:9::9/64";
    let nothing_else = ["--dhcp=false", "--accept-router-advertisements=false"];
    let outcome = network.boot(&[&[literal.as_str(), address][..], &nothing_else].concat())?;
    outcome.exits(69)?.says("2001:db8:9::9")?.tried(&[])?;
    Ok(String::new())
}

fn static_ipv6(lab: &mut Lab) -> Result<String> {
    let network = network(lab, &[WEB])?;
    let address = "--ipv6=2001:db8:9::9/64";
    let literal = format!("http://[{HOST_V6}]/");
    network.boot(&[&literal, address])?.reached(HOST_V6)?;
    network.boot(&["icmp://[2001:db8:9::1]", "--count=1", address])?.exits(0)?;
    // an address that is not on the link, behind the gateway
    network.ip("address add 2001:db8:a::1/128 dev lo")?;
    let gateway = "--ipv6-gateway=2001:db8:9::1";
    network.boot(&["http://[2001:db8:a::1]/", address, gateway])?.reached("2001:db8:a::1")?;
    let gateway = "--ipv6-gateway=fe80::1";
    network.boot(&["http://[2001:db8:a::1]/", address, gateway])?.reached("2001:db8:a::1")?;
    Ok(String::new())
}
