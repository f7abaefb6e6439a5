//! Finding: what memory and the store hold for a key, judged.

use std::{mem, sync::Arc};

use super::Shared;
use crate::{
    codec::Cacheable,
    entry::{Entry, NewEntry},
    judge::{Judgement, is_recent, judge},
    key::{Key, RawKey},
    observe::Event,
    policy::Policy,
    position::Partition,
    store::StoredEntry,
    time::Timestamp,
    verdict::{MissReason, StaleReason, Verdict},
};

/// What was found for a key before any load.
pub(super) enum Found {
    /// An answer.
    Answer(Arc<Entry>, Verdict),
    /// An answer; the one who gets `true` refreshes it.
    Refresh(Arc<Entry>, StaleReason, bool),
    /// None.
    Nothing(MissReason, Option<Old>),
}

/// An entry that was no answer.
pub(super) struct Old {
    /// The entry. Its tags tell which running loads are too old to join.
    pub(super) entry: Arc<Entry>,
    /// Whether it may be served if the load fails.
    pub(super) fail_safe: bool,
}

impl Shared {
    /// Looks in memory and in the store.
    pub(super) async fn find<V: Cacheable>(&self, key: &Key<V>, policy: &Policy) -> Found {
        self.find_many(&[key], policy).await.pop().expect("one answer per key")
    }

    /// The same for several keys of one tenant, in their order: the store is asked once, for all that memory lacks.
    pub(super) async fn find_many<V: Cacheable>(&self, keys: &[&Key<V>], policy: &Policy) -> Vec<Found> {
        let Some(first) = keys.first() else { return Vec::new() };
        let partition = self.partition(first.raw().tenant());
        let confirmed = self.confirm(partition, policy).await;
        let in_memory = |key: &&Key<V>| match self.l1.get(key.raw()) {
            Some(entry) => self.found(entry, partition, policy, confirmed),
            None => Found::Nothing(MissReason::Absent, None),
        };
        let mut found: Vec<Found> = keys.iter().map(in_memory).collect();
        let missing = found.iter().enumerate().filter(|(_, found)| matches!(found, Found::Nothing(..)));
        let missing: Vec<usize> = missing.map(|(place, _)| place).collect();
        if missing.is_empty() {
            return found;
        }
        let asked: Vec<RawKey> = missing.iter().map(|place| keys[*place].raw().clone()).collect();
        let Ok(stored) = self.store.get(&asked).await else {
            self.observers.tell(&Event::StoreFailed { partition: Some(partition) });
            return found;
        };
        for (place, stored) in missing.into_iter().zip(stored) {
            let nothing = mem::replace(&mut found[place], Found::Nothing(MissReason::Absent, None));
            found[place] = match (nothing, stored) {
                (Found::Nothing(reason, old), Some(stored)) => {
                    self.found_in_store(keys[place], policy, confirmed, stored, (reason, old))
                }
                (nothing, _) => nothing,
            };
        }
        found
    }

    /// Judges what the store held, and takes it into memory if it may be used.
    fn found_in_store<V: Cacheable>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        confirmed: bool,
        stored: StoredEntry,
        (reason, old): (MissReason, Option<Old>),
    ) -> Found {
        if stored.schema != V::fingerprint() {
            return Found::Nothing(MissReason::Schema, old);
        }
        let Ok(value) = stored.value.as_ref().map(V::decode).transpose() else {
            return Found::Nothing(MissReason::Schema, old);
        };
        let new = NewEntry {
            key: key.raw(),
            value_bytes: stored.value.as_ref().map_or(0, bytes::Bytes::len),
            tags: stored.tags,
            base: stored.base,
            loaded_at: stored.loaded_at,
            expires_at: stored.expires_at,
            has_tenant_tags: stored.has_tenant_tags,
        };
        let entry = Entry::new(value, &new);
        let found = self.found(entry.clone(), stored.base.partition, policy, confirmed);
        match &found {
            // No answer in either tier: what can at least be a fallback is kept, and the nearer tier's reason told.
            Found::Nothing(_, Some(stored)) if stored.fail_safe => found,
            Found::Nothing(..) if old.is_some() => Found::Nothing(reason, old),
            Found::Nothing(..) => found,
            Found::Answer(..) | Found::Refresh(..) => {
                self.offer(key.raw(), entry);
                found
            }
        }
    }

    fn found(&self, entry: Arc<Entry>, partition: Partition, policy: &Policy, confirmed: bool) -> Found {
        match judge(&entry, &self.view(partition).clocks, policy, confirmed, self.now()) {
            Judgement::Fresh => Found::Answer(entry, Verdict::Hit),
            Judgement::Refresh(reason) => {
                let mine = entry.claim_refresh();
                Found::Refresh(entry, reason, mine)
            }
            Judgement::FailSafe(reason) => Found::Nothing(reason, Some(Old { entry, fail_safe: true })),
            Judgement::Dead(reason) => Found::Nothing(reason, Some(Old { entry, fail_safe: false })),
        }
    }

    /// Whether the view is known, without asking anybody, to hold what the policy demands.
    #[inline]
    pub(super) fn is_confirmed_at(&self, partition: Partition, policy: &Policy, now: Timestamp) -> bool {
        let clocks = &self.view(partition).clocks;
        match &self.local_heads {
            Some(heads) => clocks.is_at(heads.get(partition)),
            None => is_recent(clocks.confirmed_at(), policy, now),
        }
    }

    /// The same, asking the store if need be. False if it does not answer.
    async fn confirm(&self, partition: Partition, policy: &Policy) -> bool {
        self.is_confirmed_at(partition, policy, self.now()) || self.catch_up(partition).await.is_ok()
    }
}
