//! Hit ratio on real traces, at equal memory, also with an invalidation every 100 accesses; and with one tenant that
//! floods the others.
//!
//! *Equal memory*: an object weighs its key, its value (64 bytes to 4 KB, drawn from its number) and what the contender
//! itself spends on an entry, which is measured first, by a counting allocator. So a cache that is thrifty with its own
//! bytes keeps more objects. Unstale reckons what it spends by itself; its limit is lowered by what it reckons too
//! little for this type of value, which has an allocation of its own.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

use std::{collections::HashSet, fmt::Write as _, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use unstale::{Cache, Invalidation, Loaded, ReadOptions, Tag, Tenant};
use unstale_benches::{Blob, POLICY, acme, blob, counting, empty, fill, runtime, traces, zipf_order};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Bytes of a value, by the number of its object.
fn value_bytes(number: u32) -> usize {
    64 << (u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61).min(6)
}

fn name(number: u32) -> String {
    format!("acme:blob/{number}")
}

/// A cache under trial.
trait Contender {
    /// Whether it was there; it is afterwards.
    fn access(&mut self, number: u32) -> bool;
    /// What it holds of an object is out of date.
    fn invalidate(&mut self, number: u32);
}

/// What a contender spends on an entry beside key and value, in bytes.
struct Overheads {
    /// How much less than its limit to allow, to be within it.
    ours: f64,
    quick: usize,
    moka: usize,
    foyer: usize,
}

fn value(number: u32) -> Arc<[u8]> {
    vec![7; value_bytes(number)].into()
}

struct Ours {
    runtime: tokio::runtime::Runtime,
    cache: Cache,
    options: ReadOptions,
}

impl Ours {
    fn new(bytes_max: u64) -> Self {
        let runtime = runtime();
        let cache = runtime.block_on(empty(bytes_max));
        Self { runtime, cache, options: ReadOptions::default() }
    }
}

impl Contender for Ours {
    fn access(&mut self, number: u32) -> bool {
        let key = blob(&acme(), number);
        if self.cache.hit(&key, &POLICY, &self.options).is_some() {
            return true;
        }
        let load = move || async move {
            let tags = [Tag::of(&acme(), "row", number), Tag::of(&acme(), "list", 1), Tag::of(&acme(), "owner", 1)];
            Ok::<_, String>(Loaded::value(Blob(value(number))).tags(tags))
        };
        self.runtime.block_on(self.cache.fetch(&key, &POLICY, &self.options, load)).unwrap();
        false
    }

    fn invalidate(&mut self, number: u32) {
        let invalidation = Invalidation::of([Tag::of(&acme(), "row", number)]);
        self.runtime.block_on(self.cache.invalidate(&invalidation)).unwrap();
    }
}

#[derive(Clone)]
struct Weight(usize);

impl quick_cache::Weighter<String, Arc<[u8]>> for Weight {
    fn weight(&self, key: &String, value: &Arc<[u8]>) -> u64 {
        (key.len() + value.len() + self.0) as u64
    }
}

type Quick = quick_cache::sync::Cache<String, Arc<[u8]>, Weight>;
type Moka = moka::sync::Cache<String, Arc<[u8]>>;
type Foyer = foyer_memory::Cache<String, Arc<[u8]>>;

fn quick(bytes_max: u64, overhead: usize) -> Quick {
    // The number of objects that it is told to expect: by the mean size of a value.
    Quick::with_weighter(usize::try_from(bytes_max).unwrap() / 1000, bytes_max, Weight(overhead))
}

fn moka(bytes_max: u64, overhead: usize) -> Moka {
    let weigh = move |key: &String, value: &Arc<[u8]>| (key.len() + value.len() + overhead).try_into().unwrap();
    Moka::builder().max_capacity(bytes_max).weigher(weigh).build()
}

fn foyer(bytes_max: u64, overhead: usize) -> Foyer {
    foyer_memory::CacheBuilder::new(usize::try_from(bytes_max).unwrap())
        .with_eviction_config(foyer_memory::S3FifoConfig::default())
        .with_weighter(move |key: &String, value: &Arc<[u8]>| key.len() + value.len() + overhead)
        .build()
}

impl Contender for Quick {
    fn access(&mut self, number: u32) -> bool {
        let name = name(number);
        self.get(&name).is_some() || {
            self.insert(name, value(number));
            false
        }
    }

    fn invalidate(&mut self, number: u32) {
        self.remove(&name(number));
    }
}

impl Contender for Moka {
    fn access(&mut self, number: u32) -> bool {
        let name = name(number);
        self.get(&name).is_some() || {
            self.insert(name, value(number));
            // It evicts later, in batches; until then it holds more than its limit, in small caches twice as much.
            self.run_pending_tasks();
            false
        }
    }

    fn invalidate(&mut self, number: u32) {
        Moka::invalidate(self, &name(number));
    }
}

impl Contender for Foyer {
    fn access(&mut self, number: u32) -> bool {
        let name = name(number);
        self.get(&name).is_some() || {
            self.insert(name, value(number));
            false
        }
    }

    fn invalidate(&mut self, number: u32) {
        self.remove(&name(number));
    }
}

/// Fills each with many objects and looks how much memory that took.
fn measured_overheads() -> Overheads {
    const OBJECTS: u32 = 60_000;
    let stored: usize = (0..OBJECTS).map(|number| name(number).len() + value_bytes(number)).sum();
    let measure = |mut contender: Box<dyn Contender>| {
        let before = counting::in_use();
        (0..OBJECTS).for_each(|number| assert!(!contender.access(number)));
        (counting::in_use() - before - stored) / OBJECTS as usize
    };
    let room = stored as u64 * 4;
    let mut filled = Ours::new(room);
    let before = counting::in_use();
    (0..OBJECTS).for_each(|number| assert!(!filled.access(number)));
    let ours = filled.cache.size().bytes as f64 / (counting::in_use() - before) as f64;
    drop(filled);
    let settled = moka(room, 0);
    let before = counting::in_use();
    let mut filled = settled.clone();
    (0..OBJECTS).for_each(|number| assert!(!filled.access(number)));
    settled.run_pending_tasks();
    let moka = (counting::in_use() - before - stored) / OBJECTS as usize;
    Overheads { ours, quick: measure(Box::new(quick(room, 0))), moka, foyer: measure(Box::new(foyer(room, 0))) }
}

/// The percentage of hits, with an invalidation of an object accessed lately after every so many accesses.
fn hit_ratio(trace: &[u32], invalidate_every: Option<usize>, contender: &mut dyn Contender) -> f64 {
    let mut random = StdRng::seed_from_u64(7);
    let mut hits = 0;
    for (at, number) in trace.iter().enumerate() {
        hits += usize::from(contender.access(*number));
        if invalidate_every.is_some_and(|every| at % every == every - 1) {
            contender.invalidate(trace[at - random.random_range(0..1000.min(at))]);
        }
    }
    100.0 * hits as f64 / trace.len() as f64
}

fn real_traces(overheads: &Overheads) {
    println!(
        "{:<44} {:>8} {:>12} {:>8} {:>8} {:>10}",
        "hit ratio in percent, at equal memory", "unstale", "quick_cache", "moka", "foyer", "to best"
    );
    for trace_name in ["web07", "web12", "orm-night"] {
        let trace = match traces::read(trace_name) {
            Ok(trace) => trace,
            Err(reason) => {
                println!("{trace_name} is left out: {reason}");
                continue;
            }
        };
        let distinct: HashSet<u32> = trace.iter().copied().collect();
        let all: usize = distinct.iter().map(|number| name(*number).len() + value_bytes(*number)).sum();
        for percent in [1, 10] {
            for every in [None, Some(100)] {
                let bytes = (all * percent / 100) as u64;
                let ratios = [
                    hit_ratio(&trace, every, &mut Ours::new((bytes as f64 * overheads.ours) as u64)),
                    hit_ratio(&trace, every, &mut quick(bytes, overheads.quick)),
                    hit_ratio(&trace, every, &mut moka(bytes, overheads.moka)),
                    hit_ratio(&trace, every, &mut foyer(bytes, overheads.foyer)),
                ];
                let best = ratios[1..].iter().copied().fold(0.0, f64::max);
                let mut what = format!("{trace_name}, {percent} % of the objects' bytes");
                if every.is_some() {
                    write!(what, ", invalidated").unwrap();
                }
                let [ours, quick, moka, foyer] = ratios;
                println!("{what:<44} {ours:>8.2} {quick:>12.2} {moka:>8.2} {foyer:>8.2} {:>+10.2}", ours - best);
            }
        }
    }
}

/// Nine tenants that read 1,000 objects each by Zipf's law, and one that reads everything once, ten times as often as
/// each of them. Memory holds a quarter of what the nine read.
fn flood(overheads: &Overheads) {
    const OBJECTS: usize = 1000;
    const ROUNDS: usize = 60_000;
    let bytes: u64 = 9 * (0..OBJECTS).map(|number| value_bytes(u32::try_from(number).unwrap()) as u64).sum::<u64>() / 4;
    let order = zipf_order(OBJECTS);
    let normal = |round: usize| u32::try_from((round % 9) << 20 | order[round % order.len()]).unwrap();
    let run = |flooded: bool, access: &mut dyn FnMut(Option<usize>, u32) -> bool| {
        let (mut hits, mut next) = (0usize, 0u32);
        for round in 0..ROUNDS {
            hits += usize::from(access(Some(round % 9), normal(round)));
            for _ in 0..if flooded && round % 9 == 0 { 10 } else { 0 } {
                next += 1;
                access(None, 15 << 20 | next);
            }
        }
        100.0 * hits as f64 / ROUNDS as f64
    };
    let tenants: Vec<Tenant> = (0..10).map(|number| Tenant::new(format!("t{number}")).unwrap()).collect();
    let ours = |flooded| {
        let (runtime, options) = (runtime(), ReadOptions::default());
        let cache = runtime.block_on(empty((bytes as f64 * overheads.ours) as u64));
        run(flooded, &mut |tenant, number| {
            let tenant = &tenants[tenant.unwrap_or(9)];
            let key = blob(tenant, number);
            cache.hit(&key, &POLICY, &options).is_some() || {
                runtime.block_on(fill(&cache, tenant, &key, u64::from(number), Blob(value(number))));
                false
            }
        })
    };
    let other = |flooded, mut contender: Box<dyn Contender>| run(flooded, &mut |_, number| contender.access(number));
    println!("\n{:<44} {:>8} {:>8}", "hit ratio of nine tenants, in percent", "alone", "flooded");
    println!("{:<44} {:>8.2} {:>8.2}", "unstale", ours(false), ours(true));
    let row = |name: &str, make: &dyn Fn() -> Box<dyn Contender>| {
        println!("{name:<44} {:>8.2} {:>8.2}", other(false, make()), other(true, make()));
    };
    row("quick_cache", &|| Box::new(quick(bytes, overheads.quick)));
    row("moka", &|| Box::new(moka(bytes, overheads.moka)));
    row("foyer", &|| Box::new(foyer(bytes, overheads.foyer)));
}

fn main() {
    let overheads = measured_overheads();
    let Overheads { ours, quick, moka, foyer } = &overheads;
    println!(
        "bytes spent on an entry: quick_cache {quick}, moka {moka}, foyer {foyer}; unstale reckons {ours:.2} of its own"
    );
    real_traces(&overheads);
    flood(&overheads);
}
