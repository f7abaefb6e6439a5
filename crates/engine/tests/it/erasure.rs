//! Erasing people where nothing is sealed and nothing is shared: the embedded default.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::future::{BoxFuture, FutureExt as _};
use unstale::{
    Cache, CacheVersion, KeyRing, Loaded, MemoryLimits, MemoryStore, ReadOptions, Sealing, SealingLimits, Tag, TagId,
    Tenant, record_subject,
    sealing::{KeyId, MemorySubjectKeys, SubjectKeyError, SubjectKeyRow, SubjectKeys, WrappedKey},
    store::Store as _,
    testing::{DistantStore, Trouble},
};

use crate::{
    reads::{ABSENT, POLICY},
    world::{Page, acme, page},
};

fn user(id: u32) -> Tag {
    Tag::shared("user", id)
}

async fn read(cache: &Cache, id: u32) -> unstale::Verdict {
    let load = move || async move {
        record_subject(&user(id));
        Ok::<_, String>(Loaded::value(Page { saw: vec![(id, 1)] }))
    };
    cache.fetch(&page(&acme(), id), &POLICY, &ReadOptions::default(), load).await.unwrap().verdict
}

#[tokio::test]
async fn without_keys_and_without_a_shared_store_an_erased_person_is_gone_all_the_same() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    for id in 1..=3 {
        assert_eq!(read(&cache, id).await, ABSENT);
    }
    let report = cache.report(&user(1), usize::MAX).await;
    assert!(report.is_complete && report.looked_at == 3);
    assert_eq!(
        report.copies.iter().map(|copy| (&copy.key[..], copy.in_store)).collect::<Vec<_>>(),
        [("acme:page/1", Some(false))]
    );
    let proof = cache.erase(&user(1)).await.unwrap();
    assert_eq!((proof.subject, proof.keys_destroyed, proof.memory_removed, proof.store_removed), (None, 0, 1, 0));
    assert_eq!(cache.report(&user(1), usize::MAX).await.copies, []);
    assert_eq!(cache.size().entries, 2, "the others are as they were");
}

#[tokio::test]
async fn a_report_looks_at_no_more_than_it_may_and_says_so() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    for id in 1..=3 {
        read(&cache, id).await;
    }
    let report = cache.report(&user(1), 2).await;
    assert_eq!((report.looked_at, report.is_complete), (2, false));
}

#[tokio::test]
async fn a_report_that_the_store_does_not_answer_says_that_it_is_not_complete() {
    let near = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
    let far = Arc::new(DistantStore::new(near, 1));
    let cache = Cache::builder(far.clone()).build().await.unwrap();
    read(&cache, 1).await;
    let report = cache.report(&user(1), usize::MAX).await;
    assert_eq!((report.copies[0].in_store, report.looked_at, report.is_complete), (Some(false), 1, true));
    far.set_troubles(far.partitions().all().map(|partition| (partition, Trouble::Fails)).collect());
    let report = cache.report(&user(1), usize::MAX).await;
    assert_eq!((report.copies.len(), report.looked_at, report.is_complete), (1, 1, false));
    assert!(report.copies[0].in_memory && report.copies[0].in_store.is_none());
}

/// Keys of which one is made anew right after it was destroyed, as by a load that has not heard of the erasure.
#[derive(Debug)]
struct MadeAnew {
    keys: MemorySubjectKeys,
    is_loading: AtomicBool,
}

fn key_of(subject: TagId) -> SubjectKeyRow {
    SubjectKeyRow { tenant: acme(), subject, key: WrappedKey { master: KeyId::from_u64(1), bytes: [7; 64] } }
}

impl SubjectKeys for MadeAnew {
    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        subjects: &'a [TagId],
    ) -> BoxFuture<'a, Result<Vec<Option<WrappedKey>>, SubjectKeyError>> {
        self.keys.find(tenant, subjects)
    }

    fn create<'a>(&'a self, row: &'a SubjectKeyRow) -> BoxFuture<'a, Result<WrappedKey, SubjectKeyError>> {
        self.keys.create(row)
    }

    fn destroy(&self, subject: TagId) -> BoxFuture<'_, Result<u64, SubjectKeyError>> {
        async move {
            let destroyed = self.keys.destroy(subject).await?;
            if self.is_loading.swap(false, SeqCst) {
                self.keys.create(&key_of(subject)).await?;
            }
            Ok(destroyed)
        }
        .boxed()
    }

    fn wrapped_by_others(&self, id: KeyId, max: usize) -> BoxFuture<'_, Result<Vec<SubjectKeyRow>, SubjectKeyError>> {
        self.keys.wrapped_by_others(id, max)
    }

    fn rewrap<'a>(&'a self, old: &'a SubjectKeyRow, new: WrappedKey) -> BoxFuture<'a, Result<(), SubjectKeyError>> {
        self.keys.rewrap(old, new)
    }
}

#[tokio::test]
async fn a_key_that_is_made_anew_before_everybody_has_heard_of_the_erasure_is_destroyed_too() {
    let keys = Arc::new(MadeAnew { keys: MemorySubjectKeys::default(), is_loading: true.into() });
    let ring = KeyRing::new([*b"one key of these tests, not zero"]).unwrap();
    let sealing = Sealing::new(ring, keys.clone(), CacheVersion::default(), SealingLimits::default());
    let cache = Cache::builder(Arc::new(MemoryStore::default())).sealing(sealing).build().await.unwrap();
    keys.create(&key_of(user(1).id())).await.unwrap();
    let proof = cache.erase(&user(1)).await.unwrap();
    assert_eq!((proof.keys_destroyed, keys.keys.len()), (2, 0));
    assert_eq!(cache.erase(&user(1)).await.unwrap().keys_destroyed, 0);
}
