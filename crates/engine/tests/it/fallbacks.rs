//! What is served when the time of a value is over: in grace, for want of better, and where staleness is allowed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use unstale::{
    Cached, FetchError, Fetched, Invalidation, Mode, ReadOptions, StaleReason, Tag, Verdict, store::RECORD_TAGS_MAX,
};

use crate::{
    reads::{INVALIDATED, Node, POLICY, check, settle, value},
    world::{Page, acme, fact_tag, page},
};

#[tokio::test]
async fn within_grace_the_old_value_is_served_and_one_refresh_runs() {
    let node = Node::new().await;
    let policy = POLICY.grace(Duration::from_secs(5));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Grace), 1);
    check(&node.read(&policy, Ok(3)).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    check(&node.read(&policy, Ok(4)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn a_refresh_that_failed_is_tried_again_after_a_rest() {
    let node = Node::new().await;
    let policy = POLICY.grace(Duration::from_secs(5)).fail_safe_retry(Duration::from_secs(1));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    check(&node.read(&policy, Err("away")).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    for _ in 0..3 {
        node.time.advance(Duration::from_millis(300));
        check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Grace), 1);
        settle().await;
    }
    node.time.advance(Duration::from_millis(300));
    check(&node.read(&policy, Ok(3)).await, Verdict::Stale(StaleReason::Grace), 1);
    settle().await;
    check(&node.read(&policy, Ok(4)).await, Verdict::Hit, 3);
}

#[tokio::test]
async fn fail_safe_serves_the_old_value_when_loading_fails_but_never_an_invalidated_one() {
    let node = Node::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(60));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    check(&node.read(&policy, Err("away")).await, Verdict::Stale(StaleReason::FailSafe), 1);
    node.invalidate().await;
    assert_eq!(node.read(&policy, Err("away")).await.unwrap_err(), FetchError::Load("away".into()));
}

#[tokio::test]
async fn an_origin_that_is_down_is_asked_once_per_rest_and_not_by_every_read() {
    let node = Node::new().await;
    let policy = POLICY.fail_safe(Duration::from_secs(60)).fail_safe_retry(Duration::from_secs(2));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let loads = Arc::new(AtomicUsize::new(0));
    let down = || {
        let loads = loads.clone();
        node.read_with(&policy, move || async move {
            loads.fetch_add(1, SeqCst);
            Err("down".into())
        })
    };
    for _ in 0..40 {
        check(&down().await, Verdict::Stale(StaleReason::FailSafe), 1);
        node.time.advance(Duration::from_millis(100));
    }
    assert_eq!(loads.load(SeqCst), 2, "4 seconds, 40 reads");
    // Also where the old value comes from the store each time.
    node.cache.clear_memory();
    node.time.advance(Duration::from_secs(2));
    for _ in 0..10 {
        check(&down().await, Verdict::Stale(StaleReason::FailSafe), 1);
    }
    assert_eq!(loads.load(SeqCst), 3);
    // An invalidation ends it: what is known to be wrong is no fallback, rest or not.
    node.invalidate().await;
    assert_eq!(down().await.unwrap_err(), FetchError::Load("down".into()));
}

#[tokio::test]
async fn an_invalidation_during_a_failing_load_takes_the_fail_safe_away() {
    let node = Arc::new(Node::new().await);
    let policy = POLICY.fail_safe(Duration::from_secs(60));
    node.read(&policy, Ok(1)).await.unwrap();
    node.time.advance(policy.ttl);
    let meanwhile = node.clone();
    let answer = node.read_with(&policy, move || async move {
        meanwhile.invalidate().await;
        Err("away".into())
    });
    assert_eq!(answer.await.unwrap_err(), FetchError::Load("away".into()));
}

#[tokio::test]
async fn who_must_have_seen_an_invalidation_is_given_nothing_older_however_stale_the_policy_likes_it() {
    let node = Node::new().await;
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(5)));
    node.read(&policy, Ok(1)).await.unwrap();
    let seen = ReadOptions { at_least: node.invalidate().await };
    let read = async |version| {
        let load = move || async move { Ok::<_, String>(value(version)) };
        node.cache.fetch(&page(&acme(), 1), &policy, &seen, load).await
    };
    check(&read(2).await, INVALIDATED, 2);
    check(&node.read(&policy, Ok(3)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn so_it_is_for_batches() {
    let node = Node::new().await;
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(5)));
    let read = async |options: &ReadOptions, version| {
        let load = move |places: Vec<usize>| async move {
            Ok::<_, String>(places.into_iter().map(|_| value(version)).collect())
        };
        node.cache.fetch_many(&[page(&acme(), 1), page(&acme(), 2)], &policy, options, load).await.unwrap()
    };
    let anybody = ReadOptions::default();
    read(&anybody, 1).await;
    let seen = ReadOptions { at_least: node.invalidate().await };
    let verdicts = |answers: Vec<Fetched<Page>>| answers.into_iter().map(|one| one.verdict).collect::<Vec<_>>();
    let stale = Verdict::Stale(StaleReason::Invalidated);
    assert_eq!(verdicts(read(&anybody, 2).await), [stale, stale]);
    assert_eq!(verdicts(read(&seen, 2).await), [INVALIDATED, INVALIDATED]);
    assert_eq!(verdicts(read(&anybody, 3).await), [Verdict::Hit, Verdict::Hit]);
}

#[tokio::test]
async fn where_staleness_is_allowed_an_invalidated_value_is_served_while_it_is_young() {
    let node = Node::new().await;
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(5)));
    node.read(&policy, Ok(1)).await.unwrap();
    node.invalidate().await;
    check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Invalidated), 1);
    settle().await;
    check(&node.read(&policy, Ok(3)).await, Verdict::Hit, 2);
}

#[tokio::test]
async fn what_was_purged_is_given_to_nobody_and_shown_to_no_loader() {
    let node = Node::new().await;
    let policy = POLICY.grace(Duration::from_secs(60)).mode(Mode::StaleOk(Duration::from_secs(600)));
    node.read(&policy, Ok(1)).await.unwrap();
    node.purge().await;
    assert!(node.read(&policy, Err("away")).await.is_err());
    let load = |shown: Option<Cached<Page>>| async move {
        assert!(shown.is_none(), "{shown:?}");
        Ok::<_, String>(value(2))
    };
    let key = page(&acme(), 1);
    let options = ReadOptions::default();
    check(&node.cache.fetch_accepting(&key, &policy, &options, |_: &Fetched<Page>| true, load).await, INVALIDATED, 2);
    // What is invalidated after it is again no more than stale.
    node.invalidate().await;
    check(&node.read(&policy, Ok(3)).await, Verdict::Stale(StaleReason::Invalidated), 2);
}

#[tokio::test]
async fn a_purge_of_more_tags_than_a_record_holds_is_one_in_each_of_its_records() {
    let node = Node::new().await;
    let policy = POLICY.mode(Mode::StaleOk(Duration::from_secs(600)));
    let others = (0..RECORD_TAGS_MAX).map(|number| Tag::of(&acme(), "other", number));
    let all = || others.clone().chain([fact_tag(1)]);
    node.read(&policy, Ok(1)).await.unwrap();
    node.cache.invalidate(&Invalidation::of(all())).await.unwrap();
    check(&node.read(&policy, Ok(2)).await, Verdict::Stale(StaleReason::Invalidated), 1);
    settle().await;
    node.cache.invalidate(&Invalidation::of(all()).purging()).await.unwrap();
    check(&node.read(&policy, Ok(3)).await, INVALIDATED, 3);
}
