//! Nobody gets what was made for somebody else.

use http::StatusCode;
use unstale_http::{BrowserLifetime, Identity, Query, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{World, minute, ok, request, routes, user, with};

async fn echo(routes: RoutePolicies) -> World {
    World::new(routes, |head| {
        let who = head
            .extensions
            .get::<Identity>()
            .map_or("nobody".into(), |who| format!("{}/{}", who.tenant(), who.principal()));
        Box::pin(async move { ok(format!("{who} {}", head.uri)) })
    })
    .await
}

#[tokio::test]
async fn principals_and_tenants_have_their_own() {
    let world = echo(routes()).await;
    let all = [user("acme", "u1"), user("acme", "u2"), user("globex", "u1")];
    for round in ["MISS", "HIT"] {
        for me in &all {
            let got = world.get(me, "/cached/1").await;
            assert_eq!(got.body, format!("{}/{} /cached/1", me.tenant(), me.principal()));
            assert_eq!(got.x_cache(), round);
        }
    }
    let etag = world.get(&all[0], "/cached/1").await.header("etag").to_owned();
    for other in &all[1..] {
        assert_eq!(world.get_with(other, "/cached/1", &[("if-none-match", &etag)]).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn without_an_identity_nothing_is_looked_up_or_kept() {
    let world = echo(routes()).await;
    for _ in 0..2 {
        let got = world.send(request("GET", None, "/cached/1", &[("authorization", "Bearer u1")])).await;
        assert_eq!((got.body.as_str(), got.x_cache()), ("nobody /cached/1", "BYPASS"));
        assert_eq!(got.header("cache-status"), "Unstale; fwd=bypass; detail=no-identity");
    }
    assert_eq!((world.calls(), world.cache.size().entries), (2, 0));
}

#[tokio::test]
async fn a_tenant_shares_only_where_the_route_says_so() {
    let shared = RoutePolicy::cached("shared", minute()).sharing(Sharing::Tenant);
    let own = RoutePolicy::cached("own", minute());
    let world = echo(RoutePolicies::builder().route("/shared/*", shared).route("/own/*", own).build().unwrap()).await;
    let (one, two, foreign) = (user("acme", "u1"), user("acme", "u2"), user("globex", "u1"));
    world.get(&one, "/shared/1").await;
    let got = world.get(&two, "/shared/1").await;
    assert_eq!((got.body.as_str(), got.x_cache()), ("acme/u1 /shared/1", "HIT"));
    assert_eq!(world.get(&foreign, "/shared/1").await.x_cache(), "MISS");
    world.get(&one, "/own/1").await;
    assert_eq!(world.get(&two, "/own/1").await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_private_response_is_not_shared_even_where_the_route_shares() {
    let shared = RoutePolicy::cached("shared", minute()).sharing(Sharing::Tenant);
    let routes = RoutePolicies::builder().route("/shared/*", shared).build().unwrap();
    let world =
        World::new(routes, |_| Box::pin(async { with(200, &[("cache-control", "private, max-age=9")], "mine") })).await;
    for principal in ["u1", "u2"] {
        let got = world.get(&user("acme", principal), "/shared/1").await;
        assert_eq!(got.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; detail=origin-private");
    }
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn hosts_urls_and_counted_headers_are_kept_apart() {
    let (world, me) = (echo(routes()).await, user("acme", "u1"));
    world.get_with(&me, "/cached/1?b=1&a=2", &[("host", "a.example"), ("accept", "a/b")]).await;
    let same = world.get_with(&me, "/cached/1?a=2&b=1", &[("host", "a.example"), ("accept", "a/b")]).await;
    assert_eq!(same.x_cache(), "HIT");
    for (uri, host, accept) in [
        ("/cached/1?a=2&b=1", "b.example", "a/b"),
        ("/cached/1?a=2&b=1", "a.example", "a/c"),
        ("/cached/1?a=1&b=2", "a.example", "a/b"),
        ("/cached/1", "a.example", "a/b"),
        ("/cached/2?a=2&b=1", "a.example", "a/b"),
    ] {
        let got = world.get_with(&me, uri, &[("host", host), ("accept", accept)]).await;
        assert_eq!(got.x_cache(), "MISS", "{uri} {host} {accept}");
    }
}

#[tokio::test]
async fn a_parameter_that_does_not_count_does_not_reach_the_service() {
    let route = RoutePolicy::cached("list", minute()).query(Query::only(["page"]));
    let world = echo(RoutePolicies::builder().route("/list", route).build().unwrap()).await;
    let me = user("acme", "u1");
    let first = world.get(&me, "/list?evil=1&page=2").await;
    assert_eq!(first.body, "acme/u1 /list?page=2");
    assert_eq!(world.get(&me, "/list?page=2&utm=3").await.x_cache(), "HIT");
}

#[tokio::test]
async fn what_servers_may_read_otherwise_is_passed_on() {
    let (world, me) = (echo(routes()).await, user("acme", "u1"));
    for uri in [
        "/cached/x//1",
        "/cached/../admin",
        "/cached/%2e%2e/x",
        "/cached/a%2fb",
        "/cached/%00",
        "/cached/a;b=1",
        "/cached/%61",
        "/cached/a%5cb",
    ] {
        for _ in 0..2 {
            let got = world.get(&me, uri).await;
            assert_eq!(got.header("cache-status"), "Unstale; fwd=bypass; detail=url", "{uri}");
            assert_eq!(got.body, format!("acme/u1 {uri}"));
        }
    }
    let long = format!("/cached/{}", "a".repeat(2100));
    assert_eq!(world.get(&me, &long).await.header("cache-status"), "Unstale; fwd=bypass; detail=url-too-long");
    let twice = world.get_with(&me, "/cached/1", &[("host", "a"), ("host", "b")]).await;
    assert_eq!(twice.x_cache(), "BYPASS");
    assert_eq!(world.cache.size().entries, 0);
}

#[tokio::test]
async fn what_may_be_another_routes_url_has_no_life_in_the_browser() {
    let hour = BrowserLifetime::MaxAge(std::time::Duration::from_secs(3600));
    let route = RoutePolicy::cached("static", minute()).browser(hour);
    let world = echo(RoutePolicies::builder().route("/static/*", route).build().unwrap()).await;
    let me = user("acme", "u1");
    assert_eq!(world.get(&me, "/static/a").await.header("cache-control"), "private, max-age=3600");
    assert_eq!(world.get(&me, "/static/..%2fme").await.header("cache-control"), "private, no-cache");
}
