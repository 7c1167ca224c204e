//! A wire on which anything is said: what a stack with DHCP and SLAAC must live through. Checked with random input
//! here, and by the fuzz target `frames`.

use crate::router::{Ra, icmpv6_frame};
use smoltcp::wire::Ipv4Packet;
use stack::sim::{Link, Network};
use std::net::Ipv6Addr;
use std::time::Duration;

/// Answers each of the stack's frames with the next pieces of `octets`: a length, a kind and so much content.
/// Nothing panics, and the virtual time goes by.
pub fn check(octets: &[u8]) {
    let mut network = Network::new(1);
    let config = network.dhcp_config();
    let Ok(client) = network.host_with(config, Link::default()) else { return };
    let mut pieces = pieces(octets).into_iter();
    let script = move |_, heard: &[u8]| {
        pieces.by_ref().take(4).map(|(kind, piece)| frame(kind, &piece, heard)).collect()
    };
    network.peer(script, Link::default());
    network.set_limit(Duration::from_secs(3600));
    network.run_for(Duration::from_secs(60)).expect("time goes by");
    drop(client);
}

fn pieces(mut octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut pieces = Vec::new();
    while let [length, kind, rest @ ..] = octets {
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        pieces.push((*kind, piece.to_vec()));
        octets = rest;
    }
    pieces
}

/// `piece` where a parser of ours or the stack's will find it.
fn frame(kind: u8, piece: &[u8], heard: &[u8]) -> Vec<u8> {
    match kind % 4 {
        0 => {
            let mut frame = heard[6..12].to_vec();
            frame.extend([2, 0xee, 0, 0, 0, 1]);
            frame.extend(piece);
            frame
        }
        1 => {
            let mut ra = Ra::new(u16::from(kind));
            let fixed = piece.len().min(8);
            ra.message[4..4 + fixed].copy_from_slice(&piece[..fixed]);
            ra.message.extend(piece.get(8..).unwrap_or_default());
            ra.frame(kind / 4)
        }
        2 => {
            let src = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, (kind / 4).into());
            icmpv6_frame([2, 0xee, 0, 0, 0, kind], src, crate::router::all_nodes(), 255, piece)
        }
        _ => dhcp_answer(kind / 4, piece, heard),
    }
}

/// A DHCP server's message (RFC 2131) of any type, with `options`, to the last one that asked.
fn dhcp_answer(kind: u8, options: &[u8], heard: &[u8]) -> Vec<u8> {
    let mut message = vec![2, 1, 6, 0];
    // behind Ethernet, IPv4 and UDP: the transaction, if it was one
    message.extend(heard.get(46..50).unwrap_or(&[0; 4]));
    message.extend([0; 8]);
    message.extend([10, 0, 0, 2]);
    message.extend([0; 8]);
    message.extend(&heard[6..12]);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind % 9, 54, 4, 10, 0, 0, 1]);
    message.extend(options);
    message.push(255);
    let mut frame = heard[6..12].to_vec();
    frame.extend([2, 0xee, 0, 0, 0, 1, 8, 0, 0x45, 0]);
    frame.extend((28 + message.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255, 0, 67, 0, 68]);
    frame.extend((8 + message.len() as u16).to_be_bytes());
    // no checksum (RFC 768)
    frame.extend([0, 0]);
    frame.extend(message);
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame
}
