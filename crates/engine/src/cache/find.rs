//! Finding: what memory and the store hold for a key, judged.

use std::{sync::Arc, time::Duration};

use futures_util::future::{OptionFuture, join};

use super::{Shared, View, accept::Accept, ask::Came, fetched::ReadOptions, patience::Patience};
use crate::{
    codec::Cacheable,
    entry::{Entry, NewEntry},
    flight::Asked,
    judge::{Judgement, STALE_OK_BOUND, invalidated, is_due_early, is_recent, judge},
    key::{Key, RawKey},
    policy::{Mode, Policy},
    position::{Partition, PositionSet},
    resilience::pending::WaitsFor,
    sabotage::Sabotage,
    scope,
    store::{Seal, StoredEntry},
    tag::TagId,
    tenant::Tenant,
    time::Timestamp,
    verdict::{BypassReason, MissReason, StaleReason, Verdict},
};

/// What was there was refused by its reader.
pub(super) const UNSUITABLE: Verdict = Verdict::Miss(MissReason::Unsuitable);

/// What was found for a key before any load.
pub(super) enum Found {
    /// An answer.
    Answer(Arc<Entry>, Verdict),
    /// An answer; the one who gets `true` refreshes it.
    Refresh(Arc<Entry>, Verdict, bool),
    /// None.
    Nothing(Lack),
}

impl Found {
    /// Itself, if it is an answer.
    pub(super) fn answer(self) -> Option<Self> {
        (!matches!(self, Self::Nothing(_))).then_some(self)
    }
}

/// What is known where no answer was found.
pub(super) struct Lack {
    /// Why it must be loaded.
    pub(super) verdict: Verdict,
    /// An entry that was no answer.
    pub(super) old: Option<Old>,
    /// Whose load will do.
    pub(super) share: Share,
}

/// Which of other readers' loads a reader may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// What the rule allows: this node's view holds all that the reader must see.
    ByRule,
    /// One that begins after the reader asked: nothing else is known to be new enough, because the store could not
    /// be asked, or invalidations wait for it.
    Next(Asked),
}

/// What a read may make of its node's view, once it has asked the log where that was necessary.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    /// Whether the view holds all that the read's policy demands.
    pub(super) confirmed: bool,
    /// Whose load will do for what is not found.
    pub(super) share: Share,
}

impl Sight {
    /// Of a view that is known to hold all that anybody may demand.
    pub(super) const CLEAR: Self = Self { confirmed: true, share: Share::ByRule };

    /// Whether what the store holds can be of use. An unconfirmed view makes nothing fresh of it.
    pub(super) fn shows_store(self, policy: &Policy) -> bool {
        self.confirmed || matches!(policy.mode, Mode::StaleOk(_))
    }
}

/// An entry that was no answer.
pub(super) struct Old {
    /// The entry. Its tags tell which running loads are too old to join.
    pub(super) entry: Arc<Entry>,
    /// Whether it may be served if the load fails.
    pub(super) fail_safe: bool,
    /// How long no other load is tried then.
    pub(super) retry: Duration,
}

impl Old {
    /// One that its reader refused. It may be better than nothing: the reader is asked again, should the load fail.
    pub(super) fn refused(entry: Arc<Entry>, policy: &Policy) -> Self {
        Self { entry, fail_safe: !policy.fail_safe.is_zero(), retry: policy.fail_safe_retry }
    }
}

impl Shared {
    /// The policy of a read, and what it must have seen: also what the load must have in which it runs, if it does in one.
    pub(super) fn demands(&self, policy: &Policy, tenant: &Tenant, options: &ReadOptions) -> (Policy, PositionSet) {
        let mut required = options.at_least.clone();
        required.extend(&scope::required());
        (self.having_seen(policy, tenant, &required), required)
    }

    /// The policy of a reader who must have seen `required`: what is known to be wrong may be so by that, so such a
    /// reader is given none of it, however stale the policy likes it. And within a load for a strict reader every read is
    /// strict: that reader's answer is no newer than what it is made of.
    fn having_seen(&self, policy: &Policy, tenant: &Tenant, required: &PositionSet) -> Policy {
        match policy.mode {
            _ if self.is_within_strict() => policy.mode(Mode::Strict),
            Mode::StaleOk(_) if required.in_partition(self.partition(tenant)).is_some() => {
                policy.mode(Mode::Bounded(STALE_OK_BOUND))
            }
            _ => *policy,
        }
    }

    /// Whether a load runs here whose reader is strict.
    pub(super) fn is_within_strict(&self) -> bool {
        scope::is_strict() && !self.sabotage.is(Sabotage::ReadPatiently)
    }

    /// Whose load will do for a read past the cache. Nothing is asked for it; so unless the view is known to hold what the
    /// policy demands, what is read within its load has to ask.
    pub(super) fn share_past_cache(&self, tenant: &Tenant, policy: &Policy) -> Share {
        let policy = within_load(*policy);
        let demands_nothing = matches!(policy.mode, Mode::StaleOk(_));
        if demands_nothing || self.is_complete_for(self.partition(tenant), &policy) {
            Share::ByRule
        } else {
            Share::Next(self.flights.asked())
        }
    }

    /// Looks in memory and in the store, once the view has reached what the read must have seen. Also tells the patience that
    /// was had.
    pub(super) async fn look<V: Cacheable>(
        self: &Arc<Self>,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        accept: &impl Accept<V>,
    ) -> (Found, Patience) {
        let patience = self.patience();
        // What must have been seen ends here: it need have no room in the look-up.
        let (policy, reached) = {
            let (policy, required) = self.demands(policy, key.raw().tenant(), options);
            (within_load(policy), self.reach(&required, patience).await)
        };
        if reached.is_err() {
            // A value loaded now has seen the write. Its base is older than it need be, so the rule may refuse it.
            let (verdict, share) = (Verdict::Bypass(BypassReason::OutOfReach), Share::Next(patience.asked()));
            return (Found::Nothing(Lack { verdict, old: None, share }), patience);
        }
        (self.find(key, &policy, accept, patience).await, patience)
    }

    /// Looks in memory and in the store, by a policy [within the load](within_load) that runs here.
    pub(super) async fn find<V: Cacheable>(
        self: &Arc<Self>,
        key: &Key<V>,
        policy: &Policy,
        accept: &impl Accept<V>,
        patience: Patience,
    ) -> Found {
        let partition = self.partition(key.raw().tenant());
        let (mut outage, mut ahead) = (None, None);
        if !self.is_complete_for(partition, policy) {
            // Boxed: most reads need not ask, and all have room for it.
            let confirmed;
            (confirmed, ahead) = Box::pin(self.confirm_and_ask(partition, key, policy, patience)).await;
            outage = confirmed.err();
        }
        let sight = self.sight(partition, outage, patience);
        let mut lack = match self.in_memory(key, (policy, accept), sight) {
            Found::Nothing(lack) => lack,
            answer => return answer,
        };
        if sight.shows_store(policy) {
            let known_tags = lack.old.as_ref().map_or(&[][..], |old| old.entry.tags());
            let came = match ahead {
                Some(came) => came,
                None if sight.share == Share::ByRule && self.is_coming(key.raw(), policy, known_tags) => {
                    Ok(Came::default())
                }
                None => self.get_one(partition, key, policy, patience).await,
            };
            match came {
                Ok(Came { entry: Some(stored), is_shared }) => {
                    // Who asked may have taken it into memory by now.
                    let known = if is_shared { self.in_memory(key, (policy, accept), sight).answer() } else { None };
                    let found = known
                        .unwrap_or_else(|| self.found_in_store(key, (policy, accept), sight.confirmed, stored, lack));
                    match found {
                        Found::Nothing(no_better) => lack = no_better,
                        answer => return answer,
                    }
                }
                Ok(Came { entry: None, .. }) => {}
                Err(reason) => outage = outage.or(Some(reason)),
            }
        }
        if let Some(reason) = outage {
            // Not a miss: nothing is known of what the store holds.
            lack.verdict = Verdict::Bypass(reason);
        }
        Found::Nothing(lack)
    }

    /// Asks the log what the view lacks, and at the same time the store for what memory surely lacks: one round trip for both.
    /// The order of the answers does not matter: what came is judged by a view that was confirmed after the read began.
    async fn confirm_and_ask<V: Cacheable>(
        self: &Arc<Self>,
        partition: Partition,
        key: &Key<V>,
        policy: &Policy,
        patience: Patience,
    ) -> (Result<(), BypassReason>, Option<Result<Came, BypassReason>>) {
        let fallback = self.has_fallback(key.raw(), partition, policy);
        let patience = if fallback { self.patience_with_fallback(patience) } else { patience };
        let is_lacking = self.l1.get(key.raw()).is_none() && !self.is_coming(key.raw(), policy, &[]);
        let asked = is_lacking.then(|| self.get_one(partition, key, policy, patience));
        join(self.catch_up_within(partition, patience), OptionFuture::from(asked)).await
    }

    /// What a read may make of its node's view, of which the store did not say more because of `outage`, if so.
    pub(super) fn sight(&self, partition: Partition, outage: Option<BypassReason>, patience: Patience) -> Sight {
        let confirmed = outage.is_none() || self.sabotage.is(Sabotage::ConfirmUnheard);
        let by_rule = (confirmed && !self.has_pending(partition)) || self.sabotage.is(Sabotage::JoinUnconfirmed);
        Sight { confirmed, share: if by_rule { Share::ByRule } else { Share::Next(patience.asked()) } }
    }

    /// What memory holds, judged.
    pub(super) fn in_memory<V: Cacheable>(
        &self,
        key: &Key<V>,
        wanted: (&Policy, &impl Accept<V>),
        sight: Sight,
    ) -> Found {
        match self.l1.get(key.raw()) {
            Some(entry) => self.found(key.raw(), entry, wanted, sight, self.now()),
            None => Found::Nothing(Lack { verdict: Verdict::Miss(MissReason::Absent), old: None, share: sight.share }),
        }
    }

    /// Whether a load of this key runs that a reader may join who knows of `known_tags`: a moment ago the store did not
    /// have it, or that load would not be. So the reader need not ask too; of many who miss at once, only those ask who
    /// come before the first has its answer. If nothing comes of that load, the next one asks for the lease, which shows
    /// what the store holds.
    fn is_coming(&self, key: &RawKey, policy: &Policy, known_tags: &[TagId]) -> bool {
        policy.uses_store
            && policy.lease
            && self.flights.is_running(key, |flight| {
                let base = flight.base();
                self.may_serve(base, None, &flight.known_tags) && self.may_serve(base, None, known_tags)
            })
    }

    /// Judges what the store held, and takes it into memory if it may be used.
    pub(super) fn found_in_store<V: Cacheable>(
        &self,
        key: &Key<V>,
        wanted: (&Policy, &impl Accept<V>),
        confirmed: bool,
        stored: StoredEntry,
        lack: Lack,
    ) -> Found {
        let schema = Verdict::Miss(MissReason::Schema);
        match stored.seal {
            Seal::None => {}
            Seal::Broken(reason) => return Found::Nothing(Lack { verdict: Verdict::Miss(reason), ..lack }),
            // This cache was given no keys.
            Seal::Sealed => return Found::Nothing(Lack { verdict: Verdict::Miss(MissReason::NoKey), ..lack }),
        }
        if stored.schema != V::fingerprint() {
            return Found::Nothing(Lack { verdict: schema, ..lack });
        }
        let Ok(value) = stored.value.as_ref().map(V::decode).transpose() else {
            return Found::Nothing(Lack { verdict: schema, ..lack });
        };
        // Read once, for all that depends on it.
        let now = self.now();
        let trusts = self.sabotage.is(Sabotage::TrustClocks);
        let (loaded_at, expires_at) = by_own_clock(&stored, if trusts { Timestamp::NEVER } else { now });
        let new = NewEntry {
            key: key.raw(),
            value_bytes: stored.value.as_ref().map_or(0, bytes::Bytes::len),
            tags: stored.tags,
            base: stored.base,
            loaded_at,
            expires_at,
            has_tenant_tags: stored.has_tenant_tags,
            load_ms: stored.load_ms,
            subjects: stored.subjects,
            is_sensitive: stored.is_sensitive,
        };
        let entry = Entry::new(value, &new);
        let found = if self.sabotage.is(Sabotage::TrustStore) {
            Found::Answer(entry.clone(), Verdict::Hit)
        } else {
            self.found(key.raw(), entry.clone(), wanted, Sight { confirmed, share: lack.share }, now)
        };
        match &found {
            // Others may take what this reader refused.
            Found::Nothing(Lack { verdict: UNSUITABLE, .. }) => {
                if lack.old.is_none_or(|old| old.entry.loaded_at() < entry.loaded_at()) {
                    self.offer(key.raw(), entry, now);
                }
                found
            }
            // No answer in either tier: what can at least be a fallback is kept, and the nearer tier's reason told.
            Found::Nothing(Lack { old: Some(stored), .. }) if stored.fail_safe => found,
            Found::Nothing(..) if lack.old.is_some() => Found::Nothing(lack),
            Found::Nothing(..) => found,
            Found::Answer(..) | Found::Refresh(..) => {
                self.offer(key.raw(), entry, now);
                found
            }
        }
    }

    pub(super) fn found<V: Cacheable>(
        &self,
        key: &RawKey,
        entry: Arc<Entry>,
        (policy, accept): (&Policy, &impl Accept<V>),
        Sight { confirmed, share }: Sight,
        now: Timestamp,
    ) -> Found {
        let nothing = |verdict, old| Found::Nothing(Lack { verdict, old: Some(old), share });
        let missed = |reason, entry, fail_safe| {
            nothing(Verdict::Miss(reason), Old { entry, fail_safe, retry: policy.fail_safe_retry })
        };
        let refused = |entry| nothing(UNSUITABLE, Old::refused(entry, policy));
        let takes = |entry: &Arc<Entry>, verdict| accept.accepts(entry, verdict, None, false);
        let answer = |entry: Arc<Entry>, verdict| {
            if takes(&entry, verdict) { Found::Answer(entry, verdict) } else { refused(entry) }
        };
        let refresh = |entry: Arc<Entry>, verdict| {
            if !takes(&entry, verdict) {
                return refused(entry);
            }
            let mine = !entry.rests(now) && entry.claim_refresh();
            Found::Refresh(entry, verdict, mine)
        };
        let clocks = &self.view(entry.partition()).clocks;
        let judgement = match self.waits_for(entry.partition(), entry.tags()) {
            Some(WaitsFor::Purge) => Judgement::Dead(MissReason::Invalidated),
            // As good as invalidated: only the record is missing.
            Some(WaitsFor::Invalidation) => invalidated(&entry, clocks, policy, now),
            None => judge(&entry, clocks, policy, confirmed, now),
        };
        match judgement {
            Judgement::Fresh if self.is_due_early(key, &entry, policy, now) => refresh(entry, Verdict::Hit),
            Judgement::Fresh => answer(entry, Verdict::Hit),
            // What was loaded a moment ago need not be loaded again because the view cannot be confirmed.
            Judgement::Refresh(reason @ StaleReason::Unconfirmed) if now.since(entry.loaded_at()) <= STALE_OK_BOUND => {
                answer(entry, Verdict::Stale(reason))
            }
            Judgement::Refresh(reason) => refresh(entry, Verdict::Stale(reason)),
            Judgement::FailSafe(_) if entry.rests(now) => answer(entry, Verdict::Stale(StaleReason::FailSafe)),
            Judgement::FailSafe(reason) => missed(reason, entry, true),
            Judgement::Dead(reason) => missed(reason, entry, false),
        }
    }

    /// Whether a fresh entry should be loaded anew and nobody does it yet.
    #[inline]
    pub(super) fn is_due_early(&self, key: &RawKey, entry: &Entry, policy: &Policy, now: Timestamp) -> bool {
        is_due_early(entry, policy, now, || self.random.unit(key.stable_hash(), now.as_millis()))
            && !entry.is_refreshing()
    }

    /// Whether memory holds something that may be served although the view is not confirmed.
    pub(super) fn has_fallback(&self, key: &RawKey, partition: Partition, policy: &Policy) -> bool {
        matches!(policy.mode, Mode::StaleOk(_))
            && self.l1.get(key).is_some_and(|entry| {
                let judgement = judge(&entry, &self.view(partition).clocks, policy, false, self.now());
                matches!(judgement, Judgement::Refresh(_))
            })
    }

    /// Whether the view is known, without asking anybody, to hold what a read of the policy demands, which may be part of
    /// a load.
    pub(super) fn is_complete_for(&self, partition: Partition, policy: &Policy) -> bool {
        self.is_confirmed(self.view(partition), partition, policy, self.now()) || self.was_asked_within_load(partition)
    }

    /// Whether the strict reader of the load that runs here has asked the log of this partition: then nobody who reads
    /// within it need ask again.
    pub(super) fn was_asked_within_load(&self, partition: Partition) -> bool {
        scope::has_asked(|tenant| self.partition(tenant) == partition)
    }

    /// Whether the view is known, without asking anybody, to hold what the policy demands.
    #[inline]
    pub(super) fn is_confirmed(&self, view: &View, partition: Partition, policy: &Policy, now: Timestamp) -> bool {
        match &self.local_heads {
            Some(heads) => view.clocks.is_at(heads.get(partition)),
            None => is_recent(view.clocks.confirmed_at(), policy, now),
        }
    }
}

/// When an entry of the store was loaded, and when its time is over, by a reader's clock at `now`. The clock of the node
/// that loaded it may be ahead: nothing was loaded in the future, and nothing lives longer in memory than it was to. In
/// Redis it ends by the clock there.
fn by_own_clock(stored: &StoredEntry, now: Timestamp) -> (Timestamp, Timestamp) {
    let life = stored.expires_at.since(stored.loaded_at);
    (stored.loaded_at.min(now), stored.expires_at.min(now + life))
}

/// The policy of a read that may be part of a load: where that load's reader could not ask the store, what is read
/// within it must not be older than it either.
pub(super) fn within_load(policy: Policy) -> Policy {
    match policy.mode {
        Mode::Bounded(_) if scope::is_unconfirmed() => policy.mode(Mode::Strict),
        _ => policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cache, MemoryStore, cache::accept::Anything, catalogue};

    catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// A page.
        fn page() -> u8 = "page";
    }

    /// Allocators are quick up to 1 KB (the usual one of Linux, mimalloc): beyond that, to take the room for a look-up and give
    /// it back costs five times as much.
    #[tokio::test]
    async fn a_look_up_takes_little_room() {
        assert_eq!(PATTERNS.len(), 1);
        let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
        let key = page(&Tenant::new("acme").unwrap());
        let (policy, options) = (Policy::ttl(Duration::from_secs(1)), ReadOptions::default());
        let looking = cache.shared.look(&key, &policy, &options, &Anything);
        assert!(size_of_val(&looking) <= 1024, "{}", size_of_val(&looking));
    }
}
