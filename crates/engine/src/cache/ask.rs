//! Asking the store for what memory lacks: for how long that is waited for, and what becomes of what comes too late.

use std::{
    pin::{Pin, pin},
    slice,
    sync::Arc,
};

use super::{
    Shared,
    accept::Anything,
    find::{Found, Lack, Share},
    patience::{Patience, outage},
};
use crate::{
    codec::Cacheable,
    key::{Key, RawKey},
    look_up::{Asking, Part},
    policy::Policy,
    position::Partition,
    store::{StoreError, StoredEntry},
    verdict::{BypassReason, MissReason, Verdict},
};

/// What the store answered about a key.
#[derive(Default)]
pub(super) struct Came {
    /// The entry, if there is one.
    pub(super) entry: Option<StoredEntry>,
    /// Another reader asked, and may have taken it into memory by now.
    pub(super) is_shared: bool,
}

impl Came {
    fn own(entry: Option<StoredEntry>) -> Self {
        Self { entry, is_shared: false }
    }

    /// Of an answer to a question about one key.
    fn only(entries: Vec<Option<StoredEntry>>) -> Self {
        Self::own(entries.into_iter().next().flatten())
    }
}

/// The store's answers about several keys.
type Answers = Result<Vec<Option<StoredEntry>>, StoreError>;

/// Tells those who follow what the store said of `key`, which alone it was asked for.
fn tell(asking: Option<Asking>, key: &RawKey, answer: &Answers) {
    if let Some(asking) = asking {
        asking.tell(key, || answer.as_ref().map(|entries| entries.first().cloned().flatten()).map_err(Clone::clone));
    }
}

impl Shared {
    /// Asks the store for the entries of the keys at `places`, and takes into memory what comes too late.
    pub(super) async fn get_many<V: Cacheable>(
        self: &Arc<Self>,
        partition: Partition,
        keys: &[&Key<V>],
        places: &[usize],
        policy: &Policy,
        patience: Patience,
    ) -> Result<Vec<Came>, BypassReason> {
        match places {
            [] => return Ok(Vec::new()),
            [place] => return Ok(vec![self.get_one(partition, keys[*place], policy, patience).await?]),
            _ => {}
        }
        if !policy.uses_store {
            return Ok(places.iter().map(|_| Came::default()).collect());
        }
        if patience.is_over() {
            return Err(BypassReason::StoreSlow);
        }
        let asked: Vec<RawKey> = places.iter().map(|place| keys[*place].raw().clone()).collect();
        let store = self.store.clone();
        let operation = async move { store.get(&asked).await };
        let keys = || places.iter().map(|place| keys[*place].clone()).collect();
        let waiting = pin!(patience.within(operation));
        let entries = self.wait_for(partition, waiting, keys, policy).await?;
        Ok(entries.into_iter().map(Came::own).collect())
    }

    /// The same for one key. Who asks for one that another reader is asking for is given that one's answer.
    pub(super) async fn get_one<V: Cacheable>(
        self: &Arc<Self>,
        partition: Partition,
        key: &Key<V>,
        policy: &Policy,
        patience: Patience,
    ) -> Result<Came, BypassReason> {
        if !policy.uses_store {
            return Ok(Came::default());
        }
        let asking = loop {
            if patience.is_over() {
                return Err(BypassReason::StoreSlow);
            }
            match self.look_ups.begin(key.raw()) {
                Part::Ask(asking) => break Some(asking),
                Part::Alone => break None,
                Part::Follow(answer) => match patience.wait_for(answer).await {
                    Some(Ok(Ok(entry))) => return Ok(Came { entry, is_shared: true }),
                    // Who asked has told of it.
                    Some(Ok(Err(error))) => return Err(outage(&error)),
                    // Who asked has gone.
                    Some(Err(_)) => {}
                    None => return Err(BypassReason::StoreSlow),
                },
            }
        };
        if patience.is_endless() {
            // Nothing goes on without its reader, so nothing need be kept for it.
            let answer = self.store.get(slice::from_ref(key.raw())).await;
            tell(asking, key.raw(), &answer);
            return answer.map(Came::only).map_err(|error| self.told_failed(partition, &error));
        }
        let (store, asked) = (self.store.clone(), key.raw().clone());
        let operation = async move {
            let answer = store.get(slice::from_ref(&asked)).await;
            tell(asking, &asked, &answer);
            answer
        };
        let waiting = pin!(patience.within(operation));
        self.wait_for(partition, waiting, || vec![key.clone()], policy).await.map(Came::only)
    }

    /// Waits for what was asked. What takes too long goes on by itself, and what it brings is taken into memory.
    async fn wait_for<V: Cacheable>(
        self: &Arc<Self>,
        partition: Partition,
        waiting: Pin<&mut impl Future<Output = Result<Answers, impl Future<Output = Answers> + Send + 'static>>>,
        keys: impl FnOnce() -> Vec<Key<V>>,
        policy: &Policy,
    ) -> Result<Vec<Option<StoredEntry>>, BypassReason> {
        match waiting.await {
            Ok(answer) => answer.map_err(|error| self.told_failed(partition, &error)),
            Err(late) => {
                let (this, keys, policy) = (self.clone(), keys(), *policy);
                self.go_on(async move {
                    match late.await {
                        Ok(stored) => this.take_late(&keys, stored, &policy),
                        Err(error) => this.tell_failed(partition, &error),
                    }
                });
                Err(BypassReason::StoreSlow)
            }
        }
    }

    fn told_failed(&self, partition: Partition, error: &StoreError) -> BypassReason {
        self.tell_failed(partition, error);
        outage(error)
    }

    /// Takes late answers into memory, where a load has brought nothing meanwhile. Whoever finds them there judges them
    /// again.
    fn take_late<V: Cacheable>(self: &Arc<Self>, keys: &[Key<V>], stored: Vec<Option<StoredEntry>>, policy: &Policy) {
        for (key, stored) in keys.iter().zip(stored) {
            if let Some(stored) = stored.filter(|_| self.l1.get(key.raw()).is_none()) {
                let lack = Lack { verdict: Verdict::Miss(MissReason::Absent), old: None, share: Share::ByRule };
                if let Found::Refresh(entry, _, true) =
                    self.found_in_store(key, (policy, &Anything), true, stored, lack)
                {
                    // Nobody reads it now, so nobody refreshes it.
                    entry.release_refresh();
                }
            }
        }
    }
}
