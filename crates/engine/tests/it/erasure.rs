//! Erasing people where nothing is sealed and nothing is shared: the embedded default.

use unstale::{Cache, Loaded, MemoryStore, ReadOptions, Tag, record_subject};

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
    let cache = Cache::builder(std::sync::Arc::new(MemoryStore::default())).build().await.unwrap();
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
    let cache = Cache::builder(std::sync::Arc::new(MemoryStore::default())).build().await.unwrap();
    for id in 1..=3 {
        read(&cache, id).await;
    }
    let report = cache.report(&user(1), 2).await;
    assert_eq!((report.looked_at, report.is_complete), (2, false));
}
