//! Messages of neighbour discovery (RFC 4861 §4) that concern address configuration: hearing them,
//! and writing ours, as whole Ethernet frames.

use core::net::Ipv6Addr;

use smoltcp::wire::{Icmpv6Packet, Ipv6Packet};

use super::Advertisement;

/// A message that passed the checks of RFC 4861 §6.1.2, §7.1.1 or §7.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::smol) enum Heard {
    /// A router advertisement.
    Advertisement(Advertisement),
    /// Somebody wants to use `target` and asks whether it is free (RFC 4862 §5.4).
    Probed { target: Ipv6Addr, nonce: Option<Nonce> },
    /// Somebody uses `target`.
    Used { target: Ipv6Addr },
}

/// Tells our own solicitations, which a network may return to us, from others' (RFC 7527).
pub(in crate::smol) type Nonce = [u8; 6];

/// Reads an IPv6 packet. Messages behind extension headers are not looked at: nobody sends such.
pub(in crate::smol) fn hear(packet: &[u8]) -> Option<Heard> {
    // The common case must be cheap: ICMPv6, of one of three types.
    if packet.get(6) != Some(&ICMPV6) || !matches!(packet.get(40), Some(134..=136)) {
        return None;
    }
    let ip = Ipv6Packet::new_checked(packet).ok()?;
    let (src, dst) = (ip.src_addr(), ip.dst_addr());
    let message = ip.payload();
    let icmp = Icmpv6Packet::new_checked(message).ok()?;
    if ip.hop_limit() != 255 || !icmp.verify_checksum(&src, &dst) {
        return None;
    }
    if message[0] == ROUTER_ADVERTISEMENT {
        return Advertisement::parse(src, message).map(Heard::Advertisement);
    }
    if message.len() < 24 || message[1] != 0 {
        return None;
    }
    let target = Ipv6Addr::from(<[u8; 16]>::try_from(&message[8..24]).ok()?);
    let options = options(&message[24..])?;
    if target.is_multicast() {
        return None;
    }
    if message[0] == NEIGHBOR_ADVERTISEMENT {
        let solicited = message[4] & 0x40 != 0;
        return (!(dst.is_multicast() && solicited)).then_some(Heard::Used { target });
    }
    // Solicitations from an address only ask for ours, which smoltcp answers.
    if !src.is_unspecified()
        || dst != solicited_node(target)
        || options.iter().any(|(kind, _)| *kind == OPTION_SOURCE)
    {
        return None;
    }
    let nonce = options.iter().find(|(kind, _)| *kind == OPTION_NONCE);
    let nonce = nonce.and_then(|(_, option)| Nonce::try_from(&option[2..]).ok());
    Some(Heard::Probed { target, nonce })
}

/// Options with their types, each from its type octet on; `None` when one has length zero or is
/// cut, which makes the message invalid.
pub(super) fn options(mut octets: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut options = Vec::new();
    while let [kind, units, ..] = *octets {
        let len = usize::from(units) * 8;
        if len == 0 {
            return None;
        }
        let (option, rest) = octets.split_at_checked(len)?;
        options.push((kind, option));
        octets = rest;
    }
    octets.is_empty().then_some(options)
}

/// Asks for the routers (RFC 4861 §4.1), from `src` or, without an address, from none.
pub(super) fn router_solicitation(mac: [u8; 6], src: Option<Ipv6Addr>) -> Vec<u8> {
    let mut message = vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    if src.is_some() {
        message.extend_from_slice(&[OPTION_SOURCE, 1]);
        message.extend_from_slice(&mac);
    }
    frame(mac, src.unwrap_or(Ipv6Addr::UNSPECIFIED), ALL_ROUTERS, message)
}

/// Asks whether somebody uses `target` (RFC 4862 §5.4.2).
pub(super) fn probe(mac: [u8; 6], target: Ipv6Addr, nonce: Nonce) -> Vec<u8> {
    let mut message = vec![NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[OPTION_NONCE, 1]);
    message.extend_from_slice(&nonce);
    frame(mac, Ipv6Addr::UNSPECIFIED, solicited_node(target), message)
}

/// Asks for the Ethernet address of `target` (RFC 4861 §7.2.2).
pub(in crate::smol) fn neighbor_solicitation(
    mac: [u8; 6],
    src: Ipv6Addr,
    target: Ipv6Addr,
) -> Vec<u8> {
    let mut message = vec![NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[OPTION_SOURCE, 1]);
    message.extend_from_slice(&mac);
    frame(mac, src, solicited_node(target), message)
}

/// Tells everyone that `target` is ours (RFC 4861 §7.2.4: solicited from no address).
pub(super) fn defence(mac: [u8; 6], target: Ipv6Addr) -> Vec<u8> {
    let override_flag = 0x20;
    let mut message = vec![NEIGHBOR_ADVERTISEMENT, 0, 0, 0, override_flag, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[OPTION_TARGET, 1]);
    message.extend_from_slice(&mac);
    frame(mac, target, ALL_NODES, message)
}

/// The group in which questions about `addr` are asked (RFC 4291 §2.7.1).
fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = addr.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// To a group, whose Ethernet address follows from RFC 2464 §7.
fn frame(mac: [u8; 6], src: Ipv6Addr, group: Ipv6Addr, message: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("our messages are short").to_be_bytes();
    let mut frame = vec![0x33, 0x33];
    frame.extend_from_slice(&group.octets()[12..]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], ICMPV6, 255]);
    frame.extend_from_slice(&src.octets());
    frame.extend_from_slice(&group.octets());
    frame.extend_from_slice(&message);
    Icmpv6Packet::new_unchecked(&mut frame[14 + 40..]).fill_checksum(&src, &group);
    frame
}

const ICMPV6: u8 = 58;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const OPTION_SOURCE: u8 = 1;
const OPTION_TARGET: u8 = 2;
const OPTION_NONCE: u8 = 14;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const ADDR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x1234);

    #[test]
    fn what_we_write_can_be_read() {
        let probe = probe(MAC, ADDR, [1, 2, 3, 4, 5, 6]);
        assert_eq!(probe[..6], [0x33, 0x33, 0xff, 0, 0x12, 0x34]);
        let expected = Heard::Probed { target: ADDR, nonce: Some([1, 2, 3, 4, 5, 6]) };
        assert_eq!(hear(&probe[14..]), Some(expected));
        assert_eq!(hear(&defence(MAC, ADDR)[14..]), Some(Heard::Used { target: ADDR }));
        assert_eq!(hear(&router_solicitation(MAC, Some(ADDR))[14..]), None);
        assert_eq!(router_solicitation(MAC, None).len(), 14 + 40 + 8);
    }

    #[test]
    fn what_is_not_valid_is_dropped() {
        let good = defence(MAC, ADDR)[14..].to_vec();
        let mut far = good.clone();
        far[7] = 254;
        assert_eq!(hear(&far), None, "it came through a router");
        for at in 40..good.len() {
            let mut broken = good.clone();
            broken[at] ^= 1;
            assert_eq!(hear(&broken), None, "the checksum is wrong");
        }
        for len in 0..good.len() {
            assert_eq!(hear(&good[..len]), None, "cut");
        }
    }
}
