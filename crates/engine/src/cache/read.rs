//! Reading one entry: memory, then the store, then the loader.

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc};

use tracing::Instrument as _;

use super::{
    Cache, Shared,
    load::{Loaded, error_of},
};
use crate::{
    clocks::Validity,
    codec::Cacheable,
    entry::{Entry, NewEntry, TagIds},
    flight::{Flight, Lead, Outcome, Seat},
    judge::{Judgement, is_recent, judge},
    key::{KEY_BYTES_MAX, Key, RawKey},
    observe::Event,
    policy::Policy,
    position::{Partition, Position, PositionSet},
    sabotage::Sabotage,
    scope::{self, Nested},
    store::StoredEntry,
    tag::TagId,
    time::Timestamp,
    verdict::{BypassReason, MissReason, NotStored, StaleReason, Verdict},
};

/// Flights a reader joins before it loads for itself: each may land with a value that was overtaken meanwhile.
const JOINS_MAX: usize = 3;

/// What a reader demands beyond the policy.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Positions that the value must have seen: those that the reader's own writes returned.
    pub at_least: PositionSet,
}

/// The answer to a read.
pub struct Fetched<V> {
    /// How it came about.
    pub verdict: Verdict,
    /// Whether it came from a load that another reader had begun.
    pub collapsed: bool,
    /// Why the entry was not kept, if it was loaded and not kept.
    pub not_stored: Option<NotStored>,
    /// Holds the value: cloning it out only where it is wanted saves every hit two writes to a shared counter.
    entry: Arc<Entry>,
    value: PhantomData<fn() -> V>,
}

impl<V: Cacheable> Fetched<V> {
    /// The value; none if there is none.
    pub fn value(&self) -> Option<&V> {
        self.entry.value().expect("a key's type is its value's").as_ref()
    }

    /// The value, to be held on to.
    pub fn into_value(self) -> Option<Cached<V>> {
        Cached::of(self.entry)
    }
}

impl<V> Fetched<V> {
    /// The facts that it was loaded from.
    pub fn tags(&self) -> &[TagId] {
        &self.entry.tags
    }

    /// The position that the value is known to reflect: every record of the log that concerns it and is newer makes
    /// it out of date. Captured before its load, and since raised where the rule has shown it valid beyond that.
    pub fn base(&self) -> Position {
        Position { partition: self.entry.partition(), epoch: self.entry.epoch, sequence: self.entry.base() }
    }

    /// When it was loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.entry.loaded_at
    }

    /// Until when it is fresh.
    pub fn expires_at(&self) -> Timestamp {
        self.entry.expires_at
    }
}

impl<V: Cacheable + fmt::Debug> fmt::Debug for Fetched<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, collapsed, not_stored, .. } = self;
        write!(f, "Fetched({verdict}, {:?}, collapsed: {collapsed}, not stored: {not_stored:?})", self.value())
    }
}

/// A value shared with the cache. Cheap to clone; it stays as it is, whatever becomes of its entry.
pub struct Cached<V> {
    entry: Arc<Entry>,
    value: PhantomData<fn() -> V>,
}

impl<V: Cacheable> Cached<V> {
    /// The value of an entry, if it is one of this type and not an absence.
    fn of(entry: Arc<Entry>) -> Option<Self> {
        let present = entry.value::<V>().is_some_and(Option::is_some);
        present.then_some(Self { entry, value: PhantomData })
    }
}

impl<V> Cached<V> {
    /// Whether both are the value of one load.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry)
    }
}

impl<V: Cacheable> Deref for Cached<V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.entry.value().and_then(Option::as_ref).expect("looked at when it was made")
    }
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { entry: self.entry.clone(), value: PhantomData }
    }
}

impl<V: Cacheable + fmt::Debug> fmt::Debug for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError<E> {
    /// The loader's own error.
    #[error(transparent)]
    Load(E),
    /// The load took longer than its policy allows.
    #[error("the load took longer than its policy allows; try again")]
    TimedOut,
    /// The loader panicked, or the process is stopping.
    #[error("the load ended without an answer; try again")]
    Aborted,
}

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
    fail_safe: bool,
}

impl Cache {
    /// Reads `key`: from memory, from the store, or by `load`.
    ///
    /// `load` runs at most once, in a task of its own, so that a caller who goes away takes nothing from others who
    /// wait for the same load. Every fact it reads is recorded as a tag (see [`record`](crate::record)).
    ///
    /// The answer is never a value that was loaded before an invalidation which was acknowledged before this call,
    /// on this node; or anywhere, if `options` holds the position that the invalidation returned. Exceptions are the
    /// policy's own: its staleness bound between nodes, and [`Mode::StaleOk`](crate::Mode::StaleOk).
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
        let span = tracing::debug_span!(
            "cache.fetch",
            cache.entity = key.raw().entity(),
            cache.hit = tracing::field::Empty,
            cache.verdict = tracing::field::Empty,
            tenant = key.raw().tenant().as_str(),
        );
        let fetched = self.fetch_beyond_memory(key, policy, required(options), load).instrument(span.clone()).await;
        if let Ok(fetched) = &fetched {
            span.record("cache.hit", matches!(fetched.verdict, Verdict::Hit | Verdict::Stale(_)));
            span.record("cache.verdict", fetched.verdict.as_str());
        }
        fetched
    }

    async fn fetch_beyond_memory<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        required: PositionSet,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        if key.raw().as_str().len() > KEY_BYTES_MAX {
            return self.load_uncached(key, policy, required, BypassReason::KeyTooLong, load).await;
        }
        if self.shared.reach(&required).await.is_err() {
            // A value loaded now has seen the write; only the entry could not be placed in the log.
            return self.load_uncached(key, policy, required, BypassReason::OutOfReach, load).await;
        }
        match self.shared.find(key, policy).await {
            Found::Answer(entry, verdict) => Ok(self.answer(key.raw(), entry, verdict)),
            Found::Refresh(entry, reason, mine) => {
                if mine {
                    self.refresh(key, policy, required, entry.clone(), load);
                }
                Ok(self.answer(key.raw(), entry, Verdict::Stale(reason)))
            }
            Found::Nothing(reason, old) => self.load_or_join(key, policy, required, reason, old, load).await,
        }
    }

    /// A fresh entry in this node's memory, if there is one. Synchronous: no task switch, no lock beyond L1's own.
    #[inline]
    pub fn hit<V: Cacheable>(&self, key: &Key<V>, policy: &Policy, options: &ReadOptions) -> Option<Fetched<V>> {
        let shared = &self.shared;
        if !options.at_least.iter().all(|position| shared.has_reached(position)) {
            return None;
        }
        let entry = shared.l1.get(key.raw())?;
        let clocks = &shared.view(entry.partition()).clocks;
        let fresh = shared.is_confirmed(entry.partition(), policy)
            && judge(&entry, clocks, policy, true, shared.now()) == Judgement::Fresh;
        if fresh { Some(self.answer(key.raw(), entry, Verdict::Hit)) } else { None }
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

    async fn load_or_join<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        required: PositionSet,
        reason: MissReason,
        old: Option<Old>,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let known_tags = old.as_ref().map_or_else(TagIds::new, |old| old.entry.tags.clone());
        let mut verdict = Verdict::Miss(reason);
        for _ in 0..JOINS_MAX {
            match self.shared.board(key.raw(), &known_tags, &required) {
                Seat::Lead(lead) => {
                    let outcome = self.lead(key, policy, lead, required, load).await;
                    return self.landed(key.raw(), outcome, verdict, old, false);
                }
                Seat::Full => {
                    verdict = Verdict::Bypass(BypassReason::TooManyWaiters);
                    break;
                }
                Seat::Join(join) => {
                    self.shared.observers.tell(&Event::Joined { key: key.raw() });
                    match join.outcome().await {
                        Outcome::Loaded(entry, not_stored) if self.shared.may_share(key.raw(), &entry, not_stored) => {
                            let outcome = Outcome::Loaded(entry, not_stored);
                            return self.landed(key.raw(), outcome, verdict, old, true);
                        }
                        Outcome::Loaded(_, not_stored) if !is_overtaken(not_stored) => break,
                        Outcome::Loaded(..) | Outcome::Aborted => {}
                        failed => return self.landed(key.raw(), failed, verdict, old, true),
                    }
                }
            }
        }
        let lead = self.shared.alone(key.raw());
        let outcome = self.lead(key, policy, lead, required, load).await;
        self.landed(key.raw(), outcome, verdict, old, false)
    }

    async fn load_uncached<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        required: PositionSet,
        reason: BypassReason,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let lead = self.shared.alone(key.raw());
        let declining = move || async move { load().await.map(Loaded::declined) };
        let outcome = self.lead(key, policy, lead, required, declining).await;
        self.landed(key.raw(), outcome, Verdict::Bypass(reason), None, false)
    }

    fn refresh<V, E, F, L>(&self, key: &Key<V>, policy: &Policy, required: PositionSet, old: Arc<Entry>, load: F)
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let Seat::Lead(lead) = self.shared.board(key.raw(), &old.tags, &required) else { return };
        let (this, key, policy) = (self.clone(), key.clone(), *policy);
        tokio::spawn(async move {
            let outcome = this.lead(&key, &policy, lead, required, load).await;
            if !matches!(outcome, Outcome::Loaded(_, None)) {
                old.release_refresh();
            }
        });
    }

    /// Runs the load in a task of its own and waits for it.
    async fn lead<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        lead: Lead,
        required: PositionSet,
        load: F,
    ) -> Outcome
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let (shared, key, policy) = (self.shared.clone(), key.clone(), *policy);
        let span = tracing::debug_span!("cache.load", cache.entity = key.raw().entity(), cache.tier = "loader");
        let flight = async move { shared.fly(&key, &policy, lead, required, async { load().await }).await };
        tokio::spawn(flight.instrument(span)).await.unwrap_or(Outcome::Aborted)
    }

    pub(super) fn landed<V: Cacheable, E: Clone + 'static>(
        &self,
        key: &RawKey,
        outcome: Outcome,
        verdict: Verdict,
        old: Option<Old>,
        collapsed: bool,
    ) -> Result<Fetched<V>, FetchError<E>> {
        match outcome {
            Outcome::Loaded(entry, not_stored) => Ok(self.answer_of_load(key, entry, verdict, not_stored, collapsed)),
            // Judged again: it may have been invalidated while the load was failing.
            failed => match old.filter(|old| old.fail_safe && self.shared.is_valid(key, &old.entry)) {
                Some(old) => Ok(self.answer(key, old.entry, Verdict::Stale(StaleReason::FailSafe))),
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
        self.shared.observers.tell(&Event::Read { key, verdict });
        entry.touch();
        if scope::is_recording() {
            tell_outer_load(key, &entry, verdict, not_stored);
        }
        Fetched { verdict, collapsed, not_stored, entry, value: PhantomData }
    }
}

/// A load within a load: the outer value depends on all that the inner one does.
#[cold]
fn tell_outer_load(key: &RawKey, entry: &Entry, verdict: Verdict, not_stored: Option<NotStored>) {
    let refused = match (verdict, not_stored) {
        (Verdict::Stale(_), _) => Some(NotStored::FromStale),
        (_, Some(reason)) if !is_judgeable(reason) => Some(reason),
        _ => None,
    };
    scope::record_nested(&Nested {
        tenant: key.tenant(),
        tags: &entry.tags,
        has_tenant_tags: entry.has_tenant_tags,
        expires_at: entry.expires_at,
        refused,
    });
}

/// What the reader and the load around it must see.
pub(super) fn required(options: &ReadOptions) -> PositionSet {
    let mut required = options.at_least.clone();
    required.extend(&scope::required());
    required
}

/// Whether a value that was not kept can still be judged by the rule: its tags are all known.
fn is_judgeable(reason: NotStored) -> bool {
    match reason {
        NotStored::Overtaken | NotStored::TooLarge | NotStored::AbsenceNotKept | NotStored::NoLifetime => true,
        NotStored::TooManyTags | NotStored::ForeignTag | NotStored::FromStale | NotStored::Declined => false,
    }
}

fn is_overtaken(not_stored: Option<NotStored>) -> bool {
    matches!(not_stored, None | Some(NotStored::Overtaken))
}

impl Shared {
    /// Looks in memory and in the store.
    pub(super) async fn find<V: Cacheable>(&self, key: &Key<V>, policy: &Policy) -> Found {
        let partition = self.partition(key.raw().tenant());
        let confirmed = self.confirm(partition, policy).await;
        let in_memory = match self.l1.get(key.raw()) {
            Some(entry) => self.found(entry, partition, policy, confirmed),
            None => Found::Nothing(MissReason::Absent, None),
        };
        let Found::Nothing(reason, old) = in_memory else { return in_memory };
        let Ok(mut stored) = self.store.get(std::slice::from_ref(key.raw())).await else {
            self.observers.tell(&Event::StoreFailed { partition: Some(partition) });
            return Found::Nothing(reason, old);
        };
        match stored.pop().flatten() {
            Some(stored) => self.found_in_store(key, policy, confirmed, stored, (reason, old)),
            None => Found::Nothing(reason, old),
        }
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
        };
        let entry = Entry::new(value, new);
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
    fn is_confirmed(&self, partition: Partition, policy: &Policy) -> bool {
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

    /// Joins a running load that is young enough for this reader, or begins one.
    pub(super) fn board(&self, key: &RawKey, known_tags: &TagIds, required: &PositionSet) -> Seat {
        let partition = self.partition(key.tenant());
        let clocks = &self.view(partition).clocks;
        let needed = required.in_partition(partition);
        let may_join = |flight: &Flight| {
            let reached = needed
                .is_none_or(|needed| needed.epoch != flight.base.epoch || flight.base.sequence >= needed.sequence);
            let untouched = |tags: &[TagId]| {
                matches!(clocks.judge(flight.base.epoch, flight.base.sequence, tags), Validity::Valid { .. })
            };
            let unjudged = self.sabotage.is(Sabotage::JoinUnjudged);
            unjudged || (reached && untouched(&flight.known_tags) && untouched(known_tags))
        };
        self.flights.board(key, clocks.frontier(), known_tags.clone(), may_join)
    }

    /// A load that nobody joins.
    pub(super) fn alone(&self, key: &RawKey) -> Lead {
        let base: Position = self.view(self.partition(key.tenant())).clocks.frontier();
        self.flights.alone(key, base)
    }

    /// Whether a value from another reader's load may be used by one who came later: only if the rule can say so.
    pub(super) fn may_share(&self, key: &RawKey, entry: &Entry, not_stored: Option<NotStored>) -> bool {
        not_stored.is_none_or(is_judgeable) && (self.is_valid(key, entry) || self.sabotage.is(Sabotage::JoinUnjudged))
    }
}
