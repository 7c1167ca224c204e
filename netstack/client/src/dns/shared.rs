//! Work that several wait for and none of them owns: whoever is polled does it for all.
//!
//! There is no task in the background here. A connection or a question that is shared is driven by those who wait
//! for it; its wakers wake them all, so that it goes on whoever of them leaves.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use spin::Mutex;
use stack::BoxFuture;
use std::sync::{Arc, Weak};
use std::task::Wake;

/// Who waits. As a [`Wake`] it wakes them all.
#[derive(Default)]
pub struct Waiters(Mutex<Places>);

#[derive(Default)]
struct Places {
    last: u64,
    /// By place, in order.
    wakers: Vec<(u64, Waker)>,
}

impl Places {
    fn find(&self, place: u64) -> Result<usize, usize> {
        self.wakers.binary_search_by_key(&place, |(place, _)| *place)
    }
}

impl Waiters {
    /// A place to wait at, to be given back by [`Self::leave`].
    pub fn enter(&self) -> u64 {
        let mut places = self.0.lock();
        places.last += 1;
        places.last
    }

    /// Wakes `waker` in future.
    pub fn wait(&self, place: u64, waker: &Waker) {
        let mut places = self.0.lock();
        match places.find(place) {
            Ok(index) => places.wakers[index].1.clone_from(waker),
            Err(index) => places.wakers.insert(index, (place, waker.clone())),
        }
    }

    /// No longer.
    pub fn leave(&self, place: u64) {
        let mut places = self.0.lock();
        if let Ok(index) = places.find(place) {
            places.wakers.remove(index);
        }
    }

    /// Wakes all.
    pub fn wake_all(&self) {
        // a waker may come back here
        let wakers: Vec<_> = self.0.lock().wakers.iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

/// A future whose output several get. When the last of them is dropped, so is the future.
pub struct Shared<T> {
    work: Arc<Work<T>>,
    place: u64,
}

/// The future itself, for [`Shared::of`].
pub struct Work<T> {
    state: Mutex<State<T>>,
    waiters: Arc<Waiters>,
}

enum State<T> {
    Running(BoxFuture<'static, T>),
    Done(T),
}

impl<T: Clone> Shared<T> {
    /// The first who waits.
    pub fn new(future: BoxFuture<'static, T>) -> Self {
        let work = Work { state: Mutex::new(State::Running(future)), waiters: Arc::default() };
        Self::of_work(Arc::new(work))
    }

    /// One more, if any still waits.
    pub fn of(work: &Weak<Work<T>>) -> Option<Self> {
        work.upgrade().map(Self::of_work)
    }

    /// What others can join by.
    pub fn work(&self) -> Weak<Work<T>> {
        Arc::downgrade(&self.work)
    }

    fn of_work(work: Arc<Work<T>>) -> Self {
        let place = work.waiters.enter();
        Self { work, place }
    }
}

impl<T: Clone> Future for Shared<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let waiters = &self.work.waiters;
        waiters.wait(self.place, cx.waker());
        let mut state = self.work.state.lock();
        let output = match &mut *state {
            State::Done(output) => return Poll::Ready(output.clone()),
            State::Running(future) => {
                let waker = Waker::from(waiters.clone());
                match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(output) => output,
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        *state = State::Done(output.clone());
        drop(state);
        waiters.wake_all();
        Poll::Ready(output)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.work.waiters.leave(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use futures_lite::future::{block_on, poll_once, yield_now, zip};

    #[test]
    fn it_runs_once_for_all() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let first = Shared::new(Box::pin(async move {
            yield_now().await;
            counted.fetch_add(1, Ordering::Relaxed) + 7
        }));
        let second = Shared::of(&first.work()).unwrap();
        assert_eq!(block_on(zip(first, second)), (7, 7));
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn it_goes_on_when_the_one_who_began_leaves() {
        let mut first = Shared::new(Box::pin(async {
            yield_now().await;
            yield_now().await;
            7
        }));
        assert_eq!(block_on(poll_once(&mut first)), None);
        let work = first.work();
        let second = Shared::of(&work).unwrap();
        drop(first);
        assert_eq!(block_on(second), 7);
        assert!(Shared::of(&work).is_none(), "nobody waits any more");
    }
}
