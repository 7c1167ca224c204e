//! A console against a fake device.

use super::*;
use crate::fake::{Device, FakeHal, FakeMachine, Setup, Shared, Transport};

type FakeConsole = Console<FakeHal, Transport>;

const INPUT: usize = 4;
const OUTPUT: usize = 5;

fn machine(features: u64, ports: u32) -> (FakeMachine, Shared) {
    let machine = FakeMachine::new();
    let mut config = vec![0; 4];
    config.extend_from_slice(&ports.to_le_bytes());
    let queues = [64; 66];
    let device = Device::new(features, &queues[..2 * ports as usize + 2], &config);
    let shared = machine.add(2, Setup::modern(3), device);
    (machine, shared)
}

/// A console whose device has announced one port, number 1, and opened it.
fn console() -> (FakeMachine, Shared, FakeConsole, Port) {
    let (machine, shared) = machine(MULTIPORT, 4);
    let mut console = machine.discover().console.expect("the device is good");
    assert_eq!(shared.lock().collect(3).as_deref(), Some(&Control::DeviceReady.emit()[..]));
    tell(&shared, Control::PortAdd { port: 1 });
    name(&shared, 1, "mimic.stdio");
    tell(&shared, Control::PortOpen { port: 1, open: true });
    let port = console.find("mimic.stdio").expect("the port was announced");
    let ready = Control::PortReady { port: 1, usable: true };
    assert_eq!(shared.lock().collect(3).as_deref(), Some(&ready.emit()[..]));
    (machine, shared, console, port)
}

fn tell(shared: &Shared, message: Control) {
    shared.lock().deliver(2, &message.emit());
}

fn name(shared: &Shared, port: u32, name: &str) {
    let mut bytes = Control::PortName { port, name: String::new() }.emit().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    shared.lock().deliver(2, &bytes);
}

fn read(console: &mut FakeConsole, port: Port, len: usize) -> Poll<Result<Vec<u8>, PortError>> {
    let mut bytes = vec![0; len];
    console.read(port, &mut bytes).map_ok(|n| bytes[..n].to_vec())
}

#[test]
fn ports_are_found_by_name_and_opened() {
    let (_machine, shared, mut console, port) = console();
    assert_eq!(console.find("other"), None);
    assert_eq!(console.names().collect::<Vec<_>>(), ["mimic.stdio"]);
    console.open_input(port).unwrap();
    let open = Control::PortOpen { port: 1, open: true };
    assert_eq!(shared.lock().collect(3).as_deref(), Some(&open.emit()[..]));
    assert_eq!(shared.lock().waiting(INPUT), INPUT_BUFFERS as u16);
    // Once is enough.
    console.open_input(port).unwrap();
    assert_eq!(shared.lock().collect(3), None);
}

#[test]
fn reading_takes_what_there_is_in_any_portions() {
    let (_machine, shared, mut console, port) = console();
    console.open_input(port).unwrap();
    assert!(read(&mut console, port, 10).is_pending());
    assert!(!console.can_read(port));
    shared.lock().deliver(INPUT, b"hello ");
    shared.lock().deliver(INPUT, b"world");
    assert_eq!(shared.lock().interrupts, 5, "the reader waits: three of control, two of data");
    assert!(console.can_read(port));
    assert_eq!(read(&mut console, port, 3), Poll::Ready(Ok(b"hel".to_vec())));
    assert_eq!(read(&mut console, port, 100), Poll::Ready(Ok(b"lo world".to_vec())));
    assert!(read(&mut console, port, 1).is_pending());
    assert_eq!(read(&mut console, port, 0), Poll::Ready(Ok(Vec::new())));
    assert_eq!(shared.lock().waiting(INPUT), INPUT_BUFFERS as u16);
}

#[test]
fn the_input_ends_after_what_came_before_its_end() {
    let (_machine, shared, mut console, port) = console();
    console.open_input(port).unwrap();
    shared.lock().deliver(INPUT, b"last words");
    tell(&shared, Control::PortOpen { port: 1, open: false });
    assert_eq!(read(&mut console, port, 4), Poll::Ready(Ok(b"last".to_vec())));
    assert_eq!(read(&mut console, port, 40), Poll::Ready(Ok(b" words".to_vec())));
    assert_eq!(read(&mut console, port, 40), Poll::Ready(Ok(Vec::new())));
    assert_eq!(read(&mut console, port, 40), Poll::Ready(Ok(Vec::new())));
    // The host may open it again.
    tell(&shared, Control::PortOpen { port: 1, open: true });
    assert!(read(&mut console, port, 4).is_pending());
}

#[test]
fn a_port_that_was_not_opened_yet_is_waited_for() {
    let (machine, shared) = machine(MULTIPORT, 4);
    let mut console = machine.discover().console.unwrap();
    tell(&shared, Control::PortAdd { port: 1 });
    name(&shared, 1, "x");
    let port = console.find("x").unwrap();
    console.open_input(port).unwrap();
    console.open_output(port).unwrap();
    assert!(read(&mut console, port, 4).is_pending());
    assert!(console.write(port, b"early").is_pending());
    assert_eq!(shared.lock().waiting(OUTPUT), 0);
    tell(&shared, Control::PortOpen { port: 1, open: true });
    assert!(console.can_write(port));
    assert_eq!(console.write(port, b"early"), Poll::Ready(Ok(5)));
}

#[test]
fn writing_takes_as_much_as_the_buffers_hold_and_goes_on_when_some_are_free() {
    let (_machine, shared, mut console, port) = console();
    console.open_output(port).unwrap();
    let octets: Vec<u8> = (0..3 << 20).map(|n: u32| (n ^ n >> 9) as u8).collect();
    let mut taken = 0;
    let mut arrived = Vec::new();
    while taken < octets.len() {
        match console.write(port, &octets[taken..]) {
            Poll::Ready(n) => taken += n.unwrap(),
            Poll::Pending => {
                let before = shared.lock().interrupts;
                // Two buffers are enough to go on with.
                for _ in 0..2 {
                    arrived.extend(shared.lock().collect(OUTPUT).unwrap());
                }
                assert!(shared.lock().interrupts > before, "the writer waits");
                assert!(console.can_write(port));
            }
        }
        assert!(taken - arrived.len() <= OUTPUT_BUFFERS * OUTPUT_BUFFER);
    }
    assert!(console.flush(port).is_pending());
    while let Some(more) = shared.lock().collect(OUTPUT) {
        arrived.extend(more);
    }
    assert_eq!(console.flush(port), Poll::Ready(Ok(())));
    assert!(arrived == octets, "every octet, once, in order");
}

#[test]
fn a_port_for_lines_takes_them_whole_or_not_at_all() {
    let (_machine, shared, mut console, port) = console();
    console.open_lines(port).unwrap();
    let line = [b'x'; LINE];
    for _ in 0..OUTPUT_BUFFERS {
        assert_eq!(console.write(port, &line), Poll::Ready(Ok(LINE)));
    }
    assert!(console.write(port, b"one more").is_pending());
    assert_eq!(shared.lock().collect(OUTPUT).as_deref(), Some(&line[..]));
    assert_eq!(console.write(port, b"one more"), Poll::Ready(Ok(8)));
}

#[test]
fn nobody_reads_a_port_that_the_host_closed() {
    let (_machine, shared, mut console, port) = console();
    console.open_output(port).unwrap();
    tell(&shared, Control::PortOpen { port: 1, open: false });
    assert_eq!(console.write(port, b"lost"), Poll::Ready(Err(PortError::Closed)));
    assert_eq!(shared.lock().waiting(OUTPUT), 0);
    assert_eq!(console.flush(port), Poll::Ready(Ok(())));
}

#[test]
fn a_port_that_is_removed_is_closed_and_has_no_name() {
    let (_machine, shared, mut console, port) = console();
    console.open_input(port).unwrap();
    tell(&shared, Control::PortRemove { port: 1 });
    assert_eq!(console.find("mimic.stdio"), None);
    assert_eq!(read(&mut console, port, 4), Poll::Ready(Ok(Vec::new())));
}

#[test]
fn ports_beyond_the_limit_are_refused() {
    let (machine, shared) = machine(MULTIPORT, 31);
    let mut console = machine.discover().console.unwrap();
    assert!(shared.lock().collect(3).is_some());
    for port in [8, 30, u32::MAX] {
        tell(&shared, Control::PortAdd { port });
        name(&shared, port, "far");
        tell(&shared, Control::PortOpen { port, open: true });
        tell(&shared, Control::PortRemove { port });
        assert!(console.poll());
        assert_eq!(console.find("far"), None);
        let refused = Control::PortReady { port, usable: false };
        assert_eq!(shared.lock().collect(3).as_deref(), Some(&refused.emit()[..]));
    }
    // Queues of ports that are not used are not set up.
    assert!(shared.lock().queues[17].enabled);
    assert!(!shared.lock().queues[18].enabled);
}

#[test]
fn a_flood_of_control_messages_is_answered_within_bounds() {
    let (machine, shared) = machine(MULTIPORT, 4);
    let mut console = machine.discover().console.unwrap();
    // The device never takes the answers.
    for _ in 0..1000 {
        tell(&shared, Control::PortAdd { port: 1 });
        assert!(console.poll());
    }
    assert_eq!(shared.lock().waiting(2), CONTROL_QUEUE as u16);
    let waiting = console.control.as_ref().unwrap().waiting.len();
    assert_eq!(waiting, MAX_WAITING);
}

#[test]
fn messages_that_are_none_are_passed_over() {
    let (_machine, shared, mut console, _port) = console();
    shared.lock().deliver(2, &[1, 2, 3]);
    shared.lock().deliver(2, &[]);
    let chain = shared.lock().take(2).unwrap();
    shared.lock().complete(2, chain.id.into(), 5000);
    tell(&shared, Control::PortReady { port: 9, usable: true });
    tell(&shared, Control::Other { event: 77 });
    assert!(console.poll());
    assert_eq!(console.names().count(), 1);
    assert_eq!(shared.lock().waiting(2), CONTROL_QUEUE as u16);
}

#[test]
fn more_than_the_buffer_holds_is_no_input() {
    let (_machine, shared, mut console, port) = console();
    console.open_input(port).unwrap();
    let chain = shared.lock().take(INPUT).unwrap();
    shared.lock().complete(INPUT, chain.id.into(), INPUT_BUFFER as u32 + 1);
    assert!(read(&mut console, port, 10).is_pending());
    shared.lock().deliver(INPUT, b"fine");
    assert_eq!(read(&mut console, port, 10), Poll::Ready(Ok(b"fine".to_vec())));
}

#[test]
fn buffers_that_were_not_given_end_the_port() {
    let (_machine, shared, mut console, port) = console();
    console.open_input(port).unwrap();
    console.open_output(port).unwrap();
    shared.lock().complete(INPUT, 99, 1);
    let fault = Fault { queue: 4, descriptor: 99 };
    assert_eq!(read(&mut console, port, 1), Poll::Ready(Err(PortError::Fault(fault))));
    while let Poll::Ready(Ok(_)) = console.write(port, &[0; 100_000]) {}
    shared.lock().complete(OUTPUT, 15, 0);
    shared.lock().complete(OUTPUT, 15, 0);
    let fault = PortError::Fault(Fault { queue: 5, descriptor: 15 });
    assert_eq!(console.flush(port), Poll::Ready(Err(fault)));
}

#[test]
fn a_device_without_ports_by_name_is_one_open_port() {
    let (machine, shared) = machine(0, 1);
    let mut console = machine.discover().console.unwrap();
    assert_eq!(console.names().count(), 0);
    let port = Port(0);
    console.open_output(port).unwrap();
    assert_eq!(console.write(port, b"plain"), Poll::Ready(Ok(5)));
    assert_eq!(shared.lock().collect(1).as_deref(), Some(&b"plain"[..]));
}

#[test]
fn the_device_is_told_once_of_several_writes() {
    let (_machine, shared, mut console, port) = console();
    console.open_output(port).unwrap();
    let told = |shared: &Shared| shared.lock().queues[OUTPUT].notifications;
    for _ in 0..3 {
        assert_eq!(console.write(port, b"some"), Poll::Ready(Ok(4)));
    }
    assert_eq!(told(&shared), 0, "more may follow");
    console.announce();
    console.announce();
    assert_eq!(told(&shared), 1);
    assert_eq!(console.write(port, b"some"), Poll::Ready(Ok(4)));
    assert!(console.flush(port).is_pending());
    assert_eq!(told(&shared), 2, "who flushes waits for it");
    while let Poll::Ready(Ok(_)) = console.write(port, &[0; OUTPUT_BUFFER]) {}
    assert_eq!(told(&shared), 3, "without buffers nothing can follow");
}

#[test]
fn what_the_device_has_to_tell_comes_to_an_end() {
    let (machine, shared) = machine(MULTIPORT, 4);
    let mut console = machine.discover().console.unwrap();
    assert!(!console.is_settled(), "it has not been asked yet");
    tell(&shared, Control::PortAdd { port: 0 });
    tell(&shared, Control::PortAdd { port: 1 });
    assert!(shared.lock().collect(3).is_some(), "the driver is ready");
    assert!(!console.is_settled(), "two ports are to be answered for");
    // the one has no name, the other has
    assert!(shared.lock().collect(3).is_some());
    assert!(!console.is_settled());
    name(&shared, 1, "org.agent");
    let before = shared.lock().interrupts;
    assert!(shared.lock().collect(3).is_some());
    assert!(shared.lock().interrupts > before, "who waits hears of the last answer");
    assert!(console.is_settled());
    assert_eq!(console.names().collect::<Vec<_>>(), ["", "org.agent"]);
}

#[test]
fn without_several_ports_there_is_nothing_to_wait_for() {
    let (machine, _shared) = machine(0, 1);
    assert!(machine.discover().console.unwrap().is_settled());
}

#[test]
fn a_device_without_ports_has_nothing_to_tell() {
    let (machine, shared) = machine(MULTIPORT, 4);
    let mut console = machine.discover().console.unwrap();
    assert!(!console.is_settled());
    assert!(shared.lock().collect(3).is_some());
    assert!(console.is_settled());
}
