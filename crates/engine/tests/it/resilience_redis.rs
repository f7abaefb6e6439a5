//! A real server that goes away, stalls, fills up, becomes read-only or shuts the door, under reads and writes whose
//! history is checked; and nodes that are well again by themselves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use unstale::{
    BreakerLimits, BypassReason, Cache, InvalidateError, Mode, Policy, PositionSet, RedisStore, Resilience, Verdict,
    testing::redis_server::{RedisServer, settings},
};

use crate::world::{FACTS, World, read_page};

const STRICT: Policy = Policy::ttl(Duration::from_secs(3600)).mode(Mode::Strict);
const PATIENCE: Duration = Duration::from_secs(30);
const PAGES: u32 = 4;

/// Short waits, so that the tests are short; generous ones for reads, so that a busy machine is not taken for a slow
/// store.
fn guard() -> Resilience {
    let open_for = Duration::from_millis(200);
    Resilience {
        breaker: BreakerLimits { open_for, sign_of_life_after: open_for / 4, ..BreakerLimits::default() },
        operation_wait: Duration::from_millis(300),
        read_wait: Duration::from_millis(150),
        fill_wait: Duration::from_millis(150),
        ..Resilience::default()
    }
}

/// Two nodes that follow the log of one server.
struct Fleet {
    world: Arc<World>,
    nodes: [Cache; 2],
    followers: JoinSet<()>,
}

impl Fleet {
    async fn of(server: &RedisServer, url: Option<String>) -> Self {
        let mut nodes = Vec::new();
        let mut followers = JoinSet::new();
        for _ in 0..2 {
            let mut settings = settings(server, "fleet");
            if let Some(url) = &url {
                settings.url.clone_from(url);
            }
            let store = Arc::new(RedisStore::new(settings).unwrap());
            let cache = Cache::builder(store).resilience(guard()).build().await.unwrap();
            let following = cache.clone();
            followers.spawn(async move { following.follow(Duration::from_millis(50)).await });
            nodes.push(cache);
        }
        let nodes = nodes.try_into().expect("two nodes");
        Self { world: World::new(1), nodes, followers }
    }

    /// A strict read: bound by every write that was acknowledged anywhere.
    async fn read(&self, node: usize, page: u32) -> Verdict {
        let promised_from = self.world.history.now();
        let read = read_page(&self.world, &self.nodes[node], &STRICT, page, PositionSet::default()).await;
        let read = read.expect("a cache that fails is no error to a reader");
        self.world.history.read(&format!("node {node}"), promised_from, read.value().unwrap().saw.clone());
        read.verdict
    }

    /// Reads and writes on both nodes; returns what the reads were told, and how many writes wait.
    async fn work(&self) -> (Vec<Verdict>, usize) {
        let (mut verdicts, mut pending) = (Vec::new(), 0);
        for round in 0..4 {
            for node in 0..2 {
                for page in 0..PAGES {
                    verdicts.push(self.read(node, page).await);
                }
            }
            let writer = &self.nodes[round % 2];
            let facts = [round as u32 % FACTS as u32];
            match self.world.try_write(writer, &facts).await {
                Ok(_) => {}
                Err(InvalidateError::Pending { .. }) => pending += 1,
                Err(other) => panic!("{other}"),
            }
        }
        (verdicts, pending)
    }

    /// Until every page is a hit on both nodes and nothing waits, without anybody restarting anything.
    async fn recovers(&self) {
        let recovery = async {
            loop {
                let pending: usize = self.nodes.iter().map(Cache::pending_invalidations).sum();
                let mut hits = 0;
                for node in 0..2 {
                    for page in 0..PAGES {
                        hits += u32::from(self.read(node, page).await == Verdict::Hit);
                    }
                }
                if pending == 0 && hits == 2 * PAGES {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, recovery).await.expect("hits become possible again, and nothing waits");
        // A write on one is seen by the other, as before.
        self.world.write(&self.nodes[0], &[1]).await.expect("writes are acknowledged again");
        for page in 0..PAGES {
            self.read(1, page).await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        assert_eq!(self.followers.len(), 2, "followers follow for ever");
        if !std::thread::panicking() {
            assert_eq!(self.world.history.violations(), vec![]);
        }
    }
}

fn is_outage(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Bypass(BypassReason::StoreFailed | BypassReason::StoreOpen | BypassReason::StoreSlow))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_while_running_and_back_empty() {
    let mut server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    fleet.work().await;
    server.kill();
    let (verdicts, pending) = fleet.work().await;
    assert!(verdicts.iter().copied().all(is_outage) && pending == 4, "{verdicts:?}, {pending} waiting");
    assert_eq!(*verdicts.last().unwrap(), Verdict::Bypass(BypassReason::StoreOpen));
    server.start_again();
    fleet.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_and_going_on() {
    let server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    fleet.work().await;
    server.pause();
    let (verdicts, pending) = fleet.work().await;
    server.resume();
    assert!(verdicts.iter().copied().all(is_outage) && pending == 4, "{verdicts:?}, {pending} waiting");
    fleet.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flapping() {
    let mut server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    for round in 0..6 {
        fleet.work().await;
        if round % 2 == 0 {
            server.kill();
            fleet.work().await;
            server.start_again();
        } else {
            server.pause();
            fleet.work().await;
            server.resume();
        }
    }
    fleet.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full() {
    let server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    fleet.work().await;
    server.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let (verdicts, pending) = fleet.work().await;
    // The log is bounded and may go beyond the limit; entries may not.
    assert_eq!(pending, 0, "invalidations are taken by a full server, too");
    assert!(verdicts.iter().copied().all(|verdict| !is_outage(verdict)), "it is asked, and answers: {verdicts:?}");
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    fleet.recovers().await;
}

/// Each of them asks for a lease and offers an entry, for which there is no room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_and_missed_by_many_at_once() {
    let server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    fleet.work().await;
    server.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);
    for round in 0..3 {
        let misses = (0..20).map(|page| fleet.read(0, 1000 * (round + 1) + page));
        let verdicts = join_all(misses).await;
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Miss(_))), "{verdicts:?}");
        let written = fleet.world.try_write(&fleet.nodes[0], &[1]).await;
        assert!(written.is_ok(), "what the server takes is not kept from it: {written:?}");
    }
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    fleet.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only() {
    let server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    fleet.work().await;
    // Of a master that is not there: as after a failover that went wrong.
    server.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    let (_, pending) = fleet.work().await;
    assert_eq!(pending, 4);
    server.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    fleet.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_at_the_door() {
    let server = RedisServer::start();
    server.run::<()>(&["ACL", "SETUSER", "cache", "on", ">secret", "~*", "&*", "+@all"]);
    let url = server.url().replace("redis://", "redis://cache:secret@");
    let fleet = Fleet::of(&server, Some(url)).await;
    fleet.work().await;
    server.run::<()>(&["ACL", "SETUSER", "cache", "off"]);
    server.run::<()>(&["CLIENT", "KILL", "USER", "cache"]);
    let (verdicts, pending) = fleet.work().await;
    assert!(verdicts.iter().copied().all(is_outage) && pending == 4, "{verdicts:?}, {pending} waiting");
    server.run::<()>(&["ACL", "SETUSER", "cache", "on"]);
    fleet.recovers().await;
}

/// Many writes by one node while the server is away: what waits is bounded, and everything is suspect at last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_writes_than_may_wait() {
    let mut server = RedisServer::start();
    let fleet = Fleet::of(&server, None).await;
    fleet.work().await;
    server.kill();
    let waiting = AtomicU32::new(0);
    for number in 0..3000u32 {
        if fleet.world.try_write(&fleet.nodes[0], &[number % FACTS as u32]).await.is_err() {
            waiting.fetch_add(1, SeqCst);
        }
    }
    assert_eq!(waiting.load(SeqCst), 3000);
    let partitions = 16;
    assert!(fleet.nodes[0].pending_invalidations() <= (1024 + 1) * partitions);
    server.start_again();
    fleet.recovers().await;
}
