//! What the benchmarks share: the values, the keys, the order of reads, and how pairs are reported.
//!
//! Machines are noisy and shared, so contenders take turns in short rounds and only the ratio within a turn counts;
//! the median over all turns is printed.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark")]

pub mod counting;
pub mod traces;

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use unstale::{Cache, CacheLimits, Key, L1Limits, Loaded, MemoryLimits, MemoryStore, Policy, ReadOptions, Tag, Tenant};

unstale::catalogue! {
    /// Every key of the benchmarks.
    pub const PATTERNS;
    /// A page by its number.
    pub fn page(number) -> Page = "page";
    /// A blob by its number.
    pub fn blob(number) -> Blob = "blob";
}

/// A value of 2 KB, held in place.
#[derive(serde::Serialize, serde::Deserialize)]
#[repr(C)]
pub struct Page {
    /// At the beginning: a reader looks at one cache line of the value, whoever keeps it.
    number: u64,
    body: [[u64; 32]; 8],
}

unstale::cacheable!(Page, "Page v1");

impl Page {
    /// The page of this number.
    pub fn new(number: u64) -> Self {
        Self { number, body: [[7; 32]; 8] }
    }

    /// What a reader looks at.
    pub fn glance(&self) -> u64 {
        self.number ^ self.body[0][0]
    }
}

/// A value of any length, shared.
pub struct Blob(pub Arc<[u8]>);

impl unstale::Cacheable for Blob {
    fn fingerprint() -> unstale::Fingerprint {
        unstale::Fingerprint::of("Blob v1")
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), unstale::CodecError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn decode(bytes: &bytes::Bytes) -> Result<Self, unstale::CodecError> {
        Ok(Self(bytes.as_ref().into()))
    }
}

/// The policy of every entry.
pub const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));

/// The tenant of the benchmarks that have one.
pub fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

/// The three tags of the entry of this number.
pub fn tags(tenant: &Tenant, number: u64) -> [Tag; 3] {
    ["import", "mappings", "engagement"].map(|kind| Tag::of(tenant, kind, number % 1000))
}

/// A cache of `bytes_max` over a store that keeps next to nothing: only memory is measured.
pub async fn empty(bytes_max: u64) -> Cache {
    let l1 = L1Limits { bytes_max, tenant_bytes_max: bytes_max, ..L1Limits::default() };
    let store = MemoryStore::new(MemoryLimits { entry_bytes_max: 1, ..MemoryLimits::default() });
    let limits = CacheLimits { l1, ..CacheLimits::default() };
    Cache::builder(Arc::new(store)).limits(limits).build().await.unwrap()
}

/// Puts a value with three tags in.
pub async fn fill<V: unstale::Cacheable>(cache: &Cache, tenant: &Tenant, key: &Key<V>, number: u64, value: V) {
    let tags = tags(tenant, number);
    let load = move || async move { Ok::<_, String>(Loaded::value(value).tags(tags)) };
    cache.fetch(key, &POLICY, &ReadOptions::default(), load).await.unwrap();
}

/// Runs what is asynchronous.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Places drawn with Zipf's law (exponent 0.9), shuffled over the keys.
pub fn zipf_order(keys: usize) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(7);
    let weights: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-0.9)).collect();
    let mut sum = 0.0;
    let sums: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect();
    (0..1 << 16)
        .map(|_| sums.partition_point(|upto| *upto < random.random::<f64>() * sum).min(keys - 1) * 7919 % keys)
        .collect()
}

/// Nanoseconds per read, over `threads` threads that begin together.
pub fn time_reads<F: Fn(usize) -> u64 + Send + Sync + 'static>(read: &Arc<F>, threads: usize, reads: usize) -> f64 {
    let barrier = Arc::new(Barrier::new(threads));
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let (read, barrier) = (read.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                let began = Instant::now();
                for at in 0..reads {
                    black_box(read(at + worker * 31_337));
                }
                began.elapsed()
            })
        })
        .collect();
    let slowest = workers.into_iter().map(|worker| worker.join().unwrap()).max().unwrap();
    slowest.as_nanos() as f64 / reads as f64
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
