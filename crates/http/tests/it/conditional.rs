//! Validators, 304, HEAD, and every header as specified.

use http::StatusCode;
use unstale::{GroupKey, Tag, record};
use unstale_http::RouteSettings;

use crate::world::{SECRET, World, ok, request, routes, tenant, user, with};

async fn world() -> World {
    World::new(routes(), |_| {
        Box::pin(async {
            record(&Tag::of(&tenant("acme"), "row", 1));
            with(200, &[("content-type", "application/json"), ("link", "<a>"), ("link", "<b>")], "{}")
        })
    })
    .await
}

#[tokio::test]
async fn the_headers_of_a_miss_and_a_hit() {
    let (world, me) = (world().await, user("acme", "u1"));
    let miss = world.get(&me, "/cached/1").await;
    assert_eq!((miss.status, miss.body.as_str(), miss.x_cache()), (StatusCode::OK, "{}", "MISS"));
    assert_eq!(miss.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; stored");
    assert!(miss.header("server-timing").starts_with("cache;desc=\"MISS\", load;dur="));
    assert_eq!((miss.header("x-cache-hits"), miss.header("x-cache-misses")), ("0", "1"));

    world.time.advance(std::time::Duration::from_secs(7));
    world.get(&me, "/cached/1").await;
    let hit = world.get(&me, "/cached/1").await;
    assert_eq!((hit.status, hit.body.as_str(), hit.x_cache()), (StatusCode::OK, "{}", "HIT"));
    assert_eq!(hit.header("cache-status"), "Unstale; hit; ttl=53");
    assert_eq!(hit.header("server-timing"), "cache;desc=\"HIT\"");
    assert_eq!((hit.header("x-cache-hits"), hit.header("x-cache-misses")), ("2", "1"));

    let acme = tenant("acme");
    let groups = [Tag::of(&acme, "row", 1), Tag::of(&acme, "http-uri", "/cached/1")]
        .map(|tag| format!("\"{}\"", GroupKey::derive(SECRET).group(&acme, tag.id())));
    for got in [&miss, &hit] {
        assert_eq!(got.header("cache-control"), "private, no-cache");
        assert_eq!(got.header("vary"), "accept, cookie, authorization");
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.header("content-length"), "2");
        assert_eq!(got.header("cache-groups"), groups.join(", "));
        assert_eq!(got.headers.get_all("link").iter().count(), 2);
        assert_eq!(got.header("etag").len(), 24);
    }
    assert_eq!(miss.header("etag"), hit.header("etag"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn what_is_hit_often_has_the_head_of_its_first_hit_but_for_count_and_time() {
    let (world, me) = (world().await, user("acme", "u1"));
    let etag = world.get(&me, "/cached/1").await.header("etag").to_owned();
    let ask = async |method: &str, conditions: &[(&str, &str)]| {
        let mut got = world.send(request(method, Some(&me), "/cached/1", conditions)).await;
        let told = (got.header("x-cache-hits").to_owned(), got.header("cache-status").to_owned());
        ["x-cache-hits", "cache-status"].iter().for_each(|name| drop(got.headers.remove(*name)));
        (
            got.status,
            got.body,
            got.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>(),
            told,
        )
    };
    for (method, conditions) in [("GET", &[][..]), ("HEAD", &[][..]), ("GET", &[("if-none-match", etag.as_str())][..])]
    {
        let (status, body, head, (hits, _)) = ask(method, conditions).await;
        let first: u64 = hits.parse().unwrap();
        for more in 1..8 {
            world.time.advance(std::time::Duration::from_secs(1));
            let again = ask(method, conditions).await;
            assert_eq!((again.0, &again.1, &again.2), (status, &body, &head), "{method} {conditions:?}");
            assert_eq!(again.3.0, (first + more).to_string());
            assert!(again.3.1.starts_with("Unstale; hit; ttl="));
        }
    }
    // What changes for the route changes for what has its head already.
    world.layer.tune(|_, _| RouteSettings { tells: false, ..RouteSettings::default() });
    assert_eq!(world.get(&me, "/cached/1").await.header("x-cache"), "");
    world.layer.tune(|_, _| RouteSettings::default());
    world.time.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.get(&me, "/cached/1").await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_copy_that_is_still_good_gets_a_304_from_hit_and_miss() {
    let (world, me) = (world().await, user("acme", "u1"));
    let etag = world.get(&me, "/cached/1").await.header("etag").to_owned();
    for cold in [false, true] {
        if cold {
            world.cache.clear_memory();
        }
        let got = world.get_with(&me, "/cached/1", &[("if-none-match", &format!("\"x\", W/{etag}"))]).await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(got.x_cache(), if cold { "MISS" } else { "HIT" });
        let mut names: Vec<&str> = got.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "cache-control",
            "cache-groups",
            "cache-status",
            "etag",
            "server-timing",
            "vary",
            "x-cache",
            "x-cache-hits",
            "x-cache-misses",
        ];
        assert_eq!(names, expected);
        assert_eq!(got.header("etag"), etag);
    }
    assert_eq!(world.get_with(&me, "/cached/1", &[("if-none-match", "\"x\"")]).await.status, StatusCode::OK);
    let failed = world.get_with(&me, "/cached/1", &[("if-match", "\"x\"")]).await;
    assert_eq!((failed.status, failed.header("cache-control")), (StatusCode::PRECONDITION_FAILED, "no-store"));
}

#[tokio::test]
async fn the_service_behind_never_sees_conditions_or_ranges() {
    let world = World::new(routes(), |head| {
        let seen = ["if-none-match", "if-modified-since", "range"].iter().any(|name| head.headers.contains_key(*name));
        Box::pin(async move { ok(format!("{} {seen}", head.method)) })
    })
    .await;
    let headers = [("if-none-match", "\"x\""), ("if-modified-since", "x"), ("range", "bytes=0-1")];
    let got = world.get_with(&user("acme", "u1"), "/cached/1", &headers).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::PARTIAL_CONTENT, "GE"));
    let whole = world.get(&user("acme", "u1"), "/cached/1").await;
    assert_eq!((whole.x_cache(), whole.body.as_str()), ("HIT", "GET false"));
}

#[tokio::test]
async fn a_part_is_served_from_the_whole() {
    let world = World::new(routes(), |_| Box::pin(async { ok("0123456789") })).await;
    let me = user("acme", "u1");
    for x_cache in ["MISS", "HIT"] {
        let part = world.get_with(&me, "/cached/1", &[("range", "bytes=2-4")]).await;
        assert_eq!((part.status, part.body.as_str(), part.x_cache()), (StatusCode::PARTIAL_CONTENT, "234", x_cache));
        assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 2-4/10", "3"));
    }
    let beyond = world.get_with(&me, "/cached/1", &[("range", "bytes=10-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10"));
    assert_eq!(beyond.header("cache-control"), "no-store");
    let changed = world.get_with(&me, "/cached/1", &[("range", "bytes=2-4"), ("if-range", "\"old\"")]).await;
    assert_eq!((changed.status, changed.body.as_str()), (StatusCode::OK, "0123456789"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn head_is_answered_from_the_entry_of_get_and_fills_it() {
    let (world, me) = (world().await, user("acme", "u1"));
    let head = || request("HEAD", Some(&me), "/cached/1", &[]);
    let first = world.send(head()).await;
    assert_eq!((first.x_cache(), first.body.as_str(), first.header("content-length")), ("MISS", "", "2"));
    let get = world.get(&me, "/cached/1").await;
    assert_eq!((get.x_cache(), get.body.as_str()), ("HIT", "{}"));
    let second = world.send(head()).await;
    assert_eq!((second.x_cache(), second.body.as_str(), second.header("content-length")), ("HIT", "", "2"));
    assert_eq!(second.header("etag"), get.header("etag"));
    assert_eq!(world.calls(), 1);

    let world = World::new(routes(), |head| Box::pin(async move { ok(head.method.to_string()) })).await;
    world.send(head()).await;
    assert_eq!(world.get(&me, "/cached/1").await.body, "GET");
}

#[tokio::test]
async fn if_modified_since_is_answered_by_the_entrys_own_date() {
    let date = "Fri, 20 Nov 2026 18:00:00 GMT";
    let world =
        World::new(routes(), move |_| Box::pin(async move { with(200, &[("last-modified", date)], "x") })).await;
    let me = user("acme", "u1");
    for _ in 0..2 {
        let got = world.get_with(&me, "/cached/1", &[("if-modified-since", date)]).await;
        assert_eq!(got.status, StatusCode::NOT_MODIFIED);
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn an_uncached_get_has_a_validator_too() {
    let (world, me) = (world().await, user("acme", "u1"));
    for uri in ["/uncached/1", "/unlisted"] {
        let got = world.get(&me, uri).await;
        assert_eq!(
            (got.status, got.x_cache(), got.header("cache-control")),
            (StatusCode::OK, "BYPASS", "private, no-cache")
        );
        assert_eq!(got.header("cache-status"), "Unstale; fwd=bypass; detail=route");
        let etag = got.header("etag").to_owned();
        let again = world.get_with(&me, uri, &[("if-none-match", &etag)]).await;
        assert_eq!(
            (again.status, again.body.as_str(), again.header("etag")),
            (StatusCode::NOT_MODIFIED, "", etag.as_str())
        );
        assert_ne!(world.get(&user("acme", "u2"), uri).await.header("etag"), etag);
    }
    assert_eq!(world.calls(), 6);
}

/// Unless the layer is told to leave alone what no route covers.
#[tokio::test]
async fn what_no_route_covers_may_be_left_as_it_is() {
    let world = World::new(routes(), |_| Box::pin(async { ok("x") })).await;
    let ann = user("acme", "u1");
    for (validates, path, has_one) in [
        (true, "/elsewhere", true),
        (false, "/elsewhere", false),
        (false, "/uncached/1", true),
        (false, "/cached/1", true),
    ] {
        let inner = tower::service_fn(|_: http::Request<String>| async { ok("x") });
        let mut service = tower::Layer::layer(&world.layer.clone().validate_unrouted(validates), inner);
        let answer = tower::Service::call(&mut service, crate::world::get(&ann, path, &[])).await.unwrap();
        assert_eq!(answer.headers().contains_key("etag"), has_one, "{validates} {path}");
        assert_eq!(answer.headers()["x-cache"], if path == "/cached/1" { "MISS" } else { "BYPASS" });
    }
}

#[tokio::test]
async fn observers_hear_of_hits_misses_and_304s() {
    let (world, me) = (world().await, user("acme", "u1"));
    let etag = world.get(&me, "/cached/1").await.header("etag").to_owned();
    world.get_with(&me, "/cached/1", &[("if-none-match", &etag)]).await;
    world.send(request("GET", None, "/cached/1", &[])).await;
    assert_eq!(*world.watcher.served.lock().unwrap(), [("u1".to_owned(), 2), ("u1".to_owned(), 2)]);
    let answered = world.watcher.answered.lock().unwrap();
    let answered: Vec<_> =
        answered.iter().map(|(entity, verdict, why, status)| (&**entity, *verdict, *why, *status)).collect();
    let expected =
        [("cached", "MISS", None, 200), ("cached", "HIT", None, 304), ("cached", "BYPASS", Some("no-identity"), 200)];
    assert_eq!(answered, expected);
}
