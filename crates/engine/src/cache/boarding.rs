//! A read that found nothing to give: it leads a load, joins one that runs, or loads for itself.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{
    Cache, Shared,
    accept::{Accept, Anything},
    fetched::{Cached, FetchError, Fetched, ReadOptions},
    find::{Lack, Old, Share, UNSUITABLE},
    load::{Loaded, is_overtaken},
    turn::Errand,
};
use crate::{
    codec::Cacheable,
    entry::{Entry, TagIds},
    flight::{Flight, Join, Lead, Outcome, Seat},
    key::{Key, RawKey},
    observe::Event,
    policy::Policy,
    position::PositionSet,
    sabotage::Sabotage,
    scope,
    tag::TagId,
    verdict::{BypassReason, Verdict},
};

/// Flights a reader joins before it loads for itself: each may land with a value that was overtaken meanwhile.
const JOINS_MAX: usize = 3;

impl Cache {
    pub(super) async fn load_or_join<V, E, A, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        (lack, store_is_busy): (Lack, bool),
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
        let errand = Errand::read(&lack, store_is_busy);
        let (policy, required) = self.shared.demands(policy, key.raw().tenant(), options);
        let policy = &policy;
        let Lack { mut verdict, mut old, share } = lack;
        let known_tags = old.as_ref().map_or_else(TagIds::new, |old| TagIds::from_slice(old.entry.tags()));
        for _ in 0..JOINS_MAX {
            match self.shared.board(key.raw(), &known_tags, &required, share) {
                Seat::Lead(lead) => {
                    let load = self.loading(load, old.as_ref().map(|old| old.entry.clone()));
                    let (outcome, spared) = self.lead(key, policy, &accept, lead, required, errand, load).await;
                    return self.landed(key.raw(), outcome, verdict, old, &accept, spared);
                }
                Seat::Full => {
                    verdict = Verdict::Bypass(BypassReason::TooManyWaiters);
                    break;
                }
                Seat::Join(join) => {
                    self.shared.joined(key.raw(), &join);
                    let flight = join.flight().clone();
                    match join.outcome().await {
                        Outcome::Loaded(entry, not_stored)
                            if self.shared.may_share(&flight, (&entry, not_stored), share) =>
                        {
                            if accept.accepts(&entry, verdict, not_stored, true) {
                                let outcome = Outcome::Loaded(entry, not_stored);
                                return self.landed(key.raw(), outcome, verdict, old, &accept, true);
                            }
                            verdict = UNSUITABLE;
                            old = Some(Old::refused(entry, policy));
                            break;
                        }
                        Outcome::Loaded(_, not_stored) if not_stored.is_some_and(|reason| !is_overtaken(reason)) => {
                            break;
                        }
                        Outcome::Loaded(..) | Outcome::Aborted => {}
                        failed => return self.landed(key.raw(), failed, verdict, old, &accept, true),
                    }
                }
            }
        }
        let lead = self.shared.alone(key.raw());
        let load = self.loading(load, old.as_ref().map(|old| old.entry.clone()));
        let (outcome, _) = self.lead(key, policy, &accept, lead, required, Errand::alone(share), load).await;
        self.landed(key.raw(), outcome, verdict, old, &accept, false)
    }

    /// Loads for this reader alone.
    pub(super) async fn load_alone<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        reason: BypassReason,
        load: F,
    ) -> Result<Fetched<V>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce(Option<Cached<V>>) -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let (policy, required) = self.shared.demands(policy, key.raw().tenant(), options);
        let policy = &policy;
        let lead = self.shared.alone(key.raw());
        let load = move || load(None);
        let errand = Errand::alone(self.shared.share_past_cache(key.raw().tenant(), policy));
        let (outcome, _) = self.lead(key, policy, &Anything, lead, required, errand, load).await;
        self.landed(key.raw(), outcome, Verdict::Bypass(reason), None, &Anything, false)
    }

    /// Loads a value anew in the background, unless as many as the limit do so already, or too many of the tenant's. The
    /// one who calls holds the entry's claim; it is given back if nothing comes of it.
    pub(super) fn refresh<V, E, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        options: &ReadOptions,
        old: Arc<Entry>,
        errand: Errand,
        load: F,
    ) where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: FnOnce(Option<Cached<V>>) -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let (policy, required) = self.shared.demands(policy, key.raw().tenant(), options);
        let Some(one_of_few) = self.shared.refreshes.try_enter(key.raw().tenant()) else {
            self.shared.observers.tell(&Event::RefreshSkipped { key: key.raw() });
            return old.release_refresh();
        };
        let Seat::Lead(lead) = self.shared.board(key.raw(), old.tags(), &required, Share::ByRule) else {
            return old.release_refresh();
        };
        let (this, key) = (self.clone(), key.clone());
        let load = self.loading(load, Some(old.clone()));
        tokio::spawn(async move {
            // Nobody waits who could refuse anything: whatever lives longer will do.
            let (outcome, _) = this.lead(&key, &policy, &Anything, lead, required, errand, load).await;
            if matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut) {
                old.rest(this.now() + policy.fail_safe_retry);
            }
            if !matches!(outcome, Outcome::Loaded(_, None)) {
                old.release_refresh();
            }
            drop(one_of_few);
        });
    }

    /// A load that is told what was found instead of an answer; nothing of what was purged.
    fn loading<V: Cacheable, L>(
        &self,
        load: impl FnOnce(Option<Cached<V>>) -> L + Send + 'static,
        found: Option<Arc<Entry>>,
    ) -> impl FnOnce() -> L + Send + 'static {
        let shared = self.shared.clone();
        // Judged when the load begins, after its base was captured: what has changed up to there is known by then.
        move || {
            load(found.filter(|entry| !shared.is_purged(entry)).and_then(|entry| {
                let is_outdated = !shared.is_valid(&entry);
                Cached::found(entry, is_outdated)
            }))
        }
    }

    /// Runs the load in a task of its own and waits for it. Says whether another node spared it.
    #[allow(clippy::too_many_arguments, reason = "what a load depends on; two of them are of its own types")]
    async fn lead<V, E, A, F, L>(
        &self,
        key: &Key<V>,
        policy: &Policy,
        accept: &A,
        lead: Lead,
        required: PositionSet,
        errand: Errand,
        load: F,
    ) -> (Outcome, bool)
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        A: Accept<V>,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let (shared, key, policy, accept) = (self.shared.clone(), key.clone(), *policy, accept.clone());
        let span = tracing::debug_span!("cache.load", cache.entity = key.raw().entity(), cache.tier = "loader");
        let flight =
            async move { shared.fly(&key, (&policy, &accept), lead, required, &errand, async { load().await }).await };
        tokio::spawn(flight.instrument(span)).await.unwrap_or((Outcome::Aborted, false))
    }
}

impl Shared {
    /// Joins a running load that is young enough for this reader, or begins one.
    pub(super) fn board(&self, key: &RawKey, known_tags: &[TagId], required: &PositionSet, share: Share) -> Seat {
        if let Share::Next(asked) = share {
            return self.flights.board_next(key, asked, self.frontier_of(key), TagIds::from_slice(known_tags));
        }
        let needed = required.in_partition(self.partition(key.tenant()));
        let may_join = |flight: &Flight| {
            let base = flight.base();
            self.sabotage.is(Sabotage::JoinUnjudged)
                || (self.may_serve(base, needed, &flight.known_tags) && self.may_serve(base, needed, known_tags))
        };
        self.flights.board(key, self.frontier_of(key), TagIds::from_slice(known_tags), may_join)
    }

    /// Notes that a reader waits for a flight; if the reader is a load, so that it does not wait for its turn.
    pub(super) fn joined(&self, key: &RawKey, join: &Join) {
        self.observers.tell(&Event::Joined { key });
        if scope::is_recording() && join.hasten() {
            self.refills.look_again();
        }
    }

    /// A load that nobody joins.
    pub(super) fn alone(&self, key: &RawKey) -> Lead {
        self.flights.alone(key, self.frontier_of(key))
    }
}
