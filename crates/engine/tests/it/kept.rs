//! What is kept, for whom and for how long, and what is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use unstale::{
    BypassReason, Cache, CacheLimits, Cacheable, FetchError, L1Limits, Loaded, MissReason, NotStored, Policy,
    ReadOptions, StaleReason, TAGS_MAX, Tag, Tenant, Timestamp, Verdict, record,
    store::{Seal, Store as _, StoredEntry},
};

use crate::{
    reads::{ABSENT, EXPIRED, INVALIDATED, Node, POLICY, check, tag, value},
    world::{Page, acme, page},
};

#[tokio::test]
async fn absences_are_kept_for_their_own_time_if_at_all() {
    let node = Node::new().await;
    let absent = || async {
        record(&tag());
        Ok(Loaded::absent())
    };
    let forgotten = node.read_with(&POLICY, absent).await.unwrap();
    assert_eq!((forgotten.value(), forgotten.not_stored), (None, Some(NotStored::AbsenceNotKept)));
    let policy = POLICY.negative_ttl(Duration::from_secs(2));
    node.read_with(&policy, absent).await.unwrap();
    let kept = node.read_with(&policy, absent).await.unwrap();
    assert_eq!((kept.verdict, kept.value()), (Verdict::Hit, None));
    node.invalidate().await;
    check(&node.read(&policy, Ok(1)).await, INVALIDATED, 1);
    node.invalidate().await;
    node.read_with(&policy, absent).await.unwrap();
    node.time.advance(Duration::from_secs(2));
    check(&node.read(&policy, Ok(2)).await, EXPIRED, 2);
}

type Load = Box<dyn Fn() -> Loaded<Page> + Send + Sync>;

#[tokio::test]
async fn what_cannot_be_judged_is_neither_kept_nor_shared() {
    let globex = Tenant::new("globex").unwrap();
    let cases: [(NotStored, Load); 4] = [
        (
            NotStored::TooManyTags,
            Box::new(|| {
                (0..=TAGS_MAX).for_each(|row| record(&Tag::of(&acme(), "row", row)));
                value(1)
            }),
        ),
        (NotStored::ForeignTag, Box::new(move || value(1).tags([Tag::of(&globex, "fact", 1)]))),
        (NotStored::Declined, Box::new(|| value(1).declined())),
        (
            NotStored::Declined,
            Box::new(|| {
                unstale::decline();
                value(1)
            }),
        ),
    ];
    for (reason, load) in cases {
        let node = Arc::new(Node::new().await);
        let loads = Arc::new(AtomicUsize::new(0));
        let load = Arc::new(load);
        let readers = (0..3).map(|_| {
            let (node, loads, load) = (node.clone(), loads.clone(), load.clone());
            async move {
                let counted = move || async move {
                    loads.fetch_add(1, SeqCst);
                    tokio::task::yield_now().await;
                    Ok(load())
                };
                node.read_with(&POLICY, counted).await.unwrap()
            }
        });
        for answer in futures_util::future::join_all(readers).await {
            assert_eq!((answer.not_stored, answer.collapsed), (Some(reason), false));
        }
        assert_eq!(loads.load(SeqCst), 3, "{reason} was shared");
        assert_eq!(node.cache.size().entries, 0, "{reason} was kept");
    }
}

#[tokio::test]
async fn a_value_too_large_is_served_and_not_kept() {
    let l1 = L1Limits { value_bytes_max: 16, ..L1Limits::default() };
    let node = Node::with(CacheLimits { l1, ..CacheLimits::default() }).await;
    let large = || async { Ok(Loaded::value(Page { saw: vec![(1, 1); 100] })) };
    assert_eq!(node.read_with(&POLICY, large).await.unwrap().not_stored, Some(NotStored::TooLarge));
    assert_eq!(node.cache.size().entries, 0);
}

#[tokio::test]
async fn a_loader_may_set_its_own_time() {
    let node = Node::new().await;
    let short = || async { Ok(value(1).ttl(Duration::from_secs(1))) };
    node.read_with(&POLICY, short).await.unwrap();
    node.time.advance(Duration::from_secs(1));
    check(&node.read(&POLICY, Ok(2)).await, EXPIRED, 2);
    node.invalidate().await;
    let none = || async { Ok(value(3).ttl(Duration::ZERO)) };
    assert_eq!(node.read_with(&POLICY, none).await.unwrap().not_stored, Some(NotStored::NoLifetime));
}

#[tokio::test]
async fn an_entry_made_of_entries_depends_on_all_they_depend_on() {
    let node = Arc::new(Node::new().await);
    let outer = |version: u64| {
        let node = node.clone();
        async move {
            let inner = node.clone();
            let load = move || async move {
                let part = inner.read(&POLICY.ttl_of(3), Ok(version)).await?;
                Ok::<_, FetchError<String>>(Loaded::value(part.value().unwrap().clone()))
            };
            node.cache.fetch(&page(&acme(), "outer"), &POLICY, &ReadOptions::default(), load).await.unwrap()
        }
    };
    assert_eq!(outer(1).await.verdict, ABSENT);
    assert_eq!(outer(2).await.verdict, Verdict::Hit);
    node.invalidate().await;
    let again = outer(3).await;
    assert_eq!((again.verdict, again.value().unwrap().saw[0].1), (INVALIDATED, 3));
    node.time.advance(Duration::from_secs(3));
    assert_eq!(outer(4).await.verdict, EXPIRED, "the outer entry outlived the inner one");
}

trait TtlOf {
    fn ttl_of(self, seconds: u64) -> Policy;
}

impl TtlOf for Policy {
    fn ttl_of(self, seconds: u64) -> Policy {
        Policy { ttl: Duration::from_secs(seconds), ..self }
    }
}

#[tokio::test]
async fn a_key_too_long_is_served_and_not_kept() {
    let node = Node::new().await;
    let key = page(&acme(), "x".repeat(5000));
    let load = || async { Ok::<_, String>(value(1)) };
    let answer = node.cache.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Bypass(BypassReason::KeyTooLong));
    assert_eq!(node.cache.size().entries, 0);
}

#[tokio::test]
async fn what_another_node_stored_is_a_hit_here_if_the_rule_allows_it() {
    let node = Node::new().await;
    let other = Cache::builder(node.store.clone()).time(node.time.clone()).build().await.unwrap();
    node.read(&POLICY, Ok(1)).await.unwrap();
    let load = || async { Ok::<_, String>(value(2)) };
    let options = ReadOptions::default();
    check(&other.fetch(&page(&acme(), 1), &POLICY, &options, load).await, Verdict::Hit, 1);
    node.invalidate().await;
    check(&other.fetch(&page(&acme(), 1), &POLICY, &options, load).await, INVALIDATED, 2);
    check(&node.read(&POLICY, Ok(3)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn a_value_of_another_schema_is_a_miss() {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct PageV2 {
        title: String,
    }
    unstale::cacheable!(PageV2, "Page v2");
    unstale::catalogue! {
        /// The next build's.
        const _NEXT;
        /// The same key with another type.
        fn page(number) -> PageV2 = "page";
    }
    let node = Node::new().await;
    node.read(&POLICY, Ok(1)).await.unwrap();
    let other = Cache::builder(node.store.clone()).time(node.time.clone()).build().await.unwrap();
    let load = || async { Ok::<_, String>(Loaded::value(PageV2 { title: "new".into() })) };
    let answer = other.fetch(&page(&acme(), 1), &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!((answer.verdict, &answer.value().unwrap().title[..]), (Verdict::Miss(MissReason::Schema), "new"));
}

#[tokio::test]
async fn a_value_that_does_not_decode_is_a_miss() {
    let node = Node::new().await;
    let base = node.cache.frontier(&acme());
    let garbled = StoredEntry {
        base,
        tags: [tag().id()].into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(0),
        load_ms: 0,
        expires_at: Timestamp::from_millis(10_000),
        dead_at: Timestamp::from_millis(10_000),
        schema: <Page as Cacheable>::fingerprint(),
        value: Some(b"\xc1".as_slice().into()),
        subjects: 0,
        is_sensitive: false,
        seal: Seal::None,
    };
    node.store.fill(page(&acme(), 1).raw(), garbled).await.unwrap();
    check(&node.read(&POLICY, Ok(1)).await, Verdict::Miss(MissReason::Schema), 1);
    check(&node.read(&POLICY, Ok(2)).await, Verdict::Hit, 1);
}

#[tokio::test]
async fn what_is_made_of_a_value_in_grace_is_not_kept() {
    let node = Arc::new(Node::new().await);
    let policy = POLICY.grace(Duration::from_secs(5));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let inner = node.clone();
    let load = move || async move {
        let part = inner.read(&policy, Ok(2)).await?;
        assert_eq!(part.verdict, Verdict::Stale(StaleReason::Grace));
        Ok::<_, FetchError<String>>(Loaded::value(part.value().unwrap().clone()))
    };
    let outer = node.cache.fetch(&page(&acme(), "outer"), &policy, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(outer.not_stored, Some(NotStored::FromStale));
}
