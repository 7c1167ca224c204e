//! Tasks on one thread, in the order in which they were woken.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Wake;

use spin::Mutex;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks of a network.
#[derive(Default)]
pub(super) struct Tasks {
    queue: Arc<Mutex<Queue>>,
    tasks: BTreeMap<u64, Task>,
}

#[derive(Default)]
struct Queue {
    awake: VecDeque<u64>,
    queued: BTreeSet<u64>,
    new: Vec<Task>,
    next: u64,
}

/// The future that the network runs for.
const MAIN: u64 = 0;

/// Adds tasks to a network, also from its tasks.
#[derive(Clone)]
pub struct Spawner(Arc<Mutex<Queue>>);

impl Spawner {
    /// Adds a task that runs whenever the network does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().new.push(Box::pin(task));
    }
}

impl Tasks {
    pub(super) fn spawner(&self) -> Spawner {
        Spawner(self.queue.clone())
    }

    pub(super) fn wake_main(&self) {
        self.queue.lock().wake(MAIN);
    }

    pub(super) fn are_awake(&self) -> bool {
        let queue = self.queue.lock();
        !queue.awake.is_empty() || !queue.new.is_empty()
    }

    /// Polls everything that is awake, until nothing is.
    pub(super) fn run<F: Future>(&mut self, mut main: Pin<&mut F>) -> Poll<F::Output> {
        loop {
            self.adopt();
            let Some(id) = self.queue.lock().pop() else { return Poll::Pending };
            let waker = Waker::from(Arc::new(TaskWaker { id, queue: self.queue.clone() }));
            let mut cx = Context::from_waker(&waker);
            if id == MAIN {
                if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                    return Poll::Ready(output);
                }
            } else if let Some(task) = self.tasks.get_mut(&id)
                && task.as_mut().poll(&mut cx).is_ready()
            {
                self.tasks.remove(&id);
            }
        }
    }

    fn adopt(&mut self) {
        let mut queue = self.queue.lock();
        for task in core::mem::take(&mut queue.new) {
            queue.next += 1;
            let id = queue.next;
            queue.wake(id);
            self.tasks.insert(id, task);
        }
    }
}

impl Queue {
    fn wake(&mut self, id: u64) {
        if self.queued.insert(id) {
            self.awake.push_back(id);
        }
    }

    fn pop(&mut self) -> Option<u64> {
        let id = self.awake.pop_front()?;
        self.queued.remove(&id);
        Some(id)
    }
}

struct TaskWaker {
    id: u64,
    queue: Arc<Mutex<Queue>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.queue.lock().wake(self.id);
    }
}
