//! What is changed of routes while the layer is in use.

use std::{sync::Arc, time::Duration};

use unstale::{MemoryLimits, MemoryStore, Policy};
use unstale_http::RouteSettings;

use crate::world::{World, ok, routes, user};

async fn world() -> World {
    World::new(routes(), |_| Box::pin(async { ok("page") })).await
}

#[tokio::test]
async fn a_route_that_is_switched_off_is_passed_on_and_on_again_finds_what_it_had() {
    let (world, me) = (world().await, user("acme", "u1"));
    world.get(&me, "/cached/1").await;
    world.layer.tune(|_, _| RouteSettings { is_on: false, ..RouteSettings::default() });
    let got = world.get(&me, "/cached/1").await;
    assert_eq!((got.x_cache(), got.header("cache-status")), ("BYPASS", "Unstale; fwd=bypass; detail=off"));
    assert!(!got.header("etag").is_empty(), "it can be asked for conditionally all the same");
    world.layer.tune(|_, _| RouteSettings::default());
    assert_eq!((world.get(&me, "/cached/1").await.x_cache(), world.calls()), ("HIT", 2));
}

#[tokio::test]
async fn a_shorter_life_is_that_of_what_is_kept_already() {
    let (world, me) = (world().await, user("acme", "u1"));
    world.get(&me, "/cached/1").await;
    world.time.advance(Duration::from_secs(5));
    let five = Policy::ttl(Duration::from_secs(5)).age_max(Duration::from_secs(5));
    world.layer.tune(|pattern, _| RouteSettings {
        policy: pattern.starts_with("/cached").then_some(five),
        ..RouteSettings::default()
    });
    assert_eq!(world.get(&me, "/cached/1").await.x_cache(), "MISS");
}

#[tokio::test]
async fn an_answer_need_not_tell_what_the_cache_did() {
    let (world, me) = (world().await, user("acme", "u1"));
    world.layer.tune(|_, _| RouteSettings { tells: false, ..RouteSettings::default() });
    for _ in 0..2 {
        let got = world.get(&me, "/cached/1").await;
        for name in ["x-cache", "x-cache-hits", "x-cache-misses", "cache-status", "server-timing"] {
            assert_eq!(got.header(name), "", "{name} is told");
        }
        assert!(!got.header("etag").is_empty(), "coherence needs validators");
    }
    assert_eq!(world.calls(), 1, "it is kept all the same");
}

#[tokio::test]
async fn a_route_need_not_be_shared_through_the_store() {
    let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
    let node = || World::over(store.clone(), routes(), |_| Box::pin(async { ok("page") }));
    let (one, other, me) = (node().await, node().await, user("acme", "u1"));
    one.layer.tune(|_, _| RouteSettings { uses_store: false, ..RouteSettings::default() });
    one.get(&me, "/cached/1").await;
    assert_eq!(one.get(&me, "/cached/1").await.x_cache(), "HIT", "this node keeps it");
    assert_eq!(other.get(&me, "/cached/1").await.x_cache(), "MISS", "and no other gets it");
    one.layer.tune(|_, _| RouteSettings::default());
    one.get(&me, "/cached/2").await;
    assert_eq!(other.get(&me, "/cached/2").await.x_cache(), "HIT");
}
