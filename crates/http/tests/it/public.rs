//! Responses for everybody: made for nobody, kept apart.

use http::StatusCode;
use unstale::Tenant;
use unstale_http::{Identity, PUBLIC_TENANT, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{World, minute, ok, request, user, with};

fn routes() -> RoutePolicies {
    let public = RoutePolicy::cached("public", minute()).sharing(Sharing::Public);
    RoutePolicies::builder()
        .route("/public/*", public)
        .route("/own/*", RoutePolicy::cached("own", minute()))
        .identified_by(["authorization", "cookie", "x-api-key"])
        .build()
        .unwrap()
}

/// A service that would greet whoever it knows by credentials.
async fn greeting() -> World {
    World::new(routes(), |head| {
        let known = ["authorization", "cookie", "x-api-key", "proxy-authorization"];
        let said = known.iter().find_map(|name| head.headers.get(*name)?.to_str().ok().map(str::to_owned));
        let identity = head.extensions.get::<Identity>().map(|who| who.principal().to_owned());
        let who = identity.or(said).unwrap_or("nobody".into());
        Box::pin(async move { ok(format!("hello {who}")) })
    })
    .await
}

const CREDENTIALS: [(&str, &str); 4] =
    [("authorization", "Bearer t"), ("cookie", "s=1"), ("x-api-key", "k"), ("proxy-authorization", "Basic x")];

#[tokio::test]
async fn everybody_shares_what_was_made_for_nobody() {
    let world = greeting().await;
    let first = world.get_with(&user("acme", "u1"), "/public/1", &CREDENTIALS).await;
    assert_eq!((first.body.as_str(), first.x_cache()), ("hello nobody", "MISS"));
    let anonymous = world.send(request("GET", None, "/public/1", &[])).await;
    let foreign = world.get_with(&user("globex", "u9"), "/public/1", &CREDENTIALS).await;
    for got in [&anonymous, &foreign] {
        assert_eq!((got.body.as_str(), got.x_cache()), ("hello nobody", "HIT"));
        assert_eq!(
            (got.header("etag"), got.header("cache-groups")),
            (first.header("etag"), first.header("cache-groups"))
        );
    }
    let again = world.send(request("GET", None, "/public/1", &[("if-none-match", first.header("etag"))])).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(world.calls(), 1);
    assert_eq!(world.cache.tenant_bytes(&Tenant::new("acme").unwrap()), 0);
    assert!(world.cache.tenant_bytes(&Tenant::new(PUBLIC_TENANT).unwrap()) > 0);
    assert!(world.watcher.served.lock().unwrap().is_empty(), "no principal was given something of theirs");
}

#[tokio::test]
async fn a_route_of_ones_own_keeps_its_credentials_and_its_answers() {
    let world = greeting().await;
    let got = world.get_with(&user("acme", "u1"), "/own/1", &CREDENTIALS).await;
    assert_eq!(got.body, "hello u1");
    assert_eq!(
        world.send(request("GET", None, "/own/1", &[])).await.header("cache-status"),
        "Unstale; fwd=bypass; detail=no-identity"
    );
}

#[tokio::test]
async fn what_is_passed_by_the_cache_is_shared_with_nobody() {
    let world = greeting().await;
    let me = user("acme", "u1");
    let mine = world.get_with(&me, "/public/1", &[("cache-control", "no-store")]).await;
    assert_eq!((mine.body.as_str(), mine.x_cache()), ("hello u1", "BYPASS"));
    assert_eq!(world.send(request("POST", Some(&me), "/public/1", &[])).await.body, "hello u1");
    assert_eq!(world.send(request("GET", None, "/public/1", &[])).await.body, "hello nobody");
}

#[tokio::test]
async fn what_the_service_gives_to_one_is_not_kept_for_all() {
    for header in
        [("cache-control", "private"), ("set-cookie", "a=b"), ("vary", "cookie"), ("cache-control", "no-store")]
    {
        let world = World::new(routes(), move |_| Box::pin(async move { with(200, &[header], "x") })).await;
        for _ in 0..2 {
            assert_eq!(world.send(request("GET", None, "/public/1", &[])).await.x_cache(), "MISS");
        }
        assert_eq!((world.calls(), world.cache.size().entries), (2, 0), "{header:?}");
    }
}

#[tokio::test]
async fn nobody_acts_in_the_tenant_of_public_responses() {
    let world = greeting().await;
    world.send(request("GET", None, "/public/1", &[])).await;
    let intruder = user(PUBLIC_TENANT, "u1");
    for uri in ["/public/1", "/own/1"] {
        let got = world.get(&intruder, uri).await;
        assert_eq!(got.header("cache-status"), "Unstale; fwd=bypass; detail=public-tenant");
    }
    assert_eq!(world.cache.size().entries, 1);
}
