//! Reading many entries with one look at the store and one load for all that are missing.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::{
    Cache,
    accept::Anything,
    batch_turn::{BatchTurn, Landing, Led},
    fetched::{FetchError, Fetched, ReadOptions},
    find::{Found, Lack, Old, Share},
    load::Loaded,
    patience::Patience,
    read::bypass,
    turn::Errand,
};
use crate::{
    codec::Cacheable,
    entry::TagIds,
    flight::{Join, Outcome, Seat},
    key::Key,
    policy::Policy,
    position::PositionSet,
    verdict::{BypassReason, Verdict},
};

impl Cache {
    /// Reads `keys`, all of one tenant; the answers are in their order.
    ///
    /// `load` gets the places (in `keys`) of those that nobody has or is loading, and brings one [`Loaded`] for each,
    /// in that order. What it records counts for all of them; give single tags with [`Loaded::tags`].
    ///
    /// Should it fail, each of them is answered with its old value where the policy's fail-safe allows that; the batch
    /// fails if one is not.
    ///
    /// # Panics
    /// If the keys are of different tenants.
    pub async fn fetch_many<V, E, F, L>(
        &self,
        keys: &[Key<V>],
        policy: &Policy,
        options: &ReadOptions,
        load: F,
    ) -> Result<Vec<Fetched<V>>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Vec<usize>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<Vec<Loaded<V>>, E>> + Send + 'static,
    {
        let Some(tenant) = keys.first().map(|key| key.raw().tenant()) else { return Ok(Vec::new()) };
        assert!(
            keys.windows(2).all(|pair| pair[0].raw().tenant() == pair[1].raw().tenant()),
            "a batch is of one tenant"
        );
        // Boxed: it is large, and whoever reads would carry it.
        Box::pin(async move {
            let (policy, required) = self.shared.demands(policy, tenant, options);
            let (policy, load) = (&policy, &Arc::new(load));
            let mut answers: Vec<Option<Fetched<V>>> = keys.iter().map(|_| None).collect();
            let round = Round { cache: self, keys, policy, required, load };
            for places in chunks(keys.len(), self.shared.limits.batch_keys_max) {
                round.run(places, &mut answers).await?;
            }
            Ok(answers.into_iter().map(|answer| answer.expect("every place was answered")).collect())
        })
        .await
    }
}

fn chunks(count: usize, size: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..count).step_by(size.max(1)).map(move |first| (first..count.min(first + size.max(1))).collect())
}

/// What stays the same while a batch is answered.
struct Round<'a, V, F> {
    cache: &'a Cache,
    keys: &'a [Key<V>],
    policy: &'a Policy,
    required: PositionSet,
    load: &'a Arc<F>,
}

/// A place whose value must be loaded.
struct Missing {
    place: usize,
    old: Option<Old>,
    errand: Errand,
}

/// A place that another's load may answer: why it was missing, and what was there.
type Unanswered = (usize, Verdict, Option<Old>);

impl<V, F> Round<'_, V, F> {
    async fn run<E, L>(&self, mut places: Vec<usize>, answers: &mut [Option<Fetched<V>>]) -> Result<(), FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Vec<usize>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<Vec<Loaded<V>>, E>> + Send + 'static,
    {
        let mut leads = Vec::new();
        places.retain(|place| {
            let bypass = bypass(self.keys[*place].raw(), self.policy);
            leads.extend(bypass.map(|reason| self.alone(*place, Verdict::Bypass(reason), None)));
            bypass.is_none()
        });
        let patience = self.cache.shared.patience();
        let mut missing = if self.cache.shared.reach(&self.required, patience).await.is_ok() {
            self.find(places, answers, patience).await
        } else {
            let verdict = Verdict::Bypass(BypassReason::OutOfReach);
            let missing = |place| Missing {
                place,
                old: None,
                errand: Errand::read(&Lack { verdict, old: None, share: Share::Next(patience.asked()) }, false),
            };
            places.into_iter().map(missing).collect()
        };
        // Of one partition, all of them are found under the same conditions.
        let past_cache = || {
            let tenant = self.keys.first().map(|key| key.raw().tenant());
            tenant.map_or(Share::ByRule, |tenant| self.cache.shared.share_past_cache(tenant, self.policy))
        };
        let share = missing.first().map_or_else(past_cache, |missing| missing.errand.share());
        let mut joins = Vec::new();
        // Of all that are led, the one for which the budget of refills is asked, if any is.
        let mut errand_of_all: Option<Errand> = None;
        for Missing { place, old, errand } in missing.drain(..) {
            let (key, verdict) = (&self.keys[place], errand.verdict());
            let known_tags = old.as_ref().map_or_else(TagIds::new, |old| TagIds::from_slice(old.entry.tags()));
            match self.cache.shared.board(key.raw(), &known_tags, &self.required, share) {
                Seat::Lead(lead) => {
                    if errand.is_refill() || errand_of_all.is_none() {
                        errand_of_all = Some(errand);
                    }
                    leads.push(Led::new(place, (verdict, old), key.clone(), lead));
                }
                Seat::Full => leads.push(self.alone(place, Verdict::Bypass(BypassReason::TooManyWaiters), old)),
                Seat::Join(join) => {
                    self.cache.shared.joined(key.raw(), &join);
                    joins.push(((place, verdict, old), join));
                }
            }
        }
        self.lead(leads, errand_of_all.unwrap_or_else(|| Errand::alone(share)), answers).await?;
        let again = self.join(joins, share, answers).await?;
        let again = again.into_iter().map(|(place, verdict, old)| self.alone(place, verdict, old)).collect();
        self.lead(again, Errand::alone(share), answers).await
    }

    fn alone(&self, place: usize, verdict: Verdict, old: Option<Old>) -> Led<V> {
        let key = &self.keys[place];
        Led::alone(place, (verdict, old), key.clone(), self.cache.shared.alone(key.raw()))
    }

    /// Answers what memory and store hold; returns the rest.
    async fn find(&self, places: Vec<usize>, answers: &mut [Option<Fetched<V>>], patience: Patience) -> Vec<Missing>
    where
        V: Cacheable,
    {
        let mut missing = Vec::new();
        let keys: Vec<&Key<V>> = places.iter().map(|place| &self.keys[*place]).collect();
        let found = self.cache.shared.find_many(&keys, self.policy, &Anything, patience).await;
        for (place, found) in places.into_iter().zip(found) {
            let key = &self.keys[place];
            match found {
                Found::Answer(entry, verdict) => answers[place] = Some(self.cache.answer(key.raw(), entry, verdict)),
                Found::Refresh(entry, verdict, mine) => {
                    if mine {
                        // A batch refreshes nothing in the background: the next single read does.
                        entry.release_refresh();
                    }
                    answers[place] = Some(self.cache.answer(key.raw(), entry, verdict));
                }
                Found::Nothing(lack) => {
                    let errand = Errand::read(&lack, self.cache.shared.is_busy(patience));
                    missing.push(Missing { place, old: lack.old, errand });
                }
            }
        }
        missing
    }

    /// Lands all of `leads`: what this node has the leases of is loaded at once, what others load is waited for.
    async fn lead<E, L>(
        &self,
        leads: Vec<Led<V>>,
        errand: Errand,
        answers: &mut [Option<Fetched<V>>],
    ) -> Result<(), FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Vec<usize>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<Vec<Loaded<V>>, E>> + Send + 'static,
    {
        if leads.is_empty() {
            return Ok(());
        }
        let turn = BatchTurn {
            shared: self.cache.shared.clone(),
            policy: *self.policy,
            required: self.required.clone(),
            errand,
            load: self.load.clone(),
        };
        let flight = async move { turn.fly(leads).await }.boxed();
        let span = tracing::debug_span!("cache.load_many", cache.tier = "loader");
        let landings = tokio::spawn(flight.instrument(span)).await.map_err(|_| FetchError::Aborted)?;
        for Landing { place, verdict, old, outcome, spared } in landings {
            let key = self.keys[place].raw();
            answers[place] = Some(self.cache.landed(key, outcome, verdict, old, &Anything, spared)?);
        }
        Ok(())
    }

    /// Waits for the loads of others; returns the places where they brought nothing that may be used.
    async fn join<E>(
        &self,
        joins: Vec<(Unanswered, Join)>,
        share: Share,
        answers: &mut [Option<Fetched<V>>],
    ) -> Result<Vec<Unanswered>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
    {
        let mut again = Vec::new();
        for ((place, verdict, old), join) in joins {
            let (key, flight) = (self.keys[place].raw(), join.flight().clone());
            match join.outcome().await {
                Outcome::Loaded(entry, not_stored)
                    if self.cache.shared.may_share(&flight, (&entry, not_stored), share) =>
                {
                    let outcome = Outcome::Loaded(entry, not_stored);
                    answers[place] = Some(self.cache.landed(key, outcome, verdict, None, &Anything, true)?);
                }
                Outcome::Loaded(..) | Outcome::Aborted => again.push((place, verdict, old)),
                failed => answers[place] = Some(self.cache.landed(key, failed, verdict, old, &Anything, true)?),
            }
        }
        Ok(again)
    }
}
