//! The load: readers and writers against all nodes, with every answer noted in the books.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};
use unstale::testing::history::{Fact, Moment, Version};

use super::{
    books::{Books, Promise},
    database::Database,
    member::Member,
    node::{Answer, Question, ReadMode},
    world::{PageId, SHARED_FACT, TENANT_FACTS, TENANT_PAGES, TENANTS, fact_of},
};

const READERS: usize = 9;
pub(super) const WRITERS: usize = 3;
const READ_PAUSE_MS_MAX: u64 = 8;
const WRITE_PAUSE_MS_MAX: u64 = 150;
/// Reads with the position of a write, after each.
const READS_AFTER_WRITE: usize = 2;
/// Before an invalidation that was not recorded is said again.
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
const SAMPLE_EVERY: Duration = Duration::from_millis(5);

/// What the readers and writers share.
pub(super) struct Load {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) database: Arc<Database>,
    pub(super) books: Books,
    pub(super) counts: Counts,
    stops: AtomicBool,
    /// Committed, and not yet acknowledged: what an outbox would hold.
    outbox: Mutex<Vec<Owed>>,
}

/// A write that was committed in the database.
struct Owed {
    written: Vec<(Fact, Version)>,
    is_purge: bool,
}

/// How often something happened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) reads: AtomicU64,
    pub(super) hits: AtomicU64,
    /// Answers that were known to be old, to who does not mind.
    pub(super) stale: AtomicU64,
    /// Reads that the cache answered with an error: there must be none.
    pub(super) read_errors: Mutex<Vec<String>>,
    /// Writes that were acknowledged.
    pub(super) writes: AtomicU64,
    /// Of these, purges.
    pub(super) purges: AtomicU64,
    /// Invalidations that the cache could not record, and said so.
    pub(super) refused: AtomicU64,
    /// What it said, and how often.
    pub(super) refusals: Mutex<BTreeMap<String, u64>>,
    /// Questions to a node that was gone.
    pub(super) unanswered: AtomicU64,
    pub(super) slowest_read_ms: AtomicU64,
}

impl Load {
    pub(super) fn new(members: Vec<Arc<Member>>, database: Arc<Database>) -> Arc<Self> {
        let books = Books::new(members.len(), WRITERS);
        let (counts, stops, outbox) = (Counts::default(), AtomicBool::new(false), Mutex::default());
        Arc::new(Self { members, database, books, counts, stops, outbox })
    }

    /// Readers and writers, until [`stop`](Self::stop).
    pub(super) fn run(self: &Arc<Self>, seed: u64) -> JoinSet<()> {
        let mut running = JoinSet::new();
        for reader in 0..READERS as u64 {
            running.spawn(self.clone().reader(StdRng::seed_from_u64(seed ^ reader)));
        }
        for writer in 0..WRITERS {
            running.spawn(self.clone().writer(writer, StdRng::seed_from_u64(seed ^ 0x100 ^ writer as u64)));
        }
        let this = self.clone();
        running.spawn(async move {
            while !this.stops() {
                this.books.sample();
                sleep(SAMPLE_EVERY).await;
            }
        });
        running
    }

    /// Lets readers and writers end what they are doing.
    pub(super) fn stop(&self) {
        self.stops.store(true, SeqCst);
    }

    fn stops(&self) -> bool {
        self.stops.load(SeqCst)
    }

    async fn reader(self: Arc<Self>, mut random: StdRng) {
        while !self.stops() {
            let node = random.random_range(0..self.members.len());
            let page = PageId { tenant: random.random_range(0..TENANTS), number: random.random_range(0..TENANT_PAGES) };
            let promise = match random.random_range(0..12) {
                0..4 => Promise::Strict,
                4..11 => Promise::Bounded,
                _ => Promise::StaleOk,
            };
            self.read(node, page, promise).await;
            pause(&mut random, READ_PAUSE_MS_MAX).await;
        }
    }

    /// Reads a page and has it checked. What was seen and whether it was a hit; none if the node did not answer.
    pub(super) async fn read(
        &self,
        node: usize,
        page: PageId,
        promise: Promise,
    ) -> Option<(bool, Vec<(Fact, Version)>)> {
        let mode = match promise {
            Promise::Strict => ReadMode::Strict,
            Promise::Bounded => ReadMode::Bounded,
            Promise::StaleOk => {
                self.ask_frontiers(node).await;
                ReadMode::StaleOk
            }
        };
        let began = self.books.begin(node);
        let (hit, saw) = self.ask_page(node, Question::Read { page, mode, at_least: String::new() }).await?;
        self.books.read(node, began, promise, &saw);
        Some((hit, saw))
    }

    /// Learns which purges a node knows of.
    async fn ask_frontiers(&self, node: usize) {
        if let Some(Answer::Frontiers { positions }) = self.members[node].ask(Question::Frontiers).await
            && let Ok(frontiers) = positions.parse()
        {
            self.books.has_followed(node, &frontiers);
        }
    }

    async fn ask_page(&self, node: usize, question: Question) -> Option<(bool, Vec<(Fact, Version)>)> {
        let counts = &self.counts;
        let began = Instant::now();
        let answer = self.members[node].ask(question).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        counts.slowest_read_ms.fetch_max(took_ms, Relaxed);
        match answer {
            Some(Answer::Page { hit, stale, saw }) => {
                counts.reads.fetch_add(1, Relaxed);
                counts.stale.fetch_add(u64::from(stale), Relaxed);
                counts.hits.fetch_add(u64::from(hit), Relaxed);
                Some((hit, saw))
            }
            None | Some(Answer::NotReady) => {
                counts.unanswered.fetch_add(1, Relaxed);
                sleep(REPEAT_PAUSE).await;
                None
            }
            Some(other) => {
                counts.read_errors.lock().push(format!("node {node}: {other:?}"));
                None
            }
        }
    }

    async fn writer(self: Arc<Self>, writer: usize, mut random: StdRng) {
        while !self.stops() {
            let tenant = random.random_range(0..TENANTS);
            let mut facts = vec![fact_of(tenant, random.random_range(0..TENANT_FACTS))];
            if random.random_ratio(1, 12) {
                facts.push(SHARED_FACT);
            }
            let owed = Owed { written: self.database.commit(&facts), is_purge: random.random_ratio(1, 5) };
            let Some((sent, positions)) = self.invalidate(&owed, &mut random).await else {
                // Stopping: `empty_outbox` sees to it.
                return self.outbox.lock().push(owed);
            };
            self.books.written(writer, &owed.written);
            for _ in 0..READS_AFTER_WRITE {
                let node = random.random_range(0..self.members.len());
                let page = PageId { tenant, number: random.random_range(0..TENANT_PAGES) };
                let question = Question::Read { page, mode: ReadMode::Bounded, at_least: positions.clone() };
                if let Some((_, saw)) = self.ask_page(node, question).await {
                    self.books.read_at(writer, node, sent, &saw);
                }
            }
            pause(&mut random, WRITE_PAUSE_MS_MAX).await;
        }
    }

    /// Says an invalidation until some node acknowledges it. Returns the moment before it was sent, and the positions.
    async fn invalidate(&self, owed: &Owed, random: &mut StdRng) -> Option<(Moment, String)> {
        let Owed { written, is_purge } = owed;
        loop {
            let node = random.random_range(0..self.members.len());
            let facts = written.iter().map(|(fact, _)| *fact).collect();
            let sent = self.books.now();
            match self.members[node].ask(Question::Invalidate { facts, is_purge: *is_purge }).await {
                Some(Answer::Invalidated { positions }) => {
                    self.books.acknowledged(node, written);
                    if *is_purge {
                        self.books.purged(node, written, positions.parse().unwrap_or_default());
                        self.counts.purges.fetch_add(1, Relaxed);
                    }
                    self.counts.writes.fetch_add(1, Relaxed);
                    return Some((sent, positions));
                }
                None | Some(Answer::NotReady) => self.counts.unanswered.fetch_add(1, Relaxed),
                Some(not_recorded) => {
                    *self.counts.refusals.lock().entry(format!("{not_recorded:?}")).or_default() += 1;
                    self.counts.refused.fetch_add(1, Relaxed)
                }
            };
            if self.stops() {
                return None;
            }
            sleep(REPEAT_PAUSE).await;
        }
    }

    /// Says every invalidation that is still owed. Returns how many are left.
    pub(super) async fn empty_outbox(&self) -> usize {
        let owed = std::mem::take(&mut *self.outbox.lock());
        let mut random = StdRng::seed_from_u64(0);
        for owed in owed {
            if self.invalidate(&owed, &mut random).await.is_none() {
                self.outbox.lock().push(owed);
            }
        }
        self.outbox.lock().len()
    }
}

async fn pause(random: &mut impl Rng, millis_max: u64) {
    sleep(Duration::from_millis(random.random_range(0..=millis_max))).await;
}
