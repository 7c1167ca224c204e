//! The queries of one call: asked, asked again at an even pace, given up.

use crate::QueryId;
use crate::report::{self, Answer};
use crate::request::Kind;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

#[derive(Debug)]
pub(crate) struct Queries<E> {
    list: Vec<Query<E>>,
    /// How long a try may take.
    timeout: Duration,
    /// How many there are.
    tries: u8,
}

#[derive(Debug)]
struct Query<E> {
    name: Arc<str>,
    kind: Kind,
    tries: u8,
    started: Duration,
    /// When the last try began: each try has its whole timeout, counted from here.
    asked: Duration,
    ended: Duration,
    answer: Answer<E>,
}

impl<E> Query<E> {
    fn is_open(&self) -> bool {
        matches!(self.answer, Answer::Open)
    }
}

impl<E> Queries<E> {
    pub fn new(timeout: Duration, tries: u8) -> Self {
        Self { list: Vec::new(), timeout, tries }
    }

    /// Notes a question as asked for the first time; its id.
    pub fn ask(&mut self, now: Duration, name: Arc<str>, kind: Kind) -> QueryId {
        self.list.push(Query {
            name,
            kind,
            tries: 1,
            started: now,
            asked: now,
            ended: now,
            answer: Answer::Open,
        });
        QueryId(self.list.len() as u32 - 1)
    }

    pub fn name_and_kind(&self, id: QueryId) -> Option<(Arc<str>, Kind)> {
        self.list.get(id.0 as usize).map(|query| (Arc::clone(&query.name), query.kind))
    }

    /// Notes an answer with so many records. One that comes after a failure, or a second one,
    /// counts too.
    pub fn answered(&mut self, now: Duration, id: QueryId, records: usize) {
        if let Some(query) = self.list.get_mut(id.0 as usize) {
            let before = if let Answer::Records(before) = query.answer { before } else { 0 };
            query.answer = Answer::Records(records.saturating_add(before));
            query.ended = now;
        }
    }

    /// Notes a failure, unless the query has ended already.
    pub fn failed(&mut self, now: Duration, id: QueryId, cause: E) {
        let query = self.list.get_mut(id.0 as usize);
        if let Some(query) = query.filter(|query| query.is_open()) {
            query.answer = Answer::Failed(cause);
            query.ended = now;
        }
    }

    /// Ends what was silent for too long too often; the ids of what is to be asked again.
    pub fn repeat(&mut self, now: Duration) -> Vec<QueryId> {
        let mut again = Vec::new();
        for (index, query) in self.list.iter_mut().enumerate() {
            if !query.is_open() || now < query.asked.saturating_add(self.timeout) {
                continue;
            }
            if query.tries >= self.tries {
                query.answer = Answer::Silent;
                query.ended = now;
            } else {
                query.tries += 1;
                query.asked = now;
                again.push(QueryId(index as u32));
            }
        }
        again
    }

    /// Takes a try back that was never made.
    pub fn withdraw(&mut self, id: QueryId) {
        if let Some(query) = self.list.get_mut(id.0 as usize) {
            query.tries = query.tries.saturating_sub(1);
        }
    }

    pub fn tries(&self, id: QueryId) -> u8 {
        self.list.get(id.0 as usize).map_or(0, |query| query.tries)
    }

    /// When the next one is asked again or given up.
    pub fn timeout(&self) -> Option<Duration> {
        let open = self.list.iter().filter(|query| query.is_open());
        open.map(|query| query.asked.saturating_add(self.timeout)).min()
    }

    /// Whether a question of this kind still waits for its answer, whatever its name.
    pub fn is_open(&self, kind: Kind) -> bool {
        self.list.iter().any(|query| query.kind == kind && query.is_open())
    }

    /// Whether this question was ever asked.
    pub fn was_asked(&self, name: &str, kind: Kind) -> bool {
        self.list.iter().any(|query| query.name.as_ref() == name && query.kind == kind)
    }

    /// When the last question for addresses ended; `None` while one is open.
    pub fn addresses_ended(&self) -> Option<Duration> {
        let mut last = Duration::ZERO;
        for query in self.list.iter().filter(|query| query.kind != Kind::Service) {
            if query.is_open() {
                return None;
            }
            last = last.max(query.ended);
        }
        Some(last)
    }

    /// Whether every question was answered, be it with nothing.
    pub fn all_answered(&self) -> bool {
        self.list
            .iter()
            .filter(|query| query.kind != Kind::Service)
            .all(|query| matches!(query.answer, Answer::Records(_)))
    }

    /// What is reported in the end: whatever was asked at all.
    pub fn report(self, now: Duration) -> Vec<report::Query<E>> {
        let one = |query: Query<E>| report::Query {
            ended: if query.is_open() { now } else { query.ended },
            name: query.name,
            kind: query.kind,
            tries: query.tries,
            started: query.started,
            answer: query.answer,
        };
        self.list.into_iter().filter(|query| query.tries > 0).map(one).collect()
    }
}
