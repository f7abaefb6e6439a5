//! A node that is cut off from its store, over random interleavings, by the history checker; and that the checker can
//! fail.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use unstale::{
    BreakerLimits, Cache, CacheLimits, FetchError, Invalidation, Loaded, MemoryLimits, MemoryStore, Mode,
    PendingLimits, PositionSet, ReadOptions, Resilience,
    position::PartitionCount,
    store::Store,
    testing::{DistantStore, Faults, Sabotage, Violation},
};

use crate::{
    resilience::{AWAY, POLICY, STRICT, tag},
    world::{FACTS, World, acme, page, read_page},
};

/// What a client of the property tests does.
#[derive(Clone, Debug)]
enum Step {
    Read {
        node: usize,
        page: u32,
    },
    Write(Vec<u32>),
    Purge(Vec<u32>),
    /// The second node's store.
    Faults(Faults),
    Lose,
    Trim,
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let faults = |lost_requests_percent, lost_answers_percent| Faults { lost_requests_percent, lost_answers_percent };
    let step = prop_oneof![
        12 => (0..2usize, 0..3u32).prop_map(|(node, page)| Step::Read { node, page }),
        6 => proptest::collection::vec(0..FACTS as u32, 1..3).prop_map(Step::Write),
        3 => proptest::collection::vec(0..FACTS as u32, 1..3).prop_map(Step::Purge),
        3 => prop_oneof![Just(AWAY), Just(Faults::default()), Just(faults(0, 100)), Just(faults(30, 30))].prop_map(Step::Faults),
        1 => Just(Step::Lose),
        1 => Just(Step::Trim),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 1..20), 2..6)
}

/// Who is bound by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Strict reads on both nodes, of which the second may be cut off, see what the first one was acknowledged.
    Strict,
    /// Reads on the node that writes, and may be cut off, see also what waits for the store.
    OwnWrites,
    /// Reads there that do not mind staleness see what was purged there, also where that waits.
    OwnPurges,
}

struct Pair {
    promise: Promise,
    world: Arc<World>,
    near: Arc<MemoryStore>,
    far: Arc<DistantStore>,
    nodes: [Cache; 2],
}

impl Pair {
    async fn new(promise: Promise, seed: u64, sabotage: Sabotage) -> Arc<Self> {
        let limits = MemoryLimits {
            partitions: PartitionCount::new(2).unwrap(),
            entry_bytes_max: 1 << 20,
            log_records_max: 8,
            ..MemoryLimits::default()
        };
        let near = Arc::new(MemoryStore::new(limits));
        let well = Arc::new(DistantStore::new(near.clone(), seed));
        let far = Arc::new(DistantStore::new(near.clone(), seed ^ 1));
        // Time stands: a breaker lets probes through at once, or only when the log was heard to move.
        let open_for = if seed.is_multiple_of(2) { Duration::ZERO } else { Duration::from_secs(3600) };
        let breaker =
            BreakerLimits { failures_max: 3, open_for, sign_of_life_after: Duration::ZERO, ..BreakerLimits::default() };
        let guard = Resilience { breaker, ..Resilience::default() };
        let pending = PendingLimits { records_max: 4, ..PendingLimits::default() };
        let limits = CacheLimits { pending, ..CacheLimits::default() };
        let node = async |store: Arc<DistantStore>| {
            Cache::builder(store).limits(limits).resilience(guard).seed(seed).sabotage(sabotage).build().await.unwrap()
        };
        let nodes = [node(well).await, node(far.clone()).await];
        Arc::new(Self { promise, world: World::new(seed), near, far, nodes })
    }

    async fn client(self: Arc<Self>, name: String, steps: Vec<Step>) {
        let own = self.promise != Promise::Strict;
        let purges = self.promise == Promise::OwnPurges;
        for step in steps {
            self.world.dawdle().await;
            match step {
                Step::Read { node, page } => self.read(&name, if own { 1 } else { node }, page).await,
                // Nobody is promised anything of it.
                Step::Write(facts) if purges => _ = self.world.change(&self.nodes[1], &facts, false).await,
                Step::Purge(facts) if own => _ = self.world.purge_here(&self.nodes[1], &facts).await,
                Step::Write(facts) if own => _ = self.world.write_here(&self.nodes[1], &facts).await,
                Step::Purge(facts) | Step::Write(facts) => _ = self.world.write(&self.nodes[0], &facts).await,
                Step::Faults(faults) => self.far.set_faults(faults),
                Step::Lose => self.near.lose(self.near.partitions().of(&acme())),
                Step::Trim => self.near.trim_log(self.near.partitions().of(&acme())),
            }
        }
    }

    async fn read(&self, name: &str, node: usize, number: u32) {
        let promised_from = self.world.history.now();
        let patient = POLICY.mode(Mode::Bounded(Duration::MAX));
        let stale = POLICY.mode(Mode::StaleOk(Duration::MAX));
        let saw = if self.promise == Promise::Strict {
            // A page that is made of another, whose own policy would be content with memory.
            let (world, cache) = (self.world.clone(), self.nodes[node].clone());
            let load = move || async move {
                let inner = read_page(&world, &cache, &patient, number, PositionSet::default()).await?;
                Ok::<_, FetchError<String>>(Loaded::value(inner.value().expect("a page").clone()))
            };
            let (key, options) = (page(&acme(), number + 100), ReadOptions::default());
            let outer = self.nodes[node].fetch(&key, &STRICT, &options, load).await;
            outer.map_err(|error| match error {
                FetchError::Load(inner) => inner,
                _ => FetchError::Aborted,
            })
        } else {
            let policy = if self.promise == Promise::OwnPurges { stale } else { patient };
            read_page(&self.world, &self.nodes[node], &policy, number, PositionSet::default()).await
        };
        let saw = saw.expect("the world's loads do not fail").value().expect("a page").saw.clone();
        self.world.history.read(&format!("{name} on node {node}"), promised_from, saw);
    }
}

fn run(promise: Promise, seed: u64, sabotage: Sabotage, clients: Vec<Vec<Step>>) -> Vec<Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let pair = Pair::new(promise, seed, sabotage).await;
        let mut running = tokio::task::JoinSet::new();
        for (at, steps) in clients.into_iter().enumerate() {
            running.spawn(pair.clone().client(format!("client {at}"), steps));
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("a client ended");
        }
        // The store is well again: what waits is recorded, and nothing is stale then either.
        pair.far.set_faults(Faults::default());
        let other = pair.nodes[0].invalidate(&Invalidation::of([tag()])).await;
        other.expect("the first node's store was never away");
        while pair.nodes[1].pending_invalidations() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for page in 0..3 {
            pair.read("afterwards", 1, page).await;
        }
        pair.world.history.violations()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_node_that_is_cut_off_serves_strict_readers_nothing_old(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Promise::Strict, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn a_node_that_does_not_mind_staleness_gives_nothing_that_was_purged_there(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Promise::OwnPurges, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn a_node_sees_its_own_writes_also_those_that_wait(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Promise::OwnWrites, seed, Sabotage::None, clients), vec![]);
    }
}

/// A checker that has never failed proves nothing.
#[test]
fn breaches_that_show_only_without_a_store_are_caught() {
    for sabotage in Sabotage::AWAY {
        let caught = (0..400).find(|seed| {
            [Promise::Strict, Promise::OwnWrites]
                .into_iter()
                .any(|promise| !run(promise, *seed, sabotage, busy_clients(*seed)).is_empty())
        });
        assert!(caught.is_some(), "{sabotage:?} was not caught by the history checker in 400 runs");
    }
}

/// Both of what a node must keep in mind for that.
#[test]
fn a_purge_that_is_taken_for_an_invalidation_is_caught() {
    for sabotage in [Sabotage::ForgetPurges, Sabotage::ServePending] {
        let caught = (0..400).find(|seed| !run(Promise::OwnPurges, *seed, sabotage, busy_clients(*seed)).is_empty());
        assert!(caught.is_some(), "{sabotage:?} was not caught by the history checker in 400 runs");
    }
}

fn busy_clients(seed: u64) -> Vec<Vec<Step>> {
    let mut random: StdRng = StdRng::seed_from_u64(seed);
    let mut step = || match random.random_range(0..20) {
        0..12 => Step::Read { node: 1, page: random.random_range(0..2) },
        12..15 => Step::Write(vec![random.random_range(0..FACTS as u32)]),
        15..18 => Step::Purge(vec![random.random_range(0..FACTS as u32)]),
        18 => Step::Faults(AWAY),
        _ => Step::Faults(Faults::default()),
    };
    (0..5).map(|_| (0..24).map(|_| step()).collect()).collect()
}
