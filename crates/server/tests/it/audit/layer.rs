//! Requests through the layer.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Extension, Router, body::Body, routing::get};
use http::{Request, StatusCode};
use tower::{Layer as _, ServiceExt as _};
use unstale::{Cache, MemoryStore, Policy, Tenant};
use unstale_http::{CacheLayer, Identity, RoutePolicies, RoutePolicy};
use unstale_server::{
    audit::{Actor, AuditLayer, Level, Writes},
    on_both_databases,
    testing::database::TestDatabase,
};

use super::world::World;

on_both_databases!(
    reads_are_recorded_by_level_with_who_and_what_and_where_from,
    writes_are_recorded_by_the_layer_where_nobody_else_does,
    who_acts_is_known_within_a_write,
);

async fn app(world: &World, writes: Writes) -> Router {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let routes = RoutePolicies::builder()
        .route("/flows/{id}", RoutePolicy::cached("flows", Policy::ttl(Duration::from_secs(60))))
        .route("/users", RoutePolicy::cached("users", Policy::ttl(Duration::from_secs(60))))
        .build()
        .unwrap();
    let identity = Identity::new(Tenant::new("acme").unwrap(), "ada");
    let changed = || async { Actor::current().principal.to_string() };
    Router::new()
        .route("/flows/{id}", get(|| async { "flow" }).put(changed).delete(|| async { StatusCode::FORBIDDEN }))
        .route("/users", get(|| async { "users" }))
        .route("/secret", get(|| async { StatusCode::NOT_FOUND }))
        .layer(CacheLayer::new(cache, routes, b"a secret"))
        .layer(AuditLayer::new(world.audit.clone(), writes).sensitive(|route| route == "/users"))
        .layer(Extension(identity))
}

async fn ask(app: &Router, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("x-agent", "mapping_agent");
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn told(world: &World) -> Vec<String> {
    world.shipped().await;
    let each = world.of("acme").await.into_iter().map(|it| it.record);
    each.map(|it| format!("{} {} {} {} {} {}", it.principal, it.operation, it.outcome, it.entity, it.key, it.status))
        .collect()
}

async fn reads_are_recorded_by_level_with_who_and_what_and_where_from(database: TestDatabase) {
    let world = World::at(database, Level::Mutations).await;
    let app = app(&world, Writes::ByApplication).await;
    let by = Actor::new("root");
    let all = async || {
        for path in ["/flows/7", "/flows/7", "/users", "/secret"] {
            ask(&app, "GET", path).await;
        }
    };
    all().await;
    assert!(told(&world).await.is_empty());
    world.audit.set_level(Level::Sensitive, &by).await.unwrap();
    all().await;
    assert_eq!(told(&world).await, ["ada read hit /users /users 200", "ada read refused /secret /secret 404"]);
    world.audit.set_level(Level::All, &by).await.unwrap();
    ask(&app, "GET", "/flows/8").await;
    ask(&app, "HEAD", "/flows/8").await;
    ask(&app, "GET", "/flows/9?email=ada@example.com").await;
    let records = world.of("acme").await;
    assert!(records.iter().all(|it| it.record.agent == "mapping_agent"));
    let last = &told(&world).await[2..];
    assert_eq!(last[..2], ["ada read miss /flows/{id} /flows/8 200", "ada read hit /flows/{id} /flows/8 200"]);
    assert!(last[2].starts_with("ada read miss /flows/{id} /flows/9?~") && !last[2].contains("ada@"), "{last:?}");
}

async fn writes_are_recorded_by_the_layer_where_nobody_else_does(database: TestDatabase) {
    let world = World::at(database, Level::Mutations).await;
    let layered = app(&world, Writes::ByLayer).await;
    ask(&layered, "PUT", "/flows/7").await;
    ask(&layered, "DELETE", "/flows/7").await;
    // A client that goes away in the middle.
    let gone = AuditLayer::new(world.audit.clone(), Writes::ByLayer).layer(tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<http::Response<Body>, Infallible>>()
    }));
    let mut request = Request::put("/flows/8").body(Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::new(Tenant::new("acme").unwrap(), "ada"));
    let left = tokio::time::timeout(Duration::from_millis(50), gone.oneshot(request)).await;
    assert!(left.is_err());
    let expected = [
        "ada write done /flows/{id} /flows/7 200",
        "ada write refused /flows/{id} /flows/7 403",
        "ada write unknown  /flows/8 0",
    ];
    assert_eq!(told(&world).await, expected);
    // Where the application records what it changes, the layer tells what was refused, to those who want to know.
    let own = app(&world, Writes::ByApplication).await;
    ask(&own, "DELETE", "/flows/9").await;
    world.audit.set_level(Level::Sensitive, &Actor::default()).await.unwrap();
    ask(&own, "DELETE", "/flows/9").await;
    ask(&own, "PUT", "/flows/9").await;
    assert_eq!(told(&world).await[3..], ["ada write refused /flows/{id} /flows/9 403"]);
}

async fn who_acts_is_known_within_a_write(database: TestDatabase) {
    let world = World::at(database, Level::Off).await;
    for writes in [Writes::ByApplication, Writes::ByLayer] {
        let app = app(&world, writes).await;
        assert_eq!(ask(&app, "PUT", "/flows/7").await, (StatusCode::OK, "ada".to_owned()));
    }
}
