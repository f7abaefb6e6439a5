//! How old answers are on routes that say themselves how long they are kept, and who says so (RFC 9111, 4.2.3, 5.1, 5.2.1.7).

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;
use unstale::{MemoryLimits, MemoryStore, Timestamp};
use unstale_http::{BrowserLifetime, OriginLifetime, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{Answer, World, minute, request, routes, user, with};

fn date(at: Timestamp) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(at.as_millis()))
}

/// A world some time after 1970, whose service says these besides when it answers: `{now}` and `{past}`, ten seconds before.
async fn world(routes: RoutePolicies, said: &'static [(&'static str, &'static str)]) -> World {
    let at = Timestamp::default() + Duration::from_secs(1_000_000);
    let (now, past) = (date(at), date(at - Duration::from_secs(10)));
    let said: Arc<Vec<(&str, String)>> = Arc::new(
        said.iter().map(|(name, value)| (*name, value.replace("{now}", &now).replace("{past}", &past))).collect(),
    );
    let world = World::over(Arc::new(MemoryStore::default()), routes, move |_| {
        let said = said.clone();
        Box::pin(async move {
            let said: Vec<(&str, &str)> = said.iter().map(|(name, value)| (*name, value.as_str())).collect();
            with(200, &said, "x")
        })
    })
    .await;
    world.time.advance(Duration::from_secs(1_000_000));
    world
}

#[tokio::test]
async fn a_stored_answer_says_how_old_it_is_and_keeps_its_date() {
    let world = world(routes(), &[("date", "{now}")]).await;
    let me = user("acme", "u1");
    let first = world.get(&me, "/cached/1").await;
    assert_eq!(first.headers.get("age"), None);
    // More often than it takes for a head to be kept.
    for age in 1..8 {
        world.time.advance(Duration::from_secs(1));
        let got = world.get(&me, "/cached/1").await;
        assert_eq!((got.x_cache(), got.header("age")), ("HIT", age.to_string().as_str()));
        assert_eq!(got.header("date"), first.header("date"));
        let same = world.get_with(&me, "/cached/1", &[("if-none-match", first.header("etag"))]).await;
        assert_eq!((same.status.as_u16(), same.header("age")), (304, age.to_string().as_str()));
        assert_eq!(same.header("date"), first.header("date"));
    }
}

#[tokio::test]
async fn what_is_made_here_is_as_old_as_its_answer() {
    let world = world(routes(), &[]).await;
    let me = user("acme", "u1");
    for _ in 0..6 {
        world.time.advance(Duration::from_secs(1));
        let got = world.get(&me, "/cached/1").await;
        assert_eq!((got.headers.get("age"), got.headers.get("date")), (None, None));
    }
}

#[tokio::test]
async fn the_age_with_which_an_answer_came_counts() {
    let world = world(routes(), &[("date", "{now}"), ("age", "4"), ("cache-control", "max-age=10")]).await;
    let me = user("acme", "u1");
    assert_eq!(world.get(&me, "/cached/1").await.header("age"), "4");
    world.time.advance(Duration::from_secs(5));
    let got = world.get(&me, "/cached/1").await;
    assert_eq!((got.x_cache(), got.header("age")), ("HIT", "9"));
    world.time.advance(Duration::from_secs(1));
    assert_eq!(world.get(&me, "/cached/1").await.x_cache(), "MISS");
}

#[tokio::test]
async fn an_answer_that_was_over_when_it_came_is_not_kept() {
    for said in [
        &[("age", "60"), ("cache-control", "max-age=60")][..],
        &[("date", "{past}"), ("cache-control", "max-age=9")],
        &[("date", "{past}"), ("expires", "{now}"), ("age", "10")],
    ] {
        let world = world(routes(), said).await;
        let got = world.get(&user("acme", "u1"), "/cached/1").await;
        assert_eq!(got.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; detail=origin-expired", "{said:?}");
    }
}

#[tokio::test]
async fn a_browser_that_need_not_ask_need_not_for_so_long_from_the_answer_on() {
    let hour = BrowserLifetime::MaxAge(Duration::from_secs(3600));
    let route = RoutePolicy::cached("slow", minute()).browser(hour);
    let world = world(RoutePolicies::builder().route("/slow", route).build().unwrap(), &[("date", "{now}")]).await;
    let me = user("acme", "u1");
    assert_eq!(world.get(&me, "/slow").await.header("cache-control"), "private, max-age=3600");
    for age in 1..8 {
        world.time.advance(Duration::from_secs(1));
        let got = world.get(&me, "/slow").await;
        assert_eq!(got.header("age"), age.to_string());
        assert_eq!(got.header("cache-control"), format!("private, max-age={}", 3600 + age));
    }
}

#[tokio::test]
async fn who_wants_only_what_is_stored_asks_the_service_for_nothing() {
    let world = world(routes(), &[]).await;
    let me = user("acme", "u1");
    let only = [("cache-control", "only-if-cached")];
    for method in ["GET", "HEAD"] {
        let got = world.send(request(method, Some(&me), "/cached/1", &only)).await;
        assert_eq!((got.status.as_u16(), got.x_cache(), world.calls()), (504, "BYPASS", 0));
        assert_eq!(got.header("cache-status"), "Unstale; fwd=bypass; detail=only-if-cached");
    }
    world.get(&me, "/cached/1").await;
    let got = world.get_with(&me, "/cached/1", &only).await;
    assert_eq!((got.status.as_u16(), got.x_cache(), world.calls()), (200, "HIT", 1));
}

/// Another node may have brought it.
#[tokio::test]
async fn what_is_stored_is_what_any_node_has_stored() {
    let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
    let table = || {
        let origin = RoutePolicy::origin("origin", OriginLifetime::default()).sharing(Sharing::Tenant);
        let routes = RoutePolicies::builder().route("/route", RoutePolicy::cached("route", minute()));
        routes.route("/origin", origin).build().unwrap()
    };
    let answer =
        |_| -> BoxFuture<'static, Answer> { Box::pin(async { with(200, &[("cache-control", "max-age=60")], "body") }) };
    let one = World::over(store.clone(), table(), answer).await;
    let other = World::over(store, table(), answer).await;
    let me = user("acme", "u1");
    let only = [("cache-control", "only-if-cached")];
    for url in ["/route", "/origin"] {
        assert_eq!(other.get_with(&me, url, &only).await.status.as_u16(), 504);
        one.get(&me, url).await;
        let got = other.get_with(&me, url, &only).await;
        assert_eq!((got.status.as_u16(), got.x_cache(), got.body.as_str()), (200, "HIT", "body"), "{url}");
    }
    assert_eq!((other.calls(), *other.loaded.borrow()), (0, 0));
}
