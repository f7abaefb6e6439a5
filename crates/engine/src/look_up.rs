//! Shared look-ups: readers who miss the same key in memory at once ask the store once.
//!
//! What the store holds is judged by each reader, by the node's view, when the answer is there. When the store was asked
//! for it does not matter: a reader may take the answer to a question that was asked before it came.
//!
//! # Invariants
//! - Of one key one look-up runs at a time, unless too many wait for it already.
//! - One that ends without an answer (its reader went away) wakes those who wait for it, and one of them asks.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use tokio::sync::oneshot;

use crate::{
    hash_map::IdBuildHasher,
    key::RawKey,
    store::{StoreError, StoredEntry},
    sync::Mutex,
};

/// What the store said of a key.
pub(crate) type Answer = Result<Option<StoredEntry>, StoreError>;

const SHARDS: usize = 16;

/// All look-ups that run, by the hashes of their keys.
pub(crate) struct LookUps {
    shards: [Mutex<HashMap<u64, Vec<Follower>, IdBuildHasher>>; SHARDS],
    followers_max: usize,
}

/// Somebody who waits for a look-up.
struct Follower {
    key: RawKey,
    tell: oneshot::Sender<Answer>,
}

/// What a reader is to do.
pub(crate) enum Part {
    /// Ask, and tell the others.
    Ask(Asking),
    /// Wait for the answer. It is an error if there is none: then begin anew.
    Follow(oneshot::Receiver<Answer>),
    /// Ask for itself: so many wait already.
    Alone,
}

/// The duty to tell those who wait. Dropping it wakes them without an answer.
pub(crate) struct Asking {
    /// Until it has ended: another may have begun then.
    look_ups: Option<Arc<LookUps>>,
    hash: u64,
    shard: usize,
}

impl LookUps {
    pub(crate) fn new(followers_max: usize) -> Self {
        Self { shards: Default::default(), followers_max }
    }

    /// Begins the look-up of `key`, or follows the one that runs.
    pub(crate) fn begin(self: &Arc<Self>, key: &RawKey) -> Part {
        let (hash, shard) = (key.stable_hash(), key.shard(SHARDS));
        match self.shards[shard].lock().entry(hash) {
            Entry::Vacant(place) => {
                place.insert(Vec::new());
            }
            Entry::Occupied(running) => {
                let followers = running.into_mut();
                if followers.len() >= self.followers_max {
                    return Part::Alone;
                }
                let (tell, answer) = oneshot::channel();
                followers.push(Follower { key: key.clone(), tell });
                return Part::Follow(answer);
            }
        }
        Part::Ask(Asking { look_ups: Some(self.clone()), hash, shard })
    }
}

impl Asking {
    /// Tells those who wait what the store said of `key`; the answer is made for each of them.
    pub(crate) fn tell(mut self, key: &RawKey, answer: impl Fn() -> Answer) {
        for follower in self.end() {
            // Two keys may have one hash. Who hears nothing begins anew.
            if follower.key == *key {
                // Whoever waited may have gone.
                let _ = follower.tell.send(answer());
            }
        }
    }

    /// The look-up runs no more; those who waited for it.
    fn end(&mut self) -> Vec<Follower> {
        let ended = self.look_ups.take();
        ended.and_then(|look_ups| look_ups.shards[self.shard].lock().remove(&self.hash)).unwrap_or_default()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{catalogue, tenant::Tenant};

    catalogue! {
        /// Every key of these tests.
        const PATTERNS;
        /// A page by its number.
        fn page(number) -> u64 = "page";
    }

    fn key(number: u32) -> RawKey {
        assert_eq!(PATTERNS.len(), 1);
        page(&Tenant::new("acme").unwrap(), number).raw().clone()
    }

    fn ask(look_ups: &Arc<LookUps>, key: &RawKey) -> Asking {
        let Part::Ask(asking) = look_ups.begin(key) else { panic!("nobody asks") };
        asking
    }

    fn follow(look_ups: &Arc<LookUps>, key: &RawKey) -> oneshot::Receiver<Answer> {
        let Part::Follow(answer) = look_ups.begin(key) else { panic!("nobody asks") };
        answer
    }

    #[test]
    fn one_asks_and_all_who_come_meanwhile_are_told() {
        let look_ups = Arc::new(LookUps::new(9));
        let asking = ask(&look_ups, &key(1));
        let others: Vec<_> = (0..3).map(|_| follow(&look_ups, &key(1))).collect();
        let _elsewhere = ask(&look_ups, &key(2));
        asking.tell(&key(1), || Err(StoreError::Open));
        for told in others {
            assert!(matches!(told.now_or_never(), Some(Ok(Err(StoreError::Open)))));
        }
        let again = ask(&look_ups, &key(1));
        let follower = follow(&look_ups, &key(1));
        again.tell(&key(1), || Ok(None));
        assert!(matches!(follower.now_or_never(), Some(Ok(Ok(None)))));
    }

    #[test]
    fn one_that_ends_without_an_answer_lets_another_ask() {
        let look_ups = Arc::new(LookUps::new(9));
        let asking = ask(&look_ups, &key(1));
        let follower = follow(&look_ups, &key(1));
        drop(asking);
        assert!(matches!(follower.now_or_never(), Some(Err(_))));
        let _asking = ask(&look_ups, &key(1));
    }

    #[test]
    fn one_that_has_told_ends_no_other() {
        let look_ups = Arc::new(LookUps::new(9));
        let asking = ask(&look_ups, &key(1));
        asking.tell(&key(1), || Ok(None));
        let _asking = ask(&look_ups, &key(1));
        let _follower = follow(&look_ups, &key(1));
    }

    #[test]
    fn beyond_the_limit_each_asks_for_itself() {
        let look_ups = Arc::new(LookUps::new(1));
        let _asking = ask(&look_ups, &key(1));
        let _follower = follow(&look_ups, &key(1));
        assert!(matches!(look_ups.begin(&key(1)), Part::Alone));
    }

    #[test]
    fn nobody_is_told_of_another_key_with_the_same_hash() {
        let look_ups = Arc::new(LookUps::new(9));
        let other = key(2).hashed_as(&key(1));
        let asking = ask(&look_ups, &key(1));
        let follower = follow(&look_ups, &other);
        asking.tell(&key(1), || Ok(None));
        assert!(matches!(follower.now_or_never(), Some(Err(_))));
    }
}
