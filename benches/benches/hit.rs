//! A hit in memory with three tags, against bare gets of other caches: 10,000 keys read by Zipf's law (0.9).
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::{hint::black_box, sync::Arc};

use unstale::{Key, ReadOptions};
use unstale_benches::{POLICY, Page, acme, empty, fill, median, page, runtime, time_reads, zipf_order};

const KEYS: usize = 10_000;
const TURNS: usize = 41;
const READS_PER_TURN: usize = 200_000;
/// Where instructions are counted, which takes long.
const READS_COUNTED: usize = 20_000;

type Read = Box<dyn Fn(usize) -> u64 + Send + Sync>;

fn main() {
    // For `perf` and `callgrind`: one contender, this thread, nothing else.
    if let Ok(only) = std::env::var("ONLY") {
        for (name, read) in contenders(&only) {
            reads_here(&read, READS_COUNTED);
            println!("{name}: {READS_COUNTED} reads");
        }
        return;
    }
    let contenders = contenders("");
    println!("L1 hit, 3 tags, ns per read and ratio to bare quick_cache (medians of {TURNS} turns)");
    println!("{:<34} {:>10} {:>8} {:>10} {:>8}", "", "1 thread", "", "2 threads", "");
    let one = turns(&contenders, 1);
    let two = turns(&contenders, 2);
    for (at, (name, _)) in contenders.iter().enumerate() {
        let row = |turns: &[Vec<f64>]| {
            let times = median(turns.iter().map(|turn| turn[at]).collect());
            (times, median(turns.iter().map(|turn| turn[at] / turn[1]).collect()))
        };
        let ((one, one_ratio), (two, two_ratio)) = (row(&one), row(&two));
        println!("{name:<34} {one:>7.0} ns {one_ratio:>7.2}× {two:>7.0} ns {two_ratio:>7.2}×");
    }
}

/// A name by which what is counted is told from all that comes before it.
#[inline(never)]
fn reads_here(read: &Read, reads: usize) {
    for at in 0..reads {
        black_box(read(at));
    }
}

/// Each contender's times, turn by turn; within a turn all of them, one after the other.
fn turns(contenders: &[(&'static str, Arc<Read>)], threads: usize) -> Vec<Vec<f64>> {
    let turn = |_| contenders.iter().map(|(_, read)| time_reads(read, threads, READS_PER_TURN)).collect();
    (0..TURNS).map(turn).collect()
}

/// Those whose name contains `only`.
fn contenders(only: &str) -> Vec<(&'static str, Arc<Read>)> {
    let order = Arc::new(zipf_order(KEYS));
    let keys: Arc<Vec<Key<Page>>> = Arc::new((0..KEYS).map(|number| page(&acme(), number)).collect());
    let names: Arc<Vec<String>> = Arc::new(keys.iter().map(|key| key.raw().as_str().to_owned()).collect());
    let pages = || names.iter().enumerate().map(|(number, name)| (name.clone(), Arc::new(Page::new(number as u64))));
    let ours = || -> Read {
        let runtime = runtime();
        let cache = runtime.block_on(empty(64 << 20));
        for number in 0..KEYS as u64 {
            // Keys of their own: a reader makes its key anew, so its text stands elsewhere in memory.
            runtime.block_on(fill(&cache, &acme(), &page(&acme(), number), number, Page::new(number)));
        }
        let (order, keys, options) = (order.clone(), keys.clone(), ReadOptions::default());
        Box::new(move |at: usize| {
            let hit = cache.hit(&keys[order[at % order.len()]], &POLICY, &options).expect("a hit");
            hit.value().unwrap().glance()
        })
    };
    let quick = || -> Read {
        let cache = quick_cache::sync::Cache::<String, Arc<Page>>::new(2 * KEYS);
        pages().for_each(|(name, page)| cache.insert(name, page));
        let (order, names) = (order.clone(), names.clone());
        Box::new(move |at: usize| cache.get(&names[order[at % order.len()]]).expect("a hit").glance())
    };
    let foyer = || -> Read {
        let config = foyer_memory::S3FifoConfig::default();
        let cache: foyer_memory::Cache<String, Arc<Page>> =
            foyer_memory::CacheBuilder::new(4 * KEYS).with_eviction_config(config).build();
        pages().for_each(|(name, page)| drop(cache.insert(name, page)));
        let (order, names) = (order.clone(), names.clone());
        Box::new(move |at: usize| cache.get(&names[order[at % order.len()]]).expect("a hit").value().glance())
    };
    let moka = || -> Read {
        let cache = moka::sync::Cache::<String, Arc<Page>>::new(2 * KEYS as u64);
        pages().for_each(|(name, page)| cache.insert(name, page));
        cache.run_pending_tasks();
        let (order, names) = (order.clone(), names.clone());
        Box::new(move |at: usize| cache.get(&names[order[at % order.len()]]).expect("a hit").glance())
    };
    let makers: [(&str, &dyn Fn() -> Read); 4] = [
        ("unstale: Cache::hit", &ours),
        ("quick_cache, String keys: get", &quick),
        ("foyer (S3-FIFO): get", &foyer),
        ("moka (sync): get", &moka),
    ];
    makers.into_iter().filter(|(name, _)| name.contains(only)).map(|(name, make)| (name, Arc::new(make()))).collect()
}
