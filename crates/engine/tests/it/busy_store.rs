//! A store that keeps its readers waiting and is not away: many who miss one key still load it once.
//!
//! In paused time: a delay is a delay, whatever else the machine does.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use unstale::{
    BypassReason, Invalidation, MissReason, Mode, Policy, Tag, Verdict, WaitedFor, store::Store as _, testing::Delays,
};

use crate::{
    nodes::{LOAD, Nodes, POLICY, none, settle},
    world::{acme, page},
};

const BOUNDED: Policy = POLICY.mode(Mode::Bounded(Duration::from_secs(3600)));
/// Longer than a read waits for the store, shorter than a load waits to hear whether another node loads.
const LATE: Duration = Duration::from_millis(120);

/// Invalidates what concerns nobody here, again and again: a node's store is seen to answer.
fn others(nodes: &Nodes, node: usize) -> JoinHandle<()> {
    let cache = nodes.all[node].cache.clone();
    tokio::spawn(async move {
        for number in 0..100 {
            let _ = cache.invalidate(&Invalidation::of([Tag::of(&acme(), "unrelated", number)])).await;
            sleep(Duration::from_millis(10)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_until_the_store_has_taken_what_was_loaded() {
    let nodes = Nodes::guarded().await;
    nodes.all[0].far.set_delays(Delays { fill: LATE, ..Delays::default() });
    let slow = nodes.begin(0, BOUNDED, none()).await;
    let waiting = nodes.begin(1, BOUNDED, none()).await;
    let began = Instant::now();
    slow.await.unwrap().unwrap();
    assert!(began.elapsed() < LOAD + Duration::from_millis(20), "who loaded it does not wait for the store to take it");
    assert!(waiting.await.unwrap().unwrap().collapsed);
    assert_eq!((nodes.origin.loads(), nodes.all[1].waits.0.lock().as_slice()), (1, [WaitedFor::Fill].as_slice()));
    settle().await;
    assert_eq!(nodes.lease(1).await, None, "and then it is given back");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_others_is_waited_for_before_a_second_node_loads() {
    let nodes = Nodes::guarded().await;
    nodes.all[1].far.set_delays(Delays { lease: LATE, ..Delays::default() });
    let others = others(&nodes, 1);
    let first = nodes.begin(0, BOUNDED, none()).await;
    let second = nodes.begin(1, BOUNDED, none()).await;
    assert!(!first.await.unwrap().unwrap().collapsed);
    assert!(second.await.unwrap().unwrap().collapsed, "the lease was asked for late, but it was asked for");
    assert_eq!(nodes.origin.loads(), 1);
    others.abort();
}

#[tokio::test(start_paused = true)]
async fn a_read_that_waited_for_the_entry_too_long_still_asks_who_loads_it() {
    let nodes = Nodes::guarded().await;
    nodes.all[1].far.set_delays(Delays { get: LATE, ..Delays::default() });
    let others = others(&nodes, 1);
    let first = nodes.begin(0, BOUNDED, none()).await;
    let second = nodes.begin(1, BOUNDED, none()).await;
    first.await.unwrap().unwrap();
    let second = second.await.unwrap().unwrap();
    assert_eq!((second.verdict, second.collapsed), (Verdict::Bypass(BypassReason::StoreSlow), true));
    assert_eq!(nodes.origin.loads(), 1);
    others.abort();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_nobody_costs_a_load_its_patience_and_no_more() {
    for delays in [Delays { lease: LATE, ..Delays::default() }, Delays { get: LATE, ..Delays::default() }] {
        let nodes = Nodes::guarded().await;
        nodes.all[1].far.set_delays(delays);
        let first = nodes.begin(0, BOUNDED, none()).await;
        let began = Instant::now();
        assert!(!nodes.read(1, BOUNDED).await.collapsed);
        let waited = began.elapsed().checked_sub(LOAD).unwrap();
        assert!(waited <= Duration::from_millis(50), "{waited:?}");
        first.await.unwrap().unwrap();
        assert_eq!(nodes.origin.loads(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn however_busy_the_store_a_load_does_not_wait_for_it_for_ever() {
    let nodes = Nodes::guarded().await;
    nodes.all[1].far.set_delays(Delays { lease: Duration::from_secs(30), ..Delays::default() });
    let others = others(&nodes, 1);
    let began = Instant::now();
    assert!(!nodes.read(1, BOUNDED).await.collapsed);
    let waited = began.elapsed().checked_sub(LOAD).unwrap();
    assert!(waited <= Duration::from_millis(260), "{waited:?}");
    others.abort();
}

#[tokio::test(start_paused = true)]
async fn while_a_load_runs_its_readers_do_not_ask_the_store_for_the_entry() {
    let nodes = Nodes::guarded().await;
    let first = nodes.begin(0, BOUNDED, none()).await;
    let before = nodes.all[0].far.requests();
    let second = nodes.begin(0, BOUNDED, none()).await;
    assert_eq!(nodes.all[0].far.requests(), before);
    // Nobody could say whether the load, which may come to nothing, is the store's last word.
    let unleased = nodes.begin(0, BOUNDED.lease(false), none()).await;
    assert_eq!(nodes.all[0].far.requests(), before + 1);
    for reading in [first, second, unleased] {
        assert_eq!(reading.await.unwrap().unwrap().verdict, Verdict::Miss(MissReason::Absent));
    }
    assert_eq!(nodes.origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_learns_late_that_the_store_has_nothing_looks_in_memory_once_more() {
    let nodes = Nodes::new().await;
    let unleased = BOUNDED.lease(false);
    let first = nodes.begin(0, unleased, none()).await;
    nodes.all[0].far.set_delays(Delays { get: LOAD * 2, ..Delays::default() });
    nodes.store.remove(page(&acme(), 1).raw()).await.unwrap();
    let late = nodes.begin(0, unleased, none()).await;
    first.await.unwrap().unwrap();
    nodes.store.remove(page(&acme(), 1).raw()).await.unwrap();
    let late = late.await.unwrap().unwrap();
    assert_eq!((late.verdict, late.collapsed), (Verdict::Miss(MissReason::Absent), true));
    assert_eq!(nodes.origin.loads(), 1);
}
