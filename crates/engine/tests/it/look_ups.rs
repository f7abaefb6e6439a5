//! Many who miss one key in memory ask the store for it once.
//!
//! In paused time: a delay is a delay, whatever else the machine does.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};
use unstale::{
    BypassReason, Bytes, Cache, Cacheable, CodecError, Fetched, Fingerprint, Loaded, Mode, Policy, ReadOptions,
    Resilience, Verdict, catalogue,
    testing::{Delays, Trouble},
};

use crate::{
    nodes::{Answer, LOAD, Nodes, POLICY, none, settle, version},
    world::{Page, acme},
};

/// The view need not be confirmed: what the store is asked for is the entry, and nothing else.
const BOUNDED: Policy = POLICY.mode(Mode::Bounded(Duration::from_secs(3600)));
const GET: Duration = Duration::from_millis(20);
const READERS: usize = 50;

/// Two nodes that see the store from afar; the first has filled it. What they ask for takes a while.
async fn filled() -> Nodes {
    let nodes = Nodes::new().await;
    nodes.read(0, BOUNDED).await;
    settle().await;
    nodes.all[1].far.set_delays(Delays { get: GET, ..Delays::default() });
    nodes
}

async fn readers(nodes: &Nodes, count: usize) -> Vec<JoinHandle<Answer>> {
    let mut readers = Vec::new();
    for _ in 0..count {
        readers.push(nodes.begin(1, BOUNDED, none()).await);
    }
    readers
}

async fn answers(readers: Vec<JoinHandle<Answer>>) -> Vec<Fetched<Page>> {
    let mut answers = Vec::new();
    for reader in readers {
        answers.push(reader.await.unwrap().unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn many_who_miss_a_key_at_once_ask_the_store_once() {
    let nodes = filled().await;
    let before = nodes.all[1].far.requests();
    let all = readers(&nodes, READERS).await;
    assert_eq!(nodes.all[1].far.requests(), before + 1);
    for answer in answers(all).await {
        assert_eq!((answer.verdict, version(&answer)), (Verdict::Hit, 0));
    }
    assert_eq!((nodes.all[1].far.requests(), nodes.origin.loads()), (before + 1, 1));
}

#[tokio::test(start_paused = true)]
async fn if_who_asks_goes_away_another_one_asks() {
    let nodes = filled().await;
    let before = nodes.all[1].far.requests();
    let mut all = readers(&nodes, READERS).await;
    all.remove(0).abort();
    for answer in answers(all).await {
        assert_eq!((answer.verdict, version(&answer)), (Verdict::Hit, 0));
    }
    assert_eq!((nodes.all[1].far.requests(), nodes.origin.loads()), (before + 2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_was_asked_before_a_write_is_judged_by_who_came_after_it() {
    let nodes = filled().await;
    let first = nodes.begin(1, BOUNDED, none()).await;
    let written = nodes.write(1).await;
    let before = nodes.all[1].far.requests();
    let second = nodes.begin(1, BOUNDED, written).await;
    assert_eq!(nodes.all[1].far.requests(), before, "it follows the first");
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!((version(&first), version(&second)), (1, 1), "both are given what was loaded after the write");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_once_and_everybody_goes_on_without_it() {
    let nodes = filled().await;
    let (node, partition) = (&nodes.all[1], nodes.all[1].cache.frontier(&acme()).partition);
    node.far.set_troubles(vec![(partition, Trouble::Hangs)]);
    let before = node.far.requests();
    let all = readers(&nodes, READERS).await;
    assert_eq!(node.far.requests(), before + 1);
    node.far.set_troubles(vec![(partition, Trouble::Fails)]);
    for answer in answers(all).await {
        assert_eq!(answer.verdict, Verdict::Bypass(BypassReason::StoreFailed));
    }
    assert_eq!(nodes.origin.loads(), 2, "and one loads for all of them");
}

#[tokio::test(start_paused = true)]
async fn who_follows_waits_no_longer_than_who_asks() {
    let nodes = Nodes::guarded().await;
    nodes.read(0, BOUNDED).await;
    settle().await;
    nodes.all[1].far.set_delays(Delays { get: Duration::from_secs(10), ..Delays::default() });
    let all = readers(&nodes, READERS).await;
    for answer in answers(all).await {
        assert_eq!(answer.verdict, Verdict::Bypass(BypassReason::StoreSlow));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_long_enough_does_not_ask_when_who_asked_gives_up() {
    async fn requests(readers: usize) -> u64 {
        // Nothing goes on without its reader.
        let guard = Resilience { late_operations_max: 0, ..Resilience::default() };
        let nodes = Nodes::built(|builder| builder.resilience(guard)).await;
        nodes.read(0, BOUNDED).await;
        settle().await;
        let far = &nodes.all[1].far;
        far.set_delays(Delays { get: Duration::from_secs(10), ..Delays::default() });
        let before = far.requests();
        for answer in answers(self::readers(&nodes, readers).await).await {
            assert_eq!(answer.verdict, Verdict::Bypass(BypassReason::StoreSlow));
        }
        far.requests() - before
    }
    assert_eq!(requests(READERS).await, requests(1).await);
}

catalogue! {
    /// Every key of the values that count.
    const PATTERNS;
    /// What counts how often it is read.
    fn counted() -> Counted = "counted";
}

static DECODED: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Cacheable for Counted {
    fn fingerprint() -> Fingerprint {
        Fingerprint::of("Counted v1")
    }

    fn encode(&self, _: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(_: &Bytes) -> Result<Self, CodecError> {
        DECODED.fetch_add(1, SeqCst);
        Ok(Self)
    }
}

async fn read_counted(cache: Cache) -> Verdict {
    let load = || async {
        sleep(LOAD).await;
        Ok::<_, String>(Loaded::value(Counted))
    };
    cache.fetch(&counted(&acme()), &BOUNDED, &ReadOptions::default(), load).await.unwrap().verdict
}

#[tokio::test(start_paused = true)]
async fn what_came_is_decoded_once_for_all_who_waited() {
    assert_eq!(PATTERNS.len(), 1);
    let nodes = filled().await;
    read_counted(nodes.all[0].cache.clone()).await;
    settle().await;
    let all: Vec<_> = (0..READERS).map(|_| tokio::spawn(read_counted(nodes.all[1].cache.clone()))).collect();
    for reader in all {
        assert_eq!(reader.await.unwrap(), Verdict::Hit);
    }
    assert_eq!(DECODED.load(SeqCst), 1);
}
