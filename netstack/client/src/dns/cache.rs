//! Answers that still hold: RFC 1035 §3.2.1, negative ones by RFC 2308. No clock: the time comes in.

use core::time::Duration;
use proto::dns::{Answer, Data, Question};
use stack::Instant;
use std::collections::BTreeMap;

/// No answer is kept for longer, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// No negative one is (RFC 2308 §5).
const LONGEST_NEGATIVE: Duration = Duration::from_secs(3 * 3600);

/// So many answers, of which the one used longest ago makes room for a new one.
#[derive(Debug, Default)]
pub struct Cache {
    capacity: usize,
    entries: BTreeMap<Question, Entry>,
    used: u64,
}

#[derive(Debug)]
struct Entry {
    data: Data,
    end: Instant,
    used: u64,
}

impl Cache {
    /// An empty one; of capacity 0 it stays empty.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// What is known and still holds.
    pub fn get(&mut self, question: &Question, now: Instant) -> Option<Data> {
        let entry = self.entries.get_mut(question)?;
        if entry.end <= now {
            self.entries.remove(question);
            return None;
        }
        self.used += 1;
        entry.used = self.used;
        Some(entry.data.clone())
    }

    /// Keeps an answer for as long as it says that it holds.
    pub fn insert(&mut self, question: &Question, answer: &Answer, now: Instant) {
        let longest = match answer.data {
            Data::Addresses(_) | Data::Services(_) => LONGEST,
            Data::NoData | Data::NoName => LONGEST_NEGATIVE,
            Data::Alias(_) => return,
        };
        let time = match answer.ttl {
            None | Some(0) => return,
            // RFC 2181 §8: the highest bit is no time but a mistake
            Some(seconds) if seconds > i32::MAX as u32 => return,
            Some(seconds) => Duration::from_secs(seconds.into()).min(longest),
        };
        self.entries.remove(question);
        if self.entries.len() >= self.capacity {
            // those that hold no longer first, whenever they were used
            let oldest = self.entries.iter().min_by_key(|(_, entry)| match entry.end <= now {
                true => 0,
                false => entry.used,
            });
            let Some(oldest) = oldest.map(|(question, _)| question.clone()) else { return };
            self.entries.remove(&oldest);
        }
        self.used += 1;
        let entry = Entry { data: answer.data.clone(), end: now + time, used: self.used };
        self.entries.insert(question.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::dns::Kind;

    fn question(name: &str) -> Question {
        Question::new(name, Kind::A).unwrap()
    }

    fn answer(ttl: Option<u32>) -> Answer {
        Answer { data: Data::Addresses(vec![[10, 0, 0, 1].into()]), ttl }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn an_answer_holds_as_long_as_it_says() {
        for (data, ttl, end) in [
            (Data::Addresses(vec![]), Some(60), 60),
            (Data::Addresses(vec![]), Some(1_000_000), 86_400),
            (Data::Addresses(vec![]), Some(0), 0),
            (Data::Addresses(vec![]), Some(u32::MAX), 0),
            (Data::NoName, Some(30), 30),
            (Data::NoData, Some(1_000_000), 10_800),
            (Data::NoName, None, 0),
            (Data::Alias("a".into()), Some(60), 0),
        ] {
            let mut cache = Cache::new(4);
            cache.insert(&question("a"), &Answer { data: data.clone(), ttl }, at(0));
            if end > 0 {
                assert_eq!(cache.get(&question("a"), at(end - 1)), Some(data.clone()));
            }
            assert_eq!(cache.get(&question("a"), at(end)), None, "{data:?} {ttl:?}");
            assert!(cache.entries.is_empty());
        }
    }

    #[test]
    fn kinds_are_kept_apart() {
        let mut cache = Cache::new(4);
        cache.insert(&question("a"), &answer(Some(60)), at(0));
        assert_eq!(cache.get(&Question::new("a", Kind::Aaaa).unwrap(), at(0)), None);
        assert!(cache.get(&Question::new("A.", Kind::A).unwrap(), at(0)).is_some());
    }

    #[test]
    fn the_one_used_longest_ago_makes_room() {
        let mut cache = Cache::new(2);
        cache.insert(&question("a"), &answer(Some(60)), at(0));
        cache.insert(&question("b"), &answer(Some(60)), at(0));
        assert!(cache.get(&question("a"), at(1)).is_some());
        cache.insert(&question("c"), &answer(Some(60)), at(1));
        assert_eq!(cache.get(&question("b"), at(1)), None);
        assert!(cache.get(&question("a"), at(1)).is_some());
        cache.insert(&question("c"), &answer(Some(90)), at(1));
        assert!(cache.get(&question("a"), at(1)).is_some(), "replacing makes no room");
        assert_eq!(cache.entries.len(), 2);
    }

    #[test]
    fn what_holds_no_longer_makes_room_first() {
        let mut cache = Cache::new(2);
        cache.insert(&question("a"), &answer(Some(60)), at(0));
        cache.insert(&question("b"), &answer(Some(5)), at(0));
        cache.insert(&question("c"), &answer(Some(60)), at(5));
        assert!(cache.get(&question("a"), at(5)).is_some());
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let mut cache = Cache::new(0);
        cache.insert(&question("a"), &answer(Some(60)), at(0));
        assert_eq!(cache.get(&question("a"), at(0)), None);
    }
}
