//! The store on Redis against the bare client, on a server of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use redis::aio::ConnectionManager;
use tokio::{runtime::Runtime, task::JoinSet};
use unstale::{
    Bytes, Cache, CacheLimits, CacheVersion, Cacheable, CodecError, Fingerprint, L1Limits, Loaded, Mode, Policy,
    Position, ReadOptions, RedisLimits, RedisSettings, RedisStore, Tag, Timestamp, Verdict, catalogue,
    store::{Filled, Store as _, StoredEntry},
    testing::redis_server::RedisServer,
};

use super::{acme, report};

catalogue! {
    /// Every key of these rows.
    const PATTERNS;
    /// A blob by its number.
    fn blob(number) -> Blob = "blob";
}

/// A value that costs nothing to encode: what is measured is the store.
struct Blob(Bytes);

impl Cacheable for Blob {
    fn fingerprint() -> Fingerprint {
        Fingerprint::of("Blob v1")
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        Ok(Self(bytes.clone()))
    }
}

const VALUE: [u8; 2048] = [7; 2048];
const KEYS: usize = 10_000;
const TASKS: usize = 64;
const OPERATIONS_PER_TASK: usize = 200;
const PAIRS: usize = 31;

pub(super) fn rows() {
    assert_eq!(PATTERNS.len(), 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new());
    let bench = Arc::new(bench);
    compare(&runtime, &bench, "L2 hit 2 KB, 64 tasks: store | plain GET", Operation::Get, Operation::PlainGet);
    compare(&runtime, &bench, "L2 hit 2 KB, 64 tasks: cache | plain GET", Operation::Fetch, Operation::PlainGet);
    compare(&runtime, &bench, "fill 2 KB, 3 tags, 64 tasks | empty EVALSHA", Operation::Fill, Operation::Empty);
    compare(&runtime, &bench, "fill 2 KB, 3 tags, 64 tasks | plain SET", Operation::Fill, Operation::PlainSet);
    compare(&runtime, &bench, "append 3 tags, 64 tasks | empty EVALSHA", Operation::Append, Operation::Empty);
    compare(
        &runtime,
        &bench,
        "append 3 of 9000 tags, 64 tasks | empty EVALSHA",
        Operation::AppendMany,
        Operation::Empty,
    );
    compare(&runtime, &bench, "fill, base behind the head | empty EVALSHA", Operation::FillBehind, Operation::Empty);
}

#[derive(Clone, Copy)]
enum Operation {
    Get,
    PlainGet,
    PlainSet,
    Fetch,
    Fill,
    /// With the head as base, as where little is written.
    Append,
    /// Each record with tags of its own.
    AppendMany,
    /// Behind the head: what is stored has to be looked at.
    FillBehind,
    Empty,
}

struct Bench {
    store: Arc<RedisStore>,
    cache: Cache,
    client: ConnectionManager,
    empty_script: String,
    base: Position,
    keys: Vec<unstale::Key<Blob>>,
    tags: Vec<unstale::TagId>,
    /// Of the entries: never invalidated.
    entry_tags: Vec<unstale::TagId>,
    next: AtomicUsize,
    _server: RedisServer,
}

impl Bench {
    async fn new() -> Self {
        let server = RedisServer::start();
        let settings = RedisSettings {
            url: server.url(),
            namespace: "bench".into(),
            version: CacheVersion::default(),
            limits: RedisLimits::default(),
        };
        let store = Arc::new(RedisStore::new(settings).unwrap());
        // No room in memory: every read goes to Redis.
        let limits = CacheLimits { l1: L1Limits { bytes_max: 1, ..L1Limits::default() }, ..CacheLimits::default() };
        let cache = Cache::builder(store.clone()).limits(limits).build().await.unwrap();
        // As it comes, and with that bounded in its waits as the store is.
        let mut client = ConnectionManager::new(redis::Client::open(server.url()).unwrap()).await.unwrap();
        let empty_script = redis::cmd("SCRIPT").arg("LOAD").arg("return 0").query_async(&mut client).await.unwrap();
        let base = store.head(store.partitions().of(&acme())).await.unwrap();
        let keys = (0..KEYS).map(|number| blob(&acme(), number)).collect();
        let tags = ["import", "mappings", "engagement"].map(|kind| Tag::of(&acme(), kind, 1).id()).to_vec();
        let entry_tags = ["import", "mappings", "engagement"].map(|kind| Tag::of(&acme(), kind, 2).id()).to_vec();
        let next = AtomicUsize::new(0);
        let bench = Self { store, cache, client, empty_script, base, keys, tags, entry_tags, next, _server: server };
        for at in 0..KEYS {
            bench.fill(at).await;
            let _: () =
                redis::cmd("SET").arg(plain_name(at)).arg(&VALUE).query_async(&mut bench.client.clone()).await.unwrap();
        }
        bench
    }

    async fn run(&self, operation: Operation) {
        let at = self.next.fetch_add(1, Relaxed) * 7919 % KEYS;
        match operation {
            Operation::Get => {
                let found = self.store.get(std::slice::from_ref(self.keys[at].raw())).await.unwrap();
                assert_eq!(found[0].as_ref().unwrap().value.as_ref().unwrap().len(), VALUE.len());
            }
            Operation::PlainGet => {
                let name = plain_name(at);
                let value: Vec<u8> = redis::cmd("GET").arg(name).query_async(&mut self.client.clone()).await.unwrap();
                assert_eq!(value.len(), VALUE.len());
            }
            Operation::PlainSet => {
                let mut command = redis::cmd("SET");
                command.arg(plain_name(at)).arg(&VALUE).arg("PX").arg(86_400_000);
                let _: () = command.query_async(&mut self.client.clone()).await.unwrap();
            }
            Operation::Fetch => {
                let policy = Policy::ttl(Duration::from_secs(3600)).mode(Mode::Bounded(Duration::MAX));
                let load = || async { Ok::<_, String>(Loaded::value(Blob(Bytes::new()))) };
                let fetched = self.cache.fetch(&self.keys[at], &policy, &ReadOptions::default(), load).await.unwrap();
                assert_eq!((fetched.verdict, fetched.value().unwrap().0.len()), (Verdict::Hit, VALUE.len()));
            }
            Operation::Fill | Operation::FillBehind => self.fill(at).await,
            Operation::AppendMany => {
                let tags = ["one", "two", "three"].map(|kind| Tag::of(&acme(), kind, at % 3_000).id());
                self.store.append(self.base.partition, tags.to_vec(), Bytes::new()).await.unwrap();
            }
            Operation::Append => {
                let partition = self.base.partition;
                self.store.append(partition, self.tags.clone(), Bytes::new()).await.unwrap();
            }
            Operation::Empty => {
                let mut command = redis::cmd("EVALSHA");
                command.arg(&self.empty_script).arg(0);
                let answer: i64 = command.query_async(&mut self.client.clone()).await.unwrap();
                assert_eq!(answer, 0);
            }
        }
    }

    /// Seconds of processor time: this process, the server.
    fn cpu(&self) -> [f64; 2] {
        let ticks = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
        };
        let info: String = self._server.run(&["INFO", "server"]);
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim().to_owned();
        [ticks("self"), ticks(&pid)]
    }

    async fn fill(&self, at: usize) {
        let entry = StoredEntry {
            base: self.base,
            tags: self.entry_tags.iter().copied().collect(),
            has_tenant_tags: true,
            loaded_at: Timestamp::from_millis(0),
            expires_at: Timestamp::NEVER,
            dead_at: Timestamp::NEVER,
            schema: Blob::fingerprint(),
            value: Some(Bytes::from_static(&VALUE)),
        };
        assert_eq!(self.store.fill(self.keys[at].raw(), entry).await.unwrap(), Filled::Stored);
    }
}

fn plain_name(at: usize) -> String {
    // As long as the names of entries.
    format!("{{bench:12}}:v1:acme:plain/{at}")
}

fn compare(runtime: &Runtime, bench: &Arc<Bench>, what: &str, ours: Operation, yardstick: Operation) {
    if std::env::var("ROW").is_ok_and(|row| !what.contains(&row)) {
        return;
    }
    let mut cpu = [0.0; 4];
    let pairs: Vec<_> = (0..PAIRS)
        .map(|_| {
            let zero = bench.cpu();
            let one = round(runtime, bench, ours);
            let middle = bench.cpu();
            let two = round(runtime, bench, yardstick);
            let end = bench.cpu();
            for at in 0..2 {
                cpu[at] += middle[at] - zero[at];
                cpu[at + 2] += end[at] - middle[at];
            }
            (one, two)
        })
        .collect();
    let per = 1e6 / (PAIRS * TASKS * OPERATIONS_PER_TASK) as f64;
    if std::env::var("SHOWGROUPS").is_ok() {
        eprintln!(
            "  CPU µs: ours client {:.2} server {:.2}; yardstick client {:.2} server {:.2}",
            cpu[0] * per,
            cpu[1] * per,
            cpu[2] * per,
            cpu[3] * per
        );
    }
    report(what, &pairs, "ns");
    if std::env::var("SHOWGROUPS").is_ok() {
        eprintln!("{:?} {:?}", bench.store.stats().append_groups, bench.store.stats().fill_groups);
    }
}

/// Nanoseconds per operation, over all tasks together.
fn round(runtime: &Runtime, bench: &Arc<Bench>, operation: Operation) -> f64 {
    runtime.block_on(async {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let bench = bench.clone();
            tasks.spawn(async move {
                for _ in 0..OPERATIONS_PER_TASK {
                    bench.run(operation).await;
                }
            });
        }
        tasks.join_all().await;
        began.elapsed().as_nanos() as f64 / (TASKS * OPERATIONS_PER_TASK) as f64
    })
}
