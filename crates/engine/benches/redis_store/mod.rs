//! The store on Redis against the bare client, on a server of its own.

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use redis::aio::ConnectionManager;
use tokio::{runtime::Runtime, task::JoinSet};
use unstale::{
    Bytes, Cache, CacheLimits, Cacheable, CodecError, Fingerprint, L1Limits, Loaded, Mode, Policy, Position,
    ReadOptions, RedisLimits, RedisSettings, RedisStore, Tag, Timestamp, Verdict, catalogue,
    store::{Filled, Seal, Store as _, StoredEntry},
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
        static FINGERPRINT: LazyLock<Fingerprint> = LazyLock::new(|| Fingerprint::of("Blob v1"));
        *FINGERPRINT
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        Ok(Self(bytes.clone()))
    }
}

const VALUE_LENGTH: usize = 2048;
/// Noise: nothing is gained by compressing it, so that as many bytes travel as with a plain `GET`.
static VALUE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = StdRng::seed_from_u64(9);
    (0..VALUE_LENGTH).map(|_| random.random::<u8>()).collect()
});
const KEYS: usize = 10_000;
const TASKS: usize = 64;
const OPERATIONS_PER_TASK: usize = 200;
const PAIRS: usize = 31;

pub(super) fn rows() {
    assert_eq!(PATTERNS.len(), 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new());
    let bench = Arc::new(bench);
    if let Ok(only) = std::env::var("ONLY") {
        alone(&runtime, &bench, &only);
        return;
    }
    compare(&runtime, &bench, "L2 hit 2 KB, 64 tasks: store | plain GET", Operation::Get, Operation::PlainGet);
    compare(&runtime, &bench, "L2 hit 2 KB, 64 tasks: cache | plain GET", Operation::Fetch, Operation::PlainGet);
    compare(&runtime, &bench, "fill 2 KB, 3 tags, 64 tasks | empty EVALSHA", Operation::Fill, Operation::Empty);
    compare(&runtime, &bench, "fill 2 KB, 3 tags, 64 tasks | plain SET", Operation::Fill, Operation::PlainSet);
    let what = "fill 2 KB, 3 tags, 64 tasks | EVALSHA that only sets 2 KB";
    compare(&runtime, &bench, what, Operation::Fill, Operation::ScriptSet);
    let what = "floor of a fill: EVALSHA that only sets 2 KB | empty EVALSHA";
    compare(&runtime, &bench, what, Operation::ScriptSet, Operation::Empty);
    compare(&runtime, &bench, "floor of a fill: plain SET 2 KB | empty EVALSHA", Operation::PlainSet, Operation::Empty);
    compare(&runtime, &bench, "append 3 tags, 64 tasks | empty EVALSHA", Operation::Append, Operation::Empty);
    compare(
        &runtime,
        &bench,
        "append 3 of 9000 tags, 64 tasks | empty EVALSHA",
        Operation::AppendMany,
        Operation::Empty,
    );
    compare(&runtime, &bench, "fill, base behind the head | empty EVALSHA", Operation::FillBehind, Operation::Empty);
    for bytes in VALUE_BYTES {
        let what = format!("L2 hit {} KB JSON, 64 tasks: LZ4 | as it is", bytes / 1000);
        compare(&runtime, &bench, &what, Operation::GetJson(bytes, true), Operation::GetJson(bytes, false));
        let what = format!("fill {} KB JSON, 64 tasks: LZ4 | as it is", bytes / 1000);
        compare(&runtime, &bench, &what, Operation::FillJson(bytes, true), Operation::FillJson(bytes, false));
    }
}

/// Sizes of values that are stored compressed and as they are.
const VALUE_BYTES: [usize; 3] = [2_000, 20_000, 200_000];

#[derive(Clone, Copy)]
enum Operation {
    /// A value of so many bytes, compressed or not.
    GetJson(usize, bool),
    FillJson(usize, bool),
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
    /// A script that does nothing but store the same bytes.
    ScriptSet,
}

struct Bench {
    store: Arc<RedisStore>,
    /// Compresses none, and all.
    stores: [RedisStore; 2],
    cache: Cache,
    client: ConnectionManager,
    empty_script: String,
    set_script: String,
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
        let mut settings = RedisSettings::new(server.url(), "bench");
        // The machine may be busy with other things for a second.
        settings.limits.operation_timeout = Duration::from_secs(10);
        let store = Arc::new(RedisStore::new(settings.clone()).unwrap());
        let stores = [usize::MAX, 0].map(|compress_bytes_min| {
            let limits = RedisLimits { compress_bytes_min, ..settings.limits };
            RedisStore::new(RedisSettings { limits, ..settings.clone() }).unwrap()
        });
        // No room in memory: every read goes to Redis.
        let limits = CacheLimits { l1: L1Limits { bytes_max: 1, ..L1Limits::default() }, ..CacheLimits::default() };
        let cache = Cache::builder(store.clone()).limits(limits).build().await.unwrap();
        // As it comes, and with that bounded in its waits as the store is.
        let mut client = ConnectionManager::new(redis::Client::open(server.url()).unwrap()).await.unwrap();
        let empty_script = redis::cmd("SCRIPT").arg("LOAD").arg("return 0").query_async(&mut client).await.unwrap();
        let set = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 0";
        let set_script = redis::cmd("SCRIPT").arg("LOAD").arg(set).query_async(&mut client).await.unwrap();
        let base = store.head(store.partitions().of(&acme())).await.unwrap();
        let keys = (0..KEYS).map(|number| blob(&acme(), number)).collect();
        let tags = ["import", "mappings", "engagement"].map(|kind| Tag::of(&acme(), kind, 1).id()).to_vec();
        let entry_tags = ["import", "mappings", "engagement"].map(|kind| Tag::of(&acme(), kind, 2).id()).to_vec();
        let next = AtomicUsize::new(0);
        let bench = Self {
            store,
            stores,
            cache,
            client,
            empty_script,
            set_script,
            base,
            keys,
            tags,
            entry_tags,
            next,
            _server: server,
        };
        for (bytes, packed) in VALUE_BYTES.into_iter().flat_map(|bytes| [(bytes, false), (bytes, true)]) {
            bench.fill_json(bytes, packed).await;
        }
        for at in 0..KEYS {
            bench.fill(at).await;
            let _: () = redis::cmd("SET")
                .arg(plain_name(at))
                .arg(&VALUE[..])
                .query_async(&mut bench.client.clone())
                .await
                .unwrap();
        }
        bench
    }

    async fn run(&self, operation: Operation) {
        let at = self.next.fetch_add(1, Relaxed) * 7919 % KEYS;
        match operation {
            Operation::Get => {
                let found = self.store.get(std::slice::from_ref(self.keys[at].raw())).await.unwrap();
                assert_eq!(found[0].as_ref().unwrap().value.as_ref().unwrap().len(), VALUE_LENGTH);
            }
            Operation::PlainGet => {
                let name = plain_name(at);
                let value: Vec<u8> = redis::cmd("GET").arg(name).query_async(&mut self.client.clone()).await.unwrap();
                assert_eq!(value.len(), VALUE_LENGTH);
            }
            Operation::GetJson(bytes, packed) => {
                let key = json_key(bytes, packed);
                let found = self.stores[usize::from(packed)].get(std::slice::from_ref(key.raw())).await.unwrap();
                assert_eq!(found[0].as_ref().unwrap().value.as_ref().unwrap().len(), json(bytes).len());
            }
            Operation::FillJson(bytes, packed) => self.fill_json(bytes, packed).await,
            Operation::PlainSet => {
                let mut command = redis::cmd("SET");
                command.arg(plain_name(at)).arg(&VALUE[..]).arg("PX").arg(86_400_000);
                let _: () = command.query_async(&mut self.client.clone()).await.unwrap();
            }
            Operation::Fetch => {
                let policy = Policy::ttl(Duration::from_secs(3600)).mode(Mode::Bounded(Duration::MAX));
                let load = || async { Ok::<_, String>(Loaded::value(Blob(Bytes::new()))) };
                let fetched = self.cache.fetch(&self.keys[at], &policy, &ReadOptions::default(), load).await.unwrap();
                assert_eq!((fetched.verdict, fetched.value().unwrap().0.len()), (Verdict::Hit, VALUE_LENGTH));
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
            Operation::ScriptSet => {
                let mut command = redis::cmd("EVALSHA");
                command.arg(&self.set_script).arg(1).arg(plain_name(at)).arg(&VALUE[..]).arg(86_400_000);
                let answer: i64 = command.query_async(&mut self.client.clone()).await.unwrap();
                assert_eq!(answer, 0);
            }
            Operation::Empty => {
                let mut command = redis::cmd("EVALSHA");
                command.arg(&self.empty_script).arg(0);
                let answer: i64 = command.query_async(&mut self.client.clone()).await.unwrap();
                assert_eq!(answer, 0);
            }
        }
    }

    async fn fill_json(&self, bytes: usize, packed: bool) {
        let entry = self.entry(json(bytes));
        let key = json_key(bytes, packed);
        // All fill the same key: of those that go together the first is stored.
        self.stores[usize::from(packed)].fill(key.raw(), entry).await.unwrap();
    }

    async fn fill(&self, at: usize) {
        let entry = self.entry(VALUE.clone());
        assert_eq!(self.store.fill(self.keys[at].raw(), entry).await.unwrap(), Filled::Stored);
    }

    fn entry(&self, value: Bytes) -> StoredEntry {
        StoredEntry {
            base: self.base,
            tags: self.entry_tags.iter().copied().collect(),
            has_tenant_tags: true,
            loaded_at: Timestamp::from_millis(0),
            load_ms: 0,
            expires_at: Timestamp::NEVER,
            dead_at: Timestamp::NEVER,
            schema: Blob::fingerprint(),
            value: Some(value),
            subjects: 0,
            is_sensitive: false,
            seal: Seal::None,
        }
    }
}

fn json_key(bytes: usize, packed: bool) -> unstale::Key<Blob> {
    blob(&acme(), format!("json/{bytes}/{packed}"))
}

/// Rows as an API gives them, of about so many bytes in all.
fn json(bytes: usize) -> Bytes {
    static ROWS: OnceLock<Vec<Bytes>> = OnceLock::new();
    let rows = || VALUE_BYTES.iter().map(|bytes| rows_of(*bytes)).collect();
    let place = VALUE_BYTES.iter().position(|known| *known == bytes).unwrap();
    ROWS.get_or_init(rows)[place].clone()
}

fn rows_of(bytes: usize) -> Bytes {
    const WORDS: [&str; 12] = [
        "customer", "order", "invoice", "amount", "street", "city", "country", "legacy", "mapping", "quantity",
        "article", "contact",
    ];
    let mut random = StdRng::seed_from_u64(7);
    let mut word = move || WORDS[random.random_range(0..WORDS.len())];
    let mut random = StdRng::seed_from_u64(8);
    let mut text = String::new();
    while text.len() < bytes {
        let (id, owner): (u128, u128) = (random.random(), random.random());
        let (day, rows) = (random.random_range(10..29), random.random_range(0..20_000));
        let row = format!(
            r#"{{"id":"{id:032x}","source_field":"{}_{}","target_field":"{}_{}","status":"approved","confidence":0.{day},"updated_at":"2026-11-{day}T10:{day}:00Z","owner":"{owner:032x}","rows":{rows}}},"#,
            word(),
            word(),
            word(),
            word()
        );
        text.push_str(&row);
    }
    text.into()
}

fn plain_name(at: usize) -> String {
    // As long as the names of entries.
    format!("{{bench:12}}:v1:acme:plain/{at}")
}

/// `ONLY=fetch:40`: so many rounds of that alone, without a table, for callgrind and perf.
fn alone(runtime: &Runtime, bench: &Arc<Bench>, only: &str) {
    let (name, rounds) = only.split_once(':').unwrap_or((only, "40"));
    let operation = match name {
        "get" => Operation::Get,
        "plain-get" => Operation::PlainGet,
        "fetch" => Operation::Fetch,
        "fill" => Operation::Fill,
        "append" => Operation::Append,
        "append-many" => Operation::AppendMany,
        _ => panic!("ONLY is get, plain-get, fetch, fill, append or append-many"),
    };
    for _ in 0..rounds.parse().unwrap() {
        round(runtime, bench, operation);
    }
}

fn compare(runtime: &Runtime, bench: &Arc<Bench>, what: &str, ours: Operation, yardstick: Operation) {
    // `cargo bench … -- redis fill`: the rows that say so.
    let wanted: Vec<String> = std::env::args().skip_while(|argument| argument != "redis").skip(1).collect();
    if wanted.iter().any(|word| !what.contains(&word[..]) && !word.starts_with("--")) {
        return;
    }
    let pairs: Vec<_> = (0..PAIRS).map(|_| (round(runtime, bench, ours), round(runtime, bench, yardstick))).collect();
    report(what, &pairs, "ns");
}

/// Fewer of what moves more.
fn operations_per_task(operation: Operation) -> usize {
    match operation {
        Operation::GetJson(bytes, _) | Operation::FillJson(bytes, _) => OPERATIONS_PER_TASK * 1_000 / bytes.max(1_000),
        _ => OPERATIONS_PER_TASK,
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
                for _ in 0..operations_per_task(operation) {
                    bench.run(operation).await;
                }
            });
        }
        tasks.join_all().await;
        began.elapsed().as_nanos() as f64 / (TASKS * operations_per_task(operation)) as f64
    })
}
