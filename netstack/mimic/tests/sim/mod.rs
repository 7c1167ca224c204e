//! What the tests run on: a virtual clock, a protocol that does as its endpoint says, a flow.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use mimic::{Flow, Policy, Protocol, Shutdown, Timer, flow};

/// A clock that stands still while anything can be done, and then jumps to the next alarm.
#[derive(Clone, Default)]
pub struct Sim {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now: Duration,
    next: usize,
    alarms: Vec<(Duration, usize, Waker)>,
}

impl Sim {
    pub fn new() -> Self {
        Self::default()
    }

    /// A policy on this clock.
    pub fn policy(&self) -> Policy {
        Policy::with_timer(Arc::new(self.clone()))
    }

    pub fn time(&self) -> Duration {
        self.state.lock().unwrap().now
    }

    /// How many alarms are set.
    pub fn alarms(&self) -> usize {
        self.state.lock().unwrap().alarms.len()
    }

    /// Runs `future` to its end. Panics when it waits for what cannot come.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_for(Duration::MAX, future).expect("nothing is left that could wake the future")
    }

    /// Runs `future` until it ends or nothing can happen before `limit`; then drops it.
    pub fn run_for<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            if flag.0.swap(0, Ordering::SeqCst) > 0 {
                continue;
            }
            let mut state = self.state.lock().unwrap();
            let first = state.alarms.iter().map(|(at, ..)| *at).min()?;
            if first > limit {
                return None;
            }
            state.now = state.now.max(first);
            let due: Vec<Waker> = state
                .alarms
                .iter()
                .filter(|(at, ..)| *at <= first)
                .map(|(_, _, waker)| waker.clone())
                .collect();
            drop(state);
            due.into_iter().for_each(Waker::wake);
        }
    }

    pub fn wait(&self, duration: Duration) -> Alarm {
        let at = self.time() + duration;
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        Alarm { state: Arc::clone(&self.state), at, number: state.next }
    }
}

impl Timer for Sim {
    fn now(&self) -> Duration {
        self.time()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.wait(duration))
    }
}

/// Is done when its time has come. Dropping it takes it off the clock.
pub struct Alarm {
    state: Arc<Mutex<State>>,
    at: Duration,
    number: usize,
}

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap();
        state.alarms.retain(|(_, number, _)| *number != self.number);
        if state.now >= self.at {
            return Poll::Ready(());
        }
        state.alarms.push((self.at, self.number, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap();
        state.alarms.retain(|(_, number, _)| *number != self.number);
    }
}

#[derive(Default)]
struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a future that never waits.
pub fn now<F: Future>(future: F) -> F::Output {
    Sim::new().run(future)
}

pub const MS: Duration = Duration::from_millis(1);

/// A protocol that does as its endpoint says.
#[derive(Clone)]
pub struct Scripted {
    pub sim: Sim,
    /// The labels of the endpoints, as they were connected.
    pub dialed: Arc<Mutex<Vec<String>>>,
    /// How many connections are being made.
    pub live: Arc<AtomicUsize>,
}

impl Scripted {
    pub fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), dialed: Arc::default(), live: Arc::default() }
    }

    pub fn dialed(&self) -> Vec<String> {
        self.dialed.lock().unwrap().clone()
    }
}

/// What becomes of a connection, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub label: String,
    pub after: Duration,
    pub works: bool,
}

pub fn good(label: &str) -> End {
    End { label: label.into(), after: Duration::ZERO, works: true }
}

pub fn bad(label: &str) -> End {
    End { works: false, ..good(label) }
}

impl End {
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

impl Protocol for Scripted {
    type Endpoint = End;
    type Flow = Pipe;
    type Error = Refused;

    async fn connect(&self, endpoint: Arc<End>) -> Result<Pipe, Refused> {
        self.dialed.lock().unwrap().push(endpoint.label.clone());
        let _live = Live::new(&self.live);
        if !endpoint.after.is_zero() {
            self.sim.wait(endpoint.after).await;
        }
        match endpoint.works {
            true => Ok(Pipe::new(&endpoint.label)),
            false => Err(Refused(endpoint.label.clone())),
        }
    }

    fn describe(endpoint: &End, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&endpoint.label)
    }
}

/// Counts itself while it lives.
pub struct Live(Arc<AtomicUsize>);

impl Live {
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused", self.0)
    }
}

impl Error for Refused {}

/// A flow that gives back what is written to it.
#[derive(Debug, Default)]
pub struct Pipe {
    pub label: String,
    pub octets: VecDeque<u8>,
    pub calls: Vec<&'static str>,
    /// What the next calls give, before the flow does as usual.
    pub script: VecDeque<Result<usize, flow::Error>>,
}

impl Pipe {
    pub fn new(label: &str) -> Self {
        Self { label: label.into(), ..Self::default() }
    }
}

impl Flow for Pipe {
    fn poll_read(
        &mut self,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, flow::Error>> {
        self.calls.push("read");
        if let Some(result) = self.script.pop_front() {
            return Poll::Ready(result);
        }
        let count = buf.len().min(self.octets.len());
        for (to, from) in buf.iter_mut().zip(self.octets.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, flow::Error>> {
        self.calls.push("write");
        if let Some(result) = self.script.pop_front() {
            if let Ok(count) = result {
                self.octets.extend(buf.iter().take(count));
            }
            return Poll::Ready(result);
        }
        self.octets.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        self.calls.push("flush");
        Poll::Ready(self.script.pop_front().unwrap_or(Ok(0)).map(drop))
    }

    fn poll_shutdown(
        &mut self,
        _: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), flow::Error>> {
        self.calls.push(match how {
            Shutdown::Read => "shutdown read",
            Shutdown::Write => "shutdown write",
            Shutdown::Both => "shutdown both",
        });
        Poll::Ready(self.script.pop_front().unwrap_or(Ok(0)).map(drop))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        self.calls.push("close");
        Poll::Ready(self.script.pop_front().unwrap_or(Ok(0)).map(drop))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipe {}", self.label)
    }
}
