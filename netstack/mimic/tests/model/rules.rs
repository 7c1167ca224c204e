//! The rules of a resolution, written as plainly as possible and without looking at how the crate
//! does it: everything is recomputed in rounds until nothing changes.

use std::collections::{BTreeMap, BTreeSet};

/// An argument of a derivation.
#[derive(Clone, Debug)]
pub enum Tree {
    Need(usize, Kind),
    /// A nested argument.
    Map(Vec<Tree>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Req,
    Opt,
    Default(u64),
}

/// When a derivation's function gives a value.
#[derive(Clone, Copy, Debug)]
pub enum Behave {
    Always,
    Nothing,
    Error,
    /// When the value would be odd.
    Odd,
}

#[derive(Clone, Debug)]
pub struct Fold {
    pub id: u64,
    pub args: Vec<Tree>,
    pub behave: Behave,
    /// How long the function takes, in nanoseconds.
    pub takes: u64,
}

impl Fold {
    pub fn needs(&self) -> Vec<(usize, Kind)> {
        fn flat(trees: &[Tree], needs: &mut Vec<(usize, Kind)>) {
            for tree in trees {
                match tree {
                    Tree::Need(key, kind) => needs.push((*key, *kind)),
                    Tree::Map(trees) => flat(trees, needs),
                }
            }
        }
        let mut needs = Vec::new();
        flat(&self.args, &mut needs);
        needs
    }

    /// What the function gives for what its needs came to.
    pub fn run(&self, inputs: &[Option<u64>]) -> Option<u64> {
        let mut value = 0xcbf2_9ce4_8422_2325 ^ self.id;
        for input in inputs {
            value =
                (value ^ input.map_or(1, |input| input | 1 << 63)).wrapping_mul(0x100_0000_01b3);
        }
        value = (value ^ value >> 29) & (u64::MAX >> 1);
        match self.behave {
            Behave::Always => Some(value),
            Behave::Odd => Some(value).filter(|value| value % 2 == 1),
            Behave::Nothing | Behave::Error => None,
        }
    }
}

/// A binding, with an identity of its own.
#[derive(Clone, Debug)]
pub enum Bound {
    Value(u64),
    Fold(Fold),
}

/// Keys in the order of their first binding, each with its bindings, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ctx(pub Vec<(usize, Vec<(u64, Bound)>)>);

impl Ctx {
    fn slot(&mut self, key: usize) -> &mut Vec<(u64, Bound)> {
        let at = self.0.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            self.0.push((key, Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    pub fn add(&mut self, key: usize, id: u64, bound: Bound) {
        self.slot(key).push((id, bound));
    }

    pub fn replace(&mut self, key: usize, id: u64, value: u64) {
        self.slot(key).retain(|(_, bound)| matches!(bound, Bound::Fold(_)));
        self.add(key, id, Bound::Value(value));
    }

    pub fn remove(&mut self, key: usize) {
        self.0.retain(|(other, _)| *other != key);
    }

    pub fn merge(&mut self, right: &Self) {
        for (key, bounds) in &right.0 {
            let ids: BTreeSet<u64> = bounds.iter().map(|(id, _)| *id).collect();
            let slot = self.slot(*key);
            slot.retain(|(id, _)| !ids.contains(id));
            slot.extend(bounds.iter().cloned());
        }
    }

    pub fn is_bound(&self, key: usize) -> bool {
        self.0.iter().any(|(other, _)| *other == key)
    }

    /// Newest first.
    pub fn values(&self, key: usize) -> Vec<u64> {
        self.newest_first(key, |bound| match bound {
            Bound::Value(value) => Some(*value),
            Bound::Fold(_) => None,
        })
    }

    /// Newest first.
    pub fn folds(&self, key: usize) -> Vec<Fold> {
        self.newest_first(key, |bound| match bound {
            Bound::Value(_) => None,
            Bound::Fold(fold) => Some(fold.clone()),
        })
    }

    fn newest_first<T>(&self, key: usize, pick: impl Fn(&Bound) -> Option<T>) -> Vec<T> {
        let slot = self.0.iter().find(|(other, _)| *other == key);
        slot.map_or(Vec::new(), |(_, all)| all.iter().rev().filter_map(|(_, b)| pick(b)).collect())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Open,
    Produced(u64),
    /// It ran and gave nothing.
    Nothing,
    Lacked,
    Cyclic,
}

/// A derivation: of which key, and which of them, 0 being the newest.
pub type Job = (usize, usize);

pub struct Model<'a> {
    ctx: &'a Ctx,
    roots: Vec<usize>,
    pub fates: BTreeMap<Job, Fate>,
    /// Needs that were left empty since they lead in a circle.
    cut: BTreeSet<(Job, usize)>,
    /// Keys that somebody asked for.
    asked: BTreeSet<usize>,
}

impl<'a> Model<'a> {
    pub fn solve(ctx: &'a Ctx, roots: &[usize]) -> Self {
        let roots: Vec<usize> = roots.iter().copied().filter(|root| ctx.is_bound(*root)).collect();
        let (fates, cut) = (BTreeMap::new(), BTreeSet::new());
        let mut model = Self { ctx, roots, fates, cut, asked: BTreeSet::new() };
        for root in model.roots.clone() {
            for rank in 0..ctx.folds(root).len() {
                model.fates.insert((root, rank), Fate::Open);
            }
        }
        while model.settle() || model.open() {}
        model
    }

    /// `None`: open. `Some(None)`: it cannot be produced.
    pub fn key(&self, key: usize) -> Option<Option<u64>> {
        if let Some(value) = self.ctx.values(key).first() {
            return Some(Some(*value));
        }
        for rank in 0..self.ctx.folds(key).len() {
            match self.fates.get(&(key, rank)).unwrap_or(&Fate::Open) {
                Fate::Open => return None,
                Fate::Produced(value) => return Some(Some(*value)),
                _ => {}
            }
        }
        Some(None)
    }

    fn open_jobs(&self) -> Vec<Job> {
        let open = self.fates.iter().filter(|(_, fate)| **fate == Fate::Open);
        open.map(|(job, _)| *job).collect()
    }

    fn fold(&self, (key, rank): Job) -> Fold {
        self.ctx.folds(key).swap_remove(rank)
    }

    /// The derivation that an open key waits for: its newest one that has not failed.
    fn current(&self, key: usize) -> Option<Job> {
        let ranks = 0..self.ctx.folds(key).len();
        let mut jobs = ranks.map(|rank| (key, rank));
        jobs.find(|job| matches!(self.fates.get(job), None | Some(Fate::Open)))
    }

    fn settle(&mut self) -> bool {
        let mut changed = false;
        for job in self.open_jobs() {
            let fold = self.fold(job);
            let needs = fold.needs();
            let unbound =
                |(key, kind): &(usize, Kind)| *kind == Kind::Req && !self.ctx.is_bound(*key);
            if needs.iter().any(unbound) {
                self.fates.insert(job, Fate::Lacked);
                changed = true;
                continue;
            }
            self.asked.extend(needs.iter().map(|(key, _)| *key));
            let found: Vec<Option<Option<u64>>> = (needs.iter().enumerate())
                .map(|(at, (key, _))| match self.cut.contains(&(job, at)) {
                    true => Some(None),
                    false => self.key(*key),
                })
                .collect();
            let lacks =
                found.iter().zip(&needs).any(|(f, (_, k))| *f == Some(None) && *k == Kind::Req);
            if lacks {
                self.fates.insert(job, Fate::Lacked);
                changed = true;
            } else if let Some(found) = found.into_iter().collect::<Option<Vec<_>>>() {
                let inputs = found.iter().zip(&needs).map(|(found, (_, kind))| match kind {
                    Kind::Default(value) => Some(found.unwrap_or(*value)),
                    Kind::Req | Kind::Opt => *found,
                });
                let fate =
                    fold.run(&inputs.collect::<Vec<_>>()).map_or(Fate::Nothing, Fate::Produced);
                self.fates.insert(job, fate);
                changed = true;
            }
        }
        for key in self.asked.clone() {
            if let (None, Some(job)) = (self.key(key), self.current(key)) {
                changed |= self.fates.insert(job, Fate::Open).is_none();
            }
        }
        changed
    }

    /// For whom an open job waits, and with which need.
    fn waits(&self, job: Job) -> Vec<(usize, Kind, Job)> {
        let needs = self.fold(job).needs().into_iter().enumerate();
        let open = needs
            .filter(|(at, (key, _))| !self.cut.contains(&(job, *at)) && self.key(*key).is_none());
        open.filter_map(|(at, (key, kind))| Some((at, kind, self.current(key)?))).collect()
    }

    /// Opens every set of jobs that wait for one another and for nobody else.
    fn open(&mut self) -> bool {
        let jobs = self.open_jobs();
        let reach: BTreeMap<Job, BTreeSet<Job>> =
            jobs.iter().map(|job| (*job, self.reach(*job))).collect();
        let mut done: BTreeSet<Job> = BTreeSet::new();
        for job in jobs {
            let knot = &reach[&job];
            // a closed set: whoever can be reached from here can come back here
            if !knot.iter().all(|other| reach[other].contains(&job)) || done.contains(&job) {
                continue;
            }
            done.extend(knot);
            let soft: Vec<(Job, usize)> = (knot.iter())
                .flat_map(|job| self.waits(*job).into_iter().map(|wait| (*job, wait)))
                .filter(|(_, (_, kind, _))| *kind != Kind::Req)
                .map(|(job, (at, ..))| (job, at))
                .collect();
            if !soft.is_empty() {
                self.cut.extend(soft);
                continue;
            }
            let others: Vec<Job> =
                knot.iter().copied().filter(|job| self.has_other(*job)).collect();
            let fail = if others.is_empty() { knot.iter().copied().collect() } else { others };
            for job in fail {
                self.fates.insert(job, Fate::Cyclic);
            }
        }
        !done.is_empty()
    }

    fn reach(&self, from: Job) -> BTreeSet<Job> {
        let mut reached = BTreeSet::new();
        let mut queue = vec![from];
        while let Some(job) = queue.pop() {
            queue.extend(
                self.waits(job).iter().map(|(.., to)| *to).filter(|to| reached.insert(*to)),
            );
        }
        reached
    }

    fn has_other(&self, (key, rank): Job) -> bool {
        rank + 1 < self.ctx.folds(key).len()
    }

    /// The candidates in order: which root key, and its endpoint.
    pub fn candidates(&self, priorities: &BTreeMap<usize, Option<u32>>) -> Vec<(usize, u64)> {
        let mut rows = Vec::new();
        for (place, (key, _)) in self.ctx.0.iter().enumerate() {
            let Some(priority) = priorities.get(key) else { continue };
            let class = (priority.is_none(), *priority);
            for (rank, value) in self.ctx.values(*key).into_iter().enumerate() {
                rows.push(((class, 0, place, rank), (*key, value)));
            }
            for rank in 0..self.ctx.folds(*key).len() {
                if let Some(Fate::Produced(value)) = self.fates.get(&(*key, rank)) {
                    rows.push(((class, 1, place, rank), (*key, *value)));
                }
            }
        }
        rows.sort();
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

/// A start and an end in nanoseconds, and whether it worked; `None` for one that was dropped.
pub type Try = (u64, u64, Option<bool>);

/// The attempts of a race: candidates are (priority, how long it takes, whether it works).
pub fn race(candidates: &[(Option<u32>, u64, bool)], stagger: Option<u64>) -> Vec<Try> {
    let mut tries: Vec<Try> = Vec::new();
    let (mut now, mut running) = (0, Vec::<usize>::new());
    loop {
        let next = tries.len();
        let same = next > 0 && candidates.get(next).is_some_and(|c| c.0 == candidates[next - 1].0);
        let races = same && stagger.is_some() && !running.is_empty();
        let first = running.iter().copied().min_by_key(|at| tries[*at].0 + candidates[*at].1);
        let ends = first.map(|at| tries[at].0 + candidates[at].1);
        let rings = races.then(|| tries[next - 1].0 + stagger.unwrap_or(0));
        match (first, ends, rings) {
            (Some(at), Some(ends), rings) if rings.is_none_or(|rings| ends <= rings) => {
                now = ends;
                running.retain(|other| *other != at);
                tries[at] = (tries[at].0, now, Some(candidates[at].2));
                if candidates[at].2 {
                    running.iter().for_each(|at| tries[*at].1 = now);
                    return tries;
                }
                if !(same && stagger.is_some()) || running.is_empty() {
                    continue;
                }
            }
            (_, _, Some(rings)) => now = rings,
            _ if next == candidates.len() => return tries,
            _ => {}
        }
        running.push(next);
        tries.push((now, now, None));
    }
}
