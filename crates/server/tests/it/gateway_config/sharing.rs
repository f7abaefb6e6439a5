//! Who gets whose answers.

use std::time::Duration;

use serde_json::json;

use unstale::testing::redis_server::RedisServer;

use super::world::{Backend, INTROSPECTION, JWT, ROUTES, World, ask, bearer, soon};

async fn world() -> World {
    World::start(&format!("{JWT}{ROUTES}")).await
}

#[tokio::test]
async fn each_principal_has_their_own_answers() {
    let world = world().await;
    let (ann, ben) = (bearer("ann", "acme", &json!({})), bearer("ben", "acme", &json!({})));
    let path = "/field-mappings/7";
    let first = world.get(path, &[("authorization", &ann)]).await;
    assert_eq!((first.status, first.cache(), first.json()["user"].as_str()), (200, "MISS", Some("ann")), "{first:?}");
    assert_eq!(world.get(path, &[("authorization", &ann)]).await.cache(), "HIT");
    let other = world.get(path, &[("authorization", &ben)]).await;
    assert_eq!((other.cache(), other.json()["user"].as_str()), ("MISS", Some("ben")));
    // A new token of the same person is the same principal; one that may do less is not.
    let renewed = bearer("ann", "acme", &json!({"iat": 1, "jti": "x"}));
    assert_eq!(world.get(path, &[("authorization", &renewed)]).await.cache(), "HIT");
    let scoped = bearer("ann", "acme", &json!({"scope": "read"}));
    assert_eq!(world.get(path, &[("authorization", &scoped)]).await.cache(), "MISS");
    // What else the backend may go by tells requests apart, too.
    assert_eq!(world.get(path, &[("authorization", &ann), ("cookie", "session=ben")]).await.cache(), "MISS");
    assert_eq!(world.get(path, &[("authorization", &ann)]).await.cache(), "HIT");
}

#[tokio::test]
async fn nodes_share_through_redis_what_redis_cannot_read() {
    let redis = RedisServer::start();
    let more = format!("[cache]\nredis_url = \"{}\"\nsecret_env = \"SECRET\"\n{JWT}{ROUTES}", redis.url());
    let (backend, upstream) = Backend::start().await;
    let one = World::before(backend.clone(), upstream, &more).await;
    let two = World::before(backend, upstream, &more).await;
    let ann = bearer("ann", "acme", &json!({}));
    let path = "/field-mappings/7";
    // A machine that is busy elsewhere may make Redis too slow for a read or a fill: then it is tried again.
    soon(async {
        while one.get(path, &[("authorization", &ann)]).await.cache() != "HIT" || redis.keys("*}:v1:*").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let shared = two.get(path, &[("authorization", &ann)]).await;
    assert_eq!((shared.status, shared.json()["user"].as_str()), (200, Some("ann")), "{shared:?}");
    let entries = redis.keys("*}:v1:*");
    for entry in entries {
        let bytes: Vec<u8> = redis.run(&["GET", &entry]);
        let clear = [&b"ann"[..], b"user", b"application/json"];
        assert!(
            !clear.iter().any(|text| bytes.windows(text.len()).any(|window| window == *text)),
            "{entry} is in clear"
        );
    }
}

#[tokio::test]
async fn what_was_kept_says_how_old_it_is_and_has_the_date_of_the_backend() {
    let world = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    let first = world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    let kept = world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    assert_eq!((kept.cache(), kept.header("date")), ("HIT", first.header("date")));
    assert!(kept.header("age").parse::<u64>().is_ok_and(|age| age < 60), "{kept:?}");
    let only = world.get("/field-mappings/8", &[("authorization", &ann), ("cache-control", "only-if-cached")]).await;
    assert_eq!((only.status, world.backend.calls("/field-mappings/8")), (504, 0));
}

#[tokio::test]
async fn nobody_gets_what_was_kept_of_somebody() {
    let world = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    let path = "/field-mappings/7";
    let kept = world.get(path, &[("authorization", &ann)]).await;
    let expired = bearer("ann", "acme", &json!({"exp": 1000}));
    let forged = format!("{ann}x");
    let none: &[(&str, &str)] = &[];
    for headers in [none, &[("authorization", &expired)], &[("authorization", &forged)], &[("cookie", "session=ann")]] {
        let answer = world.get(path, headers).await;
        assert_eq!((answer.status, answer.cache()), (401, "BYPASS"), "{headers:?}: {answer:?}");
    }
    // Its validator is no oracle either.
    let etag = kept.header("etag");
    assert!(!etag.is_empty());
    assert_eq!(world.get(path, &[("if-none-match", etag)]).await.status, 401);
    let ben = bearer("ben", "acme", &json!({}));
    assert_eq!(world.get(path, &[("authorization", &ben), ("if-none-match", etag)]).await.status, 200);
    assert_eq!(world.get(path, &[("authorization", &ann), ("if-none-match", etag)]).await.status, 304);
}

#[tokio::test]
async fn a_tenant_shares_where_the_route_says_so_and_with_nobody_else() {
    let world = world().await;
    let path = "/shared/x";
    let as_of = |user: &str, tenant: &str| bearer(user, tenant, &json!({}));
    assert_eq!(world.get(path, &[("authorization", &as_of("ann", "acme"))]).await.cache(), "MISS");
    let ben = world.get(path, &[("authorization", &as_of("ben", "acme"))]).await;
    assert_eq!((ben.cache(), ben.json()["client"].as_str()), ("HIT", Some("acme")));
    let cid = world.get(path, &[("authorization", &as_of("cid", "globex"))]).await;
    assert_eq!((cid.cache(), cid.json()["client"].as_str()), ("MISS", Some("globex")));
    assert_eq!(world.get(path, &[]).await.status, 401);
}

#[tokio::test]
async fn what_is_public_is_asked_for_without_credentials_and_shared_by_all() {
    let world = world().await;
    let path = "/public/x";
    let ann = bearer("ann", "acme", &json!({}));
    let first = world.get(path, &[("authorization", &ann), ("cookie", "session=ann")]).await;
    assert_eq!((first.cache(), &first.json()["credentials"]), ("MISS", &json!(false)), "{first:?}");
    assert_eq!(world.get(path, &[]).await.cache(), "HIT");
    assert_eq!(world.get(path, &[("authorization", &bearer("cid", "globex", &json!({})))]).await.cache(), "HIT");
    assert_eq!(world.get(path, &[("authorization", "Bearer nonsense")]).await.cache(), "HIT");
    assert_eq!(world.backend.calls(path), 1);
}

#[tokio::test]
async fn the_backend_may_say_who_it_is() {
    let world = World::start(&format!("{INTROSPECTION}{ROUTES}")).await;
    world.backend.sign_in("one", "ann", "acme");
    world.backend.sign_in("two", "ben", "acme");
    let path = "/field-mappings/7";
    let (one, two) = ([("authorization", "Bearer one")], [("authorization", "Bearer two")]);
    assert_eq!(world.get(path, &one).await.cache(), "MISS");
    assert_eq!(world.get(path, &one).await.cache(), "HIT");
    let ben = world.get(path, &two).await;
    assert_eq!((ben.cache(), ben.json()["user"].as_str()), ("MISS", Some("ben")));
    // One question for each credential, however often it comes.
    assert_eq!(world.backend.calls("/me"), 2);
    assert_eq!(world.get(path, &[("authorization", "Bearer three")]).await.status, 401);
}

#[tokio::test]
async fn what_no_route_covers_is_passed_on_and_bodies_are_limited() {
    let world = world().await;
    let elsewhere = world.get("/elsewhere", &[]).await;
    assert_eq!((elsewhere.status, elsewhere.body.as_str(), elsewhere.cache()), (200, "elsewhere", "BYPASS"));
    let small = ask(world.addr, "POST", "/upload", &[], &"x".repeat(1024)).await;
    assert_eq!((small.status, small.body.as_str()), (200, "1024"));
    let large = ask(world.addr, "POST", "/upload", &[], &"x".repeat(1025)).await;
    assert_eq!((large.status, large.header("content-type")), (413, "application/problem+json"));
    // A method that a path has no route for goes where everything else goes.
    assert_eq!(ask(world.addr, "DELETE", "/shared/x", &[], "").await.status, 405);
}
