//! Two gateways on one Redis, before one backend: each sees what the other has done, and neither gives a wrong answer nor
//! an error while Redis dies and comes back.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use unstale::testing::redis_server::RedisServer;

use super::world::{Answer, Backend, JWT, ROUTES, World, bearer, soon};

/// Within which a node hears of another's writes, if the file says nothing.
const BOUND: Duration = Duration::from_secs(1);
/// A node that has found Redis away asks it nothing for a minute, unless it sees a sign of life.
const HITS_LIMIT: Duration = Duration::from_secs(120);
const PATH: &str = "/field-mappings/7";
const WRITE: &str = "/field-mappings/7/bulk-approve";

/// Two gateways, and what was acknowledged by either.
#[derive(Clone)]
struct Nodes(Arc<Inner>);

struct Inner {
    worlds: [World; 2],
    token: String,
    versions: AtomicU64,
    /// Versions with the moments of their acknowledgement; one writer, so they rise together. Without those whose answer
    /// said that the log is told later: of these other nodes know nothing while their writer cannot tell them.
    acknowledged: Mutex<Vec<(Instant, u64)>>,
    hits: AtomicUsize,
    is_over: AtomicBool,
}

impl Nodes {
    async fn on(redis: &RedisServer) -> Self {
        Self::with(redis, ROUTES).await
    }

    async fn with(redis: &RedisServer, routes: &str) -> Self {
        let more = format!("[cache]\nredis_url = \"{}\"\nsecret_env = \"SECRET\"\n{JWT}{routes}", redis.url());
        let (backend, upstream) = Backend::start().await;
        let one = World::before(backend.clone(), upstream, &more).await;
        let two = World::before(backend, upstream, &more).await;
        Self(Arc::new(Inner {
            worlds: [one, two],
            token: bearer("ann", "acme", &json!({})),
            versions: AtomicU64::default(),
            acknowledged: Mutex::default(),
            hits: AtomicUsize::default(),
            is_over: AtomicBool::default(),
        }))
    }

    /// Reads at a node. Whatever happens: no error, and nothing older than what was acknowledged a bound ago.
    async fn read(&self, node: usize, position: &str) -> Answer {
        let began = Instant::now();
        let heard = |at: Instant| began.checked_duration_since(at).is_some_and(|since| since >= BOUND);
        let known = self.0.acknowledged.lock().unwrap().iter().rev().find(|(at, _)| heard(*at)).map(|(_, it)| *it);
        let headers = [("authorization", self.0.token.as_str()), ("unstale-position", position)];
        let answer = self.0.worlds[node].get(PATH, if position.is_empty() { &headers[..1] } else { &headers }).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(version(&answer) >= known.unwrap_or_default(), "older than {known:?}: {answer:?}");
        self.0.hits.fetch_add(usize::from(answer.cache() == "HIT"), Relaxed);
        answer
    }

    /// Writes through a node; returns the version that there is now, and the position.
    async fn write(&self, node: usize) -> (u64, String) {
        let written = self.0.worlds[node].post(WRITE, &[("authorization", &self.0.token)]).await;
        assert_eq!(written.status, 200, "{written:?}");
        let version = self.0.versions.fetch_add(1, Relaxed) + 1;
        if !written.header("cache-status").contains("invalidation-pending") {
            self.0.acknowledged.lock().unwrap().push((Instant::now(), version));
        }
        (version, written.header("unstale-position").to_owned())
    }

    /// Writes through a node: it sees it at once, and so does the other one if it is told the position.
    async fn write_and_see(&self, node: usize) {
        let (written, position) = self.write(node).await;
        assert!(version(&self.read(node, "").await) >= written);
        if !position.is_empty() {
            assert!(version(&self.read(1 - node, &position).await) >= written);
        }
    }

    /// Waits until the log has been told everything.
    async fn until_told(&self) {
        for world in &self.0.worlds {
            let is_waiting = |line: &str| line.starts_with("cache_invalidations_pending{") && !line.ends_with(" 0");
            soon(async {
                while world.metrics().await.lines().any(is_waiting) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
        self.0.acknowledged.lock().unwrap().push((Instant::now(), self.0.versions.load(Relaxed)));
    }

    /// Readers at both nodes, without end.
    fn readers(&self) -> Vec<JoinHandle<()>> {
        let reader = |number: usize| {
            let nodes = self.clone();
            tokio::spawn(async move {
                while !nodes.0.is_over.load(Relaxed) {
                    nodes.read(number % 2, "").await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        (0..4).map(reader).collect()
    }

    /// Waits until both nodes answer from what they keep.
    async fn until_hits(&self) {
        for node in [0, 1] {
            let hit = async { while self.read(node, "").await.cache() != "HIT" {} };
            tokio::time::timeout(HITS_LIMIT, hit).await.expect("nothing is found any more");
        }
    }
}

fn version(answer: &Answer) -> u64 {
    answer.json()["version"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_has_kept_or_declared_wrong_is_so_on_the_other() {
    let redis = RedisServer::start();
    let nodes = Nodes::on(&redis).await;
    // What one has loaded, the other finds. A machine that is busy elsewhere may make Redis too slow for a read, or for
    // a fill to be there at once; so there is more than one try, each of something that the other has never loaded.
    let ann = [("authorization", nodes.0.token.as_str())];
    let mut found = false;
    for import in 100..150 {
        let path = format!("/field-mappings/{import}");
        nodes.0.worlds[0].get(&path, &ann).await;
        let shared = nodes.0.worlds[1].get(&path, &ann).await;
        assert_eq!((shared.status, shared.json()["user"].as_str()), (200, Some("ann")));
        found = shared.cache() == "HIT";
        if found {
            assert_eq!(nodes.0.worlds[0].backend.calls(&path), 1);
            break;
        }
    }
    assert!(found, "nothing that one node has loaded is found by the other");
    for round in 0..20 {
        let (writer, other) = (round % 2, 1 - round % 2);
        let (written, position) = nodes.write(writer).await;
        assert!(!position.is_empty());
        let seen = nodes.read(other, &position).await;
        assert!(seen.cache() != "HIT" && version(&seen) == written, "{seen:?}");
        assert_eq!(version(&nodes.read(writer, "").await), written);
    }
    // Without a position: within the bound, which `read` asserts; here it is waited for.
    let (written, _) = nodes.write(0).await;
    soon(async { while version(&nodes.read(1, "").await) < written {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_nodes_api_declares_wrong_is_so_on_the_other() {
    let redis = RedisServer::start();
    let nodes = Nodes::on(&redis).await;
    let [one, two] = &nodes.0.worlds;
    for (path, mode) in [("/v1/invalidate", None), ("/v1/purge", Some("soft")), ("/v1/purge", Some("hard"))] {
        nodes.until_hits().await;
        let before = two.backend.calls(PATH);
        let mut body = json!({"tenant": "acme", "groups": ["import:7"]});
        mode.into_iter().for_each(|mode| body["mode"] = mode.into());
        let done = one.call(path, &body).await;
        let position = done.header("unstale-position");
        assert!(done.status == 200 && !position.is_empty(), "{done:?}");
        assert_ne!(nodes.read(1, position).await.cache(), "HIT", "{path} {mode:?}");
        assert!(two.backend.calls(PATH) > before, "{path} {mode:?}");
    }
    nodes.until_hits().await;
    // What is said of another group or tenant ends nothing.
    for other in
        [json!({"tenant": "acme", "groups": ["import:8"]}), json!({"tenant": "globex", "groups": ["import:7"]})]
    {
        let done = one.call("/v1/purge", &other).await;
        assert_ne!(nodes.read(1, done.header("unstale-position")).await.cache(), "MISS", "{other}");
    }
}

/// Where `stale_ok` lets a node give on what was declared wrong, after a hard purge by another node's API it does not: not
/// what it has in its own memory, nor what the shared store has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hard_purge_ends_on_the_other_node_what_it_might_give_on_as_stale() {
    let redis = RedisServer::start();
    let stale_ok = "cache = { ttl = \"5m\", mode = \"stale_ok\", bound = \"1h\" }";
    let nodes = Nodes::with(&redis, &ROUTES.replacen("cache = { ttl = \"5m\" }", stale_ok, 1)).await;
    let [one, two] = &nodes.0.worlds;
    let ann = [("authorization", nodes.0.token.as_str())];
    let frontier =
        async |world: &World| world.operate("GET", "/v1/status", &Value::Null).await.json()["frontier"].clone();
    for (mode, expected) in [("soft", "STALE"), ("hard", "MISS")] {
        let hit = async { while two.get(PATH, &ann).await.cache() != "HIT" {} };
        tokio::time::timeout(HITS_LIMIT, hit).await.expect("it is in its memory");
        let body = json!({"tenant": "acme", "groups": ["import:7"], "mode": mode});
        assert_eq!(one.call("/v1/purge", &body).await.status, 200);
        // It hears of it, and is not told the position: with that it would read as strictly as others.
        soon(async { while frontier(two).await != frontier(one).await {} }).await;
        let answer = two.get(PATH, &ann).await;
        assert_eq!((answer.status, answer.cache()), (200, expected), "{mode}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back_and_nobody_is_told_anything_wrong() {
    let mut redis = RedisServer::start();
    let nodes = Nodes::on(&redis).await;
    let readers = nodes.readers();
    for round in 0..10 {
        nodes.write_and_see(round % 2).await;
    }
    nodes.until_hits().await;
    redis.kill();
    for round in 0..10 {
        nodes.write_and_see(round % 2).await;
    }
    // Longer than the bound: by now no node may go by what it knew before.
    let (last, _) = nodes.write(0).await;
    let waited = Instant::now();
    while waited.elapsed() < BOUND + BOUND / 2 {
        nodes.read(1, "").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(version(&nodes.read(1, "").await), last);
    let metrics = nodes.0.worlds[0].metrics().await;
    assert!(metrics.contains("store-open") || metrics.contains("store-failed"), "Redis was not missed: {metrics}");

    redis.start_again();
    let before = nodes.0.hits.load(Relaxed);
    for round in 0..10 {
        nodes.write_and_see(round % 2).await;
    }
    nodes.until_told().await;
    nodes.until_hits().await;
    for round in 0..10 {
        nodes.write_and_see(round % 2).await;
        tokio::time::sleep(BOUND / 5).await;
    }
    assert!(nodes.0.acknowledged.lock().unwrap().len() > 20, "writes were acknowledged before and after");
    nodes.0.is_over.store(true, Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(nodes.0.hits.load(Relaxed) > before);
}
