//! Reading one entry: memory, then the store, then the loader.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{
    Cache, Shared,
    accept::{Accept, Anything, Chosen},
    fetched::{Cached, FetchError, Fetched, ReadOptions},
    find::{Found, Old, Share},
    load::{Loaded, error_of},
    turn::Errand,
};
use crate::{
    codec::Cacheable,
    entry::Entry,
    flight::Outcome,
    judge::is_fresh,
    key::{Key, RawKey},
    observe::Event,
    policy::Policy,
    sabotage::Sabotage,
    scope::{self, Nested},
    verdict::{BypassReason, NotStored, StaleReason, Verdict},
};

impl Cache {
    /// Reads `key`: from memory, from the store, or by `load`.
    ///
    /// `load` runs at most once, in a task of its own, so that a caller who goes away takes nothing from others who
    /// wait for the same load. Every fact it reads is recorded as a tag (see [`record`](crate::record)).
    ///
    /// The answer is never a value that was loaded before an invalidation which was acknowledged before this call,
    /// on this node; or anywhere, if `options` holds the position that the invalidation returned. Exceptions are the
    /// policy's own: its staleness bound between nodes, and [`Mode::StaleOk`](crate::Mode::StaleOk) for readers without
    /// such a position.
    pub async fn fetch<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        if let Some(hit) = self.hit(key, policy, options) {
            return Ok(hit);
        }
        self.fetch_told(key, policy, options, Anything, move |_refused| load()).await
    }

    /// As [`fetch`](Self::fetch), for a reader who may refuse a value although it is right: it is given what `accept`
    /// says yes to, or what its own `load` brings.
    ///
    /// `accept` is shown the answer as it would be given: what memory or the store holds (`Hit`, or `Stale`), what
    /// another reader's load brought (`collapsed`), and, if the load fails and the policy has a fail-safe, what is
    /// there (`Stale(FailSafe)`). A refused value is a miss ([`MissReason::Unsuitable`](crate::MissReason::Unsuitable)):
    /// it is loaded anew, and replaced by what that brings, but stays where it is until then, for others who take it.
    /// What the reader's own load brings is not shown to `accept`. Who refuses what a load of others brought loads at
    /// once and for itself, rather than wait for one after the other.
    ///
    /// `load` gets the value that was found and not given, whatever the reason, if it is at hand: to validate it with
    /// its source, or to learn from it. It is never an answer by itself: it may be invalidated.
    ///
    /// `accept` must be quick, and its answer should follow from its argument and the request alone; it may be asked
    /// several times about one value.
    pub async fn fetch_accepting<V, E, A, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        accept: A,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        A: Fn(&Fetched<V>) -> bool + Send + Sync + 'static,
        F: FnOnce(Option<Cached<V>>) -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        if let Some(hit) = self.hit_accepting(key, policy, options, &accept) {
            return Ok(hit);
        }
        self.fetch_told(key, policy, options, Chosen::new(accept), load).await
    }

    async fn fetch_told<V, E, A, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        accept: A,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        A: Accept<V>,
        F: FnOnce(Option<Cached<V>>) -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let span = tracing::debug_span!(
            "cache.fetch",
            cache.entity = key.raw().entity(),
            cache.hit = tracing::field::Empty,
            cache.verdict = tracing::field::Empty,
            tenant = key.raw().tenant().as_str(),
        );
        let fetched = self.fetch_beyond_memory(key, policy, options, accept, load).instrument(span.clone()).await;
        if let Ok(fetched) = &fetched {
            span.record("cache.hit", matches!(fetched.verdict, Verdict::Hit | Verdict::Stale(_)));
            span.record("cache.verdict", fetched.verdict.as_str());
        }
        fetched
    }

    // What is waited for here is boxed: it is large, and whoever reads would carry it, and copy it into each task that it
    // spawns, for hits as well. Apart: what is looked for first is found mostly, and needs no room for a load.
    async fn fetch_beyond_memory<V, E, A, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        accept: A,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        A: Accept<V>,
        F: FnOnce(Option<Cached<V>>) -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        if let Some(reason) = bypass(key.raw(), policy) {
            return Box::pin(self.load_alone(key, policy, options, reason, load)).await;
        }
        let (found, patience) = Box::pin(self.shared.look(key, policy, options, &accept)).await;
        match found {
            Found::Answer(entry, verdict) => Ok(self.answer(key.raw(), entry, verdict)),
            Found::Refresh(entry, verdict, mine) => {
                if mine {
                    let is_confirmed = verdict != Verdict::Stale(StaleReason::Unconfirmed);
                    let share = if is_confirmed { Share::ByRule } else { Share::Next(patience.asked()) };
                    let errand = Errand::refresh(entry.clone(), share);
                    self.refresh(key, policy, options, entry.clone(), errand, load);
                }
                Ok(self.answer(key.raw(), entry, verdict))
            }
            Found::Nothing(lack) => {
                let lack = (lack, self.shared.is_busy(patience));
                Box::pin(self.load_or_join(key, policy, options, lack, accept, load)).await
            }
        }
    }

    /// What memory or the store holds for `key` and `accept` says yes to, as [`fetch_accepting`](Self::fetch_accepting)
    /// would give it; none where that would load, or wait for the load of another reader. Begins none, not even a refresh
    /// that is due.
    pub async fn find<V, A>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        accept: A,
    ) -> Option<Fetched<V>>
    where
        V: Cacheable,
        A: Fn(&Fetched<V>) -> bool + Send + Sync + 'static,
    {
        if bypass(key.raw(), policy).is_some() {
            return None;
        }
        let (found, _) = self.shared.look(key, policy, options, &Chosen::new(accept)).await;
        match found {
            Found::Answer(entry, verdict) => Some(self.answer(key.raw(), entry, verdict)),
            Found::Refresh(entry, verdict, is_mine) => {
                if is_mine {
                    // The next reader who may load is to have it.
                    entry.release_refresh();
                }
                Some(self.answer(key.raw(), entry, verdict))
            }
            Found::Nothing(_) => None,
        }
    }

    /// A fresh entry in this node's memory, if there is one. Synchronous: no task switch, no lock beyond L1's own.
    #[inline]
    pub fn hit<V: Cacheable>(&self, key: &Key<V>, policy: &Policy, options: &ReadOptions) -> Option<Fetched<V>> {
        let within_load = scope::is_recording();
        let entry = self.fresh(key.raw(), policy, options, within_load)?;
        self.give(key.raw(), &entry, Verdict::Hit, None, false, within_load);
        Some(Fetched::new(entry, Verdict::Hit, None, false))
    }

    /// As [`hit`](Self::hit), if `accept` says yes to it; see [`fetch_accepting`](Self::fetch_accepting).
    #[inline]
    pub fn hit_accepting<V: Cacheable>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        accept: impl FnOnce(&Fetched<V>) -> bool,
    ) -> Option<Fetched<V>> {
        let within_load = scope::is_recording();
        let hit = Fetched::new(self.fresh(key.raw(), policy, options, within_load)?, Verdict::Hit, None, false);
        if !accept(&hit) {
            return None;
        }
        self.give(key.raw(), hit.entry(), Verdict::Hit, None, false, within_load);
        Some(hit)
    }

    #[allow(clippy::inline_always, reason = "it is the whole of a hit, which is made in two ways")]
    #[inline(always)]
    fn fresh(&self, key: &RawKey, policy: &Policy, options: &ReadOptions, within_load: bool) -> Option<Arc<Entry>> {
        let shared = &self.shared;
        if !policy.is_on {
            return None;
        }
        if !options.at_least.iter().all(|position| shared.has_reached(position)) {
            return None;
        }
        if within_load && !shared.suits_load(key) {
            return None;
        }
        // Read once, for all that depends on it.
        let now = shared.now();
        let entry = shared.l1.get(key)?;
        let view = shared.view(entry.partition());
        let fresh = shared.is_confirmed(view, entry.partition(), policy, now)
            && !shared.waits(view)
            && is_fresh(&entry, &view.clocks, policy, now)
            && !shared.is_due_early(key, &entry, policy, now);
        fresh.then_some(entry)
    }

    /// What this node's memory holds for `key`, valid or not: to know something *about* it, never to serve it.
    pub fn peek<V: Cacheable>(&self, key: &Key<V>) -> Option<Cached<V>> {
        Cached::of(self.shared.l1.get(key.raw())?)
    }

    /// Removes one entry, from memory and from the store. Other nodes may still hold it: to declare it wrong,
    /// invalidate a tag.
    pub async fn remove<V>(&self, key: &Key<V>) -> Result<(), crate::StoreError> {
        self.shared.l1.remove(key.raw());
        self.shared.store.remove(key.raw()).await
    }

    pub(super) fn landed<V: Cacheable, E: Clone + 'static>(
        &self,
        key: &RawKey,
        outcome: Outcome,
        verdict: Verdict,
        old: Option<Old>,
        accept: &impl Accept<V>,
        collapsed: bool,
    ) -> Result<Fetched<V>, FetchError<E>> {
        const FAIL_SAFE: Verdict = Verdict::Stale(StaleReason::FailSafe);
        match outcome {
            Outcome::Loaded(entry, not_stored) => Ok(self.answer_of_load(key, entry, verdict, not_stored, collapsed)),
            // Judged again: it may have been invalidated while the load was failing.
            failed => match old.filter(|old| {
                old.fail_safe && self.shared.is_valid(&old.entry) && accept.accepts(&old.entry, FAIL_SAFE, None, false)
            }) {
                Some(old) => {
                    let now = self.now();
                    old.entry.rest(now + old.retry);
                    // It may have come from the store: the next reads must find it resting.
                    self.shared.offer(key, old.entry.clone(), now);
                    Ok(self.answer(key, old.entry, FAIL_SAFE))
                }
                None => Err(error_of(&failed)),
            },
        }
    }

    #[inline]
    pub(super) fn answer<V: Cacheable>(&self, key: &RawKey, entry: Arc<Entry>, verdict: Verdict) -> Fetched<V> {
        self.answer_of_load(key, entry, verdict, None, false)
    }

    #[allow(clippy::inline_always, reason = "copying the answer from frame to frame costs more than making it")]
    #[inline(always)]
    fn answer_of_load<V: Cacheable>(
        &self,
        key: &RawKey,
        entry: Arc<Entry>,
        verdict: Verdict,
        not_stored: Option<NotStored>,
        collapsed: bool,
    ) -> Fetched<V> {
        self.give(key, &entry, verdict, not_stored, collapsed, scope::is_recording());
        Fetched::new(entry, verdict, not_stored, collapsed)
    }

    /// Notes that a value is given to a reader.
    #[allow(clippy::inline_always, reason = "as for what is given")]
    #[inline(always)]
    fn give(
        &self,
        key: &RawKey,
        entry: &Entry,
        verdict: Verdict,
        not_stored: Option<NotStored>,
        collapsed: bool,
        within_load: bool,
    ) {
        self.shared.observers.tell(&Event::Read { key, verdict });
        // The read that loads a value is no use of what is kept of it: else eviction could not tell what is asked for
        // once from what is asked for again.
        if collapsed || matches!(verdict, Verdict::Hit | Verdict::Stale(_)) {
            entry.touch();
        }
        if within_load && !self.shared.sabotage.is(Sabotage::ForgetNested) {
            tell_outer_load(key, entry, verdict, not_stored, collapsed);
        }
    }
}

/// A load within a load: the outer value depends on all that the inner one does.
#[cold]
fn tell_outer_load(key: &RawKey, entry: &Entry, verdict: Verdict, not_stored: Option<NotStored>, collapsed: bool) {
    let refused = match (verdict, not_stored) {
        (Verdict::Stale(_), _) => Some(NotStored::FromStale),
        (_, Some(reason)) if !reason.is_judgeable() => Some(reason),
        _ => None,
    };
    scope::record_nested(&Nested {
        tenant: key.tenant(),
        tags: entry.tags(),
        subjects: entry.subjects(),
        is_sensitive: entry.is_sensitive(),
        has_tenant_tags: entry.has_tenant_tags,
        loaded_within: !collapsed && matches!(verdict, Verdict::Miss(_) | Verdict::Bypass(_)),
        expires_at: entry.expires_at,
        refused,
    });
}

/// Why the cache takes no part in reads of a key, whatever it holds: then each loads for itself.
pub(super) fn bypass(key: &RawKey, policy: &Policy) -> Option<BypassReason> {
    if !policy.is_on {
        Some(BypassReason::Off)
    } else if key.is_too_long() {
        Some(BypassReason::KeyTooLong)
    } else {
        None
    }
}

impl Shared {
    /// Whether what memory holds of a key may be used within the load that runs here: its reader may have been unable to
    /// ask the store, may demand more than this node has seen, or be strict and have asked about another partition.
    #[inline(never)]
    fn suits_load(&self, key: &RawKey) -> bool {
        // Of a log in this process, the view is known to be complete or not, whoever asks.
        let was_asked = || self.local_heads.is_some() || self.was_asked_within_load(self.partition(key.tenant()));
        !scope::is_unconfirmed()
            && (!self.is_within_strict() || was_asked())
            && scope::required().iter().all(|position| self.has_reached(position))
    }
}
