//! The layer on an axum router, as applications mount it: authentication outside, handlers inside.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service, ServiceExt as _};
use unstale::{Cache, Invalidation, MemoryStore, Tag, record};
use unstale_http::{CacheLayer, Identity, RequestFacts};

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

/// Answers with what it was told, and by whom it was asked.
#[derive(Clone)]
struct Told(&'static str);

impl Service<Request> for Told {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        panic!("who knows that it is always ready does not ask")
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let told = self.0;
        Box::pin(async move {
            let who = request.extensions().get::<Identity>().map_or("nobody", Identity::principal);
            Ok(Response::new(Body::from(format!("{told} {who}"))))
        })
    }
}

#[tokio::test]
async fn what_is_known_already_is_said_and_the_service_behind_is_told_only_where_it_is_called() {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let routes = Arc::new(routes());
    let service = CacheLayer::new(cache, routes.clone(), SECRET).layer(Told("nothing"));
    let ask = async |uri: &str, who: Option<&str>, word: &'static str| {
        let known = RequestFacts { route: routes.find(uri), identity: who.map(|name| user("acme", name)) };
        let (head, body) = Request::get(uri).body(Body::empty()).unwrap().into_parts();
        let response = service.answer(head, body, known, |behind| behind.0 = word).await.unwrap();
        let verdict = response.headers()["x-cache"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (verdict, String::from_utf8(body.to_vec()).unwrap())
    };
    let is = |verdict: &str, body: &str| (verdict.to_owned(), body.to_owned());
    assert_eq!(ask("/cached/7", Some("u1"), "one").await, is("MISS", "one u1"));
    assert_eq!(ask("/cached/7", Some("u1"), "two").await, is("HIT", "one u1"));
    assert_eq!(ask("/cached/7", Some("u2"), "three").await, is("MISS", "three u2"));
    assert_eq!(ask("/elsewhere", Some("u2"), "four").await, is("BYPASS", "four u2"));
    assert_eq!(ask("/cached/7", None, "five").await, is("BYPASS", "five nobody"));
}
