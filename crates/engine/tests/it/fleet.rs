//! A fleet of nodes that reads and writes without a pause while something is done to the servers, and is judged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};
use unstale::{Cache, Policy, PositionSet, RedisSettings, RedisStore, Verdict};

use crate::world::{FACTS, World, read_page};

/// Strict, so that every read is bound by every acknowledged write.
const STRICT: Policy = Policy::ttl(Duration::from_secs(3600)).mode(unstale::Mode::Strict);
/// For what happens soon unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const NODES: usize = 3;

/// Nodes that read and write as fast as they can, until they are told to stop.
pub(crate) struct Fleet {
    world: Arc<World>,
    pub(crate) nodes: Vec<Cache>,
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Fleet {
    pub(crate) async fn over(settings: impl Fn() -> RedisSettings) -> Self {
        let world = World::new(1);
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let store = Arc::new(RedisStore::new(settings()).unwrap());
            nodes.push(Cache::builder(store).build().await.unwrap());
        }
        let mut fleet = Self {
            world,
            nodes,
            tasks: JoinSet::new(),
            stop: Arc::default(),
            writes: Arc::default(),
            refused: Arc::default(),
        };
        fleet.read_and_write();
        fleet.recover().await;
        fleet
    }

    fn read_and_write(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            for reader in 0..3 {
                let (world, node, stop) = (self.world.clone(), node.clone(), self.stop.clone());
                self.tasks.spawn(async move {
                    for number in reader.. {
                        if stop.load(SeqCst) {
                            return;
                        }
                        read(&world, &node, number % 6).await;
                        tokio::task::yield_now().await;
                    }
                });
            }
            let (world, node, stop) = (self.world.clone(), node.clone(), self.stop.clone());
            let (writes, refused) = (self.writes.clone(), self.refused.clone());
            self.tasks.spawn(async move {
                for round in at.. {
                    if stop.load(SeqCst) {
                        return;
                    }
                    let fact = (round % FACTS) as u32;
                    match world.write(&node, &[fact]).await {
                        Some(_) => writes.fetch_add(1, SeqCst),
                        None => refused.fetch_add(1, SeqCst),
                    };
                    // Room for hits between the writes.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
    }

    /// Waits until a good many writes of every node were acknowledged again.
    pub(crate) async fn recover(&self) {
        let enough = self.writes.load(SeqCst) + 30;
        let recovery = async {
            while self.writes.load(SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, recovery).await.expect("writes are acknowledged again");
    }

    /// Stops the load, looks for a hit on every node, and has the history judged.
    pub(crate) async fn end(mut self) {
        self.recover().await;
        self.stop.store(true, SeqCst);
        while self.tasks.join_next().await.transpose().unwrap().is_some() {}
        for node in &self.nodes {
            let hit = async {
                while self.world.write(node, &[1]).await.is_none() {}
                while read(&self.world, node, 1).await != Verdict::Hit {}
            };
            timeout(PATIENCE, hit).await.expect("hits are possible again");
        }
        assert!(self.world.history.reads() > 100);
        assert_eq!(self.world.history.violations(), vec![]);
    }
}

async fn read(world: &Arc<World>, node: &Cache, number: u32) -> Verdict {
    let promised_from = world.history.now();
    let fetched = read_page(world, node, &STRICT, number, PositionSet::default()).await;
    let fetched = fetched.expect("the world's loads do not fail");
    world.history.read("a reader", promised_from, fetched.value().unwrap().saw.clone());
    fetched.verdict
}

/// What the servers do meanwhile waits without giving way, so it gets a thread of its own.
pub(crate) async fn aside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}
