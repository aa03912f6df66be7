//! Answers of an authorizer, kept by identity. The path is not part of the key, as on AWS.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::answer::Answer;

/// The values of the identity sources.
pub type Identity = Vec<String>;

/// Expired entries are dropped when there are more than this.
const SWEEP_ABOVE: usize = 1_000;

/// The cache of one authorizer.
#[derive(Debug, Default)]
pub struct Cache {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    generation: u64,
    by_identity: HashMap<Identity, (Arc<Answer>, Timestamp)>,
}

/// The state of the cache when an authorizer was asked.
#[derive(Clone, Copy, Debug)]
pub struct Generation(u64);

impl Cache {
    /// Finds an answer that has not expired.
    pub fn find(&self, identity: &Identity, now: Timestamp) -> Option<Arc<Answer>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, expires) = entries.by_identity.get(identity)?;
        (now < *expires).then(|| Arc::clone(answer))
    }

    /// To be taken before asking the authorizer, and given back with its answer.
    pub fn generation(&self) -> Generation {
        Generation(self.entries.lock().unwrap_or_else(PoisonError::into_inner).generation)
    }

    /// Keeps an answer, unless the cache was flushed since the authorizer was asked.
    pub fn keep(
        &self,
        identity: Identity,
        answer: &Arc<Answer>,
        now: Timestamp,
        ttl: Duration,
        asked: Generation,
    ) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if ttl.is_zero() || entries.generation != asked.0 {
            return;
        }
        if entries.by_identity.len() > SWEEP_ABOVE {
            entries.by_identity.retain(|_, (_, expires)| now < *expires);
        }
        entries.by_identity.insert(identity, (Arc::clone(answer), now + ttl));
    }

    pub fn flush(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.generation += 1;
        entries.by_identity.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Arc<Answer> {
        let json = br#"{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":[]}}"#;
        Arc::new(Answer::parse(json).unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn an_answer_lives_as_long_as_its_ttl() {
        let cache = Cache::default();
        cache.keep(vec!["a".into()], &answer(), at(0), Duration::from_secs(5), cache.generation());
        assert!(cache.find(&vec!["a".into()], at(4)).is_some());
        assert!(cache.find(&vec!["a".into()], at(5)).is_none());
        assert!(cache.find(&vec!["b".into()], at(0)).is_none());
    }

    #[test]
    fn a_ttl_of_zero_keeps_nothing() {
        let cache = Cache::default();
        cache.keep(vec!["a".into()], &answer(), at(0), Duration::ZERO, cache.generation());
        assert!(cache.find(&vec!["a".into()], at(0)).is_none());
    }

    #[test]
    fn an_answer_asked_for_before_a_flush_is_not_kept_after_it() {
        let cache = Cache::default();
        let asked = cache.generation();
        cache.flush();
        cache.keep(vec!["a".into()], &answer(), at(0), Duration::from_secs(5), asked);
        assert!(cache.find(&vec!["a".into()], at(0)).is_none());
    }
}
