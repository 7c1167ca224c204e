//! Tests run two at a time: one lane takes them from the first on, the other from the last backwards, until they meet.
//!
//! Most tests wait more than they compute, and what is slow to build stands at one end. A lane has peers of its own; what a
//! test starts lives no longer than the lane's thread (see [`crate::guard`]).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::Tally;
use super::peers::Peers;

/// What a test does; an error says what is wrong, or is a [`super::Skip`].
type Act<'a> = Box<dyn FnOnce(&mut Peers) -> Result<()> + Send + 'a>;

/// One test.
pub struct Job<'a> {
    /// As in [`Tally`].
    pub group: &'static str,
    /// As in [`Tally`].
    pub name: String,
    /// The test itself.
    pub test: Act<'a>,
}

/// Runs all of them.
pub fn run<'a>(jobs: Vec<Job<'a>>, tally: &mut Tally) -> Result<()> {
    let (jobs, tally) = (Mutex::new(VecDeque::from(jobs)), Mutex::new(tally));
    let lane = |next: fn(&mut VecDeque<Job<'a>>) -> Option<Job<'a>>| -> Result<()> {
        let mut peers = Peers::new()?;
        loop {
            let Some(job) = next(&mut lock(&jobs)) else { return Ok(()) };
            let start = Instant::now();
            let outcome = (job.test)(&mut peers).map(|()| String::new());
            lock(&tally).ended(job.group, &job.name, start, outcome);
        }
    };
    thread::scope(|scope| {
        let last = scope.spawn(|| lane(VecDeque::pop_back));
        let first = lane(VecDeque::pop_front);
        // a test that panics is a defect of the tests: it ends them all
        first.and(last.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // nothing that a panic could leave half done is behind these
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Skip;
    use anyhow::bail;

    #[test]
    fn each_is_run_once_and_counted_as_it_ended() {
        let ran = Mutex::new(Vec::new());
        let jobs = (0..30).map(|number| {
            let ran = &ran;
            let test = move |_: &mut Peers| {
                lock(ran).push(number);
                match number {
                    3 => bail!("as asked"),
                    4 => Err(Skip("as asked".into()).into()),
                    _ => Ok(()),
                }
            };
            Job { group: "lanes", name: format!("{number}"), test: Box::new(test) }
        });
        let mut tally = Tally::default();
        run(jobs.collect(), &mut tally).unwrap();
        assert_eq!(tally.counts(), [28, 1, 1]);
        let mut ran = ran.into_inner().unwrap();
        ran.sort_unstable();
        assert_eq!(ran, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_is_begun_before_the_first_has_ended() {
        let (tell, told) = std::sync::mpsc::channel();
        let told = Mutex::new(told);
        let limit = std::time::Duration::from_secs(60);
        let first = |_: &mut Peers| Ok(lock(&told).recv_timeout(limit)?);
        let last = |_: &mut Peers| Ok(tell.send(())?);
        let job = |test| Job { group: "lanes", name: String::new(), test };
        let mut tally = Tally::default();
        let jobs = vec![
            job(Box::new(first) as _),
            job(Box::new(|_: &mut Peers| Ok(())) as _),
            job(Box::new(last) as _),
        ];
        run(jobs, &mut tally).unwrap();
        assert_eq!(tally.counts(), [3, 0, 0]);
    }
}
