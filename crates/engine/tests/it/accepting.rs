//! Readers who refuse what is right: what they are given instead, and that everybody else is given it as before.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::sleep;
use unstale::{
    Cached, FetchError, Fetched, Loaded, MissReason, Policy, PositionSet, ReadOptions, StaleReason, Verdict, WaitedFor,
};

use crate::{
    nodes::{Answer, LOAD, Node, Nodes, Origin, POLICY, none, settle, version},
    world::{Page, acme, page},
};

const UNSUITABLE: Verdict = Verdict::Miss(MissReason::Unsuitable);

/// Reads what is at least of this version of the origin, which nobody has declared wrong.
async fn read_from(node: &Node, origin: &Arc<Origin>, policy: &Policy, least: u64) -> Answer {
    let accept = move |fetched: &Fetched<Page>| version(fetched) >= least;
    let origin = origin.clone();
    let load = move |_found| origin.load(LOAD);
    node.cache.fetch_accepting(&page(&acme(), 1), policy, &ReadOptions::default(), accept, load).await
}

#[track_caller]
fn check(answer: &Answer, verdict: Verdict, of: u64, collapsed: bool) {
    let answer = answer.as_ref().expect("an answer");
    assert_eq!((answer.verdict, version(answer), answer.collapsed), (verdict, of, collapsed));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_loaded_anew_and_replaced_for_everybody() {
    let nodes = Nodes::new().await;
    let node = &nodes.all[0];
    nodes.read(0, POLICY).await;
    nodes.origin.version.store(1, SeqCst);
    check(&read_from(node, &nodes.origin, &POLICY, 0).await, Verdict::Hit, 0, false);
    check(&read_from(node, &nodes.origin, &POLICY, 1).await, UNSUITABLE, 1, false);
    assert_eq!(version(&nodes.read(0, POLICY).await), 1);
    check(&read_from(node, &nodes.origin, &POLICY, 1).await, Verdict::Hit, 1, false);
    assert_eq!(nodes.origin.loads(), 2);
    // What the reader's own load brings is its answer, whatever it is.
    check(&read_from(node, &nodes.origin, &POLICY, 9).await, UNSUITABLE, 1, false);
}

#[tokio::test(start_paused = true)]
async fn a_hit_can_be_refused_without_waiting() {
    let nodes = Nodes::new().await;
    nodes.read(0, Policy { mode: unstale::Mode::Bounded(Duration::from_secs(1)), ..POLICY }).await;
    let policy = Policy { mode: unstale::Mode::Bounded(Duration::from_secs(1)), ..POLICY };
    let (cache, key, options) = (&nodes.all[0].cache, page(&acme(), 1), ReadOptions::default());
    assert!(cache.hit_accepting(&key, &policy, &options, |_| false).is_none());
    let mut shown = None;
    let hit = cache.hit_accepting(&key, &policy, &options, |hit| {
        shown = Some((hit.verdict, version(hit)));
        true
    });
    assert_eq!((hit.unwrap().verdict, shown), (Verdict::Hit, Some((Verdict::Hit, 0))));
}

#[tokio::test(start_paused = true)]
async fn a_value_refused_in_memory_is_looked_for_in_the_store() {
    let nodes = Nodes::new().await;
    nodes.read(0, POLICY).await;
    nodes.origin.version.store(1, SeqCst);
    nodes.time.advance(Duration::from_millis(1));
    check(&read_from(&nodes.all[1], &nodes.origin, &POLICY, 1).await, UNSUITABLE, 1, false);
    settle().await;
    // The first node's memory has the old one still, which is right by the rule.
    assert_eq!(version(&nodes.read(0, POLICY).await), 0);
    check(&read_from(&nodes.all[0], &nodes.origin, &POLICY, 1).await, Verdict::Hit, 1, false);
    assert_eq!(nodes.origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_only_finds_is_given_what_is_there_and_begins_nothing() {
    let nodes = Nodes::new().await;
    let policy = POLICY.grace(Duration::from_secs(60));
    let find = async |node: usize, at_least: PositionSet, takes: bool| {
        let options = ReadOptions { at_least };
        let found = nodes.all[node].cache.find(&page(&acme(), 1), &policy, &options, move |_| takes).await;
        found.map(|found| (found.verdict, version(&found)))
    };
    assert_eq!(find(0, none(), true).await, None);
    // Nor is the load of another reader waited for.
    let leading = nodes.begin(0, policy, none()).await;
    assert_eq!(find(0, none(), true).await, None);
    leading.await.unwrap().unwrap();
    for node in [0, 1] {
        // The other node's memory lacks it, and the store has it.
        assert_eq!(find(node, none(), true).await, Some((Verdict::Hit, 0)));
        assert_eq!(find(node, none(), false).await, None);
    }
    nodes.time.advance(Duration::from_secs(30));
    let stale = Some((Verdict::Stale(StaleReason::Grace), 0));
    assert_eq!((find(0, none(), true).await, find(0, none(), true).await), (stale, stale));
    settle().await;
    assert_eq!(nodes.origin.loads(), 1);
    // The refresh was left to the next reader who may load.
    assert_eq!(nodes.read(0, policy).await.verdict, Verdict::Stale(StaleReason::Grace));
    sleep(LOAD * 3).await;
    assert_eq!((nodes.origin.loads(), find(0, none(), true).await), (2, Some((Verdict::Hit, 0))));
    // What a write has declared wrong is not found.
    let position = nodes.write(0).await;
    assert_eq!((find(0, position.clone(), true).await, find(1, position, true).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn who_refuses_what_a_flight_brought_loads_at_once_and_not_one_after_the_other() {
    let nodes = Nodes::new().await;
    let leading = nodes.begin(0, POLICY, none()).await;
    let began = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..20)
        .map(|at| {
            let (node, origin) = (nodes.all[0].clone(), nodes.origin.clone());
            // Every second one takes what the flight brings.
            tokio::spawn(async move { read_from(&node, &origin, &POLICY, at % 2).await })
        })
        .collect();
    settle().await;
    nodes.origin.version.store(1, SeqCst);
    leading.await.unwrap().unwrap();
    for (at, waiting) in waiting.into_iter().enumerate() {
        let answer = waiting.await.unwrap();
        if at % 2 == 0 {
            check(&answer, Verdict::Miss(MissReason::Absent), 0, true);
        } else {
            check(&answer, UNSUITABLE, 1, false);
        }
    }
    assert_eq!((nodes.origin.loads(), nodes.origin.most_at_once.load(SeqCst)), (11, 10));
    assert!(began.elapsed() < LOAD * 3, "{:?}: one waited for the other", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_another_node_filled_and_the_reader_refuses_is_loaded_after_all() {
    let nodes = Nodes::new().await;
    let first = nodes.begin(0, POLICY, none()).await;
    let (node, origin) = (nodes.all[1].clone(), nodes.origin.clone());
    let picky = tokio::spawn(async move { read_from(&node, &origin, &POLICY, 1).await });
    settle().await;
    nodes.origin.version.store(1, SeqCst);
    assert_eq!(version(&first.await.unwrap().unwrap()), 0);
    check(&picky.await.unwrap(), Verdict::Miss(MissReason::Absent), 1, false);
    assert_eq!(nodes.origin.loads(), 2);
    assert_eq!(*nodes.all[1].waits.0.lock(), [WaitedFor::FillInVain]);
}

#[tokio::test(start_paused = true)]
async fn the_load_is_handed_what_was_found() {
    let nodes = Nodes::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let read = |accepts: bool| {
        let (seen, origin) = (seen.clone(), nodes.origin.clone());
        let load = move |found: Option<Cached<Page>>| {
            seen.lock().push(found.map(|found| found.saw[0].1));
            origin.load(LOAD)
        };
        let key = page(&acme(), 1);
        let cache = nodes.all[0].cache.clone();
        async move { cache.fetch_accepting(&key, &POLICY, &ReadOptions::default(), move |_| accepts, load).await.unwrap() }
    };
    read(true).await;
    nodes.write(0).await;
    read(true).await;
    read(false).await;
    // Only the store has it.
    nodes.all[0].cache.clear_memory();
    read(false).await;
    assert_eq!(*seen.lock(), [None, Some(0), Some(1), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_leaves_what_the_reader_takes_for_want_of_better() {
    let nodes = Nodes::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(60));
    nodes.read(0, policy).await;
    let read = |policy: Policy, in_need: bool| {
        let cache = nodes.all[0].cache.clone();
        async move {
            let accept =
                move |fetched: &Fetched<Page>| in_need && fetched.verdict == Verdict::Stale(StaleReason::FailSafe);
            let load = |_found| async { Err::<Loaded<Page>, _>("no".to_owned()) };
            cache.fetch_accepting(&page(&acme(), 1), &policy, &ReadOptions::default(), accept, load).await
        }
    };
    check(&read(policy, true).await, Verdict::Stale(StaleReason::FailSafe), 0, false);
    assert_eq!(read(policy, false).await.unwrap_err(), FetchError::Load("no".into()));
    assert_eq!(read(POLICY, true).await.unwrap_err(), FetchError::Load("no".into()), "the policy has no fail-safe");
    // Beyond its time it is shown as what it is, too.
    nodes.time.advance(Duration::from_secs(30));
    check(&read(policy, true).await, Verdict::Stale(StaleReason::FailSafe), 0, false);
    assert_eq!(read(policy, false).await.unwrap_err(), FetchError::Load("no".into()));
    // Invalidated, it is given to nobody.
    nodes.write(0).await;
    assert_eq!(read(policy, true).await.unwrap_err(), FetchError::Load("no".into()));
}

#[tokio::test(start_paused = true)]
async fn who_refuses_what_is_in_grace_begins_no_refresh() {
    let nodes = Nodes::new().await;
    let policy = POLICY.grace(Duration::from_secs(60));
    nodes.read(0, policy).await;
    nodes.time.advance(Duration::from_secs(30));
    nodes.origin.version.store(1, SeqCst);
    check(&read_from(&nodes.all[0], &nodes.origin, &policy, 1).await, UNSUITABLE, 1, false);
    sleep(LOAD * 3).await;
    assert_eq!(nodes.origin.loads(), 2);
    // And who takes it, one.
    nodes.time.advance(Duration::from_secs(30));
    check(&read_from(&nodes.all[0], &nodes.origin, &policy, 1).await, Verdict::Stale(StaleReason::Grace), 1, false);
    sleep(LOAD * 3).await;
    assert_eq!(nodes.origin.loads(), 3);
}

/// While a value is loaded to replace one that was refused, others read that one, and writes elsewhere in the
/// partition raise its base.
#[tokio::test(start_paused = true)]
async fn a_busy_partition_does_not_keep_what_was_refused() {
    let nodes = Nodes::new().await;
    nodes.read(0, POLICY).await;
    nodes.origin.version.store(1, SeqCst);
    nodes.time.advance(Duration::from_millis(1));
    let (node, origin) = (nodes.all[0].clone(), nodes.origin.clone());
    let picky = tokio::spawn(async move { read_from(&node, &origin, &POLICY, 1).await });
    settle().await;
    let other = unstale::Tag::of(&acme(), "fact", 2);
    nodes.all[0].cache.invalidate(&unstale::Invalidation::of([other])).await.unwrap();
    let seen = nodes.read(0, POLICY).await;
    assert_eq!((seen.verdict, version(&seen)), (Verdict::Hit, 0));
    check(&picky.await.unwrap(), UNSUITABLE, 1, false);
    check(&read_from(&nodes.all[0], &nodes.origin, &POLICY, 1).await, Verdict::Hit, 1, false);
}
