//! Circles of jobs that wait for one another: finding one, naming its keys, opening it.
//!
//! A knot is a strongly connected set of waiting jobs from which no wait leads out, so nothing
//! outside can open it. Every knot is opened by the first of these rules that applies:
//!
//! 1. An optional or defaulted input that waits inside the knot is left empty: the key "cannot be
//!    produced" as far as this job is concerned. All such inputs at once.
//! 2. A job whose key has an older derivation fails, and that one is tried. All such jobs.
//! 3. All jobs of the knot fail.
//!
//! Each rule treats the members alike, so the result does not depend on where the search began.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Awaited, Fault, JobState, KeyState, Solver};
use crate::arg::NeedKind;
use crate::report::Cycle;

/// What is kept from one search to the next.
pub(super) struct Search {
    /// The jobs that the searches went through before they came to a knot: the next one goes on
    /// from the last of them, or a long chain of knots would be walked anew for each.
    trail: Vec<usize>,
    /// The job to begin with when the trail is used up.
    first: usize,
    /// By job.
    marks: Vec<Mark>,
    /// How many marks were given; a mark of an older search is below its base.
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    /// When the search found the job.
    order: usize,
    /// The lowest order to which a way leads back from it.
    low: usize,
    /// In which knot it was last.
    knot: usize,
    /// In which knot a circle through it was last named.
    named: usize,
    /// The number of that circle, and the job after this one in it.
    cycle: usize,
    after: usize,
    /// The job from which the search for a circle came here.
    from: usize,
    /// When that was.
    reached: usize,
}

impl Search {
    pub(super) const fn new() -> Self {
        Self { trail: Vec::new(), first: 0, marks: Vec::new(), count: 0 }
    }
}

impl Solver<'_> {
    /// Finds a knot and opens it. To be called when nothing runs and nothing can be settled.
    pub(super) fn open_knot(&mut self) {
        self.search.marks.resize(self.jobs.len(), Mark::default());
        let knot = self.find_knot();
        self.search.count += 1;
        let number = self.search.count;
        for job in &knot {
            self.search.marks[*job].knot = number;
        }
        let soft = self.soft_inputs(&knot, number);
        if !soft.is_empty() {
            self.name_cycles(number, soft.iter().map(|(job, _, to)| (*job, Some(*to))));
            for (job, input, _) in soft {
                self.fill(job, input, Awaited::Empty);
            }
            return;
        }
        let cycles = self.name_cycles(number, knot.iter().map(|job| (*job, None)));
        let mut faults: Vec<(usize, usize)> = knot.into_iter().zip(cycles).collect();
        if faults.iter().any(|(job, _)| self.has_other(*job)) {
            faults.retain(|(job, _)| self.has_other(*job));
        }
        for (job, cycle) in faults {
            self.fail(job, Fault::Cyclic(cycle));
        }
    }

    /// A strongly connected set of waiting jobs that no wait leaves: the first one that Tarjan's
    /// search completes, in the order in which it came by the jobs.
    fn find_knot(&mut self) -> Vec<usize> {
        let base = self.search.count;
        let mut stack = Vec::new();
        // the way to the job at hand, and which of its inputs comes next
        let mut path = Vec::from([(self.entry(), 0)]);
        while let Some((job, input)) = path.last_mut() {
            let job = *job;
            if *input == 0 {
                self.search.count += 1;
                let mark = &mut self.search.marks[job];
                (mark.order, mark.low) = (self.search.count, self.search.count);
                stack.push(job);
            }
            let awaited = self.jobs[job].inputs.get(*input).copied();
            *input += 1;
            match awaited {
                Some(Awaited::Key(key)) => {
                    let Some(next) = self.current(key) else { continue };
                    let order = self.search.marks[next].order;
                    if order <= base {
                        path.push((next, 0));
                    } else {
                        let mark = &mut self.search.marks[job];
                        mark.low = mark.low.min(order);
                    }
                }
                Some(Awaited::Settled(_) | Awaited::Empty) => {}
                None => {
                    let mark = self.search.marks[job];
                    path.pop();
                    if mark.low == mark.order {
                        self.search.trail.extend(path.iter().map(|(job, _)| *job));
                        let start = stack.iter().position(|member| *member == job);
                        return stack.split_off(start.unwrap_or(0));
                    }
                    if let Some((above, _)) = path.last() {
                        let above = &mut self.search.marks[*above];
                        above.low = above.low.min(mark.low);
                    }
                }
            }
        }
        stack
    }

    /// A waiting job to begin with.
    fn entry(&mut self) -> usize {
        while let Some(job) = self.search.trail.pop() {
            if matches!(self.jobs[job].state, JobState::Waiting) {
                return job;
            }
        }
        // jobs of root keys were made first, and one of them still waits
        while !matches!(self.jobs[self.search.first].state, JobState::Waiting) {
            self.search.first += 1;
        }
        self.search.first
    }

    /// The job that has to end before an open key can be settled.
    fn current(&self, key: usize) -> Option<usize> {
        let node = &self.keys[key];
        match node.state {
            KeyState::Open => node.jobs.get(node.failed).copied(),
            KeyState::Found(_) | KeyState::Failed => None,
        }
    }

    /// Whether the key of `job` has a derivation after it. That of a root key may have failed by
    /// now, or not yet: it must not matter which.
    fn has_other(&self, job: usize) -> bool {
        let node = &self.keys[self.jobs[job].key];
        node.failed + 1 < node.jobs.len() || node.rest.as_ref().is_some_and(|rest| !rest.is_done())
    }

    /// The optional and defaulted inputs that wait inside a knot: whose, which, and for which job.
    fn soft_inputs(&self, knot: &[usize], number: usize) -> Vec<(usize, usize, usize)> {
        let mut soft = Vec::new();
        for job in knot {
            let at = &self.jobs[*job];
            for (input, need) in at.derivation.needs.iter().enumerate() {
                let Awaited::Key(key) = at.inputs[input] else { continue };
                let Some(to) = self.current(key) else { continue };
                let required = matches!(need.kind, NeedKind::Required);
                if !required && self.search.marks[to].knot == number {
                    soft.push((*job, input, to));
                }
            }
        }
        soft
    }

    /// Notes circles that go through the jobs of a knot, and through the given next one where
    /// there is one. Gives the number of a circle for each of them; a job that lies on one that
    /// was noted for another, or that comes after a few, needs none of its own.
    fn name_cycles(
        &mut self,
        knot: usize,
        jobs: impl Iterator<Item = (usize, Option<usize>)>,
    ) -> Vec<usize> {
        let first = self.cycles.len();
        let mut numbers = Vec::new();
        for (job, next) in jobs {
            let mark = self.search.marks[job];
            let named = mark.named == knot && next.is_none_or(|next| mark.after == next);
            if !named && self.cycles.len() < first + NAMED {
                self.name_cycle(knot, job, next);
            }
            let mark = self.search.marks[job];
            numbers.push(if mark.named == knot { mark.cycle } else { first });
        }
        numbers
    }

    fn name_cycle(&mut self, knot: usize, job: usize, next: Option<usize>) {
        let mut circle = self.circle(knot, job, next);
        let after: Vec<usize> = circle.iter().chain(circle.first()).skip(1).copied().collect();
        for (job, after) in circle.iter().zip(after) {
            let mark = &mut self.search.marks[*job];
            (mark.named, mark.cycle, mark.after) = (knot, self.cycles.len(), after);
        }
        // begin with the key that was asked for first, which is the nearest to a root key
        let first = (0..circle.len()).min_by_key(|index| self.jobs[circle[*index]].key);
        circle.rotate_left(first.unwrap_or(0));
        let keys = circle.iter().map(|job| self.name(*job)).collect();
        self.cycles.push(Cycle { keys });
    }

    /// A shortest circle through `job` inside a knot, beginning with it.
    fn circle(&mut self, knot: usize, job: usize, next: Option<usize>) -> Vec<usize> {
        self.search.count += 1;
        let round = self.search.count;
        let mut queue = VecDeque::new();
        match next {
            Some(next) => {
                self.reach(next, job, round);
                queue.push_back(next);
            }
            None => queue.push_back(job),
        }
        while let Some(at) = queue.pop_front() {
            if self.search.marks[job].reached == round {
                break;
            }
            for input in 0..self.jobs[at].inputs.len() {
                let Awaited::Key(key) = self.jobs[at].inputs[input] else { continue };
                let Some(to) = self.current(key) else { continue };
                let mark = self.search.marks[to];
                if mark.knot == knot && mark.reached != round {
                    self.reach(to, at, round);
                    queue.push_back(to);
                }
            }
        }
        let mut circle = Vec::from([job]);
        let mut at = self.search.marks[job].from;
        while at != job {
            circle.push(at);
            at = self.search.marks[at].from;
        }
        circle[1..].reverse();
        circle
    }

    fn reach(&mut self, job: usize, from: usize, round: usize) {
        let mark = &mut self.search.marks[job];
        (mark.from, mark.reached) = (from, round);
    }
}

/// How many circles of one knot are named.
const NAMED: usize = 16;
