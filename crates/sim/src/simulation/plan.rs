//! What a run is like: drawn from its seed, so that runs differ in more than their order.

use std::time::Duration;

use unstale::{
    BreakerLimits, BreakerPer, CacheLimits, ClockLimits, L1Limits, PendingLimits, Resilience, position::PartitionCount,
};

use super::{
    dice::Dice,
    store::{Places, StoreLimits, Weather},
};

/// What may go wrong in a run. Each run draws some of them: all at once would hide what two alone can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A node is cut off from the store, and comes back.
    Cut,
    /// A node is cut off from one partition: from one master of several.
    CutPartition,
    /// A node's process dies, and another begins in its place.
    Crash,
    /// Requests, answers and wake-ups of a node are lost or late, for a while.
    Storm,
    /// The store takes its time: up to 30 seconds.
    Stall,
    /// The store refuses.
    Refusal,
    /// The store loses one key.
    Evict,
    /// The store restarts empty.
    Empty,
    /// The store restarts from a snapshot.
    Snapshot,
    /// The replica takes over and the newest writes are lost.
    Failover,
    /// A node's clock jumps forward, or back.
    ClockJump,
    /// Loads fail.
    DatabaseDown,
    /// Loads take seconds.
    DatabaseSlow,
}

impl Fault {
    pub(crate) const ALL: [Self; 13] = [
        Self::Cut,
        Self::CutPartition,
        Self::Crash,
        Self::Storm,
        Self::Stall,
        Self::Refusal,
        Self::Evict,
        Self::Empty,
        Self::Snapshot,
        Self::Failover,
        Self::ClockJump,
        Self::DatabaseDown,
        Self::DatabaseSlow,
    ];
}

/// The longest a load may take before its readers are told.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(2);
/// The most that a clock is off when a run begins, as a rule.
const SKEW_MS_MAX: i64 = 2000;
/// The same where one is set to another time altogether.
const FAR_AHEAD_MS: i64 = 60_000;
/// The most that it jumps.
pub(crate) const JUMP_MS_MAX: i64 = 20_000;
/// The most that it runs fast or slow.
pub(crate) const DRIFT_PPM_MAX: i64 = 5000;

/// A run.
#[allow(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) tenants: usize,
    pub(crate) partitions: PartitionCount,
    pub(crate) store: StoreLimits,
    pub(crate) cache: CacheLimits,
    pub(crate) clients: usize,
    pub(crate) steps: usize,
    /// The bound of reads in bounded mode.
    pub(crate) bound: Duration,
    /// How old a value may be for readers who do not mind.
    pub(crate) stale_ok: Duration,
    pub(crate) faults: Vec<Fault>,
    pub(crate) faults_every_ms: u64,
    pub(crate) weather: Weather,
    /// Only nodes of odd numbers have that weather, and nobody writes through them: a record of their own, which they need
    /// not be told of, would come before older ones.
    pub(crate) half_the_nodes_have_it: bool,
    /// How nodes behave towards a store that fails or is slow; none: they wait as long as it takes.
    pub(crate) resilience: Option<Resilience>,
    pub(crate) replica_lag_ms_max: u64,
    pub(crate) think_ms_max: u64,
    /// Of a hundred writes, how many are not reads instead.
    pub(crate) writes_percent: u32,
    pub(crate) loads_failing_percent: u32,
    /// Nodes of odd numbers run another build, whose pages have another schema.
    pub(crate) two_builds: bool,
    /// Clocks are off, and run fast or slow.
    pub(crate) skewed: bool,
    /// The most that one is off when the run begins.
    pub(crate) skew_ms_max: i64,
    /// Clocks of nodes of odd numbers are ahead by as much as that, the others right; and ways are short.
    pub(crate) far_ahead: bool,
    /// Most reads are of two pages.
    pub(crate) hot: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &Dice) -> Self {
        let calm = dice.percent(5);
        let kinds = if calm { 0 } else { dice.pick(1..6) };
        let faults = (0..kinds).map(|_| *dice.one(&Fault::ALL)).collect();
        let stormy = !calm && dice.percent(30);
        let weather = Weather {
            cut: false,
            cut_partitions: Places::NONE,
            lost_requests_percent: if stormy { dice.pick(0..8) } else { 0 },
            lost_answers_percent: if stormy { dice.pick(0..8) } else { 0 },
            lost_wakes_percent: *dice.one(&[0, 0, 20, 100]),
            doubled_percent: if stormy { dice.pick(0..20) } else { 0 },
            slow_percent: *dice.one(&[0, 0, 2, 20]),
            late_pages_percent: 0,
            refused_pages_percent: 0,
            wakes_lag_ms: 0,
        };
        let tiny = dice.percent(40);
        let mut plan = Self {
            nodes: dice.pick(2..6),
            tenants: dice.pick(1..4),
            partitions: PartitionCount::new(*dice.one(&[1, 2, 4])).expect("powers of two"),
            store: StoreLimits { log_records_max: *dice.one(&[2, 8, 64, 1024]), clocks_max: *dice.one(&[4, 16, 1024]) },
            cache: CacheLimits {
                l1: L1Limits {
                    bytes_max: if tiny { 4096 } else { 1 << 20 },
                    tenant_bytes_max: if tiny { 2048 } else { 1 << 19 },
                    value_bytes_max: 1024,
                    ..L1Limits::default()
                },
                clocks: ClockLimits { filter_slots: *dice.one(&[1, 4, 64]), exact_clocks_max: *dice.one(&[2, 8, 256]) },
                waiters_max: *dice.one(&[1, 1000, 1000]),
                batch_keys_max: *dice.one(&[2, 1000]),
                // The world has an outbox, which repeats what was not recorded.
                pending: PendingLimits { records_max: 0, ..PendingLimits::default() },
                ..CacheLimits::default()
            },
            clients: dice.pick(3..9),
            steps: dice.pick(12..40),
            bound: Duration::from_millis(*dice.one(&[50, 300, 1000])),
            stale_ok: Duration::from_millis(*dice.one(&[500, 3000])),
            faults,
            faults_every_ms: dice.pick(50..1500),
            weather,
            half_the_nodes_have_it: false,
            resilience: None,
            replica_lag_ms_max: *dice.one(&[0, 5, 500, 5000]),
            think_ms_max: *dice.one(&[2, 20, 300]),
            writes_percent: 100,
            loads_failing_percent: *dice.one(&[0, 0, 5, 20]),
            two_builds: dice.percent(15),
            skewed: dice.percent(50),
            skew_ms_max: SKEW_MS_MAX,
            far_ahead: false,
            hot: dice.percent(30),
        };
        match dice.pick(0..12) {
            0 => plan.slow_ways(dice),
            1 => plan.slow_loads_of_lonely_nodes(dice),
            2 => plan.lost_keys(),
            3 => plan.late_pages(dice),
            4 => plan.old_words(),
            5 => plan.lonely_partitions(dice),
            6 => plan.a_clock_far_ahead(),
            _ => {}
        }
        if dice.percent(30) {
            plan.guard_the_store(dice);
        }
        plan
    }

    /// A run in which nothing goes wrong.
    pub(crate) fn calm(dice: &Dice) -> Self {
        let plan = Self::draw(dice);
        let weather = Weather::default();
        let calm = Self { faults: Vec::new(), weather, loads_failing_percent: 0, ..plan };
        let calm = Self { two_builds: false, skewed: false, resilience: None, writes_percent: 100, ..calm };
        Self { skew_ms_max: SKEW_MS_MAX, far_ahead: false, ..calm }
    }

    /// The weather of a node.
    pub(crate) fn weather_of(&self, node: usize) -> Weather {
        if self.half_the_nodes_have_it && node.is_multiple_of(2) { Weather::default() } else { self.weather }
    }

    /// Where one writes who is at this node.
    pub(crate) fn writers_node(&self, at: usize) -> usize {
        if self.half_the_nodes_have_it { at & !1 } else { at }
    }

    /// Nodes have breaker, time-outs and repetitions, and go on without a store that fails or is slow. In half of such
    /// runs they also keep the invalidations that it does not take.
    fn guard_the_store(&mut self, dice: &Dice) {
        let millis = |of: &[u64]| Duration::from_millis(*dice.one(of));
        self.resilience = Some(Resilience {
            breaker: BreakerLimits {
                failures_max: *dice.one(&[1, 5]),
                open_for: millis(&[200, 3000]),
                sign_of_life_after: millis(&[50, 1000]),
                ..BreakerLimits::default()
            },
            breaker_per: *dice.one(&[BreakerPer::Store, BreakerPer::Partition]),
            operation_wait: millis(&[200, 1000]),
            read_wait: millis(&[10, 35, 200]),
            late_operations_max: *dice.one(&[1, 1024]),
            ..Resilience::default()
        });
        if dice.percent(50) {
            self.cache.pending.records_max = *dice.one(&[2, 1024]);
        }
    }

    /// Answers are long on their way, and nothing else tells a node what has changed meanwhile.
    fn slow_ways(&mut self, dice: &Dice) {
        self.weather = Weather { slow_percent: 50, lost_wakes_percent: 100, ..Weather::default() };
        self.bound = Duration::from_millis(*dice.one(&[50, 300]));
        self.faults.clear();
        self.become_busy();
    }

    /// Loads last long enough for a node to be cut off under way, and for others to write meanwhile.
    fn slow_loads_of_lonely_nodes(&mut self, dice: &Dice) {
        self.faults = vec![Fault::Cut, Fault::DatabaseSlow];
        self.faults_every_ms = 200;
        self.bound = Duration::from_millis(*dice.one(&[50, 300]));
        self.weather = Weather::default();
        self.become_busy();
        self.think_ms_max = 60;
    }

    /// Keys of the store are lost one by one, while nodes are behind.
    fn lost_keys(&mut self) {
        self.faults = vec![Fault::Evict];
        self.faults_every_ms = 20;
        self.weather = Weather { lost_wakes_percent: 100, ..Weather::default() };
        self.become_busy();
    }

    /// The log's answers arrive when they are old, one after the other, while the other node goes on writing; and there
    /// are enough readers for some to come just then.
    fn late_pages(&mut self, dice: &Dice) {
        self.weather = Weather { late_pages_percent: 80, lost_wakes_percent: 100, ..Weather::default() };
        self.faults.clear();
        self.become_busy();
        self.nodes = 2;
        self.clients = 16;
        self.bound = Duration::from_millis(*dice.one(&[50, 300]));
    }

    /// One of two nodes is refused by the log nearly always, and what it is told of was appended more than half a second
    /// ago: hardly ever the last there is, and the node has no other way to know. The other node is well, and acknowledges
    /// at once what this one does not hear of for twice its bound. Writes are so rare that a page in memory may outlive what
    /// the node is told meanwhile.
    fn old_words(&mut self) {
        self.weather = Weather { refused_pages_percent: 95, wakes_lag_ms: 600, ..Weather::default() };
        self.half_the_nodes_have_it = true;
        self.faults.clear();
        self.become_busy();
        self.nodes = 2;
        self.clients = 16;
        self.think_ms_max = 300;
        self.writes_percent = 16;
        self.bound = Duration::from_millis(300);
    }

    /// A node is cut off from one partition and not from the other, under loads that read facts of both.
    fn lonely_partitions(&mut self, dice: &Dice) {
        self.slow_loads_of_lonely_nodes(dice);
        self.faults = vec![Fault::CutPartition, Fault::DatabaseSlow];
        self.partitions = PartitionCount::new(4).expect("a power of two");
        self.tenants = 2;
    }

    /// What half of the nodes load is to live for a minute longer by the clocks of the others. Nothing else ends it: there
    /// are hardly any writes, and nobody's memory is short.
    fn a_clock_far_ahead(&mut self) {
        self.weather = Weather::default();
        self.faults.clear();
        self.become_busy();
        self.skew_ms_max = FAR_AHEAD_MS;
        self.far_ahead = true;
        self.two_builds = false;
        self.nodes = 2;
        self.steps = 80;
        self.think_ms_max = 300;
        self.writes_percent = 1;
        self.cache.l1 = L1Limits { value_bytes_max: 1024, ..L1Limits::default() };
    }

    fn become_busy(&mut self) {
        self.hot = true;
        self.clients = 10;
        self.steps = 40;
        self.think_ms_max = 20;
        self.tenants = 1;
        self.loads_failing_percent = 0;
        self.cache.waiters_max = 1000;
        self.cache.clocks = ClockLimits { filter_slots: 64, exact_clocks_max: 256 };
        self.store = StoreLimits { log_records_max: 1024, clocks_max: 1024 };
    }
}
