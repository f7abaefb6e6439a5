//! Many nodes, tenants and partitions: how the work of following the log grows. Nothing goes wrong here.
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{fmt, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};
use unstale::{
    ClockLimits, Mode, PositionSet, Tag, TagId, Tenant,
    clocks::Clocks,
    position::{Epoch, PartitionCount, Position, Sequence},
    testing::Sabotage,
};

use super::{
    clients,
    dice::Dice,
    node::Node,
    pages::{FirstPage, Page as _},
    plan::Plan,
    promise::{Answer, Promise, ReadKind},
    store::{Server, StoreBreach, StoreLimits, Weather},
    trace::Trace,
    world::{self, PageId, World},
};

/// A scene to measure.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Nodes over one store.
    pub nodes: usize,
    /// Tenants, all in use.
    pub tenants: usize,
    /// Partitions of the log.
    pub partitions: u16,
    /// Simulated time.
    pub time: Duration,
    /// Reads in that time, by all nodes.
    pub reads: usize,
    /// Writes in that time; one of twenty is of a fact that all tenants share.
    pub writes: usize,
}

/// What a scene took.
#[derive(Clone, Debug)]
pub struct Measured {
    scene: Scene,
    hits: u64,
    violations: usize,
    appended: u64,
    busiest: u64,
    log_pages: u64,
    records_read: u64,
    wakes: u64,
    executed: u64,
    took: Duration,
}

/// Runs a scene.
pub fn measure(seed: u64, scene: Scene) -> Measured {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime needs nothing");
    let began = std::time::Instant::now();
    let mut measured = runtime.block_on(measure_in(seed, scene));
    measured.took = began.elapsed();
    measured
}

async fn measure_in(seed: u64, scene: Scene) -> Measured {
    let trace = Arc::new(Trace::new(false));
    let partitions = PartitionCount::new(scene.partitions).expect("a power of two up to 1024");
    let dice = Dice::new(seed, 0);
    let plan = Plan {
        nodes: scene.nodes,
        tenants: scene.tenants,
        partitions,
        store: StoreLimits { log_records_max: 4096, clocks_max: 16_384 },
        cache: unstale::CacheLimits {
            clocks: ClockLimits { filter_slots: 1024, exact_clocks_max: 4096 },
            ..unstale::CacheLimits::default()
        },
        bound: Duration::from_secs(1),
        ..Plan::calm(&dice)
    };
    let server = Server::new(partitions, plan.store, StoreBreach::None, 0, Dice::new(seed, 1), trace.clone());
    let server = Arc::new(server);
    let new = |index| {
        let dice = Dice::new(seed, 100 + index as u64);
        Node::new(index, &plan, server.clone(), dice, trace.clone(), Sabotage::None)
    };
    let nodes: Arc<[Node]> = (0..scene.nodes).map(new).collect();
    for node in nodes.iter() {
        node.start(&plan, Weather::default()).await;
    }
    let world = Arc::new(World::new(plan, &nodes, Dice::new(seed, 2), trace.clone()));
    let before = server.work();
    let mut clients = JoinSet::new();
    for number in 0..scene.reads + scene.writes {
        let (world, nodes) = (world.clone(), nodes.clone());
        let dice = Dice::new(seed, 10_000 + number as u64);
        let writes = number < scene.writes;
        clients.spawn(async move {
            let time = u64::try_from(scene.time.as_millis()).expect("a short scene");
            sleep(dice.millis(0..time)).await;
            if writes { write(&world, &nodes, &dice).await } else { read(&world, &nodes, &dice).await }
        });
    }
    while clients.join_next().await.is_some() {}
    let work = server.work();
    Measured {
        scene,
        hits: trace.counts().get("verdict: HIT").copied().unwrap_or(0),
        violations: world.history.violations().len(),
        appended: work.appended,
        busiest: work.sequences.iter().copied().max().unwrap_or(0),
        log_pages: work.log_pages - before.log_pages,
        records_read: work.records_read,
        wakes: nodes.iter().filter_map(Node::process).map(|process| process.link.wakes()).sum(),
        executed: work.executed - before.executed,
        took: Duration::ZERO,
    }
}

/// A tenth of the tenants has nine tenths of the reads.
fn some_tenant(world: &World, dice: &Dice) -> usize {
    let tenants = world.plan.tenants;
    dice.pick(0..if dice.percent(90) { tenants.div_ceil(10) } else { tenants })
}

async fn read(world: &Arc<World>, nodes: &[Node], dice: &Dice) {
    let page = PageId { tenant: some_tenant(world, dice), number: dice.pick(0..2) };
    // A tenant's readers come back to the same few nodes.
    let node = &nodes[(page.tenant + dice.pick(0..4)) % nodes.len()];
    let Some(process) = node.process() else { return };
    let mode = Mode::Bounded(world.plan.bound);
    let promise = Promise::of(world, (node, &process), page.kind(), mode, None);
    let read = world::read::<FirstPage>(world.clone(), process, page, mode, PositionSet::default()).await;
    if let Ok(fetched) = read {
        world.trace.count(&format!("verdict: {}", fetched.verdict));
        let Some(value) = fetched.value() else { return };
        let (verdict, collapsed) = (fetched.verdict, fetched.collapsed);
        let kind = ReadKind { page: page.kind(), mode, verdict, collapsed };
        let policy = World::policy(page.kind(), mode);
        let answer = Answer { reader: "a reader", kind, policy, load: value.load(), saw: value.saw() };
        promise.check(world, node, &node.history, &answer);
    }
}

async fn write(world: &Arc<World>, nodes: &[Node], dice: &Dice) {
    let number = dice.pick(0..world::FACTS);
    let shared = dice.percent(5);
    let fact = if shared { world::shared_fact(number) } else { world::fact_of(some_tenant(world, dice), number) };
    let (number, written) = world.commit(&[fact], false);
    let node = &nodes[dice.pick(0..nodes.len())];
    if let Some(process) = node.process() {
        clients::publish(world, node, &process, number, &written).await;
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scene { nodes, tenants, partitions, time, reads, writes } = self.scene;
        let per = |count: u64, of: usize| count as f64 / of as f64 / time.as_secs_f64();
        writeln!(
            f,
            "{nodes} nodes, {tenants} tenants, {partitions} partitions, {time:?}: {reads} reads, {writes} writes"
        )?;
        let (appended, busiest) = (self.appended, self.busiest);
        writeln!(f, "  records          {appended}, {busiest} in the busiest partition")?;
        writeln!(f, "  wake-ups         {:.0} a second and node", per(self.wakes, nodes))?;
        writeln!(
            f,
            "  reads of the log {:.0} a second and node, {:.0} at the store",
            per(self.log_pages, nodes),
            per(self.log_pages, 1)
        )?;
        let useless = 100.0 * (1.0 - self.records_read as f64 / self.log_pages.max(1) as f64);
        writeln!(f, "  records fetched  {} (at least {useless:.0} % of the questions in vain)", self.records_read)?;
        writeln!(f, "  hits             {:.1} %", 100.0 * self.hits as f64 / reads as f64)?;
        writeln!(f, "  operations       {} at the store; {:.1?} of real time", self.executed, self.took)?;
        write!(f, "  violations       {}", self.violations)
    }
}

/// How many records of three tags a node applies in a second of real time, and how many entries it judges meanwhile.
pub fn apply_rates() -> (f64, f64) {
    const RECORDS: u64 = 300_000;
    let tenant = Tenant::new("acme").expect("a well-formed name");
    let tags: Vec<TagId> = (0..30_000).map(|row| Tag::of(&tenant, "row", row).id()).collect();
    let partition = PartitionCount::DEFAULT.of(&tenant);
    let head = |sequence| Position { partition, epoch: Epoch::from_u64(1), sequence: Sequence::from_u64(sequence) };
    let clocks = Clocks::new(head(0), ClockLimits::default());
    let of = |sequence: u64| {
        let first = usize::try_from(sequence * 7919 % 29_990).expect("a small number");
        &tags[first..first + 3]
    };
    let began = std::time::Instant::now();
    (1..=RECORDS).for_each(|sequence| clocks.apply(Sequence::from_u64(sequence), of(sequence)));
    let applied = RECORDS as f64 / began.elapsed().as_secs_f64();
    let began = std::time::Instant::now();
    let judge = |sequence: u64| clocks.judge(Epoch::from_u64(1), Sequence::from_u64(RECORDS - 100), of(sequence));
    (1..=RECORDS).for_each(|sequence| {
        std::hint::black_box(judge(sequence));
    });
    (applied, RECORDS as f64 / began.elapsed().as_secs_f64())
}
