//! Records that a node is told of, and appending to several partitions at once.

use std::time::Duration;

use unstale::{Fetched, Invalidation, Mode, Policy, ReadOptions, Tag, store::Store as _};

use crate::{
    nodes::{Nodes, settle},
    world::{Page, acme, page},
};

const LONG: Duration = Duration::from_secs(3600);

fn bounded(bound: Duration) -> Policy {
    Policy::ttl(LONG).mode(Mode::Bounded(bound))
}

/// What node 1 has in memory that is fresh without asking anybody.
fn hit(nodes: &Nodes, bound: Duration) -> Option<Fetched<Page>> {
    nodes.all[1].cache.hit(&page(&acme(), 1), &bounded(bound), &ReadOptions::default())
}

/// Nodes of which the second follows the log and has the page in memory.
async fn followed() -> Nodes {
    let nodes = Nodes::new().await;
    let cache = nodes.all[1].cache.clone();
    tokio::spawn(async move { cache.follow(LONG).await });
    settle().await;
    nodes.read(1, bounded(LONG)).await;
    assert!(hit(&nodes, LONG).is_some());
    nodes
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_told_is_applied_without_asking() {
    let nodes = followed().await;
    let asked = nodes.all[1].far.requests();
    nodes.write(0).await;
    settle().await;
    assert!(hit(&nodes, LONG).is_none(), "the view holds the record");
    assert_eq!(nodes.all[1].far.requests(), asked);
    let (written, asked) = (nodes.write(0).await, nodes.all[1].far.requests());
    assert!(written.iter().next().is_some());
    assert_eq!(nodes.all[0].far.requests(), 16 + 2, "the start, and the appends: its own records it need not read");
    assert_eq!(nodes.all[1].far.requests(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_told_confirms_nothing() {
    let nodes = followed().await;
    let bound = Duration::from_secs(1);
    assert!(hit(&nodes, bound).is_some());
    nodes.time.advance(2 * bound);
    let other = Invalidation::of([Tag::of(&acme(), "fact", 2)]);
    nodes.all[0].cache.invalidate(&other).await.unwrap();
    settle().await;
    assert!(hit(&nodes, bound).is_none(), "there may be more than was told");
    assert!(hit(&nodes, LONG).is_some(), "the record was of another fact");
}

#[tokio::test(start_paused = true)]
async fn a_shared_fact_goes_to_all_partitions_at_once() {
    let nodes = Nodes::new().await;
    let (cache, far) = (nodes.all[0].cache.clone(), nodes.all[0].far.clone());
    let before = far.requests();
    far.set_stalled(true);
    let shared = Invalidation::of([Tag::shared("rates", 1)]);
    let invalidating = tokio::spawn(async move { cache.invalidate(&shared).await });
    settle().await;
    let partitions = nodes.store.partitions().all().len();
    assert_eq!(far.requests() - before, partitions as u64);
    far.set_stalled(false);
    assert_eq!(invalidating.await.unwrap().unwrap().iter().count(), partitions);
}
