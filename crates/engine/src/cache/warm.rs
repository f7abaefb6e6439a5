//! Warming: reading what will be wanted before somebody waits for it, within a budget.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future, stream};
use tokio::time::Instant;

use super::{
    Cache,
    fetched::{Fetched, ReadOptions},
    load::Loaded,
};
use crate::{codec::Cacheable, key::Key, policy::Policy, verdict::Verdict};

/// How much a [`Cache::warm`] may take.
#[derive(Clone, Copy, Debug)]
pub struct WarmBudget {
    /// Loads at once.
    pub loads_max: usize,
    /// How long it may begin new ones.
    pub time_max: Duration,
}

impl Default for WarmBudget {
    fn default() -> Self {
        Self { loads_max: 8, time_max: Duration::from_secs(30) }
    }
}

/// What became of the keys of a [`Cache::warm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warmed {
    /// Were there already, fresh or being refreshed, or came from another node.
    pub present: usize,
    /// Were loaded.
    pub loaded: usize,
    /// Could not be loaded: their next readers try again.
    pub failed: usize,
    /// Were not begun, because the time was over.
    pub left_out: usize,
}

impl WarmBudget {
    /// Makes these reads within the budget, in their order: for values of several types, where [`Cache::warm`] has one.
    /// Each says what became of it ([`Warmed::of`]).
    pub async fn spend<R>(self, reads: impl IntoIterator<Item = R>) -> Warmed
    where
        R: Future<Output = Warmed>,
    {
        let until = Instant::now() + self.time_max;
        stream::iter(reads)
            .map(|read| begin_before(until, read))
            .buffer_unordered(self.loads_max.max(1))
            .fold(Warmed::default(), |sum, one| future::ready(sum.with(one)))
            .await
    }
}

async fn begin_before(until: Instant, read: impl Future<Output = Warmed>) -> Warmed {
    if Instant::now() >= until { Warmed { left_out: 1, ..Warmed::default() } } else { read.await }
}

impl Cache {
    /// Reads `keys` so that the next readers find them: at start, after a sign-in, after a broad invalidation.
    ///
    /// First those whose last value in this node's memory was read again after its load, then the others, each in the
    /// order given. Readers come before: within the budget of refills ([`RefillLimits`](crate::RefillLimits)) a load
    /// that somebody waits for goes first. Ends early, and leaves running loads to themselves, when it is dropped.
    pub async fn warm<V, E, F, L>(&self, keys: Vec<Key<V>>, policy: &Policy, budget: WarmBudget, load: F) -> Warmed
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Key<V>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let load = Arc::new(load);
        let options = ReadOptions::default();
        let reads = self.hot_first(keys).into_iter().map(|key| {
            let (load, options) = (load.clone(), &options);
            async move {
                let own = key.clone();
                Warmed::of(&self.fetch(&key, policy, options, move || load(own)).await)
            }
        });
        budget.spend(reads).await
    }

    fn hot_first<V>(&self, keys: Vec<Key<V>>) -> Vec<Key<V>> {
        let was_used = |key: &Key<V>| self.shared.l1.get(key.raw()).is_some_and(|entry| entry.is_used());
        let (mut hot, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(was_used);
        hot.extend(others);
        hot
    }
}

impl Warmed {
    /// What became of one read.
    pub fn of<V, E>(read: &Result<Fetched<V>, E>) -> Self {
        match read {
            Err(_) => Self { failed: 1, ..Self::default() },
            Ok(Fetched { verdict: Verdict::Miss(_) | Verdict::Bypass(_), collapsed: false, .. }) => {
                Self { loaded: 1, ..Self::default() }
            }
            Ok(_) => Self { present: 1, ..Self::default() },
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            present: self.present + other.present,
            loaded: self.loaded + other.loaded,
            failed: self.failed + other.failed,
            left_out: self.left_out + other.left_out,
        }
    }
}
