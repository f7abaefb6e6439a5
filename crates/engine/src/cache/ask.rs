//! Asking the store for what memory lacks: for how long that is waited for, and what becomes of what comes too late.

use std::{slice, sync::Arc};

use super::{
    Shared,
    accept::Anything,
    find::{Found, Lack, OfKeys, Share},
    patience::{Patience, outage},
};
use crate::{
    codec::Cacheable,
    key::{Key, RawKey},
    policy::Policy,
    position::Partition,
    store::StoredEntry,
    verdict::{BypassReason, MissReason, Verdict},
};

impl Shared {
    /// Asks the store for the entries of the keys at `places`, and takes into memory what comes too late.
    pub(super) async fn get_within<V: Cacheable>(
        self: &Arc<Self>,
        partition: Partition,
        keys: &[&Key<V>],
        places: &[usize],
        policy: &Policy,
        patience: Patience,
    ) -> Result<Vec<Option<StoredEntry>>, BypassReason> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        if !policy.uses_store {
            return Ok(places.iter().map(|_| None).collect());
        }
        if patience.is_over() {
            return Err(BypassReason::StoreSlow);
        }
        if let ([place], true) = (places, patience.is_endless()) {
            // Nothing goes on without its reader, so nothing need be kept for it.
            let answer = self.store.get(slice::from_ref(keys[*place].raw())).await;
            return answer.map_err(|error| {
                self.tell_failed(partition, &error);
                outage(&error)
            });
        }
        let asked: OfKeys<RawKey> = places.iter().map(|place| keys[*place].raw().clone()).collect();
        let store = self.store.clone();
        match self.within(patience, async move { store.get(&asked).await }).await {
            Ok(answer) => answer.map_err(|error| {
                self.tell_failed(partition, &error);
                outage(&error)
            }),
            Err(late) => {
                let keys: Vec<Key<V>> = places.iter().map(|place| keys[*place].clone()).collect();
                let (this, policy) = (self.clone(), *policy);
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
