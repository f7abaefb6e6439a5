//! What the records about the cache and the watch over it cost a hit: with and without them, in pairs in one run.
//!
//! Three kinds of hit: of the engine, of the engine with every hit noted singly, as while they are few, and of the layer with a verified identity.
//! Both sides have the metrics that every server has. Machines are noisy: only the ratio within a pair counts, and the
//! median over the pairs is printed, with the first pair's side changing each time. `make bench` runs it.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a benchmark")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, http::Request};
use futures_util::FutureExt as _;
use http_body_util::Full;
use tower::{Layer as _, Service, ServiceExt as _};
use unstale::{Cache, Key, Loaded, MemoryStore, Policy, ReadOptions, Tag, Tenant, record, testing::Folder};
use unstale_http::{CacheLayer, Identity, RoutePolicies, RoutePolicy};
use unstale_server::{
    configuration::Retention,
    consistency::{Limits as WatchLimits, Watch, WatchLayer},
    database::{PoolLimits, connect, migrate_up},
    statistics::{Bookkeeper, Limits, Writer},
    telemetry::{BuildInfo, Metrics},
};

const PAIRS: usize = 31;
/// Longer than the second after which it is adapted how many hits are noted: before that, a burst is thinned out.
const SETTLING: Duration = Duration::from_millis(2500);
const HITS: u32 = 100_000;
const RESPONSES: u32 = 20_000;
const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));

unstale::catalogue! {
    /// Of this benchmark.
    const _PATTERNS;
    /// A page.
    fn page(number) -> Page = "page";
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Page(Vec<u8>);
unstale::cacheable!(Page, "Page v1");

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let plain = Side::new(None).await;
        let recorded = Side::new(Some(Limits::default())).await;
        let singly = Side::new(Some(Limits { hits_noted_per_second: u32::MAX, ..Limits::default() })).await;
        println!("{:<44} {:>10} {:>10} {:>7}", "", "with, ns", "without", "ratio");
        settle(|| recorded.hits());
        tell("engine, hit", HITS, || recorded.hits(), || plain.hits());
        settle(|| singly.hits());
        tell("engine, hit, each noted", HITS, || singly.hits(), || plain.hits());
        let (mut with, mut without) = (recorded.service().await, plain.service().await);
        settle(|| responses(&mut with));
        tell("layer, hit", RESPONSES, || responses(&mut with), || responses(&mut without));
        if let Some(books) = &recorded.books {
            println!("notes dropped: {}", books.dropped());
        }
    });
}

/// Runs both in turn and prints the medians.
fn tell(what: &str, count: u32, mut with: impl FnMut() -> Duration, mut without: impl FnMut() -> Duration) {
    let mut pairs: Vec<(f64, f64)> = (0..PAIRS)
        .map(|round| {
            if round % 2 == 0 {
                let with = with();
                (with.as_nanos() as f64, without().as_nanos() as f64)
            } else {
                let without = without();
                (with().as_nanos() as f64, without.as_nanos() as f64)
            }
        })
        .collect();
    // What the first rounds adapt to.
    pairs.drain(..3);
    let ratio = median(pairs.iter().map(|(with, without)| with / without).collect());
    let [with, without] = [|pair: &(f64, f64)| pair.0, |pair: &(f64, f64)| pair.1]
        .map(|side| median(pairs.iter().map(side).collect()) / f64::from(count));
    println!("{what:<44} {with:>10.1} {without:>10.1} {ratio:>6.2}×  (aim: within noise)");
}

/// A cache, with its books or without.
struct Side {
    cache: Cache,
    key: Key<Page>,
    books: Option<Bookkeeper>,
    _folder: Folder,
}

impl Side {
    async fn new(limits: Option<Limits>) -> Self {
        let folder = Folder::new();
        let metrics = Metrics::new(&BuildInfo { version: "0", commit: "bench" });
        let mut builder = Cache::builder(Arc::new(MemoryStore::default())).observer(metrics.observer());
        let mut writer = None;
        let mut books = None;
        if let Some(limits) = limits {
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("records.db").display());
            let pool = connect(&url, "bench", &PoolLimits::default()).await.unwrap();
            migrate_up(&pool).await.unwrap();
            let (bookkeeper, task) = Writer::new(pool, limits, metrics.records());
            builder = builder.observer(bookkeeper.observer());
            (writer, books) = (Some(task), Some(bookkeeper));
        }
        let cache = builder.build().await.unwrap();
        if let Some(writer) = writer {
            tokio::spawn(writer.run(cache.clone(), Retention::default));
        }
        let key = page(&Tenant::new("acme").unwrap(), 7);
        let load = || async {
            (0..10).for_each(|row| record(&Tag::shared("row", row)));
            Ok::<_, String>(Loaded::value(Page(vec![0; 2048])))
        };
        cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap();
        Self { cache, key, books, _folder: folder }
    }

    fn hits(&self) -> Duration {
        let options = ReadOptions::default();
        let began = Instant::now();
        for _ in 0..HITS {
            black_box(self.cache.hit(&self.key, &POLICY, &options)).unwrap();
        }
        began.elapsed()
    }

    /// The layer over this cache, with a response in it; watched, if it has books.
    async fn service(&self) -> impl FnMut() {
        let routes = RoutePolicies::builder().route("/", RoutePolicy::cached("bytes", POLICY)).build().unwrap();
        let inner = tower::service_fn(|_: Request<Body>| async {
            let body = Full::new(axum::body::Bytes::from_static(&[0; 2048]));
            Ok::<_, std::convert::Infallible>(axum::http::Response::new(body))
        });
        let mut layer = CacheLayer::new(self.cache.clone(), routes, b"a secret of 32 bytes, for a bench");
        let identity = Identity::new(Tenant::new("acme").unwrap(), "user-42").session("session-7");
        if let Some(books) = &self.books {
            layer = layer.observer(Arc::new(books.clone())).observer(Watch::response_observer());
        }
        let watch = Watch::new(WatchLimits::default(), unstale_server::telemetry::ConsistencyMetrics::default());
        let watched: WatchLayer<Body, Body> = WatchLayer::new(watch, self.cache.clone(), &[], |_, _| {}, || None);
        let mut plain = layer.clone().layer(inner);
        let mut both = watched.layer(layer.layer(inner));
        let has_books = self.books.is_some();
        let request = move || {
            let mut request = Request::new(Body::empty());
            request.extensions_mut().insert(identity.clone());
            request
        };
        plain.ready().await.unwrap().call(request()).await.unwrap();
        move || {
            let status = if has_books {
                both.call(request()).now_or_never().map(|answer| answer.unwrap().status())
            } else {
                plain.call(request()).now_or_never().map(|answer| answer.unwrap().status())
            };
            assert!(status.expect("a hit is answered at once").is_success());
        }
    }
}

/// Hits until what is noted of them has settled.
fn settle(mut hits: impl FnMut() -> Duration) {
    let mut taken = Duration::ZERO;
    while taken < SETTLING {
        taken += hits();
    }
}

fn responses(answer: &mut impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..RESPONSES).for_each(|_| answer());
    began.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
