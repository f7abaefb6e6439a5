//! After a broad invalidation: so many loads at once, the most wanted first, and nobody waits for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use unstale::{
    Cache, CacheLimits, FetchError, Invalidation, Loaded, MemoryStore, ReadOptions, RefillLimits, WaitedFor,
    WarmBudget, Warmed, record, testing::Sabotage,
};

use crate::{
    nodes::{LOAD, Nodes, POLICY, none, settle, tag},
    world::{Page, acme, page},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Shorter than any wait that would go on without a permit.
const SOON: Duration = Duration::from_secs(3600);

fn limits(loads_max: usize) -> CacheLimits {
    CacheLimits { refill: RefillLimits { loads_max, wait_max: DAY, queue_max: 4096 }, ..CacheLimits::default() }
}

/// A node on which every page depends on one fact.
#[derive(Clone)]
struct Hot {
    cache: Cache,
    /// Which pages were loaded, in the order in which their loads began.
    loaded: Arc<Mutex<Vec<usize>>>,
    running: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Hot {
    async fn new(limits: CacheLimits) -> Self {
        let cache = Cache::builder(Arc::new(MemoryStore::default())).limits(limits).build().await.unwrap();
        Self { cache, loaded: Arc::default(), running: Arc::default(), most_at_once: Arc::default() }
    }

    /// With so many pages in memory, which a write has just made invalid.
    async fn invalidated(limits: CacheLimits, pages: usize) -> Self {
        let hot = Self::new(limits).await;
        hot.read_all(pages).await;
        hot.invalidate().await;
        hot
    }

    async fn invalidate(&self) {
        self.cache.invalidate(&Invalidation::of([tag()])).await.unwrap();
        self.loaded.lock().clear();
        self.most_at_once.store(0, SeqCst);
    }

    async fn load(self, number: usize) -> Result<Loaded<Page>, String> {
        self.loaded.lock().push(number);
        self.most_at_once.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
        record(&tag());
        sleep(LOAD).await;
        self.running.fetch_sub(1, SeqCst);
        Ok(Loaded::value(Page { saw: vec![(number as u32, 0)] }))
    }

    async fn read(&self, number: usize) {
        let hot = self.clone();
        let load = move || hot.load(number);
        self.cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
    }

    async fn begin(&self, number: usize) -> JoinHandle<()> {
        let hot = self.clone();
        let reading = tokio::spawn(async move { hot.read(number).await });
        settle().await;
        reading
    }

    async fn read_all(&self, pages: usize) {
        let mut running = JoinSet::new();
        for number in 0..pages {
            let hot = self.clone();
            running.spawn(async move { hot.read(number).await });
        }
        timeout(SOON, running.join_all()).await.expect("nobody waits for a permit in vain");
    }
}

#[tokio::test(start_paused = true)]
async fn what_became_invalid_together_is_loaded_few_at_a_time() {
    let hot = Hot::new(limits(4)).await;
    hot.read_all(50).await;
    assert_eq!(hot.most_at_once.load(SeqCst), 50, "what was never there is not held back");
    hot.invalidate().await;
    hot.read_all(50).await;
    assert_eq!((hot.most_at_once.load(SeqCst), hot.loaded.lock().len()), (4, 50));
}

#[tokio::test(start_paused = true)]
async fn the_page_most_wait_for_is_loaded_first() {
    let hot = Hot::invalidated(limits(1), 5).await;
    let mut running = vec![hot.begin(0).await];
    for (number, readers) in [(1, 1), (2, 3), (3, 2), (4, 9)] {
        for _ in 0..readers {
            running.push(hot.begin(number).await);
        }
    }
    for reading in running {
        timeout(SOON, reading).await.expect("soon").unwrap();
    }
    assert_eq!(*hot.loaded.lock(), [0, 4, 2, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_load_within_a_load_needs_no_permit_of_its_own() {
    let hot = Hot::invalidated(limits(1), 3).await;
    let outer = |number: usize| {
        let hot = hot.clone();
        async move {
            let inner = hot.clone();
            let load = move || async move {
                inner.read(1).await;
                sleep(LOAD).await;
                inner.read(2).await;
                inner.load(number).await
            };
            hot.cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
        }
    };
    let outer = tokio::spawn(outer(0));
    settle().await;
    // Queues for the permit that the outer load holds; then the outer load comes to wait for this one.
    let queued = hot.begin(2).await;
    timeout(SOON, outer).await.expect("nobody waits for itself").unwrap();
    queued.await.unwrap();
    assert_eq!(*hot.loaded.lock(), [1, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_ends_badly_gives_its_permit_back() {
    let hot = Hot::invalidated(limits(1), 4).await;
    let policy = POLICY.load_timeout(LOAD);
    let fetch = async |number: usize, how: &'static str| {
        let load = move || async move {
            match how {
                "fails" => Err("away".to_owned()),
                "panics" => panic!("a bug in the loader"),
                _ => std::future::pending::<Result<Loaded<Page>, String>>().await,
            }
        };
        hot.cache.fetch(&page(&acme(), number), &policy, &ReadOptions::default(), load).await.unwrap_err()
    };
    assert_eq!(fetch(0, "fails").await, FetchError::Load("away".into()));
    assert_eq!(fetch(1, "panics").await, FetchError::Aborted);
    assert_eq!(fetch(2, "hangs").await, FetchError::TimedOut);
    let cancelled = hot.begin(3).await;
    cancelled.abort();
    timeout(SOON, hot.read(0)).await.expect("the permit is free again");
    assert_eq!(*hot.loaded.lock(), [3, 0], "the load of a reader who went away goes on, and ends");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_is_not_waited_for_without_end() {
    let mut limits = limits(1);
    limits.refill.wait_max = LOAD;
    let hot = Hot::invalidated(limits, 2).await;
    let (stuck, cache) = (POLICY.load_timeout(DAY), hot.cache.clone());
    let forever = || async { std::future::pending::<Result<Loaded<Page>, String>>().await };
    let holding = tokio::spawn(async move {
        let _ = cache.fetch(&page(&acme(), 0), &stuck, &ReadOptions::default(), forever).await;
    });
    settle().await;
    timeout(SOON, hot.read(1)).await.expect("slower, and not refused");
    holding.abort();
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_one_turn_for_all_its_keys() {
    let hot = Hot::invalidated(limits(1), 4).await;
    let first = hot.begin(0).await;
    let its = hot.clone();
    let batch = tokio::spawn(async move {
        let keys = [1, 2, 3].map(|number| page(&acme(), number));
        let (cache, its) = (its.cache.clone(), Arc::new(its));
        let load = move |places: Vec<usize>| {
            let hot = its.clone();
            async move {
                assert_eq!(places, [0, 1, 2]);
                (*hot).clone().load(99).await?;
                Ok::<_, String>(places.iter().map(|_| Loaded::value(Page { saw: Vec::new() })).collect())
            }
        };
        cache.fetch_many(&keys, &POLICY, &ReadOptions::default(), load).await.unwrap().len()
    });
    settle().await;
    assert_eq!(*hot.loaded.lock(), [0], "the batch waits for its turn");
    first.await.unwrap();
    assert_eq!(timeout(SOON, batch).await.expect("its turn comes").unwrap(), 3);
    assert_eq!((&hot.loaded.lock()[..], hot.most_at_once.load(SeqCst)), (&[0, 99][..], 1));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_node_holds_no_permit() {
    let nodes = Nodes::with(limits(1), Sabotage::None).await;
    let other = async |number: u32| {
        let origin = nodes.origin.clone();
        let load = move || origin.load(LOAD);
        let cache = &nodes.nodes[1].cache;
        cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap()
    };
    for number in 1..3 {
        other(number).await;
    }
    nodes.write(0).await;
    let slow = nodes.begin_taking(0, POLICY, none(), LOAD * 20).await;
    let waiting = nodes.begin(1, POLICY, none()).await;
    assert!(!other(2).await.collapsed);
    assert!(!waiting.is_finished() && !slow.is_finished());
    assert!(waiting.await.unwrap().unwrap().collapsed);
    assert_eq!(*nodes.nodes[1].waits.0.lock(), [WaitedFor::Fill]);
    slow.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn warming_reads_what_was_hot_first_and_keeps_to_its_budget() {
    let hot = Hot::invalidated(limits(64), 8).await;
    for number in [5, 5, 6, 6, 7] {
        hot.read(number).await;
    }
    hot.invalidate().await;
    hot.read(7).await;
    hot.loaded.lock().clear();
    let warm = async |budget| {
        let keys = (0..8).map(|number| page(&acme(), number)).collect();
        let (hot, cache) = (hot.clone(), hot.cache.clone());
        let load = move |key: unstale::Key<Page>| {
            let number = key.raw().as_str().rsplit('/').next().unwrap().parse().unwrap();
            hot.clone().load(number)
        };
        cache.warm(keys, &POLICY, budget, load).await
    };
    let one_by_one = WarmBudget { loads_max: 1, time_max: LOAD * 2 };
    assert_eq!(warm(one_by_one).await, Warmed { present: 0, loaded: 2, failed: 0, left_out: 6 });
    assert_eq!(*hot.loaded.lock(), [5, 6], "what was read again after its load");
    assert_eq!(hot.most_at_once.load(SeqCst), 1);

    let warmed = warm(WarmBudget { loads_max: 3, time_max: SOON }).await;
    assert_eq!(warmed, Warmed { present: 3, loaded: 5, failed: 0, left_out: 0 });
    assert_eq!((hot.most_at_once.load(SeqCst), &hot.loaded.lock()[2..]), (3, &[0, 1, 2, 3, 4][..]));

    hot.invalidate().await;
    let failing = |_| async { Err::<Loaded<Page>, _>("away".to_owned()) };
    let keys = vec![page(&acme(), 1)];
    let failed = hot.cache.warm(keys, &POLICY, WarmBudget::default(), failing).await;
    assert_eq!(failed, Warmed { failed: 1, ..Warmed::default() });
}
