//! Reading many entries with one look at the store and one load for all that are missing.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{
    Cache, Shared,
    fetched::{FetchError, Fetched, ReadOptions},
    find::Found,
    load::{Loaded, error_of},
    read::required,
};
use crate::{
    codec::Cacheable,
    entry::TagIds,
    flight::{Join, Lead, Outcome, Seat},
    key::Key,
    observe::Event,
    policy::Policy,
    position::PositionSet,
    scope::Recorder,
    verdict::{MissReason, Verdict},
};

impl Cache {
    /// Reads `keys`, all of one tenant; the answers are in their order.
    ///
    /// `load` gets the places (in `keys`) of those that nobody has or is loading, and brings one [`Loaded`] for each,
    /// in that order. What it records counts for all of them; give single tags with [`Loaded::tags`].
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
        assert!(
            keys.windows(2).all(|pair| pair[0].raw().tenant() == pair[1].raw().tenant()),
            "a batch is of one tenant"
        );
        let load = Arc::new(load);
        let mut answers: Vec<Option<Fetched<V>>> = keys.iter().map(|_| None).collect();
        for places in chunks(keys.len(), self.shared.limits.batch_keys_max) {
            let round = Round { cache: self, keys, policy, required: required(options), load: &load };
            round.run(places, &mut answers).await?;
        }
        Ok(answers.into_iter().map(|answer| answer.expect("every place was answered")).collect())
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
    reason: MissReason,
    known_tags: TagIds,
}

impl<V, F> Round<'_, V, F> {
    async fn run<E, L>(&self, places: Vec<usize>, answers: &mut [Option<Fetched<V>>]) -> Result<(), FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Vec<usize>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<Vec<Loaded<V>>, E>> + Send + 'static,
    {
        // Should the log be out of reach, values loaded below are based on the old frontier and refused by the rule.
        let _ = self.cache.shared.reach(&self.required).await;
        let mut missing = self.find(places, answers).await;
        let mut joins = Vec::new();
        let mut leads = Vec::new();
        for Missing { place, reason, known_tags } in missing.drain(..) {
            let key = self.keys[place].raw();
            match self.cache.shared.board(key, &known_tags, &self.required) {
                Seat::Lead(lead) => leads.push((place, reason, lead)),
                Seat::Full => leads.push((place, reason, self.cache.shared.alone(key))),
                Seat::Join(join) => {
                    self.cache.shared.observers.tell(&Event::Joined { key });
                    joins.push((place, reason, join));
                }
            }
        }
        self.lead(leads, answers).await?;
        let again = self.join(joins, answers).await?;
        let leads =
            again.into_iter().map(|(place, reason)| (place, reason, self.cache.shared.alone(self.keys[place].raw())));
        self.lead(leads.collect(), answers).await
    }

    /// Answers what memory and store hold; returns the rest.
    async fn find(&self, places: Vec<usize>, answers: &mut [Option<Fetched<V>>]) -> Vec<Missing>
    where
        V: Cacheable,
    {
        let mut missing = Vec::new();
        let keys: Vec<&Key<V>> = places.iter().map(|place| &self.keys[*place]).collect();
        let found = self.cache.shared.find_many(&keys, self.policy).await;
        for (place, found) in places.into_iter().zip(found) {
            let key = &self.keys[place];
            match found {
                Found::Answer(entry, verdict) => answers[place] = Some(self.cache.answer(key.raw(), entry, verdict)),
                Found::Refresh(entry, reason, mine) => {
                    if mine {
                        // A batch refreshes nothing in the background: the next single read does.
                        entry.release_refresh();
                    }
                    answers[place] = Some(self.cache.answer(key.raw(), entry, Verdict::Stale(reason)));
                }
                Found::Nothing(reason, old) => {
                    let known_tags = old.map_or_else(TagIds::new, |old| TagIds::from_slice(old.entry.tags()));
                    missing.push(Missing { place, reason, known_tags });
                }
            }
        }
        missing
    }

    /// Loads all of `leads` at once.
    async fn lead<E, L>(
        &self,
        leads: Vec<(usize, MissReason, Lead)>,
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
        let places: Vec<(usize, MissReason)> = leads.iter().map(|(place, reason, _)| (*place, *reason)).collect();
        let leads = leads.into_iter().map(|(place, _, lead)| (self.keys[place].clone(), lead)).collect();
        let asked = places.iter().map(|(place, _)| *place).collect();
        let (shared, load, policy) = (self.cache.shared.clone(), self.load.clone(), *self.policy);
        let required = self.required.clone();
        let flight = async move { shared.fly_many(leads, &policy, required, async { load(asked).await }).await };
        let span = tracing::debug_span!("cache.load_many", cache.tier = "loader");
        let outcomes = tokio::spawn(flight.instrument(span)).await.map_err(|_| FetchError::Aborted)?;
        for ((place, reason), outcome) in places.into_iter().zip(outcomes) {
            answers[place] =
                Some(self.cache.landed(self.keys[place].raw(), outcome, Verdict::Miss(reason), None, false)?);
        }
        Ok(())
    }

    /// Waits for the loads of others; returns the places where they brought nothing that may be used.
    async fn join<E>(
        &self,
        joins: Vec<(usize, MissReason, Join)>,
        answers: &mut [Option<Fetched<V>>],
    ) -> Result<Vec<(usize, MissReason)>, FetchError<E>>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
    {
        let mut again = Vec::new();
        for (place, reason, join) in joins {
            let key = self.keys[place].raw();
            match join.outcome().await {
                Outcome::Loaded(entry, not_stored) if self.cache.shared.may_share(key, &entry, not_stored) => {
                    let outcome = Outcome::Loaded(entry, not_stored);
                    answers[place] = Some(self.cache.landed(key, outcome, Verdict::Miss(reason), None, true)?);
                }
                Outcome::Loaded(..) | Outcome::Aborted => again.push((place, reason)),
                failed => return Err(error_of(&failed)),
            }
        }
        Ok(again)
    }
}

impl Shared {
    /// Runs one load for many keys and lands all their flights, whatever becomes of it.
    async fn fly_many<V, E, L>(
        self: &Arc<Self>,
        leads: Vec<(Key<V>, Lead)>,
        policy: &Policy,
        required: PositionSet,
        load: L,
    ) -> Vec<Outcome>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        L: Future<Output = Result<Vec<Loaded<V>>, E>>,
    {
        let tenant = leads[0].0.raw().tenant().clone();
        let recorder = Arc::new(Recorder::new(tenant.clone(), required.clone()));
        let began = tokio::time::Instant::now();
        let all = async { load.await.map(Loaded::value) };
        let loaded = self.run::<Vec<Loaded<V>>, E, _>(policy, &recorder, all).await;
        let took = began.elapsed();
        let loaded = match loaded.map(|loaded| loaded.value.expect("it was wrapped as a value")) {
            Ok(loaded) if loaded.len() == leads.len() => loaded,
            other => {
                let failed = other.err().unwrap_or(Outcome::Aborted);
                return self.land_all(leads, took, &failed);
            }
        };
        let mut outcomes = Vec::with_capacity(leads.len());
        for ((key, lead), loaded) in leads.into_iter().zip(loaded) {
            let own = Recorder::beside(&recorder);
            let landed = self.keep(&key, policy, lead.base(), loaded, &own).await;
            self.observers.tell(&Event::Loaded { key: key.raw(), took, not_stored: landed.not_stored });
            let outcome = Outcome::Loaded(landed.entry, landed.not_stored);
            lead.land(outcome.clone());
            outcomes.push(outcome);
        }
        outcomes
    }

    fn land_all<V>(&self, leads: Vec<(Key<V>, Lead)>, took: std::time::Duration, failed: &Outcome) -> Vec<Outcome> {
        leads
            .into_iter()
            .map(|(key, lead)| {
                self.observers.tell(&Event::LoadFailed { key: key.raw(), took });
                lead.land(failed.clone());
                failed.clone()
            })
            .collect()
    }
}
