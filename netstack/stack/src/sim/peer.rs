//! Peers that are not hosts: scripts, a router, a DHCP server; and a DNS server for a host.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr,
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4DstUnreachable, Icmpv4Packet,
    Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use spin::Mutex;

use super::Host;
use crate::{Instant, IpVersion, Net};

/// Something on the wire that answers frames with frames.
pub trait Script: Send + 'static {
    /// A frame has arrived at `now`; what is returned is sent at once.
    fn frame(&mut self, now: Instant, frame: &[u8]) -> Vec<Vec<u8>>;
}

impl<F: FnMut(Instant, &[u8]) -> Vec<Vec<u8>> + Send + 'static> Script for F {
    fn frame(&mut self, now: Instant, frame: &[u8]) -> Vec<Vec<u8>> {
        self(now, frame)
    }
}

/// What a router does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Drop,
    /// Sends ICMP "destination unreachable" (type 3) of that code.
    Unreachable(u8),
}

/// A router that leads nowhere: it answers ARP for its address and judges what is sent through it.
pub struct Router {
    addr: Ipv4Addr,
    verdict: Box<dyn FnMut(Ipv4Addr) -> Verdict + Send>,
}

impl Router {
    /// A router at `addr`; `verdict` is asked for each packet's destination.
    pub fn new(addr: Ipv4Addr, verdict: impl FnMut(Ipv4Addr) -> Verdict + Send + 'static) -> Self {
        Self { addr, verdict: Box::new(verdict) }
    }
}

impl Script for Router {
    fn frame(&mut self, _: Instant, frame: &[u8]) -> Vec<Vec<u8>> {
        if let Some(reply) = answer_arp(frame, self.addr, ROUTER_MAC) {
            return vec![reply];
        }
        let Some((sender, ip)) = ipv4_to(frame, ROUTER_MAC) else { return vec![] };
        if ip.dst_addr() == self.addr {
            return vec![];
        }
        let Verdict::Unreachable(code) = (self.verdict)(ip.dst_addr()) else { return vec![] };
        let Ok(header) = Ipv4Repr::parse(&ip, &ChecksumCapabilities::ignored()) else {
            return vec![];
        };
        let icmp = Icmpv4Repr::DstUnreachable {
            reason: Icmpv4DstUnreachable::from(code),
            header,
            data: &ip.payload()[..ip.payload().len().min(8)],
        };
        let reply = Ipv4Repr {
            src_addr: self.addr,
            dst_addr: ip.src_addr(),
            next_header: IpProtocol::Icmp,
            payload_len: icmp.buffer_len(),
            hop_limit: 64,
        };
        vec![ipv4_frame(sender, ROUTER_MAC, &reply, |payload| {
            icmp.emit(&mut Icmpv4Packet::new_unchecked(payload), &ChecksumCapabilities::default());
        })]
    }
}

/// What a DHCP server hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpOffer {
    /// The client's address.
    pub addr: Ipv4Addr,
    /// Its network's mask.
    pub mask: Ipv4Addr,
    /// Default router.
    pub router: Option<Ipv4Addr>,
    /// Name servers, at most three.
    pub dns_servers: Vec<Ipv4Addr>,
    /// Domain name.
    pub domain: Option<String>,
    /// MTU of the link in octets.
    pub mtu: Option<u16>,
    /// How long the address is the client's, in whole seconds.
    pub lease: Duration,
}

impl DhcpOffer {
    /// `addr` in a network of 24 bits for an hour, and nothing else.
    pub fn new(addr: impl Into<Ipv4Addr>) -> Self {
        Self {
            addr: addr.into(),
            mask: Ipv4Addr::new(255, 255, 255, 0),
            router: None,
            dns_servers: Vec::new(),
            domain: None,
            mtu: None,
            lease: Duration::from_secs(3600),
        }
    }
}

/// A DHCP server (RFC 2131) with one address to give, which everyone gets.
#[derive(Clone)]
pub struct Dhcp(Arc<Mutex<DhcpServer>>);

struct DhcpServer {
    addr: Ipv4Addr,
    offer: DhcpOffer,
    silent: bool,
    requests: usize,
    hostname: Option<String>,
}

impl Dhcp {
    /// A server at `addr`.
    #[must_use]
    pub fn new(addr: Ipv4Addr, offer: DhcpOffer) -> Self {
        let server = DhcpServer { addr, offer, silent: false, requests: 0, hostname: None };
        Self(Arc::new(Mutex::new(server)))
    }

    /// Changes what is handed out from now on.
    pub fn set_offer(&self, offer: DhcpOffer) {
        self.0.lock().offer = offer;
    }

    /// Makes it ignore everything, or answer again.
    pub fn set_silent(&self, silent: bool) {
        self.0.lock().silent = silent;
    }

    /// Requests granted so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.0.lock().requests
    }

    /// The host name that the last message named.
    #[must_use]
    pub fn hostname(&self) -> Option<String> {
        self.0.lock().hostname.clone()
    }
}

impl Script for Dhcp {
    fn frame(&mut self, _: Instant, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut server = self.0.lock();
        if server.silent {
            return vec![];
        }
        if let Some(reply) = answer_arp(frame, server.addr, DHCP_MAC) {
            return vec![reply];
        }
        server.answer(frame).into_iter().collect()
    }
}

impl DhcpServer {
    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (_, ip) = ipv4_to(frame, DHCP_MAC)?;
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        if ip.next_header() != IpProtocol::Udp || udp.dst_port() != 67 {
            return None;
        }
        let packet = DhcpPacket::new_checked(udp.payload()).ok()?;
        let request = DhcpRepr::parse(&packet).ok()?;
        if let Some(option) = packet.options().find(|o| o.kind == 12) {
            self.hostname = core::str::from_utf8(option.data).ok().map(Into::into);
        }
        let message_type = match request.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request => {
                let wanted = request.requested_ip.unwrap_or(request.client_ip);
                if wanted == self.offer.addr {
                    self.requests += 1;
                    DhcpMessageType::Ack
                } else {
                    DhcpMessageType::Nak
                }
            }
            _ => return None,
        };
        let domain = self.offer.domain.clone().unwrap_or_default();
        let mtu = self.offer.mtu.map(u16::to_be_bytes);
        let mut options = Vec::new();
        if !domain.is_empty() {
            options.push(DhcpOption { kind: 15, data: domain.as_bytes() });
        }
        if let Some(mtu) = &mtu {
            options.push(DhcpOption { kind: 26, data: mtu });
        }
        let given = message_type != DhcpMessageType::Nak;
        let mut dns_servers = smoltcp::wire::DhcpRepr::parse(&packet).ok()?.dns_servers;
        dns_servers.get_or_insert_default().clear();
        for server in &self.offer.dns_servers {
            dns_servers.get_or_insert_default().push(*server).ok()?;
        }
        let reply = DhcpRepr {
            message_type,
            your_ip: if given { self.offer.addr } else { Ipv4Addr::UNSPECIFIED },
            server_ip: self.addr,
            router: self.offer.router,
            subnet_mask: Some(self.offer.mask),
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.addr),
            parameter_request_list: None,
            dns_servers,
            max_size: None,
            lease_duration: Some(u32::try_from(self.offer.lease.as_secs()).unwrap_or(u32::MAX)),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &options,
            ..request
        };
        let udp = UdpRepr { src_port: 67, dst_port: 68 };
        let dst = if request.client_ip.is_unspecified() {
            Ipv4Addr::BROADCAST
        } else {
            request.client_ip
        };
        let header = Ipv4Repr {
            src_addr: self.addr,
            dst_addr: dst,
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + reply.buffer_len(),
            hop_limit: 64,
        };
        let client = request.client_hardware_address;
        Some(ipv4_frame(client, DHCP_MAC, &header, |payload| {
            udp.emit(
                &mut UdpPacket::new_unchecked(payload),
                &header.src_addr.into(),
                &header.dst_addr.into(),
                reply.buffer_len(),
                |octets| {
                    reply.emit(&mut DhcpPacket::new_unchecked(octets)).expect("room was counted");
                },
                &ChecksumCapabilities::default(),
            );
        }))
    }
}

/// Answers A queries (RFC 1035) on UDP port 53 of `host`, for ever: the address of a known name, no
/// record for other types, NXDOMAIN for unknown names. To be spawned.
pub async fn serve_dns(host: Host, names: BTreeMap<String, Ipv4Addr>) {
    let Ok(socket) = host.net.udp_bind(Some(53), IpVersion::V4).await else { return };
    let mut buf = [0; 512];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buf).await else { continue };
        if let Some(answer) = answer_dns(&buf[..len], &names) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

fn answer_dns(query: &[u8], names: &BTreeMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let len = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + len)?;
        at += 1 + len;
        if len == 0 {
            break;
        }
        labels.push(core::str::from_utf8(label).ok()?.to_ascii_lowercase());
    }
    let kind = query.get(at..at + 4)?;
    let known = names.get(&labels.join("."));
    let addr = known.filter(|_| kind == [0, 1, 0, 1]);
    let mut answer = query[..at + 4].to_vec();
    answer[2] = 0x81;
    answer[3] = if known.is_some() { 0x80 } else { 0x83 };
    answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(addr.is_some()), 0, 0, 0, 0]);
    if let Some(addr) = addr {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&addr.octets());
    }
    Some(answer)
}

fn answer_arp(frame: &[u8], addr: Ipv4Addr, mac: EthernetAddress) -> Option<Vec<u8>> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Arp {
        return None;
    }
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(ethernet.payload()).ok()?).ok()?
    else {
        return None;
    };
    if target_protocol_addr != addr {
        return None;
    }
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: mac,
        source_protocol_addr: addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut frame = vec![0; 14 + reply.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    ethernet.set_src_addr(mac);
    ethernet.set_dst_addr(source_hardware_addr);
    ethernet.set_ethertype(EthernetProtocol::Arp);
    reply.emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    Some(frame)
}

/// An IPv4 packet that was sent to `mac` or to all, and its sender.
fn ipv4_to(frame: &[u8], mac: EthernetAddress) -> Option<(EthernetAddress, Ipv4Packet<&[u8]>)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let for_us = ethernet.dst_addr() == mac || ethernet.dst_addr().is_broadcast();
    if ethernet.ethertype() != EthernetProtocol::Ipv4 || !for_us {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.get(14..)?).ok()?;
    Some((ethernet.src_addr(), packet))
}

fn ipv4_frame(
    dst: EthernetAddress,
    src: EthernetAddress,
    header: &Ipv4Repr,
    payload: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let mut frame = vec![0; 14 + header.buffer_len() + header.payload_len];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    ethernet.set_src_addr(src);
    ethernet.set_dst_addr(dst);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    header.emit(
        &mut Ipv4Packet::new_unchecked(ethernet.payload_mut()),
        &ChecksumCapabilities::default(),
    );
    payload(&mut frame[14 + header.buffer_len()..]);
    frame
}

const ROUTER_MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 1, 0, 1]);
const DHCP_MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 1, 0, 2]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_answers() {
        let names = BTreeMap::from([("a.test".to_owned(), Ipv4Addr::new(192, 0, 2, 1))]);
        let query = |name: &[u8], kind: u8| {
            let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend_from_slice(name);
            query.extend_from_slice(&[0, kind, 0, 1]);
            query
        };
        let answer = answer_dns(&query(b"\x01A\x04test\x00", 1), &names).expect("an answer");
        assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 1]);
        assert_eq!((answer[3] & 0xf, answer[7]), (0, 1));
        let answer = answer_dns(&query(b"\x01a\x04test\x00", 28), &names).expect("an answer");
        assert_eq!((answer[3] & 0xf, answer[7]), (0, 0));
        let answer = answer_dns(&query(b"\x01b\x04test\x00", 1), &names).expect("an answer");
        assert_eq!((answer[3] & 0xf, answer[7]), (3, 0));
        assert_eq!(answer_dns(&[0; 12], &names), None);
        assert_eq!(answer_dns(&[0xff; 40], &names), None);
    }
}
