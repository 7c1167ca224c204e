//! Timers and the reactor.
#![allow(clippy::unwrap_used)] // tests

mod hosts;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_lite::future;
use hosts::pair;
use smoltcp::phy::{Loopback, Medium};
use stack::sim::{Link, Network};
use stack::smol::{Config, Idle, Ipv4, Stack, block_on};
use stack::{Cidr, Instant, IpVersion, Net};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn timers_fire_in_order_and_dropped_ones_leave_nothing() {
    let (mut network, _server, client) = pair(1, Link::default());
    let order = RefCell::new(Vec::new());
    network
        .run(async {
            let nap = |n: u64| {
                let (net, order) = (&client.net, &order);
                async move {
                    net.sleep(ms(n)).await;
                    order.borrow_mut().push((n, net.now().as_micros()));
                }
            };
            future::zip(future::zip(nap(30), nap(10)), future::zip(nap(20), nap(0))).await;
        })
        .unwrap();
    let expected = [(0, 0), (10, 10_000), (20, 20_000), (30, 30_000)];
    assert_eq!(*order.borrow(), expected);

    let mut timers: Vec<_> = (0..100).map(|i| client.net.sleep(ms(1000 + i))).collect();
    network
        .run(async {
            for timer in &mut timers {
                assert!(future::poll_once(timer).await.is_none());
            }
        })
        .unwrap();
    assert_eq!(client.net.timers(), 100);
    timers.truncate(1);
    assert_eq!(client.net.timers(), 1);
    // Polled by another task, it wakes that one.
    network.run(timers.pop().unwrap()).unwrap();
    assert_eq!(client.net.timers(), 0);
    let now = network.now();
    network.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!(network.now() - now, Duration::from_secs(10));
}

#[test]
fn a_simulation_that_cannot_go_on_says_so() {
    let mut network = Network::new(1);
    let error = network.run(std::future::pending::<()>()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the simulation stopped at 0.000000 s: nothing is left to happen"
    );
    let host = network.host("10.0.0.1/24", Link::default());
    network.set_limit(ms(500));
    let error = network.run(host.net.sleep(ms(501))).unwrap_err();
    assert_eq!(error.to_string(), "the simulation stopped at 0.000000 s: the time limit is over");
}

/// A machine whose time passes only while it waits, and which counts how it waited.
#[derive(Default)]
struct Machine {
    micros: Arc<AtomicU64>,
    interrupts: Cell<u32>,
    waits: RefCell<Vec<Option<Duration>>>,
    /// An interrupt comes at these instants.
    schedule: RefCell<Vec<u64>>,
}

impl Machine {
    fn clock(&self) -> impl Fn() -> Instant + Send + Sync + 'static + use<> {
        let micros = self.micros.clone();
        move || Instant::from_micros(micros.load(Ordering::Relaxed))
    }

    fn stack(&self) -> Stack<Loopback> {
        let mut config = Config::new([2, 0, 0, 0, 0, 1], Box::new(|octets| octets.fill(3)));
        let address = Cidr::new([10, 0, 0, 1].into(), 24).unwrap();
        config.ipv4 = Ipv4::Static { address, gateway: None };
        Stack::new(config, Some(Loopback::new(Medium::Ethernet)), self.clock()).unwrap()
    }
}

impl Idle for Machine {
    fn observe(&self) -> u32 {
        self.interrupts.get()
    }

    fn wait(&self, seen: u32, timeout: Option<Duration>) {
        if self.interrupts.get() != seen {
            return;
        }
        self.waits.borrow_mut().push(timeout);
        let now = self.micros.load(Ordering::Relaxed);
        let deadline = timeout.map(|t| now + t.as_micros() as u64);
        let interrupt = self.schedule.borrow().first().copied();
        match (deadline, interrupt) {
            (deadline, Some(at)) if deadline.is_none_or(|d| at <= d) => {
                self.schedule.borrow_mut().remove(0);
                self.micros.store(at, Ordering::Relaxed);
                self.interrupts.set(self.interrupts.get() + 1);
            }
            (Some(deadline), _) => self.micros.store(deadline, Ordering::Relaxed),
            (None, _) => panic!("waits for ever"),
        }
    }
}

#[test]
fn the_reactor_waits_exactly_as_long_as_it_may() {
    let machine = Machine::default();
    let stack = machine.stack();
    block_on(std::slice::from_ref(&stack), &machine, || false, async {
        stack.sleep(ms(5)).await;
        stack.sleep(ms(7)).await;
    });
    assert_eq!(machine.micros.load(Ordering::Relaxed), 12_000);
    assert_eq!(*machine.waits.borrow(), [Some(ms(5)), Some(ms(7))]);
}

#[test]
fn the_reactor_serves_other_devices_after_interrupts() {
    let machine = Machine::default();
    let stack = machine.stack();
    *machine.schedule.borrow_mut() = vec![1000, 2000, 3000];
    let waker = RefCell::new(None::<std::task::Waker>);
    let calls = Cell::new(0);
    let service = || {
        // Has something at the third interrupt, and is done in two rounds.
        calls.set(calls.get() + 1);
        if machine.interrupts.get() == 3
            && let Some(waker) = waker.take()
        {
            waker.wake();
            return true;
        }
        false
    };
    block_on(
        std::slice::from_ref(&stack),
        &machine,
        service,
        poll_fn(|cx| {
            if machine.interrupts.get() == 3 {
                return Poll::Ready(());
            }
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }),
    );
    assert_eq!(machine.waits.borrow().len(), 3);
    assert!(calls.get() >= 4);
}

#[test]
fn an_interrupt_between_looking_and_waiting_is_not_lost() {
    let machine = Machine::default();
    let stack = machine.stack();
    let waker = RefCell::new(None::<std::task::Waker>);
    let (seen, calls) = (Cell::new(0), Cell::new(0));
    let service = || {
        calls.set(calls.get() + 1);
        seen.set(machine.interrupts.get());
        if seen.get() == 1
            && let Some(waker) = waker.take()
        {
            waker.wake();
        }
        // The second round is the one before the wait. The device's interrupt comes right after it
        // was looked at, and no other ever.
        if calls.get() == 2 {
            machine.interrupts.set(1);
        }
        false
    };
    // Had the counter been read after the devices, the machine would now wait for ever.
    block_on(
        std::slice::from_ref(&stack),
        &machine,
        service,
        poll_fn(|cx| {
            if seen.get() == 1 && waker.borrow().is_none() {
                return Poll::Ready(());
            }
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }),
    );
    assert!(machine.waits.borrow().is_empty());
}

#[test]
fn a_flood_starves_nobody() {
    // The loopback device hands back what it is sent: a broadcast echoes for as long as the stack
    // keeps answering, and a task that sends more keeps the queue full.
    let machine = Machine::default();
    let stack = machine.stack();
    let rounds = block_on(std::slice::from_ref(&stack), &machine, || false, async {
        let socket = stack.udp_bind(Some(9), IpVersion::V4).await.unwrap();
        let mut rounds = 0;
        let everyone = "10.0.0.255:9".parse().unwrap();
        while rounds < 1000 {
            future::poll_once(socket.send_to(&[0; 100], everyone)).await;
            future::poll_once(socket.recv_from(&mut [0; 100])).await;
            future::yield_now().await;
            rounds += 1;
        }
        rounds
    });
    assert_eq!(rounds, 1000);
    assert!(machine.waits.borrow().is_empty());
}
