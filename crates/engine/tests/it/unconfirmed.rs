//! A node that is cut off from the store, and loads that it began before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::Notify;
use unstale::{
    Cache, Invalidation, Loaded, MemoryStore, Mode, Policy, ReadOptions, record,
    testing::{DistantStore, Faults},
};

use crate::world::{Page, acme, fact_tag, page};

const STRICT: Policy = Policy::ttl(Duration::from_secs(3600)).mode(Mode::Strict);
/// Task switches in which a reader surely gets as far as it can.
const SWITCHES: usize = 2_000;

/// Seen under real processes: one node's network was cut while it loaded.
#[tokio::test]
async fn a_strict_reader_who_cannot_ask_the_store_takes_nothing_from_a_load_that_began_before() {
    let store = Arc::new(MemoryStore::default());
    let far = Arc::new(DistantStore::new(store.clone(), 1));
    let cut_off = Cache::builder(far.clone()).build().await.unwrap();
    let other = Cache::builder(Arc::new(DistantStore::new(store, 2))).build().await.unwrap();
    let version = Arc::new(AtomicU64::new(0));
    let (has_looked, may_land) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let read = |slow: bool| {
        let (cut_off, version) = (cut_off.clone(), version.clone());
        let (has_looked, may_land) = (has_looked.clone(), may_land.clone());
        tokio::spawn(async move {
            let load = move || async move {
                record(&fact_tag(1));
                let saw = vec![(1, version.load(SeqCst))];
                if slow {
                    has_looked.notify_one();
                    may_land.notified().await;
                }
                Ok::<_, String>(Loaded::value(Page { saw }))
            };
            let fetched = cut_off.fetch(&page(&acme(), 1), &STRICT, &ReadOptions::default(), load).await.unwrap();
            fetched.value().unwrap().saw.clone()
        })
    };
    let first = read(true);
    has_looked.notified().await;
    version.store(1, SeqCst);
    other.invalidate(&Invalidation::of([fact_tag(1)])).await.unwrap();
    far.set_faults(Faults { lost_requests_percent: 100, ..Faults::default() });
    let second = read(false);
    for _ in 0..SWITCHES {
        tokio::task::yield_now().await;
    }
    may_land.notify_one();
    assert_eq!(second.await.unwrap(), vec![(1, 1)], "written and acknowledged before the read began");
    assert_eq!(first.await.unwrap(), vec![(1, 0)], "the load was slow");
}
