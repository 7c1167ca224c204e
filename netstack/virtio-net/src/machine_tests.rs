//! Discovery and bringing up, against fake devices that are good, bad and strange.

use virtio_drivers::transport::Transport as _;

use super::*;
use crate::fake::{Device, FakeMachine, Setup};
use crate::platform::{ConfigSpace, Departures};

fn net() -> Device {
    Device::new(0, &[256, 256], &[])
}

/// The one device's error.
fn refused(setup: Setup, device: Device) -> SetupError {
    let machine = FakeMachine::new();
    machine.add(1, setup, device);
    let devices = machine.discover();
    assert!(devices.nets.is_empty());
    assert_eq!(devices.skipped.len(), 1);
    devices.skipped[0].error
}

#[test]
fn an_empty_machine_has_no_devices() {
    let devices = FakeMachine::new().discover();
    assert!(devices.nets.is_empty() && devices.rng.is_none() && devices.console.is_none());
    assert!(devices.skipped.is_empty() && !devices.lines.any());
}

#[test]
fn all_devices_are_found_and_brought_up() {
    let machine = FakeMachine::new();
    let host_bridge = Function { bus: 0, device: 0, function: 0 };
    machine.add_other(host_bridge, 0x29c0_8086, 0, 0);
    machine.add(9, Setup::modern(1), net());
    machine.add(3, Setup::modern(1), net());
    machine.add(4, Setup::modern(4), Device::new(0, &[8], &[]));
    machine.add(5, Setup::modern(3), Device::new(0, &[64, 64], &[]));
    machine.add(6, Setup::modern(5), Device::new(0, &[64], &[]));
    machine.add(7, Setup::modern(4), Device::new(0, &[8], &[]));
    let devices = machine.discover();
    let macs: Vec<_> = devices.nets.iter().map(NetDevice::mac).collect();
    assert_eq!(macs, [[2, 0, 0, 0, 3, 0], [2, 0, 0, 0, 9, 0]], "in the order of their slots");
    assert!(devices.rng.is_some() && devices.console.is_some());
    let skipped: Vec<_> = devices.skipped.iter().map(|s| (s.place, s.error)).collect();
    let balloon = SetupError::UnsupportedType(DeviceType::MemoryBalloon);
    let at = |device| Place::Pci(slot(device));
    assert_eq!(skipped, [(at(6), balloon), (at(7), SetupError::Surplus)]);
}

#[test]
fn status_bits_are_set_one_at_a_time() {
    let machine = FakeMachine::new();
    let shared = machine.add(1, Setup::modern(1), net());
    let _devices = machine.discover();
    assert_eq!(shared.lock().statuses, [0, 1, 3, 11, 15]);
    let mut transport =
        PciTransport::new(&machine, slot(1), DeviceType::Network, 0x50).expect("it still is good");
    shared.lock().statuses.clear();
    transport.begin_init(Features::empty());
    assert_eq!(shared.lock().statuses, [0, 1, 3, 11]);
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const ANY = 1 << 32;
    }
}

fn slot(device: u8) -> Function {
    Function { bus: 0, device, function: 0 }
}

#[test]
fn queues_and_vectors_are_where_the_device_was_told() {
    let machine = FakeMachine::new();
    let shared = machine.add(1, Setup::modern(1), net());
    let devices = machine.discover();
    let device = shared.lock();
    assert_eq!(device.msix_table, [0xfee0_3000, 1, 0x50, 0]);
    assert_eq!(machine.msix_control(1) & 0xc000, 0x8000);
    assert_eq!(machine.command(1), 0x406, "memory, bus master, no line");
    for queue in &device.queues {
        assert!(queue.enabled && queue.vector == 0 && queue.size == 256);
        for address in [queue.descriptors, queue.driver, queue.device] {
            assert!(address >> 32 != 0, "a test of both halves, on any machine that runs it");
        }
    }
    assert!(!devices.lines.any() && machine.routed().is_empty());
    assert!(!devices.lines.acknowledge());
}

#[test]
fn lines_serve_where_there_is_no_msix() {
    let machine = FakeMachine::new();
    let mut setup = Setup::modern(1);
    setup.msix = false;
    let shared = machine.add(1, setup, net());
    let devices = machine.discover();
    assert_eq!(machine.routed(), [(11, 0x50)]);
    assert_eq!(machine.command(1), 0x006, "memory, bus master, the line");
    assert!(devices.lines.any());
    assert!(!devices.lines.acknowledge());
    shared.lock().isr = 1;
    assert!(devices.lines.acknowledge());
    assert_eq!(shared.lock().isr, 0);
    assert!(!devices.lines.acknowledge());
}

#[test]
fn a_pulsed_line_has_no_status_to_read() {
    let machine = FakeMachine::departing(Departures::UHYVE);
    let mut setup = Setup::modern(1);
    setup.msix = false;
    let shared = machine.add(1, setup, net());
    let devices = machine.discover();
    assert_eq!(machine.routed(), [(11, 0x50)]);
    shared.lock().isr = 1;
    assert!(!devices.lines.any() && !devices.lines.acknowledge());
}

#[test]
fn all_lines_are_lowered_at_once() {
    let machine = FakeMachine::new();
    let shared = [1, 2].map(|slot| {
        let mut setup = Setup::modern(1);
        setup.msix = false;
        machine.add(slot, setup, net())
    });
    let devices = machine.discover();
    for device in &shared {
        device.lock().isr = 1;
    }
    assert!(devices.lines.acknowledge());
    assert!(shared.iter().all(|device| device.lock().isr == 0));
}

#[test]
fn transitional_devices_are_driven_by_their_modern_interface() {
    let machine = FakeMachine::new();
    let mut setup = Setup::modern(1);
    (setup.device_id, setup.subsystem) = (0x1000, 1);
    machine.add(1, setup, net());
    assert_eq!(machine.discover().nets.len(), 1);
}

#[test]
fn devices_of_other_makers_and_unknown_types_are_none_of_ours() {
    let machine = FakeMachine::new();
    let mut other = Setup::modern(1);
    other.vendor = 0x8086;
    machine.add(1, other, net());
    let mut unknown = Setup::modern(1);
    unknown.device_id = 0x107f;
    machine.add(2, unknown, net());
    let mut no_type = Setup::modern(1);
    no_type.device_id = 0x1040;
    machine.add(3, no_type, net());
    let devices = machine.discover();
    assert!(devices.nets.is_empty() && devices.skipped.is_empty());
}

#[test]
fn the_legacy_interface_alone_is_refused() {
    let mut setup = Setup::modern(1);
    setup.structures.clear();
    assert_eq!(refused(setup, net()), SetupError::LegacyOnly);
    let mut device = net();
    device.offered = 0;
    assert_eq!(refused(Setup::modern(1), device), SetupError::LegacyOnly);
}

#[test]
fn missing_structures_are_named() {
    for (missing, error) in [
        (3, SetupError::MissingStructure("isr")),
        (2, SetupError::MissingStructure("notification")),
    ] {
        let mut setup = Setup::modern(1);
        setup.structures.retain(|(kind, _, _)| *kind != missing);
        assert_eq!(refused(setup, net()), error);
    }
    let mut setup = Setup::modern(1);
    setup.structures[0].2 = 0x30;
    assert!(matches!(refused(setup, net()), SetupError::MissingStructure(_)));
}

#[test]
fn windows_outside_their_bar_are_not_mapped() {
    for (offset, len) in [(0, 0), (0, u32::MAX), (u32::MAX, 2), (0x10_0000, 0x38)] {
        let mut setup = Setup::modern(1);
        setup.structures[0] = (1, offset, len);
        let error = refused(setup, net());
        let short = matches!(error, SetupError::MissingStructure(_)) && len < 0x38;
        let outside = pci::Error::WindowOutsideBar { bar: 4 };
        assert!(short || error == SetupError::Pci(outside), "{offset:#x} {len:#x}: {error}");
    }
}

#[test]
fn bars_without_an_address_are_refused() {
    let machine = FakeMachine::new();
    machine.add(1, Setup::modern(1), net());
    for offset in [0x20, 0x24] {
        machine.write(slot(1), offset, if offset == 0x20 { 4 } else { 0 });
    }
    let error = machine.discover().skipped[0].error;
    assert_eq!(error, SetupError::Pci(pci::Error::UnassignedBar(4)));
    machine.write(slot(1), 0x20, 0xc001);
    let error = machine.discover().skipped[0].error;
    assert_eq!(error, SetupError::Pci(pci::Error::PortBar(4)));
}

#[test]
fn notification_registers_outside_the_window_are_refused() {
    let mut device = net();
    device.queues[1].notify_off = 0x400;
    let error = refused(Setup::modern(1), device);
    assert_eq!(error, SetupError::NotifyOutsideWindow { queue: 1 });
    let mut device = net();
    device.queues[0].notify_off = u16::MAX;
    let mut setup = Setup::modern(1);
    setup.notify_multiplier = u32::MAX - 1;
    assert_eq!(refused(setup, device), SetupError::NotifyOutsideWindow { queue: 0 });
}

#[test]
fn devices_that_do_not_cooperate_are_given_up() {
    let mut device = net();
    device.never_resets = true;
    device.write(0x14, 1, 1);
    assert_eq!(refused(Setup::modern(1), device), SetupError::ResetTimedOut);

    let mut device = net();
    device.refuses_features = true;
    let error = refused(Setup::modern(1), device);
    assert!(matches!(error, SetupError::FeaturesRefused { offered: 0x1_0000_0000, .. }));

    let mut device = net();
    device.refuses_vectors = true;
    assert_eq!(refused(Setup::modern(1), device), SetupError::VectorRefused);
}

#[test]
fn short_and_missing_queues_are_refused() {
    for (sizes, queue, available) in
        [(&[128, 256][..], 0, 128), (&[256, 0], 1, 0), (&[256], 1, 0), (&[], 0, 0)]
    {
        let error = refused(Setup::modern(1), Device::new(0, sizes, &[]));
        assert_eq!(error, SetupError::QueueTooShort { queue, available, needed: 256 });
    }
}

#[test]
fn too_little_memory_is_an_error_of_the_device() {
    crate::fake::FakeHal::limit(0);
    let error = refused(Setup::modern(1), net());
    crate::fake::FakeHal::limit(usize::MAX);
    assert!(matches!(error, SetupError::NoMemory { .. }));
}

#[test]
fn capability_lists_that_loop_end() {
    let machine = FakeMachine::new();
    let mut setup = Setup::modern(1);
    setup.looping = true;
    machine.add(1, setup, net());
    assert_eq!(machine.discover().nets.len(), 1);
}

#[test]
fn buses_behind_bridges_are_visited_once() {
    let machine = FakeMachine::new();
    let bridge = |bus, device, secondary: u32| {
        machine.add_other(Function { bus, device, function: 0 }, 1, 0x81, secondary << 8);
    };
    bridge(0, 1, 2);
    bridge(2, 0, 0); // back to where we came from
    bridge(2, 1, 2); // and to itself
    let mut found = Vec::new();
    for function in [1, 7] {
        let at = Function { bus: 2, device: 1, function };
        machine.add_other(at, 0x1234_5678, 0, 0);
        found.push(at);
    }
    // Behind a device of one function there are no others, whatever is there.
    let single = Function { bus: 2, device: 5, function: 0 };
    machine.add_other(single, 0x1234_5678, 0, 0);
    machine.add_other(Function { function: 3, ..single }, 0x1234_5678, 0, 0);
    found.push(single);
    let mut seen = Vec::new();
    pci::enumerate(&machine, |function, _| seen.push(function));
    assert_eq!(seen, found);
}

#[test]
fn errors_say_what_is_to_be_done() {
    assert_eq!(
        Skipped {
            place: Place::Pci(slot(3)),
            device_type: Some(DeviceType::Network),
            error: SetupError::LegacyOnly
        }
        .to_string(),
        "virtio Network device at 00:03.0: the device has only the legacy interface (add \
         disable-legacy=on, not disable-modern=on, to it)"
    );
}

fn at(address: u64) -> Slot {
    Slot { address, size: 512, line: (address >> 9 & 7) as u8 }
}

#[test]
fn devices_in_memory_are_found_and_brought_up() {
    let machine = FakeMachine::new();
    machine.add_slot(at(0xfeb0_0400), net());
    let shared = machine.add_slot(at(0xfeb0_0200), net());
    let mut empty = net();
    empty.identity[2] = 0;
    machine.add_slot(at(0xfeb0_0600), empty);
    let mut rng = Device::new(0, &[8], &[]);
    rng.identity[2] = 4;
    machine.add_slot(at(0xfeb0_0000), rng);
    machine.add(3, Setup::modern(1), net());
    let devices = machine.discover();
    let macs: Vec<_> = devices.nets.iter().map(NetDevice::mac).collect();
    let by_address = [[2, 0, 0, 0, 3, 0], [2, 0, 1, 0xfe, 0xb0, 2], [2, 0, 1, 0xfe, 0xb0, 4]];
    assert_eq!(macs, by_address);
    assert!(devices.rng.is_some() && devices.skipped.is_empty());
    assert_eq!(machine.routed(), [(0, 0x50), (1, 0x50), (2, 0x50)]);
    let device = shared.lock();
    assert_eq!(device.statuses, [0, 1, 3, 11, 15]);
    assert_eq!(device.accepted, 1 << 32);
    for queue in &device.queues {
        assert!(queue.enabled && queue.size == 256);
        for address in [queue.descriptors, queue.driver, queue.device] {
            assert!(address >> 32 != 0, "a test of both halves, on any machine that runs it");
        }
    }
}

#[test]
fn a_line_of_a_device_in_memory_is_lowered_by_writing() {
    let machine = FakeMachine::new();
    let shared = machine.add_slot(at(0xfeb0_0200), net());
    let devices = machine.discover();
    assert!(devices.lines.any() && !devices.lines.acknowledge());
    shared.lock().isr = 3;
    assert!(devices.lines.acknowledge());
    assert_eq!(shared.lock().isr, 0);
    drop(devices);
    assert_eq!(shared.lock().statuses.last(), Some(&0), "it is reset");
}

#[test]
fn what_is_no_device_in_memory_is_named() {
    let error = |slot: Slot, identity: [u32; 3]| {
        let machine = FakeMachine::new();
        let mut device = net();
        device.identity = identity;
        machine.add_slot(slot, device);
        let devices = machine.discover();
        assert!(devices.nets.is_empty());
        assert_eq!(devices.skipped[0].place, Place::Memory(slot.address));
        devices.skipped[0].error
    };
    let (slot, [magic, modern, network]) = (at(0xfeb0_0200), net().identity);
    let registers = SetupError::MissingStructure("register block");
    assert_eq!(error(slot, [magic, 1, network]), SetupError::LegacySlot);
    assert_eq!(error(slot, [magic, 3, network]), registers);
    assert_eq!(error(slot, [!0; 3]), registers);
    assert_eq!(error(at(0x10_0000), [magic, modern, network]), SetupError::SlotInMemory);
    for size in [0, 0x100, 2 << 20, u64::MAX] {
        let slot = Slot { size, ..slot };
        assert_eq!(error(slot, [magic, modern, network]), SetupError::SlotSize(size));
    }
    let skipped = Skipped {
        place: Place::Memory(slot.address),
        device_type: None,
        error: SetupError::SlotInMemory,
    };
    assert_eq!(skipped.to_string(), "virtio device at 0xfeb00200: there is memory, no device");
}

/// Devices are moved into the stack's lock, so this must hold.
#[test]
fn everything_is_send() {
    fn is_send<T: Send>() {}
    is_send::<Devices<FakeMachine>>();
    is_send::<Devices<crate::ring0::Ring0>>();
}
