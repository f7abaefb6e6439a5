//! Reports about people that several nodes on a real Redis hold something about.

use std::{sync::Arc, time::Duration};

use unstale::{
    Cache, CacheVersion, KeyRing, Loaded, OtherNodes, ReadOptions, RedisStore, Sealing, SealingLimits, SubjectReport,
    Tag, Timestamp, record_subject,
    sealing::MemorySubjectKeys,
    store::{MissingNode, NodeId, Store as _},
    testing::redis_server::{RedisServer, settings},
};

use crate::{
    reads::POLICY,
    world::{Page, acme, page},
};

/// For what happens at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// For who is not there.
const WAIT: Duration = Duration::from_millis(50);

/// Nodes of one application.
struct Fleet {
    server: RedisServer,
    subjects: Arc<MemorySubjectKeys>,
}

impl Fleet {
    fn start() -> Self {
        Self { server: RedisServer::start(), subjects: Arc::default() }
    }

    /// A node with this master key, if any; it waits for others no longer than `wait`.
    async fn node(&self, key: Option<u8>, wait: Duration) -> Cache {
        let store = Arc::new(RedisStore::new(settings(&self.server, "test")).unwrap());
        let builder = Cache::builder(store).answer_wait_max(wait);
        let Some(first) = key else { return builder.build().await.unwrap() };
        let ring = KeyRing::new([std::array::from_fn(|at| if at == 0 { first } else { 7 })]).unwrap();
        let (subjects, version) = (self.subjects.clone(), CacheVersion::default());
        builder.sealing(Sealing::new(ring, subjects, version, SealingLimits::default())).build().await.unwrap()
    }
}

fn user(id: u32) -> Tag {
    Tag::shared("user", id)
}

async fn read(node: &Cache, id: u32) {
    let load = move || async move {
        record_subject(&user(id));
        Ok::<_, String>(Loaded::value(Page { saw: vec![(id, 1)] }))
    };
    node.fetch(&page(&acme(), id), &POLICY, &ReadOptions::default(), load).await.unwrap();
}

fn follow(node: &Cache) -> tokio::task::JoinHandle<()> {
    let node = node.clone();
    tokio::spawn(async move { node.follow(Duration::from_millis(300)).await })
}

/// Waits until so many nodes hear what others ask, and are known to.
pub(crate) async fn wait_for_nodes(server: &RedisServer, count: usize) {
    let waiting = async {
        loop {
            let known: usize = server.run(&["ZCARD", "{test:0}:nodes"]);
            let (_, hearing): (String, usize) = server.run(&["PUBSUB", "SHARDNUMSUB", "{test:0}:asked"]);
            if (known, hearing) == (count, count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("they come to be known");
}

fn keys(report: &SubjectReport) -> Vec<(&str, bool, usize, Option<bool>)> {
    report.copies.iter().map(|copy| (&*copy.key, copy.in_memory, copy.other_nodes, copy.in_store)).collect()
}

#[tokio::test]
async fn what_is_only_in_other_nodes_memories_is_told() {
    let fleet = Fleet::start();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(fleet.node(Some(1), PATIENCE).await);
    }
    let following: Vec<_> = nodes.iter().map(follow).collect();
    wait_for_nodes(&fleet.server, 3).await;
    read(&nodes[0], 1).await;
    read(&nodes[1], 1).await;
    read(&nodes[1], 2).await;
    // As Redis does when its memory is full.
    fleet.server.delete("*}:v1:acme*");
    let about = async |node: &Cache, id| node.report(&user(id), usize::MAX).await;
    let all = OtherNodes { answered: 2, ..OtherNodes::default() };
    let report = about(&nodes[2], 1).await;
    assert_eq!((keys(&report), report.is_complete), (vec![("acme:page/1", false, 2, Some(false))], true));
    assert_eq!((report.others, report.looked_at), (all, 3));
    assert!(report.copies[0].is_valid && report.copies[0].expires_at > report.copies[0].loaded_at);
    assert_eq!(keys(&about(&nodes[1], 1).await), [("acme:page/1", true, 1, Some(false))]);
    assert_eq!(keys(&about(&nodes[0], 2).await), [("acme:page/2", false, 1, Some(false))]);

    nodes[2].erase(&user(1)).await.unwrap();
    let gone = async {
        while !about(&nodes[2], 1).await.copies.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("nobody holds anything about an erased person");
    assert_eq!(fleet.server.keys("*answers*"), Vec::<String>::new(), "nothing of it is left in Redis");
    following.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn nodes_that_do_not_answer_are_missed() {
    let fleet = Fleet::start();
    let (one, two) = (fleet.node(Some(1), WAIT).await, fleet.node(Some(1), WAIT).await);
    let following = follow(&one);
    wait_for_connections(&fleet.server, 2).await;
    // Of a version that knows of no questions, as Redis sees it: connected, and not following.
    read(&two, 1).await;
    let report = one.report(&user(1), usize::MAX).await;
    assert_eq!((report.is_complete, report.others), (false, OtherNodes { uncounted: 1, ..OtherNodes::default() }));
    drop(two);
    wait_for_connections(&fleet.server, 1).await;
    assert!(one.report(&user(1), usize::MAX).await.is_complete, "it is gone");

    // Was heard of a minute ago, and was killed or cut off since.
    let now: (u64, u64) = fleet.server.run(&["TIME"]);
    let (id, at) = (NodeId::from_u64(0xabc), now.0 - 60);
    fleet.server.run::<()>(&["ZADD", "{test:0}:nodes", &at.to_string(), &id.to_string()]);
    let report = one.report(&user(1), usize::MAX).await;
    let missing = vec![MissingNode { id, heard_of: Timestamp::from_millis(at * 1000) }];
    assert_eq!((report.is_complete, report.others.missing), (false, missing));
    following.abort();
}

#[tokio::test]
async fn a_node_that_ends_is_not_missed() {
    let fleet = Fleet::start();
    let nodes = [fleet.node(Some(1), WAIT).await, fleet.node(Some(1), WAIT).await, fleet.node(Some(1), WAIT).await];
    let [one, two, three] = nodes;
    let following = [&one, &two, &three].map(follow);
    wait_for_nodes(&fleet.server, 3).await;
    two.leave().await;
    assert_eq!(fleet.server.run::<usize>(&["ZCARD", "{test:0}:nodes"]), 2, "told, and at once");
    following[2].abort();
    drop((two, three));
    following[1].abort();
    wait_for_nodes(&fleet.server, 1).await;
    wait_for_connections(&fleet.server, 1).await;
    let report = one.report(&user(1), usize::MAX).await;
    assert_eq!((report.is_complete, report.others), (true, OtherNodes::default()));
    following[0].abort();
}

/// Keys of entries may be personal: without the same master key nobody is told any.
#[tokio::test]
async fn nobody_tells_anything_to_who_has_not_the_key() {
    let fleet = Fleet::start();
    let (one, two) = (fleet.node(Some(1), WAIT).await, fleet.node(Some(2), WAIT).await);
    let without = fleet.node(None, PATIENCE).await;
    let following = [&one, &two, &without].map(follow);
    wait_for_nodes(&fleet.server, 3).await;
    read(&one, 1).await;
    fleet.server.delete("*}:v1:acme*");
    for node in [&two, &without] {
        let report = node.report(&user(1), usize::MAX).await;
        assert_eq!((&report.copies[..], report.is_complete), (&[][..], false));
        assert_eq!((report.others.answered, report.others.missing.len()), (0, 2));
    }
    following.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Somebody who writes to Redis answers in a node's place.
#[tokio::test]
async fn an_answer_that_was_forged_is_none() {
    let fleet = Fleet::start();
    let one = fleet.node(Some(1), PATIENCE).await;
    let following = follow(&one);
    let forger = Arc::new(RedisStore::new(settings(&fleet.server, "test")).unwrap());
    let nodes = forger.nodes().unwrap();
    let mut heard = nodes.join(Duration::from_secs(60));
    wait_for_nodes(&fleet.server, 2).await;
    let forging = async {
        let question = heard.next().await.unwrap();
        nodes.answer(question.id, question.content).await.unwrap();
    };
    let ada = user(1);
    let (report, ()) = tokio::join!(one.report(&ada, usize::MAX), forging);
    assert_eq!((report.is_complete, report.others), (false, OtherNodes { uncounted: 1, ..OtherNodes::default() }));
    following.abort();
}

async fn wait_for_connections(server: &RedisServer, count: usize) {
    let connected = || {
        let (_, connected): (String, usize) = server.run(&["PUBSUB", "SHARDNUMSUB", "{test:0}:moved"]);
        connected
    };
    let waiting = async {
        while connected() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("so many are connected");
}
