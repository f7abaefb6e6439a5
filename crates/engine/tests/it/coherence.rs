//! The protocol's guarantee, over random interleavings, by the history checker; and that the checker can fail.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use unstale::{
    Cache, CacheLimits, ClockLimits, LeaseLimits, MemoryLimits, MemoryStore, Mode, Policy, PositionSet,
    position::PartitionCount,
    store::Store,
    testing::{DistantStore, Faults, Sabotage, Violation},
    time::ManualTime,
};

use crate::world::{FACTS, World, acme, read_page, read_page_picky};

const NODES: usize = 3;
const PAGES: u32 = 4;

/// How the nodes see the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology {
    /// In the same process: every read on every node is bound by every acknowledged write.
    Local,
    /// At a distance: a reader is bound by the writes whose positions it carries.
    Distant,
    /// At a distance, every read strict: bound by every acknowledged write again.
    DistantStrict,
    /// At a distance, but all writes and reads pass one node: bound by every acknowledged write, without positions.
    DistantOneNode,
    /// As `Distant`, but loads take time and values live short: nodes wait for each other's leases, which run out, and
    /// refresh early and in grace.
    DistantShortLived,
    /// The same, every read strict.
    StrictShortLived,
}

impl Topology {
    /// Whether a reader is bound only by the writes whose positions it carries.
    fn is_bound_by_positions(self) -> bool {
        matches!(self, Self::Distant | Self::DistantShortLived)
    }

    fn is_short_lived(self) -> bool {
        matches!(self, Self::DistantShortLived | Self::StrictShortLived)
    }

    fn policy(self) -> Policy {
        let mode = match self {
            Self::DistantStrict | Self::StrictShortLived => Mode::Strict,
            Self::DistantShortLived => Mode::Bounded(NAP_MAX),
            _ => Mode::Bounded(Duration::MAX),
        };
        if self.is_short_lived() {
            let policy = Policy::ttl(NAP_MAX * 4).grace(NAP_MAX * 4).fail_safe(NAP_MAX * 8);
            policy.early_refresh(300).load_timeout(NAP_MAX * 20).mode(mode)
        } else {
            Policy::ttl(Duration::from_secs(3600)).mode(mode)
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Read {
        node: usize,
        page: u32,
        /// The reader refuses some of what is right, by this.
        picky: Option<u64>,
    },
    Write {
        node: usize,
        facts: Vec<u32>,
    },
    /// Time goes by for the entries.
    Wait(u32),
    LoseStore,
    TrimLog,
    /// One key of the store alone, where it has keys.
    LoseKey(usize),
    Faults(u32),
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let node = 0..NODES;
    let step = prop_oneof![
        12 => (node.clone(), 0..PAGES, proptest::option::weighted(0.3, any::<u64>()))
            .prop_map(|(node, page, picky)| Step::Read { node, page, picky }),
        6 => (node, proptest::collection::vec(0..FACTS as u32, 1..3)).prop_map(|(node, facts)| Step::Write { node, facts }),
        2 => (1..4u32).prop_map(Step::Wait),
        1 => Just(Step::LoseStore),
        1 => Just(Step::TrimLog),
        1 => (0..8usize).prop_map(Step::LoseKey),
        1 => (0..3u32).prop_map(|level| Step::Faults(level * 15)),
    ];
    // Each inner list is a client of its own; they run side by side.
    proptest::collection::vec(proptest::collection::vec(step, 1..16), 2..6)
}

/// The store that all nodes share, and how to hurt it.
trait Shared: Send + Sync {
    /// What one more node sees of it.
    fn seen(&self) -> Arc<dyn Store>;
    fn lose(&self);
    fn trim_log(&self);
    fn lose_key(&self, which: usize);
}

const PARTITIONS: PartitionCount = PartitionCount::new(2).unwrap();
const LOG_RECORDS_MAX: usize = 8;
/// The longest nap of a load in the worlds where loads take time.
const NAP_MAX: Duration = Duration::from_millis(20);
/// Small, so that slots are shared, clocks trimmed and floors raised.
const CLOCKS: ClockLimits = ClockLimits { filter_slots: 4, exact_clocks_max: 4 };

/// In this process.
struct InMemory(Arc<MemoryStore>);

impl InMemory {
    fn new() -> Self {
        Self(Arc::new(MemoryStore::new(MemoryLimits {
            partitions: PARTITIONS,
            log_records_max: LOG_RECORDS_MAX,
            entry_bytes_max: 1 << 20,
            clocks: CLOCKS,
        })))
    }
}

impl Shared for InMemory {
    fn seen(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    fn lose(&self) {
        self.0.lose(PARTITIONS.of(&acme()));
    }

    fn trim_log(&self) {
        self.0.trim_log(PARTITIONS.of(&acme()));
    }

    fn lose_key(&self, _which: usize) {}
}

struct Cluster {
    world: Arc<World>,
    store: Box<dyn Shared>,
    distant: Vec<Arc<DistantStore>>,
    nodes: Vec<Cache>,
    time: Arc<ManualTime>,
    policy: Policy,
    topology: Topology,
}

impl Cluster {
    async fn new(topology: Topology, store: Box<dyn Shared>, seed: u64, sabotage: Sabotage) -> Self {
        // Shorter than some loads, so that leases run out.
        let lease = LeaseLimits { ttl: NAP_MAX / 2, wait_max: NAP_MAX * 2, ..LeaseLimits::default() };
        let limits = CacheLimits { clocks: CLOCKS, lease, ..CacheLimits::default() };
        let time = Arc::new(ManualTime::default());
        let mut nodes = Vec::new();
        let mut distant = Vec::new();
        for node in 0..NODES as u64 {
            let seen: Arc<dyn Store> = if topology == Topology::Local {
                store.seen()
            } else {
                let far = Arc::new(DistantStore::new(store.seen(), seed ^ node));
                distant.push(far.clone());
                far
            };
            let node = Cache::builder(seen).limits(limits).time(time.clone()).seed(seed ^ node).sabotage(sabotage);
            nodes.push(node.build().await.unwrap());
        }
        let world = if topology.is_short_lived() { World::slow(seed, NAP_MAX) } else { World::new(seed) };
        Self { world, store, distant, nodes, time, policy: topology.policy(), topology }
    }

    async fn client(self: Arc<Self>, name: String, steps: Vec<Step>) {
        // What this client knows to be written: it carries its positions, as a browser does.
        let mut positions = PositionSet::default();
        let mut promised_from = self.world.history.now();
        for step in steps {
            self.world.dawdle().await;
            match self.on_reachable_node(step) {
                Step::Read { node, page, picky } => {
                    let bound_by_all = !self.topology.is_bound_by_positions();
                    let promised_from = if bound_by_all { self.world.history.now() } else { promised_from };
                    let (world, cache, policy) = (&self.world, &self.nodes[node], &self.policy);
                    let read = match picky {
                        None => read_page(world, cache, policy, page, positions.clone()).await,
                        Some(salt) => read_page_picky(world, cache, policy, page, positions.clone(), salt).await,
                    };
                    let fetched = read.expect("the world's loads do not fail");
                    let saw = fetched.value().expect("every page has a value").saw.clone();
                    self.world.history.read(&format!("{name} on node {node}"), promised_from, saw);
                }
                Step::Write { node, facts } => {
                    if let Some(reached) = self.world.write(&self.nodes[node], &facts).await
                        && self.topology.is_bound_by_positions()
                    {
                        positions.extend(&reached);
                        promised_from = self.world.history.now();
                    }
                }
                Step::Wait(naps) => self.time.advance(NAP_MAX * naps),
                Step::LoseStore => self.store.lose(),
                Step::TrimLog => self.store.trim_log(),
                Step::LoseKey(which) => self.store.lose_key(which),
                Step::Faults(percent) => {
                    let faults = Faults { lost_requests_percent: percent, lost_answers_percent: percent };
                    self.distant.iter().for_each(|store| store.set_faults(faults));
                }
            }
        }
    }

    fn on_reachable_node(&self, step: Step) -> Step {
        match step {
            Step::Read { page, picky, .. } if self.topology == Topology::DistantOneNode => {
                Step::Read { node: 0, page, picky }
            }
            Step::Write { facts, .. } if self.topology == Topology::DistantOneNode => Step::Write { node: 0, facts },
            step => step,
        }
    }
}

fn run(topology: Topology, seed: u64, sabotage: Sabotage, clients: Vec<Vec<Step>>) -> Vec<Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run_over(Box::new(InMemory::new()), topology, seed, sabotage, clients))
}

async fn run_over(
    store: Box<dyn Shared>,
    topology: Topology,
    seed: u64,
    sabotage: Sabotage,
    clients: Vec<Vec<Step>>,
) -> Vec<Violation> {
    let cluster = Arc::new(Cluster::new(topology, store, seed, sabotage).await);
    let mut running = tokio::task::JoinSet::new();
    for (at, steps) in clients.into_iter().enumerate() {
        let steps = if topology.is_bound_by_positions() && at > 0 { without_writes(steps) } else { steps };
        running.spawn(cluster.clone().client(format!("client {at}"), steps));
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("a client ended");
    }
    cluster.world.history.violations()
}

/// At a distance a reader promises only what it carries: the checker is given one writer, whose reads carry all.
fn without_writes(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().filter(|step| !matches!(step, Step::Write { .. })).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, ..ProptestConfig::default() })]

    #[test]
    fn no_read_is_older_than_an_acknowledged_write(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Topology::Local, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn at_a_distance_a_reader_sees_the_writes_it_knows_of(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Topology::Distant, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn at_a_distance_a_strict_read_sees_every_acknowledged_write(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Topology::DistantStrict, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn where_nodes_wait_for_each_other_a_reader_sees_the_writes_it_knows_of(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Topology::DistantShortLived, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn where_nodes_wait_for_each_other_a_strict_read_sees_every_acknowledged_write(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Topology::StrictShortLived, seed, Sabotage::None, clients), vec![]);
    }

    #[test]
    fn a_node_sees_what_was_acknowledged_by_it_at_once(seed: u64, clients in steps()) {
        prop_assert_eq!(run(Topology::DistantOneNode, seed, Sabotage::None, clients), vec![]);
    }
}

/// A checker that has never failed proves nothing: every deliberate breach must be caught.
#[test]
fn every_breach_of_the_protocol_is_caught() {
    // The others need outages or clocks to be noticed: the simulation (`crates/sim`) notices every one.
    let breaches = [
        Sabotage::StampAfterLoad,
        Sabotage::JoinUnjudged,
        Sabotage::AcknowledgeEarly,
        Sabotage::ForgetRecordedTags,
        Sabotage::IgnoreEpoch,
    ];
    for sabotage in breaches {
        let caught = (0..400).find(|seed| {
            let topologies = [Topology::Local, Topology::DistantStrict, Topology::DistantOneNode];
            topologies.into_iter().any(|topology| !run(topology, *seed, sabotage, busy_clients(*seed)).is_empty())
        });
        assert!(caught.is_some(), "{sabotage:?} was not caught by the history checker in 400 runs");
    }
}

/// Many reads and writes of few pages, and now and then a lost store.
fn busy_clients(seed: u64) -> Vec<Vec<Step>> {
    let mut random: StdRng = StdRng::seed_from_u64(seed);
    let mut step = || match random.random_range(0..20) {
        0..12 => Step::Read { node: random.random_range(0..NODES), page: random.random_range(0..2), picky: None },
        12..19 => {
            Step::Write { node: random.random_range(0..NODES), facts: vec![random.random_range(0..FACTS as u32)] }
        }
        _ => Step::LoseStore,
    };
    (0..5).map(|_| (0..24).map(|_| step()).collect()).collect()
}

/// The same worlds over a real server, whose keys are lost one by one.
#[cfg(feature = "redis")]
mod on_redis {
    use proptest::test_runner::TestRunner;
    use unstale::RedisStore;

    use super::*;
    use unstale::testing::redis_server::{RedisServer, settings};

    const CASES: u32 = 64;
    const NAMESPACE: &str = "coherence";

    struct OnRedis(Arc<RedisServer>);

    impl Shared for OnRedis {
        /// A client of its own, with its own connections, as each process has.
        fn seen(&self) -> Arc<dyn Store> {
            let mut settings = settings(&self.0, NAMESPACE);
            settings.limits.partitions = PARTITIONS;
            settings.limits.log_records_max = LOG_RECORDS_MAX;
            settings.limits.clocks_max = CLOCKS.exact_clocks_max;
            Arc::new(RedisStore::new(settings).unwrap())
        }

        fn lose(&self) {
            self.0.run::<()>(&["FLUSHALL"]);
        }

        fn trim_log(&self) {
            self.0.delete(&format!("{{{NAMESPACE}:*}}:log"));
        }

        fn lose_key(&self, which: usize) {
            let keys = self.0.keys("*");
            if let Some(key) = keys.get(which % keys.len().max(1)) {
                self.0.run::<()>(&["DEL", key]);
            }
        }
    }

    fn run_on(
        server: &Arc<RedisServer>,
        topology: Topology,
        seed: u64,
        sabotage: Sabotage,
        clients: Vec<Vec<Step>>,
    ) -> Vec<Violation> {
        server.run::<()>(&["FLUSHALL"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run_over(Box::new(OnRedis(server.clone())), topology, seed, sabotage, clients))
    }

    fn check(topology: Topology) {
        let server = Arc::new(RedisServer::start());
        let mut runner = TestRunner::new(ProptestConfig { cases: CASES, ..ProptestConfig::default() });
        let ran = runner.run(&(any::<u64>(), steps()), |(seed, clients)| {
            prop_assert_eq!(run_on(&server, topology, seed, Sabotage::None, clients), vec![]);
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn a_reader_sees_the_writes_it_knows_of() {
        check(Topology::Distant);
    }

    #[test]
    fn a_strict_read_sees_every_acknowledged_write() {
        check(Topology::DistantStrict);
    }

    #[test]
    fn a_node_sees_what_was_acknowledged_by_it_at_once() {
        check(Topology::DistantOneNode);
    }

    #[test]
    fn breaches_are_caught_here_too() {
        let server = Arc::new(RedisServer::start());
        for sabotage in [Sabotage::StampAfterLoad, Sabotage::IgnoreEpoch] {
            let caught = (0..200).find(|seed| {
                // Where loads take time, much happens meanwhile, also when the server is slow to answer.
                let mut topologies = [Topology::DistantStrict, Topology::StrictShortLived].into_iter();
                topologies.any(|topology| !run_on(&server, topology, *seed, sabotage, busy_clients(*seed)).is_empty())
            });
            assert!(caught.is_some(), "{sabotage:?} was not caught by the history checker in 200 runs");
        }
    }
}
