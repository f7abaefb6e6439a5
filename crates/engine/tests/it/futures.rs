//! How large the futures are that an application carries about.

use std::{sync::Arc, time::Duration};

use unstale::{Cache, Invalidation, Loaded, MemoryStore, Policy, ReadOptions};

use crate::world::{Page, acme, page};

/// What a future may take. They nest by value: each handler around a read carries it, hit or miss, and a server under ten
/// thousand requests as many of them.
const BYTES_MAX: usize = 400;

async fn one() -> Result<Loaded<Page>, String> {
    Ok(Loaded::absent())
}

#[tokio::test]
async fn reading_and_invalidating_add_little_to_the_futures_around_them() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let (keys, options, invalidation) = ([page(&acme(), 1)], ReadOptions::default(), Invalidation::default());
    let policy = Policy::ttl(Duration::from_secs(1));
    let sizes = [
        size_of_val(&cache.fetch(&keys[0], &policy, &options, one)),
        size_of_val(&cache.fetch_accepting(&keys[0], &policy, &options, |_| true, |_| one())),
        size_of_val(&cache.fetch_many(&keys, &policy, &options, async |_| Ok::<_, String>(Vec::<Loaded<Page>>::new()))),
        size_of_val(&cache.invalidate(&invalidation)),
    ];
    assert!(sizes.iter().all(|bytes| *bytes <= BYTES_MAX), "{sizes:?}");
}
