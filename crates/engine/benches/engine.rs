//! The engine against its yardsticks, measured in the same run, in turn.
//!
//! Machines are noisy and shared, so contenders take turns in short rounds and only the ratio of a pair counts; the
//! median over all pairs is printed. `make bench` runs it.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark")]

#[cfg(feature = "redis")]
mod redis_store;
mod sealing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use unstale::{
    Cache, CacheLimits, Invalidation, L1Limits, Loaded, MemoryStore, Policy, ReadOptions, Tag, Tenant, catalogue,
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
    /// What there is to cache, in place.
    body: Body,
}

type Body = [[u64; 32]; 8];
const BODY: Body = [[7; 32]; 8];
unstale::cacheable!(Page, "Page v1");

const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));

fn main() {
    assert_eq!(PATTERNS.len(), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    println!("{:<58} {:>10} {:>10} {:>7}", "", "ours", "yardstick", "ratio");
    #[cfg(feature = "redis")]
    if !std::env::args().any(|argument| argument == "sealing") {
        redis_store::rows();
    }
    // `cargo bench … -- redis`: these rows only.
    if std::env::args().any(|argument| argument == "redis") {
        return;
    }
    sealing::rows(&runtime);
    // `-- sealing`: no more than these.
    if std::env::args().any(|argument| argument == "sealing") {
        return;
    }
    invalidation(&runtime);
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
