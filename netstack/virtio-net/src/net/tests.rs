//! A network device against a fake one.

use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};

use super::header::Header;
use super::sender::SEND_BUFFERS;
use super::*;
use crate::fake::{Device, FakeHal, FakeMachine, Setup, Shared, Transport};
use crate::platform::Departures;

type Net = NetDevice<FakeHal, Transport>;

const NOW: Instant = Instant::ZERO;
const MAC_ADDRESS: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

/// A device with these features beside `MAC` and `STATUS`, its link up and an MTU of `mtu`.
fn device(features: u64, mtu: u16) -> (FakeMachine, Shared, Net) {
    device_of(FakeMachine::new(), features, mtu)
}

fn device_of(machine: FakeMachine, features: u64, mtu: u16) -> (FakeMachine, Shared, Net) {
    let mut config = MAC_ADDRESS.to_vec();
    config.extend_from_slice(&[1, 0, 1, 0]);
    config.extend_from_slice(&mtu.to_le_bytes());
    let device = Device::new(features | MAC | STATUS, &[256, 256], &config);
    let shared = machine.add(3, Setup::modern(1), device);
    let net = machine.discover().nets.pop().expect("the device is good");
    (machine, shared, net)
}

fn receive(net: &mut Net) -> Option<Vec<u8>> {
    net.receive(NOW).map(|(rx, _)| rx.consume(<[u8]>::to_vec))
}

fn send(net: &mut Net, frame: &[u8]) -> bool {
    net.transmit(NOW)
        .map(|token| token.consume(frame.len(), |buffer| buffer.copy_from_slice(frame)))
        .is_some()
}

/// A frame with its header, as a device without offloads writes it.
fn wire(frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header::LEN];
    bytes[10] = 1;
    bytes.extend_from_slice(frame);
    bytes
}

/// A TCP segment of so many octets of payload in an IPv4 frame, its checksum right.
fn tcp_frame(payload: usize) -> Vec<u8> {
    let mut frame = vec![0; 54 + payload];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
    frame[23] = 6;
    frame[26..34].copy_from_slice(&[10, 0, 2, 2, 10, 0, 2, 15]);
    frame[46] = 0x50;
    for (n, byte) in frame[54..].iter_mut().enumerate() {
        *byte = (n * 7 + n / 251) as u8;
    }
    let header = offload::prepare(&mut frame, None);
    offload::complete(&mut frame, &header);
    frame
}

#[test]
fn address_mtu_and_link_come_from_the_device() {
    let (_machine, shared, net) = device(MTU, 1400);
    assert_eq!((net.mac(), net.mtu()), (MAC_ADDRESS, 1400));
    assert_eq!(net.capabilities().max_transmission_unit, 1414);
    assert!(net.link_up());
    shared.lock().config[6] = 0;
    assert!(!net.link_up());
}

#[test]
fn mtus_that_no_buffer_could_hold_are_not_taken() {
    for mtu in [0, 67, 9217, 65535] {
        let (_machine, shared, net) = device(MTU, mtu);
        assert_eq!(net.mtu(), 1500, "{mtu}");
        assert_eq!(shared.lock().accepted & MTU, 0, "{mtu}");
    }
}

#[test]
fn without_an_address_the_slot_gives_one() {
    let machine = FakeMachine::new();
    machine.add(7, Setup::modern(1), Device::new(0, &[256, 256], &[]));
    let net = machine.discover().nets.pop().unwrap();
    assert_eq!(net.mac(), [2, 0, 0, 0, 7, 0]);
    assert!(net.link_up());
}

#[test]
fn frames_arrive_whole_and_their_buffers_go_back() {
    let (_machine, shared, mut net) = device(0, 0);
    assert_eq!(shared.lock().waiting(0), 256);
    for round in 0..1000_usize {
        let frame: Vec<u8> = (0..60 + round % 1455).map(|n| (n + round) as u8).collect();
        shared.lock().deliver(0, &wire(&frame));
        assert_eq!(receive(&mut net), Some(frame));
    }
    assert_eq!(receive(&mut net), None);
    assert_eq!(shared.lock().waiting(0), 256);
    assert_eq!(net.counters().received, 1000);
    assert_eq!(net.fault(), None);
}

#[test]
fn a_token_that_is_dropped_gives_its_buffer_back() {
    let (_machine, shared, mut net) = device(0, 0);
    shared.lock().deliver(0, &wire(&[1; 60]));
    drop(net.receive(NOW).expect("a frame"));
    assert_eq!(shared.lock().waiting(0), 256);
}

#[test]
fn frames_are_sent_with_an_empty_header() {
    let (_machine, shared, mut net) = device(0, 0);
    assert!(send(&mut net, &[7; 100]));
    let mut device = shared.lock();
    assert_eq!(device.queues[1].notifications, 1);
    let bytes = device.collect(1).unwrap();
    assert_eq!(bytes[..header::LEN], [0; header::LEN]);
    assert_eq!(bytes[header::LEN..], [7; 100]);
}

#[test]
fn a_device_that_asks_for_quiet_is_not_notified() {
    let (_machine, shared, mut net) = device(0, 0);
    shared.lock().suppress_notifications(1);
    assert!(send(&mut net, &[7; 100]));
    assert_eq!(shared.lock().queues[1].notifications, 0);
}

/// uhyve's device: it looks at a ring, then asks for notifications, and a frame offered between the two lay
/// there until the next one.
#[test]
fn a_device_that_forgets_to_look_again_is_always_notified() {
    let machine = FakeMachine::departing(Departures::UHYVE);
    let (_machine, shared, mut net) = device_of(machine, 0, 0);
    shared.lock().suppress_notifications(0);
    shared.lock().suppress_notifications(1);
    assert!(send(&mut net, &[7; 100]));
    assert_eq!(shared.lock().queues[1].notifications, 1);
    let before = shared.lock().queues[0].notifications;
    shared.lock().deliver(0, &wire(&[1; 60]));
    assert!(receive(&mut net).is_some());
    assert_eq!(receive(&mut net), None);
    assert_eq!(shared.lock().queues[0].notifications, before + 1);
}

#[test]
fn sending_waits_for_a_device_that_raises_no_interrupt() {
    let machine = FakeMachine::departing(Departures::UHYVE);
    let (_machine, shared, mut net) = device_of(machine, 0, 0);
    for _ in 0..SEND_BUFFERS {
        assert!(send(&mut net, &[1; 60]));
    }
    let device = std::thread::spawn(move || shared.lock().collect(1));
    assert!(send(&mut net, &[2; 60]), "the device is at work");
    assert!(device.join().unwrap().is_some());
}

#[test]
fn an_address_of_the_hosts_end_is_not_taken() {
    let machine = FakeMachine::departing(Departures::UHYVE);
    let (_machine, _shared, net) = device_of(machine, 0, 0);
    assert_eq!(net.mac(), [0x56, 0x54, 0, 1, 2, 3]);
}

/// uhyve's device reads frames into 1500 octets, and what is behind those is lost.
#[test]
fn an_mtu_is_not_believed_whose_frames_come_cut_off() {
    for (told, kept) in [(1500, 1486), (9000, 1486), (1400, 1400)] {
        let machine = FakeMachine::departing(Departures::UHYVE);
        let (_machine, _shared, net) = device_of(machine, MTU, told);
        assert_eq!(net.mtu(), kept);
    }
}

#[test]
fn a_device_that_does_not_survive_it_is_not_reset() {
    for (departures, resets) in [(Departures::UHYVE, 1), (Departures::default(), 2)] {
        let (_machine, shared, net) = device_of(FakeMachine::departing(departures), 0, 0);
        drop(net);
        let statuses = shared.lock().statuses.clone();
        assert_eq!(statuses.iter().filter(|status| **status == 0).count(), resets);
    }
}

#[test]
fn sending_waits_for_buffers_and_asks_for_an_interrupt_then() {
    let (_machine, shared, mut net) = device(0, 0);
    let mut sent = 0;
    while send(&mut net, &[1; 60]) {
        sent += 1;
        assert!(sent <= 256, "buffers are limited");
    }
    assert_eq!(sent, SEND_BUFFERS);
    // A frame cannot be received either: the answer would find no buffer.
    shared.lock().deliver(0, &wire(&[1; 60]));
    assert_eq!(receive(&mut net), None);

    let before = shared.lock().interrupts;
    shared.lock().collect(1).unwrap();
    assert_eq!(shared.lock().interrupts, before + 1, "the driver waits for this");
    assert!(receive(&mut net).is_some());
    // While there are buffers, sending raises no interrupts.
    while shared.lock().collect(1).is_some() {}
    assert_eq!(shared.lock().interrupts, before + 1);
    assert!(send(&mut net, &[1; 60]));
}

#[test]
fn receiving_nothing_twice_arms_the_interrupt_and_receiving_disarms_it() {
    let (_machine, shared, mut net) = device(0, 0);
    assert_eq!(receive(&mut net), None);
    shared.lock().deliver(0, &wire(&[1; 60]));
    assert_eq!(shared.lock().interrupts, 1);
    assert!(net.arm(), "there is a frame");
    assert!(receive(&mut net).is_some());
    shared.lock().deliver(0, &wire(&[2; 60]));
    assert_eq!(shared.lock().interrupts, 1, "the driver is busy");
    assert!(receive(&mut net).is_some());
    assert!(receive(&mut net).is_none());
    shared.lock().deliver(0, &wire(&[3; 60]));
    assert_eq!(shared.lock().interrupts, 1, "the driver has frames to work on");
    assert!(receive(&mut net).is_some());
    assert!(receive(&mut net).is_none());
    assert!(receive(&mut net).is_none());
    shared.lock().deliver(0, &wire(&[4; 60]));
    assert_eq!(shared.lock().interrupts, 2);
}

#[test]
fn frames_that_are_described_wrongly_are_dropped() {
    let (_machine, shared, mut net) = device(0, 0);
    let cases: [(usize, u32); 4] = [
        (0, 0),        // not even a header
        (0, 11),       // part of a header
        (0, 2049),     // more than the buffer holds
        (0, u32::MAX), // much more
    ];
    for (n, (_, len)) in cases.into_iter().enumerate() {
        let chain = shared.lock().take(0).unwrap();
        shared.lock().complete(0, chain.id.into(), len);
        assert_eq!(receive(&mut net), None, "{len}");
        assert_eq!(net.counters().malformed, n as u64 + 1);
    }
    shared.lock().deliver(0, &wire(&[5; 64]));
    assert_eq!(receive(&mut net), Some(vec![5; 64]));
    assert_eq!(shared.lock().waiting(0), 256);
}

#[test]
fn a_buffer_that_was_not_given_ends_the_device_and_nothing_else() {
    for id in [256, 0xffff, 0x1_0000 + 300] {
        let (_machine, shared, mut net) = device(0, 0);
        shared.lock().complete(0, id, 100);
        assert_eq!(receive(&mut net), None);
        assert_eq!(net.fault(), Some(Fault { queue: 0, descriptor: id as u16 }));
        shared.lock().deliver(0, &wire(&[1; 60]));
        assert_eq!(receive(&mut net), None);
        assert!(!net.arm(), "nothing more is expected of it");
    }
}

#[test]
fn a_buffer_returned_twice_is_a_fault() {
    let (_machine, shared, mut net) = device(0, 0);
    assert!(send(&mut net, &[1; 60]));
    let chain = shared.lock().take(1).unwrap();
    shared.lock().complete(1, chain.id.into(), 0);
    shared.lock().complete(1, chain.id.into(), 0);
    while send(&mut net, &[1; 60]) {}
    assert_eq!(net.fault(), Some(Fault { queue: 1, descriptor: chain.id }));
}

#[test]
fn frames_longer_than_announced_are_built_and_dropped() {
    let (_machine, shared, mut net) = device(0, 0);
    assert!(send(&mut net, &[1; 70_000]));
    assert_eq!(net.counters().unsendable, 1);
    assert_eq!(shared.lock().waiting(1), 0);
}

#[test]
fn capabilities_follow_the_features() {
    let (_machine, _shared, net) = device(0, 0);
    let capabilities = net.capabilities();
    assert!(capabilities.checksum.tcp.rx() && capabilities.checksum.tcp.tx());
    assert_eq!(capabilities.segmentation.tcpv4, None);

    let (_machine, _shared, net) = device(CSUM | HOST_TSO4, 0);
    let capabilities = net.capabilities();
    assert!(capabilities.checksum.tcp.rx() && !capabilities.checksum.tcp.tx());
    assert_eq!(capabilities.segmentation.tcpv4.unwrap().get(), LARGEST_FRAME);
    assert_eq!(capabilities.segmentation.tcpv6, None);
    assert!(capabilities.checksum.udp.rx() && capabilities.checksum.udp.tx());

    let (_machine, _shared, net) = device(GUEST_CSUM, 0);
    assert!(!net.capabilities().checksum.tcp.rx());
}

#[test]
fn features_without_what_they_need_are_not_taken() {
    let all = CSUM | GUEST_CSUM | HOST_TSO4 | HOST_TSO6 | GUEST_TSO4 | GUEST_TSO6 | MRG_RXBUF;
    let cases = [
        (all, all),
        (all & !CSUM, GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | MRG_RXBUF),
        (all & !GUEST_CSUM, CSUM | HOST_TSO4 | HOST_TSO6),
        (all & !MRG_RXBUF, CSUM | GUEST_CSUM | HOST_TSO4 | HOST_TSO6),
        (MRG_RXBUF | GUEST_CSUM, GUEST_CSUM),
        (1 << 29 | 1 << 28 | CSUM, CSUM), // EVENT_IDX, INDIRECT_DESC
    ];
    for (offered, taken) in cases {
        let (_machine, shared, _net) = device(offered, 0);
        assert_eq!(shared.lock().accepted, taken | MAC | STATUS | 1 << 32, "{offered:#x}");
    }
}

#[test]
fn sums_are_left_to_the_device_that_takes_them() {
    let (_machine, shared, mut net) = device(CSUM, 0);
    let whole = tcp_frame(700);
    let mut blank = whole.clone();
    blank[50..52].fill(0);
    assert!(send(&mut net, &blank));
    let sent = shared.lock().collect(1).unwrap();
    let header = Header::parse(sent.first_chunk().unwrap());
    assert!(header.needs_checksum);
    assert_eq!((header.checksum_start, header.checksum_offset), (34, 16));
    // What the device then does gives the frame as it should be.
    let mut frame = sent[header::LEN..].to_vec();
    offload::complete(&mut frame, &header);
    assert_eq!(frame, whole);
}

#[test]
fn long_segments_are_cut_by_the_device() {
    let (_machine, shared, mut net) = device(CSUM | HOST_TSO4, 0);
    let frame = tcp_frame(60_000);
    let mut token = net.transmit(NOW).unwrap();
    let mut meta = PacketMeta::default();
    meta.segmentation_offload_size = core::num::NonZeroU16::new(1460);
    token.set_meta(meta);
    token.consume(frame.len(), |buffer| buffer.copy_from_slice(&frame));
    let sent = shared.lock().collect(1).unwrap();
    let header = Header::parse(sent.first_chunk().unwrap());
    assert_eq!(header.segmentation, header::Segmentation::TcpV4);
    assert_eq!((header.segment_size, header.header_len), (1460, 54));
    assert_eq!(sent.len(), header::LEN + frame.len());
}

#[test]
fn wrong_sums_are_dropped_here_when_nobody_else_looks() {
    let (_machine, shared, mut net) = device(GUEST_CSUM, 0);
    let good = tcp_frame(100);
    let mut bad = good.clone();
    bad[60] ^= 1;
    shared.lock().deliver(0, &wire(&good));
    assert_eq!(receive(&mut net), Some(good));
    shared.lock().deliver(0, &wire(&bad));
    assert_eq!(receive(&mut net), None);
    assert_eq!(net.counters().bad_checksum, 1);
    // The device has verified it, or it never was on a wire.
    for flags in [2, 1] {
        let mut bytes = wire(&bad);
        bytes[0] = flags;
        shared.lock().deliver(0, &bytes);
        assert_eq!(receive(&mut net).as_ref(), Some(&bad));
    }
}

#[test]
fn sums_that_the_stack_verifies_are_completed() {
    let (_machine, shared, mut net) = device(GUEST_CSUM, 0);
    // A UDP datagram from this host: the field holds the pseudo-header's sum only.
    let mut frame = tcp_frame(20);
    frame[23] = 17;
    let mut bytes = wire(&frame);
    bytes[0] = 1;
    bytes[6] = 34;
    bytes[8] = 6;
    shared.lock().deliver(0, &bytes);
    let received = receive(&mut net).unwrap();
    let mut expected = frame.clone();
    let header = Header::parse(bytes.first_chunk().unwrap());
    offload::complete(&mut expected, &header);
    assert_ne!(expected, frame);
    assert_eq!(received, expected);
}

mod merged {
    use super::*;

    const FEATURES: u64 = GUEST_CSUM | GUEST_TSO4 | MRG_RXBUF;

    /// Writes a frame over buffers, `portions` octets into each.
    fn deliver(shared: &Shared, frame: &[u8], portions: &[usize]) {
        let mut bytes = wire(frame);
        bytes[0] = 2;
        bytes[10] = portions.len() as u8;
        let mut rest = &bytes[..];
        for portion in portions {
            let (now, later) = rest.split_at(*portion);
            shared.lock().deliver(0, now);
            rest = later;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn frames_over_several_buffers_arrive_whole_wherever_the_ring_wraps() {
        let (_machine, shared, mut net) = device(FEATURES, 0);
        let frame = tcp_frame(9000);
        let total = header::LEN + frame.len();
        // Three buffers a frame in a ring of 256: some frames wrap.
        for round in 0..300 {
            deliver(&shared, &frame, &[4096, 4096, total - 8192]);
            assert_eq!(receive(&mut net).as_ref(), Some(&frame), "{round}");
        }
        assert_eq!(shared.lock().waiting(0), 256);
    }

    #[test]
    fn buffers_that_are_not_filled_are_put_together() {
        let (_machine, shared, mut net) = device(FEATURES, 0);
        let frame = tcp_frame(5000);
        let total = header::LEN + frame.len();
        for portions in [
            vec![12, total - 12 - 1000, 1000],
            vec![100, 4000, total - 4100],
            vec![4096, 10, total - 4106],
            vec![total / 2, 0, total - total / 2],
        ] {
            deliver(&shared, &frame, &portions);
            assert_eq!(receive(&mut net).as_ref(), Some(&frame), "{portions:?}");
        }
    }

    #[test]
    fn scattered_memory_is_no_obstacle() {
        FakeHal::limit(2);
        let (_machine, shared, mut net) = device(FEATURES, 0);
        FakeHal::limit(usize::MAX);
        let frame = tcp_frame(30_000);
        let mut portions = vec![4096; 7];
        portions.push(header::LEN + frame.len() - 7 * 4096);
        for _ in 0..50 {
            deliver(&shared, &frame, &portions);
            assert_eq!(receive(&mut net).as_ref(), Some(&frame));
        }
    }

    #[test]
    fn counts_that_make_no_sense_are_dropped() {
        let (_machine, shared, mut net) = device(FEATURES, 0);
        for count in [0_u16, 33, 0xffff, 2] {
            let mut bytes = wire(&[0; 60]);
            bytes[10..12].copy_from_slice(&count.to_le_bytes());
            shared.lock().deliver(0, &bytes);
            assert_eq!(receive(&mut net), None, "{count}");
        }
        assert_eq!(net.counters().malformed, 4);
        let frame = tcp_frame(10);
        shared.lock().deliver(0, &wire(&frame));
        assert_eq!(receive(&mut net), Some(frame));
        assert_eq!(shared.lock().waiting(0), 256);
    }
}

#[test]
fn dropping_the_device_resets_it_and_ends_its_memory_accesses() {
    let (machine, shared, net) = device(0, 0);
    assert_eq!(machine.command(3) & 0x406, 0x406);
    drop(net);
    assert_eq!(shared.lock().statuses.last(), Some(&0));
    assert_eq!(machine.command(3) & 4, 0);
}
