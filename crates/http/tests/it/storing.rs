//! What is kept, what is not, and who gets it then.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use unstale_http::{BrowserLifetime, RoutePolicies, RoutePolicy, Written};

use crate::world::{World, minute, ok, request, routes, user, with};

async fn check_not_kept(headers: &'static [(&'static str, &'static str)], reason: &str) {
    let world = World::new(routes(), move |_| Box::pin(async move { with(200, headers, "once") })).await;
    let me = user("acme", "u1");
    for _ in 0..2 {
        let got = world.get(&me, "/cached/1").await;
        assert_eq!((got.body.as_str(), got.x_cache()), ("once", "MISS"));
        assert_eq!(got.header("cache-status"), format!("Unstale; fwd=miss; fwd-status=200; detail={reason}"));
        for (name, value) in headers {
            let all: Vec<&str> = got.headers.get_all(*name).iter().map(|value| value.to_str().unwrap()).collect();
            assert!(all.contains(value), "{name} did not come through");
        }
    }
    assert_eq!((world.calls(), world.cache.size().entries), (2, 0));
}

#[tokio::test]
async fn what_the_origin_keeps_to_itself_is_not_kept_and_comes_through_intact() {
    check_not_kept(&[("set-cookie", "a=b"), ("set-cookie", "c=d")], "set-cookie").await;
    check_not_kept(&[("cache-control", "no-store")], "origin-no-store").await;
    check_not_kept(&[("cache-control", "no-cache")], "origin-no-cache").await;
    check_not_kept(&[("cache-control", "max-age=0")], "origin-expired").await;
    check_not_kept(&[("vary", "*")], "vary-any").await;
    check_not_kept(&[("vary", "accept, x-theme")], "vary-uncounted").await;
    check_not_kept(&[("content-type", "text/event-stream")], "event-stream").await;
}

#[tokio::test]
async fn errors_and_redirects_are_passed_on() {
    for (status, control) in [(404, "no-store"), (403, "no-store"), (302, "no-store"), (500, "no-store")] {
        let world = World::new(routes(), move |_| Box::pin(async move { with(status, &[("x-own", "1")], "no") })).await;
        for _ in 0..2 {
            let got = world.get(&user("acme", "u1"), "/cached/1").await;
            assert_eq!((got.status.as_u16(), got.body.as_str(), got.header("x-own")), (status, "no", "1"));
            assert_eq!(got.x_cache(), if status < 400 { "MISS" } else { "BYPASS" });
            assert_eq!(got.header("cache-status"), format!("Unstale; fwd=miss; fwd-status={status}; detail=status"));
            assert_eq!(got.header("cache-control"), control);
        }
        assert_eq!(world.calls(), 2);
    }
}

#[tokio::test]
async fn an_error_is_not_kept_where_absences_are() {
    let route = RoutePolicy::cached("page", minute().negative_ttl(Duration::from_secs(60)));
    let routes = RoutePolicies::builder().route("/page", route).build().unwrap();
    let world = World::new(routes, |_| Box::pin(async { with(404, &[], "no") })).await;
    for call in 1..3 {
        let got = world.get(&user("acme", "u1"), "/page").await;
        assert_eq!((got.status.as_u16(), got.body.as_str(), world.calls()), (404, "no", call));
        assert_eq!(world.cache.size().entries, 0);
    }
}

#[tokio::test]
async fn the_origins_life_shortens_the_policys() {
    let world = World::new(routes(), |_| Box::pin(async { with(200, &[("cache-control", "max-age=10")], "x") })).await;
    let me = user("acme", "u1");
    world.get(&me, "/cached/1").await;
    world.time.advance(Duration::from_secs(9));
    assert_eq!(world.get(&me, "/cached/1").await.header("cache-status"), "Unstale; hit; ttl=1");
    world.time.advance(Duration::from_secs(1));
    let got = world.get(&me, "/cached/1").await;
    assert_eq!(got.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; stored; detail=expired");
    assert_eq!(got.header("x-cache-misses"), "2");
}

#[tokio::test]
async fn a_body_too_large_to_keep_streams_through() {
    let world = World::new(routes(), |head| {
        let parts = if head.uri.path().ends_with("broken") {
            vec![Ok("a".repeat(600)), Err("gone")]
        } else {
            (0..5).map(|_| Ok("a".repeat(600))).collect()
        };
        let frames =
            parts.into_iter().map(|part: Result<String, &'static str>| part.map(|text| Frame::data(Bytes::from(text))));
        Box::pin(async move { Ok(Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())) })
    })
    .await;
    let me = user("acme", "u1");
    for _ in 0..2 {
        let got = world.get(&me, "/cached/1").await;
        assert_eq!((got.body.len(), got.x_cache()), (3000, "MISS"));
        assert_eq!(got.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; detail=too-large");
    }
    assert_eq!(world.calls(), 2);
    let broken = world.try_send(request("GET", Some(&me), "/cached/broken", &[])).await;
    assert_eq!(broken.unwrap_err(), "gone");
    assert_eq!(world.cache.size().entries, 0);
}

#[tokio::test]
async fn a_response_made_with_a_write_is_not_kept_and_says_what_it_reached() {
    let world = World::new(routes(), |_| {
        Box::pin(async {
            let mut response = ok("x").unwrap();
            response.extensions_mut().insert(Written("1.2.3".parse().unwrap()));
            Ok(response)
        })
    })
    .await;
    let me = user("acme", "u1");
    let got = world.get(&me, "/cached/1").await;
    assert_eq!(got.header("unstale-position"), "1.2.3");
    assert_eq!(got.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; detail=written");
    let got = world.send(request("POST", Some(&me), "/cached/1", &[])).await;
    assert_eq!((got.header("unstale-position"), got.x_cache()), ("1.2.3", "BYPASS"));
    assert_eq!((got.header("cache-status"), got.header("cache-control")), ("Unstale; fwd=method", "no-store"));
}

#[tokio::test]
async fn server_and_browser_have_two_lives_and_a_stale_answer_none() {
    let policy = minute().grace(Duration::from_secs(30));
    let route = RoutePolicy::cached("page", policy).browser(BrowserLifetime::MaxAge(Duration::from_secs(5)));
    let world =
        World::new(RoutePolicies::builder().route("/page", route).build().unwrap(), |_| Box::pin(async { ok("x") }))
            .await;
    let me = user("acme", "u1");
    assert_eq!(world.get(&me, "/page").await.header("cache-control"), "private, max-age=5");
    world.time.advance(Duration::from_millis(62_500));
    let stale = world.get(&me, "/page").await;
    assert_eq!((stale.status, stale.x_cache()), (StatusCode::OK, "STALE"));
    assert_eq!(stale.header("cache-status"), "Unstale; hit; ttl=-3; detail=grace");
    assert_eq!(
        (stale.header("cache-control"), stale.header("server-timing")),
        ("private, no-cache", "cache;desc=\"STALE\"")
    );
    let mut calls = world.calls.clone();
    calls.wait_for(|calls| *calls == 2).await.unwrap();
}

#[tokio::test]
async fn a_service_that_fails_is_covered_by_the_fail_safe() {
    let route = RoutePolicy::cached("page", minute().fail_safe(Duration::from_secs(600)));
    let failing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let world = World::new(RoutePolicies::builder().route("/{page}", route).build().unwrap(), {
        let failing = failing.clone();
        move |_| {
            let fails = failing.load(std::sync::atomic::Ordering::SeqCst);
            Box::pin(async move { if fails { with(503, &[], "down") } else { ok("up") } })
        }
    })
    .await;
    let me = user("acme", "u1");
    world.get(&me, "/a").await;
    failing.store(true, std::sync::atomic::Ordering::SeqCst);
    world.time.advance(Duration::from_secs(61));
    let got = world.get(&me, "/a").await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "up"));
    assert_eq!(got.header("cache-status"), "Unstale; hit; ttl=-1; detail=fail-safe");
    let got = world.get(&me, "/b").await;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (503, "down"));
}
