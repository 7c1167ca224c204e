extern crate std;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use super::Set;

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl alloc::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), count.into())
}

/// Where a test lets a future of the set go on.
#[derive(Clone, Default)]
struct Gate {
    state: Arc<Mutex<(bool, Option<Waker>)>>,
    polls: Arc<AtomicUsize>,
}

impl Gate {
    fn open(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.state.lock().unwrap().1 {
            waker.wake_by_ref();
        }
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    fn future(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let gate = self.clone();
        Box::pin(poll_fn(move |cx| {
            gate.polls.fetch_add(1, Ordering::SeqCst);
            let mut state = gate.state.lock().unwrap();
            state.1 = Some(cx.waker().clone());
            if state.0 { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
}

fn fill(set: &mut Set<'_, ()>, count: usize) -> Vec<Gate> {
    let gates: Vec<Gate> = (0..count).map(|_| Gate::default()).collect();
    for (number, gate) in gates.iter().enumerate() {
        assert_eq!(set.insert(gate.future()), number);
    }
    gates
}

fn poll(set: &mut Set<'_, ()>, waker: &Waker) -> Poll<Option<usize>> {
    set.poll_next(&mut Context::from_waker(waker)).map(|done| done.map(|(number, ())| number))
}

#[test]
fn only_what_was_woken_is_polled() {
    let (count, waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 200);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    for at in [150, 3, 64] {
        gates[at].open();
        assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(at)));
        assert_eq!(poll(&mut set, &waker), Poll::Pending);
    }
    assert_eq!(count.0.load(Ordering::SeqCst), 3);
    for (at, gate) in gates.iter().enumerate() {
        let expected = if [150, 3, 64].contains(&at) { 2 } else { 1 };
        assert_eq!(gate.polls(), expected, "{at}");
    }
}

#[test]
fn wakes_before_a_poll_are_one_wake() {
    let (count, waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 2);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    (0..5).for_each(|_| gates[0].wake());
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    gates[0].wake();
    assert_eq!(count.0.load(Ordering::SeqCst), 2);
}

#[test]
fn one_alone_is_polled_with_the_outer_waker() {
    let (count, waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 1);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    // another one comes: it has a waker of its own from now on
    let other = Gate::default();
    assert_eq!(set.insert(other.future()), 1);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    other.open();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(1)));
    gates[0].open();
    assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(0)));
    assert_eq!(poll(&mut set, &waker), Poll::Ready(None));
}

#[test]
fn another_outer_waker_is_followed() {
    let (first, first_waker) = counted();
    let (second, second_waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 3);
    assert_eq!(poll(&mut set, &first_waker), Poll::Pending);
    assert_eq!(poll(&mut set, &second_waker), Poll::Pending);
    gates[2].open();
    assert_eq!(first.0.load(Ordering::SeqCst), 0);
    assert_eq!(second.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(&mut set, &second_waker), Poll::Ready(Some(2)));
}

#[test]
fn numbers_are_used_again_and_late_wakes_do_no_harm() {
    let (_, waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 3);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    gates[1].open();
    assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(1)));
    let next = Gate::default();
    assert_eq!(set.insert(next.future()), 1);
    gates[1].wake();
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    next.open();
    assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(1)));
}

#[test]
fn one_that_wakes_itself_does_not_keep_the_others_out() {
    let (count, waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 1);
    set.insert(Box::pin(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })));
    for round in 1..5 {
        assert_eq!(poll(&mut set, &waker), Poll::Pending, "and the set is not polled for ever");
        assert!(count.0.load(Ordering::SeqCst) >= round);
    }
    gates[0].open();
    assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(0)));
}

#[test]
fn all_at_once_are_all_given() {
    let (_, waker) = counted();
    let mut set = Set::new();
    let gates = fill(&mut set, 300);
    assert_eq!(poll(&mut set, &waker), Poll::Pending);
    gates.iter().for_each(Gate::open);
    for number in 0..300 {
        assert_eq!(poll(&mut set, &waker), Poll::Ready(Some(number)));
    }
    assert!(set.is_empty());
}

#[test]
fn dropping_the_set_drops_the_futures() {
    struct Held(Arc<()>);
    let held = Arc::new(());
    let mut set = Set::new();
    for _ in 0..3 {
        let inner = Held(Arc::clone(&held));
        set.insert(Box::pin(async move {
            core::future::pending::<()>().await;
            drop(inner.0);
        }));
    }
    assert_eq!(poll(&mut set, Waker::noop()), Poll::Pending);
    assert_eq!(Arc::strong_count(&held), 4);
    drop(set);
    assert_eq!(Arc::strong_count(&held), 1);
    // what a set borrows may live on a stack
    let local = Rc::new(5);
    let number = *local;
    let borrowed = &number;
    let mut set = Set::new();
    set.insert(Box::pin(async move { *borrowed }));
    let done = set.poll_next(&mut Context::from_waker(Waker::noop()));
    assert_eq!(done, Poll::Ready(Some((0, 5))));
}
