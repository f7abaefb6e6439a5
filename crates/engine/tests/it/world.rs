//! A small world to cache: facts with versions, pages computed from them, and nodes that cache the pages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::yield_now;
use unstale::{
    Cache, FetchError, Fetched, InvalidateError, Invalidation, Loaded, Policy, PositionSet, ReadOptions, Tag, Tenant,
    Verdict, catalogue, record,
    testing::{
        History,
        history::{Fact, Version},
    },
};

catalogue! {
    /// Every key of the world.
    pub(crate) const PATTERNS;
    /// A page by its number.
    pub(crate) fn page(number) -> Page = "page";
}

/// A page: what it was computed from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Page {
    pub(crate) saw: Vec<(Fact, Version)>,
}
unstale::cacheable!(Page, "Page v1");

pub(crate) const FACTS: usize = 6;

/// The truth: the database, and the random delays of those who use it.
pub(crate) struct World {
    versions: [AtomicU64; FACTS],
    random: Mutex<StdRng>,
    /// How long who dawdles may sleep now and then, beside giving way to others.
    nap_max: Duration,
    pub(crate) history: History,
    pub(crate) loads: AtomicU64,
}

pub(crate) fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

pub(crate) fn fact_tag(fact: Fact) -> Tag {
    // One of them is shared, so that both kinds of clocks are at work.
    if fact == 0 { Tag::shared("fact", fact) } else { Tag::of(&acme(), "fact", fact) }
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            versions: Default::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            nap_max: Duration::ZERO,
            history: History::default(),
            loads: AtomicU64::new(0),
        })
    }

    /// A world where things take time; for paused time.
    pub(crate) fn slow(seed: u64, nap_max: Duration) -> Arc<Self> {
        let mut world = Self::new(seed);
        Arc::get_mut(&mut world).expect("nobody has it yet").nap_max = nap_max;
        world
    }

    pub(crate) async fn dawdle(&self) {
        let switches = self.random.lock().random_range(0..8);
        if switches == 7 && !self.nap_max.is_zero() {
            let nap = self.nap_max.mul_f64(self.random.lock().random());
            tokio::time::sleep(nap).await;
        }
        for _ in 0..switches {
            yield_now().await;
        }
    }

    /// Computes a page: three facts, one of which depends on another's version, read at different moments.
    pub(crate) async fn compute(&self, number: u32) -> Page {
        self.loads.fetch_add(1, SeqCst);
        let mut saw = Vec::new();
        let first = self.look(number, &mut saw).await;
        self.look(0, &mut saw).await;
        self.look(1 + (number + first as u32) % (FACTS as u32 - 1), &mut saw).await;
        self.dawdle().await;
        Page { saw }
    }

    async fn look(&self, fact: u32, saw: &mut Vec<(Fact, Version)>) -> Version {
        self.dawdle().await;
        let fact = fact % FACTS as u32;
        let version = self.versions[fact as usize].load(SeqCst);
        record(&fact_tag(fact));
        saw.push((fact, version));
        version
    }

    /// Writes facts, invalidates them, and notes the acknowledgement. False if the invalidation failed: then nothing
    /// was acknowledged.
    pub(crate) async fn write(&self, node: &Cache, facts: &[Fact]) -> Option<PositionSet> {
        self.try_write(node, facts).await.ok()
    }

    /// The same for who reads on the writing node alone: what waits for the store binds that node as much as what was
    /// recorded.
    pub(crate) async fn write_here(&self, node: &Cache, facts: &[Fact]) -> Result<PositionSet, InvalidateError> {
        self.change_here(node, facts, false).await
    }

    /// The same as a purge, which binds also who does not mind staleness.
    pub(crate) async fn purge_here(&self, node: &Cache, facts: &[Fact]) -> Result<PositionSet, InvalidateError> {
        self.change_here(node, facts, true).await
    }

    async fn change_here(&self, node: &Cache, facts: &[Fact], is_purge: bool) -> Result<PositionSet, InvalidateError> {
        let (written, answer) = self.change(node, facts, is_purge).await;
        if matches!(answer, Ok(_) | Err(InvalidateError::Pending { .. })) {
            written.into_iter().for_each(|(fact, version)| self.history.acknowledged(fact, version));
        }
        answer
    }

    /// Writes facts and invalidates them; acknowledged only if all was recorded.
    pub(crate) async fn try_write(&self, node: &Cache, facts: &[Fact]) -> Result<PositionSet, InvalidateError> {
        let (written, answer) = self.change(node, facts, false).await;
        if answer.is_ok() {
            written.into_iter().for_each(|(fact, version)| self.history.acknowledged(fact, version));
        }
        answer
    }

    /// Writes facts and invalidates them, or purges what they were; nothing is acknowledged.
    pub(crate) async fn change(
        &self,
        node: &Cache,
        facts: &[Fact],
        is_purge: bool,
    ) -> (Vec<(Fact, Version)>, Result<PositionSet, InvalidateError>) {
        let mut written = Vec::new();
        for fact in facts {
            written.push((*fact, self.versions[*fact as usize].fetch_add(1, SeqCst) + 1));
        }
        self.dawdle().await;
        let wrong = Invalidation::of(facts.iter().map(|fact| fact_tag(*fact)));
        (written, node.invalidate(&if is_purge { wrong.purging() } else { wrong }).await)
    }
}

/// Reads a page of the world on a node.
pub(crate) async fn read_page(
    world: &Arc<World>,
    node: &Cache,
    policy: &Policy,
    number: u32,
    at_least: PositionSet,
) -> Result<Fetched<Page>, FetchError<String>> {
    let world = world.clone();
    let options = ReadOptions { at_least };
    let load = move || async move { Ok(Loaded::value(world.compute(number).await)) };
    node.fetch(&page(&acme(), number), policy, &options, load).await
}

/// As [`read_page`], by a reader who refuses about half of what there is, by chance, which `salt` decides.
pub(crate) async fn read_page_picky(
    world: &Arc<World>,
    node: &Cache,
    policy: &Policy,
    number: u32,
    at_least: PositionSet,
    salt: u64,
) -> Result<Fetched<Page>, FetchError<String>> {
    let takes = move |fetched: &Fetched<Page>| {
        let sum = fetched.value().map_or(0, |page| page.saw.iter().map(|(_, version)| *version).sum());
        (sum ^ salt).is_multiple_of(2)
    };
    let world = world.clone();
    let options = ReadOptions { at_least };
    let load = move |_found| async move { Ok(Loaded::value(world.compute(number).await)) };
    let fetched = node.fetch_accepting(&page(&acme(), number), policy, &options, takes, load).await?;
    let is_own = !fetched.collapsed && matches!(fetched.verdict, Verdict::Miss(_) | Verdict::Bypass(_));
    assert!(is_own || takes(&fetched), "it was given what it refused: {fetched:?}");
    Ok(fetched)
}
