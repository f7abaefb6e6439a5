//! Finding for a batch: what memory and the store hold for several keys of one tenant.

use std::{mem, sync::Arc};

use futures_util::future::join;

use super::{
    Shared,
    accept::Accept,
    ask::Came,
    find::{Found, Lack, within_load},
    patience::Patience,
};
use crate::{
    codec::Cacheable,
    key::Key,
    policy::Policy,
    verdict::{BypassReason, MissReason, Verdict},
};

impl Shared {
    /// As [`find`](Self::find), for several keys of one tenant, in their order: the store is asked once, for all that memory
    /// lacks.
    pub(super) async fn find_many<V: Cacheable>(
        self: &Arc<Self>,
        keys: &[&Key<V>],
        policy: &Policy,
        accept: &impl Accept<V>,
        patience: Patience,
    ) -> Vec<Found> {
        let policy = &within_load(*policy);
        let first = match keys {
            [] => return Vec::new(),
            [key] => return vec![self.find(key, policy, accept, patience).await],
            [first, ..] => first,
        };
        let partition = self.partition(first.raw().tenant());
        let wanted = (policy, accept);
        let mut stored: Vec<Came> = keys.iter().map(|_| Came::default()).collect();
        let mut ahead = Vec::new();
        let (mut outage, mut failed) = (None, None);
        if !self.is_complete_for(partition, policy) {
            let fallback = keys.iter().all(|key| self.has_fallback(key.raw(), partition, policy));
            let patience = if fallback { self.patience_with_fallback(patience) } else { patience };
            // While the view is being confirmed, as for one key.
            ahead = (0..keys.len()).filter(|place| self.l1.get(keys[*place].raw()).is_none()).collect();
            let asked = self.get_many(partition, keys, &ahead, policy, patience);
            let (confirmed, came) = join(self.catch_up_within(partition, patience), asked).await;
            outage = confirmed.err();
            failed = take_in(&mut stored, &ahead, came).err();
        }
        let sight = self.sight(partition, outage, patience);
        let mut found: Vec<Found> = keys.iter().map(|key| self.in_memory(key, wanted, sight)).collect();
        let missing = found.iter().enumerate().filter(|(_, found)| matches!(found, Found::Nothing(..)));
        let missing: Vec<usize> = missing.map(|(place, _)| place).collect();
        if sight.shows_store(policy) {
            let was_asked_for = |place: &usize| ahead.binary_search(place).is_ok();
            let behind: Vec<usize> = missing.iter().copied().filter(|place| !was_asked_for(place)).collect();
            let came = self.get_many(partition, keys, &behind, policy, patience).await;
            failed = take_in(&mut stored, &behind, came).err().or(failed);
            for place in &missing {
                let (key, Came { entry, is_shared }) = (keys[*place], mem::take(&mut stored[*place]));
                let unknown = Lack { verdict: Verdict::Miss(MissReason::Absent), old: None, share: sight.share };
                found[*place] = match (mem::replace(&mut found[*place], Found::Nothing(unknown)), entry) {
                    (Found::Nothing(lack), Some(stored)) => {
                        let known = if is_shared { self.in_memory(key, wanted, sight).answer() } else { None };
                        known.unwrap_or_else(|| self.found_in_store(key, wanted, sight.confirmed, stored, lack))
                    }
                    (nothing, _) => nothing,
                };
            }
        }
        if let Some(reason) = outage.or(failed) {
            // Not a miss: nothing is known of what the store holds.
            for place in missing {
                if let Found::Nothing(lack) = &mut found[place] {
                    lack.verdict = Verdict::Bypass(reason);
                }
            }
        }
        found
    }
}

/// Puts what the store answered where it belongs, if it did.
fn take_in(stored: &mut [Came], places: &[usize], came: Result<Vec<Came>, BypassReason>) -> Result<(), BypassReason> {
    places.iter().zip(came?).for_each(|(place, came)| stored[*place] = came);
    Ok(())
}
