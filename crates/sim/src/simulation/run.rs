//! One run, from its seed to its outcome.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use unstale::{Mode, PositionSet, Verdict, testing::Sabotage};

use super::{
    clients::{self, Client},
    dice::Dice,
    nemesis::Nemesis,
    node::Node,
    pages::{FirstPage, Page, SecondPage},
    plan::{Fault, Plan},
    promise::{Broken, Promised},
    store::{Server, StoreBreach, Weather},
    trace::{Counts, Trace},
    world::{self, PageId, World},
};

/// How the protocol is broken in a run, to show that the checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// By the engine.
    pub engine: Sabotage,
    /// By the store.
    pub store: StoreBreach,
}

impl Breach {
    /// Not at all.
    pub const NONE: Self = Self { engine: Sabotage::None, store: StoreBreach::None };
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Of everything that happened, in order.
    pub trace_hash: u64,
    /// How often what happened.
    pub counts: Counts,
    /// What must not have happened.
    pub violations: Vec<Broken>,
}

/// The longest that clients may take: far more than all faults together.
const CLIENTS_MAX: Duration = Duration::from_secs(3600);
/// The longest until everything is well again after the last fault.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// When the last request that was delayed or doubled has arrived.
const STRAGGLERS: Duration = Duration::from_secs(8);

/// Reads of a page, 50 ms apart, until it is a hit: some are served in their grace while they are refreshed.
const BECOMES_HIT_READS_MAX: usize = 20;
/// The same after a fault that nobody has healed: longer than any breaker stays open, and than a stall goes on.
const COMES_BACK_READS_MAX: usize = 600;

/// Runs the simulation of this seed.
pub fn run(seed: u64, breach: Breach, printing: bool) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime needs nothing");
    runtime.block_on(async {
        let trace = Arc::new(Trace::new(printing));
        let violations = run_in(seed, breach, &trace).await;
        Outcome { seed, trace_hash: trace.hash(), counts: trace.counts(), violations }
    })
}

async fn run_in(seed: u64, breach: Breach, trace: &Arc<Trace>) -> Vec<Broken> {
    let mut parts = 0;
    let mut dice = || {
        parts += 1;
        Dice::new(seed, parts)
    };
    let plan = Plan::draw(&dice());
    trace.note(format_args!("{plan:?}"));
    let lag_ms_max = plan.replica_lag_ms_max;
    let server = Server::new(plan.partitions, plan.store, breach.store, lag_ms_max, dice(), trace.clone());
    let server = Arc::new(server);
    let nodes: Arc<[Node]> = (0..plan.nodes)
        .map(|index| Node::new(index, &plan, server.clone(), dice(), trace.clone(), breach.engine))
        .collect();
    for node in nodes.iter() {
        node.start(&plan, Weather::default()).await;
        node.process().expect("it was started").link.set_weather(|weather| *weather = plan.weather_of(node.index));
    }
    let world = Arc::new(World::new(plan.clone(), &nodes, dice(), trace.clone()));
    let nemesis = Nemesis { world: world.clone(), nodes: nodes.clone(), server: server.clone(), dice: dice() };
    let relay = tokio::spawn(clients::relay(world.clone(), nodes.clone(), dice()));
    let mut clients = JoinSet::new();
    for number in 0..plan.clients {
        let client = Client {
            name: format!("client {number}"),
            world: world.clone(),
            nodes: nodes.clone(),
            dice: dice(),
            positions: PositionSet::default(),
            history: unstale::testing::History::default(),
        };
        clients.spawn(client.run());
    }
    let all_done = async {
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client does not panic");
        }
    };
    let done = tokio::select! {
        biased;
        done = timeout(CLIENTS_MAX, all_done) => done.is_ok(),
        // It ends only if the run has no faults.
        () = async { nemesis.run().await; std::future::pending().await } => unreachable!("it goes on"),
    };
    let mut wrong = Vec::new();
    let mut add = |promise, text| wrong.push(Broken { promise, by: None, text });
    if !done {
        add(Promised::Recovery, format!("clients still wait after {CLIENTS_MAX:?}"));
    }
    nemesis.heal().await;
    recovers(&world, &nodes, &mut add).await;
    nemesis.each_alone(async |fault| comes_back(&world, &nodes, fault, &mut add).await).await;
    relay.abort();
    if !server.is_bounded() {
        add(Promised::Limits, "the store's log or clocks are beyond their limits".to_owned());
    }
    let mut violations = std::mem::take(&mut *world.broken.lock());
    violations.extend(wrong);
    violations
}

/// Waits until all is well again, and says what is not.
async fn recovers(world: &Arc<World>, nodes: &Arc<[Node]>, add: &mut impl FnMut(Promised, String)) {
    let delivered = timeout(RECOVERY_MAX, async {
        while !world.outbox.lock().is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    if delivered.await.is_err() {
        add(Promised::Recovery, format!("{} changes are still owed to the caches", world.outbox.lock().len()));
    }
    sleep(STRAGGLERS).await;
    for node in nodes.iter() {
        for page in clients::all_pages(world.plan.tenants) {
            let hit = becomes_hit_of_build(world, node, page, BECOMES_HIT_READS_MAX).await;
            if let Err(verdicts) = hit {
                add(Promised::Recovery, format!("{page:?} does not become a hit on node {}: {verdicts}", node.index));
            }
        }
    }
    sleep(STRAGGLERS).await;
    for node in nodes.iter() {
        let size = node.process().expect("it was healed").cache.size();
        if size.flights > 0 {
            add(Promised::Recovery, format!("{} loads are left over on node {}", size.flights, node.index));
        }
        if size.clocks > world.plan.cache.clocks.exact_clocks_max * world.plan.partitions.all().len() {
            add(Promised::Limits, format!("{} clocks are too many on node {}", size.clocks, node.index));
        }
    }
}

/// After a fault, and with nothing else than its own end, some pages become hits again on every node.
async fn comes_back(world: &Arc<World>, nodes: &Arc<[Node]>, fault: Fault, add: &mut impl FnMut(Promised, String)) {
    for node in nodes.iter() {
        for tenant in 0..world.plan.tenants {
            let page = PageId { tenant, number: 0 };
            let hit = becomes_hit_of_build(world, node, page, COMES_BACK_READS_MAX).await;
            if let Err(verdicts) = hit {
                let index = node.index;
                add(
                    Promised::Recovery,
                    format!("after {fault:?} {page:?} is no hit again on node {index}: {verdicts}"),
                );
            }
        }
    }
    world.trace.count(&format!("came back after: {fault:?}"));
}

/// Reads a page, as the node's build of the program knows it, until it is a hit.
async fn becomes_hit_of_build(world: &Arc<World>, node: &Node, page: PageId, reads_max: usize) -> Result<(), String> {
    if world.plan.two_builds && node.index % 2 == 1 {
        becomes_hit::<SecondPage>(world, node, page, reads_max).await
    } else {
        becomes_hit::<FirstPage>(world, node, page, reads_max).await
    }
}

/// Reads a page until it is a hit; the verdicts, if it never is, without repetitions.
async fn becomes_hit<P: Page>(world: &Arc<World>, node: &Node, page: PageId, reads_max: usize) -> Result<(), String> {
    let process = node.process().ok_or("the node is gone")?;
    let mut verdicts = String::new();
    let mut add = |verdict: fmt::Arguments<'_>| {
        let verdict = format!("{verdict}, ");
        if !verdicts.ends_with(&verdict) {
            verdicts += &verdict;
        }
    };
    for _ in 0..reads_max {
        let read = world::read::<P>(world.clone(), process.clone(), page, Mode::Strict, PositionSet::default());
        match timeout(RECOVERY_MAX, read).await {
            // Its absence is not remembered, or it is of a kind that is not kept: to be read is all it can do.
            Ok(Ok(_)) if !page.kind().is_kept() => return Ok(()),
            Ok(Ok(fetched)) if fetched.verdict == Verdict::Hit => return Ok(()),
            Ok(Ok(fetched)) => add(format_args!("{} ({:?})", fetched.verdict, fetched.not_stored)),
            Ok(Err(error)) => add(format_args!("{error:?}")),
            Err(_elapsed) => {
                add(format_args!("nothing"));
                break;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(verdicts)
}
