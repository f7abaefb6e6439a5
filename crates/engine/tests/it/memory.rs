//! What stays in memory when it is short, and what is told of it, through the whole cache.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use parking_lot::Mutex;
use unstale::{
    Cache, CacheBuilder, CacheLimits, Event, EvictionCause, L1Limits, Loaded, MemoryStore, Observer, Policy,
    ReadOptions, Tag, Tenant,
};

use crate::world::{Page, acme, page};

const POLICY: Policy = Policy::ttl(Duration::from_secs(10));

/// A cache with room for some dozens of these pages.
fn builder() -> CacheBuilder {
    let l1 = L1Limits { bytes_max: 20_000, ..L1Limits::default() };
    Cache::builder(Arc::new(MemoryStore::default())).limits(CacheLimits { l1, ..CacheLimits::default() })
}

async fn read(cache: &Cache, tenant: &Tenant, number: u32) {
    let load = || async { Ok::<_, String>(Loaded::value(Page { saw: vec![(1, 1); 20] })) };
    cache.fetch(&page(tenant, number), &POLICY, &ReadOptions::default(), load).await.unwrap();
}

fn is_there(cache: &Cache, tenant: &Tenant, number: u32) -> bool {
    cache.peek(&page(tenant, number)).is_some()
}

#[tokio::test]
async fn what_is_read_once_does_not_push_out_what_is_read_again() {
    let cache = builder().build().await.unwrap();
    for _ in 0..2 {
        for number in 0..20 {
            read(&cache, &acme(), number).await;
        }
    }
    for number in 100..1000 {
        read(&cache, &acme(), number).await;
    }
    let kept = (0..20).filter(|number| is_there(&cache, &acme(), *number)).count();
    assert_eq!(kept, 20, "only {kept} of those that were read twice are left");
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        let told = match event {
            Event::Evicted { tenant, key, cause: EvictionCause::Memory } => format!("{tenant} lost {key}"),
            Event::QuotaReached { tenant, quota, .. } => format!("{tenant} reached {quota}"),
            Event::MemoryThreshold { percent, above, .. } => format!("{percent} percent, above: {above}"),
            _ => return,
        };
        self.0.lock().push(told);
    }
}

#[tokio::test]
async fn weights_hold_and_memory_that_fills_up_is_told() {
    let told = Arc::new(Told::default());
    let globex = Tenant::new("globex").unwrap();
    let builder = builder().observer(told.clone());
    let cache = builder.tenant_weight(acme(), NonZeroU32::new(3).unwrap()).build().await.unwrap();
    read(&cache, &globex, 0).await;
    assert_eq!((cache.tenant_quota(&acme()), cache.size().tenants), (15_000, 1));
    for number in 0..200 {
        read(&cache, &acme(), number).await;
        if number < 5 {
            read(&cache, &globex, number).await;
        }
    }
    assert!((0..5).all(|number| is_there(&cache, &globex, number)), "a tenant within its share lost something");
    let size = cache.size();
    assert!(size.bytes <= size.bytes_max && size.bytes_max == 20_000 && size.tenants == 2);
    let told = told.0.lock();
    let news: Vec<&str> = told.iter().filter(|line| !line.contains(" lost ")).map(String::as_str).collect();
    assert_eq!(news, ["80 percent, above: true", "95 percent, above: true", "acme reached 15000"]);
    assert!(told.contains(&"acme lost acme:page/0".to_owned()));
}

#[tokio::test]
async fn what_carries_a_tag_is_counted_and_removed_within_a_limit() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let tag = |group: u32| Tag::of(&acme(), "group", group);
    for number in 0..30 {
        let load = move || async move {
            let loaded = Loaded::value(Page { saw: vec![(1, 1)] });
            Ok::<_, String>(loaded.tags([tag(number % 3)]))
        };
        cache.fetch(&page(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
    }
    let all = cache.count_tagged(&[tag(0)], 1000);
    assert_eq!((all.entries, all.looked_at, all.is_complete), (10, 30, true));
    let some = cache.count_tagged(&[tag(0)], 5);
    assert_eq!((some.looked_at, some.is_complete), (5, false));
    assert_eq!(cache.count_tagged(&[tag(7)], 1000).entries, 0);
    assert_eq!(cache.remove_tagged(&[tag(0), tag(1)], 1000).await.unwrap().entries, 20);
    assert_eq!(cache.size().entries, 10);
    let left: Vec<u32> = (0..30).filter(|number| is_there(&cache, &acme(), *number)).collect();
    assert!(left.iter().all(|number| number % 3 == 2) && left.len() == 10, "{left:?}");
}
