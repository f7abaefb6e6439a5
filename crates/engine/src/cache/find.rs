//! Finding: what memory and the store hold for a key, judged.

use std::{mem, sync::Arc};

use futures_util::future::join;

use super::Shared;
use crate::{
    codec::Cacheable,
    entry::{Entry, NewEntry},
    judge::{Judgement, is_due_early, is_recent, judge},
    key::{Key, RawKey},
    observe::Event,
    policy::Policy,
    position::Partition,
    store::StoredEntry,
    time::Timestamp,
    verdict::{MissReason, Verdict},
};

/// What was found for a key before any load.
pub(super) enum Found {
    /// An answer.
    Answer(Arc<Entry>, Verdict),
    /// An answer; the one who gets `true` refreshes it.
    Refresh(Arc<Entry>, Verdict, bool),
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
    /// Looks in memory and in the store. Says also whether the view holds what the policy demands.
    pub(super) async fn find<V: Cacheable>(&self, key: &Key<V>, policy: &Policy) -> (Found, bool) {
        let (mut found, confirmed) = self.find_many(&[key], policy).await;
        (found.pop().expect("one answer per key"), confirmed)
    }

    /// The same for several keys of one tenant, in their order: the store is asked once, for all that memory lacks.
    pub(super) async fn find_many<V: Cacheable>(&self, keys: &[&Key<V>], policy: &Policy) -> (Vec<Found>, bool) {
        let Some(first) = keys.first() else { return (Vec::new(), false) };
        let partition = self.partition(first.raw().tenant());
        // What memory surely lacks is asked for while the view is being confirmed: one round trip for both. The order of
        // the answers does not matter: what came is judged by a view that was confirmed after the read began.
        let surely_lacks = |place: &usize| self.l1.get(keys[*place].raw()).is_none();
        let is_confirmed = self.is_confirmed(partition, policy);
        let ahead: Vec<usize> = if is_confirmed { Vec::new() } else { (0..keys.len()).filter(surely_lacks).collect() };
        let (confirmed, came) = join(self.confirm(partition, policy), self.ask(partition, keys, &ahead)).await;
        let mut stored: Vec<Option<StoredEntry>> = vec![None; keys.len()];
        ahead.iter().zip(came.into_iter().flatten()).for_each(|(place, entry)| stored[*place] = entry);
        let in_memory = |key: &&Key<V>| match self.l1.get(key.raw()) {
            Some(entry) => self.found(key.raw(), entry, policy, confirmed),
            None => Found::Nothing(MissReason::Absent, None),
        };
        let mut found: Vec<Found> = keys.iter().map(in_memory).collect();
        let is_nothing = |place: &usize| matches!(found[*place], Found::Nothing(..));
        let missing: Vec<usize> = (0..keys.len()).filter(is_nothing).collect();
        let behind: Vec<usize> = missing.iter().copied().filter(|place| ahead.binary_search(place).is_err()).collect();
        let came = self.ask(partition, keys, &behind).await;
        behind.iter().zip(came.into_iter().flatten()).for_each(|(place, entry)| stored[*place] = entry);
        for place in missing {
            let nothing = mem::replace(&mut found[place], Found::Nothing(MissReason::Absent, None));
            found[place] = match (nothing, stored[place].take()) {
                (Found::Nothing(reason, old), Some(stored)) => {
                    self.found_in_store(keys[place], policy, confirmed, stored, (reason, old))
                }
                (nothing, _) => nothing,
            };
        }
        (found, confirmed)
    }

    /// What the store holds for the keys at these places; none if it does not answer.
    async fn ask<V: Cacheable>(
        &self,
        partition: Partition,
        keys: &[&Key<V>],
        places: &[usize],
    ) -> Option<Vec<Option<StoredEntry>>> {
        if places.is_empty() {
            return None;
        }
        let asked: Vec<RawKey> = places.iter().map(|place| keys[*place].raw().clone()).collect();
        let answer = self.store.get(&asked).await;
        answer.inspect_err(|_| self.observers.tell(&Event::StoreFailed { partition: Some(partition) })).ok()
    }

    /// Judges what the store held, and takes it into memory if it may be used.
    pub(super) fn found_in_store<V: Cacheable>(
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
            tenant: key.raw().tenant().clone(),
            value_bytes: stored.value.as_ref().map_or(0, bytes::Bytes::len),
            tags: stored.tags,
            base: stored.base,
            loaded_at: stored.loaded_at,
            expires_at: stored.expires_at,
            has_tenant_tags: stored.has_tenant_tags,
            load_ms: 0,
        };
        let entry = Entry::new(value, new);
        let found = self.found(key.raw(), entry.clone(), policy, confirmed);
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

    fn found(&self, key: &RawKey, entry: Arc<Entry>, policy: &Policy, confirmed: bool) -> Found {
        let now = self.now();
        let refresh = |entry: Arc<Entry>, verdict| {
            let mine = entry.claim_refresh();
            Found::Refresh(entry, verdict, mine)
        };
        match judge(&entry, &self.view(entry.partition()).clocks, policy, confirmed, now) {
            Judgement::Fresh if self.is_due_early(key, &entry, policy, now) => refresh(entry, Verdict::Hit),
            Judgement::Fresh => Found::Answer(entry, Verdict::Hit),
            Judgement::Refresh(reason) => refresh(entry, Verdict::Stale(reason)),
            Judgement::FailSafe(reason) => Found::Nothing(reason, Some(Old { entry, fail_safe: true })),
            Judgement::Dead(reason) => Found::Nothing(reason, Some(Old { entry, fail_safe: false })),
        }
    }

    /// Whether a fresh entry should be loaded anew and nobody does it yet.
    #[inline]
    pub(super) fn is_due_early(&self, key: &RawKey, entry: &Entry, policy: &Policy, now: Timestamp) -> bool {
        is_due_early(entry, policy, now, || self.random.unit(key.stable_hash(), now.as_millis()))
            && !entry.is_refreshing()
    }

    /// Whether the view is known, without asking anybody, to hold what the policy demands.
    #[inline]
    pub(super) fn is_confirmed(&self, partition: Partition, policy: &Policy) -> bool {
        let clocks = &self.view(partition).clocks;
        match &self.local_heads {
            Some(heads) => clocks.is_at(heads.get(partition)),
            None => is_recent(clocks.confirmed_at(), policy, self.now()),
        }
    }

    /// The same, asking the store if need be. False if it does not answer.
    async fn confirm(&self, partition: Partition, policy: &Policy) -> bool {
        self.is_confirmed(partition, policy) || self.catch_up(partition).await.is_ok()
    }
}
