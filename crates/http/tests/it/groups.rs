//! Groups that routes and services name: what carries them, and what happens where they cannot be carried.

use http::Method;
use unstale::{GroupKey, Invalidation, Tag};
use unstale_http::{GroupHeader, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{SECRET, World, minute, ok, request, tenant, user, with};

fn routes(policy: RoutePolicy) -> RoutePolicies {
    RoutePolicies::builder().route("/imports/{import_id}/*", policy).build().unwrap()
}

fn named() -> RoutePolicy {
    let policy = RoutePolicy::cached("imports", minute()).groups(["import:{import_id}"]);
    policy.groups_from([GroupHeader::CacheGroups, GroupHeader::SurrogateKey])
}

async fn invalidate(world: &World, group: &str) {
    let tag = Tag::of(&tenant("acme"), "http-group", group);
    world.cache.invalidate(&Invalidation::of([tag])).await.unwrap();
}

#[tokio::test]
async fn a_group_from_the_path_ends_every_response_that_is_in_it() {
    let world = World::new(routes(named()), |head| Box::pin(async move { ok(head.uri.to_string()) })).await;
    let (me, other) = (user("acme", "u1"), user("acme", "u2"));
    let all = [(&me, "/imports/7/rows"), (&me, "/imports/7/columns?x=1"), (&other, "/imports/7/rows")];
    let kept = [(&me, "/imports/8/rows"), (&user("globex", "u1"), "/imports/7/rows")];
    for (who, uri) in all.into_iter().chain(kept) {
        world.get(who, uri).await;
    }
    invalidate(&world, "import:7").await;
    for (who, uri) in all {
        assert_eq!(world.get(who, uri).await.x_cache(), "MISS", "{uri}");
    }
    for (who, uri) in kept {
        assert_eq!(world.get(who, uri).await.x_cache(), "HIT", "{uri}");
    }
    world.get(&me, "/imports/a%20b/rows").await;
    invalidate(&world, "import:a b").await;
    assert_eq!(world.get(&me, "/imports/a%20b/rows").await.x_cache(), "MISS");
}

#[tokio::test]
async fn groups_that_the_service_names_are_carried_and_told_in_their_opaque_form_alone() {
    let headers = [("cache-groups", r#""a", "b";x"#), ("surrogate-key", "c  d")];
    for kept in [true, false] {
        let world = World::new(routes(named()), move |_| {
            let cookie = [("set-cookie", "a=b")];
            let headers: Vec<_> = headers.into_iter().chain(cookie.into_iter().filter(|_| !kept)).collect();
            Box::pin(async move { with(200, &headers, "x") })
        })
        .await;
        let me = user("acme", "u1");
        let key = GroupKey::derive(SECRET);
        let group = |tag: Tag| format!("\"{}\"", key.group(&tenant("acme"), tag.id()));
        let mut expected: Vec<String> = ["a", "b", "c", "d", "import:7"]
            .iter()
            .map(|name| group(Tag::of(&tenant("acme"), "http-group", name)))
            .collect();
        expected.push(group(Tag::of(&tenant("acme"), "http-uri", "/imports/7/rows")));
        expected.sort();
        for name in ["a", "b", "c", "d"] {
            let first = world.get(&me, "/imports/7/rows").await;
            for got in [first, world.get(&me, "/imports/7/rows").await] {
                let mut groups: Vec<&str> = got.header("cache-groups").split(", ").collect();
                groups.sort_unstable();
                assert_eq!(groups, expected);
                assert!(!got.headers.contains_key("surrogate-key"));
                assert_eq!(got.header("cache-status").contains("set-cookie"), !kept);
            }
            let calls = world.calls();
            invalidate(&world, name).await;
            world.get(&me, "/imports/7/rows").await;
            assert_eq!(world.calls(), calls + 1, "{name}");
        }
    }
}

#[tokio::test]
async fn a_response_whose_groups_cannot_be_carried_is_not_kept_and_says_why() {
    let many = (0..60).map(|number| format!("k{number}")).collect::<Vec<_>>().join(" ");
    let long = "k".repeat(257);
    for (header, value, reason) in [
        ("surrogate-key", many, "too-many-groups"),
        ("surrogate-key", long, "group-too-long"),
        ("cache-groups", "a, b".to_owned(), "bad-groups"),
    ] {
        let world = World::new(routes(named()), move |_| {
            let value = value.clone();
            Box::pin(async move { with(200, &[(header, &value)], "x") })
        })
        .await;
        for _ in 0..2 {
            let got = world.get(&user("acme", "u1"), "/imports/7/rows").await;
            assert_eq!(got.header("cache-status"), format!("Unstale; fwd=miss; fwd-status=200; detail={reason}"));
            assert_eq!((got.body.as_str(), got.header("surrogate-key")), ("x", ""));
            assert_ne!(got.header("cache-groups"), "a, b");
        }
        assert_eq!((world.calls(), world.cache.size().entries), (2, 0));
    }
}

#[tokio::test]
async fn headers_that_the_route_does_not_name_are_no_groups() {
    let policy = RoutePolicy::cached("imports", minute()).sharing(Sharing::Tenant);
    let world = World::new(routes(policy), |_| Box::pin(async { with(200, &[("surrogate-key", "a b")], "x") })).await;
    let me = user("acme", "u1");
    assert_eq!(world.get(&me, "/imports/7/rows").await.header("surrogate-key"), "a b");
    invalidate(&world, "a").await;
    let hit = world.get(&me, "/imports/7/rows").await;
    assert_eq!((hit.x_cache(), hit.header("surrogate-key")), ("HIT", "a b"));
}

#[tokio::test]
async fn what_is_passed_on_tells_no_group_by_its_name_either() {
    let policy = RoutePolicy::uncached("imports").groups_from([GroupHeader::CacheGroups, GroupHeader::SurrogateKey]);
    let headers = [("cache-groups", "\"a\""), ("surrogate-key", "a")];
    let world = World::new(routes(policy), move |_| Box::pin(async move { with(200, &headers, "x") })).await;
    for method in [Method::GET, Method::POST] {
        let got = world.send(request(method.as_str(), Some(&user("acme", "u1")), "/imports/7/rows", &[])).await;
        assert!(!got.headers.contains_key("cache-groups") && !got.headers.contains_key("surrogate-key"));
    }
}
