//! The truth: the database with its facts, how pages are computed from it, and the histories of who was told what.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};
use unstale::{
    FetchError, Fetched, Key, Loaded, Mode, Policy, PositionSet, ReadOptions, TAGS_MAX, Tag, Tenant, Timestamp, record,
    testing::{
        History,
        history::{Fact, Moment, Version},
    },
    time::TimeSource as _,
};

use super::{
    clock::NodeClock,
    dice::Dice,
    node::{Node, Process},
    pages::{COMMON, Kind, Page, Saw},
    plan::{LOAD_TIMEOUT, Plan},
    promise::Broken,
    trace::Trace,
};

/// Facts of one tenant.
pub(crate) const FACTS: u32 = 5;
/// Facts of all.
pub(crate) const SHARED_FACTS: u32 = 2;
/// The tenant of pages that belong to nobody.
const NOBODY: &str = "common";

/// What the runs' nodes and clients share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) trace: Arc<Trace>,
    dice: Dice,
    /// Each node's, by its number.
    clocks: Vec<Arc<NodeClock>>,
    /// When each load ended, by its number.
    loads: Mutex<Vec<LoadEnd>>,
    versions: Mutex<BTreeMap<Fact, Version>>,
    pub(crate) database_down: AtomicBool,
    pub(crate) database_slow: AtomicBool,
    /// No load fails any more.
    pub(crate) healed: AtomicBool,
    /// Every acknowledged write.
    pub(crate) history: History,
    /// What `history` had heard of at which time.
    timeline: Mutex<Vec<(Instant, Moment)>>,
    beginning: Moment,
    /// Changes that no cache has acknowledged yet, by the number of their commit.
    pub(crate) outbox: Mutex<BTreeMap<u64, Written>>,
    commits: AtomicU64,
    /// What writers told others: positions, and what was written before them.
    pub(crate) letters: Mutex<Vec<Letter>>,
    /// Every purge that was acknowledged.
    pub(crate) purges: Mutex<Vec<Letter>>,
    /// Reads that broke a promise.
    pub(crate) broken: Mutex<Vec<Broken>>,
}

/// The end of a load.
#[derive(Clone, Debug)]
pub(crate) struct LoadEnd {
    pub(crate) node: usize,
    pub(crate) policy: Policy,
    /// What each node's clock showed then.
    pub(crate) shown: Vec<Timestamp>,
}

/// A word from one client to another: what it wrote, and where that stands in the log.
pub(crate) type Letter = (PositionSet, Vec<(Fact, Version)>);

/// Facts that were committed, with their versions, and are not acknowledged yet.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) facts: Vec<(Fact, Version)>,
    /// Whether nobody is to have what was before, not even who does not mind.
    pub(crate) is_purge: bool,
    pub(crate) at: Instant,
}

/// A loader's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseDown;

impl World {
    pub(crate) fn new(plan: Plan, nodes: &[Node], dice: Dice, trace: Arc<Trace>) -> Self {
        let history = History::default();
        let beginning = history.now();
        Self {
            plan,
            trace,
            dice,
            clocks: nodes.iter().map(|node| node.clock.clone()).collect(),
            loads: Mutex::default(),
            versions: Mutex::default(),
            database_down: AtomicBool::new(false),
            database_slow: AtomicBool::new(false),
            healed: AtomicBool::new(false),
            history,
            timeline: Mutex::default(),
            beginning,
            outbox: Mutex::default(),
            commits: AtomicU64::new(1),
            letters: Mutex::default(),
            purges: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// Notes that a load ended on a node; returns its number.
    fn load_ended(&self, node: usize, policy: Policy) -> u64 {
        let mut loads = self.loads.lock();
        loads.push(LoadEnd { node, policy, shown: self.shown() });
        loads.len() as u64 - 1
    }

    /// Notes that loads end only now, because they are part of a batch.
    fn loads_end_now(&self, numbers: &[u64]) {
        let shown = self.shown();
        let mut loads = self.loads.lock();
        numbers.iter().for_each(|number| loads[place(*number)].shown.clone_from(&shown));
    }

    fn shown(&self) -> Vec<Timestamp> {
        self.clocks.iter().map(|clock| clock.now()).collect()
    }

    /// By how much clocks were set forward and back, all together.
    pub(crate) fn jumped(&self) -> Duration {
        self.clocks.iter().map(|clock| clock.jumped()).sum()
    }

    pub(crate) fn load(&self, number: u64) -> LoadEnd {
        self.loads.lock()[place(number)].clone()
    }

    /// Changes facts in the database; from then on it is owed to the caches.
    pub(crate) fn commit(&self, facts: &[Fact], is_purge: bool) -> (u64, Written) {
        let mut versions = self.versions.lock();
        let raise = |fact: &Fact| {
            let version = versions.entry(*fact).or_insert(0);
            *version += 1;
            (*fact, *version)
        };
        let written = Written { facts: facts.iter().map(raise).collect(), is_purge, at: Instant::now() };
        drop(versions);
        let number = self.commits.fetch_add(1, Relaxed);
        self.outbox.lock().insert(number, written.clone());
        (number, written)
    }

    /// Notes that a writer was told that its change is visible.
    pub(crate) fn acknowledged(&self, number: u64, written: &Written, positions: &PositionSet) {
        self.outbox.lock().remove(&number);
        if written.is_purge {
            self.purges.lock().push((positions.clone(), written.facts.clone()));
        }
        written.facts.iter().for_each(|(fact, version)| self.history.acknowledged(*fact, *version));
        self.timeline.lock().push((Instant::now(), self.history.now()));
    }

    /// The moment up to which everything was acknowledged at `time` or before.
    pub(crate) fn moment_of(&self, time: Option<Instant>) -> Moment {
        let timeline = self.timeline.lock();
        let before = time.map_or(0, |time| timeline.partition_point(|(at, _)| *at <= time));
        before.checked_sub(1).map_or(self.beginning, |last| timeline[last].1)
    }

    pub(crate) fn tenant(number: usize) -> Tenant {
        Tenant::new(format!("tenant-{number}")).expect("a well-formed name")
    }

    fn look(&self, fact: Fact, saw: &mut Saw) -> Version {
        let version = self.versions.lock().get(&fact).copied().unwrap_or(0);
        record(&tag(fact));
        saw.push((fact, version));
        version
    }

    async fn dawdle(&self) {
        let slow = self.database_slow.load(Relaxed);
        match self.dice.pick(0..100) {
            _ if slow => sleep(self.dice.millis(10..600)).await,
            0..80 => {
                for _ in 0..self.dice.pick(0..8) {
                    yield_now().await;
                }
            }
            80..98 => sleep(self.dice.millis(1..20)).await,
            _ => sleep(self.dice.millis(20..400)).await,
        }
    }

    /// The policy of a page, for a reader of this mode.
    pub(crate) fn policy(kind: Kind, mode: Mode) -> Policy {
        let policy = match kind {
            Kind::ShortLived => Policy::ttl(Duration::from_millis(150))
                .grace(Duration::from_millis(600))
                .fail_safe(Duration::from_secs(5)),
            Kind::NoLifetime => Policy::ttl(Duration::ZERO),
            Kind::OptionalRemembered => Policy::ttl(Duration::from_secs(600)).negative_ttl(Duration::from_secs(600)),
            _ => Policy::ttl(Duration::from_secs(600)).fail_safe(Duration::from_secs(600)),
        };
        policy.mode(mode).load_timeout(LOAD_TIMEOUT)
    }

    /// The policy of pages that are read at once: one for all of them, whatever they are.
    pub(crate) fn policy_of_batches(&self, mode: Mode) -> Policy {
        Self::policy(if self.plan.far_ahead { Kind::ShortLived } else { Kind::Plain }, mode)
    }

    /// How a page reads the pages that it is made of.
    pub(crate) fn inner_mode(&self, kind: Kind) -> Mode {
        match kind {
            Kind::NestedStale => Mode::StaleOk(self.plan.stale_ok),
            Kind::NestedBatch => Mode::Strict,
            _ => Mode::Bounded(self.plan.bound),
        }
    }
}

/// The tag of a fact.
pub(crate) fn tag(fact: Fact) -> Tag {
    if fact >= SHARED_BASE {
        Tag::shared("fact", fact)
    } else {
        Tag::of(&World::tenant((fact / 16) as usize), "fact", fact)
    }
}

/// Facts from this number on are shared.
const SHARED_BASE: Fact = 1 << 20;

/// A tenant's fact.
pub(crate) fn fact_of(tenant: usize, number: u32) -> Fact {
    u32::try_from(tenant).expect("few tenants") * 16 + number % FACTS
}

/// A fact of all tenants.
pub(crate) fn shared_fact(number: u32) -> Fact {
    SHARED_BASE + number % SHARED_FACTS
}

/// A page of a tenant, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PageId {
    pub(crate) tenant: usize,
    pub(crate) number: u32,
}

impl PageId {
    pub(crate) fn kind(self) -> Kind {
        Kind::of(self.number)
    }

    pub(crate) fn key<P: Page>(self) -> Key<P> {
        let tenant = World::tenant(self.tenant);
        match self.kind() {
            Kind::LongKey => P::long_key(&tenant),
            Kind::Common => P::key(&Tenant::new(NOBODY).expect("a well-formed name"), self.number),
            _ => P::key(&tenant, self.number),
        }
    }
}

/// Reads a page.
pub(crate) fn read<P: Page>(
    world: Arc<World>,
    process: Process,
    page: PageId,
    mode: Mode,
    at_least: PositionSet,
) -> BoxFuture<'static, Result<Fetched<P>, FetchError<DatabaseDown>>> {
    async move {
        let policy = World::policy(page.kind(), mode);
        let options = ReadOptions { at_least };
        let (key, cache) = (page.key(), process.cache.clone());
        let load = move || async move { compute(world, process, page, policy).await.map(|(loaded, _)| loaded) };
        cache.fetch(&key, &policy, &options, load).await
    }
    .boxed()
}

/// Reads several pages of one tenant at once.
pub(crate) fn read_many<P: Page>(
    world: Arc<World>,
    process: Process,
    pages: Vec<PageId>,
    mode: Mode,
    at_least: PositionSet,
) -> BoxFuture<'static, Result<Vec<Fetched<P>>, FetchError<DatabaseDown>>> {
    async move {
        let policy = world.policy_of_batches(mode);
        let options = ReadOptions { at_least };
        let keys: Vec<Key<P>> = pages.iter().map(|page| page.key()).collect();
        let cache = process.cache.clone();
        let load = move |places: Vec<usize>| {
            let (world, process) = (world.clone(), process.clone());
            let pages: Vec<PageId> = places.into_iter().map(|place| pages[place]).collect();
            async move {
                let (mut loaded, mut numbers) = (Vec::new(), Vec::new());
                for page in pages {
                    let (page, number) = compute(world.clone(), process.clone(), page, policy).await?;
                    loaded.push(page);
                    numbers.push(number);
                }
                world.loads_end_now(&numbers);
                Ok(loaded)
            }
        };
        cache.fetch_many(&keys, &policy, &options, load).await
    }
    .boxed()
}

/// Computes a page as an application does: from rows that it reads one after the other, and from what it has cached.
/// Returns the load's number with it.
async fn compute<P: Page>(
    world: Arc<World>,
    process: Process,
    page: PageId,
    policy: Policy,
) -> Result<(Loaded<P>, u64), DatabaseDown> {
    world.dawdle().await;
    let mut saw = Vec::new();
    let PageId { tenant, number } = page;
    let inner = |number| PageId { tenant, number };
    let mode = world.inner_mode(page.kind());
    match page.kind() {
        Kind::Nested | Kind::NestedStale => {
            world.look(fact_of(tenant, number), &mut saw);
            saw_of(&mut saw, read::<P>(world.clone(), process.clone(), inner(0), mode, PositionSet::default()).await)?;
        }
        Kind::NestedBatch => {
            let pages = vec![inner(0), inner(1)];
            let read = read_many::<P>(world.clone(), process.clone(), pages, mode, PositionSet::default()).await;
            for fetched in read.map_err(|_| DatabaseDown)? {
                saw_of(&mut saw, Ok(fetched))?;
            }
            world.look(fact_of(tenant, number), &mut saw);
        }
        Kind::NestedShared => {
            world.look(fact_of(tenant, number), &mut saw);
            saw_of(
                &mut saw,
                read::<P>(world.clone(), process.clone(), inner(COMMON), mode, PositionSet::default()).await,
            )?;
        }
        Kind::Common => {
            world.look(shared_fact(0), &mut saw);
            world.dawdle().await;
            world.look(shared_fact(1), &mut saw);
        }
        Kind::Foreign => {
            world.look(fact_of(tenant + 1, 0), &mut saw);
        }
        _ => {
            let first = world.look(fact_of(tenant, number), &mut saw);
            world.dawdle().await;
            world.look(shared_fact(number), &mut saw);
            world.dawdle().await;
            let found = u32::try_from(first % 16).expect("below 16");
            world.look(fact_of(tenant, number + 1 + found), &mut saw);
        }
    }
    world.dawdle().await;
    let unlucky = !world.healed.load(Relaxed) && world.dice.percent(world.plan.loads_failing_percent);
    if unlucky || world.database_down.load(Relaxed) {
        return Err(DatabaseDown);
    }
    let load = world.load_ended(process.link.node, policy);
    let absent = matches!(page.kind(), Kind::Optional | Kind::OptionalRemembered) && saw[0].1 % 2 == 1;
    if absent {
        return Ok((Loaded::absent(), load));
    }
    let loaded = Loaded::value(P::of(saw, load, if page.kind() == Kind::Large { 4096 } else { 0 }));
    let loaded = match page.kind() {
        Kind::Declined => loaded.declined(),
        Kind::ManyTags => loaded.tags((0..=TAGS_MAX).map(|row| Tag::of(&World::tenant(tenant), "row", row))),
        _ => loaded,
    };
    Ok((loaded, load))
}

fn place(number: u64) -> usize {
    usize::try_from(number).expect("few loads")
}

fn saw_of<P: Page>(saw: &mut Saw, read: Result<Fetched<P>, FetchError<DatabaseDown>>) -> Result<(), DatabaseDown> {
    let fetched = read.map_err(|_| DatabaseDown)?;
    saw.extend(fetched.value().into_iter().flat_map(|page| page.saw().iter().copied()));
    Ok(())
}
