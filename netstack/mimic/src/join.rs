//! Several futures at once, without an executor: a set that polls those that were woken.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};

/// Futures that run concurrently, each known by the number that [`insert`](Self::insert) gave.
///
/// A future alone in the set is polled with the waker of the task. Among several, each has a
/// waker of its own that marks it and then wakes the task, so that n futures that are woken one
/// after the other cost n polls, not n².
pub(crate) struct Set<'a, T> {
    tasks: Vec<Option<Task<'a, T>>>,
    /// Numbers that are free again.
    free: Vec<usize>,
    live: usize,
    /// Tasks to poll: new ones, and those that were woken.
    todo: VecDeque<usize>,
    /// The task that was last polled with the waker of the whole set.
    alone: Option<usize>,
    /// Task `n` is bit `n % BITS` of block `n / BITS`.
    blocks: Vec<Arc<Block>>,
    /// The waker that the blocks pass on to.
    outer: Option<Waker>,
}

struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    waker: Option<Waker>,
}

impl<'a, T> Set<'a, T> {
    pub(crate) const fn new() -> Self {
        Self {
            tasks: Vec::new(),
            free: Vec::new(),
            live: 0,
            todo: VecDeque::new(),
            alone: None,
            blocks: Vec::new(),
            outer: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Adds a future; it is first polled by the next [`poll_next`](Self::poll_next).
    pub(crate) fn insert(&mut self, future: Pin<Box<dyn Future<Output = T> + Send + 'a>>) -> usize {
        let task = Some(Task { future, waker: None });
        let number = match self.free.pop() {
            Some(number) => {
                self.tasks[number] = task;
                number
            }
            None => {
                self.tasks.push(task);
                self.tasks.len() - 1
            }
        };
        self.live += 1;
        self.todo.push_back(number);
        number
    }

    /// The next future that is done, and its number; `None` when the set is empty.
    ///
    /// To be called until it gives `Pending` or `None`: one result does not mean that there are
    /// no more.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, T)>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        self.follow(cx.waker());
        self.todo.extend(self.alone.take());
        // the blocks are looked at once, after what is to be done anyway: a task that wakes
        // itself for ever comes again when the whole set does
        for looked in [false, true] {
            while let Some(number) = self.todo.pop_front() {
                if let Poll::Ready(output) = self.poll_one(number, cx) {
                    return Poll::Ready(Some((number, output)));
                }
            }
            if !looked {
                self.collect_woken();
            }
        }
        Poll::Pending
    }

    fn collect_woken(&mut self) {
        for (index, block) in self.blocks.iter().enumerate() {
            let mut woken = block.woken.swap(0, Ordering::Acquire);
            while woken != 0 {
                self.todo.push_back(index * BITS + woken.trailing_zeros() as usize);
                woken &= woken - 1;
            }
        }
    }

    fn poll_one(&mut self, number: usize, cx: &mut Context<'_>) -> Poll<T> {
        // a late wake of a task that is done, whose number may be another task's by now
        let Some(task) = &mut self.tasks[number] else { return Poll::Pending };
        let polled = if self.live == 1 {
            self.alone = Some(number);
            task.future.as_mut().poll(cx)
        } else {
            let (blocks, outer) = (&mut self.blocks, cx.waker());
            let waker = task.waker.get_or_insert_with(|| waker(blocks, outer, number));
            task.future.as_mut().poll(&mut Context::from_waker(waker))
        };
        if polled.is_ready() {
            self.tasks[number] = None;
            self.alone = None;
            self.free.push(number);
            self.live -= 1;
        }
        polled
    }

    /// Has all tasks polled again when the waker of the set is another one than before: those
    /// that the tasks hold lead to the old one.
    fn follow(&mut self, waker: &Waker) {
        if self.outer.as_ref().is_some_and(|outer| outer.will_wake(waker)) {
            return;
        }
        self.outer = Some(waker.clone());
        if self.blocks.is_empty() {
            return;
        }
        self.blocks.clear();
        self.todo.clear();
        for (number, task) in self.tasks.iter_mut().enumerate() {
            if let Some(task) = task {
                task.waker = None;
                self.todo.push_back(number);
            }
        }
    }
}

fn waker(blocks: &mut Vec<Arc<Block>>, outer: &Waker, number: usize) -> Waker {
    while blocks.len() <= number / BITS {
        blocks.push(Arc::new(Block { woken: AtomicUsize::new(0), outer: outer.clone() }));
    }
    let block = Arc::clone(&blocks[number / BITS]);
    Arc::new(Mark { block, bit: 1 << (number % BITS) }).into()
}

/// Which of the tasks of a block were woken.
struct Block {
    woken: AtomicUsize,
    outer: Waker,
}

/// The waker of one task.
struct Mark {
    block: Arc<Block>,
    bit: usize,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // marked before: the set was woken then and has not looked yet
        if self.block.woken.fetch_or(self.bit, Ordering::Release) & self.bit == 0 {
            self.block.outer.wake_by_ref();
        }
    }
}

const BITS: usize = usize::BITS as usize;

#[cfg(test)]
mod tests;
