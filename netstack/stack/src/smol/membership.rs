//! Multicast listener reports (MLDv2, RFC 3810), corrected on their way out.
//!
//! smoltcp announces a group that it joins with CHANGE_TO_INCLUDE_MODE and no sources, which means
//! that it leaves the group, and the other way round (RFC 3810 §5.2.12, §6.1). A switch that
//! listens to these would keep the questions of neighbour discovery from us.

use smoltcp::wire::Icmpv6Packet;

/// Corrects the reports in `frame`, if it holds any.
pub(super) fn correct(frame: &mut [u8]) {
    // IPv6 with a hop-by-hop header of eight octets, which holds the router alert (RFC 3810 §5).
    let is_report = frame.get(12..14) == Some(&[0x86, 0xdd])
        && frame.get(HEADER_TYPE) == Some(&0)
        && frame.get(HOP_BY_HOP..HOP_BY_HOP + 2) == Some(&[58, 0])
        && frame.get(MESSAGE) == Some(&REPORT);
    if !is_report || frame.len() < MESSAGE + 8 {
        return;
    }
    let count = u16::from_be_bytes([frame[MESSAGE + 6], frame[MESSAGE + 7]]);
    let mut at = MESSAGE + 8;
    for _ in 0..count {
        let Some(&[kind, aux, sources, more]) = frame.get(at..at + 4) else { return };
        let sources = u16::from_be_bytes([sources, more]);
        match kind {
            CHANGE_TO_INCLUDE if sources == 0 => frame[at] = CHANGE_TO_EXCLUDE,
            CHANGE_TO_EXCLUDE if sources == 0 => frame[at] = CHANGE_TO_INCLUDE,
            _ => {}
        }
        at += 4 + 16 + 16 * usize::from(sources) + 4 * usize::from(aux);
    }
    let address = |at: usize| <[u8; 16]>::try_from(&frame[at..at + 16]).expect("sixteen octets");
    let (src, dst) = (address(SOURCE).into(), address(SOURCE + 16).into());
    Icmpv6Packet::new_unchecked(&mut frame[MESSAGE..]).fill_checksum(&src, &dst);
}

/// Octets of a frame before the type of what follows the IPv6 header.
const HEADER_TYPE: usize = 14 + 6;
const SOURCE: usize = 14 + 8;
const HOP_BY_HOP: usize = 14 + 40;
const MESSAGE: usize = HOP_BY_HOP + 8;
/// RFC 3810 §5.2.
const REPORT: u8 = 143;
const CHANGE_TO_INCLUDE: u8 = 3;
const CHANGE_TO_EXCLUDE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// A report about two groups, with these types, from fe80::1 to ff02::16.
    fn report(kinds: [u8; 2], sources: u8) -> Vec<u8> {
        let mut message = vec![REPORT, 0, 0, 0, 0, 0, 0, 2];
        for kind in kinds {
            message.extend_from_slice(&[kind, 0, 0, sources, 0xff, 2]);
            message.extend_from_slice(&[0; 9]);
            message.extend_from_slice(&[1, 0xff, 0, 0, 2]);
            message.extend_from_slice(&vec![9; 16 * usize::from(sources)]);
        }
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 0x16, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
        frame.extend_from_slice(&[0x60, 0, 0, 0, 0, 8 + message.len() as u8, 0, 1]);
        frame.extend_from_slice(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16]);
        frame.extend_from_slice(&[58, 0, 5, 2, 0, 0, 1, 0]);
        frame.extend_from_slice(&message);
        let address = |at: usize| <[u8; 16]>::try_from(&frame[at..at + 16]).expect("long enough");
        let (src, dst) = (address(SOURCE).into(), address(SOURCE + 16).into());
        Icmpv6Packet::new_unchecked(&mut frame[MESSAGE..]).fill_checksum(&src, &dst);
        frame
    }

    #[test]
    fn joins_and_leaves_change_places() {
        let mut frame = report([CHANGE_TO_INCLUDE, CHANGE_TO_EXCLUDE], 0);
        correct(&mut frame);
        assert_eq!(frame, report([CHANGE_TO_EXCLUDE, CHANGE_TO_INCLUDE], 0));
    }

    #[test]
    fn all_else_stays() {
        // MODE_IS_EXCLUDE answers a query, and sources make another meaning.
        for mut frame in [report([2, 2], 0), report([3, 4], 1)] {
            let before = frame.clone();
            correct(&mut frame);
            assert_eq!(frame, before);
        }
        let whole = report([CHANGE_TO_INCLUDE, CHANGE_TO_EXCLUDE], 0);
        for len in 0..whole.len() {
            correct(&mut whole[..len].to_vec());
        }
    }
}
