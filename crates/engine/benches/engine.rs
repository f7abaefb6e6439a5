//! The engine against its yardsticks, measured in the same run, in turn.
//!
//! Machines are noisy and shared, so contenders take turns in short rounds and only the ratio of a pair counts; the
//! median over all pairs is printed. `make bench` runs it.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark")]

#[cfg(feature = "redis")]
mod redis_store;

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use quick_cache::sync::Cache as QuickCache;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use unstale::{
    Cache, CacheLimits, Invalidation, Key, L1Limits, Loaded, MemoryStore, Policy, ReadOptions, Tag, Tenant, catalogue,
};

catalogue! {
    /// Every key of the benchmark.
    const PATTERNS;
    /// A page by its number.
    fn page(number) -> Page = "page";
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Page {
    number: u64,
    /// What there is to cache, in place: a hit of either contender reads the number beside it.
    body: Body,
}

type Body = [[u64; 32]; 8];
const BODY: Body = [[7; 32]; 8];
unstale::cacheable!(Page, "Page v1");

const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));
const KEYS: usize = 10_000;
const PAIRS: usize = 41;
const READS_PER_ROUND: usize = 200_000;

fn main() {
    assert_eq!(PATTERNS.len(), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    println!("{:<58} {:>10} {:>10} {:>7}", "", "ours", "yardstick", "ratio");
    #[cfg(feature = "redis")]
    redis_store::rows();
    // `cargo bench … -- redis`: these rows only.
    if std::env::args().any(|argument| argument == "redis") {
        return;
    }
    for threads in [1, 2] {
        l1_hit(&runtime, threads);
    }
    invalidation(&runtime);
}

/// An L1 hit with three tags, against a bare get of the same cache crate with `String` keys.
fn l1_hit(runtime: &tokio::runtime::Runtime, threads: usize) {
    let cache = runtime.block_on(filled(KEYS as u64));
    let ours: Arc<Vec<Key<Page>>> = Arc::new((0..KEYS).map(|number| page(&acme(), number)).collect());
    let bare: Arc<QuickCache<String, Arc<Page>>> = Arc::new(QuickCache::new(2 * KEYS));
    let names: Arc<Vec<String>> = Arc::new(ours.iter().map(|key| key.raw().as_str().to_owned()).collect());
    for (number, name) in names.iter().enumerate() {
        bare.insert(name.clone(), Arc::new(Page { number: number as u64, body: BODY }));
    }
    let order = Arc::new(zipf_order(KEYS));
    let options = ReadOptions::default();
    let read_ours = {
        let (cache, order, keys) = (cache, order.clone(), ours);
        move |at: usize| {
            let hit = cache.hit(&keys[order[at % order.len()]], &POLICY, &options).expect("a hit");
            number_of(hit.value().unwrap())
        }
    };
    let read_bare = {
        let (bare, order, names) = (bare, order, names);
        move |at: usize| number_of(&bare.get(&names[order[at % order.len()]]).expect("a hit"))
    };
    let (read_ours, read_bare) = (Arc::new(read_ours), Arc::new(read_bare));
    let pairs = (0..PAIRS).map(|_| (time_reads(&read_ours, threads), time_reads(&read_bare, threads)));
    let pairs: Vec<_> = pairs.collect();
    report(&format!("L1 hit, 3 tags, {threads} thread(s) | bare get, same crate"), &pairs, "ns");
}

fn number_of(page: &Page) -> u64 {
    page.number ^ page.body[0][0]
}

/// One invalidation with more and more entries cached: must not grow.
fn invalidation(runtime: &tokio::runtime::Runtime) {
    const INVALIDATIONS: u32 = 2_000;
    let sizes = [10_000, 100_000, 1_000_000];
    let caches: Vec<Cache> = sizes.iter().map(|entries| runtime.block_on(filled(*entries))).collect();
    let round = |cache: &Cache| {
        let began = Instant::now();
        runtime.block_on(async {
            for id in 0..INVALIDATIONS {
                let tags = [Tag::of(&acme(), "flow", id), Tag::of(&acme(), "flows", 1), Tag::of(&acme(), "owner", id)];
                cache.invalidate(&Invalidation::of(tags)).await.unwrap();
            }
        });
        began.elapsed().as_nanos() as f64 / f64::from(INVALIDATIONS)
    };
    let mut pairs: Vec<Vec<(f64, f64)>> = vec![Vec::new(); sizes.len()];
    for _ in 0..15 {
        let smallest = round(&caches[0]);
        for (at, cache) in caches.iter().enumerate() {
            pairs[at].push((round(cache), smallest));
        }
    }
    for (at, entries) in sizes.iter().enumerate() {
        let held = caches[at].size().entries;
        assert_eq!(held as u64, *entries, "all entries are in memory");
        report(&format!("invalidate 3 tags with {entries} entries | with 10000"), &pairs[at], "ns");
    }
}

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

/// A cache that holds `count` pages, each with three tags.
async fn filled(count: u64) -> Cache {
    // Room for all, and no more: tables made for many more entries than there are would be all cache misses.
    let room = (count * 4096).max(64 << 20);
    let l1 = L1Limits { bytes_max: room, tenant_bytes_max: room, ..L1Limits::default() };
    let limits = CacheLimits { l1, ..CacheLimits::default() };
    let cache = Cache::builder(Arc::new(MemoryStore::default())).limits(limits).build().await.unwrap();
    for number in 0..count {
        let load = move || async move {
            let tags = ["import", "mappings", "engagement"].map(|kind| Tag::of(&acme(), kind, number % 1000));
            Ok::<_, String>(Loaded::value(Page { number, body: BODY }).tags(tags))
        };
        cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
    }
    cache
}

/// Places drawn with Zipf's law (exponent 0.9), shuffled over the keys.
fn zipf_order(keys: usize) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(7);
    let weights: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-0.9)).collect();
    let mut sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let total = *sums.last().unwrap();
    sums.iter_mut().for_each(|sum| *sum /= total);
    (0..1 << 16)
        .map(|_| sums.partition_point(|sum| *sum < random.random::<f64>()).min(keys - 1) * 7919 % keys)
        .collect()
}

/// Nanoseconds per read, over `threads` threads that begin together.
fn time_reads<F: Fn(usize) -> u64 + Send + Sync + 'static>(read: &Arc<F>, threads: usize) -> f64 {
    let barrier = Arc::new(Barrier::new(threads));
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let (read, barrier) = (read.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                let began = Instant::now();
                for at in 0..READS_PER_ROUND {
                    black_box(read(at + worker * 31_337));
                }
                began.elapsed()
            })
        })
        .collect();
    let slowest = workers.into_iter().map(|worker| worker.join().unwrap()).max().unwrap();
    slowest.as_nanos() as f64 / READS_PER_ROUND as f64
}

fn report(what: &str, pairs: &[(f64, f64)], unit: &str) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ours = median(pairs.iter().map(|pair| pair.0).collect());
    let yardstick = median(pairs.iter().map(|pair| pair.1).collect());
    let ratio = median(pairs.iter().map(|pair| pair.0 / pair.1).collect());
    println!("{what:<58} {ours:>7.0} {unit} {yardstick:>7.0} {unit} {ratio:>6.2}×");
}
