//! The layer on an axum router, as applications mount it: authentication outside, handlers inside.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use unstale::{Cache, Invalidation, MemoryStore, Tag, record};
use unstale_http::CacheLayer;

use crate::world::{SECRET, routes, tenant, user};

async fn authenticate(mut request: Request, next: Next) -> Response {
    if let Some(name) = request.headers().get("authorization") {
        let identity = user("acme", name.to_str().unwrap());
        request.extensions_mut().insert(identity);
    }
    next.run(request).await
}

async fn ask(app: &Router, uri: &str, name: &str) -> (String, String) {
    let request = Request::get(uri).header("authorization", name).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let x_cache = response.headers()["x-cache"].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (x_cache, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn on_a_router_behind_authentication() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let app = Router::new()
        .route(
            "/cached/{id}",
            get(|Path(id): Path<u64>| async move {
                record(&Tag::of(&tenant("acme"), "row", id));
                format!("row {id}")
            }),
        )
        .layer(CacheLayer::new(cache.clone(), routes(), SECRET))
        .layer(middleware::from_fn(authenticate));
    let expect = |verdict: &str| (verdict.to_owned(), "row 7".to_owned());
    assert_eq!(ask(&app, "/cached/7", "u1").await, expect("MISS"));
    assert_eq!(ask(&app, "/cached/7", "u1").await, expect("HIT"));
    assert_eq!(ask(&app, "/cached/7", "u2").await, expect("MISS"));
    cache.invalidate(&Invalidation::of([Tag::of(&tenant("acme"), "row", 7)])).await.unwrap();
    assert_eq!(ask(&app, "/cached/7", "u1").await, expect("MISS"));
    assert_eq!(ask(&app, "/cached/x", "u1").await.0, "BYPASS");
}
